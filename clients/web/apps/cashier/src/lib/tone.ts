/** Green, amber or red: what a scan's answer means for the cashier, in one word and one sentence. */
import type { PlainKey } from "@tallystick/i18n";

import type { Member } from "./types.ts";

export type Tone = "ok" | "warn" | "bad";

export interface Verdict {
  readonly tone: Tone;
  readonly word: PlainKey;
  /** Why it is not green: a reason of the till program, empty when there is nothing to say. */
  readonly reason: string;
}

/** Reasons that only say "too few points yet": no cause for alarm. */
const SIMPLY_FEW = new Set(["", "INSUFFICIENT_POINTS", "BELOW_MINIMUM"]);

export function verdictOn(member: Member): Verdict {
  if (member.status === "blocked") return { tone: "bad", word: "answer.blocked", reason: "MEMBER_BLOCKED" };
  if (member.burn_limit_points <= 0 && !SIMPLY_FEW.has(member.burn_limit_reason)) {
    return { tone: "warn", word: "answer.earn_only", reason: member.burn_limit_reason };
  }
  return { tone: "ok", word: "answer.ok", reason: "" };
}
