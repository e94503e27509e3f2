"""One batch: each command decided once, in order, with one write set."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.basket import Channel
from tallystick.core.chain import GENESIS, JournalRow, entry_digest, row_hash, split_refs
from tallystick.core.codec import detail_to_text
from tallystick.core.command import Command, ReturnLine
from tallystick.core.entry import Entry, EntryKind, Posted, Refusal, Refused
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import Ms
from tallystick.core.state import MemberStatus
from tallystick.service.batch import Batch
from tallystick.service.ports import Transaction
from tallystick.service.submission import Answer, Submission, with_occurred
from tallystick.storage.memory import MemoryStore
from tests.core.world import at, basket
from tests.service.desk import ANN, BEN, CLUB, NOBODY, Desk, later


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk(MemoryStore(), lane=False) as desk:
        yield desk


def batch_of(desk: Desk, transaction: Transaction, *given: Command | Submission) -> Batch:
    return Batch(
        program_id=CLUB,
        submissions=[one if isinstance(one, Submission) else desk.submission(one) for one in given],
        rules_for=lambda version: desk.book.version(CLUB, version),
        transaction=transaction,
        lane_id=0,
        now_ms=desk.now,
    )


def run(desk: Desk, *given: Command | Submission) -> tuple[list[Answer], JournalRow | None]:
    """Run one batch, continuing the lane's chain."""
    with desk.store.transaction(CLUB) as transaction:
        return batch_of(desk, transaction, *given).run(transaction.tail(0))


def answers(desk: Desk, *given: Command | Submission) -> list[Answer]:
    return run(desk, *given)[0]


def told(answer: Answer) -> str:
    """Return the kind of entry or the reason of the refusal."""
    decision = answer.decision
    if isinstance(decision, Posted):
        return decision.entry.kind.name
    assert isinstance(decision, Refused)
    return decision.reason.name


def entry_of(answer: Answer) -> Entry:
    assert isinstance(answer.decision, Posted), answer
    return answer.decision.entry


def test_commands_of_a_member_are_decided_in_the_order_in_which_they_came(desk: Desk) -> None:
    posted = answers(desk, desk.earn(100), desk.burn(60), desk.burn(60), desk.burn(40))
    assert [told(answer) for answer in posted] == ["EARN", "BURN", "INSUFFICIENT_POINTS", "BURN"]
    assert desk.account().active == 0
    assert [entry.seq for entry in desk.entries()] == [1, 2, 3]


def test_what_a_batch_has_loaded_does_not_wait_for_the_garbage_collector(desk: Desk) -> None:
    gc.disable()
    try:
        with desk.store.transaction(CLUB) as transaction:
            batch = batch_of(desk, transaction, desk.earn(100), desk.burn(60))
            batch.run(transaction.tail(0))
            gone = weakref.ref(batch)
            del batch
        assert gone() is None, "a cycle keeps all that was loaded until every call is stopped to look for it"
    finally:
        gc.enable()


def test_members_of_one_batch_do_not_touch_each_other(desk: Desk) -> None:
    answers(desk, desk.earn(100), desk.earn(7, member=BEN), desk.burn(60), desk.burn(8, member=BEN))
    assert (desk.account(ANN).active, desk.account(BEN).active) == (40, 7)


def test_a_replay_gives_the_stored_answer(desk: Desk) -> None:
    command = desk.earn(100)
    (first,) = answers(desk, command)
    recorded = desk.now
    desk.now = Ms(desk.now + 60_000)
    desk.publish(expiry={"kind": "months", "months": 1})
    (again,) = answers(desk, command)
    assert (again.decision, again.replayed, again.recorded_ms) == (first.decision, True, recorded)
    assert not first.replayed
    assert desk.account().active == 100


def test_a_refusal_is_stored_and_replayed_even_when_it_would_now_be_posted(desk: Desk) -> None:
    command = desk.burn(50)
    (first,) = answers(desk, command)
    answers(desk, desk.earn(100))
    (again,) = answers(desk, command)
    assert (told(first), told(again), again.replayed) == ("INSUFFICIENT_POINTS", "INSUFFICIENT_POINTS", True)
    assert again.decision == first.decision
    assert desk.account().active == 100


def test_the_same_id_twice_in_one_batch_takes_effect_once(desk: Desk) -> None:
    earn, burn = desk.earn(100), desk.burn(999)
    first, second, no, no_again = answers(desk, earn, earn, burn, burn)
    assert (second.decision, first.replayed, second.replayed) == (first.decision, False, True)
    assert (no_again.decision, no.replayed, no_again.replayed) == (no.decision, False, True)
    assert desk.account().active == 100


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in a later batch"])
def test_the_same_id_with_other_content_is_refused_and_changes_nothing(desk: Desk, together: bool) -> None:
    command = desk.earn(100)
    other = replace(command, points=101)
    if together:
        _, no = answers(desk, command, other)
    else:
        answers(desk, command)
        (no,) = answers(desk, other)
    assert told(no) == "COMMAND_ID_REUSED"
    assert desk.account().active == 100
    assert answers(desk, command)[0].replayed, "the first answer is still the answer"


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in a later batch"])
def test_the_same_id_for_another_member_is_refused(desk: Desk, together: bool) -> None:
    command = desk.earn(100)
    stolen = replace(command, member_id=BEN)
    given = desk.submission(stolen, fingerprint=fingerprint(command))
    if together:
        _, no = answers(desk, command, given)
    else:
        answers(desk, command)
        (no,) = answers(desk, given)
    assert told(no) == "COMMAND_ID_REUSED"
    assert desk.account(BEN).active == 0


def test_an_entry_that_time_made_is_nobodys_command(desk: Desk) -> None:
    desk.publish(expiry={"kind": "months", "months": 1})
    answers(desk, desk.earn(100))
    desk.now = at("2026-06-01")
    answers(desk, desk.catch_up())
    expired = desk.entries()[-1]
    assert expired.kind is EntryKind.EXPIRE
    (no,) = answers(desk, replace(desk.earn(1), command_id=expired.command_id))
    assert told(no) == "COMMAND_ID_REUSED"


def test_an_unknown_member_is_refused_and_that_is_stored(desk: Desk) -> None:
    command = desk.earn(100, member=NOBODY)
    assert told(answers(desk, command)[0]) == "MEMBER_UNKNOWN"
    desk.enrol(NOBODY)
    again = answers(desk, command)[0]
    assert (told(again), again.replayed) == ("MEMBER_UNKNOWN", True)


def test_a_sale_and_its_return_fit_into_one_batch(desk: Desk) -> None:
    sale = desk.sale(1_000)
    back = desk.give_back(sale.command_id, ReturnLine(1, 1000))
    more = desk.give_back(sale.command_id, ReturnLine(1, 1000))
    assert [told(one) for one in answers(desk, sale, back, more)] == ["SALE", "RETURN", "OVER_RETURN"]
    assert desk.account().active == 0


def test_a_hold_and_its_capture_fit_into_one_batch(desk: Desk) -> None:
    answers(desk, desk.adjust(100))
    hold = desk.hold(60)
    capture, void = desk.capture(hold.command_id), desk.void(hold.command_id)
    assert [told(one) for one in answers(desk, hold, capture, void)] == ["HOLD", "CAPTURE", "HOLD_CLOSED"]
    assert (desk.account().active, desk.account().held) == (40, 0)


def test_a_return_against_a_sale_of_another_batch_finds_its_lots_and_earlier_returns(desk: Desk) -> None:
    answers(desk, desk.adjust(500))
    sale = desk.sale(500, 500, spend=500)
    answers(desk, sale)
    answers(desk, desk.give_back(sale.command_id, ReturnLine(1, 1000)))
    over, rest = answers(
        desk,
        desk.give_back(sale.command_id, ReturnLine(1, 1)),
        desk.give_back(sale.command_id, ReturnLine(2, 1000)),
    )
    assert (told(over), told(rest)) == ("OVER_RETURN", "RETURN")
    assert desk.account().active == 500
    assert [(lot.lot_seq, lot.remaining) for lot in desk.store.read_lots(CLUB, ANN)] == [(1, 500)]


def test_a_sale_of_another_member_cannot_be_returned_reversed_or_captured(desk: Desk) -> None:
    answers(desk, desk.adjust(500))
    sale, hold = desk.sale(1_000), desk.hold(100)
    answers(desk, sale, hold)
    tried = answers(
        desk,
        desk.give_back(sale.command_id, ReturnLine(1, 1000), member=BEN),
        desk.reverse(sale.command_id, member=BEN),
        desk.capture(hold.command_id, member=BEN),
        desk.void(hold.command_id, member=BEN),
    )
    assert [told(one) for one in tried] == ["SALE_UNKNOWN", "ENTRY_UNKNOWN", "HOLD_UNKNOWN", "HOLD_UNKNOWN"]
    assert desk.account(BEN).seq == 0


def test_a_refused_sale_cannot_be_returned(desk: Desk) -> None:
    sale = desk.sale(1_000, spend=10)
    no, back = answers(desk, sale, desk.give_back(sale.command_id, ReturnLine(1, 1000)))
    assert (told(no), told(back)) == ("INSUFFICIENT_POINTS", "SALE_UNKNOWN")


def test_business_time_must_lie_in_its_window(desk: Desk) -> None:
    window = {"earliest_ms": desk.now - 1000, "latest_ms": desk.now + 1000}
    early, late = (
        with_occurred(desk.earn(1), Ms(desk.now - 1001)),
        with_occurred(desk.earn(1), Ms(desk.now + 1001)),
    )
    given = [desk.submission(one, **window) for one in (early, late)]
    assert [told(one) for one in answers(desk, *given)] == ["OCCURRED_AT_OUT_OF_RANGE"] * 2
    edges = [with_occurred(desk.earn(1), Ms(desk.now + shift)) for shift in (-1000, 1000)]
    given = [desk.submission(one, **window) for one in edges]
    assert [told(one) for one in answers(desk, *given)] == ["EARN"] * 2


def test_a_retry_is_answered_however_late_it_comes(desk: Desk) -> None:
    command = desk.earn(100)
    answers(desk, command)
    narrow = desk.submission(command, earliest_ms=desk.now + 10**9, latest_ms=desk.now + 10**9)
    (again,) = answers(desk, narrow)
    assert (told(again), again.replayed) == ("EARN", True)


def test_a_blocked_member_is_told_so_before_anything_about_time_or_rules(desk: Desk) -> None:
    desk.store.set_status(CLUB, ANN, MemberStatus.BLOCKED)
    late = desk.submission(desk.earn(1), latest_ms=0)
    (no,) = answers(desk, late)
    assert told(no) == "MEMBER_BLOCKED"


def test_without_a_published_rule_set_nothing_is_decided() -> None:
    desk = Desk(MemoryStore(), lane=False, published=False)
    assert told(answers(desk, desk.earn(1))[0]) == "RULE_SET_UNKNOWN"


def test_an_advice_is_judged_by_the_version_it_names(desk: Desk) -> None:
    double = [{"id": "base", "kind": "per_amount", "points": 2, "per_minor": 100}]
    assert desk.publish(earning={"rules": double}) == 2
    old, new, gone = answers(
        desk, desk.settle(1_000, rule_set=1), desk.settle(1_000, rule_set=2), desk.settle(1_000, rule_set=3)
    )
    assert [-entry_of(one).moves.issued for one in (old, new)] == [10, 20]
    assert [entry_of(one).rule_set for one in (old, new)] == [1, 2]
    assert told(gone) == "RULE_SET_UNKNOWN"


def test_a_late_advice_under_old_rules_keeps_the_tier_of_the_new_ones(desk: Desk) -> None:
    levels = [{"id": "base", "from": 0}, {"id": "gold", "from": 1_000}]
    desk.publish(tiers={"basis": "spend", "period": "calendar_year", "levels": levels})
    answers(desk, desk.sale(1_000))
    (late,) = answers(desk, desk.settle(500, rule_set=1))
    assert entry_of(late).tier_after == "gold"


def test_what_fell_due_is_written_with_the_command_that_found_it(desk: Desk) -> None:
    desk.publish(expiry={"kind": "months", "months": 1})
    answers(desk, desk.earn(100))
    desk.now = at("2026-03-01")
    (posted,), journal = run(desk, desk.sale(1_000))
    assert [entry.kind.name for entry in desk.entries()] == ["EARN", "EXPIRE", "SALE"]
    assert journal is not None
    assert (journal.count, entry_of(posted).active_after) == (2, 10)


def test_a_late_sale_finds_what_fell_due_before_business_time_stood_still(desk: Desk) -> None:
    """Points that came back to an expired lot are due at once; a sale from before that must still be decided."""
    desk.publish(expiry={"kind": "months", "months": 1})
    answers(desk, desk.earn(100))
    sale = desk.sale(100, spend=100)
    answers(desk, sale)
    desk.now = at("2026-03-01")
    answers(desk, desk.give_back(sale.command_id, ReturnLine(1, 1000)))
    assert desk.account().due_ms == desk.account().as_of_ms
    (posted,) = answers(desk, with_occurred(desk.sale(700), Ms(at("2026-02-28"))))
    assert [entry.kind.name for entry in desk.entries()[-2:]] == ["EXPIRE", "SALE"]
    assert entry_of(posted).active_after == 7


def test_catching_up_leaves_nothing_behind_but_what_was_due(desk: Desk) -> None:
    answers(desk, desk.earn(100))
    desk.now = at("2026-06-01")
    first, journal = run(desk, desk.catch_up())
    assert journal is None
    assert not first[0].replayed
    (no,) = answers(desk, desk.submission(desk.catch_up(member=NOBODY)))
    assert told(no) == "MEMBER_UNKNOWN"


def test_every_batch_is_a_row_of_an_unbroken_chain(desk: Desk) -> None:
    _, one = run(desk, desk.earn(100), desk.earn(5, member=BEN))
    _, two = run(desk, desk.burn(40), desk.burn(999))
    _, none = run(desk, desk.burn(998))
    _, three = run(desk, desk.hold(10))
    assert none is None, "a batch of refusals moves nothing"
    assert one is not None
    assert two is not None
    assert three is not None
    rows = [one, two, three]
    assert [row.lane_seq for row in rows] == [1, 2, 3]
    assert [row.prev_hash for row in rows] == [GENESIS, one.hash, two.hash]
    for row in rows:
        args = (row.lane_id, row.lane_seq, row.recorded_ms, row.sums, row.payload, row.prev_hash)
        assert row_hash(CLUB, *args) == row.hash
    assert [row.sums[:6] for row in rows] == [
        (105, 0, 0, 0, -105, 0),
        (-40, 0, 0, 0, 0, 40),
        (-10, 0, 10, 0, 0, 0),
    ]


def test_the_chain_refers_to_every_entry_by_what_was_stored_of_it(desk: Desk) -> None:
    sale = desk.sale(1_000)
    _, journal = run(desk, sale)
    assert journal is not None
    ((member, seq, digest),) = split_refs(journal.payload)
    entry = desk.entries()[0]
    assert (member, seq) == (ANN, 1)
    assert digest == entry_digest(entry, fingerprint(sale), detail_to_text(entry.detail))


def test_nothing_is_written_when_nothing_is_new(desk: Desk) -> None:
    command = desk.earn(100)
    answers(desk, command)
    before = desk.account()
    _, journal = run(desk, command, command)
    assert journal is None
    assert desk.account() == before


@pytest.mark.parametrize("seconds", [0, 5])
def test_the_order_of_arrival_decides_and_not_business_time(desk: Desk, seconds: int) -> None:
    first = replace(desk.earn(100), origin=later(desk.origin, seconds))
    second = replace(desk.burn(100), origin=later(desk.origin, -60))
    assert [told(one) for one in answers(desk, first, second)] == ["EARN", "BURN"]
    assert desk.account().as_of_ms == desk.now + 1000 * seconds


def test_a_command_without_business_time_gets_one(desk: Desk) -> None:
    command = with_occurred(desk.earn(1), Ms(5))
    assert (command.origin.occurred_ms, command.origin.channel) == (5, Channel.STORE)


def test_an_overflow_of_one_member_is_refused_and_the_rest_of_the_batch_posted(desk: Desk) -> None:
    commands: list[Any] = [desk.adjust(10**15), desk.earn(1), desk.earn(1, member=BEN)]
    assert [told(one) for one in answers(desk, *commands)] == ["ADJUST", "AMOUNT_OVERFLOW", "EARN"]


def test_goods_in_another_currency_are_refused(desk: Desk) -> None:
    assert told(answers(desk, desk.sale(goods=basket(100, currency="SEK")))[0]) == "CURRENCY_MISMATCH"
    assert Refusal.CURRENCY_MISMATCH > Refusal.RULE_SET_UNKNOWN
