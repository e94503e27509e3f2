/**
 * The member's code: what the phone signs every 30 seconds and a till believes without a line.
 *
 * The format is docs/reference/code.md: COSE_Sign1 (RFC 9052) with ES256 in the one deterministic CBOR. Of CBOR the few
 * heads are enough that a code has, so they are written out by hand.
 */
import { joined, utf8 } from "./bytes.ts";
import type { Bytes } from "./bytes.ts";

/** How often a fresh code is drawn. Tills take one for 45 seconds, by their own clock. */
export const FRESH_EVERY_S = 30;
export const CTI_BYTES = 4;
const CONTEXT = "tallystick.device-code.v1\0";
const TYPE = 2;
const SIGNATURE_BYTES = 64;

/** Signs with the device's key: ES256, 64 bytes, r then s. */
export type Sign = (message: Bytes) => Promise<Uint8Array>;

/** The code of an instant (seconds since 1970) as the bytes of a COSE_Sign1; `cti` is 4 random bytes. */
export async function signCode(
  sign: Sign,
  credential: Uint8Array,
  { programId, issuedS, cti }: { programId: string; issuedS: number; cti: Uint8Array },
): Promise<Bytes> {
  // {1: -7, 13: credential} and {6: iat, 7: cti}
  const header = octets(joined([0xa2, 0x01, 0x26, 0x0d], credential));
  const payload = octets(joined([0xa2, 0x06, 0x1a], bigEndian(issuedS), [0x07, 0x40 + CTI_BYTES], cti));
  const external = octets(utf8(CONTEXT + programId));
  const name = utf8("Signature1");
  const signature = await sign(joined([0x84, 0x60 + name.length], name, header, external, payload));
  return joined([0x84], header, [0xa0], payload, [0x58, SIGNATURE_BYTES], signature);
}

/** What the QR of a code shows: `0x02`, then the bytes, as one decimal number. */
export function digitsOf(code: Uint8Array): string {
  let hex = `0x0${TYPE}`;
  for (const byte of code) hex += byte.toString(16).padStart(2, "0");
  return BigInt(hex).toString();
}

/** A byte string with its CBOR head. */
function octets(bytes: Uint8Array): Bytes {
  const size = bytes.length;
  const head = size < 24 ? [0x40 + size] : size < 256 ? [0x58, size] : [0x59, size >> 8, size & 255];
  return joined(head, bytes);
}

function bigEndian(seconds: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, seconds);
  return bytes;
}
