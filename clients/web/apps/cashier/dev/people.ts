/** The stand-in's members, sales and queue. Cards: type one quickly, or paste it into "Find a member". */
import type {
  Challenge,
  ChallengeMet,
  Member,
  QueueItem,
  Reward,
  SaleView,
  TillState,
} from "../src/lib/types.ts";

const HOUR_MS = 3_600_000;

function reward(reward_id: string, label: string, cost_points: number, affordable: boolean): Reward {
  return { reward_id, label, cost_points, affordable };
}

function member(part: Partial<Member>): Member {
  return {
    ...{
      member_ref: "0198c0de-0000-7000-8000-000000000001",
      name: "",
      tier: "basic",
      tier_label: "Basic",
      points: 0,
    },
    ...{ worth_minor: 0, assurance: 1, status: "open", source: "server", as_of_ms: Date.now() - HOUR_MS },
    ...{ burn_limit_points: 0, burn_limit_reason: "", rewards: [], challenges: [] },
    ...part,
  };
}

const REWARDS = [
  reward("coffee", "A coffee on the house", 250, true),
  reward("tote", "Canvas bag", 800, true),
  reward("dinner", "Dinner for two at the harbour", 2400, false),
];

const CHALLENGES: Challenge[] = [
  { challenge_id: "coffee", name: "Three coffees a week", counts: "pieces", left: 1, last_day: "2026-11-29" },
  { challenge_id: "spend", name: "200 in a year", counts: "spend", left: 3450, last_day: "" },
];

/** What every sale wins while the line is up. */
export const MET: ChallengeMet[] = [
  { challenge_id: "coffee", name: "Three coffees a week", times: 1, points: 100, badge: "" },
  {
    ...{ challenge_id: "five", name: "Five days in a month, whatever the weather", times: 1 },
    ...{ points: 50, badge: "Regular" },
  },
];

/** By what a scanner reads. */
export const MEMBERS: Record<string, Member> = {
  "2012345678905": member({
    ...{
      name: "Anna Lindqvist",
      tier: "gold",
      tier_label: "Gold",
      points: 1240,
      burn_limit_points: 1240,
      rewards: REWARDS,
      challenges: CHALLENGES,
    },
  }),
  "735008763000000018": member({
    ...{
      member_ref: "0198c0de-0000-7000-8000-000000000002",
      name: "Krzysztof Wiśniewski-Brzęczyszczykiewicz",
    },
    ...{ points: 18420, tier_label: "Silver", burn_limit_reason: "ABOVE_ASSURANCE_CAP", rewards: REWARDS },
  }),
  "96385074": member({ member_ref: "0198c0de-0000-7000-8000-000000000003" }),
  "40123455": member({
    ...{ member_ref: "0198c0de-0000-7000-8000-000000000004", name: "Blocked", points: 90, status: "blocked" },
  }),
};

export const VOUCHER_SCAN = "7".repeat(60);

export function firstState(): TillState {
  const now = Date.now();
  return {
    till: {
      till_id: "0198c0de-1111-7000-8000-00000000000a",
      label: "Harbour 1",
      store_id: "harbour",
      hub: "self",
      rivals: [],
    },
    program: {
      ...{ program_id: "p", name: "Harbour Club", currency: "EUR", decimals: 2 },
      ...{ value_points: 100, value_minor: 100, unit_points: 100, minimum_points: 100 },
    },
    ...{
      mode: "live",
      link: "online",
      link_since_ms: now - 5 * HOUR_MS,
      last_contact_ms: now - 9000,
      queued: 0,
    },
    attention: { adjusted: 0, parked: 0, quarantined: 0 },
    worst_case_points: 1240,
    floor: { used_points: 240, cap_points: 1000 },
    burn: { allowed: true, reason: "" },
    sell: { allowed: true, reason: "" },
    rules: { version: 7, valid_until_ms: now + 30 * 24 * HOUR_MS },
    server_protocol: { newer: false },
    ...{ cashier: { cashier_id: "Ilze", label: "Ilze" }, pin_required: false },
    ...{ basket: null, basket_id: "", basket_reference: "" },
  };
}

export function firstSales(): SaleView[] {
  const line = (line_no: number, text: string, pieces: number, amount_minor: number) => ({
    ...{
      line_no,
      sku: `sku-${line_no}`,
      text,
      quantity_milli: pieces * 1000,
      amount_minor,
      discount_minor: 0,
      returned_milli: 0,
    },
  });
  const sale = (n: number, minutes: number, lines: SaleView["lines"]): SaleView => {
    const total = lines.reduce((all, each) => all + each.amount_minor, 0);
    return {
      ...{ sale_id: `0198c0de-2222-7000-8000-00000000000${n}`, occurred_ms: Date.now() - minutes * 60_000 },
      ...{ reference: `10${n}42`, member_ref: "0198c0de-0000-7000-8000-000000000001", amount_minor: total },
      ...{
        earned_points: Math.floor(total / 100),
        burned_points: 0,
        discount_minor: 0,
        payable_minor: total,
      },
      ...{ lines, undone: n === 3, state: n === 1 ? "queued" : "posted", challenges_met: [] },
    };
  };
  return [
    sale(1, 4, [
      line(1, "Wool blanket, blue", 1, 4990),
      line(2, "Candle", 4, 1600),
      line(3, "Wrapping paper", 2, 500),
    ]),
    sale(2, 31, [line(1, "Rain jacket", 1, 8900)]),
    sale(3, 55, [line(1, "Mug", 2, 1800)]),
  ];
}

export function queueItems(): QueueItem[] {
  const item = (n: number, part: Partial<QueueItem>): QueueItem => ({
    ...{
      advice_id: `advice-${n}`,
      kind: "sale",
      occurred_ms: Date.now() - n * HOUR_MS,
      state: "queued",
      reasons: [],
      shortfall_points: 0,
    },
    ...{ told_points: 42, posted_points: 0, seen: false, reference: `10${n}42` },
    ...part,
  });
  return [
    item(1, { state: "adjusted", reasons: ["POINTS_DIFFER"], told_points: 42, posted_points: 21 }),
    item(2, { state: "parked", kind: "return", reasons: ["SALE_UNKNOWN"], told_points: -12 }),
    item(3, { state: "quarantined", reasons: ["BAD_SIGNATURE"] }),
    item(4, {}),
    item(5, { kind: "enrol", reference: "", told_points: 0 }),
  ];
}
