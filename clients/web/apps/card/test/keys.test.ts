import assert from "node:assert/strict";
import { test } from "node:test";

import { bytesOf, utf8 } from "../src/lib/bytes.ts";
import { assertionOf, makeKeys, publicJwk } from "../src/lib/keys.ts";

test("the key cannot be taken out of the phone, and its public half is all that is sent", async () => {
  const keys = await makeKeys();
  assert.equal(keys.privateKey.extractable, false);
  await assert.rejects(crypto.subtle.exportKey("jwk", keys.privateKey));
  const jwk = JSON.parse(await publicJwk(keys)) as Record<string, string>;
  assert.deepEqual(Object.keys(jwk).sort(), ["crv", "kty", "x", "y"]);
});

test("an assertion is a JWS of the device for this program, for less than a minute, never twice the same", async () => {
  const keys = await makeKeys();
  const about = { deviceId: "d", programId: "club", nowMs: 1_795_300_000_999 };
  const [one, other] = await Promise.all([assertionOf(keys, about), assertionOf(keys, about)]);
  const [header, claims, signature] = one.split(".") as [string, string, string];
  const read = (part: string): Record<string, unknown> =>
    JSON.parse(new TextDecoder().decode(bytesOf(part))) as Record<string, unknown>;
  assert.deepEqual(read(header), { alg: "ES256", typ: "client-authentication+jwt", kid: "d" });
  const { iss, sub, aud, iat, exp, jti } = read(claims);
  assert.deepEqual([iss, sub, aud, iat], ["d", "d", "tallystick-app/club", 1_795_300_000]);
  assert.ok((exp as number) - (iat as number) < 60);
  assert.notEqual(jti, read(other.split(".")[1] ?? "")["jti"]);
  const es256 = { name: "ECDSA", hash: "SHA-256" };
  const signed = utf8(`${header}.${claims}`);
  assert.ok(await crypto.subtle.verify(es256, keys.publicKey, bytesOf(signature), signed));
});
