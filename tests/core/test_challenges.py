"""Challenges: what is counted towards a target, what that wins, and how returns reckon it back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.command import ReturnLine, Spend
from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import Minor
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tests.core.world import World, at, codes_of, document_of, line, rules_of

JANUARY = date(2026, 1, 1).toordinal()


def challenge(**parts: Any) -> dict[str, Any]:
    """Return a challenge: three sales a month for 50 points, unless a part says otherwise."""
    standard = {"id": "three", "name": "Three", "counts": "sales", "target": 3, "per": "month"}
    return {**standard, "award": {"points": 50}, **parts}


def world_of(*challenges: dict[str, Any], **parts: Any) -> World:
    return World(rules_of(challenges=list(challenges) or [challenge()], **parts))


def tally(world: World, key: str, period: int = JANUARY) -> int:
    return next((one.count for one in world.account.tallies if (one.key, one.period) == (key, period)), 0)


def awards(world: World) -> list[int]:
    """Return the signed points of every award so far."""
    return [-entry.moves.issued for entry in world.entries if entry.kind is EntryKind.AWARD]


def test_the_third_sale_of_a_month_wins_what_it_promised() -> None:
    world = world_of()
    for count in (1, 2, 3):
        assert awards(world) == []
        answer = world.posted(world.sale(1_000))
        assert answer.kind is EntryKind.SALE, "the sale is the answer, not the award behind it"
        assert tally(world, "challenge/three") == count
    assert awards(world) == [50]
    assert world.account.active == 3 * 10 + 50
    (award,) = [entry for entry in world.entries if entry.kind is EntryKind.AWARD]
    assert codes_of(award) == [("three", 0, 50, "challenge_met")]
    assert award.seq == 4
    world.posted(world.sale(1_000))
    assert awards(world) == [50], "once a month"


def test_the_next_month_begins_anew() -> None:
    world = world_of()
    for _ in range(3):
        world.posted(world.sale(1_000))
    world.wait_until("2026-02-03T12:00")
    for _ in range(3):
        world.posted(world.sale(1_000))
    assert awards(world) == [50, 50]


def test_the_month_is_that_of_the_programs_zone() -> None:
    world = world_of()
    world.wait_until("2026-01-31T23:30")
    world.posted(world.sale(1_000))
    assert tally(world, "challenge/three", date(2026, 2, 1).toordinal()) == 1, "in Stockholm it is February"


@pytest.mark.parametrize(
    ("counts", "target", "counted"),
    [("sales", 1, 1), ("spend", 2_500, 2_500), ("pieces", 5, 5_000), ("points", 25, 25), ("days", 1, 1)],
)
def test_each_way_of_counting_counts_the_lines_that_fit(counts: str, target: int, counted: int) -> None:
    world = world_of(challenge(counts=counts, target=target, sku=["B", "C"]))
    world.posted(world.sale(line(1_500, sku="B", quantity=3), line(1_000, sku="C", quantity=2), line(9_000)))
    assert tally(world, "challenge/three") == counted
    assert awards(world) == [50]


def test_what_earns_nothing_counts_for_nothing() -> None:
    rules = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]
    earning = {"rules": rules, "exclude": [{"sku": "GIFTCARD"}]}
    world = world_of(challenge(target=1), earning=earning)
    world.posted(world.sale(line(5_000, sku="GIFTCARD")))
    assert world.account.tallies == ()


def test_a_challenge_that_asks_for_the_webshop_does_not_look_at_stores() -> None:
    world = world_of(challenge(target=1, channel="webshop"))
    world.posted(world.sale(1_000))
    assert awards(world) == []


def test_one_big_sale_may_win_several_times_and_no_more_than_allowed() -> None:
    world = world_of(challenge(counts="spend", target=1_000, times=3))
    world.posted(world.sale(2_500))
    assert awards(world) == [100]
    world.posted(world.sale(9_000))
    assert awards(world) == [100, 50]


def test_a_badge_alone_is_won_and_lost_without_points() -> None:
    world = world_of(challenge(target=1, award={"badge": "explorer"}))
    sale = world.posted(world.sale(1_000))
    assert awards(world) == [0]
    assert tally(world, "badge/explorer", 0) == 1
    world.posted(world.all_back(sale))
    assert tally(world, "badge/explorer", 0) == 0


def test_two_sales_on_one_day_are_one_day_until_both_came_back() -> None:
    world = world_of(challenge(counts="days", target=2))
    first, second = world.posted(world.sale(1_000)), world.posted(world.sale(1_000))
    assert tally(world, "challenge/three") == 1
    world.wait_until("2026-01-16T12:00")
    world.posted(world.sale(1_000))
    assert awards(world) == [50]
    world.posted(world.all_back(first))
    assert awards(world) == [50], "the day still has a sale"
    world.posted(world.all_back(second))
    assert awards(world) == [50, -50]


def test_a_sale_counts_until_all_that_counted_of_it_is_back() -> None:
    world = world_of(challenge(target=1, sku="B"))
    sale = world.posted(world.sale(line(1_000, sku="B", quantity=2), line(500)))
    world.posted(world.give_back(sale, ReturnLine(2, 1_000), ReturnLine(1, 1_000)))
    assert awards(world) == [50]
    world.posted(world.give_back(sale, ReturnLine(1, 1_000)))
    assert awards(world) == [50, -50]
    assert world.account.tallies == ()


def test_what_is_spent_falls_with_every_part_that_comes_back() -> None:
    world = world_of(challenge(counts="spend", target=1_000, times=9))
    sale = world.posted(world.sale(line(3_000, quantity=3)))
    assert awards(world) == [150]
    for left in (2, 1, 0):
        world.posted(world.give_back(sale, ReturnLine(1, 1_000)))
        assert tally(world, "challenge/three") == left * 1_000
        assert tally(world, "given/challenge/three") == left * 50
    assert awards(world) == [150, -50, -50, -50]


def test_a_sale_undone_as_a_mistake_never_counted() -> None:
    world = world_of(challenge(target=1))
    sale = world.posted(world.sale(1_000))
    given = world.entries[-1]
    world.posted(world.reverse(sale))
    assert awards(world) == [50, -50]
    assert world.entries[-1].reverses_seq == given.seq, "it undoes the award, whose issuer gets it back"
    assert world.account.tallies == ()
    assert world.account.active == 0


@pytest.mark.parametrize(("spent", "debt"), [("debt", 60), ("within_balance", 0), ("only_pending", 0)])
def test_an_award_that_is_spent_is_treated_as_other_points_of_returned_goods(spent: str, debt: int) -> None:
    world = world_of(challenge(target=1), returns={"spent": spent})
    sale = world.posted(world.sale(1_000))
    world.posted(world.burn(60))
    world.posted(world.all_back(sale))
    assert world.account.debt == debt


def test_a_pending_award_is_taken_from_its_own_lot() -> None:
    rules = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]
    world = world_of(
        challenge(target=1), earning={"rules": rules, "pending_days": 14}, returns={"spent": "only_pending"}
    )
    sale = world.posted(world.sale(1_000))
    assert (world.account.active, world.account.pending) == (0, 60)
    world.posted(world.all_back(sale))
    assert (world.account.pending, world.account.debt) == (0, 0)


@pytest.mark.parametrize("spent", ["debt", "within_balance", "only_pending"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_several_pending_awards_are_all_taken_from_their_lots(spent: str, order: tuple[int, ...]) -> None:
    rules = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]
    world = world_of(
        challenge(target=1, times=9),
        earning={"rules": rules, "pending_days": 14},
        returns={"spent": spent},
    )
    sales = [world.posted(world.sale(1_000)) for _ in order]
    world.posted(world.earn(500))
    for at_sale in order:
        world.posted(world.all_back(sales[at_sale]))
    assert (world.account.active, world.account.pending, world.account.debt) == (0, 500, 0)


def test_what_has_matured_of_several_awards_is_let_go_where_only_pending_points_are_taken() -> None:
    rules = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]
    world = world_of(
        challenge(target=1, times=9),
        earning={"rules": rules, "pending_days": 7},
        returns={"spent": "only_pending"},
    )
    first = world.posted(world.sale(1_000))
    world.wait_until("2026-01-25T12:00")
    second = world.posted(world.sale(1_000))
    world.posted(world.earn(500))
    for sale in (first, second):
        world.posted(world.all_back(sale))
    assert (world.account.active, world.account.pending) == (60, 500)


@pytest.mark.parametrize("spent", ["debt", "within_balance", "only_pending"])
def test_an_award_that_only_repaid_a_debt_hides_no_award_before_it(spent: str) -> None:
    rules = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]
    world = World(rules_of(earning={"rules": rules}, returns={"spent": "debt"}))
    old = world.posted(world.sale(10_000))
    world.posted(world.burn(100))
    challenged = rules_of(
        challenges=[challenge(target=1, times=9)],
        earning={"rules": rules, "pending_days": 14},
        returns={"spent": spent},
    )
    for_debts, world.rules = world.rules, challenged
    first = world.posted(world.sale(1_000))
    world.rules = for_debts
    world.posted(world.all_back(old))
    world.rules = challenged
    second = world.posted(world.sale(1_000))
    assert (world.account.pending, world.account.debt) == (60, 40)
    for sale in (second, first):
        world.posted(world.all_back(sale))
    assert (world.account.pending, world.account.debt) == (0, 100 if spent == "debt" else 40)


def test_an_award_repays_a_debt_first() -> None:
    world = world_of(challenge(target=2, counts="sales"))
    sale = world.posted(world.sale(4_000))
    world.posted(world.burn(40))
    world.posted(world.all_back(sale))
    assert world.account.debt == 40
    world.posted(world.sale(100))
    world.posted(world.sale(100))
    assert (world.account.debt, world.account.active) == (0, 12)


def test_a_till_that_reports_late_counts_in_the_period_of_its_sale() -> None:
    world = world_of()
    world.wait_until("2026-02-10T12:00")
    world.posted(world.sale(1_000))
    january = replace(world.origin, occurred_ms=at("2026-01-20T12:00"))
    for _ in range(3):
        world.posted(replace(world.settle(1_000, earned=10), origin=january))
    assert tally(world, "challenge/three") == 3
    assert awards(world) == [50]


def test_a_sale_that_is_reported_after_its_period_is_closed_counts_for_nothing() -> None:
    world = world_of()
    world.wait_until("2026-06-10T12:00")
    late = replace(world.origin, occurred_ms=at("2026-01-20T12:00"))
    for _ in range(3):
        world.posted(replace(world.settle(1_000, earned=10), origin=late))
    assert awards(world) == []


def test_goods_of_a_closed_period_come_back_without_touching_it() -> None:
    world = world_of()
    sale, _, _ = (world.posted(world.sale(1_000)) for _ in range(3))
    world.wait_until("2026-06-10T12:00")
    world.posted(world.all_back(sale))
    assert awards(world) == [50]


def test_a_late_report_is_judged_by_the_challenges_in_force() -> None:
    world = world_of(challenge(target=1))
    world.pinned = rules_of()
    world.posted(world.settle(1_000, earned=10))
    assert awards(world) == [50]


def test_a_challenge_that_is_gone_keeps_what_it_gave() -> None:
    world = world_of(challenge(target=1))
    sale = world.posted(world.sale(1_000))
    world.rules = rules_of()
    world.posted(world.all_back(sale))
    assert awards(world) == [50]


def test_what_is_taken_back_is_what_was_given_whatever_the_rules_have_become() -> None:
    world = world_of(challenge(target=1, times=2))
    first, second = world.posted(world.sale(1_000)), world.posted(world.sale(1_000))
    assert awards(world) == [50, 50]
    world.rules = rules_of(challenges=[challenge(target=1, times=2, award={"points": 7_000})])
    world.posted(world.all_back(first))
    world.posted(world.all_back(second))
    assert awards(world) == [50, 50, -50, -50]


def test_a_quote_and_a_hold_count_nothing() -> None:
    world = world_of(challenge(target=1))
    world.posted(world.adjust(500))
    goods = world.sale(1_000).basket
    priced = world.posted(world.hold(0, spend=Spend(100), basket=goods))
    assert priced.detail.counted == ()
    hold = world.posted(world.hold(100))
    assert world.account.tallies == ()
    world.posted(world.capture(hold.hold_id))
    assert world.account.tallies == (), "without a basket nothing was bought"


def test_a_captured_basket_counts_as_a_sale_does() -> None:
    world = world_of(challenge(target=1))
    world.posted(world.adjust(500))
    hold = world.posted(world.hold(100))
    goods = world.sale(1_000).basket
    captured = world.posted(world.capture(hold.hold_id, goods))
    assert captured.kind is EntryKind.CAPTURE
    assert awards(world) == [50]


def test_a_window_is_one_period_from_its_first_day_to_its_last() -> None:
    window = {"from": "2026-01-10", "until": "2026-02-21"}
    summer = {key: value for key, value in challenge(**window).items() if key != "per"}
    world = world_of(summer)
    for text in ("2026-01-20T12:00", "2026-02-10T12:00", "2026-02-20T12:00"):
        world.wait_until(text)
        world.posted(world.sale(1_000))
    assert awards(world) == [50]
    world.wait_until("2026-02-21T12:00")
    world.posted(world.sale(1_000))
    assert tally(world, "challenge/three", date(2026, 1, 10).toordinal()) == 3


def test_a_window_that_is_long_over_is_closed_for_returns_and_late_tills() -> None:
    year = {key: value for key, value in challenge(target=1).items() if key != "per"}
    world = world_of({**year, "from": "2026-01-01", "until": "2027-01-01"})
    world.wait_until("2026-12-20T12:00")
    sale = world.posted(world.sale(12_000))
    late = replace(world.origin, occurred_ms=at("2026-12-20T13:00"))
    world.wait_until("2027-05-20T12:00")
    world.posted(world.give_back(sale, ReturnLine(1, 500)))
    world.posted(world.sale(500))
    world.posted(replace(world.settle(1_000, earned=10), origin=late))
    world.posted(world.give_back(sale, ReturnLine(1, 500)))
    assert awards(world) == [50]


moves = st.lists(
    st.tuples(st.sampled_from(["sale", "back", "undo"]), st.integers(1, 4), st.integers(0, 99)), max_size=14
)
LIFE = {
    counts: rules_of(challenges=[challenge(counts=counts, target=target, times=4)], returns={"spent": "debt"})
    for counts, target in (("sales", 2), ("spend", 2_000), ("pieces", 3), ("points", 25), ("days", 1))
}


@pytest.mark.parametrize("rules", LIFE.values(), ids=LIFE)
@settings(max_examples=60)
@given(life=moves)
def test_any_order_of_sales_and_returns_gives_the_award_of_the_net_count(
    rules: RuleSet, life: list[tuple[str, int, int]]
) -> None:
    world = World(rules)
    (one,) = rules.challenges
    sales: list[Entry] = []
    for what, pieces, pick in life:
        if what == "sale" or not sales:
            sales.append(world.posted(world.sale(line(pieces * 517, quantity=pieces))))
        elif what == "back":
            world.do(world.give_back(sales[pick % len(sales)], ReturnLine(1, pieces * 500)))
        else:
            world.do(world.reverse(sales[pick % len(sales)]))
    net = one.awards(tally(world, one.key))
    assert sum(awards(world)) == 50 * net
    assert tally(world, f"won/{one.key}") == net
    for sale in sales:
        shares = sale.detail.lines[0]
        done = [entry.detail.returned for entry in world.entries if entry.reverses_seq == sale.seq]
        undone = any(e.kind is EntryKind.REVERSE and e.reverses_seq == sale.seq for e in world.entries)
        back = sum(part.amount_minor for parts in done for part in parts)
        if not undone and back < shares.amount_minor:
            rest = ReturnLine(1, 0, Minor(shares.amount_minor - back))
            world.posted(world.give_back(sale, rest))
    assert sum(awards(world)) == 0, "when everything is back, nothing was won"
    assert world.account.tallies == ()


FAULTS = [
    ({"counts": "visits"}, "counts", "not known", "choose one of"),
    ({"target": 0}, "target", "from 1", ""),
    ({"per": "fortnight"}, "per", "not known", "choose one of"),
    ({"award": {}}, "award", "gives nothing", "add points, a badge, or both"),
    ({"award": {"pionts": 5, "badge": "b"}}, "award.pionts", "not known", "did you mean 'points'?"),
    ({"award": None}, "award", "is missing", "say what is won"),
    ({"times": 1_001}, "times", "from 1 to 1000", ""),
    ({"counts": "days", "per": "year"}, "counts", "92 days at most", "per: week, month or quarter"),
    ({"per": "ever", "from": "2026-01-01", "until": "2027-06-01"}, "until", "366 days", "per: year"),
    ({"membership": "clbu"}, "membership[0]", "not known", "did you mean 'club'?"),
    ({"tier": "gold"}, "tier[0]", "not known", ""),
    ({"name": "x" * 101}, "name", "1 to 100 characters", ""),
]


@pytest.mark.parametrize(("change", "place", "message", "mend"), FAULTS)
def test_a_challenge_that_cannot_be_understood_says_where_and_how_to_mend_it(
    change: dict[str, Any], place: str, message: str, mend: str
) -> None:
    club = {"id": "club", "name": "Club", "sku": "FEE", "months": 12}
    document = document_of(challenges=[challenge(**change)], memberships=[club])
    found = parse_rules(document, version=1, sha256="")
    assert isinstance(found, list)
    (finding,) = found
    assert finding.path == f"challenges[0].{place}"
    assert message in finding.message
    assert mend in finding.mend


def test_two_challenges_with_one_id_are_named() -> None:
    found = parse_rules(document_of(challenges=[challenge(), challenge()]), version=1, sha256="")
    assert isinstance(found, list)
    assert [(one.path, one.message) for one in found] == [("challenges[1].id", "'three' is there already")]


def test_too_many_challenges_are_refused() -> None:
    many = [challenge(id=f"c{number}") for number in range(51)]
    found = parse_rules(document_of(challenges=many), version=1, sha256="")
    assert isinstance(found, list)
    assert found[0].message == "has 51 items, at most 50 are allowed"
