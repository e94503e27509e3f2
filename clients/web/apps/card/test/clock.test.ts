import assert from "node:assert/strict";
import { test } from "node:test";

import { isOff, offsetOf } from "../src/lib/clock.ts";

test("the server's time is taken to be that in the middle of the call", () => {
  assert.equal(offsetOf(10_500, 10_000, 11_000), 0);
  assert.equal(offsetOf(70_000, 10_000, 10_400), 59_800);
  assert.equal(offsetOf(5_000, 10_000, 10_000), -5_000);
});

test("an answer that took long, or came before it was asked for, says nothing of the time", () => {
  assert.equal(offsetOf(10_000, 0, 10_001), null);
  assert.equal(offsetOf(10_000, 10_000, 9_999), null);
  assert.equal(offsetOf(NaN, 0, 10), null);
});

test("a phone is off from half a minute on, either way", () => {
  assert.equal(isOff(30_000), false);
  assert.equal(isOff(30_001), true);
  assert.equal(isOff(-30_001), true);
});
