"""What a decision makes: a balanced entry, or a refusal. Both are values; both are stored."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tallystick.core.basket import Assurance, Origin
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.core.record import record
from tallystick.core.state import Alloc, Tally


class EntryKind(IntEnum):
    """What an entry records. The numbers are those of the contract and of the ledger."""

    SALE = 1
    EARN = 2
    BURN = 3
    HOLD = 4
    CAPTURE = 5
    VOID = 6
    RETURN = 7
    REVERSE = 8
    ADJUST = 9
    EXPIRE = 10
    MATURE = 11
    HOLD_RELEASE = 12
    TIER = 13
    LEASE = 14
    VOUCHER = 15
    RECALL = 16
    ENROL = 17
    AWARD = 18
    HANDOVER = 24
    TRANSFER = 19
    DONATE = 20


class Moves(NamedTuple):
    """Signed change of each account by one entry; the nine always sum to 0 (double entry).

    The first four are the member's: ``active``, ``pending`` and ``held`` grow with points, ``debt`` is negative
    when the member owes more. The others are the program's: ``issued`` falls when points are made, ``burned``,
    ``breakage`` grow when they are spent or expire, ``store_loss`` falls when a store stands in for points that
    a member did not have, ``adjusted`` mirrors corrections by hand.
    """

    active: int = 0
    pending: int = 0
    held: int = 0
    debt: int = 0
    issued: int = 0
    burned: int = 0
    breakage: int = 0
    store_loss: int = 0
    adjusted: int = 0


NO_MOVES = Moves()


class Explanation(NamedTuple):
    """Why points came or went: a rule, the line it looked at (0 is the whole sale), the signed points.

    ``code`` names a text that every language has; ``args`` are its values.
    """

    rule_id: str
    line_no: int
    points: int
    code: str
    args: tuple[tuple[str, str], ...] = ()


class LineShare(NamedTuple):
    """One line's part of a sale, stored so that partial returns sum exactly to a full one.

    ``amount_minor`` and ``quantity_milli`` are those of the basket; ``discount_minor`` is paid by points and
    rewards, ``burned_points`` what that cost, ``earned_points`` what the rest earned, ``credits`` what it
    counted towards the tier.
    """

    amount_minor: Minor
    quantity_milli: int
    discount_minor: Minor = Minor(0)
    earned_points: int = 0
    burned_points: int = 0
    credits: int = 0


class TaxTotal(NamedTuple):
    """A tax group after the discount; ``net + tax = gross`` to the minor unit."""

    code: str
    net_minor: Minor
    tax_minor: Minor
    gross_minor: Minor


class AppliedReward(NamedTuple):
    """A reward bought within a sale, or by itself and then without a discount."""

    reward_id: str
    points: int
    discount_minor: Minor


class AppliedCoupon(NamedTuple):
    """A coupon used on a sale, reserved by a hold, or given free by a reverse; ``token`` is that of a unique code.

    A reward that is counted stands among them under the name of its counter, without a discount.
    """

    coupon_id: str
    discount_minor: Minor
    token: str = ""


class ReturnedLine(NamedTuple):
    """What one return brought back of one line of its sale."""

    line_no: int
    quantity_milli: int
    amount_minor: Minor


class CountedLines(NamedTuple):
    """What each line of a sale counted towards one tally, so that returns reckon exactly back.

    With ``whole`` the sale counted once: until every line that has a share is back, nothing is reckoned back.
    """

    key: str
    period: int
    whole: bool
    shares: tuple[int, ...]


class MovedLot(NamedTuple):
    """Points of a transfer that expire together; ``earned_ms`` is when the oldest of them were earned."""

    points: int
    earned_ms: Ms
    expires_ms: Ms


class Transferred(NamedTuple):
    """What an entry has to do with a transfer: which one it is, and who is at its other end.

    ``lots`` are what left the giver, so that the receiver's points expire when they would have; nobody else has them.
    """

    transfer_id: CommandId
    other_id: MemberId
    lots: tuple[MovedLot, ...] = ()


class SharedLines(NamedTuple):
    """What each line of a sale did for one sum over all members, so that returns take exactly that back.

    ``by`` says what its return is measured by: "amount" or "pieces" of the line; or "sale", which counts once until
    every line that has a share is back.
    """

    key: str
    by: str
    shares: tuple[int, ...]


class SharedSum(NamedTuple):
    """What an entry adds to, or takes from, a sum over all members, such as "goal/advent"."""

    key: str
    delta: int


@record(frozen=True, slots=True)
class Detail:
    """The part of an entry that later commands read: shares, lots taken, explanations.

    ``sums`` are what it did for sums over all members, and ``shared`` says the same of each line of a sale.

    ``partner_id`` is the program with which points were exchanged.

    For a return ``due_points``, ``restored_points`` and ``refund_minor`` say what it took back, gave back, and
    what     is to be paid out. ``coupons`` of a sale were used by it, of a hold reserved, of a reverse freed again.
    ``tallies`` are what the entry counted, up or down; ``counted`` says for a sale which line counted how much of it.
    """

    explanations: tuple[Explanation, ...] = ()
    lines: tuple[LineShare, ...] = ()
    allocs: tuple[Alloc, ...] = ()
    tax_totals: tuple[TaxTotal, ...] = ()
    rewards: tuple[AppliedReward, ...] = ()
    payable_minor: Minor = Minor(0)
    credit_day: int = 0
    returned: tuple[ReturnedLine, ...] = ()
    due_points: int = 0
    restored_points: int = 0
    refund_minor: Minor = Minor(0)
    reason: str = ""
    coupons: tuple[AppliedCoupon, ...] = ()
    tallies: tuple[Tally, ...] = ()
    counted: tuple[CountedLines, ...] = ()
    transfer: Transferred | None = None
    shared: tuple[SharedLines, ...] = ()
    sums: tuple[SharedSum, ...] = ()
    partner_id: str = ""


NO_DETAIL = Detail()


@record(frozen=True, slots=True)
class Entry:
    """The balanced postings of one command on one member, and what the balances are after it.

    ``lot_seq`` of a lot made by this entry is ``seq``. ``reverses_seq`` is the entry that a return or reverse
    mirrors (0: none), ``shortfall`` the points of an advice that the member did not have.
    ``claimed_points`` is what a till printed as earned (advices only; -1 otherwise).
    """

    command_id: CommandId
    member_id: MemberId
    seq: int
    kind: EntryKind
    moves: Moves
    active_after: int
    pending_after: int
    held_after: int
    debt_after: int
    tier_after: str
    rule_set: int
    assurance: Assurance
    origin: Origin
    reverses_seq: int = 0
    hold_id: str = ""
    shortfall: int = 0
    claimed_points: int = -1
    detail: Detail = NO_DETAIL


class Refusal(IntEnum):
    """Why a request was refused; where several hold, the one that stands first is given."""

    COMMAND_ID_REUSED = 1
    MEMBER_UNKNOWN = 2
    MEMBER_BLOCKED = 3
    OCCURRED_AT_OUT_OF_RANGE = 4
    RULE_SET_UNKNOWN = 5
    CURRENCY_MISMATCH = 6
    BASKET_EMPTY = 7
    BASKET_INVALID = 8
    TAX_CODE_UNKNOWN = 9
    AMOUNT_OVERFLOW = 10
    REWARD_UNKNOWN = 11
    REWARD_NOT_IN_TIER = 12
    REWARD_NOT_APPLICABLE = 13
    ABOVE_ASSURANCE_CAP = 14
    NOT_WHOLE_UNITS = 15
    BELOW_MINIMUM = 16
    ABOVE_SHARE_CAP = 17
    INSUFFICIENT_POINTS = 18
    HOLD_TTL = 19
    HOLD_UNKNOWN = 20
    HOLD_CLOSED = 21
    HOLD_EXPIRED = 22
    SALE_UNKNOWN = 23
    LINE_UNKNOWN = 24
    OVER_RETURN = 25
    ENTRY_UNKNOWN = 26
    NOT_REVERSIBLE = 27
    ALREADY_REVERSED = 28
    HOLDS_TOO_MANY = 29
    LEASES_OFF = 30
    LEASE_EXISTS = 31
    COUPON_UNKNOWN = 32
    COUPON_USED = 33
    COUPON_NOT_NOW = 34
    COUPON_NOT_APPLICABLE = 35
    MEMBER_LOCKED = 36
    REWARD_SOLD_OUT = 41
    REWARD_LIMIT = 42
    REWARD_NEEDS_GATEWAY = 43
    ACTION_UNKNOWN = 44
    ACTION_LIMIT = 45
    ACTION_NOT_NOW = 46
    REDEMPTION_USED = 47
    ADJUST_NEEDS_SECOND = 50
    TRANSFERS_OFF = 51
    SHARING_LIMIT = 52
    RECEIVER_NOT_ALLOWED = 53
    MEMBER_TOO_NEW = 54
    PROJECT_UNKNOWN = 55
    PARTNER_UNKNOWN = 56
    COUPON_NOT_FOR_MEMBER = 57


@record(frozen=True, slots=True)
class Refused:
    """A stored no. ``details`` are facts for the caller's message, never personal data."""

    reason: Refusal
    details: tuple[tuple[str, str], ...] = ()


@record(frozen=True, slots=True)
class Posted:
    """A stored yes."""

    entry: Entry


@record(frozen=True, slots=True)
class CaughtUp:
    """The answer to ``CatchUp``: how many entries time had made due (0: nothing to do)."""

    entries: int


Decision = Posted | Refused | CaughtUp


def refused(reason: Refusal, **details: object) -> Refused:
    """Return a refusal with its facts as text."""
    return Refused(reason, tuple((name, str(value)) for name, value in details.items()))
