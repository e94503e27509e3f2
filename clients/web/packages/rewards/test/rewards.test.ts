import assert from "node:assert/strict";
import { test } from "node:test";

import type { Card } from "../src/card.ts";
import { num, pointsRange, valueMinor } from "../src/choice.ts";
import { TABLES, rewardName, wordsIn } from "../src/words.ts";

/** 100 points are 1.00, burned by the hundred from 200, for at most half of a basket. */
const CARD: Card = {
  currencyCode: "EUR",
  conversion: {
    points: "100",
    amountMinor: "100",
    unitPoints: "100",
    minimumPoints: "200",
    shareMaxPpm: 500_000,
  },
};

/** No-break spaces, as `Intl` writes them, are spaces here. */
const plain = (text: string): string => text.replaceAll(/[\u00a0\u202f]/g, " ");

test("a number of Connect JSON is text, a number, or absent when it is 0", () => {
  assert.deepEqual([num("1250"), num(7), num(undefined), num(null)], [1250, 7, 0, 0]);
});

test("the balance bounds the points, in whole units", () => {
  assert.deepEqual(pointsRange(CARD, 100_00, 1250), [200, 1200]);
});

test("the basket's share bounds the points, in whole units", () => {
  assert.deepEqual(pointsRange(CARD, 17_99, 5000), [200, 800]);
});

test("fewer points than the minimum leave nothing to choose", () => {
  const [least, most] = pointsRange(CARD, 100_00, 199);
  assert.ok(least > most);
});

test("a minimum between two units is the unit above", () => {
  const conversion = { ...CARD.conversion, minimumPoints: "250" };
  assert.equal(pointsRange({ ...CARD, conversion }, 100_00, 5000)[0], 300);
});

test("a program without a conversion leaves nothing to choose", () => {
  const [least, most] = pointsRange({ currencyCode: "EUR" }, 100_00, 5000);
  assert.equal(least <= most, false);
});

test("points are worth what the conversion says", () => {
  assert.equal(valueMinor(CARD, 300), 300);
  assert.equal(valueMinor({ ...CARD, conversion: { points: "150", amountMinor: "1000" } }, 300), 2000);
});

test("points are counted as each language counts", () => {
  const counted = (tag: string, ...numbers: number[]) =>
    numbers.map((n) => plain(wordsIn(tag, "EUR").points(n)));
  assert.deepEqual(counted("en", 1, 2), ["1 point", "2 points"]);
  assert.deepEqual(counted("pl", 1, 2, 5, 22, 25), [
    "1 punkt",
    "2 punkty",
    "5 punktów",
    "22 punkty",
    "25 punktów",
  ]);
  assert.deepEqual(counted("lv", 0, 1, 2, 10, 21), [
    "0 punktu",
    "1 punkts",
    "2 punkti",
    "10 punktu",
    "21 punkts",
  ]);
  assert.deepEqual(counted("sv-FI", 1, 12_500), ["1 poäng", "12 500 poäng"]);
  assert.deepEqual(counted("nb", 1), ["1 poeng"]);
});

test("money has the digits of its currency and the habits of its language", () => {
  assert.equal(wordsIn("en", "EUR").spend(4290), "€42.90");
  assert.equal(plain(wordsIn("sv", "SEK").spend(4290)), "42,90 kr");
  assert.equal(wordsIn("en", "JPY").spend(4290), "¥4,290");
  assert.equal(plain(wordsIn("en", "KWD").spend(4290)), "KWD 4.290");
  // Hungary has no coins for fillér any more, and prices have them all the same.
  assert.equal(plain(wordsIn("en", "HUF").spend(149_950)), "HUF 1,499.50");
});

test("Norwegian has three names, and a language that is not among the five is English", () => {
  assert.equal(wordsIn("no", "EUR").use, wordsIn("nn-NO", "EUR").use);
  assert.equal(wordsIn("nb-NO", "EUR").use, "Bruk poeng");
  assert.equal(wordsIn("de-AT", "EUR").use, "Use points");
});

test("every language says everything", () => {
  for (const [language, table] of Object.entries(TABLES)) {
    assert.ok(table.use && table.away && table.point.other, language);
    assert.ok(["A", "B"].every((part) => table.to("A", "B").includes(part)) && table.off("A").includes("A"));
  }
});

test("a reward is called as the page says, or by what it takes off, or by its id", () => {
  const words = wordsIn("en", "EUR");
  const named = (reward: object, names = {}) => rewardName({ rewardId: "five", ...reward }, words, names);
  assert.equal(named({ amountMinor: "500" }, { five: "A fiver" }), "A fiver");
  assert.equal(named({ amountMinor: "500" }), "€5.00 off");
  assert.equal(named({ percentPpm: 125_000, amountMinor: "0" }), "12.5% off");
  assert.equal(named({}), "five");
});
