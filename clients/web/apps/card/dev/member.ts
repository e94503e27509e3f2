/** The member of the stand-in, in the middle of everything. */
import type { ClubCard, Goal, Project } from "../src/club/types.ts";
import type { CardProgram, Consent, Entry, Redemption } from "../src/lib/types.ts";

const DAY_MS = 86_400_000;

export const PROGRAM: CardProgram = {
  programId: "demo",
  displayName: "Corner Club",
  organization: "Corner Stores",
  appleWallet: true,
  googleWallet: true,
};

export const instant = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString();
export const day = (days: number): string => instant(days).slice(0, 10);

export function firstCard(memberId: string): ClubCard {
  return {
    memberId,
    number: "735008763000000025",
    givenName: "Ilze",
    programName: "Corner Club",
    currencyCode: "EUR",
    timeZone: "Europe/Riga",
    status: "MEMBER_STATUS_OPEN",
    balance: { active: "1240", pending: "35", tierId: "silver" },
    ladder: {
      tiers: [
        { tierId: "bronze" },
        { tierId: "silver", fromCredits: "50000" },
        { tierId: "gold", fromCredits: "150000" },
      ],
      tierId: "silver",
      qualifyingCredits: "89000",
      basis: "spend",
      reviewAt: instant(120),
      nextTierId: "gold",
      nextCredits: "61000",
      nextRewardId: "espresso-machine",
      nextRewardPoints: "3760",
    },
    expiring: [
      { points: "120", lastDay: day(9) },
      { points: "480", lastDay: day(70) },
    ],
    rewards: [
      { rewardId: "free-coffee", kind: "free_item", costPoints: "300", categories: ["coffee"], inTier: true },
      {
        ...{ rewardId: "ten-percent", kind: "percent_off", costPoints: "900", percentPpm: 100_000 },
        ...{ minimumMinor: "2000", inTier: true },
      },
      {
        ...{ rewardId: "espresso-machine", kind: "money_off", costPoints: "5000", amountMinor: "7500" },
        ...{ inTier: true, missingPoints: "3760" },
      },
      {
        ...{ rewardId: "baking-class", name: "A baking class", kind: "experience", costPoints: "400" },
        ...{ inTier: true, limited: true, stockLeft: "12", limitCount: 2, limitPer: "year", limitLeft: 2 },
      },
      { rewardId: "gold-evening", kind: "free_item", costPoints: "1000", skus: ["evening"] },
    ],
    conversion: { points: "100", amountMinor: "100", unitPoints: "100", minimumPoints: "200" },
    vouchers: [],
    coupons: [
      {
        ...{ couponId: "spring", code: "SPRING-7K2P", kind: "money_off", amountMinor: "500" },
        ...{ minimumMinor: "2500", endsAt: instant(20) },
      },
      {
        ...{
          couponId: "tea",
          code: "TEA-4QX7",
          kind: "percent_off",
          percentPpm: 150_000,
          categories: ["tea"],
        },
        ...{ endsAt: instant(6), offerId: "tea-lovers", offerName: "For tea lovers" },
      },
    ],
    challenges: [
      {
        ...{
          challengeId: "five-mornings",
          name: "Five mornings",
          counts: "days",
          progress: "3",
          target: "5",
        },
        ...{ lastDay: day(12), times: 1, awardPoints: "150", badgeId: "early-bird" },
      },
      {
        ...{ challengeId: "spring-spend", name: "A spring of cakes", counts: "spend", progress: "14250" },
        ...{ target: "10000", lastDay: day(40), times: 3, awarded: 1, awardPoints: "100" },
      },
    ],
    badges: [
      { badgeId: "first-visit", count: 1 },
      { badgeId: "bakers-friend", count: 3 },
      { badgeId: "early-bird", count: 1 },
    ],
    memberships: [
      {
        ...{ membershipId: "plus", name: "Corner Plus", active: true, lastDay: day(11) },
        ...{ graceDay: day(18), remindDay: day(-3) },
      },
      { membershipId: "coffee-pass", name: "Coffee pass" },
    ],
    actions: [
      {
        ...{ actionId: "review", name: "Review a product", points: "50", limitCount: 3, limitPer: "month" },
        ...{ done: 1, open: true },
      },
      {
        actionId: "party",
        name: "Host a tasting",
        points: "500",
        limitCount: 2,
        limitPer: "year",
        open: true,
      },
      { actionId: "birthday", name: "Birthday", points: "100", limitCount: 1, on: "birthday", open: true },
    ],
    access: [
      {
        ...{ accessId: "autumn-cups", name: "Autumn cups", categories: ["cups"], allowed: true },
        ...{ opensAt: instant(5) },
      },
      { accessId: "gold-roast", name: "Gold roast", brands: ["gold-roast"] },
    ],
    referral: {
      ...{ joined: 4, waiting: 1, paid: 3, pointsEarned: "600" },
      ...{ referrerPoints: "200", joinerPoints: "100", minimumMinor: "2000" },
    },
    storeIds: ["riga-centrs", "jurmala", "liepaja-osta"],
    referralUrl: "https://card.example/card/demo/?ref=K7QX2M",
    asOf: instant(0),
  };
}

export function firstProjects(): Project[] {
  return [
    {
      ...{ projectId: "river", name: "A clean river", text: "Volunteers clear the banks every Saturday." },
      ...{ given: { amountMinor: "1243500" }, donated: { amountMinor: "86200" }, open: true },
    },
  ];
}

export function firstGoals(): Goal[] {
  return [
    {
      ...{ goalId: "thousand-cups", name: "A thousand cups", unit: "GOAL_UNIT_PIECES", counted: "734000" },
      ...{ target: "1000000", members: "318", awardPoints: "50", state: "GOAL_STATE_OPEN", tookPart: true },
    },
  ];
}

export function firstRedemptions(): Redemption[] {
  return [
    {
      ...{ redemptionId: "1", rewardId: "tote-bag", rewardName: "The tote bag", points: "300" },
      ...{ code: "K7QX-2MPA-9RTD", state: "REDEMPTION_STATE_USED" },
      ...{ redeemedAt: instant(-12), usedAt: instant(-11) },
    },
  ];
}

export function firstConsents(): Consent[] {
  const purposes = ["POINTS", "OFFERS", "PERSONAL", "REMINDERS"];
  const channels = ["EMAIL", "SMS", "PUSH"];
  return purposes.flatMap((purpose) =>
    channels.map((channel) => ({
      purpose: `CONSENT_PURPOSE_${purpose}`,
      channel: `CONSENT_CHANNEL_${channel}`,
      granted: purpose === "POINTS" && channel === "EMAIL",
    })),
  );
}

const ISSUED = "ACCOUNT_KIND_ISSUED";
const ACTIVE = "ACCOUNT_KIND_MEMBER_ACTIVE";
const BURNED = "ACCOUNT_KIND_BURNED";

export function firstEntries(): Entry[] {
  const origin = { storeId: "riga-centrs", channel: "CHANNEL_STORE" };
  return [
    {
      ...{ commandId: "4", seq: "4", kind: "ENTRY_KIND_SALE", occurredAt: instant(-0.05) },
      postings: [{ debit: ISSUED, credit: ACTIVE, points: "86" }],
      balanceAfter: { active: "1240" },
      origin: { ...origin, reference: "4711" },
      explanations: [
        { ruleId: "base", points: "43", code: "per_amount", text: "1 point for every €1.00" },
        { ruleId: "silver", points: "43", code: "multiply", text: "Twice the points (Silver)" },
      ],
    },
    {
      ...{ commandId: "3", seq: "3", kind: "ENTRY_KIND_SALE", occurredAt: instant(-6) },
      postings: [
        { debit: ACTIVE, credit: BURNED, points: "300" },
        { debit: ISSUED, credit: ACTIVE, points: "12" },
      ],
      balanceAfter: { active: "1154" },
      origin: { ...origin, reference: "4655" },
      explanations: [
        { ruleId: "free-coffee", points: "-300", code: "reward", text: "Reward “Free coffee”: €3.50 off" },
        { ruleId: "base", points: "12", code: "per_amount", text: "1 point for every €1.00" },
      ],
    },
    {
      ...{ commandId: "2", seq: "2", kind: "ENTRY_KIND_TIER", occurredAt: instant(-31) },
      balanceAfter: { active: "1442" },
      explanations: [{ ruleId: "tiers", code: "tier_reached", text: "You have reached the tier Silver" }],
    },
    {
      ...{ commandId: "1", seq: "1", kind: "ENTRY_KIND_EARN", occurredAt: instant(-32) },
      postings: [{ debit: ISSUED, credit: ACTIVE, points: "1442" }],
      balanceAfter: { active: "1442" },
      explanations: [{ ruleId: "action", points: "1442", code: "action", text: "For something you did" }],
      reason: "Welcome back",
    },
  ];
}
