/**
 * The phone's clock, corrected by what the server's answers say.
 *
 * Codes and assertions carry the time. A phone that is off by minutes is told so, and its codes work all the same: they
 * are dated by the server's time as it was last heard, which is kept for when there is no line.
 */

/** From how much on a member is told: tills take a code that is 15 seconds ahead, but it is dated by the server's time. */
export const OFF_MS_MAX = 30_000;
/** Answers that took longer say too little about the time. */
const ROUND_TRIP_MS_MAX = 10_000;

/** The server's time less the phone's; null when the answer took too long to tell. */
export function offsetOf(serverMs: number, sentMs: number, receivedMs: number): number | null {
  const took = receivedMs - sentMs;
  if (took < 0 || took > ROUND_TRIP_MS_MAX || !Number.isFinite(serverMs)) return null;
  return Math.round(serverMs - (sentMs + took / 2));
}

/** Whether a phone is so far off that its member should hear of it. */
export function isOff(offsetMs: number): boolean {
  return Math.abs(offsetMs) > OFF_MS_MAX;
}
