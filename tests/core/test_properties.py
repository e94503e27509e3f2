"""What holds for every sequence of commands, found by trying very many."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.basket import TaxGroup
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.entry import Posted
from tallystick.core.ids import Minor, Ms
from tallystick.core.lots import add_months
from tallystick.core.money import spread, spread_by_group, tax_of, tax_totals
from tests.core.world import World, basket, line, rules_of

GROUPS = (TaxGroup("food", 120_000), TaxGroup("full", 250_000))
DAY = 86_400_000

PROGRAMS = [
    rules_of(),
    rules_of(
        earning={
            "pending_days": 14,
            "rounding": "half_up",
            "amount": "net",
            "rules": [
                {"id": "base", "kind": "per_amount", "points": 3, "per_minor": 1000},
                {"id": "double", "kind": "multiply", "by": "2.5", "sku": "B"},
                {"id": "piece", "kind": "per_item", "points": 2, "category": "toys"},
                {"id": "visit", "kind": "per_sale", "points": 5},
            ],
            "exclude": [{"sku": "POST"}],
        },
        expiry={"kind": "end_of_month", "months": 3},
        tiers={
            "basis": "points",
            "period": "rolling",
            "rolling_days": 90,
            "levels": [{"id": "base", "from": 0}, {"id": "silver", "from": 50}, {"id": "gold", "from": 200}],
        },
        rewards=[
            {"id": "five", "kind": "money_off", "points": 50, "amount_minor": 500},
            {"id": "tenth", "kind": "percent_off", "points": 30, "percent": 10},
            {"id": "toy", "kind": "free_item", "points": 20, "category": "toys"},
        ],
        burning={"points": 10, "minor": 5, "share_max_percent": 50, "assurance_caps": {"typed": "unlimited"}},
        returns={"spent": "debt", "grace_days": 10},
        holds={"late_capture": "if_covered"},
    ),
    rules_of(expiry={"kind": "months", "months": 1}, returns={"spent": "within_balance"}),
    rules_of(
        earning={
            "pending_days": 30,
            "rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 10}],
        },
        tiers={
            "basis": "spend",
            "period": "calendar_year",
            "downgrade": "by_balance",
            "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 10_000}],
        },
        returns={"spent": "only_pending"},
    ),
]

amounts = st.integers(0, 50_000)
lines = st.lists(
    st.builds(
        lambda amount, quantity, sku, tax: line(
            amount, quantity=quantity, sku=sku, tax=tax, categories=("toys",) if sku == "B" else ()
        ),
        amounts,
        st.integers(1, 5),
        st.sampled_from(["A", "B", "POST"]),
        st.sampled_from(["food", "full", ""]),
    ),
    min_size=1,
    max_size=5,
)
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["sale", "sale", "burning sale", "reward", "earn", "burn", "hold", "capture", "capture sale", "void"]
            + ["return", "return", "reverse", "adjust", "settle", "wait"]
        ),
        lines,
        st.integers(0, 400),
        st.integers(0, 10_000),
    ),
    max_size=25,
)


def play(world: World, step: tuple[str, list, int, int]) -> None:
    """Do one step of a random life; whether it is posted or refused, ``World`` checks what must hold."""
    what, parts, number, pick = step
    sold = [entry for entry in world.entries if entry.detail.lines]
    holds = [hold for hold in world.state.holds]
    match what:
        case "sale":
            world.do(world.sale(*parts, groups=GROUPS))
        case "burning sale":
            world.do(world.sale(*parts, spend=Spend(number, up_to=True), groups=GROUPS))
        case "reward":
            world.do(world.sale(*parts, rewards=(["five", "tenth", "toy"][pick % 3],), groups=GROUPS))
        case "earn":
            world.do(world.earn(number + 1))
        case "burn":
            world.do(world.burn(number))
        case "hold":
            world.do(world.hold(number, ttl_s=pick + 1))
        case "capture" if holds:
            world.do(world.capture(holds[pick % len(holds)].hold_id))
        case "capture sale" if holds:
            world.do(world.capture(holds[pick % len(holds)].hold_id, basket(*parts, groups=GROUPS)))
        case "void" if holds:
            world.do(world.void(holds[pick % len(holds)].hold_id))
        case "return" if sold:
            sale = sold[pick % len(sold)]
            number = 1 + number % len(sale.detail.lines)
            ask = ReturnLine(number, 0, Minor(pick)) if pick % 2 else ReturnLine(number, 500 + pick % 4 * 500)
            world.do(world.give_back(sale, ask))
        case "reverse" if world.entries:
            world.do(world.reverse(world.entries[pick % len(world.entries)]))
        case "adjust":
            world.do(world.adjust(number - 200))
        case "settle":
            total = sum(part.amount_minor for part in parts)
            world.do(world.settle(*[replace(part, tax_code="") for part in parts], burned=number, discount=min(number, total)))
        case "wait":
            world.now = Ms(world.now + pick * DAY // 200)
        case _:
            pass


@pytest.mark.parametrize("rules", PROGRAMS, ids=["simple", "everything", "within_balance", "only_pending"])
@settings(max_examples=120, deadline=None)
@given(life=steps)
def test_points_are_conserved_through_any_life(rules, life) -> None:
    world = World(rules)
    for step in life:
        play(world, step)


@settings(max_examples=200, deadline=None)
@given(
    total=st.integers(0, 10**12),
    weights=st.lists(st.integers(0, 10**9), min_size=1, max_size=30),
)
def test_shares_sum_to_the_whole_and_never_exceed_their_weight(total, weights) -> None:
    shares = spread(total, weights)
    assert sum(shares) == total
    if total <= sum(weights):
        assert all(0 <= share <= weight for share, weight in zip(shares, weights, strict=True))


@settings(max_examples=200, deadline=None)
@given(parts=lines, off=st.integers(0, 10**6))
def test_a_discount_sums_over_lines_and_tax_groups_to_the_minor_unit(parts, off) -> None:
    whole = basket(*parts, groups=GROUPS)
    total = sum(part.amount_minor for part in parts)
    off = min(off, total)
    shares = spread_by_group(off, [part.amount_minor for part in parts], [part.tax_code for part in parts])
    assert sum(shares) == off
    assert all(0 <= share <= part.amount_minor for share, part in zip(shares, parts, strict=True))
    taxed = tax_totals(whole, shares)
    assert sum(group.gross_minor for group in taxed) == total - off
    assert all(group.net_minor + group.tax_minor == group.gross_minor for group in taxed)


@settings(max_examples=200, deadline=None)
@given(parts=lines, data=st.data())
def test_returning_every_line_in_any_pieces_equals_one_full_return(parts, data) -> None:
    rules = PROGRAMS[1]
    whole, pieces = World(rules), World(rules)
    for world in (whole, pieces):
        world.do(world.adjust(5_000))
    sale = whole.sale(*parts, spend=Spend(300, up_to=True), groups=GROUPS)
    first, second = whole.posted(sale), pieces.posted(sale)
    asks = [ReturnLine(number, part.quantity_milli) for number, part in enumerate(parts, 1)]
    whole.posted(whole.give_back(first, *asks))
    left = [(ask.line_no, 500) for ask in asks for _ in range(ask.quantity_milli // 500)]
    refund = 0
    for number, quantity in data.draw(st.permutations(left)):
        refund += pieces.posted(pieces.give_back(second, ReturnLine(number, quantity))).detail.refund_minor
    assert pieces.account == replace(whole.account, seq=pieces.account.seq)
    assert refund == whole.entries[-1].detail.refund_minor
    assert [(lot.lot_seq, lot.remaining) for lot in pieces.state.lots] == [
        (lot.lot_seq, lot.remaining) for lot in whole.state.lots
    ]


@settings(max_examples=100, deadline=None)
@given(lives=st.tuples(steps, steps), order=st.lists(st.booleans(), max_size=50))
def test_the_order_of_replay_between_members_does_not_matter(lives, order) -> None:
    rules = PROGRAMS[1]
    alone = [World(rules), World(rules)]
    mixed = [World(rules), World(rules)]
    fixed = iter(range(10**9))
    for worlds in (alone, mixed):
        for world in worlds:
            world.new_id = lambda world=world: f"{len(world.entries):08d}-0000-4000-8000-{next(fixed):012d}"
    for world, life in zip(alone, lives, strict=True):
        for step in life:
            play(world, step)
    left = [list(life) for life in lives]
    for second in [*order, *[False] * 25, *[True] * 25]:
        if left[second]:
            play(mixed[second], left[second].pop(0))
    for one, other in zip(alone, mixed, strict=True):
        assert one.account == other.account
        assert [entry.moves for entry in one.entries] == [entry.moves for entry in other.entries]


@settings(max_examples=200, deadline=None)
@given(amount=st.integers(0, 10**12), rate=st.integers(0, 10**6))
def test_tax_included_in_a_price_is_what_was_added_to_its_net(amount, rate) -> None:
    tax = tax_of(amount, rate, included=True)
    assert 0 <= tax <= amount
    assert abs(tax_of(amount - tax, rate, included=False) - tax) <= 1


@settings(max_examples=100)
@given(day=st.dates(max_value=__import__("datetime").date(9000, 1, 1)), months=st.integers(0, 1200))
def test_months_later_is_the_same_day_or_the_end_of_a_shorter_month(day, months) -> None:
    later = add_months(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == day.day or (later.day < day.day and add_months(later.replace(day=1), 1).toordinal() - 1 == later.toordinal())


def test_a_sale_is_posted_in_this_world() -> None:
    world = World(PROGRAMS[0])
    assert isinstance(world.do(world.sale(1000)), Posted)
    assert world.account.active == 10
