/**
 * Words, numbers, money and times in the five languages of the product, on nothing but `Intl`, for whatever messages a
 * screen has.
 *
 * A missing key, a missing plural form or a missing placeholder value does not compile.
 */
import type { AnyCatalog, KeyOf, Locale, Placeholders, Source, Values } from "./catalog.ts";

export type {
  AnyCatalog,
  Catalog,
  KeyOf,
  Locale,
  PlainKeyOf,
  PluralForms,
  Source,
  Values,
} from "./catalog.ts";

type Messages = Readonly<Record<string, string | Readonly<Partial<Record<Intl.LDMLPluralRule, string>>>>>;

/** Each language by its own name, in the order in which a person chooses. */
export const LOCALES: readonly { readonly locale: Locale; readonly name: string }[] = [
  { locale: "en", name: "English" },
  { locale: "sv", name: "Svenska" },
  { locale: "pl", name: "Polski" },
  { locale: "nb", name: "Norsk bokmål" },
  { locale: "lv", name: "Latviešu" },
];

/** A currency as a program names it: `decimals` says how many minor units make one. */
export interface Currency {
  readonly currency: string;
  readonly decimals: number;
}

export interface Words<S extends Source> {
  readonly locale: Locale;
  /** The message of a key with its placeholders filled. */
  t<K extends KeyOf<S>>(
    key: K,
    ...values: [Placeholders<S, K>] extends [never] ? [] : [Values<S, K>]
  ): string;
  /** A whole number, grouped as the language does. */
  number(value: number): string;
  /** Minor units as money: `money(4290, {currency: "EUR", decimals: 2})` is "€42.90". */
  money(minor: number, currency: Currency): string;
  /** Minor units as a plain decimal number, as one would key it in: "42.90". */
  decimal(minor: number, currency: Currency): string;
  /** Thousandths as a quantity: 1,000 is "1". */
  quantity(milli: number): string;
  /** An instant (milliseconds since 1970): the time of today, else the day as well. */
  instant(ms: number, nowMs?: number): string;
  /** A day, "2026-05-06", with its year only when that is not this one. */
  day(date: string, nowMs?: number): string;
}

/** Returns the language that fits a list such as `navigator.languages` best; English when none does. */
export function chooseLocale(wanted: readonly string[]): Locale {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split("-")[0] ?? "";
    if (language === "no" || language === "nn") return "nb";
    if (Object.hasOwn(REGIONS, language)) return language as Locale;
  }
  return "en";
}

/** The regional habits for figures: plain English would give American dates and half a day's clock. */
const REGIONS: { readonly [L in Locale]: string } = {
  en: "en-GB",
  sv: "sv-SE",
  pl: "pl-PL",
  nb: "nb-NO",
  lv: "lv-LV",
};

/** Builds the words of a language from its catalogue. The `Intl` objects are made once: they are dear. */
export function wordsOf<S extends Source>(locale: Locale, messages: AnyCatalog<S>): Words<S> {
  const catalog = messages as Messages;
  const region = REGIONS[locale];
  const plural = new Intl.PluralRules(locale);
  // Polish would leave 1240 ungrouped next to 12 400: a till aligns its figures.
  const whole = new Intl.NumberFormat(region, { maximumFractionDigits: 0, useGrouping: "always" });
  const thousandths = new Intl.NumberFormat(region, { maximumFractionDigits: 3, useGrouping: "always" });
  const time = new Intl.DateTimeFormat(region, { hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat(region, {
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
  });
  const dayOnly = new Intl.DateTimeFormat(region, { day: "numeric", month: "long", timeZone: "UTC" });
  const dayOfYear = new Intl.DateTimeFormat(region, {
    ...{ day: "numeric", month: "long", year: "numeric", timeZone: "UTC" },
  });
  const monies = new Map<string, Intl.NumberFormat>();

  const moneyFormat = ({ currency, decimals }: Currency): Intl.NumberFormat => {
    const name = `${currency}/${decimals}`;
    let format = monies.get(name);
    if (!format) {
      const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
      format = new Intl.NumberFormat(region, {
        ...{ style: "currency", currency, currencyDisplay: "narrowSymbol", useGrouping: "always" },
        ...digits,
      });
      monies.set(name, format);
    }
    return format;
  };

  const textOf = (key: string, n: number | undefined): string => {
    const message = catalog[key];
    if (message === undefined || typeof message === "string") return message ?? key;
    return message[plural.select(n ?? 0)] ?? message.other ?? key;
  };

  return {
    locale,
    t(key, ...values) {
      const given: Readonly<Record<string, string | number>> = values[0] ?? {};
      const n = given["n"];
      const text = textOf(key, typeof n === "number" ? n : undefined);
      return text.replace(/\{(\w+)\}/g, (_whole, name: string) => {
        const value = given[name] ?? "";
        return typeof value === "number" ? whole.format(value) : value;
      });
    },
    number: (value) => whole.format(value),
    money: (minor, currency) => moneyFormat(currency).format(minor / 10 ** currency.decimals),
    decimal(minor, { decimals }) {
      const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
      return (minor / 10 ** decimals).toLocaleString(region, digits);
    },
    quantity: (milli) => thousandths.format(milli / 1000),
    instant(ms, nowMs = Date.now()) {
      const today = new Date(nowMs).toDateString() === new Date(ms).toDateString();
      return (today ? time : day).format(ms);
    },
    day(date, nowMs = Date.now()) {
      const thisYear = date.startsWith(`${new Date(nowMs).getFullYear()}-`);
      return (thisYear ? dayOnly : dayOfYear).format(Date.parse(date));
    },
  };
}
