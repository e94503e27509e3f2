/** The messages of tallystick.v1 that only this page reads; see ../lib/types.ts for how they are written. */
import type { CardCoupon, Int64, MemberCard } from "../lib/types.ts";

export interface Challenge {
  challengeId: string;
  name?: string;
  counts?: string;
  progress?: Int64;
  target?: Int64;
  lastDay?: string;
  awarded?: number;
  times?: number;
  awardPoints?: Int64;
  badgeId?: string;
}

export interface Membership {
  membershipId: string;
  name?: string;
  active?: boolean;
  lastDay?: string;
  graceDay?: string;
  remindDay?: string;
}

export interface Action {
  actionId: string;
  name?: string;
  points?: Int64;
  limitCount?: number;
  limitPer?: string;
  done?: number;
  on?: string;
  open?: boolean;
}

export interface Access {
  accessId: string;
  name?: string;
  skus?: string[];
  categories?: string[];
  brands?: string[];
  allowed?: boolean;
  opensAt?: string;
  opensForMemberAt?: string;
}

export interface Referral {
  joined?: number;
  waiting?: number;
  paid?: number;
  pointsEarned?: Int64;
  referrerPoints?: Int64;
  joinerPoints?: Int64;
  minimumMinor?: Int64;
}

export interface Money {
  amountMinor?: Int64;
}

export interface Project {
  projectId: string;
  name?: string;
  text?: string;
  given?: Money;
  donated?: Money;
  open?: boolean;
}

export interface Goal {
  goalId: string;
  name?: string;
  unit?: string;
  counted?: Int64;
  target?: Int64;
  members?: Int64;
  awardPoints?: Int64;
  state?: string;
  endsAt?: string;
  tookPart?: boolean;
}

export interface ClubCard extends MemberCard {
  challenges?: Challenge[];
  badges?: { badgeId: string; count?: number }[];
  memberships?: Membership[];
  actions?: Action[];
  access?: Access[];
  referral?: Referral;
  coupons?: (CardCoupon & { offerId?: string; offerName?: string })[];
}
