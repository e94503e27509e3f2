/** Scans from a scanner that types, and from a camera. */
export { attachWedge } from "./attach.ts";
export type { WedgeOptions } from "./attach.ts";
export { startCamera } from "./camera.ts";
export type { CameraTrouble } from "./camera.ts";
export { MAX_SCAN_CHARS, toScan } from "./symbol.ts";
export type { Scan } from "./symbol.ts";
