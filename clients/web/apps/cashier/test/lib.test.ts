import assert from "node:assert/strict";
import { test } from "node:test";

import { wordsIn } from "../../../packages/i18n/src/index.ts";
import type { Locale } from "../../../packages/i18n/src/index.ts";
import { basketOf, minorOf, press, spentAsMoney, step, totalOf } from "../src/lib/amount.ts";
import { missingText, weekday, wonText } from "../src/lib/challenge.ts";
import { problemsOf } from "../src/lib/problems.ts";
import { verdictOn } from "../src/lib/tone.ts";
import type { Challenge, ChallengeMet, Member, Quote, TillState } from "../src/lib/types.ts";
import { MEMBERS, firstState } from "../dev/people.ts";

const state = (part: Partial<TillState> = {}): TillState => ({ ...firstState(), ...part });
const member = (part: Partial<Member>): Member => ({ ...(MEMBERS["96385074"] as Member), ...part });
const ids = (...given: Parameters<typeof problemsOf>): string[] =>
  problemsOf(...given).map((each) => each.id);

test("digits move in from the right, as on any till", () => {
  let minor = 0;
  for (const key of ["4", "2", "9", "0"]) minor = press(minor, key);
  assert.equal(minor, 4290);
  assert.equal(press(minor, "00"), 429000);
  assert.equal(press(minor, "erase"), 429);
  assert.equal(press(0, "00"), 0);
});

test("a full amount takes no further digit", () => {
  assert.equal(press(99999999, "1"), 99999999);
  assert.equal(press(9999999, "00"), 9999999);
});

test("an amount that was pasted keeps its digits and nothing else", () => {
  assert.equal(minorOf("€1 042,90"), 104290);
  assert.equal(minorOf("abc"), 0);
  assert.equal(minorOf("1".repeat(4000)), 11111111);
});

test("a keyed-in amount is a basket of one line, tax included and unnamed", () => {
  const basket = basketOf(4290, "EUR");
  assert.equal(totalOf(basket), 4290);
  assert.deepEqual(basket.lines, [{ sku: "AMOUNT", quantity_milli: 1000, amount_minor: 4290 }]);
  assert.deepEqual(basket.tax_groups, []);
  assert.equal(basket.prices_include_tax, true);
});

test("points step by whole units between nothing, the minimum and the most", () => {
  assert.equal(step(0, 1, 100, 300, 1240), 300);
  assert.equal(step(300, 1, 100, 300, 1240), 400);
  assert.equal(step(1200, 1, 100, 300, 1240), 1200);
  assert.equal(step(300, -1, 100, 300, 1240), 0);
  assert.equal(step(500, -1, 100, 1, 1240), 400);
  assert.equal(step(0, 1, 1, 1, 3), 1);
});

test("the points spent as money are those of the quote without its rewards", () => {
  const explain = (code: string, points: number) => ({ code, points, text: "", args: {}, line_no: 0 });
  const explanations = [
    explain("per_amount", 30),
    explain("reward", -250),
    explain("points_as_money", -1200),
  ];
  assert.equal(spentAsMoney({ explanations } as unknown as Quote), 1200);
  assert.equal(spentAsMoney({ explanations: [] } as unknown as Quote), 0);
});

test("a member who may redeem is green, one who may not is amber with the reason", () => {
  assert.equal(verdictOn(member({ points: 500, burn_limit_points: 500 })).tone, "ok");
  assert.deepEqual(verdictOn(member({ points: 500, burn_limit_reason: "CLOCK_UNTRUSTED" })), {
    ...{ tone: "warn", word: "answer.earn_only", reason: "CLOCK_UNTRUSTED" },
  });
});

test("a blocked member is red, whatever the points", () => {
  const blocked = member({ status: "blocked", points: 500, burn_limit_points: 500 });
  assert.deepEqual(verdictOn(blocked), { tone: "bad", word: "answer.blocked", reason: "MEMBER_BLOCKED" });
});

test("a member who has locked the points is amber: earning goes on", () => {
  const locked = member({ status: "locked", points: 500, burn_limit_reason: "MEMBER_LOCKED" });
  assert.deepEqual(verdictOn(locked), { tone: "warn", word: "answer.earn_only", reason: "MEMBER_LOCKED" });
});

test("a new member with few points is no cause for alarm", () => {
  for (const burn_limit_reason of ["", "INSUFFICIENT_POINTS", "BELOW_MINIMUM"]) {
    assert.equal(verdictOn(member({ points: 3, burn_limit_reason })).tone, "ok");
  }
});

test("a healthy till has nothing to say", () => {
  assert.deepEqual(problemsOf(state(), true), []);
});

test("each trouble of the till has its message", () => {
  for (const reason of ["DISK_FULL", "OUTBOX_CORRUPT", "NO_RULES"]) {
    const [problem] = problemsOf(state({ sell: { allowed: false, reason } }), true);
    assert.equal(problem?.id, reason);
    assert.ok(problem.text, reason);
  }
  for (const reason of [
    "CLOCK_UNTRUSTED",
    "RULES_PAST_DATE",
    "KEY_REVOKED",
    "TILL_SUSPENDED",
    "FLOOR_SPENT",
    "GATEWAY_BEHIND",
  ]) {
    const [problem] = problemsOf(state({ burn: { allowed: false, reason } }), true);
    assert.equal(problem?.id, reason);
    assert.ok(problem.text, reason);
  }
});

test("that the floor limit is spent is said though leases and vouchers go on", () => {
  assert.deepEqual(ids(state({ burn: { allowed: true, reason: "FLOOR_SPENT" } }), true), ["FLOOR_SPENT"]);
});

test("a reason nobody has heard of still gets a message", () => {
  const [problem] = problemsOf(state({ burn: { allowed: false, reason: "toString" } }), true);
  assert.deepEqual([problem?.title, problem?.reason], ["message.burn_stopped.title", "toString"]);
});

test("the gravest message stands first, and what it implies is left out", () => {
  const sell = { allowed: false, reason: "DISK_FULL" };
  const burn = { allowed: false, reason: "CLOCK_UNTRUSTED" };
  assert.deepEqual(ids(state({ sell, burn }), true), ["DISK_FULL"]);
  assert.deepEqual(ids(state({ burn, server_protocol: { newer: true } }), false), [
    "AWAY",
    "CLOCK_UNTRUSTED",
    "SERVER_NEWER",
  ]);
});

test("that another till keeps the store's leases too is said", () => {
  const till = { ...state().till, rivals: ["Till 2"] };
  assert.deepEqual(ids(state({ till }), true), ["HUB_TWICE"]);
});

test("before the first answer only the program's absence can be told", () => {
  assert.deepEqual(ids(null, true), []);
  assert.deepEqual(ids(null, false), ["AWAY"]);
});

/** No-break spaces, as `Intl` writes them, are spaces here. */
const plain = (text: string): string => text.replaceAll(/[\u00a0\u202f]/g, " ");
const missing = (locale: Locale, counts: Challenge["counts"], left: number): string => {
  const one = { challenge_id: "c", name: "X", counts, left, last_day: "" };
  return plain(missingText(wordsIn(locale), one, firstState().program));
};

test("what is missing to a challenge is counted as each language counts", () => {
  assert.equal(missing("en", "sales", 1), "1 more purchase until X");
  assert.equal(missing("en", "days", 2), "2 more days until X");
  assert.equal(missing("sv", "pieces", 2), "2 varor kvar till X");
  assert.equal(missing("nb", "points", 50), "50 poeng igjen til X");
  const polish = [1, 3, 5, 22].map((n) => missing("pl", "sales", n));
  assert.deepEqual(polish, ["1 zakup do: X", "3 zakupy do: X", "5 zakupów do: X", "22 zakupy do: X"]);
  const latvian = [1, 2, 10, 21].map((n) => missing("lv", "sales", n));
  assert.deepEqual(latvian, [
    "1 pirkums līdz: X",
    "2 pirkumi līdz: X",
    "10 pirkumu līdz: X",
    "21 pirkums līdz: X",
  ]);
});

test("money that is missing to a challenge is money, in the currency of the program", () => {
  assert.equal(missing("en", "spend", 3450), "€34.50 more until X");
  assert.equal(missing("pl", "spend", 3450), "34,50 € do: X");
});

test("the last day of a challenge is a day of the week, whatever the zone of the till's browser", () => {
  const days = (["en", "sv", "pl"] as const).map((locale) => weekday(wordsIn(locale), "2026-11-29"));
  assert.deepEqual(days, ["Sun", "sön", "niedz."]);
});

test("what a challenge has won is its points, its badge and how often", () => {
  const won = (part: Partial<ChallengeMet>): string => {
    const none = { challenge_id: "c", name: "X", times: 1, points: 0, badge: "" };
    return wonText(wordsIn("en"), { ...none, ...part });
  };
  assert.equal(won({ points: 1500 }), "+1,500");
  assert.equal(won({ badge: "Regular" }), "Regular");
  assert.equal(won({ points: 50, badge: "Regular", times: 2 }), "+50 · Regular ×2");
});
