/**
 * The device's key: P-256, made here, and not to be read by anybody, this page included (WebCrypto, non-extractable).
 *
 * It signs two things that cannot be taken for each other: codes, whose bytes begin with a COSE `Signature1`, and
 * assertions, which are text with two dots.
 */
import { base64url, utf8 } from "./bytes.ts";
import type { Bytes } from "./bytes.ts";

const EC = { name: "ECDSA", namedCurve: "P-256" } as const;
const ES256 = { name: "ECDSA", hash: "SHA-256" } as const;
const ASSERTION_TTL_S = 50;

export function makeKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(EC, false, ["sign", "verify"]);
}

/** The public half as JSON Web Key text, with the members that RFC 7638 counts and no others. */
export async function publicJwk(keys: CryptoKeyPair): Promise<string> {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", keys.publicKey);
  return JSON.stringify({ crv, kty, x, y });
}

export async function signWith(keys: CryptoKeyPair, message: Bytes): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.sign(ES256, keys.privateKey, message));
}

/** The assertion that buys a token (RFC 7523): for less than a minute, and once. */
export async function assertionOf(
  keys: CryptoKeyPair,
  { deviceId, programId, nowMs }: { deviceId: string; programId: string; nowMs: number },
): Promise<string> {
  const issuedS = Math.floor(nowMs / 1000);
  const header = { alg: "ES256", typ: "client-authentication+jwt", kid: deviceId };
  const claims = {
    iss: deviceId,
    sub: deviceId,
    aud: `tallystick-app/${programId}`,
    iat: issuedS,
    exp: issuedS + ASSERTION_TTL_S,
    jti: crypto.randomUUID(),
  };
  const text = [header, claims].map((part) => base64url(utf8(JSON.stringify(part)))).join(".");
  return `${text}.${base64url(await signWith(keys, utf8(text)))}`;
}
