"""What went wrong elsewhere when several writers came at once: the same here, on every store, with several lanes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from tallystick.core.command import Command, ReturnLine
from tallystick.core.entry import Posted, Refusal, Refused
from tallystick.core.ids import MemberId
from tallystick.service.submission import Answer
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.service.desk import ANN, BEN, CLUB, NOBODY, WAIT_S, Desk

LANES = 3
MEMBERS = [MemberId(f"0190a000-0000-7000-8000-{number:012x}") for number in range(100, 140)]


@contextmanager
def desks(store: Store) -> Iterator[list[Desk]]:
    """Open desks with a lane each, as several server processes would have."""
    with ExitStack() as stack:
        yield [stack.enter_context(Desk(store)) for _ in range(LANES)]
    report = verify(store)
    assert report.ok, report.first


def at_once(desks: Sequence[Desk], commands: Sequence[Command]) -> list[Answer]:
    """Hand the commands out to the desks, one after the other, before any answer is awaited."""
    futures = []
    for number, command in enumerate(commands):
        desk = desks[number % len(desks)]
        assert desk.lane is not None
        futures += desk.lane.submit_all([desk.submission(command)])
    return [future.result(WAIT_S) for future in futures]


def reasons(answers: Sequence[Answer]) -> list[Refusal | None]:
    """Return why each was refused, None where it was posted."""
    return [answer.decision.reason if isinstance(answer.decision, Refused) else None for answer in answers]


def test_fifty_parallel_burns_of_one_balance_never_spend_it_twice(shared: Store) -> None:
    """Starbucks gift cards (2015): a race turned 15 into 20 dollars."""
    with desks(shared) as three:
        three[0].posted(three[0].adjust(100))
        answers = at_once(three, [three[0].burn(100) for _ in range(50)])
        assert sorted(reasons(answers), key=str) == [Refusal.INSUFFICIENT_POINTS] * 49 + [None]
        assert three[0].account().active == 0
        assert shared.read_sums(CLUB)["burned"] == 100


def test_twenty_parallel_gifts_never_turn_100_points_into_2000(shared: Store) -> None:
    """fuint#71: each of 20 parallel gifts of the same 100 points arrived."""
    with desks(shared) as three:
        desk = three[0]
        desk.posted(desk.adjust(100))
        holds = [desk.hold(100) for _ in range(20)]
        assert reasons(at_once(three, holds)).count(None) == 1
        (placed,) = shared.read_holds(CLUB, ANN)
        captures = [desk.capture(placed.hold_id) for _ in range(10)]
        voids = [desk.void(placed.hold_id) for _ in range(10)]
        ends = at_once(three, [command for pair in zip(captures, voids, strict=True) for command in pair])
        assert sorted(reasons(ends), key=str) == [Refusal.HOLD_CLOSED] * 19 + [None]
        account = desk.account()
        assert (account.held, account.active + shared.read_sums(CLUB)["burned"]) == (0, 100)


def test_two_tabs_that_drain_one_queue_never_post_it_twice(shared: Store) -> None:
    """odoo/odoo#152259: two tabs drained one queue, and every order was there twice."""
    with desks(shared) as three:
        desk = three[0]
        desk.enrol(*MEMBERS)
        queue: list[Command] = []
        for number in range(200):
            member = MEMBERS[number % len(MEMBERS)]
            queue.append(desk.sale(1_000 + number, member=member))
            if number % 5 == 0:
                queue.append(desk.burn(7, member=member))
        shuffled = list(queue)
        random.Random(7).shuffle(shuffled)
        first: list[Future[Answer]] = []
        second: list[Future[Answer]] = []
        for command, other in zip(queue, shuffled, strict=True):
            first += three[0].lane.submit_all([desk.submission(command)])  # type: ignore[union-attr]
            second += three[1].lane.submit_all([desk.submission(other)])  # type: ignore[union-attr]
        answers = dict(zip((c.command_id for c in queue), (f.result(WAIT_S) for f in first), strict=True))
        again = dict(zip((c.command_id for c in shuffled), (f.result(WAIT_S) for f in second), strict=True))
        for command_id, answer in answers.items():
            assert answer.decision == again[command_id].decision, "both were told the same"
            assert answer.replayed != again[command_id].replayed, "and one of the two did it"
        posted = [answer for answer in answers.values() if isinstance(answer.decision, Posted)]
        entries = [len(desk.entries(member)) for member in MEMBERS]
        assert sum(entries) == len(posted)


def test_parallel_returns_of_one_sale_never_bring_back_more_than_was_sold(shared: Store) -> None:
    """odoo/odoo#257854: returns that did not know of each other."""
    with desks(shared) as three:
        desk = three[0]
        desk.posted(desk.adjust(1_000))
        sale = desk.posted(desk.sale(1_000, spend=1_000))
        assert desk.account().active == 0
        returns = [desk.give_back(sale.command_id, ReturnLine(1, 500)) for _ in range(12)]
        told = reasons(at_once(three, returns))
        assert (told.count(None), told.count(Refusal.OVER_RETURN)) == (2, 10)
        assert desk.account().active == 1_000


def test_one_id_in_several_hands_never_takes_effect_for_several_members(shared: Store) -> None:
    """One command id used for two members: one of them has it, the other is refused."""
    with desks(shared) as three:
        desk = three[0]
        for _ in range(10):
            mine = desk.earn(5)
            theirs = replace(mine, member_id=BEN)
            told = reasons(at_once(three, [mine, theirs, mine, theirs]))
            assert sorted(told, key=str) == [Refusal.COMMAND_ID_REUSED] * 2 + [None] * 2
        assert desk.account(ANN).active + desk.account(BEN).active == 50


def test_many_writers_of_one_member_never_lose_a_point(shared: Store) -> None:
    with desks(shared) as three:
        desk = three[0]
        answers = at_once(three, [desk.earn(1) for _ in range(150)])
        assert reasons(answers) == [None] * 150
        assert desk.account().active == 150
        assert [entry.seq for entry in desk.entries()] == list(range(1, 151))


def test_a_stranger_is_refused_and_that_answer_is_kept(shared: Store) -> None:
    with desks(shared) as three:
        command = three[0].earn(5, member=NOBODY)
        answers = at_once(three, [command] * 6)
        assert reasons(answers) == [Refusal.MEMBER_UNKNOWN] * 6
        assert sum(not answer.replayed for answer in answers) == 1
