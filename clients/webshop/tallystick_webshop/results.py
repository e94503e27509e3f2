"""What the gateway answers, as a shop reads it. Amounts are in minor units, points are whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tallystick.core.basket import Assurance


@dataclass(frozen=True, slots=True)
class Why:
    """What one rule gave (positive) or took (negative) on one line; ``line_no`` 0 is the whole sale.

    ``text`` is the sentence in the language that was asked for, empty when none was. ``code`` is a stable word for it,
    ``args`` what the sentence needs.
    """

    rule_id: str
    line_no: int
    points: int
    code: str
    args: dict[str, str]
    text: str = ""


@dataclass(frozen=True, slots=True)
class TaxTotal:
    """One tax after the discount: net + tax = gross. ``code`` is empty for lines without tax."""

    code: str
    net_minor: int
    tax_minor: int
    gross_minor: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A reward or a coupon that was applied, what it cost in points (0 for coupons) and what it took off."""

    id: str
    points: int
    discount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Benefits:
    """What loyalty does to a basket.

    ``line_discounts`` are the lines' parts of ``discount_minor``, in the order of the basket and in its terms (with
    or without tax); they sum exactly. ``payable_minor`` is what is left to pay, tax included, and the sum of the
    gross totals.
    """

    currency: str
    discount_minor: int
    line_discounts: tuple[int, ...]
    line_earned: tuple[int, ...]
    line_burned: tuple[int, ...]
    tax_totals: tuple[TaxTotal, ...]
    payable_minor: int
    earned_points: int
    burned_points: int
    rewards: tuple[Taken, ...] = ()
    coupons: tuple[Taken, ...] = ()
    why: tuple[Why, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote(Benefits):
    """What a sale would do. Nothing is reserved. Balances are points that can be burned."""

    balance_before: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class Met:
    """A challenge that a sale met, ``times`` of them (1 or more).

    ``points`` are what that gave beside the sale's own, 0 or more; they may be pending. ``badge_id`` is empty where no
    badge was won.
    """

    challenge_id: str
    name: str
    times: int
    points: int
    badge_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale(Benefits):
    """A sale that was posted. ``replayed`` is True when an earlier call had posted it.

    ``challenges_met`` are the challenges that it met, the same in every replay; ``balance_after`` is without what they
    gave.
    """

    sale_id: str
    member_id: str
    balance_after: int
    replayed: bool
    challenges_met: tuple[Met, ...] = ()


@dataclass(frozen=True, slots=True)
class HoldRef:
    """What a shop stores of a hold: enough to capture or void it after a crash."""

    hold_id: str
    member_id: str


@dataclass(frozen=True, slots=True)
class Held(HoldRef):
    """Points and coupons reserved until ``expires_at``, with the price that they buy (``benefits``).

    ``benefits.earned_points`` is 0: a hold earns nothing, its capture does.
    """

    expires_at: datetime
    benefits: Benefits
    balance_after: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class Voided:
    """A hold that was given back."""

    hold_id: str
    balance_after: int
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnEffects:
    """What a return undoes.

    ``refund_minor`` is what to pay back in money, in the basket's terms (with or without tax). ``taken_back_points``
    were earned on the goods, ``debt_points`` is the part of them that the member has spent already and owes,
    ``restored_points`` were burned on them and go back to their lots.
    """

    currency: str
    refund_minor: int
    taken_back_points: int
    restored_points: int
    debt_points: int
    balance_after: int
    why: tuple[Why, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned(ReturnEffects):
    """A return that was posted."""

    return_id: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """What a member has: points to burn, not yet spendable, on hold, owed; and what the first are worth."""

    points: int
    pending: int
    held: int
    debt: int
    tier_id: str
    worth_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member who was identified, and how sure that is: pass ``assurance`` on when the buyer did not sign in."""

    member_id: str
    assurance: Assurance
    name: str
    blocked: bool
    balance: Balance


@dataclass(frozen=True, slots=True)
class NewMember:
    """A member who joined. ``number`` is theirs for ever; ``replayed`` is True when an earlier call had made them."""

    member_id: str
    number: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class CardReward:
    """A reward and whether the member can take it: in tier, and with ``missing_points`` 0."""

    reward_id: str
    kind: str
    cost_points: int
    amount_minor: int
    percent_ppm: int
    minimum_minor: int
    in_tier: bool
    missing_points: int
    name: str = ""
    sold_out: bool = False

    @property
    def in_basket(self) -> bool:
        """Whether it is taken in a checkout; the others are bought by themselves, in the member's own app."""
        return self.kind not in ("experience", "product")


@dataclass(frozen=True, slots=True)
class CardCoupon:
    """A coupon that the member can use now."""

    coupon_id: str
    code: str
    kind: str
    amount_minor: int
    percent_ppm: int
    minimum_minor: int


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge that the member has nearly met. ``left`` is what is missing, in the unit of ``counts``.

    ``counts`` is "sales", "spend" (minor units), "pieces", "points" or "days"; ``last_day`` (YYYY-MM-DD) the last day
    of its period, empty where it has none.
    """

    challenge_id: str
    name: str
    counts: str
    left: int
    last_day: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What an account page shows: points, the ladder, rewards, what expires (points, last day YYYY-MM-DD).

    ``challenges`` are the one or two that are nearest to being met, the nearest first.
    """

    member_id: str
    number: str
    name: str
    program_name: str
    currency: str
    balance: Balance
    unit_points: int
    minimum_points: int
    next_tier_id: str
    next_credits: int
    next_reward_id: str
    next_reward_points: int
    expiring: tuple[tuple[int, str], ...]
    rewards: tuple[CardReward, ...]
    coupons: tuple[CardCoupon, ...]
    challenges: tuple[Challenge, ...] = ()


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether an article may be sold to somebody now.

    ``why`` is "OPEN", "EARLY", "NOT_YET" or "MEMBERS_ONLY". ``opens_at`` is when it opens to everybody,
    ``opens_for_member_at`` when it does to the member: None when it has, or never will.
    """

    sku: str
    allowed: bool
    why: str
    access_id: str
    opens_at: datetime | None
    opens_for_member_at: datetime | None


@dataclass(frozen=True, slots=True)
class Earned:
    """Points posted for an action; ``replayed`` when it had been posted before."""

    points: int
    balance_after: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class Movement:
    """One entry of a statement: what changed the points, when, for which order or receipt, and why."""

    kind: str
    points: int
    balance_after: int
    occurred_at: datetime
    channel: str
    reference: str
    why: tuple[Why, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """An article that a member would like to have: as baskets name it, as people do, and since when."""

    sku: str
    name: str = ""
    wished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WidgetToken:
    """A token with which a page of the shop shows one member's points."""

    access_token: str
    expires_in_s: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A guest's order that waits for whoever opens its link. ``url`` is empty when the gateway knows none."""

    claim_id: str
    code: str
    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A shop's key that waits for a manager, who compares the fingerprint."""

    device_id: str
    fingerprint: str
