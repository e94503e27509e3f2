/** Challenges in one line each: what is missing to one, and what a sale has won by one. */
import type { Words } from "@tallystick/i18n";

import type { Challenge, ChallengeMet, Program } from "./types.ts";

/** "2 more purchases until Coffee week". */
export function missingText(words: Words, { counts, left, name }: Challenge, program: Program): string {
  if (counts === "spend") return words.t("near.spend", { amount: words.money(left, program), name });
  return words.t(`near.${counts}`, { n: left, name });
}

/** The day, of this week, on which a period ends: "Sun". */
export function weekday({ locale }: Words, date: string): string {
  return new Intl.DateTimeFormat(locale, { weekday: "short", timeZone: "UTC" }).format(Date.parse(date));
}

/** "+50 · Regular": the points and the badge. */
export function wonText(words: Words, { points, badge, times }: ChallengeMet): string {
  const parts = [...(points > 0 ? [`+${words.number(points)}`] : []), ...(badge ? [badge] : [])];
  return parts.join(" · ") + (times > 1 ? ` ×${words.number(times)}` : "");
}
