"""Several processes write one ledger at once: row locks and stored answers keep them right."""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tallystick.core.ids import Ms
from tallystick.service.lane import Lane
from tallystick.service.rulebook import RuleBook
from tallystick.storage.open import open_store
from tests.e2e.support import ledger, plan
from tests.e2e.support.answers import Given
from tests.e2e.support.processes import Child, python
from tests.support.postgres import Database

pytestmark = pytest.mark.timeout(300)

READY_S = 60.0
WORK_S = 240.0

BURNS = 50
BALANCE = 100

SUBMISSIONS = 80_000
REACH = 3_000


def run_together(database: Database, place: Path, commands: Sequence[Sequence[str]]) -> list[list[Given]]:
    """Start one lane process for each command, let all of them go at the same moment, return what each was answered."""
    with ExitStack() as stack:
        children = []
        for number, arguments in enumerate(commands):
            fixed = [
                "--url",
                database.service_url,
                "--process",
                str(number),
                "--out",
                str(place / f"{number}"),
            ]
            command = python("tests.e2e.support.lane_process", *fixed, *arguments)
            children.append(stack.enter_context(Child(command, place=place, name=f"lanes-{number}")))
        for child in children:
            child.expect("ready", READY_S)
        for child in children:
            child.say("go")
        for child in children:
            assert child.wait(WORK_S) == 0, child.log()
    return [pickle.loads((place / f"{number}").read_bytes()) for number in range(len(commands))]


def give_points(database: Database, *, members: int, points: int) -> None:
    """Let the first members earn."""
    store = open_store(database.service_url)
    lane = Lane(store, RuleBook(store), now_ms=lambda: Ms(plan.NOON_MS))
    try:
        earns = [plan.earn(number, points=points) for number in range(members)]
        deadline = time.monotonic() + WORK_S
        for future in lane.submit_all([plan.submission(earn, deadline=deadline) for earn in earns]):
            future.result(WORK_S)
    finally:
        lane.close()
        store.close()


def test_of_fifty_burns_of_one_balance_over_three_processes_exactly_one_wins(
    ledger_database: Database, place: Path
) -> None:
    # Ten balances at once, fifty burns each, every burn in a transaction of its own: the most there is to fight over.
    members = 10
    ledger.enrol_members(ledger_database.admin_url, count=members)
    store = open_store(ledger_database.service_url)
    ledger.prepare(store)
    store.close()
    give_points(ledger_database, members=members, points=BALANCE)

    work = ["--work", "burns", "--processes", "3", "--members", str(members), "--count", str(BURNS)]
    answers = run_together(
        ledger_database, place, [[*work, "--points", str(BALANCE), "--batch-max", "1"]] * 3
    )

    by_member: dict[int, Counter[str]] = {}
    for one in (one for process in answers for one in process):
        assert not one.replayed
        by_member.setdefault(one.number // BURNS, Counter())[one.reason or "POSTED"] += 1
    assert by_member == {member: {"POSTED": 1, "INSUFFICIENT_POINTS": BURNS - 1} for member in range(members)}
    store = open_store(ledger_database.service_url)
    sums = store.read_sums(plan.PROGRAM)
    store.close()
    assert (sums["issued"], sums["burned"], sums["active"]) == (-members * BALANCE, members * BALANCE, 0)
    ledger.assert_verified(ledger_database.admin_url)


def test_eighty_thousand_commands_sent_twice_to_two_processes_are_posted_once_and_answered_alike(
    ledger_database: Database, place: Path
) -> None:
    ledger.enrol_members(ledger_database.admin_url, count=plan.MEMBERS)
    store = open_store(ledger_database.service_url)
    ledger.prepare(store)
    store.close()

    work = ["--work", "day", "--count", str(SUBMISSIONS), "--reach", str(REACH)]
    first, second = (
        {one.number: one for one in answers} for answers in run_together(ledger_database, place, [work] * 2)
    )

    assert first.keys() == second.keys() == set(range(SUBMISSIONS))
    for number, one in first.items():
        other = second[number]
        assert (one.reason, one.content) == (other.reason, other.content), plan.command(number)
        assert one.replayed != other.replayed, plan.command(number)
    reasons = Counter(one.reason or "POSTED" for one in first.values())
    assert reasons.keys() == {"POSTED", "INSUFFICIENT_POINTS", "HOLD_UNKNOWN"}
    # Each process was first with many commands, so each depended on what the other had stored.
    assert min(sum(one.replayed for one in answers.values()) for answers in (first, second)) > 1_000

    store = open_store(ledger_database.admin_url)
    with store.snapshot(plan.PROGRAM) as snapshot:
        posted = {row.entry.command_id for row in snapshot.ledger()}
    store.close()
    assert posted == {plan.command_id(number) for number, one in first.items() if not one.reason}
    assert ledger.assert_first_in_first_out(ledger_database.admin_url) > SUBMISSIONS / 2
    ledger.assert_verified(ledger_database.admin_url)
