/** What this phone's owner prefers, and the words in the language chosen. */
import { chooseLocale, wordsOf } from "@tallystick/i18n/words";
import type { Catalog, KeyOf, Locale, PlainKeyOf, Words } from "@tallystick/i18n/words";

import { en } from "../messages/en.ts";
import { lv } from "../messages/lv.ts";
import { nb } from "../messages/nb.ts";
import { pl } from "../messages/pl.ts";
import { sv } from "../messages/sv.ts";

export type Messages = typeof en;
export type Key = KeyOf<Messages>;
export type PlainKey = PlainKeyOf<Messages>;
export type Theme = "system" | "light" | "dark";

interface Kept {
  locale: Locale;
  theme: Theme;
}

const NAME = "tallystick.card.prefs";

const MESSAGES: { readonly [L in Locale]: Catalog<Messages, L> } = { en, sv, pl, nb, lv };

function load(): Kept {
  const fresh: Kept = { locale: chooseLocale(navigator.languages), theme: "system" };
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? "{}") as Partial<Kept>;
    return { ...fresh, ...kept, locale: chooseLocale([kept.locale ?? fresh.locale]) };
  } catch {
    return fresh;
  }
}

class Prefs {
  #kept = $state.raw<Kept>(load());
  readonly words: Words<Messages> = $derived(wordsOf(this.#kept.locale, MESSAGES[this.#kept.locale]));

  get locale(): Locale {
    return this.#kept.locale;
  }

  get theme(): Theme {
    return this.#kept.theme;
  }

  change(part: Partial<Kept>): void {
    this.#kept = { ...this.#kept, ...part };
    localStorage.setItem(NAME, JSON.stringify(this.#kept));
    this.apply();
  }

  /** Puts language and appearance on the document. */
  apply(): void {
    const root = document.documentElement;
    root.lang = this.#kept.locale;
    if (this.#kept.theme === "system") delete root.dataset["theme"];
    else root.dataset["theme"] = this.#kept.theme;
  }
}

export const prefs = new Prefs();

/** The message of a key in the language chosen; used in markup, so that a change of language shows at once. */
export const t: Words<Messages>["t"] = (key, ...values) => prefs.words.t(key, ...values);

/** Whether there is a message of this name: for keys made from what the gateway said. */
export function isKey(name: string): name is PlainKey {
  return Object.hasOwn(en, name);
}
