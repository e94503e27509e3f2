/** The part of `tallystick.v1.MemberCard` that the element shows, as Connect JSON: 64-bit numbers are text, zeros absent. */
export interface Card {
  readonly currencyCode: string;
  readonly status?: string;
  readonly balance?: { readonly active?: string };
  readonly ladder?: Ladder;
  readonly rewards?: readonly Reward[];
  readonly conversion?: Conversion;
}

export interface Ladder {
  readonly tierId?: string;
  readonly qualifyingCredits?: string;
  /** What counts towards tiers: money spent, points or sales. */
  readonly basis?: "spend" | "points" | "sales";
  readonly nextTierId?: string;
  readonly nextCredits?: string;
  readonly nextRewardId?: string;
  readonly nextRewardPoints?: string;
}

export interface Reward {
  readonly rewardId: string;
  readonly costPoints?: string;
  readonly amountMinor?: string;
  readonly percentPpm?: number;
  readonly minimumMinor?: string;
  readonly inTier?: boolean;
}

export interface Conversion {
  readonly points?: string;
  readonly amountMinor?: string;
  readonly unitPoints?: string;
  readonly minimumPoints?: string;
  readonly shareMaxPpm?: number;
}
