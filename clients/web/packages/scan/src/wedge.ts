/**
 * Tells a scanner that types (a keyboard wedge) from a person who types, by the whole scan.
 *
 * A threshold for each key is flaky: a busy machine delays single keys. So keys are gathered until Enter or Tab,
 * and the whole burst is judged by its length, its mean gap and its longest gap.
 */

/** A scan of at least this many characters may be as slow as `LONG_MEAN_GAP_MS`. */
export const LONG_SCAN_CHARS = 24;
export const LONG_MEAN_GAP_MS = 60;
/** A short card (EAN-8 and longer) must come faster than any hand types. */
export const SHORT_SCAN_CHARS = 8;
export const SHORT_MEAN_GAP_MS = 35;
/** A pause of this length ends a burst, whoever types. */
export const LONGEST_GAP_MS = 500;
/** From here on a burst at a scanner's pace is a scan that was cut off: its Enter must not press a button. */
export const FRAGMENT_CHARS = 4;

/** A gap from which on a key may be a person's; what a hand typed just before a scan has only such gaps. */
export const TYPED_GAP_MS = 45;
/** How much faster than those keys the rest must be to count as a scan that followed them. */
const PACE_CHANGE = 3;
/** One slow gap at the start may be a scanner's; two are a person's. */
const TYPED_GAPS_MIN = 2;

/** What a key means for the burst; `end` is Enter or Tab. */
export type Stroke =
  | { readonly kind: "text"; readonly text: string; readonly atMs: number }
  | { readonly kind: "end"; readonly atMs: number }
  | { readonly kind: "human" };

/**
 * What became of a stroke: `gathered` belongs to the burst at `index`, and a scan `mayStart` there; `scan` and
 * `fragment` end a burst at a scanner's pace, whose first `start` characters a person typed; `typed` ends or
 * leaves a burst of a person.
 */
export type Outcome =
  | { readonly kind: "gathered"; readonly index: number; readonly mayStart: boolean }
  | { readonly kind: "typed" }
  | { readonly kind: "fragment"; readonly start: number }
  | { readonly kind: "scan"; readonly start: number; readonly raw: string };

interface Key {
  readonly text: string;
  readonly atMs: number;
}

/** The burst under way. Pure: time comes with the strokes. */
export class Wedge {
  #keys: Key[] = [];
  readonly #maxChars: number;

  constructor(maxChars = 4096) {
    this.#maxChars = maxChars;
  }

  take(stroke: Stroke): Outcome {
    if (stroke.kind === "human") {
      this.#keys = [];
      return { kind: "typed" };
    }
    const gap = stroke.atMs - (this.#keys.at(-1)?.atMs ?? stroke.atMs);
    if (gap >= LONGEST_GAP_MS) this.#keys = [];
    if (stroke.kind === "end") {
      const keys = this.#keys;
      this.#keys = [];
      return judge(keys, stroke.atMs, this.#maxChars);
    }
    const index = this.#keys.length;
    // What is beyond the limit is counted by one more key, so that the burst ends as cut off.
    if (index <= this.#maxChars) this.#keys.push({ text: stroke.text, atMs: stroke.atMs });
    return { kind: "gathered", index, mayStart: index === 0 || gap >= TYPED_GAP_MS };
  }
}

function judge(burst: readonly Key[], endMs: number, maxChars: number): Outcome {
  const start = typedBefore(burst, endMs);
  const keys = burst.slice(start);
  const [first] = keys;
  if (!first) return { kind: "typed" };
  // The gap before Enter counts too: n characters and their end have n gaps.
  const mean = (endMs - first.atMs) / keys.length;
  const long = keys.length >= LONG_SCAN_CHARS && mean < LONG_MEAN_GAP_MS;
  const short = keys.length >= SHORT_SCAN_CHARS && mean < SHORT_MEAN_GAP_MS;
  if ((long || short) && keys.length <= maxChars)
    return { kind: "scan", start, raw: keys.map((key) => key.text).join("") };
  const cutOff = long || (keys.length >= FRAGMENT_CHARS && mean < SHORT_MEAN_GAP_MS);
  return cutOff ? { kind: "fragment", start } : { kind: "typed" };
}

/** How many keys of a burst a person typed just before the scanner began, told by the change of pace. */
function typedBefore(burst: readonly Key[], endMs: number): number {
  const gapAfter = (index: number): number =>
    (burst[index + 1]?.atMs ?? endMs) - (burst[index]?.atMs ?? endMs);
  let count = 0;
  while (count < burst.length && gapAfter(count) >= TYPED_GAP_MS) count += 1;
  const first = burst[0];
  const next = burst[count];
  if (count < TYPED_GAPS_MIN || !first || !next) return 0;
  const typedMean = (next.atMs - first.atMs) / count;
  const restMean = (endMs - next.atMs) / (burst.length - count);
  return restMean * PACE_CHANGE < typedMean ? count : 0;
}
