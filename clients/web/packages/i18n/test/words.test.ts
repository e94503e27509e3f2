import assert from "node:assert/strict";
import { test } from "node:test";

import { CATALOGS, LOCALES, chooseLocale, isKey, wordsIn } from "../src/index.ts";
import type { Key, Locale } from "../src/index.ts";

const locales = Object.keys(CATALOGS) as Locale[];
const keys = Object.keys(CATALOGS.en) as Key[];

function formsOf(locale: Locale, key: Key): Record<string, string> {
  const message: string | Record<string, string> = CATALOGS[locale][key];
  return typeof message === "string" ? { only: message } : message;
}

function placeholders(text: string): string[] {
  return [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "").sort();
}

test("every language has every message, and none is empty", () => {
  for (const locale of locales) {
    assert.deepEqual(Object.keys(CATALOGS[locale]).sort(), [...keys].sort(), locale);
    for (const key of keys) {
      for (const text of Object.values(formsOf(locale, key))) assert.ok(text.trim(), `${locale} ${key}`);
    }
  }
});

test("a counted message has exactly the forms that Intl will ask for", () => {
  for (const locale of locales) {
    const wanted = new Intl.PluralRules(locale).resolvedOptions().pluralCategories;
    for (const key of keys) {
      const forms = Object.keys(formsOf(locale, key));
      if (forms[0] !== "only") assert.deepEqual(forms.sort(), [...wanted].sort(), `${locale} ${key}`);
    }
  }
});

test("every form keeps the placeholders of the English message", () => {
  for (const locale of locales) {
    for (const key of keys) {
      const wanted = placeholders(Object.values(formsOf("en", key)).at(-1) ?? "");
      for (const text of Object.values(formsOf(locale, key))) {
        assert.deepEqual(placeholders(text), wanted, `${locale} ${key}`);
      }
    }
  }
});

test("Polish counts one, few and many", () => {
  const { t } = wordsIn("pl");
  assert.equal(t("receipt.earned", { n: 1 }), "Zebrano 1 punkt");
  assert.equal(t("receipt.earned", { n: 3 }), "Zebrano 3 punkty");
  assert.equal(t("receipt.earned", { n: 5 }), "Zebrano 5 punktów");
  assert.equal(t("receipt.earned", { n: 12 }), "Zebrano 12 punktów");
  assert.equal(t("receipt.earned", { n: 22 }), "Zebrano 22 punkty");
});

test("Latvian has a form for zero, tens and the teens, and one for 1, 21, 101", () => {
  const { t } = wordsIn("lv");
  for (const n of [0, 10, 11, 19, 30]) assert.equal(t("receipt.earned", { n }), `Nopelnīti ${n} punktu`);
  for (const n of [1, 21, 101]) assert.equal(t("receipt.earned", { n }), `Nopelnīts ${n} punkts`);
  for (const n of [2, 9, 22]) assert.equal(t("receipt.earned", { n }), `Nopelnīti ${n} punkti`);
});

test("money follows the language and the program's decimals", () => {
  const plain = (text: string): string => text.replace(/\s/g, " ");
  assert.equal(wordsIn("en").money(4290, { currency: "EUR", decimals: 2 }), "€42.90");
  assert.equal(plain(wordsIn("sv").money(-123450, { currency: "SEK", decimals: 2 })), "−1 234,50 kr");
  assert.equal(plain(wordsIn("pl").money(123450, { currency: "PLN", decimals: 2 })), "1 234,50 zł");
  assert.equal(plain(wordsIn("nb").money(9900, { currency: "NOK", decimals: 2 })), "99,00 kr");
  assert.equal(wordsIn("en").money(500, { currency: "JPY", decimals: 0 }), "¥500");
});

test("an instant of today shows the time, an earlier one the day as well", () => {
  const { instant } = wordsIn("en");
  const now = new Date(2026, 4, 6, 15, 0).getTime();
  assert.doesNotMatch(instant(now - 60_000, now), /May/);
  assert.match(instant(now - 86_400_000, now), /May/);
});

test("the browser's languages choose, Norwegian by any of its names, English by default", () => {
  assert.equal(chooseLocale(["de-AT", "lv-LV", "en"]), "lv");
  assert.equal(chooseLocale(["no-NO"]), "nb");
  assert.equal(chooseLocale(["toString", "de"]), "en");
});

test("a name from outside is a key only if there is such a message", () => {
  assert.ok(isKey("reason.UNKNOWN"));
  assert.ok(!isKey("reason.NEVER_HEARD_OF"));
  assert.ok(!isKey("constructor"));
});

test("a person can choose every language that there is", () => {
  assert.deepEqual(LOCALES.map((each) => each.locale).sort(), [...locales].sort());
});
