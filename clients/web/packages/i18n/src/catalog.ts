/** What a catalogue of messages is made of: typed keys, typed placeholders, and the plural forms of each language. */
import type { en } from "./messages/en.ts";

/** The plural categories of cardinal numbers in each language (Unicode CLDR). */
export interface PluralForms {
  en: "one" | "other";
  sv: "one" | "other";
  nb: "one" | "other";
  pl: "one" | "few" | "many" | "other";
  lv: "zero" | "one" | "other";
}

export type Locale = keyof PluralForms;
export type Key = keyof typeof en;

/** Every key, and for a counted message every form that the language has. */
export type Catalog<L extends Locale> = {
  readonly [K in Key]: (typeof en)[K] extends string ? string : Readonly<Record<PluralForms[L], string>>;
};

type Names<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Names<Rest>
  : never;

type TextOf<K extends Key> = (typeof en)[K] extends string
  ? (typeof en)[K]
  : (typeof en)[K] extends { other: infer Other extends string }
    ? Other
    : never;

type Counted<K extends Key> = (typeof en)[K] extends string ? never : "n";

/** The placeholders of a message. Counted messages always take `n`, the number that chooses the form. */
export type Placeholders<K extends Key> = Names<TextOf<K>> | Counted<K>;

export type Values<K extends Key> = {
  readonly [Name in Placeholders<K>]: Name extends "n" ? number : string | number;
};

/** The keys of messages without placeholders: what a table of messages may hold. */
export type PlainKey = { [K in Key]: [Placeholders<K>] extends [never] ? K : never }[Key];
