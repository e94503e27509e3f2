"""A rule set, parsed and checked: one published, numbered, immutable version of a program's rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.record import record
from tallystick.core.rules.access import Access
from tallystick.core.rules.action import Action
from tallystick.core.rules.budget import Budget
from tallystick.core.rules.experiment import NO_GROUPS, Experiment
from tallystick.core.rules.index import LineIndex, Selector, index_of
from tallystick.core.rules.notifications import Notifications
from tallystick.core.rules.period import NO_LIMIT, Limit
from tallystick.core.rules.referral import Referring
from tallystick.core.rules.reminders import Reminders
from tallystick.core.rules.scanning import Scanning
from tallystick.core.rules.segment import Segment, goods_days
from tallystick.core.rules.transfers import Transfers
from tallystick.core.rules.watch import Watching

if TYPE_CHECKING:
    from tallystick.core.rules.challenge import Challenge
    from tallystick.core.rules.charity import Charity
    from tallystick.core.rules.goal import Goal
    from tallystick.core.rules.membership import Membership
    from tallystick.core.rules.partner import Partner

DAY_MS = 86_400_000


class Rounding(StrEnum):
    """How a fraction of a point becomes whole; written in the rule set, applied once per sale."""

    DOWN = "down"
    HALF_UP = "half_up"
    UP = "up"


class Combine(StrEnum):
    """What several matching multipliers make together: the highest, their bonuses added, or their product."""

    HIGHEST = "highest"
    SUM = "sum"
    PRODUCT = "product"


@record(frozen=True, slots=True)
class Condition:
    """Which sales a rule looks at. Empty sets do not restrict.

    ``weekdays`` count from Monday = 0. ``minutes`` are [from, to) pairs of minutes of the local day.
    ``from_ms`` <= occurred < ``until_ms``. ``groups`` are variants of experiments, "experiment/variant".
    ``budget_of`` is the rule whose budget must not be used up (empty: none).
    """

    stores: frozenset[str] = frozenset()
    channels: frozenset[int] = frozenset()
    tiers: frozenset[str] = frozenset()
    weekdays: frozenset[int] = frozenset()
    minutes: tuple[tuple[int, int], ...] = ()
    from_ms: Ms = Ms(0)
    until_ms: Ms = NEVER_MS
    memberships: frozenset[str] = frozenset()
    groups: frozenset[str] = NO_GROUPS
    budget_of: str = ""


@record(frozen=True, slots=True)
class AccrualRule:
    """One rule that gives points. Exactly one of the four ways is meant by ``kind``:

    ``per_amount``: ``points`` for each ``per_minor`` of the lines; ``per_item``: ``points`` for each piece;
    ``per_sale``: ``points`` once, if a line fits; ``multiply``: what the per_amount and per_item rules gave on
    the lines, times ``num / den``.
    """

    rule_id: str
    kind: str
    points: int = 0
    per_minor: int = 1
    num: int = 1
    den: int = 1
    lines: Selector = Selector()
    when: Condition = Condition()
    budget: Budget | None = None


class Weighed(NamedTuple):
    """A rule as every sale needs it, worked out once for a rule set.

    ``weight`` is its share of points in parts of the common denominator: for each minor unit (``per_amount``), each
    thousandth of a piece (``per_item``) or once (``per_sale``); 0 for a multiplier. ``condition`` is the place of its
    condition in ``Earning.conditions``, ``rest`` what is still to be asked of a line that the index has found.
    """

    rule: AccrualRule
    weight: int
    by_amount: bool
    condition: int
    rest: Selector | None


@record(frozen=True, slots=True)
class Earning:
    """How a basket becomes points. ``denominator`` is common to all rules, so that shares stay integers.

    ``net_of_tax``: count amounts without tax. ``minimum_minor``: smaller baskets earn nothing (compared before
    benefits). ``points_max`` per sale (0: no cap). ``on_points_part``: whether the part paid with points earns.
    """

    rules: tuple[AccrualRule, ...]
    denominator: int
    exclude: tuple[Selector, ...] = ()
    rounding: Rounding = Rounding.DOWN
    combine: Combine = Combine.HIGHEST
    net_of_tax: bool = False
    minimum_minor: int = 0
    points_max: int = 0
    on_points_part: bool = False
    pending_days: int = 0
    basic: tuple[Weighed, ...] = field(init=False, repr=False, compare=False)
    factors: tuple[Weighed, ...] = field(init=False, repr=False, compare=False)
    once: tuple[Weighed, ...] = field(init=False, repr=False, compare=False)
    conditions: tuple[Condition, ...] = field(init=False, repr=False, compare=False)
    """What the rules ask of a sale, each once: many rules share few of them."""
    basic_index: LineIndex = field(init=False, repr=False, compare=False)
    factor_index: LineIndex = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        unit = self.denominator
        parts = {"per_amount": 1, "per_item": 1000, "per_sale": 1}
        # Equal conditions become one; that of no restriction stays the object that costs nothing to ask.
        places: dict[Condition, int] = {}
        asked = [places.setdefault(rule.when, len(places)) for rule in self.rules]
        object.__setattr__(self, "conditions", tuple(places))
        kinds = {"basic": ("per_amount", "per_item"), "factors": ("multiply",), "once": ("per_sale",)}
        for name, names in kinds.items():
            chosen = [at for at, rule in enumerate(self.rules) if rule.kind in names]
            index = index_of([self.rules[at].lines for at in chosen])
            weighed = []
            for at, rest in zip(chosen, index.rest, strict=True):
                rule = self.rules[at]
                weight = (
                    rule.points * unit // (rule.per_minor * parts[rule.kind]) if rule.kind in parts else 0
                )
                weighed.append(Weighed(rule, weight, rule.kind == "per_amount", asked[at], rest))
            object.__setattr__(self, name, tuple(weighed))
            if name != "once":
                object.__setattr__(self, f"{name.removesuffix('s')}_index", index)


class ExpiryKind(StrEnum):
    """When a lot expires: never, some months after it was earned, or at the end of that month or year."""

    NEVER = "never"
    MONTHS = "months"
    END_OF_MONTH = "end_of_month"
    END_OF_YEAR = "end_of_year"


@record(frozen=True, slots=True)
class Expiry:
    """``count`` months or, for END_OF_YEAR, further years (0: the end of this year)."""

    kind: ExpiryKind = ExpiryKind.NEVER
    count: int = 0


@record(frozen=True, slots=True)
class Level:
    """One tier, reached from ``threshold`` qualifying credits; whoever climbs to it is given ``gift_points``."""

    tier_id: str
    threshold: int
    gift_points: int = 0


class TierBasis(StrEnum):
    """What qualifies: minor units spent, points earned, or sales."""

    SPEND = "spend"
    POINTS = "points"
    VISITS = "visits"


class TierPeriod(StrEnum):
    """Over which time credits count: the calendar year, the last ``rolling_days``, or the year since enrolment."""

    CALENDAR_YEAR = "calendar_year"
    ROLLING = "rolling"
    ANNIVERSARY = "anniversary"


class Downgrade(StrEnum):
    """What happens at a review when credits no longer carry the tier."""

    ONE_STEP = "one_step"
    BY_BALANCE = "by_balance"
    NEVER = "never"


@record(frozen=True, slots=True)
class Tiers:
    """Levels from the lowest (threshold 0) up. ``grace_days`` pass between a period's end and the review."""

    levels: tuple[Level, ...]
    basis: TierBasis
    period: TierPeriod
    rolling_days: int = 365
    downgrade: Downgrade = Downgrade.ONE_STEP
    grace_days: int = 0
    ranks: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """Position of each tier, from the lowest = 0."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", {level.tier_id: rank for rank, level in enumerate(self.levels)})


@record(frozen=True, slots=True)
class Burning:
    """What points are worth: ``value_points`` points are ``value_minor`` minor units.

    Points are burned in multiples of ``unit_points``, from ``minimum_points``, for at most ``share_max_ppm`` of a
    basket, and at most ``assurance_caps[level]`` at an assurance level (-1: no cap).
    """

    value_points: int = 1
    value_minor: int = 1
    unit_points: int = 1
    minimum_points: int = 1
    share_max_ppm: int = 1_000_000
    assurance_caps: tuple[int, ...] = (0, -1, -1, -1, -1)


WITHOUT_BASKET = ("experience", "product")
"""Kinds of rewards that are bought by themselves."""


@record(frozen=True, slots=True)
class Reward:
    """What points buy. ``kind``: ``money_off`` (``amount_minor``), ``percent_off`` (``percent_ppm`` of the fitting
    lines, at most ``amount_minor`` if that is not 0), ``free_item`` (one piece of a fitting line); ``experience`` and
    ``product`` are bought without a basket.

    ``stock`` is how many there are for all members together (0: no end of them), ``limit`` how often a member may have
    it in a period.
    """

    reward_id: str
    kind: str
    cost: int
    amount_minor: int = 0
    percent_ppm: int = 0
    lines: Selector = Selector()
    when: Condition = Condition()
    minimum_minor: int = 0
    name: str = ""
    stock: int = 0
    limit: Limit = NO_LIMIT

    @property
    def limited(self) -> bool:
        """Whether it is counted, so that only the gateway can say that there is one left."""
        return self.stock > 0 or self.limit.count > 0

    @property
    def in_basket(self) -> bool:
        """Whether it is taken within a sale."""
        return self.kind not in WITHOUT_BASKET


@record(frozen=True, slots=True)
class Coupon:
    """What a code takes off within a sale. ``kind`` and amounts are those of a ``Reward``.

    ``code`` is the shared code as people read it, ``spelled`` in its one spelling; without one every code is unique and
    counts once. ``per_member``
    and ``total`` are how often all its codes together may be used (0: no limit). An ``exclusive`` coupon goes with no
    other coupon. A card shows a shared code that has ``show``. One with a ``segment`` is for its members alone, and
    for each of them for ``days`` from when they came into it (0: as long as they are in it).
    """

    coupon_id: str
    kind: str
    amount_minor: int = 0
    percent_ppm: int = 0
    lines: Selector = Selector()
    when: Condition = Condition()
    minimum_minor: int = 0
    code: str = ""
    spelled: str = ""
    per_member: int = 1
    total: int = 0
    exclusive: bool = False
    show: bool = False
    segment: str = ""
    days: int = 0


@record(frozen=True, slots=True)
class Offer:
    """What a member sees of an offer: its name, and the coupon that it is."""

    offer_id: str
    name: str
    coupon_id: str


class SpentPolicy(StrEnum):
    """Points of returned goods, spent meanwhile: taken while pending only, as far as the balance goes, or owed."""

    ONLY_PENDING = "only_pending"
    WITHIN_BALANCE = "within_balance"
    DEBT = "debt"


@record(frozen=True, slots=True)
class Returns:
    """``grace_days``: how long points that come back to an expired lot can still be spent."""

    spent: SpentPolicy = SpentPolicy.DEBT
    grace_days: int = 0


@record(frozen=True, slots=True)
class Holds:
    """``late_capture_if_covered``: a capture after expiry burns from the balance if it suffices; else it is refused."""

    ttl_max_s: int = 86_400
    open_max: int = 20
    late_capture_if_covered: bool = False


@record(frozen=True, slots=True)
class Offline:
    """What stores may do while the line is down.

    A lease is ``lease_share_ppm`` of the balance (0: no leases), at most ``lease_points_max`` (0: the dearest reward,
    or no maximum where there are no rewards). It can be burned for ``lease_ttl_s``; ``grace_s`` after its end what is
    left goes back, so that whoever burned in time has time to say so; the same goes for vouchers and
    ``voucher_ttl_s``. With neither, a till burns at most ``floor_sale_points`` in one sale,
    ``floor_member_points`` of one member and ``floor_till_points`` in all before it is heard of again. After
    ``away_max_s`` without the gateway a till only earns.
    """

    lease_share_ppm: int = 250_000
    lease_points_max: int = 0
    lease_ttl_s: int = 48 * 3600
    voucher_ttl_s: int = 30 * 86_400
    grace_s: int = 7 * 86_400
    floor_sale_points: int = 500
    floor_member_points: int = 500
    floor_till_points: int = 5_000
    away_max_s: int = 30 * 86_400


@record(frozen=True, slots=True)
class RuleSet:
    """One version of a program's rules. ``sha256`` is over the canonical JSON of the text it was parsed from."""

    version: int
    sha256: str
    name: str
    currency: str
    zone: ZoneInfo
    earning: Earning
    expiry: Expiry = Expiry()
    tiers: Tiers | None = None
    burning: Burning = Burning()
    rewards: tuple[Reward, ...] = ()
    coupons: tuple[Coupon, ...] = ()
    memberships: tuple[Membership, ...] = ()
    challenges: tuple[Challenge, ...] = ()
    actions: tuple[Action, ...] = ()
    access: tuple[Access, ...] = ()
    returns: Returns = Returns()
    holds: Holds = Holds()
    offline: Offline = Offline()
    scanning: Scanning = Scanning()
    referral: Referring | None = None
    watch: Watching = Watching()
    transfers: Transfers | None = None
    charity: Charity | None = None
    goals: tuple[Goal, ...] = ()
    partners: tuple[Partner, ...] = ()
    notifications: Notifications = Notifications()
    reminders: Reminders | None = None
    experiments: tuple[Experiment, ...] = ()
    segments: tuple[Segment, ...] = ()
    offers: tuple[Offer, ...] = ()
    holdout_percent: int = 0
    budgets: tuple[AccrualRule, ...] = field(init=False, repr=False, compare=False)
    """The rules that have one."""
    goods_days: int = field(init=False, repr=False, compare=False)
    """For how many days the goods of sales are kept, because a segment asks about them; 0: not at all."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "goods_days", goods_days(self.segments))
        budgets = tuple(rule for rule in self.earning.rules if rule.budget is not None)
        object.__setattr__(self, "budgets", budgets)
