"""Leases and vouchers: points escrowed to a store, burned there without asking, and given back in the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.core.basket import Assurance
from tallystick.core.command import Authority, AuthorityKind, RecallLeases
from tallystick.core.entry import EntryKind, Refusal
from tallystick.core.ids import CommandId, Ms
from tallystick.core.rules.model import DAY_MS
from tallystick.core.state import HoldStatus
from tests.core.world import MEMBER, World, codes_of, rules_of

REWARDS = [{"id": "mug", "kind": "money_off", "points": 300, "amount_minor": 300}]
LEASE, VOUCHER, FLOOR = AuthorityKind.LEASE, AuthorityKind.VOUCHER, AuthorityKind.FLOOR


def rich(points: int = 1_000, **parts: object) -> World:
    world = World(rules_of(**parts))
    world.posted(world.adjust(points))
    return world


def test_a_lease_is_a_quarter_of_the_balance_and_leaves_the_account() -> None:
    world = rich(1_000)
    entry = world.posted(world.lease())
    assert (entry.kind, entry.moves.active, entry.moves.held) == (EntryKind.LEASE, -250, 250)
    (hold,) = world.state.holds
    assert (hold.left, hold.store_id, hold.ends_ms - world.now) == (250, "s1", 2 * DAY_MS)
    assert hold.expires_ms - hold.ends_ms == 7 * DAY_MS


@pytest.mark.parametrize(
    ("offline", "points"),
    [
        ({}, 300),
        ({"lease_points_max": 200}, 200),
        ({"lease_share_percent": 10}, 190),
        ({"lease_share_percent": 100, "lease_points_max": 900}, 900),
    ],
)
def test_a_lease_is_at_most_one_reward_unless_the_rules_say_how_much(
    offline: dict[str, int], points: int
) -> None:
    world = rich(1_900, rewards=REWARDS, offline=offline)
    assert world.posted(world.lease()).moves.held == points


def test_a_lease_is_in_whole_units() -> None:
    world = rich(1_000, burning={"points": 100, "minor": 100, "unit_points": 100})
    assert world.posted(world.lease()).moves.held == 200


def test_a_program_can_do_without_leases() -> None:
    assert rich(offline={"lease_share_percent": 0}).why(rich().lease()) is Refusal.LEASES_OFF


def test_who_has_too_little_for_a_burn_gets_no_lease() -> None:
    world = rich(3, burning={"points": 1, "minor": 1, "minimum_points": 1})
    assert world.why(world.lease()) is Refusal.INSUFFICIENT_POINTS


def test_a_store_has_one_open_lease_of_a_member_and_another_store_its_own() -> None:
    world = rich()
    first = world.posted(world.lease("s1"))
    no = world.refused(world.lease("s1"))
    assert (no.reason, dict(no.details)["lease_id"]) == (Refusal.LEASE_EXISTS, first.command_id)
    assert world.posted(world.lease("s2")).moves.held == 187


def test_what_a_till_burned_of_its_lease_comes_out_of_the_lease() -> None:
    world = rich()
    lease = world.posted(world.lease())
    entry = world.posted(world.burned(Authority(LEASE, 100, lease.command_id)))
    assert (entry.moves.held, entry.moves.burned, entry.moves.store_loss) == (-100, 100, 0)
    assert world.state.holds[0].left == 150
    assert ("authority", 0, -100, "by_lease") in codes_of(entry)


def test_no_more_is_burned_of_a_lease_than_was_leased() -> None:
    world = rich()
    lease = world.posted(world.lease())
    world.posted(world.burned(Authority(LEASE, 200, lease.command_id)))
    entry = world.posted(world.burned(Authority(LEASE, 200, lease.command_id)))
    assert (entry.moves.held, entry.moves.store_loss, entry.shortfall) == (-50, -150, 150)
    assert world.state.holds[0].status is HoldStatus.CAPTURED
    assert world.account.held == 0


def test_another_stores_lease_gives_nothing() -> None:
    world = rich()
    lease = world.posted(world.lease("s1"))
    entry = world.posted(world.burned(Authority(LEASE, 100, lease.command_id), store="s2"))
    assert (entry.shortfall, world.account.held) == (100, 250)


def test_two_stores_with_a_lease_each_are_both_honoured_in_full() -> None:
    world = rich()
    first, second = world.posted(world.lease("s1")), world.posted(world.lease("s2"))
    world.posted(world.burn(500))
    one = world.posted(world.burned(Authority(LEASE, 250, first.command_id), store="s1"))
    two = world.posted(world.burned(Authority(LEASE, 187, second.command_id), store="s2"))
    assert (one.shortfall, two.shortfall) == (0, 0)


def test_the_lots_behind_a_lease_do_not_expire_while_it_lives() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.earn(400))
    world.now = Ms(world.now + 30 * DAY_MS)
    lease = world.posted(world.lease())
    world.now = Ms(world.now + 5 * DAY_MS)
    entry = world.posted(world.burned(Authority(LEASE, 100, lease.command_id), amount=100))
    assert (entry.shortfall, world.account.active) == (0, 0)


def test_what_is_left_of_a_lease_goes_back_after_the_grace() -> None:
    world = rich()
    lease = world.posted(world.lease())
    world.posted(world.burned(Authority(LEASE, 100, lease.command_id)))
    world.now = Ms(world.now + 9 * DAY_MS - 1)
    world.posted(world.earn(1))
    assert world.account.held == 150
    world.now = Ms(world.now + 1)
    world.posted(world.earn(1))
    assert (world.account.held, world.entries[-2].kind) == (0, EntryKind.HOLD_RELEASE)


def test_a_burn_that_is_told_after_the_grace_still_takes_what_is_there() -> None:
    world = rich()
    lease = world.posted(world.lease())
    world.now = Ms(world.now + 30 * DAY_MS)
    first = world.posted(world.burned(Authority(LEASE, 200, lease.command_id)))
    assert (first.moves.active, first.shortfall) == (-200 + 998, 0)
    second = world.posted(world.burned(Authority(LEASE, 200, lease.command_id)))
    assert second.shortfall == 150, "and never more than was leased"


def test_a_lease_that_was_given_back_is_free_again() -> None:
    world = rich()
    lease = world.posted(world.lease())
    world.posted(world.burned(Authority(LEASE, 100, lease.command_id), amount=100))
    entry = world.posted(world.give_lease_back(lease))
    assert (entry.kind, entry.moves.active, entry.moves.held) == (EntryKind.VOID, 150, -150)
    assert world.why(world.give_lease_back(lease)) is Refusal.HOLD_CLOSED


def test_only_the_store_that_has_a_lease_gives_it_back() -> None:
    world = rich()
    lease = world.posted(world.lease("s1"))
    assert world.why(world.give_lease_back(lease, "s2")) is Refusal.HOLD_UNKNOWN
    world.now = Ms(world.now + 30 * DAY_MS)
    assert world.why(world.give_lease_back(lease)) is Refusal.HOLD_EXPIRED


def test_a_checkout_neither_captures_nor_voids_a_lease() -> None:
    world = rich()
    lease = world.posted(world.lease())
    assert world.why(world.capture(lease.command_id)) is Refusal.HOLD_UNKNOWN
    assert world.why(world.void(lease.command_id)) is Refusal.HOLD_UNKNOWN


def test_a_recall_marks_the_leases_once() -> None:
    world = rich()
    world.posted(world.lease("s1"))
    world.posted(world.lease("s2"))
    entry = world.posted(RecallLeases(world.new_id(), MEMBER, world.origin))
    assert (entry.kind, len(entry.detail.explanations)) == (EntryKind.RECALL, 2)
    assert all(hold.recalled for hold in world.state.holds)
    assert world.why(RecallLeases(world.new_id(), MEMBER, world.origin)) is Refusal.HOLD_UNKNOWN


def test_a_voucher_takes_its_points_at_once_and_counts_once() -> None:
    world = rich()
    voucher = world.posted(world.voucher(400))
    assert (voucher.kind, world.account.active, world.account.held) == (EntryKind.VOUCHER, 600, 400)
    first = world.posted(world.burned(Authority(VOUCHER, 400, voucher.command_id)))
    assert (first.moves.held, first.shortfall) == (-400, 0)
    again = world.posted(world.burned(Authority(VOUCHER, 400, voucher.command_id)))
    assert again.shortfall == 400, "the second till's loss, not the member's"


def test_what_the_basket_did_not_need_of_a_voucher_goes_back() -> None:
    world = rich()
    voucher = world.posted(world.voucher(400))
    entry = world.posted(world.burned(Authority(VOUCHER, 150, voucher.command_id), amount=150))
    assert (entry.moves.held, entry.moves.active, entry.moves.burned) == (-400, 250, 150)
    assert world.state.holds[0].status is HoldStatus.CAPTURED


def test_a_voucher_can_buy_a_reward() -> None:
    world = rich(rewards=REWARDS)
    entry = world.posted(world.voucher(reward="mug"))
    assert entry.moves.held == 300
    assert world.state.holds[0].reward_ids == ("mug",)
    assert world.why(world.voucher(reward="car")) is Refusal.REWARD_UNKNOWN


def test_a_voucher_needs_points_and_assurance() -> None:
    world = rich(100, burning={"points": 1, "minor": 1, "assurance_caps": {"typed": 0}})
    assert world.why(world.voucher(101)) is Refusal.INSUFFICIENT_POINTS
    assert world.why(world.voucher(50, assurance=Assurance.TYPED)) is Refusal.ABOVE_ASSURANCE_CAP


def test_a_member_has_at_most_twenty_vouchers() -> None:
    world = rich()
    for _ in range(20):
        world.posted(world.voucher(1))
    assert world.why(world.voucher(1)) is Refusal.HOLDS_TOO_MANY


def test_a_floor_burn_takes_the_balance_and_the_store_pays_the_rest() -> None:
    world = rich(120)
    entry = world.posted(world.burned(Authority(FLOOR, 200)))
    assert (entry.moves.burned, entry.shortfall) == (200, 80)
    assert ("authority", 0, -120, "by_floor") in codes_of(entry)


def test_a_till_that_lies_costs_its_store_and_not_the_member() -> None:
    world = rich(100_000)
    entry = world.posted(world.burned(Authority(FLOOR, 90_000), Authority(FLOOR, 9_000)))
    assert entry.shortfall == 99_000 - 500, "one sale takes no more of a member than the floor limit"


def test_a_burn_by_several_rights_uses_each_as_far_as_it_goes() -> None:
    world = rich(1_000)
    lease = world.posted(world.lease())
    voucher = world.posted(world.voucher(100))
    rights = (
        Authority(LEASE, 250, lease.command_id),
        Authority(VOUCHER, 100, voucher.command_id),
        Authority(FLOOR, 50),
    )
    entry = world.posted(world.burned(*rights))
    assert (entry.moves.held, entry.moves.burned, entry.shortfall) == (-350, 400, 0)
    back = world.posted(world.all_back(entry))
    assert back.detail.restored_points == 400


def test_a_lease_id_that_nobody_knows_gives_nothing() -> None:
    world = rich()
    unknown = Authority(LEASE, 100, CommandId("0190a000-0000-7000-8000-0000000000ff"))
    assert world.posted(world.burned(unknown)).shortfall == 100


@pytest.mark.parametrize(
    ("rights", "burned", "reason"),
    [
        ((Authority(FLOOR, 0),), 0, Refusal.AMOUNT_OVERFLOW),
        ((Authority(FLOOR, 100),), 99, Refusal.BASKET_INVALID),
        ((Authority(FLOOR, 1),) * 21, 21, Refusal.BASKET_INVALID),
    ],
)
def test_rights_that_make_no_sense_are_no_fact(
    rights: tuple[Authority, ...], burned: int, reason: Refusal
) -> None:
    world = rich()
    assert world.why(replace(world.settle(1_000, burned=burned), authorities=rights)) is reason
