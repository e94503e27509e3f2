"""What time makes due: points mature and expire, holds run out, each once and in the order in which it happened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.core.basket import Channel, Origin
from tallystick.core.command import CatchUp
from tallystick.core.decide import decide
from tallystick.core.entry import CaughtUp, EntryKind, Refusal
from tallystick.core.ids import NEVER_MS
from tallystick.core.state import MemberState
from tests.core.world import MEMBER, World, at, lots_of, rules_of

BASE = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]


def pending(days: int, **parts: object) -> World:
    return World(rules_of(earning={"rules": BASE, "pending_days": days}, **parts))


def kinds(world: World) -> list[str]:
    return [entry.kind.name for entry in world.entries]


def test_points_are_shown_but_not_spendable_until_they_mature() -> None:
    world = pending(14)
    entry = world.posted(world.sale(1000))
    assert (entry.active_after, entry.pending_after) == (0, 10)
    assert world.why(world.burn(10)) is Refusal.INSUFFICIENT_POINTS
    world.wait_until("2026-01-28T22:59")
    assert (world.account.active, world.account.pending) == (0, 10)
    world.wait_until("2026-01-28T23:00")
    assert (world.account.active, world.account.pending) == (10, 0)
    assert kinds(world) == ["SALE", "MATURE"]
    assert world.entries[-1].origin.occurred_ms == at("2026-01-28T23:00")
    world.posted(world.burn(10))


@pytest.mark.parametrize(
    ("sold", "matures"),
    [("2026-03-20T22:30", "2026-04-02T22:00"), ("2026-10-19T22:30", "2026-11-02T23:00")],
    ids=["spring", "autumn"],
)
def test_a_change_of_the_clocks_does_not_move_the_day_on_which_points_mature(sold: str, matures: str) -> None:
    world = pending(14)
    world.now = at(sold)
    world.posted(world.sale(1000))
    assert world.account.due_ms == at(matures)


def test_points_without_a_pending_period_are_spendable_at_once() -> None:
    world = pending(0)
    assert world.posted(world.sale(1000)).active_after == 10


def test_each_lot_expires_as_one_row_on_its_own_day() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(1000))
    world.now = at("2026-01-20T12:00")
    world.posted(world.sale(2000))
    world.wait_until("2026-02-15T22:59")
    assert world.account.active == 30
    world.wait_until("2026-06-01")
    assert [(entry.kind, entry.moves.breakage) for entry in world.entries[2:]] == [
        (EntryKind.EXPIRE, 10),
        (EntryKind.EXPIRE, 20),
    ]
    assert [entry.origin.occurred_ms for entry in world.entries[2:]] == [
        at("2026-02-15T23:00"),
        at("2026-02-20T23:00"),
    ]
    assert world.account.due_ms == NEVER_MS


def test_running_expiry_again_changes_nothing() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(1000))
    world.wait_until("2026-03-01")
    before = world.state
    assert world.do(CatchUp(world.new_id(), MEMBER, world.origin)) == CaughtUp(0)
    assert world.state == before


def test_the_same_expiry_has_the_same_id_whoever_computes_it() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(1000))
    ids = set()
    for text in ("2026-02-15T23:00", "2026-03-01", "2030-01-01"):
        origin = Origin(at(text), Channel.UNKNOWN)
        outcome = decide(CatchUp(world.new_id(), MEMBER, origin), world.state, world.rules)
        ids.add(outcome.entries[0].command_id)
    assert len(ids) == 1
    assert ids.pop()[14] == "8", "a UUID of version 8"


def test_the_soonest_to_expire_is_burned_first_so_the_rest_lasts_longest() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    first = world.posted(world.sale(1000))
    world.now = at("2026-01-20T12:00")
    second = world.posted(world.sale(2000))
    world.posted(world.burn(15))
    assert lots_of(world) == [(second.seq, 15)]
    assert [(alloc.lot_seq, alloc.points) for alloc in world.entries[-1].detail.allocs] == [
        (first.seq, 10),
        (second.seq, 5),
    ]
    world.wait_until("2026-02-17")
    assert world.account.active == 15


def test_what_matures_at_an_instant_does_so_before_what_expires_at_it() -> None:
    world = pending(31, expiry={"kind": "end_of_month", "months": 1})
    world.posted(world.sale(1000))
    world.now = at("2026-01-28T23:30")
    world.posted(world.sale(2000))
    world.wait_until("2026-03-05")
    assert kinds(world) == ["SALE", "SALE", "MATURE", "MATURE", "EXPIRE", "EXPIRE"]
    assert [entry.origin.occurred_ms for entry in world.entries[3:]] == [at("2026-02-28T23:00")] * 3
    assert world.account.active == 0


def test_what_fell_due_is_posted_before_a_command_and_stays_when_that_is_refused() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(1000))
    world.now = at("2026-03-01")
    assert world.why(world.burn(10)) is Refusal.INSUFFICIENT_POINTS
    assert kinds(world) == ["SALE", "EXPIRE"]
    assert world.account.as_of_ms == at("2026-03-01")


def test_business_time_never_runs_backwards_for_a_member() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(1000))
    world.wait_until("2026-03-01")
    late = replace(world.sale(1000), origin=replace(world.origin, occurred_ms=at("2026-01-16")))
    entry = world.posted(late)
    assert entry.origin.occurred_ms == at("2026-01-16")
    assert world.account.as_of_ms == at("2026-03-01")
    assert world.account.due_ms == at("2026-04-01T22:00")


def test_catching_up_says_how_much_there_was_to_do() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(1000))
    world.posted(world.hold(4))
    world.now = at("2026-06-01")
    # The hold runs out after a quarter of an hour; a month later the lot expires, whole again.
    assert world.do(CatchUp(world.new_id(), MEMBER, world.origin)) == CaughtUp(2)
    assert world.entries[-1].moves.breakage == 10


def test_what_was_not_loaded_is_never_passed_over() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(1000))
    account = world.account
    partly = MemberState(account, rest_due_ms=account.due_ms)
    sale = replace(world.sale(1000), origin=replace(world.origin, occurred_ms=account.due_ms))
    with pytest.raises(AssertionError, match="needs the member's lots"):
        decide(sale, partly, world.rules)


def test_a_sale_that_only_earns_needs_no_lots_and_comes_to_the_same() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(1000))
    sale = world.sale(2500)
    partly = decide(sale, MemberState(world.account, rest_due_ms=world.account.due_ms), world.rules)
    whole = decide(sale, world.state, world.rules)
    assert partly.entries == whole.entries
    assert partly.state.account == whole.state.account
