import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import type { Plugin } from "vite";

import { standIn } from "./dev/stand-in.ts";

/** While developing, the page's own server plays the till program too. */
function localApi(): Plugin {
  return {
    name: "tallystick-local-api",
    apply: "serve",
    configureServer(server) {
      server.middlewares.use(standIn());
    },
  };
}

export default defineConfig({
  plugins: [svelte(), localApi()],
  worker: { format: "es" },
  server: { host: "127.0.0.1", port: 8788 },
  build: {
    outDir: process.env["TALLYSTICK_SCREEN_DIR"] ?? "dist",
    emptyOutDir: true,
    // Nothing is inlined as data: the page's policy allows its own origin only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
