/** The words of the club's page in the language chosen, and how its figures read. */
import { wordsOf } from "@tallystick/i18n/words";
import type { AnyCatalog, Catalog, Locale, Words } from "@tallystick/i18n/words";

import { prefs } from "../lib/prefs.svelte.ts";
import { money, nameOf } from "../lib/show.ts";
import { num } from "../lib/types.ts";
import { en } from "./messages/en.ts";
import { lv } from "./messages/lv.ts";
import { nb } from "./messages/nb.ts";
import { pl } from "./messages/pl.ts";
import { sv } from "./messages/sv.ts";
import type { Challenge, Goal } from "./types.ts";

type Messages = typeof en;
export type ClubCatalog<L extends Locale> = Catalog<Messages, L>;

const MESSAGES: { readonly [L in Locale]: ClubCatalog<L> } = { en, sv, pl, nb, lv };
const made = new Map<Locale, Words<Messages>>();

function words(): Words<Messages> {
  const locale = prefs.locale;
  let found = made.get(locale);
  if (!found) made.set(locale, (found = wordsOf<Messages>(locale, MESSAGES[locale] as AnyCatalog<Messages>)));
  return found;
}

/** The message of a key in the language chosen. */
export const t: Words<Messages>["t"] = (key, ...values) => words().t(key, ...values);

/** "3 of 5 purchases": how far a challenge or a goal is, in what it counts. */
export function progressText(counts: string | undefined, have: number, target: number): string {
  if (counts === "spend") return t("progress.spend", { have: money(have), target: money(target) });
  const known = ["sales", "pieces", "points", "days"] as const;
  const unit = known.find((each) => each === counts) ?? "sales";
  return t(`progress.${unit}`, { have: words().number(have), n: target });
}

/** What one award of a challenge gives. */
export function awardText({ awardPoints, badgeId }: Challenge): string {
  const parts = [
    ...(num(awardPoints) ? [t("points", { n: num(awardPoints) })] : []),
    ...(badgeId ? [t("award_badge", { badge: nameOf(badgeId) })] : []),
  ];
  return parts.length ? t("award", { what: parts.join(" + ") }) : "";
}

const UNITS: Readonly<Record<string, string>> = {
  GOAL_UNIT_SPEND: "spend",
  GOAL_UNIT_POINTS: "points",
  GOAL_UNIT_PIECES: "pieces",
};
const MILLI = 1000;

/** How far all members are; pieces are counted in thousandths. */
export function goalText({ unit, counted, target }: Goal): string {
  const counts = UNITS[unit ?? ""] ?? "sales";
  const per = counts === "pieces" ? MILLI : 1;
  return progressText(counts, Math.floor(num(counted) / per), Math.ceil(num(target) / per));
}
