"""Facts in a batch: each gets a verdict, each verdict advances the chain, and nothing has an effect twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tallystick.core.advice import TillStatus, VerdictKind, VerdictReason, quarantined
from tallystick.core.command import ReturnLine, SettleEnrolment, SettleReturn, SettleSale
from tallystick.core.entry import Refused
from tallystick.core.ids import CommandId, Ms
from tallystick.core.state import MemberStatus
from tallystick.service.ports import InboxState
from tallystick.service.submission import Halt, Submission
from tallystick.storage.memory import MemoryStore
from tests.core.world import basket
from tests.service.desk import ANN, CLUB, NOBODY, Desk
from tests.service.test_batch import answers
from tests.service.till import TILL, Till, told, verdict

POSTED, ADJUSTED = VerdictKind.POSTED, VerdictKind.ADJUSTED
PARKED, QUARANTINED = VerdictKind.PARKED, VerdictKind.QUARANTINED


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk(MemoryStore(), lane=False) as desk:
        yield desk


@pytest.fixture
def till(desk: Desk) -> Till:
    return Till(desk)


def sold(till: Till, amount: int = 1_000, *, earned: int | None = None) -> Submission:
    points = amount // 100 if earned is None else earned
    return till.fact(till.desk.settle(amount, earned=points))


def inbox(desk: Desk, state: InboxState = InboxState.OPEN) -> list[tuple[VerdictKind, VerdictReason]]:
    items = desk.store.read_inbox(CLUB, store_id="", state=state, before=None, limit=100)
    return [(item.verdict.kind, item.verdict.reasons[0]) for item in items]


def returned(till: Till, sale_id: CommandId) -> Submission:
    desk = till.desk
    lines = (ReturnLine(1, 1000),)
    return till.fact(SettleReturn(desk.new_id(), ANN, desk.origin, sale_id, lines, 1))


def test_the_same_batch_twice_has_one_effect_and_one_answer(desk: Desk, till: Till) -> None:
    batch = [sold(till), sold(till, 500), sold(till, 700, earned=99)]
    first, again = answers(desk, *batch), answers(desk, *batch)
    assert [verdict(one) for one in first] == [verdict(one) for one in again]
    assert [verdict(one).kind for one in first] == [POSTED, POSTED, ADJUSTED]
    assert (desk.account().active, told(again[-1]).chain.acked_seq) == (22, 3)


def test_the_same_advice_twice_in_one_batch_counts_once(desk: Desk, till: Till) -> None:
    one = sold(till)
    first, again = answers(desk, one, one)
    assert verdict(first) == verdict(again)
    assert desk.account().active == 10


def test_a_hole_stops_the_upload_and_loses_nothing(desk: Desk, till: Till) -> None:
    one, two, three = sold(till), sold(till), sold(till)
    first, last = answers(desk, one, three)
    assert (told(last).halt, told(last).chain.acked_seq) == (Halt.GAP, 1)
    assert verdict(first).kind is POSTED
    assert [verdict(each).kind for each in answers(desk, two, three)] == [POSTED, POSTED]
    assert desk.account().active == 30


def test_every_verdict_advances_the_chain(desk: Desk, till: Till) -> None:
    nonsense = till.fact(replace(desk.settle(100), basket=basket(100, currency="SEK")))
    early = returned(till, desk.new_id())
    unknown = till.fact(replace(desk.settle(100), member_id=NOBODY))
    rules = till.fact(desk.settle(100, rule_set=99))
    found = answers(desk, nonsense, early, unknown, rules, sold(till))
    assert [(verdict(one).kind, *verdict(one).reasons) for one in found] == [
        (QUARANTINED, VerdictReason.INVALID),
        (PARKED, VerdictReason.SALE_UNKNOWN),
        (PARKED, VerdictReason.MEMBER_UNKNOWN),
        (PARKED, VerdictReason.RULE_SET_UNKNOWN),
        (POSTED,),
    ]
    assert told(found[-1]).chain.acked_seq == 5
    assert len(inbox(desk)) == 4


def test_what_was_parked_is_answered_the_same_when_it_is_sent_again(desk: Desk, till: Till) -> None:
    early = returned(till, desk.new_id())
    first, again = answers(desk, early), answers(desk, early)
    assert verdict(first[0]) == verdict(again[0])
    assert len(inbox(desk)) == 1


def test_a_return_before_its_sale_waits_and_is_posted_when_the_sale_is_there(desk: Desk, till: Till) -> None:
    other = Till(desk, "t2", "s2")
    sale = sold(other)
    early = returned(till, sale.command.command_id)
    answers(desk, early)
    (item,) = desk.store.read_parked(CLUB, after="", limit=10)
    assert item.waits_for == sale.command.command_id
    answers(desk, sale)
    (late,) = answers(desk, till.loose(early))
    assert (verdict(late).kind, desk.account().active) == (POSTED, 0)
    assert desk.store.read_parked(CLUB, after="", limit=10) == []
    assert verdict(answers(desk, early)[0]) == verdict(late), "and the till hears what became of it"
    assert verdict(answers(desk, till.loose(early))[0]) == verdict(late)
    assert desk.account().active == 0


def test_what_still_cannot_be_posted_goes_on_waiting(desk: Desk, till: Till) -> None:
    early = returned(till, desk.new_id())
    answers(desk, early)
    assert verdict(answers(desk, till.loose(early))[0]).kind is PARKED
    assert len(desk.store.read_parked(CLUB, after="", limit=10)) == 1


def test_two_advices_for_one_place_are_a_fork_and_end_the_epoch(desk: Desk, till: Till) -> None:
    clone = Till(desk)
    answers(desk, sold(till))
    (fork,) = answers(desk, sold(clone))
    assert (verdict(fork).kind, *verdict(fork).reasons) == (QUARANTINED, VerdictReason.FORKED)
    assert (told(fork).chain.epoch, told(fork).chain.acked_seq, told(fork).chain.fences) == (2, 0, 1)
    (rest,) = answers(desk, sold(clone))
    assert verdict(rest).reasons == (VerdictReason.FENCED,)
    assert desk.account().active == 10
    clone.new_epoch(told(fork))
    assert verdict(answers(desk, sold(clone))[0]).kind is POSTED


def test_a_fork_within_one_upload_takes_the_rest_with_it(desk: Desk, till: Till) -> None:
    clone = Till(desk)
    mine, alien, next_one = sold(till), sold(clone), sold(till)
    found = answers(desk, mine, alien, next_one)
    assert [verdict(one).kind for one in found] == [POSTED, QUARANTINED, QUARANTINED]
    assert [verdict(one).reasons for one in found[1:]] == [(VerdictReason.FORKED,), (VerdictReason.FENCED,)]


def test_an_edited_advice_is_a_fork(desk: Desk, till: Till) -> None:
    sale = sold(till)
    assert sale.fact is not None
    edited = replace(sale, fact=replace(sale.fact, slot=replace(sale.fact.slot, prev_hash=b"z" * 32)))
    (answer,) = answers(desk, edited)
    assert verdict(answer).reasons == (VerdictReason.FORKED,)
    assert desk.account().active == 0


def test_a_till_that_forks_three_times_a_day_is_suspended(desk: Desk, till: Till) -> None:
    clone = Till(desk)
    seen = []
    for _ in range(3):
        answers(desk, sold(till))
        (fork,) = answers(desk, sold(clone))
        clone.new_epoch(told(fork))
        till.new_epoch(told(fork))
        seen.append(told(fork).chain.status)
    assert seen == [TillStatus.TRUSTED, TillStatus.TRUSTED, TillStatus.SUSPENDED]
    (answer,) = answers(desk, sold(till))
    assert (told(answer).halt, told(answer).verdict) == (Halt.SUSPENDED, None)
    assert desk.account().active == 30


def test_a_request_that_arrived_after_all_makes_the_fact_a_replay(desk: Desk, till: Till) -> None:
    sale = desk.sale(1_000)
    answers(desk, sale)
    fact = replace(desk.settle(1_000, earned=10), command_id=sale.command_id)
    (answer,) = answers(desk, till.fact(fact))
    assert (verdict(answer).kind, desk.account().active) == (POSTED, 10)
    assert told(answer).chain.acked_seq == 1


def test_a_request_that_arrives_after_the_fact_is_refused(desk: Desk, till: Till) -> None:
    sale = desk.sale(1_000)
    answers(desk, till.fact(replace(desk.settle(1_000, earned=10), command_id=sale.command_id)))
    (late,) = answers(desk, sale)
    assert isinstance(late.decision, Refused)
    assert desk.account().active == 10


def test_a_refusal_of_the_request_does_not_bind_the_fact(desk: Desk, till: Till) -> None:
    sale = desk.sale(1_000, spend=500)
    (no,) = answers(desk, sale)
    assert isinstance(no.decision, Refused)
    fact = replace(desk.settle(1_000, burned=500, discount=500, earned=5), command_id=sale.command_id)
    (answer,) = answers(desk, till.fact(fact))
    assert verdict(answer).reasons == (VerdictReason.SHORTFALL,)
    assert verdict(answers(desk, till.fact(desk.settle(100, earned=1)))[0]).kind is POSTED


def test_an_id_that_belongs_to_something_else_is_for_a_person(desk: Desk, till: Till) -> None:
    (entry,) = answers(desk, desk.adjust(100))
    fact = replace(desk.settle(1_000), command_id=desk.entries()[0].command_id)
    (answer,) = answers(desk, till.fact(fact))
    assert verdict(answer).reasons == (VerdictReason.ID_REUSED,)
    assert (desk.account().active, told(answer).chain.acked_seq) == (100, 1)
    assert entry.told is None


def test_what_cannot_be_read_is_kept_and_passes_the_queue(desk: Desk, till: Till) -> None:
    held = quarantined(VerdictReason.UNREADABLE, why="not a message")
    junk = till.fact(SettleEnrolment(desk.new_id(), NOBODY, desk.origin), raw=b"junk", held=held)
    found = answers(desk, junk, sold(till))
    assert [verdict(one).kind for one in found] == [QUARANTINED, POSTED]
    (item,) = desk.store.read_inbox(CLUB, store_id="s1", state=InboxState.OPEN, before=None, limit=9)
    assert (item.raw, item.seq) == (b"junk", 1)


def test_a_person_who_joined_at_the_till_has_an_entry(desk: Desk, till: Till) -> None:
    joined = SettleEnrolment(desk.new_id(), ANN, desk.origin)
    (answer,) = answers(desk, till.fact(joined, noted=(VerdictReason.IDENTIFIER_TAKEN,)))
    assert (verdict(answer).kind, *verdict(answer).reasons) == (ADJUSTED, VerdictReason.IDENTIFIER_TAKEN)
    assert [entry.kind.name for entry in desk.entries()] == ["ENROL"]


def test_a_tills_clock_orders_nothing(desk: Desk, till: Till) -> None:
    day = 86_400_000
    ahead = till.fact(desk.settle(100, earned=1), told_ms=desk.now + 3 * day)
    (answer,) = answers(desk, till.last(ahead))
    assert (verdict(answer).kind, *verdict(answer).reasons) == (POSTED, VerdictReason.CLOCK)
    assert desk.entries()[-1].origin.occurred_ms == desk.now
    behind = till.fact(desk.settle(100, earned=1), told_ms=desk.now - 3 * day)
    desk.now = Ms(desk.now + 1_000)
    (answer,) = answers(desk, behind)
    assert verdict(answer).reasons == (VerdictReason.CLOCK,)
    assert desk.entries()[-1].origin.occurred_ms == desk.now - 1_000, "not before its outbox was last empty"
    assert verdict(answers(desk, behind)[0]) == verdict(answer)


def test_an_upload_in_two_batches_keeps_its_times(desk: Desk, till: Till) -> None:
    hour = 3_600_000
    early, late = (till.fact(desk.settle(100, earned=1), told_ms=desk.now - ago * hour) for ago in (2, 1))
    answers(desk, early)
    (answer,) = answers(desk, till.last(late))
    assert verdict(answer).reasons == ()
    assert desk.entries()[-1].origin.occurred_ms == desk.now - hour


def test_what_a_till_says_of_itself_is_kept(desk: Desk, till: Till) -> None:
    answers(desk, till.last(sold(till), queued=7, floor_points=120))
    (chain,) = desk.store.read_tills(CLUB, store_id="")
    assert (chain.till_id, chain.queued, chain.floor_points) == (TILL, 7, 120)
    assert (chain.contact_ms, chain.drained_ms) == (desk.now, 0)
    desk.now = Ms(desk.now + 5)
    answers(desk, till.last(sold(till)))
    (chain,) = desk.store.read_tills(CLUB, store_id="")
    assert (chain.queued, chain.drained_ms) == (0, desk.now)


def test_a_member_who_was_erased_meanwhile_leaves_an_account_without_a_person(desk: Desk, till: Till) -> None:
    desk.store.erase(CLUB, ANN)
    (answer,) = answers(desk, sold(till))
    assert (verdict(answer).kind, desk.account().status) == (POSTED, MemberStatus.ERASED)


def test_an_advice_from_a_receipt_and_then_from_the_till_counts_once(desk: Desk, till: Till) -> None:
    sale = sold(till)
    (found,) = answers(desk, till.loose(sale))
    assert (verdict(found).kind, told(found).chain.acked_seq) == (POSTED, 0)
    (again,) = answers(desk, sale)
    assert (verdict(again), told(again).chain.acked_seq) == (verdict(found), 1)
    assert desk.account().active == 10


def test_facts_and_requests_share_a_batch(desk: Desk, till: Till) -> None:
    found = answers(desk, desk.earn(5), sold(till), desk.sale(100))
    assert desk.account().active == 16
    assert [one.told is None for one in found] == [True, False, True]


def test_an_advice_is_judged_by_the_rules_that_it_names(desk: Desk, till: Till) -> None:
    desk.publish(earning={"rules": [{"id": "x", "kind": "per_sale", "points": 777}]})
    (answer,) = answers(desk, sold(till))
    assert (verdict(answer).kind, desk.account().active) == (POSTED, 10)
    command = desk.settle(100, rule_set=0)
    assert isinstance(command, SettleSale)
    assert verdict(answers(desk, till.fact(command))[0]).reasons == (VerdictReason.RULE_SET_UNKNOWN,)


def test_a_late_clock_does_not_hide_what_time_has_made_due(desk: Desk, till: Till) -> None:
    desk.publish(expiry={"kind": "months", "months": 1})
    answers(desk, desk.earn(100))
    day = 86_400_000
    desk.now = Ms(desk.now + 60 * day)
    answers(desk, till.last(till.fact(desk.settle(100, earned=1, rule_set=2))))
    late = till.fact(desk.settle(100, earned=1, rule_set=2), told_ms=desk.now - 59 * day)
    (answer,) = answers(desk, late)
    assert verdict(answer).kind is POSTED
    assert desk.account().active == 2
