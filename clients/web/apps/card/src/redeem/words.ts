/** The words of the page where points alone buy something, in the language chosen. */
import { wordsOf } from "@tallystick/i18n/words";
import type { AnyCatalog, Catalog, Locale, Words } from "@tallystick/i18n/words";

import { prefs } from "../lib/prefs.svelte.ts";
import { en } from "./messages/en.ts";
import { lv } from "./messages/lv.ts";
import { nb } from "./messages/nb.ts";
import { pl } from "./messages/pl.ts";
import { sv } from "./messages/sv.ts";

type Messages = typeof en;
export type RedeemCatalog<L extends Locale> = Catalog<Messages, L>;

const MESSAGES: { readonly [L in Locale]: RedeemCatalog<L> } = { en, sv, pl, nb, lv };
const made = new Map<Locale, Words<Messages>>();

/** The message of a key in the language chosen. */
export const t: Words<Messages>["t"] = (key, ...values) => {
  const locale = prefs.locale;
  let found = made.get(locale);
  if (!found) made.set(locale, (found = wordsOf<Messages>(locale, MESSAGES[locale] as AnyCatalog<Messages>)));
  return found.t(key, ...values);
};
