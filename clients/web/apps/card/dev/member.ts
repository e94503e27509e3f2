/** The member of the stand-in, in the middle of everything. */
import type { CardProgram, Consent, Entry, MemberCard } from "../src/lib/types.ts";

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

export function firstCard(memberId: string): MemberCard {
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
      { rewardId: "gold-evening", kind: "free_item", costPoints: "1000", skus: ["evening"] },
    ],
    conversion: { points: "100", amountMinor: "100", unitPoints: "100", minimumPoints: "200" },
    vouchers: [],
    coupons: [
      {
        ...{ couponId: "spring", code: "SPRING-7K2P", kind: "money_off", amountMinor: "500" },
        ...{ minimumMinor: "2500", endsAt: instant(20) },
      },
    ],
    storeIds: ["riga-centrs", "jurmala", "liepaja-osta"],
    referralUrl: "https://card.example/card/demo/?ref=K7QX2M",
    asOf: instant(0),
  };
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
