import assert from "node:assert/strict";
import { test } from "node:test";

import { wordsOf } from "../../../packages/i18n/src/words.ts";
import type { Locale } from "../../../packages/i18n/src/words.ts";
import { en as clubEn } from "../src/club/messages/en.ts";
import { lv as clubLv } from "../src/club/messages/lv.ts";
import { nb as clubNb } from "../src/club/messages/nb.ts";
import { pl as clubPl } from "../src/club/messages/pl.ts";
import { sv as clubSv } from "../src/club/messages/sv.ts";
import { en } from "../src/messages/en.ts";
import { lv } from "../src/messages/lv.ts";
import { nb } from "../src/messages/nb.ts";
import { pl } from "../src/messages/pl.ts";
import { sv } from "../src/messages/sv.ts";
import { en as redeemEn } from "../src/redeem/messages/en.ts";
import { lv as redeemLv } from "../src/redeem/messages/lv.ts";
import { nb as redeemNb } from "../src/redeem/messages/nb.ts";
import { pl as redeemPl } from "../src/redeem/messages/pl.ts";
import { sv as redeemSv } from "../src/redeem/messages/sv.ts";

type Texts = Readonly<Record<string, string | Readonly<Record<string, string>>>>;

const CARD = { en, sv, pl, nb, lv } as Record<Locale, Texts>;
const CLUB = { en: clubEn, sv: clubSv, pl: clubPl, nb: clubNb, lv: clubLv } as Record<Locale, Texts>;
const REDEEM = { en: redeemEn, sv: redeemSv, pl: redeemPl, nb: redeemNb, lv: redeemLv };
const locales = Object.keys(CARD) as Locale[];

function formsOf(message: Texts[string] | undefined): Readonly<Record<string, string>> {
  return typeof message === "string" ? { only: message } : (message ?? {});
}

function placeholders(text: string): string[] {
  return [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "").sort();
}

for (const [page, catalogs] of Object.entries({ card: CARD, club: CLUB, redeem: REDEEM as typeof CARD })) {
  const keys = Object.keys(catalogs.en);

  test(`the ${page} has every message in every language, in the order of the English ones`, () => {
    for (const locale of locales) {
      // The build writes the other languages as lists, without the names.
      assert.deepEqual(Object.keys(catalogs[locale]), keys, locale);
      for (const key of keys) {
        for (const text of Object.values(formsOf(catalogs[locale][key])))
          assert.ok(text.trim(), `${locale} ${key}`);
      }
    }
  });

  test(`a counted message of the ${page} has the forms that Intl will ask for, each with its placeholders`, () => {
    for (const locale of locales) {
      const wanted = new Intl.PluralRules(locale).resolvedOptions().pluralCategories;
      for (const key of keys) {
        const forms = formsOf(catalogs[locale][key]);
        if (!("only" in forms))
          assert.deepEqual(Object.keys(forms).sort(), [...wanted].sort(), `${locale} ${key}`);
        const english = placeholders(Object.values(formsOf(catalogs.en[key])).at(-1) ?? "");
        // "Reached" alone says that it was once.
        for (const [form, text] of Object.entries(forms))
          if (form !== "one" || placeholders(text).length)
            assert.deepEqual(placeholders(text), english, `${locale} ${key}`);
      }
    }
  });
}

test("Polish counts one, few and many", () => {
  const { t } = wordsOf<typeof en>("pl", pl);
  assert.equal(t("rewards.points", { n: 1 }), "1 punkt");
  assert.equal(t("rewards.points", { n: 22 }), "22 punkty");
  assert.equal(t("rewards.points", { n: 12 }), "12 punktów");
  assert.equal(t("card.points", { n: 1240 }), "punktów");
});

test("Latvian has a form for zero, tens and the teens, and one for 1, 21, 101", () => {
  const { t } = wordsOf<typeof en>("lv", lv);
  for (const n of [0, 10, 11, 30]) assert.equal(t("rewards.points", { n }), `${n} punktu`);
  for (const n of [1, 21, 101]) assert.equal(t("rewards.points", { n }), `${n} punkts`);
  for (const n of [2, 22]) assert.equal(t("rewards.points", { n }), `${n} punkti`);
});

test("a day names its year only when that is not this one", () => {
  const { day } = wordsOf<typeof en>("en", en);
  const now = Date.parse("2026-05-06T12:00:00Z");
  assert.equal(day("2026-12-31", now), "31 December");
  assert.equal(day("2027-01-01", now), "1 January 2027");
});
