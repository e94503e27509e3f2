"""Transfers in the core: what leaves a member reaches another with its expiry, or comes back to its lots."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.command import Adjust, Earn, Reverse, TransferBack, TransferIn, TransferOut
from tallystick.core.decide import Refs, decide
from tallystick.core.entry import Entry, EntryKind, MovedLot, Posted, Refusal, Refused
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.state import Account, MemberState, MemberStatus
from tallystick.core.transfer import arrival_id, way_back_id
from tests.core.world import at, rules_of

ANN = MemberId("0190a000-0000-7000-8000-00000000000a")
BEN = MemberId("0190a000-0000-7000-8000-00000000000b")
OPEN: dict[str, Any] = {"to": "anyone"}


class Two:
    """Two members and the pure core between them."""

    def __init__(self, *, transfers: dict[str, Any] | None = OPEN, **rules: Any) -> None:
        parts = {"transfers": transfers} if transfers is not None else {}
        self.rules: RuleSet = rules_of(**parts, **rules)
        self.now = at("2026-03-10T12:00")
        joined = at("2026-01-01")
        self.states = {
            member: MemberState(Account(member, MemberStatus.OPEN, joined, as_of_ms=joined), complete=True)
            for member in (ANN, BEN)
        }
        self.sent: dict[CommandId, Entry] = {}

    @property
    def origin(self) -> Origin:
        return Origin(self.now, Channel.APP)

    def decide(self, command: Any, refs: Refs = Refs()) -> Entry | Refusal:  # noqa: B008 (frozen)
        outcome = decide(command, self.states[command.member_id], self.rules, refs)
        self.states[command.member_id] = outcome.state
        match outcome.decision:
            case Posted(entry):
                return entry
            case Refused(reason, _):
                return reason
        raise AssertionError(outcome.decision)

    def earn(self, points: int, member: MemberId = ANN) -> None:
        assert isinstance(self.decide(Earn(new_id(), member, self.origin, points, "gift")), Entry)

    def out(self, points: int, *, to: MemberId = BEN, giver: MemberId = ANN, **more: Any) -> Entry | Refusal:
        command = TransferOut(
            new_id(), giver, self.origin, to, points, more.pop("assurance", Assurance.DEVICE_CODE), **more
        )
        answer = self.decide(command)
        if isinstance(answer, Entry):
            self.sent[answer.command_id] = answer
        return answer

    def arrive(self, left: Entry) -> Entry | Refusal:
        part = left.detail.transfer
        assert part is not None
        return self.decide(
            TransferIn(
                arrival_id(part.other_id, part.transfer_id),
                part.other_id,
                left.origin,
                part.transfer_id,
                left.member_id,
                part.lots,
            )
        )

    def back(self, left: Entry, *, before: tuple[Entry, ...] = ()) -> Entry | Refusal:
        command = TransferBack(
            way_back_id(left.member_id, left.command_id), left.member_id, self.origin, left.command_id, "x"
        )
        return self.decide(command, Refs(left, before))

    def active(self, member: MemberId = ANN) -> int:
        return self.states[member].account.active

    def lots(self, member: MemberId) -> list[tuple[int, Ms]]:
        lots = (lot for lot in self.states[member].lots if lot.remaining)
        return sorted((lot.remaining, lot.expires_ms) for lot in lots)


def new_id() -> CommandId:
    return CommandId(str(uuid.uuid4()))


def left(answer: Entry | Refusal) -> Entry:
    assert isinstance(answer, Entry), answer
    return answer


def test_what_leaves_a_member_reaches_the_other() -> None:
    two = Two()
    two.earn(100)
    sent = left(two.out(40))
    assert (sent.kind, sent.moves.active, sent.moves.adjusted) == (EntryKind.TRANSFER, -40, 40)
    arrived = left(two.arrive(sent))
    assert (arrived.kind, arrived.moves.active, arrived.moves.adjusted) == (EntryKind.TRANSFER, 40, -40)
    assert (two.active(ANN), two.active(BEN)) == (60, 40)
    assert arrived.detail.transfer is not None
    assert arrived.detail.transfer[:2] == (sent.command_id, ANN)


def test_points_that_expire_soonest_are_given_first_and_expire_when_they_would_have() -> None:
    two = Two(expiry={"kind": "months", "months": 12})
    two.earn(30)
    soon = two.states[ANN].lots[0].expires_ms
    two.now = at("2026-04-10T12:00")
    two.earn(30)
    late = two.states[ANN].lots[1].expires_ms
    two.arrive(left(two.out(40)))
    assert two.lots(BEN) == [(10, late), (30, soon)]
    assert two.lots(ANN) == [(20, late)]


def test_each_expiry_arrives_as_an_entry_and_all_of_them_together() -> None:
    two = Two(expiry={"kind": "months", "months": 12})
    for month in ("03", "04", "05"):
        two.now = at(f"2026-{month}-10T12:00")
        two.earn(10)
    last = left(two.arrive(left(two.out(30))))
    assert two.states[BEN].account.seq == last.seq == 3
    assert len({lot.lot_seq for lot in two.states[BEN].lots}) == 3


def test_a_receiver_pays_debts_first() -> None:
    two = Two()
    two.earn(50)
    two.states[BEN] = MemberState(
        Account(BEN, MemberStatus.OPEN, Ms(0), debt=15, seq=1, as_of_ms=Ms(0)), complete=True
    )
    arrived = left(two.arrive(left(two.out(20))))
    assert (arrived.moves.debt, arrived.moves.active) == (15, 5)
    assert two.active(BEN) == 5


def test_a_transfer_that_comes_back_lies_in_its_old_lots() -> None:
    two = Two(
        expiry={"kind": "months", "months": 12}, transfers={"limit_points": {"count": 50, "per": "month"}}
    )
    two.earn(50)
    before = two.lots(ANN)
    sent = left(two.out(50))
    assert two.out(1) is Refusal.INSUFFICIENT_POINTS
    back = left(two.back(sent))
    assert (back.kind, back.reverses_seq, back.moves.adjusted) == (EntryKind.TRANSFER, sent.seq, -50)
    assert two.lots(ANN) == before
    assert isinstance(two.out(50), Entry), "what came back was not given"
    assert two.back(sent, before=(back,)) is Refusal.ALREADY_REVERSED


def test_a_transfer_comes_back_to_a_giver_who_is_blocked_and_reaches_no_receiver_who_is() -> None:
    two = Two()
    two.earn(50)
    sent = left(two.out(50))
    for member in (ANN, BEN):
        state = two.states[member]
        account = Account(
            member, MemberStatus.BLOCKED, Ms(0), active=state.account.active, seq=state.account.seq
        )
        two.states[member] = MemberState(account, state.lots, complete=True)
    assert two.arrive(sent) is Refusal.MEMBER_BLOCKED
    assert isinstance(two.back(sent), Entry)
    assert two.active(ANN) == 50


def test_a_locked_member_gives_nothing_and_is_given_to() -> None:
    two = Two()
    two.earn(50)
    two.earn(50, BEN)
    for member in (ANN, BEN):
        account = two.states[member].account
        locked = Account(
            member, MemberStatus.LOCKED, account.enrolled_ms, active=50, seq=1, as_of_ms=account.as_of_ms
        )
        two.states[member] = MemberState(locked, two.states[member].lots, complete=True)
    assert two.out(10) is Refusal.MEMBER_LOCKED
    account = two.states[ANN].account
    opened = Account(ANN, MemberStatus.OPEN, account.enrolled_ms, active=50, seq=1, as_of_ms=account.as_of_ms)
    two.states[ANN] = MemberState(opened, two.states[ANN].lots, complete=True)
    assert isinstance(two.arrive(left(two.out(10))), Entry)
    assert two.active(BEN) == 60


def test_the_other_side_of_a_transfer_cannot_be_reversed_by_hand() -> None:
    two = Two()
    two.earn(50)
    sent = left(two.out(20))
    arrived = left(two.arrive(sent))
    for entry in (sent, arrived):
        command = Reverse(new_id(), entry.member_id, two.origin, entry.command_id, "mistake")
        assert two.decide(command, Refs(entry)) is Refusal.NOT_REVERSIBLE


@pytest.mark.parametrize(
    ("transfers", "asked", "reason"),
    [
        (OPEN, {"points": 0}, Refusal.AMOUNT_OVERFLOW),
        (OPEN, {"points": 101}, Refusal.INSUFFICIENT_POINTS),
        (OPEN, {"points": 10, "to": ANN}, Refusal.RECEIVER_NOT_ALLOWED),
        (OPEN, {"points": 10, "assurance": Assurance.TYPED}, Refusal.ABOVE_ASSURANCE_CAP),
        (None, {"points": 10}, Refusal.TRANSFERS_OFF),
        ({"minimum_points": 20}, {"points": 19}, Refusal.BELOW_MINIMUM),
        ({"limit_points": {"count": 50, "per": "month"}}, {"points": 51}, Refusal.SHARING_LIMIT),
        ({"to": "household"}, {"points": 10}, Refusal.RECEIVER_NOT_ALLOWED),
        ({"member_days": 69}, {"points": 10}, Refusal.MEMBER_TOO_NEW),
    ],
)
def test_what_the_rules_do_not_allow_is_refused(
    transfers: dict[str, Any] | None, asked: dict[str, Any], reason: Refusal
) -> None:
    two = Two(transfers=transfers, burning={"points": 1, "minor": 1})
    two.earn(100)
    assert two.out(**asked) is reason
    assert two.active(ANN) == 100


def test_what_the_rules_just_allow_is_posted() -> None:
    rules = {"minimum_points": 20, "limit_points": {"count": 50, "per": "month"}, "member_days": 68}
    two = Two(transfers=rules)
    two.earn(100)
    assert isinstance(two.out(20), Entry)
    assert isinstance(two.out(30), Entry)
    assert two.out(20) is Refusal.SHARING_LIMIT
    two.now = at("2026-04-01T12:00")
    assert isinstance(two.out(20), Entry), "another month"


def test_within_a_household_the_rule_for_households_lets_points_go() -> None:
    two = Two(transfers={"to": "household"})
    two.earn(100)
    assert isinstance(two.out(10, same_household=True), Entry)


def test_points_go_to_the_pool_of_a_household_whatever_the_rules_say_of_transfers() -> None:
    two = Two(transfers=None)
    two.earn(100)
    sent = left(two.out(100, pooling=True))
    assert sent.detail.explanations[0].code == "pooled"
    assert sent.detail.tallies == ()


def test_a_transfer_of_more_expiries_than_fit_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.core.transfer.LOTS_MAX", 1)
    two = Two(expiry={"kind": "months", "months": 12})
    two.earn(10)
    two.now = at("2026-04-10T12:00")
    two.earn(10)
    assert two.out(20) is Refusal.AMOUNT_OVERFLOW
    assert two.active(ANN) == 20
    assert isinstance(two.out(10), Entry)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(("earn", "give", "take")),
            st.booleans(),
            st.integers(1, 60),
            st.sampled_from(("arrive", "back", "wait")),
        ),
        max_size=25,
    )
)
def test_whatever_is_given_the_points_of_both_and_on_the_way_are_those_earned(
    steps: list[tuple[str, bool, int, str]],
) -> None:
    two = Two(expiry={"kind": "months", "months": 24})
    earned, under_way = 0, 0
    for step, turned, points, then in steps:
        giver, other = (BEN, ANN) if turned else (ANN, BEN)
        two.now = Ms(two.now + 86_400_000)
        if step == "earn":
            two.earn(points, giver)
            earned += points
            continue
        if step == "take":
            command = Adjust(new_id(), giver, two.origin, -points, "by hand")
            earned -= points if isinstance(two.decide(command), Entry) else 0
            continue
        sent = two.out(points, giver=giver, to=other)
        if isinstance(sent, Entry) and then == "arrive":
            two.arrive(sent)
        elif isinstance(sent, Entry) and then == "back":
            two.back(sent)
        elif isinstance(sent, Entry):
            under_way += points
        assert two.active(ANN) + two.active(BEN) + under_way == earned
        for member in (ANN, BEN):
            assert sum(points for points, _ in two.lots(member)) == two.active(member)


def test_a_moved_lot_says_what_the_oldest_of_its_points_is() -> None:
    two = Two()
    two.earn(10)
    first = two.now
    two.now = at("2026-04-10T12:00")
    two.earn(10)
    sent = left(two.out(20))
    assert sent.detail.transfer is not None
    (lot,) = sent.detail.transfer.lots
    assert lot == MovedLot(20, first, lot.expires_ms)
