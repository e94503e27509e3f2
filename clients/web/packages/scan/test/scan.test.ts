import assert from "node:assert/strict";
import { test } from "node:test";

import { OncePerSight } from "../src/camera.ts";
import { toScan } from "../src/symbol.ts";
import { Wedge } from "../src/wedge.ts";
import type { Outcome } from "../src/wedge.ts";

const EAN13 = "2012345678905";
const GSRN = "735008763000000018";
const CODE = "1234567890".repeat(20);

/** Types a text with the given gaps (the last one repeats), ends it with Enter, and returns what that made of it. */
function type(text: string, gaps: number[], wedge = new Wedge(), startMs = 1000): Outcome {
  let atMs = startMs;
  const gap = (index: number): number => gaps[Math.min(index, gaps.length - 1)] ?? 0;
  [...text].forEach((char, index) => {
    wedge.take({ kind: "text", text: char, atMs });
    atMs += gap(index);
  });
  return wedge.take({ kind: "end", atMs });
}

test("a member's code from a scanner is a scan", () => {
  assert.deepEqual(type(CODE, [4]), { kind: "scan", start: 0, raw: CODE });
});

test("a slow scanner's long code is a scan, just below the mean gap of 60 ms", () => {
  assert.equal(type(CODE, [59]).kind, "scan");
  assert.equal(type(CODE, [60]).kind, "typed");
});

test("one stall within a scan does not break it, half a second does", () => {
  const stall = (ms: number): number[] => [...Array<number>(30).fill(5), ms, 5];
  assert.deepEqual(type(CODE, stall(499)), { kind: "scan", start: 0, raw: CODE });
  assert.deepEqual(type(CODE, stall(500)), { kind: "scan", start: 0, raw: CODE.slice(31) });
});

test("short cards are scans when they come at a machine's pace", () => {
  for (const card of [EAN13, GSRN, "96385074"])
    assert.deepEqual(type(card, [12]), { kind: "scan", start: 0, raw: card });
});

test("a person who types a card number is never a scan, however fast", () => {
  assert.equal(type(EAN13, [60]).kind, "typed");
  assert.equal(type(GSRN, [35]).kind, "typed");
  assert.equal(type("4290", [90]).kind, "typed");
});

test("twenty-four characters draw the line between the two paces", () => {
  assert.equal(type("1".repeat(24), [50]).kind, "scan");
  assert.equal(type("1".repeat(23), [50]).kind, "typed");
});

test("a piece of a scan is kept from the page, a quick double key is not", () => {
  assert.equal(type("1234567", [10]).kind, "fragment");
  assert.equal(type("12", [10]).kind, "typed");
});

test("a pause before Enter makes a scan's digits typed ones", () => {
  assert.equal(type(EAN13, [...Array<number>(12).fill(10), 600]).kind, "typed");
});

test("a held key breaks a burst", () => {
  const wedge = new Wedge();
  for (let n = 0; n < 20; n += 1) wedge.take({ kind: "text", text: "1", atMs: n });
  wedge.take({ kind: "human" });
  assert.equal(wedge.take({ kind: "end", atMs: 21 }).kind, "typed");
});

test("what was typed half a second ago is not part of a scan", () => {
  const wedge = new Wedge();
  wedge.take({ kind: "text", text: "7", atMs: 0 });
  assert.deepEqual(type(EAN13, [10], wedge, 500), { kind: "scan", start: 0, raw: EAN13 });
});

test("an amount that a hand typed just before a scan is not part of it", () => {
  const gaps = [60, 70, 90, 150, 5];
  assert.deepEqual(type("4290" + EAN13, gaps), { kind: "scan", start: 4, raw: EAN13 });
  assert.deepEqual(type("4290" + CODE, gaps), { kind: "scan", start: 4, raw: CODE });
});

test("a slow scanner that gets a little faster keeps its first characters", () => {
  const gaps = [...Array<number>(5).fill(50), 30];
  assert.deepEqual(type(CODE, gaps), { kind: "scan", start: 0, raw: CODE });
  assert.deepEqual(type(CODE, [120, 3]), { kind: "scan", start: 0, raw: CODE });
});

test("a scan may start at the first key and after each pause that a hand could have made", () => {
  const wedge = new Wedge();
  const starts = [0, 5, 50, 120].map((atMs) => wedge.take({ kind: "text", text: "1", atMs }));
  assert.deepEqual(
    starts.map((each) => each.kind === "gathered" && each.mayStart),
    [true, false, true, true],
  );
});

test("a scan beyond the limit is cut off, and the next one is whole again", () => {
  const wedge = new Wedge(100);
  assert.equal(type("9".repeat(101), [2], wedge).kind, "fragment");
  assert.deepEqual(type("9".repeat(100), [2], wedge, 9000), { kind: "scan", start: 0, raw: "9".repeat(100) });
});

test("an Enter alone is a person's", () => {
  assert.equal(new Wedge().take({ kind: "end", atMs: 5 }).kind, "typed");
});

test("the symbology id is taken off and passed on", () => {
  assert.deepEqual(toScan("]Q3" + CODE, "wedge"), { text: CODE, source: "wedge", aim: "]Q3" });
  assert.deepEqual(toScan(CODE, "camera", "]Q1"), { text: CODE, source: "camera", aim: "]Q1" });
  assert.deepEqual(toScan("]", "wedge"), { text: "]", source: "wedge" });
});

test("control and invisible characters are taken out, markup stays what it is: text", () => {
  assert.equal(toScan("\u001d8018\u0000735\u200b\r\n", "wedge").text, "8018735");
  assert.equal(toScan("<img src=x onerror=alert(1)>", "wedge").text, "<img src=x onerror=alert(1)>");
  assert.equal(toScan("\u001d\u0004", "wedge").text, "");
});

test("a code held before the camera is told once, and again after it was out of sight", () => {
  const sight = new OncePerSight();
  assert.equal(sight.isNew("A", 0), true);
  assert.equal(sight.isNew("A", 100), false);
  for (let n = 0; n < 8; n += 1) assert.equal(sight.isNew("", 200 + n), false);
  assert.equal(sight.isNew("A", 300), true);
  assert.equal(sight.isNew("B", 400), true);
  assert.equal(sight.isNew("B", 4399), false);
  assert.equal(sight.isNew("B", 4400), true);
});
