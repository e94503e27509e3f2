"""The lane: collected, committed in groups, isolated, retried, drained."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.chain import GENESIS
from tallystick.core.entry import Posted, Refused
from tallystick.core.ids import ProgramId
from tallystick.service import lane as lane_module
from tallystick.service.errors import (
    DeadlinePassed,
    Draining,
    Overloaded,
    StoreConflict,
    StoreUnavailable,
)
from tallystick.service.lane import CONFLICT_RETRIES_MAX, Lane
from tallystick.service.ports import Transaction
from tallystick.storage.memory import MemoryStore
from tallystick.storage.verify import verify
from tests.service.desk import ANN, BEN, CLUB, WAIT_S, Desk, deadline_in


class FaultyStore(MemoryStore):
    """A store whose transactions fail as planned, before or after they are committed, and can be held back."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Exception] = []
        self.after: list[Exception] = []
        self.always: Exception | None = None
        self.transactions = 0
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    @contextmanager
    def transaction(self, program_id: ProgramId) -> Iterator[Transaction]:
        self.transactions += 1
        self.entered.set()
        assert self.gate.wait(WAIT_S)
        if self.always is not None:
            raise self.always
        if self.before:
            raise self.before.pop(0)
        with super().transaction(program_id) as transaction:
            yield transaction
        if self.after:
            raise self.after.pop(0)


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore()


@pytest.fixture
def desk(store: FaultyStore) -> Iterator[Desk]:
    with Desk(store) as desk:
        yield desk
        store.gate.set()
    assert verify(store).ok


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "BACKOFF_MAX_S", 0.001)


def poison(desk: Desk, member: Any = ANN) -> Any:
    """Return a command that no code can decide: a fault of ours, not a refusal."""
    return replace(desk.earn(1, member=member), points="many")  # type: ignore[arg-type]


def held(desk: Desk, store: FaultyStore, *commands: Any) -> list[Any]:
    """Send commands so that all but the first are one batch; return their outcomes in order."""
    assert desk.lane is not None
    store.gate.clear()
    store.entered.clear()
    first = desk.lane.submit_all([desk.submission(commands[0])])
    assert store.entered.wait(WAIT_S)
    rest = desk.lane.submit_all([desk.submission(command) for command in commands[1:]])
    store.gate.set()
    outcomes = []
    for future in [*first, *rest]:
        error = future.exception(WAIT_S)
        outcomes.append(error or future.result().decision)
    return outcomes


def test_a_command_is_answered_when_it_is_committed(desk: Desk) -> None:
    entry = desk.posted(desk.earn(100))
    assert entry.active_after == desk.account().active == 100


def test_a_command_is_awaited_on_an_event_loop(desk: Desk) -> None:
    assert desk.lane is not None
    answer = asyncio.run(desk.lane.submit(desk.submission(desk.earn(100))))
    assert isinstance(answer.decision, Posted)


def test_what_waits_together_is_one_transaction(desk: Desk, store: FaultyStore) -> None:
    outcomes = held(desk, store, *[desk.earn(1) for _ in range(50)])
    assert all(isinstance(outcome, Posted) for outcome in outcomes)
    assert store.transactions == 2


def test_a_poisoned_command_fails_alone_and_its_neighbours_are_posted(
    desk: Desk, store: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    commands = [
        desk.earn(1),
        *[desk.earn(1) for _ in range(5)],
        poison(desk),
        *[desk.earn(1) for _ in range(4)],
    ]
    outcomes = held(desk, store, *commands)
    assert [isinstance(outcome, TypeError) for outcome in outcomes] == [False] * 6 + [True] + [False] * 4
    assert desk.account().active == 10
    assert [entry.seq for entry in desk.entries()] == list(range(1, 11))
    assert [record.message for record in caplog.records] == ["command could not be decided"]


def test_two_poisoned_commands_each_fail_alone(desk: Desk, store: FaultyStore) -> None:
    commands = [desk.earn(1), poison(desk), desk.earn(1), desk.earn(1, member=BEN), poison(desk, BEN)]
    outcomes = held(desk, store, *commands)
    assert [isinstance(outcome, TypeError) for outcome in outcomes] == [False, True, False, False, True]
    assert (desk.account().active, desk.account(BEN).active) == (2, 1)


def test_a_conflict_is_run_again_and_nobody_notices(desk: Desk, store: FaultyStore) -> None:
    store.before = [StoreConflict(), StoreConflict(), StoreConflict()]
    assert desk.posted(desk.earn(100)).active_after == 100
    assert store.transactions == 4


def test_a_commit_whose_answer_was_lost_is_found_when_run_again(desk: Desk, store: FaultyStore) -> None:
    desk.posted(desk.earn(1))
    store.after = [StoreConflict()]
    (answer,) = desk.send(desk.earn(100))
    assert isinstance(answer.decision, Posted)
    assert answer.replayed
    assert desk.posted(desk.earn(1)).active_after == 102, "the chain goes on behind what was committed"


def test_a_conflict_that_does_not_end_is_given_up(desk: Desk, store: FaultyStore) -> None:
    store.always = StoreConflict()
    with pytest.raises(Overloaded):
        desk.send(desk.earn(100))
    assert store.transactions == CONFLICT_RETRIES_MAX
    store.always = None
    assert desk.account().seq == 0
    desk.posted(desk.earn(1))


def test_a_store_that_is_away_is_told_at_once_and_asked_again_next_time(
    desk: Desk, store: FaultyStore
) -> None:
    store.before = [StoreUnavailable()]
    command = desk.earn(100)
    with pytest.raises(StoreUnavailable):
        desk.send(command)
    assert store.transactions == 1
    assert desk.posted(command).active_after == 100


def test_a_commit_of_an_unknown_end_is_settled_by_sending_the_same_id(desk: Desk, store: FaultyStore) -> None:
    desk.posted(desk.earn(1))
    store.after = [StoreUnavailable()]
    command = desk.earn(100)
    with pytest.raises(StoreUnavailable):
        desk.send(command)
    (answer,) = desk.send(command)
    assert (answer.replayed, desk.account().active) == (True, 101)
    before = store.transactions
    assert desk.posted(desk.earn(1)).active_after == 102, "the chain goes on behind what was committed"
    assert store.transactions == before + 1, "and the lane knows where that is"


def test_a_passed_deadline_writes_nothing(desk: Desk) -> None:
    with pytest.raises(DeadlinePassed):
        desk.send(desk.earn(100), deadline=deadline_in(-1))
    assert desk.account().seq == 0
    desk.send(desk.earn(100), deadline=deadline_in(60))
    assert desk.account().active == 100


def test_a_command_that_waited_past_its_deadline_is_not_decided_though_its_neighbours_are(
    desk: Desk, store: FaultyStore
) -> None:
    assert desk.lane is not None
    store.gate.clear()
    store.entered.clear()
    first = desk.lane.submit_all([desk.submission(desk.earn(1))])
    assert store.entered.wait(WAIT_S)
    late, fine = desk.lane.submit_all(
        [desk.submission(desk.earn(10), deadline=0.0), desk.submission(desk.earn(100))]
    )
    store.gate.set()
    assert isinstance(late.exception(WAIT_S), DeadlinePassed)
    assert isinstance(fine.result(WAIT_S).decision, Posted)
    assert isinstance(first[0].result(WAIT_S).decision, Posted)
    assert desk.account().active == 101


def test_a_lane_that_drains_finishes_what_it_took_and_takes_nothing_more(
    desk: Desk, store: FaultyStore
) -> None:
    assert desk.lane is not None
    store.gate.clear()
    taken = desk.lane.submit_all([desk.submission(desk.earn(1)) for _ in range(20)])
    closing = threading.Thread(target=desk.lane.close)
    closing.start()
    refused = False
    for _ in range(2_000):
        try:
            taken += desk.lane.submit_all([desk.submission(desk.earn(1))])
        except Draining:
            refused = True
            break
    store.gate.set()
    closing.join(WAIT_S)
    assert refused
    assert all(isinstance(future.result(WAIT_S).decision, Posted) for future in taken)
    assert desk.account().active == len(taken)


def test_a_full_queue_is_said_to_be_full_and_nothing_of_it_is_written(
    desk: Desk, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.lane is not None
    monkeypatch.setattr(desk.lane._collector, "_queue_max", 3)
    store.gate.clear()
    store.entered.clear()
    first = desk.lane.submit_all([desk.submission(desk.earn(1))])
    assert store.entered.wait(WAIT_S)
    waiting = desk.lane.submit_all([desk.submission(desk.earn(1)) for _ in range(3)])
    assert desk.lane.waiting == 3
    with pytest.raises(Overloaded) as told:
        desk.lane.submit_all([desk.submission(desk.earn(1))])
    assert told.value.retry_after_s > 0
    store.gate.set()
    for future in first + waiting:
        future.result(WAIT_S)
    assert desk.account().active == 4


def test_each_lane_has_a_chain_of_its_own(store: FaultyStore) -> None:
    with Desk(store) as one, Desk(store) as two:
        for desk in (one, two, one, two, two):
            desk.posted(desk.earn(1))
        with store.snapshot(CLUB) as snapshot:
            rows = list(snapshot.journal())
    lanes: dict[int, list[Any]] = {}
    for row in rows:
        lanes.setdefault(row.lane_id, []).append(row)
    assert sorted(len(lane) for lane in lanes.values()) == [2, 3]
    for lane in lanes.values():
        assert [row.lane_seq for row in lane] == list(range(1, len(lane) + 1))
        assert [row.prev_hash for row in lane] == [GENESIS, *[row.hash for row in lane[:-1]]]
    assert verify(store).ok


def test_programs_of_one_lane_do_not_touch_each_other(store: FaultyStore) -> None:
    with Desk(store) as club, Desk(store, program_id=ProgramId("other"), lane=False) as other:
        other.lane = club.lane
        assert club.posted(club.earn(100)).active_after == 100
        answers = club.wait([club.submission(club.earn(1)), other.submission(other.earn(7))])
        assert [isinstance(answer.decision, Posted) for answer in answers] == [True, True]
        assert (club.account().active, other.account().active) == (101, 7)
        command = club.earn(3)
        club.posted(command)
        (foreign,) = other.wait([other.submission(command)])
        assert isinstance(foreign.decision, Posted), "an id belongs to its program"
        other.lane = None
    assert verify(store).ok


def test_the_size_and_time_of_batches_are_reported(store: FaultyStore) -> None:
    seen: list[tuple[int, float]] = []
    with Desk(store, lane=False) as desk:
        desk.lane = Lane(
            store, desk.book, now_ms=lambda: desk.now, on_batch=lambda size, took: seen.append((size, took))
        )
        desk.posted(desk.earn(1))
    assert [size for size, _ in seen] == [1]
    assert seen[0][1] >= 0


def test_rules_are_never_read_inside_a_transaction(desk: Desk, store: FaultyStore) -> None:
    reads: list[bool] = []
    inside = threading.Event()
    looked_up, opened = store.rule_set, store.transaction

    def rule_set(program_id: ProgramId, version: int) -> Any:
        reads.append(inside.is_set())
        return looked_up(program_id, version)

    @contextmanager
    def transaction(program_id: ProgramId) -> Iterator[Transaction]:
        with opened(program_id) as one:
            inside.set()
            yield one
        inside.clear()

    store.rule_set, store.transaction = rule_set, transaction  # type: ignore[method-assign]
    desk.posted(desk.earn(1))
    desk.publish()
    desk.publish()
    for version in (1, 2, 3):
        desk.posted(desk.settle(100, rule_set=version))
    assert reads
    assert not any(reads)


def test_a_refusal_is_an_answer_and_not_an_error(desk: Desk) -> None:
    (answer,) = desk.send(desk.burn(1))
    assert isinstance(answer.decision, Refused)
    assert not answer.replayed
