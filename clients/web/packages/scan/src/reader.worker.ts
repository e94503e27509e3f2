/** Reads codes off camera pictures in a thread of its own, with a module that comes from this page's own origin. */
import { prepareZXingModule, readBarcodes } from "zxing-wasm/reader";
import wasmUrl from "zxing-wasm/reader/zxing_reader.wasm?url";

import type { Picture, Reading } from "./camera.ts";

const FORMATS = ["QRCode", "EAN13", "EAN8", "Code128", "DataMatrix", "Aztec", "PDF417"] as const;

prepareZXingModule({
  overrides: {
    locateFile: (path: string, prefix: string) => (path.endsWith(".wasm") ? wasmUrl : prefix + path),
  },
});

self.onmessage = (event: MessageEvent<Picture>) => {
  void read(event.data.image).then((reading) => self.postMessage(reading));
};

async function read(image: ImageData): Promise<Reading> {
  try {
    const options = { formats: [...FORMATS], maxNumberOfSymbols: 1, tryHarder: true };
    const [found] = await readBarcodes(image, options);
    return found?.isValid
      ? { ok: true, text: found.text, aim: found.symbologyIdentifier }
      : { ok: true, text: "" };
  } catch (error) {
    return { ok: false, message: String(error) };
  }
}
