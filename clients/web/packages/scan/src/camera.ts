/** The camera as a scanner. The reader (a worker and its WebAssembly) is loaded when the camera is switched on. */
import { toScan } from "./symbol.ts";
import type { Scan } from "./symbol.ts";

export interface Picture {
  readonly image: ImageData;
}

export type Reading =
  | { readonly ok: true; readonly text: string; readonly aim?: string }
  | { readonly ok: false; readonly message: string };

export type CameraTrouble = "denied" | "missing" | "failed";

export interface CameraOptions {
  readonly video: HTMLVideoElement;
  readonly onScan: (scan: Scan) => void;
  readonly onTrouble: (trouble: CameraTrouble) => void;
  readonly onReady?: () => void;
}

/** Pictures a second: enough for a hand that holds a code, little enough for a slow till. */
const PICTURES_PER_S = 10;
/** The same code is told again only after it was out of sight, or after this time. */
const SAME_CODE_MS = 4000;
/** Pictures without the code after which it counts as out of sight. */
const OUT_OF_SIGHT_PICTURES = 8;
const PICTURE_WIDTH_MAX = 960;

/** Keeps one code held before the camera from being told ten times a second. Pure: time comes with the code. */
export class OncePerSight {
  #text = "";
  #toldMs = 0;
  #missed = 0;

  /** Returns whether what was read (empty: nothing) is to be told. */
  isNew(text: string, atMs: number): boolean {
    if (!text) {
      this.#missed += 1;
      if (this.#missed >= OUT_OF_SIGHT_PICTURES) this.#text = "";
      return false;
    }
    this.#missed = 0;
    if (text === this.#text && atMs - this.#toldMs < SAME_CODE_MS) return false;
    this.#text = text;
    this.#toldMs = atMs;
    return true;
  }
}

/** Starts the camera; the returned function stops it and frees the worker. */
export function startCamera({ video, onScan, onTrouble, onReady }: CameraOptions): () => void {
  const sight = new OncePerSight();
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let worker: Worker | undefined;
  let stream: MediaStream | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  const stop = (): void => {
    stopped = true;
    clearTimeout(timer);
    worker?.terminate();
    stream?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  };

  const fail = (trouble: CameraTrouble): void => {
    if (stopped) return;
    stop();
    onTrouble(trouble);
  };

  const next = (): void => {
    timer = setTimeout(look, 1000 / PICTURES_PER_S);
  };

  // One picture is under way at a time: a slow till reads fewer, and none pile up.
  const look = (): void => {
    if (stopped) return;
    if (!context || !worker || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || document.hidden) {
      next();
      return;
    }
    const scale = Math.min(1, PICTURE_WIDTH_MAX / video.videoWidth);
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const image = context.getImageData(0, 0, canvas.width, canvas.height);
    worker.postMessage({ image } satisfies Picture, [image.data.buffer]);
  };

  const open = async (): Promise<void> => {
    if (!navigator.mediaDevices?.getUserMedia) {
      fail("failed");
      return;
    }
    const wish = { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: { ideal: "environment" } };
    stream = await navigator.mediaDevices.getUserMedia({ video: wish, audio: false });
    if (stopped) {
      stop();
      return;
    }
    // A camera that is pulled out leaves its last picture, in which nobody's card is any more.
    for (const track of stream.getTracks()) track.onended = () => fail("missing");
    video.srcObject = stream;
    await video.play();
    worker = new Worker(new URL("./reader.worker.ts", import.meta.url), { type: "module" });
    worker.onerror = () => fail("failed");
    worker.onmessage = (event: MessageEvent<Reading>) => {
      const reading = event.data;
      if (!reading.ok) {
        fail("failed");
        return;
      }
      const scan = toScan(reading.text, "camera", reading.aim || undefined);
      if (sight.isNew(scan.text, performance.now())) onScan(scan);
      next();
    };
    onReady?.();
    next();
  };

  open().catch((error: unknown) => {
    const name = error instanceof DOMException ? error.name : "";
    if (name === "NotAllowedError" || name === "SecurityError") fail("denied");
    else if (name === "NotFoundError" || name === "OverconstrainedError") fail("missing");
    else fail("failed");
  });
  return stop;
}
