import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { utf8, joined } from "../src/lib/bytes.ts";
import { Away, Failed, post, readErrorInfo } from "../src/lib/rpc.ts";

const field = (number: number, value: Uint8Array): Uint8Array =>
  joined([number * 8 + 2, ...(value.length < 128 ? [value.length] : [128 + (value.length & 127), 1])], value);
const text = (number: number, value: string): Uint8Array => field(number, utf8(value));

const INFO = joined(
  text(1, "ERROR_REASON_ASSERTION_INVALID"),
  text(2, "tallystick.dev"),
  field(3, joined(text(1, "long"), text(2, "x".repeat(150)))),
  field(3, joined(text(1, "server_ms"), text(2, "1795300000000"))),
);

function answers(status: number, body: unknown): void {
  mock.method(globalThis, "fetch", async () => new Response(JSON.stringify(body), { status }));
}

afterEach(() => mock.restoreAll());

test("an ErrorInfo gives its reason and its metadata", () => {
  assert.deepEqual(readErrorInfo(INFO), {
    reason: "ASSERTION_INVALID",
    metadata: { server_ms: "1795300000000", long: "x".repeat(150) },
  });
});

test("a call says how long it waits, who calls, and what", async () => {
  answers(200, { accessToken: "t" });
  assert.deepEqual(await post("SignInService/IssueAppToken", { a: 1 }, "token"), { accessToken: "t" });
  const [url, init] = (
    globalThis.fetch as unknown as { mock: { calls: { arguments: [string, RequestInit] }[] } }
  ).mock.calls[0]!.arguments;
  const headers = init.headers as Record<string, string>;
  assert.equal(url, "/tallystick.v1.SignInService/IssueAppToken");
  assert.equal(headers["authorization"], "Bearer token");
  assert.ok(Number(headers["connect-timeout-ms"]) > 0);
  assert.equal(init.body, '{"a":1}');
});

test("a no of the gateway is told with its reason", async () => {
  const value = Buffer.from(INFO).toString("base64").replace(/=+$/, "");
  const details = [{ type: "google.rpc.ErrorInfo", value }];
  answers(401, { code: "unauthenticated", message: "no", details });
  await assert.rejects(post("A/B", {}), (error: Failed) => {
    assert.equal(error.code, "unauthenticated");
    assert.equal(error.reason, "ASSERTION_INVALID");
    return error instanceof Failed;
  });
});

test("no answer, no Connect error, and a gateway that is down are all the same: away", async () => {
  answers(502, { error: "bad gateway" });
  await assert.rejects(post("A/B", {}), Away);
  answers(503, { code: "unavailable", message: "draining" });
  await assert.rejects(post("A/B", {}), Away);
  mock.method(globalThis, "fetch", async () => new Response("<html>", { status: 200 }));
  await assert.rejects(post("A/B", {}), Away);
  mock.method(globalThis, "fetch", async () => Promise.reject(new TypeError("failed to fetch")));
  await assert.rejects(post("A/B", {}), Away);
});
