/** The till program's local API. A refusal is a `Refused`; no answer at all is an `Away`. */
import type { Scan } from "@tallystick/scan";

import type * as T from "./types.ts";

const API = "/api/v1";
/** Longest wait for an answer. The program is on this machine; a page that waits longer only looks dead. */
const ANSWER_TIMEOUT_MS = 8000;

/** The till program said no. `reason` is stable; `message` is English and names the mend. */
export class Refused extends Error {
  readonly reason: string;
  readonly details: Readonly<Record<string, string>>;

  constructor(reason: string, message: string, details: Readonly<Record<string, string>> = {}) {
    super(message);
    this.reason = reason;
    this.details = details;
  }
}

/** Nobody answered: whether the till program has done anything is not known. */
export class Away extends Error {}

export async function call<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
  let response: Response;
  let answer: unknown;
  try {
    const init: RequestInit = { method, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS), cache: "no-store" };
    if (method !== "GET") {
      init.headers = { "content-type": "application/json" };
      init.body = JSON.stringify(body ?? {});
    }
    response = await fetch(API + path, init);
    const text = await response.text();
    answer = text ? JSON.parse(text) : {};
  } catch (error) {
    throw new Away(String(error));
  }
  if (response.ok) return answer as Answer;
  throw refusalOf(response.status, answer);
}

function refusalOf(status: number, answer: unknown): Error {
  const error = (answer as { error?: { reason?: unknown; message?: unknown; details?: unknown } } | null)
    ?.error;
  if (typeof error?.reason !== "string") return new Away(`HTTP ${status} without a reason`);
  const details = (error.details ?? {}) as Record<string, string>;
  return new Refused(error.reason, typeof error.message === "string" ? error.message : "", details);
}

export const api = {
  state: () => call<T.TillState>("GET", "/state"),
  identify: (scan: Scan) =>
    call<T.Identified>("POST", "/identify", {
      scan: scan.text,
      source: scan.source,
      ...(scan.aim && { aim: scan.aim }),
    }),
  member: (memberRef: string, voucher: string) =>
    call<{ member: T.Member }>("POST", "/member", { member_ref: memberRef, ...(voucher && { voucher }) }),
  quote: (request: T.QuoteRequest) => call<T.Quote>("POST", "/quote", request),
  sales: () => call<{ sales: T.SaleView[] }>("GET", "/sales?limit=20"),
  saleOf: (saleId: string) => call<T.SaleView>("GET", `/sales/${encodeURIComponent(saleId)}`),
  previewReturn: (request: T.ReturnRequest) => call<T.ReturnPreview>("POST", "/return/preview", request),
  queue: () => call<T.Queue>("GET", "/queue"),
  seen: (adviceId: string) => call<object>("POST", `/queue/${encodeURIComponent(adviceId)}/seen`),
  cashiers: () => call<{ cashiers: T.Cashier[] }>("GET", "/cashiers"),
  signIn: (cashierId: string, pin: string) =>
    call<{ cashier: T.Cashier; checked: "server" | "stand-in" }>("POST", "/cashier", {
      cashier_id: cashierId,
      pin,
    }),
  signOut: () => call<object>("DELETE", "/cashier"),
  training: (on: boolean) => call<T.TillState>("POST", "/training", { on }),
};
