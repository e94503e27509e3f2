import { defineConfig } from "vite";

export default defineConfig({
  build: {
    lib: {
      entry: new URL("src/element.ts", import.meta.url).pathname,
      formats: ["es"],
      fileName: () => "tallystick-rewards.js",
    },
    outDir: process.env["TALLYSTICK_WIDGET_DIR"] ?? "dist",
    emptyOutDir: true,
    target: "es2022",
    // The first versions that know light-dark(): it follows the page that the element is on, whatever the system says.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // A library keeps its spaces unless it is told otherwise.
    rolldownOptions: { output: { minify: true } },
  },
});
