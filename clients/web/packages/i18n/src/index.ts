/** The cashier screen's words: its messages in the five languages, on the layer that all screens share. */
import type { Catalog as CatalogOf, KeyOf, Locale, PlainKeyOf, Values as ValuesOf } from "./catalog.ts";
import { en } from "./messages/en.ts";
import { lv } from "./messages/lv.ts";
import { nb } from "./messages/nb.ts";
import { pl } from "./messages/pl.ts";
import { sv } from "./messages/sv.ts";
import { wordsOf } from "./words.ts";
import type { Words as WordsOf } from "./words.ts";

export type { Locale } from "./catalog.ts";
export { LOCALES, chooseLocale } from "./words.ts";
export type { Currency } from "./words.ts";

type Messages = typeof en;
export type Key = KeyOf<Messages>;
export type PlainKey = PlainKeyOf<Messages>;
export type Values<K extends Key> = ValuesOf<Messages, K>;
export type Catalog<L extends Locale> = CatalogOf<Messages, L>;
export type Words = WordsOf<Messages>;

export const CATALOGS: { readonly [L in Locale]: Catalog<L> } = { en, sv, pl, nb, lv };

/** Whether there is a message of this name: for keys made from what a server said. */
export function isKey(name: string): name is Key {
  return Object.hasOwn(en, name);
}

/** Builds the words of a language. */
export function wordsIn(locale: Locale): Words {
  return wordsOf<Messages>(locale, CATALOGS[locale]);
}
