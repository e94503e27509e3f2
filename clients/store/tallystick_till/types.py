"""What the till is asked and what it answers: the records behind its local interface, field by field.

Amounts are minor units, quantities thousandths, instants milliseconds since 1970, ids canonical UUID text.
"""

from __future__ import annotations

from dataclasses import field

from tallystick.core.basket import Basket
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.record import record


@record(frozen=True, slots=True)
class RewardView:
    """A reward and whether the member can have it now."""

    reward_id: str
    label: str
    cost_points: int
    affordable: bool


@record(frozen=True, slots=True)
class ChallengeView:
    """A challenge that the member has nearly met. ``left`` is what is missing, in the unit of ``counts``.

    ``counts``: sales, spend (minor units), pieces, points or days. ``last_day`` (YYYY-MM-DD) is the last day of its
    period when that is near, else empty.
    """

    challenge_id: str
    name: str
    counts: str
    left: int
    last_day: str


@record(frozen=True, slots=True)
class MemberView:
    """A member as the screen shows it. ``name`` comes from the gateway only and is never stored.

    ``points`` is the shown balance, ``burn_limit_points`` what may be burned now and ``burn_limit_reason`` why it is
    not more. ``source`` is ``server`` or ``snapshot``. ``challenges`` are known of a scan that the gateway answered.
    """

    member_ref: str
    name: str
    tier: str
    tier_label: str
    points: int
    worth_minor: int
    assurance: int
    status: str
    source: str
    as_of_ms: int
    burn_limit_points: int
    burn_limit_reason: str
    rewards: tuple[RewardView, ...] = ()
    challenges: tuple[ChallengeView, ...] = ()


@record(frozen=True, slots=True)
class VoucherView:
    """A voucher whose signature holds; whether it has been used is asked when it is."""

    voucher_id: str
    member_ref: str
    points: int
    reward_id: str
    expires_ms: int


@record(frozen=True, slots=True)
class SaleLine:
    """One line of a sale, with what came back of it."""

    line_no: int
    sku: str
    text: str
    quantity_milli: int
    amount_minor: int
    discount_minor: int
    returned_milli: int


@record(frozen=True, slots=True)
class ChallengeMetView:
    """A challenge that a sale has met, ``times`` times, and what it won in all; ``badge`` is empty for none."""

    challenge_id: str
    name: str
    times: int
    points: int
    badge: str


@record(frozen=True, slots=True)
class SaleView:
    """A sale that this till knows. ``state``: queued, posted, adjusted, parked or quarantined.

    ``challenges_met`` is what the gateway said of it; a queued sale has none yet.
    """

    sale_id: str
    occurred_ms: int
    reference: str
    member_ref: str
    amount_minor: int
    earned_points: int
    burned_points: int
    discount_minor: int
    payable_minor: int
    lines: tuple[SaleLine, ...]
    undone: bool
    state: str
    challenges_met: tuple[ChallengeMetView, ...] = ()


@record(frozen=True, slots=True)
class Identified:
    """A scan that leads to a member."""

    member: MemberView


@record(frozen=True, slots=True)
class VoucherScan:
    """A scan of a voucher, and its member."""

    voucher: VoucherView
    member: MemberView


@record(frozen=True, slots=True)
class ReceiptScan:
    """A scan of a receipt."""

    sale: SaleView


@record(frozen=True, slots=True)
class NotIdentified:
    """A scan that leads nowhere, and why."""

    reason: str


Scanned = Identified | VoucherScan | ReceiptScan | NotIdentified


@record(frozen=True, slots=True)
class SaleAsk:
    """What the cashier wants to sell. ``texts`` are the lines' descriptions in their order (or none).

    ``sale_id`` makes a resend safe; empty lets the till mint one. ``voucher`` is the text of a scan. ``language`` is
    that of texts and of the receipt, a BCP 47 tag; empty is English.
    """

    member_ref: str
    basket: Basket
    texts: tuple[str, ...] = ()
    spend: Spend | None = None
    reward_ids: tuple[str, ...] = ()
    voucher: str = ""
    sale_id: str = ""
    reference: str = ""
    basket_id: str = ""
    # Not in what tells one sale from another: the same sale may be asked for again in another language.
    language: str = field(default="", repr=False)


@record(frozen=True, slots=True)
class ExplanationView:
    """Why points come or go; ``text`` is in the language of the ask, ``code`` and ``args`` are what it says."""

    text: str
    code: str
    args: dict[str, str]
    points: int
    line_no: int


@record(frozen=True, slots=True)
class RefusalView:
    """Why something would be refused."""

    reason: str
    details: dict[str, str] = field(default_factory=dict)


@record(frozen=True, slots=True)
class Quote:
    """What a sale would do; nothing of it is kept. ``stand_in``: the till would decide by itself."""

    earned_points: int
    burned_points: int
    discount_minor: int
    payable_minor: int
    burn_limit_points: int
    explanations: tuple[ExplanationView, ...]
    refusal: RefusalView | None
    stand_in: bool


@record(frozen=True, slots=True)
class AuthorityView:
    """By what right points were burned: ``lease``, ``voucher``, ``floor`` or ``server``."""

    kind: str
    points: int


@record(frozen=True, slots=True)
class Receipt:
    """What to print. ``qr`` is the digits of the signed sale; empty when there is none or it is too long for a code."""

    lines: tuple[str, ...]
    qr: str


@record(frozen=True, slots=True)
class SaleDone:
    """A sale that is on the disk. The same ``sale_id`` gets the same answer again, also after a restart."""

    sale_id: str
    member_ref: str
    earned_points: int
    burned_points: int
    discount_minor: int
    payable_minor: int
    balance_points: int
    stand_in: bool
    authority: tuple[AuthorityView, ...]
    receipt: Receipt


@record(frozen=True, slots=True)
class ReturnAsk:
    """Goods brought back of a sale, named by its id or by a scan of its receipt.

    ``member_ref`` is needed for a sale of which this till knows nothing but the id.
    """

    lines: tuple[ReturnLine, ...]
    sale_id: str = ""
    receipt: str = ""
    return_id: str = ""
    reference: str = ""
    member_ref: str = ""


@record(frozen=True, slots=True)
class ReturnedView:
    """How much of one line comes back."""

    line_no: int
    quantity_milli: int
    amount_minor: int


@record(frozen=True, slots=True)
class ReturnPreview:
    """What a return does. ``exact`` is false where only the gateway knows all that came back before."""

    refund_minor: int
    taken_points: int
    restored_points: int
    debt_points: int
    balance_points: int
    lines: tuple[ReturnedView, ...]
    exact: bool


@record(frozen=True, slots=True)
class ReturnDone:
    """A return that is on the disk; ``state`` is queued or posted."""

    return_id: str
    sale_id: str
    refund_minor: int
    taken_points: int
    restored_points: int
    debt_points: int
    balance_points: int
    lines: tuple[ReturnedView, ...]
    exact: bool
    state: str


@record(frozen=True, slots=True)
class UndoDone:
    """A sale undone whole: burned points that went back, earned points that were taken."""

    undo_id: str
    sale_id: str
    returned_points: int
    taken_points: int
    balance_points: int


@record(frozen=True, slots=True)
class Enrolled:
    """A new member. ``number`` is empty while the gateway has not given one; ``state`` is posted or queued."""

    member: MemberView
    number: str
    state: str


@record(frozen=True, slots=True)
class QueueItem:
    """An advice that waits, or whose verdict somebody should read."""

    advice_id: str
    kind: str
    occurred_ms: int
    state: str
    reasons: tuple[str, ...]
    told_points: int
    posted_points: int
    seen: bool
    reference: str
    shortfall_points: int = 0


@record(frozen=True, slots=True)
class CashierView:
    """Who is signed in."""

    cashier_id: str
    label: str


@record(frozen=True, slots=True)
class SignedIn:
    """A cashier who signed in; ``checked`` is ``server`` or ``stand-in`` (then it only says who it was)."""

    cashier: CashierView
    checked: str


@record(frozen=True, slots=True)
class TillView:
    """This till; ``hub`` is self, reachable, away or none, ``rivals`` names other tills that keep leases as well."""

    till_id: str
    label: str
    store_id: str
    hub: str
    rivals: tuple[str, ...] = ()


@record(frozen=True, slots=True)
class ProgramView:
    """What the screen needs of the program: ``value_points`` points are worth ``value_minor``."""

    program_id: str
    name: str
    currency: str
    decimals: int
    value_points: int
    value_minor: int
    unit_points: int
    minimum_points: int


@record(frozen=True, slots=True)
class Attention:
    """How many verdicts nobody has read yet."""

    adjusted: int
    parked: int
    quarantined: int


@record(frozen=True, slots=True)
class FloorView:
    """How much of this till's floor limit is used."""

    used_points: int
    cap_points: int


@record(frozen=True, slots=True)
class Allowed:
    """Whether something is allowed, and why not (or, when it is, what limits it)."""

    allowed: bool
    reason: str


@record(frozen=True, slots=True)
class RulesView:
    """Which rule set the till goes by; version 0 for none."""

    version: int
    valid_until_ms: int


@record(frozen=True, slots=True)
class ProtocolView:
    """Whether the gateway speaks a newer protocol than this till."""

    newer: bool


@record(frozen=True, slots=True)
class Status:
    """All that the screen shows around a sale."""

    till: TillView
    program: ProgramView
    mode: str
    link: str
    link_since_ms: int
    last_contact_ms: int
    queued: int
    attention: Attention
    worst_case_points: int
    floor: FloorView
    burn: Allowed
    sell: Allowed
    rules: RulesView
    server_protocol: ProtocolView
    cashier: CashierView | None
    pin_required: bool
