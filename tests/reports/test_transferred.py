"""Points that members give to each other stay owed by who issued them, in the year in which it did."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.command import (
    Adjust,
    Burn,
    CatchUp,
    Command,
    Earn,
    Reverse,
    TransferBack,
    TransferIn,
    TransferOut,
)
from tallystick.core.decide import Refs, decide
from tallystick.core.entry import Entry, Posted
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.state import Account, Lot, MemberState, MemberStatus
from tallystick.core.transfer import arrival_id, way_back_id
from tallystick.reports.liability import Liability, read_liability
from tallystick.reports.owed_lots import Cohort
from tests.core.world import at, rules_of

UTC = ZoneInfo("UTC")
ANN, BEN, CAT = (MemberId(f"0190a000-0000-7000-8000-00000000000{letter}") for letter in "abc")
RULES = rules_of(
    transfers={"to": "anyone"},
    returns={"spent": "debt", "grace_days": 30},
    expiry={"kind": "months", "months": 24},
    burning={"points": 1, "minor": 1, "assurance_caps": {"typed": "unlimited", "static_card": "unlimited"}},
)
FOREVER = replace(RULES, expiry=rules_of().expiry)
NORTH, SOUTH, EAST, APP = "north", "south", "east", ""


class Circle:
    """Three members and all that was ever posted on them."""

    def __init__(self, *, expires: bool = True) -> None:
        self.rules = RULES if expires else FOREVER
        self.now = at("2025-12-10")
        self.states = {
            member: MemberState(Account(member, MemberStatus.OPEN, self.now), complete=True)
            for member in (ANN, BEN, CAT)
        }
        self.lots: dict[MemberId, dict[int, Lot]] = defaultdict(dict)
        self.entries: dict[MemberId, list[Entry]] = defaultdict(list)
        self.number = 0

    def id(self) -> CommandId:
        self.number += 1
        return CommandId(f"0190b000-0000-7000-8000-{self.number:012x}")

    def origin(self, store: str) -> Origin:
        return Origin(self.now, Channel.STORE if store else Channel.APP, store)

    def do(self, command: Command, refs: Refs = Refs()) -> Entry | None:  # noqa: B008  immutable
        member = command.member_id
        state = self.states[member]
        lots = {**self.lots[member], **{lot.lot_seq: lot for lot in state.lots}}
        outcome = decide(command, replace(state, lots=tuple(lots.values())), self.rules, refs)
        self.states[member] = outcome.state
        self.lots[member] = {lot.lot_seq: lot for lot in outcome.state.lots}
        self.entries[member] += outcome.entries
        return outcome.decision.entry if isinstance(outcome.decision, Posted) else None

    def earn(self, member: MemberId, points: int, store: str) -> Entry | None:
        return self.do(Earn(self.id(), member, self.origin(store), points, "gift"))

    def burn(self, member: MemberId, points: int, store: str) -> Entry | None:
        return self.do(Burn(self.id(), member, self.origin(store), points, "mug", Assurance.STATIC_CARD))

    def leave(self, giver: MemberId, to: MemberId, points: int) -> Entry | None:
        out = TransferOut(self.id(), giver, self.origin(APP), to, points, Assurance.STATIC_CARD)
        return self.do(out)

    def arrive(self, left: Entry) -> Entry | None:
        part = left.detail.transfer
        assert part is not None
        receiver, transfer_id = part.other_id, part.transfer_id
        arrival = arrival_id(receiver, transfer_id)
        return self.do(TransferIn(arrival, receiver, left.origin, transfer_id, left.member_id, part.lots))

    def come_back(self, left: Entry) -> Entry | None:
        giver = left.member_id
        back = TransferBack(
            way_back_id(giver, left.command_id), giver, self.origin(APP), left.command_id, "x"
        )
        return self.do(back, Refs(left))

    def give(self, giver: MemberId, to: MemberId, points: int) -> None:
        left = self.leave(giver, to, points)
        assert left is not None
        assert self.arrive(left)

    def read(self, order: Sequence[MemberId] = (ANN, BEN, CAT)) -> Liability:
        members = [(member, self.entries[member]) for member in order if self.entries[member]]
        return read_liability(members, zone=UTC, entities={})

    def owed(self) -> int:
        accounts = [state.account for state in self.states.values()]
        return sum(account.active + account.pending + account.held - account.debt for account in accounts)


def closings(liability: Liability) -> dict[str, int]:
    return {line.entity: line.closing for line in liability.roll_forward() if line.closing}


def by_cohort(liability: Liability) -> dict[Cohort, int]:
    sums: dict[Cohort, int] = defaultdict(int)
    for (cohort, _), movement in liability.cohorts.items():
        sums[cohort] += movement.change
    return {cohort: points for cohort, points in sums.items() if points}


@pytest.mark.parametrize("order", [*permutations((ANN, BEN))], ids=["giver first", "receiver first"])
def test_points_that_were_given_are_owed_by_who_issued_them(order: Sequence[MemberId]) -> None:
    circle = Circle()
    circle.earn(ANN, 100, NORTH)
    circle.now = at("2026-03-10")
    circle.give(ANN, BEN, 60)
    assert by_cohort(circle.read(order)) == {Cohort(NORTH, 2025): 100}
    circle.burn(BEN, 25, SOUTH)
    liability = circle.read(order)
    assert by_cohort(liability) == {Cohort(NORTH, 2025): 75}
    assert liability.movements[NORTH, date(2026, 3, 1)].burned == -25
    assert liability.settled == {(NORTH, SOUTH, date(2026, 3, 1)): 25}
    assert closings(liability) == {NORTH: 75}


@pytest.mark.parametrize("order", [*permutations((ANN, BEN, CAT))])
def test_points_that_were_given_on_are_owed_by_who_issued_them_first(order: Sequence[MemberId]) -> None:
    circle = Circle()
    circle.earn(ANN, 100, NORTH)
    circle.earn(BEN, 10, SOUTH)
    circle.now = at("2026-01-05")
    circle.give(ANN, BEN, 60)
    circle.give(BEN, CAT, 50)
    circle.give(CAT, ANN, 5)
    circle.burn(CAT, 45, EAST)
    # What Ben gave on was his own, which expires as soon and came first, and then Ann's.
    liability = circle.read(order)
    assert sum(by_cohort(liability).values()) == circle.owed() == 65
    assert set(by_cohort(liability)) <= {Cohort(NORTH, 2025), Cohort(SOUTH, 2025)}
    assert sum(liability.settled.values()) == 45
    assert closings(liability) == closings(circle.read((ANN, BEN, CAT)))


def test_points_of_two_issuers_in_one_lot_are_spent_in_the_order_in_which_they_were_taken() -> None:
    circle = Circle(expires=False)
    circle.earn(ANN, 30, NORTH)
    circle.earn(ANN, 30, SOUTH)
    circle.give(ANN, BEN, 50)
    assert len(circle.states[BEN].lots) == 1
    spent = circle.burn(BEN, 40, EAST)
    assert spent is not None
    month = date(2025, 12, 1)
    liability = circle.read()
    assert liability.settled == {(NORTH, EAST, month): 30, (SOUTH, EAST, month): 10}
    assert closings(liability) == {SOUTH: 20}
    # Undone, they are spent again in the same order.
    undo = Reverse(circle.id(), BEN, circle.origin(EAST), spent.command_id, "mistake")
    assert circle.do(undo, Refs(spent))
    assert closings(circle.read()) == {NORTH: 30, SOUTH: 30}
    circle.burn(BEN, 35, EAST)
    assert closings(circle.read()) == {SOUTH: 25}


def test_a_transfer_that_came_back_leaves_everything_as_it_was() -> None:
    circle = Circle()
    circle.earn(ANN, 100, NORTH)
    before = closings(circle.read())
    left = circle.leave(ANN, BEN, 60)
    assert left is not None
    assert closings(circle.read()) == {NORTH: 40}
    assert circle.come_back(left)
    assert closings(circle.read()) == before == {NORTH: 100}


def test_what_a_receiver_owed_is_paid_with_the_first_of_the_points() -> None:
    circle = Circle(expires=False)
    circle.earn(ANN, 30, NORTH)
    circle.earn(ANN, 30, SOUTH)
    gift = circle.earn(BEN, 20, EAST)
    assert gift is not None
    circle.burn(BEN, 20, EAST)
    assert circle.do(Reverse(circle.id(), BEN, circle.origin(EAST), gift.command_id, "mistake"), Refs(gift))
    assert circle.states[BEN].account.debt == 20
    circle.give(ANN, BEN, 50)
    circle.burn(BEN, 30, EAST)
    liability = circle.read()
    month = date(2025, 12, 1)
    # North's first 20 are what Ben had burned of a gift that was none, the next 10 and south's are burned by him now.
    assert liability.settled == {(NORTH, EAST, month): 20 + 10, (SOUTH, EAST, month): 20}
    assert closings(liability) == {SOUTH: 10}


def test_a_giver_who_is_not_in_the_ledger_leaves_the_points_where_they_arrived() -> None:
    circle = Circle()
    circle.earn(ANN, 100, NORTH)
    circle.give(ANN, BEN, 60)
    circle.burn(BEN, 10, SOUTH)
    liability = circle.read([BEN])
    assert closings(liability) == {APP: 50}


def test_a_transfer_moves_nothing_between_issuers_whatever_else_happens() -> None:
    dice = random.Random(7)
    members = (ANN, BEN, CAT)
    for _ in range(20):
        circle = Circle(expires=dice.random() < 0.5)
        left_behind: list[Entry] = []
        for _ in range(50):
            circle.now = Ms(circle.now + dice.randrange(1, 20) * 86_400_000)
            member, store = dice.choice(members), dice.choice([NORTH, SOUTH, EAST])
            what = dice.choice(["earn", "earn", "burn", "give", "give", "leave", "adjust"])
            if what == "earn":
                circle.earn(member, dice.randrange(1, 200), store)
            elif what == "burn":
                circle.burn(member, dice.randrange(1, 100), store)
            elif what == "adjust":
                circle.do(Adjust(circle.id(), member, circle.origin(store), dice.choice([-20, 30]), "hand"))
            else:
                # What has become due is posted first, so that the transfer alone is looked at.
                for each in members:
                    circle.do(CatchUp(circle.id(), each, circle.origin(APP)))
                before = closings(circle.read())
                to = dice.choice([other for other in members if other is not member])
                if left := circle.leave(member, to, dice.randrange(1, 60)):
                    if what == "give":
                        circle.arrive(left)
                        assert closings(circle.read(dice.sample(members, 3))) == before
                    else:
                        left_behind.append(left)
        for left in left_behind:
            circle.come_back(left)
        liability = circle.read(dice.sample(members, 3))
        assert sum(closings(liability).values()) == circle.owed()
        assert sum(by_cohort(liability).values()) == circle.owed()
        assert all(closing >= 0 for closing in closings(liability).values())
