"""What holds for every sequence of commands, found by trying very many."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.basket import Line, TaxGroup
from tallystick.core.codec import (
    allocs_from_text,
    allocs_to_text,
    detail_from_text,
    detail_to_text,
    tier_from_text,
    tier_to_text,
)
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.decide import decide, needs_lots
from tallystick.core.entry import Entry, EntryKind, Posted
from tallystick.core.ids import CommandId, Minor, Ms
from tallystick.core.lots import add_months
from tallystick.core.money import spread, spread_by_group, tax_of, tax_totals
from tallystick.core.rules.model import RuleSet
from tallystick.core.state import MemberState
from tests.core.world import World, basket, line, refs_of, rules_of

GROUPS = (TaxGroup("food", 120_000), TaxGroup("full", 250_000))
DAY_MS = 86_400_000
LEVELS = [{"id": "base", "from": 0}, {"id": "silver", "from": 50}, {"id": "gold", "from": 200}]

EVERYTHING = rules_of(
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
    tiers={"basis": "points", "period": "rolling", "rolling_days": 90, "levels": LEVELS},
    rewards=[
        {"id": "five", "kind": "money_off", "points": 50, "amount_minor": 500},
        {"id": "tenth", "kind": "percent_off", "points": 30, "percent": 10},
        {"id": "toy", "kind": "free_item", "points": 20, "category": "toys"},
    ],
    coupons=[
        {"id": "off", "kind": "money_off", "amount_minor": 333, "per_member": 3},
        {"id": "part", "kind": "percent_off", "percent": "12.5", "code": "PART", "per_member": 0, "total": 4},
        {"id": "gift", "kind": "free_item", "category": "toys", "code": "GIFT", "per_member": 2},
    ],
    burning={"points": 10, "minor": 5, "share_max_percent": 50, "assurance_caps": {"typed": "unlimited"}},
    returns={"spent": "debt", "grace_days": 10},
    holds={"late_capture": "if_covered"},
)
PROGRAMS = {
    "simple": rules_of(),
    "everything": EVERYTHING,
    "at once": replace(EVERYTHING, earning=replace(EVERYTHING.earning, pending_days=0)),
    "within balance": rules_of(expiry={"kind": "months", "months": 1}, returns={"spent": "within_balance"}),
    "only pending": rules_of(
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
    "challenges": rules_of(
        challenges=[
            {
                "id": "often",
                "name": "Often",
                "counts": "sales",
                "target": 2,
                "times": 9,
                "award": {"points": 70},
            },
            {
                "id": "much",
                "name": "Much",
                "counts": "spend",
                "target": 30_000,
                "times": 3,
                "per": "week",
                "award": {"points": 99, "badge": "big"},
            },
            {
                "id": "toys",
                "name": "Toys",
                "counts": "pieces",
                "target": 3,
                "per": "month",
                "sku": "B",
                "award": {"badge": "toys"},
                "membership": "club",
            },
            {
                "id": "daily",
                "name": "Daily",
                "counts": "days",
                "target": 2,
                "times": 4,
                "per": "month",
                "award": {"points": 11},
            },
            {
                "id": "keen",
                "name": "Keen",
                "counts": "points",
                "target": 100,
                "times": 5,
                "per": "quarter",
                "award": {"points": 13},
            },
        ],
        memberships=[
            {"id": "club", "name": "Club", "sku": "POST", "days": 30, "grace_days": 3, "refund_days": 9}
        ],
        tiers={
            "basis": "spend",
            "period": "rolling",
            "rolling_days": 40,
            "levels": [
                {"id": "base", "from": 0},
                {"id": "silver", "from": 40_000, "gift": {"points": 31}},
                {"id": "gold", "from": 90_000, "gift": {"points": 77}},
            ],
        },
        earning={
            "pending_days": 5,
            "rules": [
                {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100},
                {"id": "club", "kind": "multiply", "by": 2, "membership": "club"},
            ],
        },
    ),
}

CODES = {"PART": ("part", ""), "GIFT": ("gift", "")} | {f"u{n}": ("off", f"u{n}") for n in range(4)}

parts = st.lists(
    st.builds(
        lambda amount, quantity, sku, tax: line(
            amount, quantity=quantity, sku=sku, tax=tax, categories=("toys",) if sku == "B" else ()
        ),
        st.integers(0, 50_000),
        st.integers(1, 5),
        st.sampled_from(["A", "B", "POST"]),
        st.sampled_from(["food", "full", ""]),
    ),
    min_size=1,
    max_size=5,
)
Step = tuple[str, list[Line], int, int]


def sold(world: World) -> list[Entry]:
    return [entry for entry in world.entries if entry.detail.lines]


def hold_id(world: World, pick: int) -> str:
    """Return one of the holds, or an id that is none."""
    holds = world.state.holds
    return holds[pick % len(holds)].hold_id if holds else world.new_id()


def bring_back(world: World, number: int, pick: int) -> None:
    """Return some of a line of some sale, by amount or by quantity."""
    if sales := sold(world):
        sale = sales[pick % len(sales)]
        line_no = 1 + number % len(sale.detail.lines)
        ask = ReturnLine(line_no, 0, Minor(pick)) if pick % 2 else ReturnLine(line_no, 500 + pick % 4 * 500)
        world.do(world.give_back(sale, ask))


def undo(world: World, pick: int) -> None:
    if world.entries:
        world.do(world.reverse(world.entries[pick % len(world.entries)]))


def report(world: World, lines: Sequence[Line], number: int) -> None:
    """Settle a sale that a till made on its own."""
    untaxed = [replace(part, tax_code="") for part in lines]
    total = sum(part.amount_minor for part in lines)
    world.do(world.settle(*untaxed, burned=number, discount=min(number, total)))


def sleep(world: World, pick: int) -> None:
    world.now = Ms(world.now + pick * DAY_MS // 200)


def codes_of_pick(world: World, pick: int) -> tuple[str, ...]:
    """Return one to three codes, now and then one that nobody has."""
    world.codes.update(CODES)
    names = [*CODES, "none"]
    return tuple(dict.fromkeys(names[(pick // 7**n) % len(names)] for n in range(1 + pick % 3)))


def hold_coupons(world: World, lines: Sequence[Line], number: int, pick: int) -> None:
    goods, spend = basket(*lines, groups=GROUPS), Spend(number % 50, up_to=True)
    hold = world.hold(0, ttl_s=pick + 1, spend=spend, basket=goods)
    world.do(replace(hold, coupons=refs_of(*codes_of_pick(world, pick))))


Act = Callable[[World, list[Line], int, int], object]
ACTS: dict[str, Act] = {
    "sale": lambda w, lines, _n, _p: w.do(w.sale(*lines, groups=GROUPS)),
    "burning sale": lambda w, lines, n, _p: w.do(w.sale(*lines, spend=Spend(n, up_to=True), groups=GROUPS)),
    "reward": lambda w, lines, _n, p: w.do(
        w.sale(*lines, rewards=(["five", "tenth", "toy"][p % 3],) * (1 + p % 2), groups=GROUPS)
    ),
    "earn": lambda w, _l, n, _p: w.do(w.earn(n + 1)),
    "burn": lambda w, _l, n, _p: w.do(w.burn(n)),
    "hold": lambda w, _l, n, p: w.do(w.hold(n, ttl_s=p + 1)),
    "hold basket": lambda w, lines, n, p: w.do(
        w.hold(0, ttl_s=p + 1, spend=Spend(n, up_to=True), basket=basket(*lines, groups=GROUPS))
    ),
    "coupon sale": lambda w, lines, n, p: w.do(
        w.sale(*lines, coupons=codes_of_pick(w, p), spend=Spend(n % 90, up_to=True), groups=GROUPS)
    ),
    "coupon hold": hold_coupons,
    "capture": lambda w, _l, _n, p: w.do(w.capture(hold_id(w, p))),
    "capture sale": lambda w, lines, _n, p: w.do(w.capture(hold_id(w, p), basket(*lines, groups=GROUPS))),
    "void": lambda w, _l, _n, p: w.do(w.void(hold_id(w, p))),
    "return": lambda w, _l, n, p: bring_back(w, n, p),
    "return more": lambda w, _l, n, p: bring_back(w, n, p),
    "reverse": lambda w, _l, _n, p: undo(w, p),
    "adjust": lambda w, _l, n, _p: w.do(w.adjust(n - 200)),
    "settle": lambda w, lines, n, _p: report(w, lines, n),
    "wait": lambda w, _l, _n, p: sleep(w, p),
}
steps = st.lists(
    st.tuples(st.sampled_from(sorted(ACTS)), parts, st.integers(0, 400), st.integers(0, 10_000)), max_size=25
)


def play(world: World, step: Step) -> None:
    """Do one step of a random life; whether it is posted or refused, ``World`` checks what must hold."""
    what, lines, number, pick = step
    ACTS[what](world, lines, number, pick)


@pytest.mark.parametrize("rules", PROGRAMS.values(), ids=PROGRAMS)
@settings(max_examples=100)
@given(life=steps)
def test_points_are_conserved_through_any_life(rules: RuleSet, life: list[Step]) -> None:
    world = World(rules)
    for step in life:
        play(world, step)


@settings(max_examples=120)
@given(life=steps, changes=st.lists(st.tuples(*[st.sampled_from(sorted(PROGRAMS))] * 2), max_size=25))
def test_points_are_conserved_when_the_rules_change_on_the_way(
    life: list[Step], changes: list[tuple[str, str]]
) -> None:
    """Each step may find other rules in force, and an advice may name yet others."""
    world = World(PROGRAMS["simple"])
    versions = itertools.chain(changes, itertools.repeat(("simple", "everything")))
    for step, (now, then) in zip(life, versions, strict=False):
        world.rules = PROGRAMS[now]
        world.pinned = PROGRAMS[then] if step[0] == "settle" else None
        play(world, step)


@pytest.mark.parametrize("rules", PROGRAMS.values(), ids=PROGRAMS)
@settings(max_examples=40)
@given(life=steps)
def test_what_a_life_leaves_behind_can_be_stored_and_read_back(rules: RuleSet, life: list[Step]) -> None:
    world = World(rules)
    for step in life:
        play(world, step)
    for entry in world.entries:
        assert detail_from_text(detail_to_text(entry.detail)) == entry.detail
    tier = world.account.tier
    assert tier_from_text(tier_to_text(tier)) == tier
    for hold in world.state.holds:
        assert allocs_from_text(allocs_to_text(hold.allocs)) == hold.allocs


@settings(max_examples=60)
@given(life=steps, lines=parts)
def test_a_sale_that_only_earns_comes_to_the_same_without_the_lots(
    life: list[Step], lines: list[Line]
) -> None:
    world = World(PROGRAMS["at once"])
    for step in life:
        play(world, step)
    sale = world.sale(*lines, groups=GROUPS)
    if needs_lots(sale) or world.account.due_ms <= max(world.now, world.account.as_of_ms):
        return
    whole = decide(sale, world.state, world.rules)
    partly = decide(sale, MemberState(world.account, rest_due_ms=world.account.due_ms), world.rules)
    assert partly.entries == whole.entries
    assert replace(partly.state.account, due_ms=whole.state.account.due_ms) == whole.state.account
    assert partly.state.account.due_ms <= whole.state.account.due_ms, "a look too many does no harm"


@settings(max_examples=60)
@given(life=steps)
def test_undoing_every_sale_leaves_nothing_issued(life: list[Step]) -> None:
    """With returns that become a debt, no points of returned goods stay with anybody."""
    world = World(PROGRAMS["at once"])
    for step in life:
        play(world, step)
    for sale in [entry for entry in sold(world) if entry.kind is not EntryKind.HOLD]:
        world.do(world.reverse(sale))
        for number, share in enumerate(sale.detail.lines, 1):
            back = [
                part
                for entry in world.entries
                if entry.reverses_seq == sale.seq
                for part in entry.detail.returned
                if part.line_no == number
            ]
            quantity = share.quantity_milli - sum(part.quantity_milli for part in back)
            amount = Minor(share.amount_minor - sum(part.amount_minor for part in back))
            if quantity:
                world.do(world.give_back(sale, ReturnLine(number, quantity)))
            elif amount:
                world.do(world.give_back(sale, ReturnLine(number, 0, amount)))
        undone = [entry.moves for entry in world.entries if entry.reverses_seq == sale.seq]
        assert sum(moves.issued for moves in undone) == -sale.moves.issued
        assert sum(moves.burned for moves in undone) == -sale.moves.burned
        assert sum(moves.store_loss for moves in undone) == -sale.moves.store_loss


@settings(max_examples=200)
@given(total=st.integers(0, 10**12), weights=st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
def test_shares_sum_to_the_whole_and_never_exceed_their_weight(total: int, weights: list[int]) -> None:
    shares = spread(total, weights)
    assert sum(shares) == total
    if total <= sum(weights):
        assert all(0 <= share <= weight for share, weight in zip(shares, weights, strict=True))


@settings(max_examples=200)
@given(total=st.integers(0, 10**9), weights=st.lists(st.integers(1, 10**9), min_size=1, max_size=30))
def test_no_share_is_a_whole_unit_away_from_its_exact_part(total: int, weights: list[int]) -> None:
    whole = sum(weights)
    for share, weight in zip(spread(total, weights), weights, strict=True):
        assert abs(share * whole - total * weight) < whole


@settings(max_examples=200)
@given(lines=parts, off=st.integers(0, 10**6))
def test_a_discount_sums_over_lines_and_tax_groups_to_the_minor_unit(lines: list[Line], off: int) -> None:
    whole = basket(*lines, groups=GROUPS)
    total = sum(part.amount_minor for part in lines)
    off = min(off, total)
    shares = spread_by_group(off, [part.amount_minor for part in lines], [part.tax_code for part in lines])
    assert sum(shares) == off
    assert all(0 <= share <= part.amount_minor for share, part in zip(shares, lines, strict=True))
    taxed = tax_totals(whole, shares)
    assert sum(group.gross_minor for group in taxed) == total - off
    assert all(group.net_minor + group.tax_minor == group.gross_minor for group in taxed)


@pytest.mark.parametrize("name", ["everything", "at once"])
@settings(max_examples=120)
@given(lines=parts, data=st.data())
def test_returning_every_line_in_any_pieces_equals_one_full_return(
    name: str, lines: list[Line], data: st.DataObject
) -> None:
    whole, pieces = World(PROGRAMS[name]), World(PROGRAMS[name])
    for world in (whole, pieces):
        world.do(world.adjust(5_000))
    sale = whole.sale(*lines, spend=Spend(300, up_to=True), groups=GROUPS)
    first, second = whole.posted(sale), pieces.posted(sale)
    asks = [ReturnLine(number, part.quantity_milli) for number, part in enumerate(lines, 1)]
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


@settings(max_examples=150)
@given(life=steps)
def test_no_coupon_is_ever_used_more_often_than_its_rules_say(life: list[Step]) -> None:
    world = World(PROGRAMS["at once"])
    for step in life:
        play(world, step)
        undone = {entry.reverses_seq for entry in world.entries if entry.kind is EntryKind.REVERSE}
        used = [
            coupon
            for entry in world.entries
            if entry.kind in (EntryKind.SALE, EntryKind.CAPTURE) and entry.seq not in undone
            for coupon in entry.detail.coupons
        ]
        counts = Counter(coupon.coupon_id for coupon in used)
        tokens = [coupon.token for coupon in used if coupon.token]
        assert (counts["off"] <= 3, counts["part"] <= 4, counts["gift"] <= 2) == (True, True, True)
        assert len(tokens) == len(set(tokens))


@settings(max_examples=100)
@given(lines=parts, data=st.data())
def test_coupons_rewards_and_points_sum_exactly_and_come_back_exactly_in_any_pieces(
    lines: list[Line], data: st.DataObject
) -> None:
    world = World(PROGRAMS["at once"], codes=dict(CODES))
    world.do(world.adjust(5_000))
    asked = world.sale(
        *lines, coupons=("u1", "PART"), rewards=("tenth",), spend=Spend(300, up_to=True), groups=GROUPS
    )
    world.do(asked)
    if (sale := world.entries[-1]).command_id != asked.command_id:
        return
    detail = sale.detail
    off = sum(one.discount_minor for one in detail.coupons) + sum(
        one.discount_minor for one in detail.rewards
    )
    off += sum(
        int(dict(why.args)["discount_minor"]) for why in detail.explanations if why.rule_id == "points"
    )
    total = sum(part.amount_minor for part in lines)
    assert sum(share.discount_minor for share in detail.lines) == off == total - detail.payable_minor
    left = [(number, 500) for number, part in enumerate(lines, 1) for _ in range(part.quantity_milli // 500)]
    refund = taken = 0
    for number, quantity in data.draw(st.permutations(left)):
        back = world.posted(world.give_back(sale, ReturnLine(number, quantity))).detail
        refund, taken = refund + back.refund_minor, taken + back.due_points
    assert (refund, taken) == (detail.payable_minor, -sale.moves.issued)


def numbered() -> Callable[[], CommandId]:
    """Return a maker of ids that counts, so that two lives have the same ones."""
    count = itertools.count()
    return lambda: CommandId(f"00000000-0000-4000-8000-{next(count):012d}")


@settings(max_examples=80)
@given(lives=st.tuples(steps, steps), order=st.lists(st.booleans(), max_size=50))
def test_the_order_of_replay_between_members_does_not_matter(
    lives: tuple[list[Step], list[Step]], order: list[bool]
) -> None:
    alone = [World(EVERYTHING, mint=numbered()) for _ in lives]
    mixed = [World(EVERYTHING, mint=numbered()) for _ in lives]
    for world, life in zip(alone, lives, strict=True):
        for step in life:
            play(world, step)
    left = [list(life) for life in lives]
    for second in [*order, *[False] * 25, *[True] * 25]:
        if left[second]:
            play(mixed[second], left[second].pop(0))
    for one, other in zip(alone, mixed, strict=True):
        assert one.account == other.account
        assert one.entries == other.entries


@settings(max_examples=200)
@given(amount=st.integers(0, 10**12), rate=st.integers(0, 10**6))
def test_tax_included_in_a_price_is_what_was_added_to_its_net(amount: int, rate: int) -> None:
    tax = tax_of(amount, rate, included=True)
    assert 0 <= tax <= amount
    assert abs(tax_of(amount - tax, rate, included=False) - tax) <= 1


@settings(max_examples=100)
@given(day=st.dates(max_value=date(9000, 1, 1)), months=st.integers(0, 1200))
def test_months_later_is_the_same_day_or_the_end_of_a_shorter_month(day: date, months: int) -> None:
    later = add_months(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    last = add_months(later.replace(day=1), 1).toordinal() - 1
    assert later.day == day.day or (later.day < day.day and later.toordinal() == last)


def test_a_sale_is_posted_in_this_world() -> None:
    world = World(PROGRAMS["simple"])
    assert isinstance(world.do(world.sale(1000)), Posted)
    assert world.account.active == 10
