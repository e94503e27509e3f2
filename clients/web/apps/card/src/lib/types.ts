/**
 * The messages of tallystick.v1 that the card reads, in the JSON mapping of protobuf: what has its default value is left
 * out, 64-bit numbers are text, instants RFC 3339, bytes base64.
 */
export type Int64 = string;

export interface Balance {
  active?: Int64;
  pending?: Int64;
  held?: Int64;
  debt?: Int64;
  tierId?: string;
}

export interface Ladder {
  tiers?: { tierId: string; fromCredits?: Int64 }[];
  tierId?: string;
  qualifyingCredits?: Int64;
  basis?: string;
  reviewAt?: string;
  keepCredits?: Int64;
  nextTierId?: string;
  nextCredits?: Int64;
  nextRewardId?: string;
  nextRewardPoints?: Int64;
}

/** What a reward or a coupon takes off. */
export interface Benefit {
  kind?: string;
  amountMinor?: Int64;
  percentPpm?: number;
  minimumMinor?: Int64;
  skus?: string[];
  categories?: string[];
  brands?: string[];
}

export interface CardReward extends Benefit {
  rewardId: string;
  name?: string;
  costPoints?: Int64;
  inTier?: boolean;
  missingPoints?: Int64;
  limited?: boolean;
  soldOut?: boolean;
  stockLeft?: Int64;
  limitCount?: number;
  limitLeft?: number;
}

/** A reward that was bought without a purchase in a store. */
export interface Redemption {
  redemptionId: string;
  rewardId: string;
  rewardName?: string;
  points?: Int64;
  code: string;
  state?: string;
  redeemedAt?: string;
  usedAt?: string;
}

export interface CardCoupon extends Benefit {
  couponId: string;
  code: string;
  endsAt?: string;
}

export interface Conversion {
  points?: Int64;
  amountMinor?: Int64;
  unitPoints?: Int64;
  minimumPoints?: Int64;
}

export interface CardVoucher {
  voucherId: string;
  storeId: string;
  points?: Int64;
  rewardId?: string;
  digits: string;
  endsAt?: string;
}

export interface MemberCard {
  memberId: string;
  number?: string;
  givenName?: string;
  programName?: string;
  currencyCode?: string;
  timeZone?: string;
  status?: string;
  balance?: Balance;
  ladder?: Ladder;
  expiring?: { points?: Int64; lastDay: string }[];
  rewards?: CardReward[];
  conversion?: Conversion;
  vouchers?: CardVoucher[];
  coupons?: CardCoupon[];
  storeIds?: string[];
  referralUrl?: string;
  spendLocked?: boolean;
  asOf?: string;
}

export interface CardProgram {
  programId: string;
  displayName?: string;
  organization?: string;
  appleWallet?: boolean;
  googleWallet?: boolean;
}

export interface CardDevice {
  deviceId: string;
  label?: string;
  registeredAt?: string;
  burnFrom?: string;
  expiresAt?: string;
  revokedAt?: string;
}

export interface Credential {
  credential: string;
  programId: string;
  expiresAt: string;
  renewAt: string;
}

export interface SignedIn {
  memberId: string;
  device: CardDevice;
  credential: Credential;
  accessToken: string;
  expiresInS?: number;
  enrolled?: boolean;
}

export interface NotSignedIn {
  reason: string;
  triesLeft?: number;
}

export interface Outcome {
  signedIn?: SignedIn;
  refused?: NotSignedIn;
}

export interface Explanation {
  ruleId?: string;
  lineNo?: number;
  points?: Int64;
  code: string;
  /** The sentence in the language that was asked for. */
  text?: string;
}

export interface Entry {
  commandId: string;
  seq: Int64;
  kind: string;
  postings?: { debit: string; credit: string; points: Int64 }[];
  balanceAfter?: Balance;
  origin?: { storeId?: string; channel?: string; reference?: string };
  occurredAt?: string;
  explanations?: Explanation[];
  reason?: string;
}

export interface Consent {
  purpose: string;
  channel: string;
  granted?: boolean;
  changedAt?: string;
}

export interface PushKey {
  applicationServerKey: string;
  subscribed?: boolean;
}

export interface Profile {
  givenName?: string;
  familyName?: string;
  email?: string;
  birthday?: string;
  language?: string;
}

export interface Passkey {
  passkeyId: string;
  label?: string;
  addedAt?: string;
  usedAt?: string;
}

export interface Decision {
  posted?: { benefits?: { earnedPoints?: Int64 } };
  refused?: { reason: string };
}

/** A whole number as the mapping writes it. */
export function num(value: Int64 | number | undefined): number {
  return Number(value ?? 0);
}

/** An instant in milliseconds since 1970; 0 when it is unset. */
export function ms(value: string | undefined): number {
  return value ? Date.parse(value) : 0;
}
