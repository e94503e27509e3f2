"""What a program brings, worked out from its ledger: key figures of a period, and what an experiment has shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple, TypeVar

from tallystick.core.entry import AppliedCoupon, Entry, EntryKind
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.lots import local_day, midnight_ms
from tallystick.core.money import spread
from tallystick.core.record import record
from tallystick.core.rules.experiment import HOLDOUT, Experiment, group_of, held_out
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.reward import is_counter
from tallystick.service.errors import FailedPrecondition, InvalidInput, NotFound
from tallystick.service.histories import MemberHistory, Sold, histories, sold
from tallystick.service.lift import Lift, Sample, lift_of
from tallystick.service.rulebook import RuleBook
from tallystick.service.segment_ports import Books, BooksSource

DAYS_MAX = 1_096
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)
"""The days that the contract can name."""

CAMPAIGNS_MAX = 1_000
YEAR_DAYS = 365
PPM = 1_000_000

Result = TypeVar("Result")


class Period(NamedTuple):
    """``from_ms`` <= a sale < ``until_ms``; ``before_ms`` begins the period of the same length before it."""

    first: date
    last: date
    before_ms: Ms
    from_ms: Ms
    until_ms: Ms

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1


@dataclass(slots=True)
class Campaign:
    """What one rule, reward, coupon or action has given in a period, before anything came back.

    ``points`` is what it gave, or what a reward was bought with.
    """

    campaign_id: str
    kind: str
    sales: int = 0
    points: int = 0
    discount_minor: int = 0
    cost_minor: int = 0


@dataclass(slots=True)
class Kpis:
    """The key figures of a period. A sale counts at its own time, less what came back of it until now.

    Shares are in millionths; None where there is nothing to take a share of.
    """

    period: Period
    currency: str
    members: int = 0
    buyers: int = 0
    buyers_before: int = 0
    stayed: int = 0
    repeaters: int = 0
    sales: int = 0
    revenue_minor: int = 0
    issued: int = 0
    burned: int = 0
    expired: int = 0
    burned_ever: int = 0
    expired_ever: int = 0
    outstanding: int = 0
    liability_minor: int = 0
    reached: Sample = field(default_factory=Sample)
    held_out: Sample = field(default_factory=Sample)
    campaigns: list[Campaign] = field(default_factory=list)
    months: dict[date, Month] = field(default_factory=dict)

    @property
    def average_sale_minor(self) -> int:
        """What was paid for a sale, rounded down."""
        return self.revenue_minor // self.sales if self.sales else 0

    @property
    def sales_per_buyer_milli(self) -> int:
        """Sales by buyers, in thousandths."""
        return self.sales * 1000 // self.buyers if self.buyers else 0

    @property
    def repeat_ppm(self) -> int | None:
        """The share of buyers who bought more than once."""
        return _share(self.repeaters, self.buyers)

    @property
    def retention_ppm(self) -> int | None:
        """The share of those who bought in the period before and bought again."""
        return _share(self.stayed, self.buyers_before)

    @property
    def redemption_ppm(self) -> int | None:
        """What was burned by what was issued."""
        return _share(self.burned, self.issued)

    @property
    def breakage_ppm(self) -> int | None:
        """The share that expired among the points that came to an end."""
        return _share(self.expired, self.expired + self.burned)

    @property
    def expected_breakage_ppm(self) -> int | None:
        """The same since the beginning."""
        return _share(self.expired_ever, self.expired_ever + self.burned_ever)

    @property
    def lifetime_value_minor(self) -> int | None:
        """Revenue by buyer and year, by the share of buyers lost in a year; None when nobody bought before or is lost.

        A simple formula that takes this period for all that follow; costs of the goods are not in it.
        """
        kept = self.retention_ppm
        if kept is None or not self.buyers or kept >= PPM:
            return None
        years = self.period.days / YEAR_DAYS
        lost = 1 - (kept / PPM) ** (1 / years)
        return int(self.revenue_minor / self.buyers / years / lost)

    def member_share_ppm(self, total_minor: int) -> int | None:
        """What members paid by all that was sold."""
        return _share(self.revenue_minor, total_minor)

    @property
    def incremental(self) -> Lift | None:
        """How much more a member bought whom offers reach than one of the holdout."""
        return lift_of(self.reached, self.held_out)

    @property
    def incremental_sales_minor(self) -> int:
        """That for all whom offers reach; 0 where there is no holdout."""
        found = self.incremental
        return found.difference_minor * self.reached.members if found else 0


@dataclass(slots=True)
class Month:
    """What is drawn of one month."""

    sales: int = 0
    revenue_minor: int = 0
    issued: int = 0
    burned: int = 0
    expired: int = 0


@dataclass(slots=True)
class GroupResult:
    """What the members of one variant did while the experiment ran."""

    variant: str
    spent: Sample = field(default_factory=Sample)
    buyers: int = 0
    sales: int = 0
    points: int = 0
    cost_minor: int = 0
    lift: Lift | None = None


@record(frozen=True, slots=True)
class ExperimentResult:
    """What an experiment has shown; ``against`` is the variant that the others are measured against."""

    experiment: Experiment
    currency: str
    against: str
    groups: tuple[GroupResult, ...]


def period_of(rules: RuleSet, first: date, last: date) -> Period:
    """Return the period of some days of the program's time zone. Raises ``InvalidInput``."""
    for name, day in (("first_on", first), ("last_on", last)):
        if not FIRST_DAY <= day <= LAST_DAY:
            raise _no_period(name, f"must be a day from {FIRST_DAY} to {LAST_DAY}")
    days = (last - first).days + 1
    if not 1 <= days <= DAYS_MAX:
        raise _no_period("last_on", f"must not be before the first day, at most {DAYS_MAX} days in all")
    before, behind = first - timedelta(days=days), last + timedelta(days=1)
    return Period(first, last, *(midnight_ms(day, rules.zone) for day in (before, first, behind)))


def kpis_of(members: Iterable[MemberHistory], rules: RuleSet, period: Period) -> Kpis:
    """Return the key figures of a period."""
    found = Kpis(period, rules.currency)
    campaigns: dict[tuple[str, str], Campaign] = {}
    for member in members:
        sales = [one for one in sold(member.entries) if one.at_ms < period.until_ms]
        undone = {entry.reverses_seq for entry in member.entries if entry.kind is EntryKind.REVERSE}
        if member.account.enrolled_ms < period.until_ms:
            _add_member(found, rules, member.account.member_id, sales)
        for entry in member.entries:
            _add_points(found, rules, entry)
            if entry.moves.issued < 0 and not entry.detail.lines and entry.seq not in undone:
                _add_action(campaigns, entry, period)
        for one in sales:
            if one.at_ms >= period.from_ms:
                _add_sale(found, rules, one)
                _add_campaigns(campaigns, one)
    for campaign in campaigns.values():
        given = campaign.points if campaign.kind in ("rule", "action") else 0
        campaign.cost_minor = worth_minor(rules, given)
        if campaign.kind == "coupon":
            campaign.cost_minor = campaign.discount_minor
    dearest = sorted(campaigns.values(), key=lambda one: (-one.cost_minor, one.kind, one.campaign_id))
    found.campaigns = dearest[:CAMPAIGNS_MAX]
    left = PPM - (found.expected_breakage_ppm or 0)
    found.liability_minor = worth_minor(rules, max(0, found.outstanding) * left // PPM)
    found.months = dict(sorted(found.months.items()))
    return found


def experiment_of(
    members: Iterable[MemberHistory], rules: RuleSet, experiment: Experiment
) -> ExperimentResult:
    """Return what an experiment has shown: everybody counts who had joined before its end, buyers or not."""
    names = [name for name, _ in experiment.variants]
    held = experiment.holdout_percent or rules.holdout_percent
    groups = {name: GroupResult(name) for name in (*names, *([HOLDOUT] if held else []))}
    for member in members:
        account = member.account
        if account.enrolled_ms >= experiment.until_ms:
            continue
        group = groups[group_of(experiment, account.member_id, holdout_percent=rules.holdout_percent)]
        sales = [one for one in sold(member.entries) if experiment.from_ms <= one.at_ms < experiment.until_ms]
        group.spent.add(sum(one.paid_minor for one in sales))
        group.buyers += bool(sales)
        group.sales += len(sales)
        group.points += sum(one.points for one in sales)
        group.cost_minor += sum(coupon.discount_minor for one in sales for coupon in coupons_of(one))
    against = groups[HOLDOUT if held else names[0]]
    for group in groups.values():
        group.cost_minor += worth_minor(rules, group.points)
        group.lift = None if group is against else lift_of(group.spent, against.spent)
    return ExperimentResult(experiment, rules.currency, against.variant, tuple(groups.values()))


def worth_minor(rules: RuleSet, points: int) -> int:
    """Return what points take off baskets, rounded down."""
    return points * rules.burning.value_minor // rules.burning.value_points


class Insight:
    """Key figures and experiments of programs, read from the store when they are asked for.

    A ledger of more than ``entries_max`` entries is not read here: it takes about 100 microseconds an entry, and the
    command line reads it beside the server.
    """

    def __init__(self, store: BooksSource, rulebook: RuleBook, *, entries_max: int) -> None:
        self._store = store
        self._rulebook = rulebook
        self._entries_max = entries_max

    def kpis(self, program_id: ProgramId, first: date, last: date) -> Kpis:
        """Return the key figures of a period. Raises ``InvalidInput``, ``FailedPrecondition``."""
        rules = self._rules(program_id)
        period = period_of(rules, first, last)
        return self._read(program_id, lambda books: kpis_of(histories(books), rules, period))

    def experiment(self, program_id: ProgramId, experiment_id: str) -> ExperimentResult:
        """Return what an experiment has shown. Raises ``NotFound``, ``FailedPrecondition``."""
        rules = self._rules(program_id)
        found = find_experiment(rules, experiment_id)
        return self._read(program_id, lambda books: experiment_of(histories(books), rules, found))

    def _rules(self, program_id: ProgramId) -> RuleSet:
        rules = self._rulebook.current(program_id)
        if rules is None:
            raise FailedPrecondition(
                "The program has no rule set yet.", mend="Publish one.", reason="RULE_SET_NOT_FOUND"
            )
        return rules

    def _read(self, program_id: ProgramId, work: Callable[[Books], Result]) -> Result:
        with self._store.snapshot(program_id) as books:
            entries = books.entry_count()
            if entries > self._entries_max:
                raise FailedPrecondition(
                    "The ledger has more entries than are read for one answer.",
                    mend="Run `tallystick report` beside the database.",
                    reason="LEDGER_TOO_LARGE",
                    entries=entries,
                    max=self._entries_max,
                )
            return work(books)


def find_experiment(rules: RuleSet, experiment_id: str) -> Experiment:
    """Return an experiment of the rule set. Raises ``NotFound``."""
    for one in rules.experiments:
        if one.experiment_id == experiment_id:
            return one
    raise NotFound("There is no such experiment.", reason="EXPERIMENT_NOT_FOUND", experiment_id=experiment_id)


def _add_member(found: Kpis, rules: RuleSet, member_id: MemberId, sales: list[Sold]) -> None:
    """Count one member; ``sales`` are those up to the end of the period."""
    period = found.period
    now = [one for one in sales if one.at_ms >= period.from_ms]
    before = any(period.before_ms <= one.at_ms < period.from_ms for one in sales)
    found.members += 1
    found.buyers += bool(now)
    found.repeaters += len(now) > 1
    found.buyers_before += before
    found.stayed += before and bool(now)
    if rules.holdout_percent:
        out = held_out(rules.holdout_percent, member_id)
        (found.held_out if out else found.reached).add(sum(one.paid_minor for one in now))


def _add_sale(found: Kpis, rules: RuleSet, one: Sold) -> None:
    month = _month(found, rules, one.at_ms)
    for holder in (found, month):
        holder.sales += 1
        holder.revenue_minor += one.paid_minor


def _add_points(found: Kpis, rules: RuleSet, entry: Entry) -> None:
    """Add the points that an entry moved; a store's own points are none of a member's."""
    moves, at_ms = entry.moves, entry.origin.occurred_ms
    if at_ms >= found.period.until_ms:
        return
    burned = moves.burned + moves.store_loss
    found.outstanding += moves.active + moves.pending + moves.held + moves.debt
    found.burned_ever += burned
    found.expired_ever += moves.breakage
    if at_ms >= found.period.from_ms and (moves.issued or burned or moves.breakage):
        for holder in (found, _month(found, rules, at_ms)):
            holder.issued -= moves.issued
            holder.burned += burned
            holder.expired += moves.breakage


def _add_campaigns(campaigns: dict[tuple[str, str], Campaign], one: Sold) -> None:
    """Add what rules, rewards and coupons gave in a sale. Points above its maximum were given by none of its rules."""
    given: dict[tuple[str, str], tuple[int, int]] = {}

    def add(kind: str, campaign_id: str, points: int, discount_minor: int) -> None:
        before = given.get((kind, campaign_id), (0, 0))
        given[kind, campaign_id] = (before[0] + points, before[1] + discount_minor)

    rules = [why for why in one.why if why.points > 0]
    cut = spread(-sum(why.points for why in one.why if why.code == "capped"), [why.points for why in rules])
    for why, less in zip(rules, cut, strict=True):
        add("rule", why.rule_id, why.points - less, 0)
    for reward in one.rewards:
        add("reward", reward.reward_id, reward.points, reward.discount_minor)
    for coupon in coupons_of(one):
        add("coupon", coupon.coupon_id, 0, coupon.discount_minor)
    for (kind, campaign_id), (points, discount_minor) in given.items():
        _give(campaigns, kind, campaign_id, points, discount_minor)


def coupons_of(one: Sold) -> list[AppliedCoupon]:
    """Return the coupons of a sale, without what it counts of stocks and budgets besides."""
    return [coupon for coupon in one.coupons if not is_counter(coupon.coupon_id)]


def _add_action(campaigns: dict[tuple[str, str], Campaign], entry: Entry, period: Period) -> None:
    """Add points that were given for something else than goods."""
    if period.from_ms <= entry.origin.occurred_ms < period.until_ms:
        for why in entry.detail.explanations:
            if why.points > 0:
                _give(campaigns, "action", entry.detail.reason or why.rule_id, why.points, 0)


def _give(
    campaigns: dict[tuple[str, str], Campaign], kind: str, campaign_id: str, points: int, discount_minor: int
) -> None:
    campaign = campaigns.setdefault((kind, campaign_id), Campaign(campaign_id, kind))
    campaign.sales += 1
    campaign.points += points
    campaign.discount_minor += discount_minor


def _month(found: Kpis, rules: RuleSet, at_ms: int) -> Month:
    return found.months.setdefault(local_day(at_ms, rules.zone).replace(day=1), Month())


def _no_period(field: str, text: str) -> InvalidInput:
    return InvalidInput("That is no period.", violations=((field, text),))


def _share(part: int, whole: int) -> int | None:
    return part * PPM // whole if whole > 0 else None
