"""Commands: what a caller asks of the ledger, each with an id that the caller minted before its first send.

A *request* may be refused. An *advice* (``SettleSale``) reports a fact and is always posted in full.
"""

from __future__ import annotations

from dataclasses import field
from enum import IntEnum

from tallystick.core.basket import Assurance, Basket, Origin
from tallystick.core.entry import MovedLot
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.core.record import record


@record(frozen=True, slots=True)
class Spend:
    """How many points to burn on a basket.

    ``points`` exactly, or, with ``up_to``, as many whole units as balance, caps and basket allow, at most ``points``.
    """

    points: int
    up_to: bool = False


@record(frozen=True, slots=True)
class CouponRef:
    """A coupon as a caller names it: ``token`` is the blind index of the code (hexadecimal) and stands for it.

    ``code`` in its one spelling is only there to be found among the shared codes of the rule set; it is never stored,
    and nothing that is written shows it.
    """

    token: str
    code: str = field(compare=False, repr=False)


@record(frozen=True, slots=True)
class Sale:
    """One basket sold: its burn, rewards and earn are one command and one entry."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    basket: Basket
    spend: Spend | None = None
    reward_ids: tuple[str, ...] = ()
    assurance: Assurance = Assurance.TYPED
    coupons: tuple[CouponRef, ...] = ()


ACTION = "action"
"""Why points without a basket are given, unless something else is said."""


@record(frozen=True, slots=True)
class Earn:
    """Post points for an action rather than for goods: ``points`` > 0, or those of an action of the rule set.

    With an ``action_id`` the rule set says how many, and ``points`` is 0. ``subject`` is what it was done on. ``why``
    is the code of the explanation of points that no action gives.
    """

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    points: int
    reason: str
    assurance: Assurance = Assurance.TYPED
    action_id: str = ""
    subject: str = ""
    why: str = ACTION


@record(frozen=True, slots=True)
class Burn:
    """Spend ``points`` > 0 outside a basket; ``reason`` says on what."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    points: int
    reason: str
    assurance: Assurance = Assurance.TYPED


@record(frozen=True, slots=True)
class PlaceHold:
    """Reserve points and coupons for a checkout for ``ttl_s`` seconds.

    With a basket the coupons, the rewards and the spend are priced against it; without one ``spend.points`` are held as
    they are.
    """

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    ttl_s: int
    spend: Spend | None = None
    reward_ids: tuple[str, ...] = ()
    basket: Basket | None = None
    assurance: Assurance = Assurance.TYPED
    coupons: tuple[CouponRef, ...] = ()


@record(frozen=True, slots=True)
class Capture:
    """Turn a hold into a burn; with the final basket, also earn. What the basket no longer needs is given back."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    hold_id: CommandId
    basket: Basket | None = None


@record(frozen=True, slots=True)
class Void:
    """Give a hold back."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    hold_id: CommandId


@record(frozen=True, slots=True)
class ReturnLine:
    """Goods of one line brought back: by quantity, or by amount when ``quantity_milli`` is 0."""

    line_no: int
    quantity_milli: int = 0
    amount_minor: Minor = Minor(0)


@record(frozen=True, slots=True)
class Return:
    """Goods of one sale brought back, whole or in part, as often as there is something left."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    sale_id: CommandId
    lines: tuple[ReturnLine, ...]


@record(frozen=True, slots=True)
class Reverse:
    """Mirror an earlier entry whole: a sale rung up by mistake, a wrong adjustment."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    entry_id: CommandId
    reason: str


@record(frozen=True, slots=True)
class Adjust:
    """Correct a balance by hand: ``points`` is signed and not 0; ``reason`` is kept in the entry."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    points: int
    reason: str
    expires_ms: Ms | None = None


@record(frozen=True, slots=True)
class CatchUp:
    """Do what time has made due for one member: mature, expire, release holds, review the tier.

    Posts no entry of its own; the nightly job sends it, and every other command does the same first.
    """

    command_id: CommandId
    member_id: MemberId
    origin: Origin


@record(frozen=True, slots=True)
class GrantLease:
    """Escrow points to a store, so that it can burn them while its line is down; ``command_id`` names the lease.

    How many is for the rules to say.
    """

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    store_id: str


@record(frozen=True, slots=True)
class ReturnLease:
    """Give back what is left of a lease, once all that was burned of it has been reported."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    lease_id: CommandId


@record(frozen=True, slots=True)
class RecallLeases:
    """Ask all stores to give the member's leases back: the points are wanted elsewhere."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin


@record(frozen=True, slots=True)
class IssueVoucher:
    """Turn points into a voucher that one store takes once; ``command_id`` names it.

    It is worth ``points``, or buys ``reward_id`` at its cost (then ``points`` is 0).
    """

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    store_id: str
    points: int = 0
    reward_id: str = ""
    assurance: Assurance = Assurance.TYPED


@record(frozen=True, slots=True)
class RedeemReward:
    """Buy a reward by itself: an experience, an exclusive product. ``command_id`` names the redemption."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    reward_id: str
    assurance: Assurance = Assurance.TYPED


@record(frozen=True, slots=True)
class UseRedemption:
    """Hand out what was bought by itself before."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    redemption_id: CommandId


@record(frozen=True, slots=True)
class TransferOut:
    """Give ``points`` > 0 to another member; ``command_id`` names the transfer.

    Whether both are of one household is the server's to fill in. ``pooling`` moves points between a household's account
    and that of one of its people: their own affair, which no limit of transfers is about.
    """

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    to_member_id: MemberId
    points: int
    assurance: Assurance = Assurance.TYPED
    same_household: bool = False
    pooling: bool = False


@record(frozen=True, slots=True)
class TransferIn:
    """Take over the points of a transfer that has left its giver; each lot keeps its expiry."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    transfer_id: CommandId
    from_member_id: MemberId
    lots: tuple[MovedLot, ...]


@record(frozen=True, slots=True)
class TransferBack:
    """Give the points of a transfer back to its giver, because its receiver cannot take them."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    transfer_id: CommandId
    why: str


@record(frozen=True, slots=True)
class ConvertOut:
    """Turn ``points`` > 0 into points of a partner program, for a member there; ``command_id`` names the transfer."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    partner_id: str
    to_member_id: MemberId
    points: int
    assurance: Assurance = Assurance.TYPED


@record(frozen=True, slots=True)
class ConvertIn:
    """Take over ``points`` > 0 that a partner program has turned into points of this one."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    partner_id: str
    transfer_id: CommandId
    from_member_id: MemberId
    points: int


@record(frozen=True, slots=True)
class Donate:
    """Spend ``points`` > 0 for a project of the rule set."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    project_id: str
    points: int
    assurance: Assurance = Assurance.TYPED


@record(frozen=True, slots=True)
class AwardGoal:
    """Give a member the award of a goal that all members have reached; ``points`` > 0."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    goal_id: str
    points: int


class AuthorityKind(IntEnum):
    """By what right a till burned points without asking. The numbers are those of the contract."""

    LEASE = 1
    VOUCHER = 2
    FLOOR = 3


@record(frozen=True, slots=True)
class Authority:
    """One part of a burn at a till: by what right, out of which lease or voucher (empty: the floor limit), how much."""

    kind: AuthorityKind
    points: int
    hold_id: CommandId = CommandId("")


@record(frozen=True, slots=True)
class SettleSale:
    """A sale that a till has already made while the server was away (an advice: a fact, never refused).

    ``burned_points`` and ``discount_minor`` are what the till gave; ``earned_points`` what it printed.
    ``rule_set`` is the version that it used. ``authorities`` say by what right it burned; what they do not sum to
    counts as burned within the floor limit. ``spend`` is what the member asked for.
    """

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    basket: Basket
    rule_set: int
    earned_points: int
    burned_points: int = 0
    discount_minor: Minor = Minor(0)
    reward_ids: tuple[str, ...] = ()
    assurance: Assurance = Assurance.TYPED
    authorities: tuple[Authority, ...] = ()
    spend: Spend | None = None


@record(frozen=True, slots=True)
class SettleReturn:
    """Goods that a till has taken back already (an advice). What is more than was left of the sale changes nothing."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    sale_id: CommandId
    lines: tuple[ReturnLine, ...]
    rule_set: int


@record(frozen=True, slots=True)
class SettleUndo:
    """A sale that a till has undone already (an advice). One that was undone before changes nothing."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin
    sale_id: CommandId
    rule_set: int


@record(frozen=True, slots=True)
class SettleEnrolment:
    """A person has joined at a till (an advice); the member is there already when this is decided."""

    command_id: CommandId
    member_id: MemberId
    origin: Origin


Advice = SettleSale | SettleReturn | SettleUndo | SettleEnrolment
Command = (
    Sale
    | Earn
    | Burn
    | PlaceHold
    | Capture
    | Void
    | Return
    | Reverse
    | Adjust
    | CatchUp
    | GrantLease
    | ReturnLease
    | RecallLeases
    | IssueVoucher
    | RedeemReward
    | UseRedemption
    | TransferOut
    | TransferIn
    | TransferBack
    | ConvertOut
    | ConvertIn
    | Donate
    | AwardGoal
    | Advice
)
