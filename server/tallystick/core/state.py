"""What a decision needs to know of a member: the account, the lots, the open holds, the tier."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tallystick.core.basket import Assurance
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Ms
from tallystick.core.record import record


class MemberStatus(IntEnum):
    """Whether a member may earn and burn. Erased members keep their entries, without a person behind them.

    BLOCKED is for a manager to set, LOCKED for the member: the points stay where they are, and earning goes on.
    """

    OPEN = 1
    BLOCKED = 2
    ERASED = 3
    LOCKED = 4


class HoldStatus(IntEnum):
    """The life of a hold: open, then exactly one of the other three."""

    OPEN = 1
    CAPTURED = 2
    VOIDED = 3
    EXPIRED = 4


class HoldKind(IntEnum):
    """What points are held for: a checkout, a store that may burn them while its line is down, a voucher."""

    CHECKOUT = 1
    LEASE = 2
    VOUCHER = 3


@record(frozen=True, slots=True)
class TierState:
    """Where a member stands.

    ``tier_id`` is empty where the rule set has no tiers. ``buckets`` holds qualifying credits by the ordinal of a
    day (``date.toordinal``): the day itself for a rolling period, the first day of the period otherwise.
    ``prior_id`` is the tier before the climbs of this period, to which a return may fall back, and
    ``prior_review_ms`` its review. ``review_ms`` is when the tier is looked at again, ``basis`` what the credits
    count.
    """

    tier_id: str = ""
    prior_id: str = ""
    reached_ms: Ms = Ms(0)
    review_ms: Ms = NEVER_MS
    basis: str = ""
    buckets: tuple[tuple[int, int], ...] = ()
    prior_review_ms: Ms = NEVER_MS


NO_TIER = TierState()

TALLIES_MAX = 200
"""Most tallies of one member: what the account carries stays small."""

TALLY_KEY_CHARS_MAX = 80


class Tally(NamedTuple):
    """How often, or how much of, something a member did in a period.

    ``key`` names it, such as "challenge/summer". ``period`` is the ordinal (``date.toordinal``) of the period's first
    local day, 0 for ever. ``count`` >= 0 with the account; in an entry it is what the entry added or took, signed.
    """

    key: str
    period: int
    count: int  # type: ignore[assignment]  # nobody counts the fields of a record


@record(frozen=True, slots=True)
class Account:
    """A member's balances, all >= 0, and what orders them.

    ``active`` is spendable, ``pending`` becomes so, ``held`` is reserved by open holds, ``debt`` is owed after
    returns of goods whose points were spent. ``seq`` is the number of the last entry. ``as_of_ms`` never goes
    back. ``due_ms`` is the earliest instant at which time alone changes something. ``tallies`` are sorted by key and
    period, none of them 0; of periods that are over they are only kept as long as they may still be reckoned down.
    """

    member_id: MemberId
    status: MemberStatus
    enrolled_ms: Ms
    active: int = 0
    pending: int = 0
    held: int = 0
    debt: int = 0
    seq: int = 0
    as_of_ms: Ms = Ms(0)
    due_ms: Ms = NEVER_MS
    tier: TierState = NO_TIER
    tallies: tuple[Tally, ...] = ()


@record(frozen=True, slots=True)
class Lot:
    """Points earned together, which expire together.

    ``lot_seq`` is the ``seq`` of the entry that made it. ``remaining`` <= ``points``. A lot is pending until
    ``matures_ms`` and ``pending`` says whether that has been posted. It can be spent before ``expires_ms``.
    ``credits`` are qualifying credits that count from maturity, in the bucket of ``credit_day``. A prize qualifies for
    nothing: while its points are pending, ``credit_day`` is the lot that the same prize made before (0: none).
    """

    lot_seq: int
    points: int
    remaining: int
    earned_ms: Ms
    expires_ms: Ms
    matures_ms: Ms = Ms(0)
    pending: bool = False
    credits: int = 0
    credit_day: int = 0


class Alloc(NamedTuple):
    """Points that a burn or a hold took from one lot; a return gives them back to it."""

    lot_seq: int
    points: int


class HeldCoupon(NamedTuple):
    """A coupon that a hold reserves; ``token`` is that of a unique code, empty for a shared one."""

    coupon_id: str
    token: str = ""


@record(frozen=True, slots=True)
class Hold:
    """Points reserved until ``expires_ms``: for a checkout, or in a lease or voucher for one store.

    ``spend_points`` is the part spent as points (the rest buys ``reward_ids``); ``allocs`` are the lots behind what is
    left of it. ``coupons`` are reserved with it; a hold of coupons alone has no points. ``rule_set`` is the version
    that a checkout was priced by, which its capture goes by too; 0 if that was not noted. A lease or voucher can be
    burned at ``store_id`` until ``ends_ms``; what was burned in time may be reported until ``expires_ms``. ``used`` of
    its ``points`` have been. A lease that is ``recalled`` is wanted back.
    """

    hold_id: CommandId
    seq: int
    points: int
    status: HoldStatus
    expires_ms: Ms
    spend_points: int = 0
    reward_ids: tuple[str, ...] = ()
    allocs: tuple[Alloc, ...] = ()
    assurance: Assurance = Assurance.TYPED
    kind: HoldKind = HoldKind.CHECKOUT
    store_id: str = ""
    ends_ms: Ms = Ms(0)
    used: int = 0
    recalled: bool = False
    coupons: tuple[HeldCoupon, ...] = ()
    rule_set: int = 0

    @property
    def left(self) -> int:
        """Points that have not been burned of it."""
        return self.points - self.used


@record(frozen=True, slots=True)
class MemberState:
    """One member as a decision sees it.

    ``lots`` holds every lot with points remaining, and those that a referred sale or hold took from, when
    ``complete``; otherwise only lots made since it was loaded, which is enough for a sale that only earns.
    ``holds`` are the open ones, and the one that the command names. ``rest_due_ms`` is the earliest instant at
    which something falls due among what was not loaded (never, when ``complete``).
    """

    account: Account
    lots: tuple[Lot, ...] = ()
    holds: tuple[Hold, ...] = ()
    complete: bool = False
    rest_due_ms: Ms = NEVER_MS
