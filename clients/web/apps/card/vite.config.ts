import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import type { Plugin } from "vite";

import { standIn } from "./dev/stand-in.ts";
import { en } from "./src/messages/en.ts";

const HOME = "/card/demo/";
const FETCHED_LATER = /\/card\/src\/(views\/(Club|Redeem)|club\/|redeem\/|messages\/(sv|pl|nb|lv)\.ts)/;

/** While developing, the page's own server plays the gateway too. */
function gateway(): Plugin {
  return {
    name: "tallystick-gateway",
    apply: "serve",
    configureServer(server) {
      server.middlewares.use(standIn());
    },
  };
}

/** Writes the service worker with the list of what it keeps, and a name that changes whenever any of that does. */
function serviceWorker(): Plugin {
  return {
    name: "tallystick-service-worker",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const digest = createHash("sha256");
        const names = Object.keys(bundle).sort();
        for (const name of names) {
          const made = bundle[name];
          digest.update(name).update(made?.type === "asset" ? made.source : (made?.code ?? ""));
        }
        const files = [...names.filter((name) => name !== "index.html"), "mark.svg"];
        const source = readFileSync(new URL("src/sw.js", import.meta.url), "utf8")
          .replace("__BUILD__", digest.digest("hex").slice(0, 16))
          .replace("__FILES__", JSON.stringify(files))
          .replace(/^ *\/\/.*\n/gm, "");
        this.emitFile({ type: "asset", fileName: "sw.js", source });
      },
    },
  };
}

/** Writes the names of the messages once: the other languages become lists in the order of the English ones. */
function namedOnce(): Plugin {
  return {
    name: "tallystick-messages",
    apply: "build",
    async transform(_code, id) {
      const locale = /\/card\/src\/messages\/(sv|pl|nb|lv)\.ts$/.exec(id)?.[1];
      if (!locale) return null;
      const messages = ((await import(id)) as Record<string, Record<string, unknown>>)[locale] ?? {};
      const texts = Object.keys(en).map((key) => messages[key]);
      return (
        `import { en } from "./en.ts"; const texts = ${JSON.stringify(texts)};` +
        `export const ${locale} = Object.fromEntries(Object.keys(en).map((key, at) => [key, texts[at]]));`
      );
    },
  };
}

export default defineConfig(({ command }) => ({
  // One build serves every program, each under its own path.
  base: command === "build" ? "./" : HOME,
  plugins: [svelte(), namedOnce(), serviceWorker(), gateway()],
  server: { host: "127.0.0.1", port: 8789, open: false },
  build: {
    outDir: process.env["TALLYSTICK_CARD_DIR"] ?? "dist",
    emptyOutDir: true,
    // Nothing is inlined as data: the page's policy allows its own origin only.
    assetsInlineLimit: 0,
    modulePreload: false,
    // All that is not fetched later is one file: in two it would be larger.
    rolldownOptions: {
      output: {
        codeSplitting: { groups: [{ name: "card", test: (id: string) => !FETCHED_LATER.test(id) }] },
      },
    },
    target: ["chrome123", "firefox125", "safari17.5"],
  },
}));
