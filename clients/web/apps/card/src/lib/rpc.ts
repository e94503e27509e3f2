/**
 * Calls of the gateway: Connect in JSON over plain `fetch`, which needs no library.
 *
 * The gateway's no is a `Failed`, with the stable reason that it gave; no answer at all is an `Away`.
 */
import { bytesOf } from "./bytes.ts";
import type { Bytes } from "./bytes.ts";

/** Longest wait for an answer: a phone in a cellar should say so and not spin. */
const ANSWER_TIMEOUT_MS = 10_000;

export class Failed extends Error {
  /** The Connect code, such as "unauthenticated". */
  readonly code: string;
  /** The gateway's ErrorReason without its prefix; empty when it gave none. */
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;

  constructor(code: string, message: string, info: ErrorInfo) {
    super(message);
    this.code = code;
    this.reason = info.reason;
    this.metadata = info.metadata;
  }
}

const FINAL = ["failed_precondition", "invalid_argument", "not_found", "permission_denied"];

/** A no for good: asking once more would bring the same, or do later what nobody waits for any more. */
export const isFinal = (error: unknown): boolean => error instanceof Failed && FINAL.includes(error.code);

/** Nobody answered: whether the gateway has done anything is not known. */
export class Away extends Error {}

export interface ErrorInfo {
  reason: string;
  metadata: Record<string, string>;
}

interface ErrorJson {
  code?: string;
  message?: string;
  details?: { type?: string; value?: string }[];
}

/** Calls "Service/Method" with a message; what comes back is the answer's JSON. */
export async function post<Answer>(method: string, message: object, token = ""): Promise<Answer> {
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(`/tallystick.v1.${method}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "connect-protocol-version": "1",
        "connect-timeout-ms": String(ANSWER_TIMEOUT_MS),
        ...(token && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(message),
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    body = await response.json();
  } catch (error) {
    throw new Away(String(error));
  }
  if (response.ok) return body as Answer;
  const { code, message: text, details } = (body ?? {}) as ErrorJson;
  if (!code) throw new Away(`HTTP ${response.status} without a Connect error`);
  // A gateway that is being restarted or too slow is as good as away.
  if (code === "unavailable" || code === "deadline_exceeded") throw new Away(code);
  throw new Failed(code, text ?? "", infoIn(details ?? []));
}

function infoIn(details: NonNullable<ErrorJson["details"]>): ErrorInfo {
  const found = details.find((each) => each.type === "google.rpc.ErrorInfo");
  return found?.value ? readErrorInfo(bytesOf(found.value)) : { reason: "", metadata: {} };
}

/** Reads a google.rpc.ErrorInfo, whose fields are all texts: 1 reason, 2 domain, 3 entries of {1: name, 2: value}. */
export function readErrorInfo(bytes: Bytes): ErrorInfo {
  const info: ErrorInfo = { reason: "", metadata: {} };
  for (const [field, value] of fieldsOf(bytes)) {
    if (field === 1) info.reason = textOf(value).replace("ERROR_REASON_", "");
    if (field !== 3) continue;
    const entry = new Map(fieldsOf(value));
    info.metadata[textOf(entry.get(1))] = textOf(entry.get(2));
  }
  return info;
}

function textOf(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}

/** The fields of a protobuf message that has only length-delimited ones. */
function fieldsOf(bytes: Bytes): [number, Bytes][] {
  const fields: [number, Bytes][] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const field = varint() >> 3;
    const size = varint();
    fields.push([field, bytes.subarray(at, at + size)]);
    at += size;
  }
  return fields;
}
