/** What a catalogue of messages is made of: typed keys, typed placeholders, and the plural forms of each language. */

/** The plural categories of cardinal numbers in each language (Unicode CLDR). */
export interface PluralForms {
  en: "one" | "other";
  sv: "one" | "other";
  nb: "one" | "other";
  pl: "one" | "few" | "many" | "other";
  lv: "zero" | "one" | "other";
}

export type Locale = keyof PluralForms;

/** The English messages of a screen, from which the types of all its languages follow. */
export type Source = Readonly<Record<string, string | Readonly<Record<PluralForms["en"], string>>>>;

export type KeyOf<S extends Source> = keyof S & string;

/** Every key, and for a counted message every form that the language has. */
export type Catalog<S extends Source, L extends Locale> = {
  readonly [K in keyof S]: S[K] extends string ? string : Readonly<Record<PluralForms[L], string>>;
};

/** The catalogue of whichever language. */
export type AnyCatalog<S extends Source> = { readonly [L in Locale]: Catalog<S, L> }[Locale];

type Names<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Names<Rest>
  : never;

type TextOf<M> = M extends string ? M : M extends { other: infer Other extends string } ? Other : never;

type Counted<M> = M extends string ? never : "n";

/** The placeholders of a message. Counted messages always take `n`, the number that chooses the form. */
export type Placeholders<S extends Source, K extends KeyOf<S>> = Names<TextOf<S[K]>> | Counted<S[K]>;

export type Values<S extends Source, K extends KeyOf<S>> = {
  readonly [Name in Placeholders<S, K>]: Name extends "n" ? number : string | number;
};

/** The keys of messages without placeholders: what a table of messages may hold. */
export type PlainKeyOf<S extends Source> = {
  [K in KeyOf<S>]: [Placeholders<S, K>] extends [never] ? K : never;
}[KeyOf<S>];
