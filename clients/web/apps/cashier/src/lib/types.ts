/**
 * What the till program says and hears on its local JSON API.
 *
 * Amounts are minor units, quantities thousandths, instants milliseconds since 1970, ids canonical UUID text.
 */

export interface Program {
  program_id: string;
  name: string;
  currency: string;
  decimals: number;
  /** `value_points` points are worth `value_minor`. */
  value_points: number;
  value_minor: number;
  unit_points: number;
  minimum_points: number;
}

export interface Gate {
  allowed: boolean;
  reason: string;
}

export interface Cashier {
  cashier_id: string;
  label: string;
}

export interface BasketLine {
  sku: string;
  quantity_milli: number;
  amount_minor: number;
  tax_code?: string;
  categories?: string[];
  brand?: string;
  text?: string;
}

export interface Basket {
  currency: string;
  lines: BasketLine[];
  prices_include_tax: boolean;
  tax_groups: { code: string; rate_ppm: number }[];
}

export interface TillState {
  till: {
    till_id: string;
    label: string;
    store_id: string;
    hub: "self" | "reachable" | "away" | "none";
    rivals: string[];
  };
  program: Program;
  mode: "live" | "training";
  link: "online" | "offline";
  link_since_ms: number;
  last_contact_ms: number;
  queued: number;
  attention: { adjusted: number; parked: number; quarantined: number };
  worst_case_points: number;
  floor: { used_points: number; cap_points: number };
  burn: Gate;
  sell: Gate;
  rules: { version: number; valid_until_ms: number };
  server_protocol: { newer: boolean };
  cashier: Cashier | null;
  pin_required: boolean;
  basket: Basket | null;
  basket_id: string;
  basket_reference: string;
}

export interface Reward {
  reward_id: string;
  label: string;
  cost_points: number;
  affordable: boolean;
}

/** What a member has nearly met: how many are missing, in the unit of what counts. */
export interface Challenge {
  challenge_id: string;
  name: string;
  counts: "sales" | "spend" | "pieces" | "points" | "days";
  left: number;
  /** The last day of its period, "2026-11-30", when that is at most 6 days away; else empty. */
  last_day: string;
}

/** A challenge that a sale has met, and what that won in all. */
export interface ChallengeMet {
  challenge_id: string;
  name: string;
  times: number;
  points: number;
  badge: string;
}

export interface Member {
  member_ref: string;
  /** Only online; never stored, neither here nor by the till program. */
  name: string;
  tier: string;
  tier_label: string;
  points: number;
  worth_minor: number;
  assurance: number;
  status: "open" | "blocked" | "locked";
  source: "server" | "snapshot";
  as_of_ms: number;
  burn_limit_points: number;
  burn_limit_reason: string;
  rewards: Reward[];
  /** Only of a scan that the gateway answered; the nearest first. */
  challenges: Challenge[];
}

export interface Voucher {
  voucher_id: string;
  member_ref: string;
  points: number;
  reward_id: string;
  expires_ms: number;
}

export interface SaleLine {
  line_no: number;
  sku: string;
  text: string;
  quantity_milli: number;
  amount_minor: number;
  discount_minor: number;
  returned_milli: number;
}

export type AdviceState = "queued" | "posted" | "adjusted" | "parked" | "quarantined";

export interface SaleView {
  sale_id: string;
  occurred_ms: number;
  reference: string;
  member_ref: string;
  amount_minor: number;
  earned_points: number;
  burned_points: number;
  discount_minor: number;
  payable_minor: number;
  lines: SaleLine[];
  undone: boolean;
  state: AdviceState;
  /** What the gateway said of it: none while it is queued. */
  challenges_met: ChallengeMet[];
}

export type Identified =
  | { kind: "member"; member: Member }
  | { kind: "voucher"; voucher: Voucher; member: Member }
  | { kind: "receipt"; sale: SaleView }
  | { kind: "none"; reason: string };

export interface Explanation {
  text: string;
  code: string;
  args: Record<string, string>;
  points: number;
  line_no: number;
}

export interface QuoteRequest {
  member_ref: string;
  basket: Basket;
  spend?: { points: number } | { points_max: number };
  reward_ids: string[];
  voucher?: string;
  /** The language of texts and of the receipt. */
  language: string;
}

export interface Quote {
  earned_points: number;
  burned_points: number;
  discount_minor: number;
  payable_minor: number;
  burn_limit_points: number;
  explanations: Explanation[];
  refusal: { reason: string; details: Record<string, string> } | null;
  stand_in: boolean;
}

export interface SaleRequest extends QuoteRequest {
  sale_id: string;
  reference?: string;
  basket_id?: string;
}

export interface SaleAnswer {
  sale_id: string;
  member_ref: string;
  earned_points: number;
  burned_points: number;
  discount_minor: number;
  payable_minor: number;
  balance_points: number;
  stand_in: boolean;
  authority: { kind: "lease" | "voucher" | "floor" | "server"; points: number }[];
  receipt: { lines: string[]; qr: string };
}

export interface UndoAnswer {
  undo_id: string;
  sale_id: string;
  returned_points: number;
  taken_points: number;
  balance_points: number;
}

export interface ReturnRequest {
  sale_id?: string;
  receipt?: string;
  lines: { line_no: number; quantity_milli: number }[];
}

export interface ReturnPreview {
  refund_minor: number;
  taken_points: number;
  restored_points: number;
  debt_points: number;
  balance_points: number;
  exact: boolean;
}

export interface ReturnAnswer extends ReturnPreview {
  return_id: string;
  state: "queued" | "posted";
}

export interface EnrolAnswer {
  member: Member;
  number: string;
  state: "posted" | "queued";
}

export interface QueueItem {
  advice_id: string;
  kind: "sale" | "return" | "undo" | "enrol";
  occurred_ms: number;
  state: AdviceState;
  reasons: string[];
  told_points: number;
  posted_points: number;
  seen: boolean;
  reference: string;
  /** What the member's points did not cover and the store pays. */
  shortfall_points: number;
}

export interface Queue {
  queued: number;
  oldest_ms: number;
  items: QueueItem[];
}
