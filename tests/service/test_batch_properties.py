"""How commands are cut into batches makes no difference to what becomes of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.command import Command, ReturnLine, Spend
from tallystick.core.entry import Decision
from tallystick.core.ids import CommandId, Minor, Ms
from tallystick.service.batch import Batch
from tallystick.storage.memory import MemoryStore
from tallystick.storage.verify import verify
from tests.core.world import basket
from tests.service.desk import ANN, BEN, CLUB, Desk

DAY_MS = 86_400_000
RULES: dict[str, Any] = {
    "expiry": {"kind": "months", "months": 1},
    "returns": {"spent": "debt", "grace_days": 0},
    "holds": {"late_capture": "if_covered", "ttl_max_s": 864_000},
    "tiers": {
        "basis": "spend",
        "period": "rolling",
        "rolling_days": 20,
        "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 9_000}],
    },
}

KINDS = ["sale", "paid sale", "earn", "burn", "hold", "capture", "void", "return", "reverse", "adjust"]
KINDS += ["settle", "catch up", "again", "sale", "return"]
plans = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from([ANN, BEN]),
        st.integers(0, 120),
        st.integers(0, 40),
        st.sampled_from([0, 0, 0, 1, 12, 40, -5]),
    ),
    max_size=22,
)
Plan = tuple[str, Any, int, int, int]


def command_of(desk: Desk, what: str, number: int, pick: int, earlier: CommandId) -> Command:
    makers: dict[str, Callable[[], Command]] = {
        "sale": lambda: desk.sale(50 * number),
        "paid sale": lambda: desk.sale(50 * number, 77, spend=Spend(number, up_to=True)),
        "earn": lambda: desk.earn(number + 1),
        "burn": lambda: desk.burn(number),
        "hold": lambda: desk.hold(number + 1, ttl_s=1 + pick * 20_000),
        "capture": lambda: desk.capture(earlier, basket(50 * number) if number % 2 else None),
        "void": lambda: desk.void(earlier),
        "return": lambda: desk.give_back(earlier, ReturnLine(1, 0, Minor(10 * number + 1))),
        "reverse": lambda: desk.reverse(earlier),
        "adjust": lambda: desk.adjust(number - 40),
        "settle": lambda: desk.settle(50 * number, burned=number // 2),
    }
    return makers.get(what, desk.catch_up)()


def commands_of(desk: Desk, plan: Sequence[Plan]) -> list[Command]:
    """Return the commands of a plan; what refers to an earlier command names it whether it was posted or not."""
    count = itertools.count(1)
    desk.new_id = lambda: CommandId(f"00000000-0000-4000-8000-{next(count):012d}")  # type: ignore[method-assign]
    made: list[Command] = []
    for what, member, number, pick, days in plan:
        desk.now = Ms(desk.now + days * DAY_MS)
        one = made[pick % len(made)] if made else None
        if one is not None and what == "again":
            made.append(one)
        else:
            earlier = one.command_id if one else desk.new_id()
            made.append(replace(command_of(desk, what, number, pick, earlier), member_id=member))
    return made


def run(desk: Desk, commands: Sequence[Command]) -> list[Decision]:
    with desk.store.transaction(CLUB) as transaction:
        batch = Batch(
            program_id=CLUB,
            submissions=[desk.submission(command) for command in commands],
            rules_for=lambda version: desk.book.version(CLUB, version),
            transaction=transaction,
            lane_id=0,
            now_ms=desk.now,
        )
        answers, _ = batch.run(transaction.tail(0))
    return [answer.decision for answer in answers]


def outcome(plan: Sequence[Plan], cuts: Sequence[int]) -> tuple[list[Decision], list[Any]]:
    """Return every decision and what is left behind, when the plan runs in batches of these sizes."""
    desk = Desk(MemoryStore(), lane=False, **RULES)
    commands = commands_of(desk, plan)
    decisions: list[Decision] = []
    left = list(commands)
    for size in itertools.chain(cuts, itertools.repeat(len(plan))):
        if not left:
            break
        decisions += run(desk, left[:size])
        left = left[size:]
    report = verify(desk.store)
    assert report.ok, report.first
    behind: list[Any] = []
    for member in (ANN, BEN):
        # When something is due is only a promise to look: it may be earlier than it need be, never later.
        account = replace(desk.account(member), due_ms=Ms(0))
        behind += [account, desk.entries(member)]
        behind += [desk.store.read_lots(CLUB, member), desk.store.read_holds(CLUB, member)]
    return decisions, behind


@settings(max_examples=150)
@given(plan=plans, cuts=st.lists(st.integers(1, 5), max_size=22))
def test_how_commands_are_cut_into_batches_makes_no_difference(plan: list[Plan], cuts: list[int]) -> None:
    one_by_one = outcome(plan, [1] * len(plan))
    assert outcome(plan, cuts) == one_by_one
    assert outcome(plan, []) == one_by_one
