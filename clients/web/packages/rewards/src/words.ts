/** Words, numbers and money in five languages; `Intl` knows the rest. */
import type { Reward } from "./card.ts";
import { num } from "./choice.ts";
import { decimalsOf } from "./currency.ts";

type Forms = Readonly<Partial<Record<Intl.LDMLPluralRule, string>>>;

interface Table {
  readonly point: Forms;
  readonly use: string;
  readonly away: string;
  readonly off: (what: string) => string;
  /** What is missing for a reward or a tier. */
  readonly to: (missing: string, what: string) => string;
}

const en: Table = {
  point: { one: "point", other: "points" },
  use: "Use points",
  away: "Points cannot be used right now.",
  off: (what) => `${what} off`,
  to: (missing, what) => `${missing} to ${what}`,
};

const nb: Table = {
  point: { other: "poeng" },
  use: "Bruk poeng",
  away: "Poeng kan ikke brukes akkurat nå.",
  off: (what) => `${what} rabatt`,
  to: (missing, what) => `${missing} igjen til ${what}`,
};

export const TABLES: Readonly<Record<string, Table>> = {
  en,
  nb,
  no: nb,
  nn: nb,
  sv: {
    point: { other: "poäng" },
    use: "Använd poäng",
    away: "Poäng kan inte användas just nu.",
    off: (what) => `${what} rabatt`,
    to: (missing, what) => `${missing} kvar till ${what}`,
  },
  pl: {
    point: { one: "punkt", few: "punkty", many: "punktów", other: "punktu" },
    use: "Użyj punktów",
    away: "Punktów nie można teraz użyć.",
    off: (what) => `${what} rabatu`,
    to: (missing, what) => `${missing} do: ${what}`,
  },
  lv: {
    point: { zero: "punktu", one: "punkts", other: "punkti" },
    use: "Izmantot punktus",
    away: "Punktus pašlaik nevar izmantot.",
    off: (what) => `${what} atlaide`,
    to: (missing, what) => `${missing} līdz: ${what}`,
  },
};

export type Words = ReturnType<typeof wordsIn>;

/** The words of a BCP 47 tag, in English when the language is not among the five; money is in `currency`. */
export function wordsIn(tag: string, currency: string) {
  const locale = TABLES[tag.slice(0, 2)] ? tag : "en";
  const table = TABLES[locale.slice(0, 2)]!;
  const format = (n: number, style?: Intl.NumberFormatOptions) => n.toLocaleString(locale, style);
  const rule = new Intl.PluralRules(locale);
  const digits = decimalsOf(currency);
  const style: Intl.NumberFormatOptions = { style: "currency", currency, minimumFractionDigits: digits };
  return {
    ...table,
    points: (n: number) => `${format(n)} ${table.point[rule.select(n)] ?? table.point.other}`,
    sales: (n: number) => `${format(n)} ×`,
    spend: (minor: number) => format(minor / 10 ** digits, style),
    percent: (ppm: number) => format(ppm / 1e6, { style: "percent", maximumFractionDigits: 4 }),
  };
}

/** What a reward is called: by the page, or else by what it takes off, or else by its id. */
export function rewardName(reward: Reward, words: Words, names: Record<string, string>): string {
  const { rewardId, percentPpm, amountMinor } = reward;
  if (names[rewardId]) return names[rewardId];
  if (percentPpm) return words.off(words.percent(percentPpm));
  return amountMinor ? words.off(words.spend(num(amountMinor))) : rewardId;
}
