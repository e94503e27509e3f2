import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { bytesOf, joined } from "../src/lib/bytes.ts";
import { CTI_BYTES, digitsOf, signCode } from "../src/lib/code.ts";

interface Golden {
  program_id: string;
  device_key: JsonWebKey;
  hex: string;
  digits: string;
}

const SIGNATURE_BYTES = 64;
const PAYLOAD_BYTES = 13;
/** What QR version 11-M holds in numeric mode (ISO/IEC 18004, table 7). */
const DIGITS_MAX = 604;

function golden(name: string): Golden {
  const file = new URL(`../../../../../tests/golden/codes/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")) as Golden;
}

/** The parts of a golden code, cut by their places: this is no reader of CBOR. */
function partsOf({ hex }: Golden): { credential: Uint8Array; payload: Uint8Array; signature: Uint8Array } {
  const all = Uint8Array.from(Buffer.from(hex, "hex"));
  const signature = all.subarray(-SIGNATURE_BYTES);
  const payloadAt = all.length - SIGNATURE_BYTES - 2 - PAYLOAD_BYTES;
  // 84, head of the header (2 bytes), {1: -7, 13:} (4 bytes); then a0 and the head of the payload.
  return {
    credential: all.subarray(1 + 2 + 4, payloadAt - 2),
    payload: all.subarray(payloadAt, payloadAt + PAYLOAD_BYTES),
    signature,
  };
}

for (const name of ["device-signed", "device-signed-first-day"]) {
  test(`the code is byte by byte the golden one, and signs what that signed: ${name}`, async () => {
    const wanted = golden(name);
    const { credential, payload, signature } = partsOf(wanted);
    const issuedS = new DataView(payload.buffer, payload.byteOffset + 3).getUint32(0);
    const cti = payload.subarray(-CTI_BYTES);
    let signed = joined();
    const made = await signCode(
      async (message) => {
        signed = message;
        return signature;
      },
      credential,
      { programId: wanted.program_id, issuedS, cti },
    );
    assert.equal(Buffer.from(made).toString("hex"), wanted.hex);
    assert.equal(digitsOf(made), wanted.digits);
    const algorithm = { name: "ECDSA", namedCurve: "P-256" };
    const key = await crypto.subtle.importKey("jwk", wanted.device_key, algorithm, false, ["verify"]);
    const es256 = { name: "ECDSA", hash: "SHA-256" };
    assert.ok(await crypto.subtle.verify(es256, key, new Uint8Array(signature), signed));
  });
}

test("the longest code fits QR version 11-M", () => {
  assert.ok(digitsOf(new Uint8Array(244).fill(255)).length <= DIGITS_MAX);
});

test("a code begins with 0x02 also when its own first byte is small", () => {
  assert.equal(digitsOf(Uint8Array.of(0, 1)), String(0x020001));
  assert.equal(digitsOf(bytesOf("_w")), String(0x02ff));
});
