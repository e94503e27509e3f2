/** Short tones, made on the spot: one for each kind of answer, apart in rhythm as well as in pitch. */
import type { Tone } from "./tone.ts";

/** Frequency in hertz, start and length in seconds. */
type Note = readonly [frequency: number, start: number, length: number];

const TUNES: Readonly<Record<Tone | "done", readonly Note[]>> = {
  ok: [
    [784, 0, 0.09],
    [1175, 0.1, 0.14],
  ],
  warn: [
    [587, 0, 0.12],
    [587, 0.17, 0.12],
  ],
  bad: [[196, 0, 0.42]],
  done: [
    [659, 0, 0.08],
    [880, 0.09, 0.08],
    [1319, 0.18, 0.16],
  ],
};

const LOUDNESS = 0.18;
const FADE_S = 0.012;

let context: AudioContext | undefined;

/** Plays the tones of an answer. A browser that allows no sound yet stays silent; that is no error. */
export function play(tune: Tone | "done"): void {
  try {
    context ??= new AudioContext();
    if (context.state === "suspended") void context.resume().catch(() => undefined);
    const now = context.currentTime;
    for (const [frequency, start, length] of TUNES[tune]) {
      const tone = context.createOscillator();
      const gain = context.createGain();
      tone.type = tune === "bad" ? "square" : "sine";
      tone.frequency.value = frequency;
      gain.gain.setValueAtTime(0, now + start);
      gain.gain.linearRampToValueAtTime(tune === "bad" ? LOUDNESS / 2 : LOUDNESS, now + start + FADE_S);
      gain.gain.setValueAtTime(tune === "bad" ? LOUDNESS / 2 : LOUDNESS, now + start + length - FADE_S);
      gain.gain.linearRampToValueAtTime(0, now + start + length);
      tone.connect(gain).connect(context.destination);
      tone.start(now + start);
      tone.stop(now + start + length);
    }
  } catch {
    context = undefined;
  }
}
