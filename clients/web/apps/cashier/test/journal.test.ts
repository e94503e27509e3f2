import assert from "node:assert/strict";
import { test } from "node:test";

import { Away, Refused } from "../src/lib/api.ts";
import { Journal } from "../src/lib/journal.ts";
import type { Keeper } from "../src/lib/journal.ts";

const SALE = { path: "/sale", body: { sale_id: "s1", reward_ids: [] } };
const noPause = async (): Promise<void> => undefined;

function keeper(): Keeper & { kept: Map<string, string> } {
  const kept = new Map<string, string>();
  return {
    kept,
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  };
}

test("a sale is kept before it is sent and dropped when it is answered", async () => {
  const store = keeper();
  const seen: unknown[] = [];
  const journal = new Journal(store, async () => {
    seen.push(new Journal(store).pending("sale"));
    return { earned_points: 4 };
  });
  assert.deepEqual(await journal.once("sale", SALE), { earned_points: 4 });
  assert.deepEqual(seen, [SALE]);
  assert.equal(store.kept.size, 0);
});

test("without an answer the very same sale is sent again until there is one", async () => {
  const sent: unknown[] = [];
  const pauses: number[] = [];
  const send = async (_path: string, body: unknown): Promise<unknown> => {
    sent.push(body);
    if (sent.length < 6) throw new Away("nobody");
    return "answer";
  };
  const journal = new Journal(keeper(), send, async (ms) => void pauses.push(ms));
  let waits = 0;
  assert.equal(await journal.once("sale", SALE, () => (waits += 1)), "answer");
  assert.deepEqual(new Set(sent), new Set([SALE.body]));
  assert.deepEqual(pauses, [400, 800, 1600, 3000, 3000]);
  assert.equal(waits, 5);
});

test("a refusal is an answer: nothing is sent again", async () => {
  const store = keeper();
  let sends = 0;
  const send = async (): Promise<unknown> => {
    sends += 1;
    throw new Refused("ABOVE_FLOOR", "");
  };
  await assert.rejects(new Journal(store, send, noPause).once("sale", SALE), { reason: "ABOVE_FLOOR" });
  assert.deepEqual([sends, store.kept.size], [1, 0]);
});

test("what was not answered before a reload is found after it", async () => {
  const store = keeper();
  const never = new Promise<never>(() => undefined);
  void new Journal(store, () => never).once("sale", SALE);
  assert.deepEqual(new Journal(store).pending("sale"), SALE);
  assert.equal(new Journal(store).pending("undo"), undefined);
});

test("a damaged note is dropped, not sent", () => {
  const store = keeper();
  store.setItem("tallystick.pending.sale", "{half");
  assert.equal(new Journal(store).pending("sale"), undefined);
  assert.equal(store.kept.size, 0);
});
