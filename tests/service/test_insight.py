"""Key figures and experiments: what the ledger says is what a plain second count says, on random lives."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tallystick.core.command import ReturnLine
from tallystick.core.entry import Posted
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.rules.experiment import HOLDOUT, group_of, held_out
from tallystick.core.rules.model import DAY_MS
from tallystick.reports.kpi_page import figures
from tallystick.reports.liability import read_liability
from tallystick.service.errors import FailedPrecondition, InvalidInput, NotFound
from tallystick.service.insight import Insight, Kpis
from tallystick.storage.memory import MemoryStore
from tests.core.world import at, line
from tests.service.coupons import CouponDesk
from tests.service.desk import ANN, BEN

SPLIT = {
    "id": "try",
    "variants": [{"id": "a", "percent": 50}, {"id": "b", "percent": 50}],
    "holdout_percent": 20,
}
RULES: dict[str, Any] = {
    "coupons": [{"id": "tenth", "kind": "percent_off", "percent": 10, "code": "TENTH", "per_member": 0}],
    "rewards": [{"id": "mug", "kind": "money_off", "points": 50, "amount_minor": 300}],
    "expiry": {"kind": "months", "months": 2},
    "experiments": [SPLIT],
    "holdout_percent": 20,
}
FIRST, LAST = date(2026, 3, 1), date(2026, 4, 30)
FROM, UNTIL, BEFORE = at("2026-02-28T23:00"), at("2026-04-30T22:00"), at("2025-12-29T23:00")


@dataclass
class Bought:
    """One sale, as the shop would note it on paper."""

    member: MemberId
    at_ms: int
    paid: int
    quantity: int
    sale_id: CommandId
    coupon_off: int
    earned: int
    reward: bool


@dataclass
class Life:
    """Random lives of some members, noted beside the ledger."""

    random: Random
    desk: CouponDesk
    members: list[MemberId]
    sales: list[Bought] = field(default_factory=list)

    def live(self, days: int) -> None:
        for _ in range(days):
            self.desk.now = Ms(self.desk.now + DAY_MS // 2)
            for member in self.members:
                if self.random.random() < 0.02:
                    self.step(member)

    def step(self, member: MemberId) -> None:
        what = self.random.random()
        if what < 0.6:
            self.buy(member)
        elif what < 0.75:
            self.bring_back(member)
        elif what < 0.85:
            self.undo(member)
        elif what < 0.92:
            self.desk.send(self.desk.earn(self.random.randrange(1, 90), member=member))
        else:
            self.desk.send(self.desk.burn(100, member=member))

    def buy(self, member: MemberId) -> None:
        codes = ("TENTH",) if self.random.random() < 0.3 else ()
        goods = [
            line(self.random.randrange(100, 9_000), quantity=self.random.randrange(1, 4)) for _ in range(2)
        ]
        coupons = self.desk.refs(*codes)
        rewards = ("mug",) if self.random.random() < 0.3 else ()
        sale = self.desk.sale(*goods, member=member, rewards=rewards)
        sale = type(sale)(
            sale.command_id, member, sale.origin, sale.basket, None, rewards, sale.assurance, coupons
        )
        (answer,) = self.desk.send(sale)
        if not isinstance(answer.decision, Posted):
            return
        detail = answer.decision.entry.detail
        total = sum(one.amount_minor for one in goods)
        off = sum(coupon.discount_minor for coupon in detail.coupons)
        paid = total - off - (300 if rewards else 0)
        assert detail.payable_minor == paid
        quantity = sum(one.quantity_milli for one in goods)
        earned = sum(share.earned_points for share in detail.lines)
        self.sales.append(
            Bought(member, self.desk.now, paid, quantity, sale.command_id, off, earned, bool(rewards))
        )

    def mine(self, member: MemberId) -> list[Bought]:
        return [one for one in self.sales if one.member == member]

    def bring_back(self, member: MemberId) -> None:
        if mine := self.mine(member):
            one = self.random.choice(mine)
            back = self.desk.give_back(
                one.sale_id, ReturnLine(self.random.randrange(1, 3), 1_000), member=member
            )
            (answer,) = self.desk.send(back)
            if isinstance(answer.decision, Posted):
                one.paid -= answer.decision.entry.detail.refund_minor
                one.quantity -= 1_000
                if one.quantity == 0:
                    self.sales.remove(one)

    def undo(self, member: MemberId) -> None:
        if mine := self.mine(member):
            one = self.random.choice(mine)
            (answer,) = self.desk.send(self.desk.reverse(one.sale_id, member=member))
            if isinstance(answer.decision, Posted):
                self.sales.remove(one)


def lived(seed: int) -> tuple[Life, Insight]:
    random = Random(seed)
    desk = CouponDesk(
        MemoryStore(), coupons=RULES["coupons"], **{k: v for k, v in RULES.items() if k != "coupons"}
    )
    desk.now = at("2025-12-20T12:00")
    members = [MemberId(str(uuid.UUID(int=random.getrandbits(128)))) for _ in range(40)]
    desk.enrol(*members[:30])
    life = Life(random, desk, members[:30])
    life.live(220)
    desk.enrol(*members[30:])
    life.members = members
    life.live(80)
    return life, Insight(desk.store, desk.book, entries_max=100_000)


def between(sales: Sequence[Bought], start: int, end: int) -> list[Bought]:
    return [one for one in sales if start <= one.at_ms < end]


@pytest.mark.parametrize("seed", range(6))
def test_the_figures_are_those_of_a_plain_second_count(seed: int) -> None:
    life, insight = lived(seed)
    found = insight.kpis(life.desk.program_id, FIRST, LAST)
    now, before = between(life.sales, FROM, UNTIL), between(life.sales, BEFORE, FROM)
    buyers, buyers_before = {one.member for one in now}, {one.member for one in before}
    accounts = life.desk.store.read_accounts(life.desk.program_id, [*life.members, ANN, BEN]).values()
    assert found.members == sum(account.enrolled_ms < UNTIL for account in accounts)
    assert (found.buyers, found.sales) == (len(buyers), len(now))
    assert found.revenue_minor == sum(one.paid for one in now)
    assert found.average_sale_minor == sum(one.paid for one in now) // len(now)
    assert found.sales_per_buyer_milli == len(now) * 1000 // len(buyers)
    repeaters = [who for who in buyers if sum(one.member == who for one in now) > 1]
    assert found.repeat_ppm == len(repeaters) * 10**6 // len(buyers)
    assert found.retention_ppm == len(buyers & buyers_before) * 10**6 // len(buyers_before)
    years, kept = 61 / 365, len(buyers & buyers_before) / len(buyers_before)
    value = found.revenue_minor / len(buyers) / years / (1 - kept ** (1 / years))
    assert found.lifetime_value_minor == pytest.approx(value, rel=1e-3, abs=1)
    assert found.member_share_ppm(4 * found.revenue_minor) == 250_000
    points(life, found)
    campaigns(life, found, now)
    holdout(found, life, now)
    life.desk.close()


def points(life: Life, found: Kpis) -> None:
    entries = [entry for member in life.members for entry in life.desk.entries(member)]
    inside = [entry for entry in entries if FROM <= entry.origin.occurred_ms < UNTIL]
    until = [entry for entry in entries if entry.origin.occurred_ms < UNTIL]
    assert found.issued == -sum(entry.moves.issued for entry in inside)
    assert found.burned == sum(entry.moves.burned for entry in inside)
    assert found.expired == sum(entry.moves.breakage for entry in inside)
    last = {entry.member_id: entry for entry in until}
    assert found.outstanding == sum(
        entry.active_after + entry.pending_after + entry.held_after - entry.debt_after
        for entry in last.values()
    )
    gone, spent = (sum(getattr(entry.moves, name) for entry in until) for name in ("breakage", "burned"))
    assert found.expected_breakage_ppm == gone * 10**6 // (gone + spent)
    left = found.outstanding * (10**6 - (found.expected_breakage_ppm or 0)) // 10**6
    assert found.liability_minor == left, "a point is a cent"
    assert found.redemption_ppm == found.burned * 10**6 // found.issued
    months = found.months.values()
    assert sum(month.issued for month in months) == found.issued
    assert sum(month.revenue_minor for month in months) == found.revenue_minor


def campaigns(life: Life, found: Kpis, now: list[Bought]) -> None:
    given = {(one.kind, one.campaign_id): one for one in found.campaigns}
    base, coupon = given["rule", "base"], given["coupon", "tenth"]
    assert base.points == base.cost_minor == sum(one.earned for one in now)
    assert coupon.cost_minor == coupon.discount_minor == sum(one.coupon_off for one in now)
    assert coupon.sales == sum(one.coupon_off > 0 for one in now)
    mugs = sum(one.reward for one in now)
    assert (given["reward", "mug"].sales, given["reward", "mug"].points) == (mugs, 50 * mugs)
    assert given["reward", "mug"].cost_minor == 0, "it was paid for in points"
    gifts = [
        entry.moves.issued
        for member in life.members
        for entry in life.desk.entries(member)
        if entry.kind.name == "EARN" and FROM <= entry.origin.occurred_ms < UNTIL
    ]
    assert sum(one.points for key, one in given.items() if key == ("action", "gift")) == -sum(gifts)
    costs = [one.cost_minor for one in found.campaigns]
    assert costs == sorted(costs, reverse=True)


def holdout(found: Kpis, life: Life, now: list[Bought]) -> None:
    everybody = [*life.members[:30], ANN, BEN]
    everybody += [who for who in life.members[30:] if life.desk.account(who).enrolled_ms < UNTIL]
    out = [who for who in everybody if held_out(20, who)]
    assert found.held_out.members == len(out)
    assert found.held_out.total == sum(one.paid for one in now if one.member in out)
    assert found.reached.members + found.held_out.members == found.members
    assert found.reached.total + found.held_out.total == found.revenue_minor
    lift = found.incremental
    assert lift is not None
    assert found.incremental_sales_minor == lift.difference_minor * found.reached.members


def test_an_experiment_counts_everybody_in_it_once() -> None:
    life, insight = lived(11)
    found = insight.experiment(life.desk.program_id, "try")
    assert [group.variant for group in found.groups] == ["a", "b", HOLDOUT]
    assert found.against == HOLDOUT
    everybody = [*life.members, ANN, BEN]
    for group in found.groups:
        own = [
            who for who in everybody if group_of(found.experiment, who, holdout_percent=20) == group.variant
        ]
        sales = [one for one in life.sales if one.member in own]
        assert group.spent.members == len(own)
        assert group.spent.total == sum(one.paid for one in sales)
        assert group.buyers == len({one.member for one in sales})
        assert (group.sales, group.points) == (len(sales), sum(one.earned for one in sales))
        assert group.cost_minor == group.points + sum(one.coupon_off for one in sales)
        assert (group.lift is None) is (group.variant == HOLDOUT)
    life.desk.close()


def test_what_is_asked_for_wrongly_is_said() -> None:
    desk = CouponDesk(MemoryStore())
    insight = Insight(desk.store, desk.book, entries_max=0)
    with pytest.raises(InvalidInput, match="no period"):
        insight.kpis(desk.program_id, LAST, FIRST)
    with pytest.raises(InvalidInput, match="no period"):
        insight.kpis(desk.program_id, date(2020, 1, 1), LAST)
    for day in (date.min, date.max):
        with pytest.raises(InvalidInput, match="no period") as caught:
            insight.kpis(desk.program_id, day, day)
        assert caught.value.violations == (("first_on", "must be a day from 2000-01-01 to 2099-12-31"),)
    with pytest.raises(NotFound, match="no such experiment"):
        insight.experiment(desk.program_id, "try")
    desk.posted(desk.sale(1_000))
    with pytest.raises(FailedPrecondition, match="more entries than are read"):
        insight.kpis(desk.program_id, FIRST, LAST)
    desk.close()


def test_what_came_back_whole_was_not_sold_and_what_came_back_in_part_was() -> None:
    desk = CouponDesk(MemoryStore())
    desk.now = at("2026-03-05T12:00")
    whole, part = (desk.posted(desk.sale(line(1_000, quantity=2))) for _ in range(2))
    desk.posted(desk.give_back(whole.command_id, ReturnLine(1, 1_000)))
    desk.posted(desk.give_back(whole.command_id, ReturnLine(1, 1_000)))
    desk.posted(desk.give_back(part.command_id, ReturnLine(1, 1_000)))
    found = Insight(desk.store, desk.book, entries_max=10).kpis(desk.program_id, FIRST, LAST)
    assert (found.sales, found.revenue_minor, found.buyers) == (1, 500, 1)
    desk.close()


def test_what_a_store_stood_in_for_was_not_burned_by_a_member() -> None:
    desk = CouponDesk(MemoryStore())
    desk.now = at("2026-03-05T12:00")
    desk.posted(desk.adjust(100))
    desk.posted(desk.settle(1_000, burned=300, discount=300))
    found = Insight(desk.store, desk.book, entries_max=10).kpis(desk.program_id, FIRST, LAST)
    assert found.burned == 100
    desk.close()


def test_a_program_in_which_nothing_was_sold_has_figures_too() -> None:
    desk = CouponDesk(MemoryStore())
    found = Insight(desk.store, desk.book, entries_max=10).kpis(desk.program_id, FIRST, LAST)
    assert (found.members, found.buyers, found.sales, found.revenue_minor) == (2, 0, 0, 0)
    assert (found.repeat_ppm, found.retention_ppm, found.redemption_ppm, found.incremental) == (None,) * 4
    desk.close()


def test_what_the_most_points_of_a_sale_cut_off_was_given_by_no_campaign() -> None:
    desk = CouponDesk(MemoryStore())
    earning = {
        "rules": [
            {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100},
            {"id": "double", "kind": "multiply", "by": 2},
            {"id": "visit", "kind": "per_sale", "points": 5},
        ],
        "points_max": 100,
    }
    desk.publish(earning=earning)
    desk.now = at("2026-03-05T12:00")
    desk.posted(desk.sale(4_000))
    desk.posted(desk.sale(30_000))
    found = Insight(desk.store, desk.book, entries_max=10).kpis(desk.program_id, FIRST, LAST)
    given = {one.campaign_id: one.points for one in found.campaigns}
    assert found.issued == 85 + 100
    assert given == {"base": 40 + 49, "double": 40 + 50, "visit": 5 + 1}, (
        "each bears its share of what was cut"
    )
    assert sum(one.cost_minor for one in found.campaigns) == found.issued, "a point is a cent"
    desk.close()


def test_an_action_that_was_undone_has_given_nothing() -> None:
    desk = CouponDesk(MemoryStore())
    desk.now = at("2026-03-05T12:00")
    desk.posted(desk.earn(40))
    mistake = desk.posted(desk.earn(90_000))
    desk.posted(desk.reverse(mistake.command_id))
    found = Insight(desk.store, desk.book, entries_max=10).kpis(desk.program_id, FIRST, LAST)
    (gift,) = found.campaigns
    assert (gift.kind, gift.sales, gift.points, gift.cost_minor) == ("action", 1, 40, 40)
    assert found.issued == 40
    desk.close()


def test_what_a_member_owes_is_not_outstanding_as_in_the_books_of_finance() -> None:
    desk = CouponDesk(MemoryStore())
    desk.now = at("2026-03-05T12:00")
    mistake = desk.posted(desk.earn(100))
    desk.posted(desk.burn(100))
    desk.posted(desk.reverse(mistake.command_id))
    desk.posted(desk.earn(150, member=BEN))
    entries = {member: desk.entries(member) for member in (ANN, BEN)}
    (line,) = read_liability(
        entries.items(), zone=ZoneInfo("Europe/Stockholm"), entities={"north": ""}
    ).roll_forward()
    found = Insight(desk.store, desk.book, entries_max=10).kpis(desk.program_id, FIRST, LAST)
    assert found.outstanding == line.closing == found.issued - found.burned == 50
    desk.close()


@pytest.mark.parametrize(
    ("holdout_percent", "mend"),
    [
        (0, "set holdout_percent in the rule set"),
        (1, "too few members to say: 0 in the holdout, 2 whom offers reach"),
    ],
)
def test_why_incremental_sales_are_not_known_is_said(holdout_percent: int, mend: str) -> None:
    desk = CouponDesk(MemoryStore(), holdout_percent=holdout_percent)
    found = Insight(desk.store, desk.book, entries_max=10).kpis(desk.program_id, FIRST, LAST)
    assert figures(found, 0)[-1] == ("incremental sales", "not known", mend)
    desk.close()
