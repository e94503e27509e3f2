"""A till's chain: what comes next, what came before, what has forked; and what a till is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.core.advice import (
    CLOCK_SLACK_MS,
    EPOCH_MAX,
    FENCES_WITHIN_MS,
    Admission,
    Slot,
    TillChain,
    TillStatus,
    VerdictKind,
    VerdictReason,
    admit,
    advance,
    bounded_ms,
    digest_of,
    fence,
    item_id_of,
    reinstate,
    verdict_of_entry,
    verdict_of_refusal,
    verdict_of_request,
)
from tallystick.core.chain import GENESIS
from tallystick.core.command import ReturnLine, SettleReturn, SettleUndo
from tallystick.core.entry import EntryKind, Refusal, refused
from tallystick.core.ids import CommandId, Ms
from tests.core.world import MEMBER, World, line, rules_of

NEW = TillChain("till-1", "s1")


def slot(seq: int, prev: bytes = GENESIS, *, epoch: int = 1, raw: bytes = b"") -> Slot:
    raw = raw or f"advice {epoch}/{seq}".encode()
    return Slot("till-1", "s1", epoch, seq, prev, digest_of(raw), raw)


def after(count: int) -> tuple[TillChain, list[Slot]]:
    chain, slots = NEW, []
    for seq in range(1, count + 1):
        one = slot(seq, chain.head)
        assert admit(chain, one, known=False) is Admission.NEXT
        chain = advance(chain, one)
        slots.append(one)
    return chain, slots


def test_a_chain_goes_on_where_it_was() -> None:
    chain, slots = after(3)
    assert (chain.acked_seq, chain.head) == (3, slots[-1].digest)


def test_what_was_sent_before_is_a_replay() -> None:
    chain, slots = after(3)
    assert {admit(chain, one, known=True) for one in slots} == {Admission.REPLAY}


def test_a_hole_is_not_taken() -> None:
    chain, _ = after(3)
    assert admit(chain, slot(5, b"x" * 32), known=False) is Admission.GAP


def test_an_epoch_that_a_restored_gateway_has_lost_is_taken_from_its_beginning() -> None:
    chain, _ = after(3)
    first = slot(1, epoch=3)
    assert admit(chain, first, known=False) is Admission.NEXT
    chain = advance(chain, first)
    assert (chain.epoch, chain.acked_seq, chain.fences) == (3, 1, 0)
    assert admit(chain, slot(2, first.digest, epoch=3), known=False) is Admission.NEXT
    assert admit(chain, slot(4, b"x" * 32), known=False) is Admission.FENCED
    assert admit(chain, slot(1, epoch=3, raw=b"copy"), known=False) is Admission.FORK


def test_an_epoch_that_the_gateway_has_not_begun_is_a_hole_behind_its_first_place() -> None:
    assert admit(NEW, slot(2, epoch=2), known=False) is Admission.GAP
    assert admit(NEW, slot(1, b"x" * 32, epoch=2), known=False) is Admission.GAP
    assert admit(NEW, slot(1, epoch=EPOCH_MAX + 1), known=False) is Admission.GAP


def test_another_advice_in_a_place_that_is_taken_is_a_fork() -> None:
    chain, _ = after(3)
    assert admit(chain, slot(2, raw=b"other"), known=False) is Admission.FORK


def test_the_next_place_after_another_past_is_a_fork() -> None:
    chain, _ = after(3)
    assert admit(chain, slot(4, b"y" * 32), known=False) is Admission.FORK


def test_a_fork_ends_the_epoch() -> None:
    chain, slots = after(3)
    fenced = fence(chain, Ms(1_000))
    assert (fenced.epoch, fenced.acked_seq, fenced.head, fenced.fences) == (2, 0, GENESIS, 1)
    assert admit(fenced, slots[0], known=True) is Admission.REPLAY
    assert admit(fenced, slot(4, chain.head), known=False) is Admission.FENCED
    assert admit(fenced, slot(1, epoch=2), known=False) is Admission.NEXT


def test_three_forks_in_a_day_suspend_a_till_until_a_person_comes() -> None:
    chain = NEW
    for hour in range(3):
        assert chain.status is TillStatus.TRUSTED
        chain = fence(chain, Ms(hour * 3_600_000))
    assert chain.status is TillStatus.SUSPENDED
    back = reinstate(chain)
    assert (back.status, back.epoch, back.fenced_ms, back.fences) == (TillStatus.TRUSTED, 5, (), 3)
    assert reinstate(back) == back


def test_forks_of_yesterday_do_not_count() -> None:
    chain = fence(fence(NEW, Ms(0)), Ms(1))
    assert fence(chain, Ms(FENCES_WITHIN_MS + 1)).status is TillStatus.TRUSTED


@pytest.mark.parametrize(
    ("told", "bounded"), [(500, 500), (50, 100), (5_000, 1_000), (-1, 100), (2**62, 1_000)]
)
def test_a_tills_time_lies_between_its_last_empty_outbox_and_now(told: int, bounded: int) -> None:
    assert bounded_ms(told, Ms(100), Ms(1_000)) == bounded


def test_an_item_is_named_after_its_bytes() -> None:
    assert item_id_of(digest_of(b"a")) == item_id_of(digest_of(b"a")) != item_id_of(digest_of(b"b"))


def test_a_sale_as_the_till_said_is_posted() -> None:
    world = World(rules_of())
    verdict = verdict_of_entry(world.posted(world.settle(1_000, earned=10)))
    assert (verdict.kind, verdict.reasons) == (VerdictKind.POSTED, ())
    assert (verdict.member_seq, verdict.earned_points) == (1, 10)


def test_other_points_and_a_shortfall_are_told() -> None:
    world = World(rules_of())
    verdict = verdict_of_entry(world.posted(world.settle(1_000, earned=11, burned=5)))
    assert verdict.kind is VerdictKind.ADJUSTED
    assert verdict.reasons == (VerdictReason.POINTS_DIFFER, VerdictReason.SHORTFALL)
    assert verdict.shortfall_points == 5


def test_a_wrong_clock_alone_adjusts_nothing() -> None:
    world = World(rules_of())
    verdict = verdict_of_entry(world.posted(world.settle(1_000, earned=10)), clock_off=True)
    assert (verdict.kind, verdict.reasons) == (VerdictKind.POSTED, (VerdictReason.CLOCK,))
    assert CLOCK_SLACK_MS > 0


def test_a_request_that_had_arrived_after_all_answers_the_fact() -> None:
    world = World(rules_of())
    sale = world.posted(world.sale(1_000))
    assert verdict_of_request(sale, world.settle(1_000, earned=10)).kind is VerdictKind.POSTED
    other = verdict_of_request(sale, world.settle(1_000, earned=10, burned=3))
    assert (other.kind, other.reasons) == (VerdictKind.ADJUSTED, (VerdictReason.POINTS_DIFFER,))
    assert verdict_of_request(sale, world.settle(1_000, earned=9)).kind is VerdictKind.ADJUSTED


@pytest.mark.parametrize(
    ("refusal", "kind", "reason"),
    [
        (Refusal.SALE_UNKNOWN, VerdictKind.PARKED, VerdictReason.SALE_UNKNOWN),
        (Refusal.MEMBER_UNKNOWN, VerdictKind.PARKED, VerdictReason.MEMBER_UNKNOWN),
        (Refusal.RULE_SET_UNKNOWN, VerdictKind.PARKED, VerdictReason.RULE_SET_UNKNOWN),
        (Refusal.CURRENCY_MISMATCH, VerdictKind.QUARANTINED, VerdictReason.INVALID),
        (Refusal.COMMAND_ID_REUSED, VerdictKind.QUARANTINED, VerdictReason.ID_REUSED),
    ],
)
def test_what_may_still_arrive_parks_a_fact_and_nonsense_is_for_a_person(
    refusal: Refusal, kind: VerdictKind, reason: VerdictReason
) -> None:
    verdict = verdict_of_refusal(refused(refusal, what="x"))
    assert (verdict.kind, verdict.reasons) == (kind, (reason,))
    assert dict(verdict.details) == {"refusal": refusal.name, "what": "x"}


def sold(world: World) -> CommandId:
    return world.posted(world.settle(line(1_000, quantity=4), earned=10)).command_id


def back(world: World, sale_id: CommandId, *lines: ReturnLine) -> SettleReturn:
    return SettleReturn(world.new_id(), MEMBER, world.origin, sale_id, lines, 1)


def test_goods_that_came_back_at_a_till_take_their_points_back() -> None:
    world = World(rules_of())
    entry = world.posted(back(world, sold(world), ReturnLine(1, 1000)))
    assert (entry.kind, entry.moves.active, entry.detail.refund_minor) == (EntryKind.RETURN, -2, 250)
    assert verdict_of_entry(entry).kind is VerdictKind.POSTED


def test_more_than_was_left_comes_back_as_far_as_there_was_something_left() -> None:
    world = World(rules_of())
    sale_id = sold(world)
    world.posted(back(world, sale_id, ReturnLine(1, 3000)))
    entry = world.posted(back(world, sale_id, ReturnLine(1, 2000), ReturnLine(1, 1000)))
    verdict = verdict_of_entry(entry)
    assert (verdict.kind, verdict.reasons) == (VerdictKind.ADJUSTED, (VerdictReason.OVER_RETURN,))
    assert world.account.active == 0
    nothing = world.posted(back(world, sale_id, ReturnLine(1, 1000)))
    assert sum(map(abs, nothing.moves)) == 0
    assert verdict_of_entry(nothing).reasons == (VerdictReason.OVER_RETURN,)


def test_a_return_whose_sale_is_away_is_for_later() -> None:
    world = World(rules_of())
    assert world.why(back(world, world.new_id(), ReturnLine(1, 1000))) is Refusal.SALE_UNKNOWN
    assert world.why(back(world, sold(world), ReturnLine(9, 1000))) is Refusal.LINE_UNKNOWN
    assert world.why(back(world, sold(world))) is Refusal.BASKET_EMPTY


def undo(world: World, sale_id: CommandId) -> SettleUndo:
    return SettleUndo(world.new_id(), MEMBER, world.origin, sale_id, 1)


def test_an_undone_sale_leaves_nothing_behind() -> None:
    world = World(rules_of())
    entry = world.posted(undo(world, sold(world)))
    assert (entry.kind, world.account.active) == (EntryKind.REVERSE, 0)


def test_what_came_back_before_is_not_undone_again() -> None:
    world = World(rules_of())
    sale_id = sold(world)
    world.posted(back(world, sale_id, ReturnLine(1, 1000)))
    entry = world.posted(undo(world, sale_id))
    assert (entry.kind, entry.moves.active, world.account.active) == (EntryKind.RETURN, -8, 0)
    again = world.posted(undo(world, sale_id))
    assert verdict_of_entry(again).reasons == (VerdictReason.OVER_RETURN,)


def test_a_sale_that_was_undone_cannot_come_back_as_goods() -> None:
    world = World(rules_of())
    sale_id = sold(world)
    world.posted(undo(world, sale_id))
    entry = world.posted(back(world, sale_id, ReturnLine(1, 4000)))
    assert verdict_of_entry(entry).reasons == (VerdictReason.OVER_RETURN,)
    assert world.account.active == 0


def test_undoing_twice_undoes_once() -> None:
    world = World(rules_of())
    sale_id = sold(world)
    world.posted(undo(world, sale_id))
    entry = world.posted(undo(world, sale_id))
    assert verdict_of_entry(entry).reasons == (VerdictReason.OVER_RETURN,)
    assert world.account.active == 0


def test_the_same_shares_as_the_till_had_are_kept_when_the_rules_agree() -> None:
    rewards = [{"id": "mug", "kind": "money_off", "points": 50, "amount_minor": 100, "sku": ["B"]}]
    world = World(rules_of(rewards=rewards))
    world.posted(world.adjust(50))
    advice = world.settle(line(600), line(400, sku="B"), burned=50, discount=100, earned=9)
    entry = world.posted(replace(advice, reward_ids=("mug",)))
    assert [share.discount_minor for share in entry.detail.lines] == [0, 100]
    assert [reward.reward_id for reward in entry.detail.rewards] == ["mug"]
