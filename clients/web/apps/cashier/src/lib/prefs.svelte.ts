/** What this screen's user prefers, kept in the browser, and the words in the language chosen. */
import { chooseLocale, isKey, wordsIn } from "@tallystick/i18n";
import type { Locale, Words } from "@tallystick/i18n";

export type Theme = "system" | "light" | "dark";

interface Kept {
  locale: Locale;
  theme: Theme;
  sound: boolean;
  camera: boolean;
  /** Single letters as shortcuts; they can be switched off for those who speak to their machine. */
  letters: boolean;
}

const NAME = "tallystick.prefs";

function load(): Kept {
  const fresh: Kept = {
    locale: chooseLocale(navigator.languages),
    theme: "system",
    sound: true,
    camera: false,
    letters: true,
  };
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? "{}") as Partial<Kept>;
    return { ...fresh, ...kept, locale: chooseLocale([kept.locale ?? fresh.locale]) };
  } catch {
    return fresh;
  }
}

class Prefs {
  #kept = $state<Kept>(load());
  readonly words: Words = $derived(wordsIn(this.#kept.locale));

  constructor() {
    // What is chosen on one screen of this till holds on its others at once.
    addEventListener("storage", (event) => {
      if (event.key !== NAME) return;
      this.#kept = load();
      this.apply();
    });
  }

  get locale(): Locale {
    return this.#kept.locale;
  }

  get theme(): Theme {
    return this.#kept.theme;
  }

  get sound(): boolean {
    return this.#kept.sound;
  }

  get camera(): boolean {
    return this.#kept.camera;
  }

  get letters(): boolean {
    return this.#kept.letters;
  }

  change(part: Partial<Kept>): void {
    Object.assign(this.#kept, part);
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
export const t: Words["t"] = (key, ...values) => prefs.words.t(key, ...values);

/** A reason of the till program in words; one that is not known says what the program said. */
export function reasonText(reason: string, message = ""): string {
  // Each kind of id has a reason of its own; to a cashier they are one.
  const name = `reason.${reason.endsWith("_ID_REUSED") ? "COMMAND_ID_REUSED" : reason}`;
  if (isKey(name)) return (t as (key: string) => string)(name);
  return t("error.unknown", { message: message || reason });
}
