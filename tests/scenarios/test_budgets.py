"""Budgets as a retailer would tell them: a campaign stops itself, and never gives much more than was set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.command import ReturnLine
from tallystick.core.entry import Entry
from tallystick.core.ids import NEVER_MS, MemberId, Ms
from tallystick.core.standin import StandIn, stand_in_sale
from tallystick.service.balances import Balances, Preview
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tallystick_till.types import SaleAsk
from tests.core.world import at, basket, line
from tests.scenarios.street import Street
from tests.service.desk import ANN, BEN, CLUB, Desk
from tests.simulation.line import CALM, Weather

TWICE: dict[str, Any] = {"id": "twice", "kind": "multiply", "by": 2}
BASE: dict[str, Any] = {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}
Open = Callable[..., "Campaign"]


class Campaign:
    """A program that doubles points as long as there is a budget for it."""

    def __init__(self, store: Store, budget: dict[str, Any], **rules: Any) -> None:
        self.store = store
        self.desk = Desk(store, earning={"rules": [BASE, {**TWICE, "budget": budget}]}, **rules)
        self.desk.now = at("2026-03-02T12:00")

    def buys(self, amount: int = 2_000, *, who: MemberId = ANN, store: str = "s1") -> int:
        """Sell for an amount; return the points that the campaign gave."""
        return gave(self.desk.posted(self.sale(amount, who=who, store=store)))

    def sale(self, amount: int = 2_000, *, who: MemberId = ANN, store: str = "s1") -> Any:
        origin = Origin(self.desk.now, Channel.STORE, store, "t1")
        return replace(self.desk.sale(amount, member=who), origin=origin)


def gave(entry: Entry) -> int:
    return sum(why.points for why in entry.detail.explanations if why.rule_id == "twice")


def told(entry: Entry) -> list[str]:
    return [why.code for why in entry.detail.explanations if why.rule_id == "twice"]


@pytest.fixture
def opened(shared: Store) -> Iterator[Open]:
    campaigns: list[Campaign] = []

    def begin(budget: dict[str, Any], **rules: Any) -> Campaign:
        campaigns.append(Campaign(shared, budget, **rules))
        return campaigns[-1]

    yield begin
    for one in campaigns:
        one.desk.close()
    report = verify(shared)
    assert report.ok, report.first


def test_a_campaign_stops_when_its_month_is_spent_and_begins_anew_in_the_next(opened: Open) -> None:
    campaign = opened({"points": 50, "per": "month"})
    assert [campaign.buys() for _ in range(4)] == [20, 20, 20, 0], "the third sale passes the budget, once"
    campaign.desk.now = at("2026-03-31T21:59")
    assert campaign.buys() == 0
    campaign.desk.now = at("2026-03-31T22:00")
    assert campaign.buys() == 20, "April in Stockholm"


def test_who_comes_too_late_gets_the_rest_of_the_points_and_is_told_why(opened: Open) -> None:
    campaign = opened({"points": 20, "per": "ever"})
    assert campaign.buys() == 20
    late = campaign.desk.posted(campaign.sale(who=BEN))
    assert (late.moves.active, told(late)) == (20, ["budget_used_up"])
    assert late.detail.coupons == ()


def test_who_buys_nothing_of_the_campaign_is_told_nothing_of_it(shared: Store) -> None:
    brand = {**TWICE, "sku": ["A"], "budget": {"points": 10, "per": "ever"}}
    with Desk(shared, earning={"rules": [BASE, brand], "exclude": [{"category": "gift card"}]}) as desk:
        bought = desk.posted(desk.sale(line(2_000, sku="A")))
        other = desk.posted(desk.sale(line(2_000, sku="B")))
        settled = desk.posted(desk.settle(line(2_000, sku="B"), earned=20))
        card = desk.posted(desk.sale(line(2_000, sku="A", categories=("gift card",))))
        late = desk.posted(desk.sale(line(2_000, sku="B"), line(2_000, sku="A")))
    assert (gave(bought), told(late)) == (20, ["budget_used_up"])
    assert told(other) == told(settled) == told(card) == []


def test_a_budget_in_money_counts_what_the_points_are_worth(opened: Open) -> None:
    burning = {"points": 10, "minor": 1, "assurance_caps": {"typed": "unlimited"}}
    campaign = opened({"minor": 4, "per": "day"}, burning=burning)
    assert [campaign.buys() for _ in range(4)] == [20, 20, 0, 0], "forty points are worth four cents"
    campaign.desk.now = at("2026-03-03T12:00")
    assert campaign.buys() == 20


def test_with_a_budget_for_each_store_one_does_not_spend_that_of_another(opened: Open) -> None:
    campaign = opened({"points": 30, "per": "day", "store": True})
    assert [campaign.buys(store="s1") for _ in range(3)] == [20, 20, 0]
    assert [campaign.buys(store="s2") for _ in range(3)] == [20, 20, 0]


def test_a_sale_rung_up_wrong_gives_its_part_back_and_goods_brought_back_do_not(opened: Open) -> None:
    campaign = opened({"points": 40, "per": "ever"})
    wrong, right = (campaign.desk.posted(campaign.sale()) for _ in range(2))
    assert campaign.buys() == 0
    campaign.desk.posted(campaign.desk.give_back(right.command_id, ReturnLine(1, 1_000)))
    assert campaign.buys() == 0
    campaign.desk.posted(campaign.desk.reverse(wrong.command_id))
    assert [campaign.buys(), campaign.buys()] == [20, 0]


def test_sales_of_one_batch_see_each_other_and_one_sent_twice_counts_once(opened: Open) -> None:
    campaign = opened({"points": 30, "per": "ever"})
    sales = [campaign.sale(who=who) for who in (ANN, BEN, ANN, BEN)]
    answers = campaign.desk.send(*sales, sales[0])
    entries = [answer.decision.entry for answer in answers]  # type: ignore[union-attr]
    assert [gave(entry) for entry in entries] == [20, 20, 0, 0, 20]
    assert answers[4].replayed
    assert campaign.buys() == 0


def test_an_order_uses_the_budget_of_the_rules_that_it_was_priced_by(opened: Open) -> None:
    campaign = opened({"points": 30, "per": "ever"})
    desk = campaign.desk
    desk.posted(desk.adjust(300))
    held = [desk.posted(desk.hold(100, goods=basket(2_000))) for _ in range(3)]
    desk.publish(earning={"rules": [BASE]})
    desk.close()
    # A gateway that starts anew knows nothing but the new rules.
    desk = campaign.desk = Desk(campaign.store)
    desk.now = at("2026-03-02T12:00")
    captured = [desk.posted(desk.capture(one.command_id, basket(2_000))) for one in held]
    assert [told(entry)[-1:] for entry in captured] == [["multiply"], ["multiply"], ["budget_used_up"]]
    after = desk.posted(campaign.sale())
    assert (after.moves.active, told(after)) == (20, []), "the campaign is over"


def test_a_capture_uses_the_budget_as_a_sale_does(opened: Open) -> None:
    campaign = opened({"points": 19, "per": "ever"})
    campaign.desk.posted(campaign.desk.adjust(200))
    held = [campaign.desk.posted(campaign.desk.hold(100, goods=basket(2_000))) for _ in range(2)]
    captured = [campaign.desk.posted(campaign.desk.capture(one.command_id, basket(2_000))) for one in held]
    assert [told(entry)[-1] for entry in captured] == ["multiply", "budget_used_up"]


def test_a_quote_says_beforehand_that_nothing_is_left(opened: Open) -> None:
    campaign = opened({"points": 20, "per": "ever"})
    balances = Balances(campaign.store, campaign.desk.book)

    def quoted() -> list[str]:
        found = balances.quote(CLUB, campaign.sale(), earliest_ms=0, latest_ms=NEVER_MS)
        assert isinstance(found, Preview)
        return told(found.entry)

    assert quoted() == ["multiply"]
    campaign.buys()
    assert quoted() == ["budget_used_up"]


def test_a_till_without_a_line_gives_nothing_of_it_and_the_gateway_agrees(opened: Open) -> None:
    campaign = opened({"points": 1_000, "per": "ever"})
    rules = campaign.desk.book.current(CLUB)
    assert rules is not None
    till = stand_in_sale(
        rules,
        basket=basket(2_000),
        origin=campaign.desk.origin,
        tier_id="",
        spend=None,
        reward_ids=(),
        available=0,
        assurance=Assurance.TYPED,
        member_id=ANN,
    )
    assert isinstance(till, StandIn)
    settled = campaign.desk.posted(campaign.desk.settle(2_000, earned=till.earned_points))
    assert (till.earned_points, settled.moves.active) == (20, 20)
    assert settled.detail.explanations == till.detail.explanations
    assert told(settled) == ["budget_needs_gateway"]
    assert campaign.buys() == 20, "nothing of it was used"


def test_a_till_whose_line_is_up_gives_what_is_left_of_it(tmp_path: Path) -> None:
    budget = {"points": 250, "per": "ever"}
    street = Street(tmp_path, earning={"rules": [BASE, {**TWICE, "sku": ["tea"], "budget": budget}]})
    till, other = street.till("s1"), street.till("s2")
    ann, ben = street.member(), street.member()

    # Nobody pays with points: only sales that the campaign would give points for wait for the gateway.
    bought = [street.sale(till, ann, sku="tea"), street.sale(other, ben, sku="tea")]
    plain = street.sale(till, ann)
    street.offline(other)
    away = street.sale(other, ben, sku="tea")
    bought += [street.sale(till, ann, sku="tea") for _ in range(2)]
    assert [sale.earned_points for sale in bought] == [200, 200, 200, 100], "the third passes the budget"
    assert plain.earned_points == 100
    assert [bool(sale.receipt.qr) for sale in (plain, bought[0])] == [True, False], (
        "only the plain one is reported"
    )
    assert (away.earned_points, away.stand_in) == (100, True), "without a line it gives nothing"

    street.online(other)
    street.sync(till, other)
    assert (street.balance(ann), street.balance(ben)) == (200 + 100 + 200 + 100, 200 + 100)
    assert [told(street.entry(ann, sale)) for sale in (plain, bought[3])] == [[], ["budget_used_up"]]
    assert told(street.entry(ben, away)) == ["budget_needs_gateway"]
    assert street.books_are_right()
    street.close()


def test_a_sale_with_a_voucher_is_reported_and_gets_nothing_of_it_as_the_reference_says(
    tmp_path: Path,
) -> None:
    street = Street(
        tmp_path, earning={"rules": [BASE, {**TWICE, "budget": {"points": 1_000, "per": "ever"}}]}
    )
    till, ann = street.till("s1"), street.member(300)
    sale = street.sale(till, ann, voucher=street.voucher(ann, "s1", 100))
    street.sync(till)
    entry = street.entry(ann, sale)
    assert (sale.earned_points, entry.moves.issued) == (99, -99)
    assert told(entry)[-1] == "budget_needs_gateway"
    assert street.books_are_right()
    street.close()


def test_a_till_that_gets_no_answer_sells_once_and_without_the_campaign(tmp_path: Path) -> None:
    street = Street(
        tmp_path, earning={"rules": [BASE, {**TWICE, "budget": {"points": 1_000, "per": "ever"}}]}
    )
    till, ann = street.till("s1"), street.member()
    street.scan(till, ann)
    till.line.weather = Weather(lose_answer=1.0)
    done = till.running.sale(SaleAsk(ann.member_id, basket(10_000), sale_id=till.new_id()))
    till.line.weather = CALM
    assert (done.earned_points, done.stand_in) == (100, True)
    street.sync(till)
    (entry,) = street.entries(ann)
    assert (entry.command_id, entry.moves.active) == (done.sale_id, 200), "the gateway had counted it by then"
    assert street.inbox() == []
    assert street.books_are_right()
    street.close()


def test_sales_that_race_on_several_servers_pass_the_budget_by_one_sale_at_most(shared: Store) -> None:
    first = Campaign(shared, {"points": 200, "per": "day"})
    desks = [first.desk, Desk(shared), Desk(shared)]
    for desk in desks:
        desk.now = first.desk.now
    members = [MemberId(f"0190a000-0000-7000-8000-0000000003{number:02d}") for number in range(30)]
    first.desk.enrol(*members)

    def sell(number: int) -> int:
        desk = desks[number % 3]
        return gave(desk.posted(desk.sale(3_000, member=members[number])))

    with ThreadPoolExecutor(12) as threads:
        given = sum(threads.map(sell, range(30)))
    for desk in desks:
        desk.close()
    assert 200 <= given < 200 + 30
    report = verify(shared)
    assert report.ok, report.first


def test_time_goes_on_in_the_program(opened: Open) -> None:
    campaign = opened({"points": 20, "per": "day"})
    campaign.desk.now = Ms(at("2026-03-02T22:59") + 59_000)
    assert [campaign.buys(), campaign.buys()] == [20, 0]
    campaign.desk.now = at("2026-03-02T23:00")
    assert campaign.buys() == 20, "midnight in Stockholm"


def test_without_that_all_stores_spend_the_same_budget(opened: Open) -> None:
    campaign = opened({"points": 30, "per": "day"})
    assert [campaign.buys(store=store) for store in ("s1", "s2", "s1", "s2")] == [20, 20, 0, 0]
