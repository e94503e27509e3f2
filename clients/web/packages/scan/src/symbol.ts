/** One scan, as data. It is never typed into a page. */
export interface Scan {
  /** What the code says, without symbology id and control characters. */
  readonly text: string;
  /** The AIM symbology id when the scanner sent one, such as `]Q3`. */
  readonly aim?: string;
  readonly source: "wedge" | "camera" | "typed";
}

/** Longest scan that is passed on; our longest code has about 550 digits. */
export const MAX_SCAN_CHARS = 4096;

const AIM_ID = /^\][A-Za-z][0-9A-Za-z]/;
const CONTROLS = /[\p{Cc}\p{Cf}]/gu;

/** Takes the symbology id off and the control characters out. An empty text means that nothing was left. */
export function toScan(raw: string, source: Scan["source"], aim?: string): Scan {
  const clean = raw.replace(CONTROLS, "").trim();
  const found = AIM_ID.exec(clean)?.[0];
  const text = found === undefined ? clean : clean.slice(found.length).trim();
  const id = found ?? aim;
  return id === undefined ? { text, source } : { text, source, aim: id };
}
