/** What this phone's owner prefers, and the words in the language chosen. */
import { chooseLocale, wordsOf } from "@tallystick/i18n/words";
import type { AnyCatalog, Catalog, KeyOf, Locale, PlainKeyOf, Words } from "@tallystick/i18n/words";

import { en } from "../messages/en.ts";

export type Messages = typeof en;
export type Key = KeyOf<Messages>;
export type PlainKey = PlainKeyOf<Messages>;
export type Theme = "system" | "light" | "dark";

interface Kept {
  locale: Locale;
  theme: Theme;
}

const NAME = "tallystick.card.prefs";

/** English comes with the card; of the other languages a phone fetches the one that is read, the rest at leisure. */
const MESSAGES: { readonly [L in Locale]: () => Promise<Catalog<Messages, L>> } = {
  en: () => Promise.resolve(en),
  sv: () => import("../messages/sv.ts").then((file) => file.sv),
  pl: () => import("../messages/pl.ts").then((file) => file.pl),
  nb: () => import("../messages/nb.ts").then((file) => file.nb),
  lv: () => import("../messages/lv.ts").then((file) => file.lv),
};

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
  #words = $state.raw(wordsOf<Messages>("en", en));

  get words(): Words<Messages> {
    return this.#words;
  }

  get locale(): Locale {
    return this.#kept.locale;
  }

  get theme(): Theme {
    return this.#kept.theme;
  }

  change(part: Partial<Kept>): void {
    this.#kept = { ...this.#kept, ...part };
    localStorage.setItem(NAME, JSON.stringify(this.#kept));
    void this.apply();
  }

  /** Puts language and appearance on the document; the words that are there stay where others cannot be fetched. */
  async apply(): Promise<void> {
    const root = document.documentElement;
    const { locale } = this.#kept;
    if (this.#kept.theme === "system") delete root.dataset["theme"];
    else root.dataset["theme"] = this.#kept.theme;
    const messages = await MESSAGES[locale]().catch(() => null);
    if (!messages || locale !== this.#kept.locale) return;
    this.#words = wordsOf<Messages>(locale, messages as AnyCatalog<Messages>);
    root.lang = locale;
  }
}

export const prefs = new Prefs();

/** The message of a key in the language chosen; used in markup, so that a change of language shows at once. */
export const t: Words<Messages>["t"] = (key, ...values) => prefs.words.t(key, ...values);

/** Whether there is a message of this name: for keys made from what the gateway said. */
export function isKey(name: string): name is PlainKey {
  return Object.hasOwn(en, name);
}
