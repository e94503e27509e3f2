/** Which full-width messages the state of the till calls for, the gravest first. */
import type { PlainKey } from "@tallystick/i18n";

import type { TillState } from "./types.ts";

export interface Problem {
  readonly id: string;
  readonly level: "bad" | "warn" | "info";
  readonly title: PlainKey;
  readonly text?: PlainKey;
  /** A reason without a message of its own: its words stand in for `text`. */
  readonly reason?: string;
}

type Known = Readonly<Record<string, Omit<Problem, "id">>>;

const SELL: Known = {
  DISK_FULL: { level: "bad", title: "message.disk_full.title", text: "message.disk_full.text" },
  OUTBOX_CORRUPT: {
    level: "bad",
    title: "message.outbox_corrupt.title",
    text: "message.outbox_corrupt.text",
  },
  NO_RULES: { level: "bad", title: "message.no_rules.title", text: "message.no_rules.text" },
};

const BURN: Known = {
  KEY_REVOKED: { level: "bad", title: "message.key_revoked.title", text: "message.key_revoked.text" },
  TILL_SUSPENDED: { level: "bad", title: "message.suspended.title", text: "message.suspended.text" },
  GATEWAY_BEHIND: { level: "bad", title: "message.behind.title", text: "message.behind.text" },
  CLOCK_UNTRUSTED: { level: "warn", title: "message.clock.title", text: "message.clock.text" },
  RULES_PAST_DATE: { level: "warn", title: "message.rules_past.title", text: "message.rules_past.text" },
  FLOOR_SPENT: { level: "warn", title: "message.floor_spent.title", text: "message.floor_spent.text" },
};

const GRAVITY = { bad: 0, warn: 1, info: 2 } as const;

export function problemsOf(state: TillState | null, reachable: boolean): Problem[] {
  const problems: Problem[] = [];
  if (!reachable)
    problems.push({ id: "AWAY", level: "bad", title: "message.away.title", text: "message.away.text" });
  if (!state) return problems;
  if (!state.sell.allowed) {
    problems.push(named(SELL, state.sell.reason, { level: "bad", title: "message.sell_stopped.title" }));
  }
  // When nothing can be sold with points, that redeeming is stopped too is no news.
  // A reason that forbids nothing (the floor limit is spent, leases and vouchers go on) is said all the same.
  if (state.sell.allowed && (!state.burn.allowed || state.burn.reason)) {
    problems.push(named(BURN, state.burn.reason, { level: "warn", title: "message.burn_stopped.title" }));
  }
  if (state.till.rivals.length > 0) {
    problems.push({
      id: "HUB_TWICE",
      level: "warn",
      title: "message.hub_twice.title",
      text: "message.hub_twice.text",
    });
  }
  if (state.server_protocol.newer) {
    problems.push({
      id: "SERVER_NEWER",
      level: "info",
      title: "message.newer.title",
      text: "message.newer.text",
    });
  }
  return problems.sort((a, b) => GRAVITY[a.level] - GRAVITY[b.level]);
}

function named(known: Known, reason: string, other: Omit<Problem, "id">): Problem {
  const problem = Object.hasOwn(known, reason) ? known[reason] : undefined;
  return problem ? { id: reason, ...problem } : { id: reason, reason, ...other };
}
