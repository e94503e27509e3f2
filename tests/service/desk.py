"""A desk to send commands from: one program in a store, its members, and a lane, without any server around it."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any, Self

from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin
from tallystick.core.command import (
    Adjust,
    Burn,
    Capture,
    CatchUp,
    Command,
    Earn,
    PlaceHold,
    Return,
    ReturnLine,
    Reverse,
    Sale,
    SettleSale,
    Spend,
    Void,
)
from tallystick.core.entry import Entry, Posted, Refusal, Refused
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Minor, Ms, ProgramId
from tallystick.core.state import Account, MemberStatus
from tallystick.service.directory import Clock, Member, Program, StoredRuleSet
from tallystick.service.lane import Lane
from tallystick.service.rulebook import RuleBook
from tallystick.service.submission import Answer, Submission
from tallystick.storage.open import Store
from tests.core.world import at, basket

CLUB = ProgramId("club")
ANN = MemberId("0190a000-0000-7000-8000-00000000000a")
BEN = MemberId("0190a000-0000-7000-8000-00000000000b")
NOBODY = MemberId("0190a000-0000-7000-8000-0000000000ff")
NEVER = float("inf")
WAIT_S = 20.0

RULES: dict[str, Any] = {
    "format": "tallystick/1",
    "name": "Club",
    "currency": "EUR",
    "time_zone": "Europe/Stockholm",
    "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
    "burning": {"points": 100, "minor": 100, "assurance_caps": {"typed": "unlimited"}},
}


class Desk:
    """Sends commands of members of one program through a lane and tells what became of them."""

    def __init__(
        self,
        store: Store,
        *,
        lane: bool = True,
        program_id: ProgramId = CLUB,
        published: bool = True,
        **rules: Any,
    ) -> None:
        self.store = store
        self.program_id = program_id
        self.now = at("2026-01-15T12:00")
        created = Program(program_id, "Club", Clock.LIVE, 0, self.now)
        if store.create_program(created):
            if published:
                self.publish(**rules)
            self.enrol(ANN, BEN)
        self.book = RuleBook(store)
        self.lane = Lane(store, self.book, now_ms=lambda: self.now) if lane else None

    def publish(self, **parts: Any) -> int:
        """Publish the rules with some parts changed; return the version."""
        text = json.dumps({**RULES, **parts}, sort_keys=True)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        rules = StoredRuleSet(0, sha256, text, text, str(uuid.uuid4()), self.now, "test")
        return self.store.publish_rule_set(self.program_id, rules).version

    def enrol(self, *members: MemberId) -> None:
        for member in members:
            number = member.replace("-", "")[-12:]
            row = Member(member, number, MemberStatus.OPEN, self.now, int(Channel.STORE), "s1")
            self.store.enrol(self.program_id, row, [])

    def new_id(self) -> CommandId:
        return CommandId(str(uuid.uuid4()))

    @property
    def origin(self) -> Origin:
        return Origin(self.now, Channel.STORE, "s1", "t1")

    def submission(self, command: Command, **more: Any) -> Submission:
        facts = {
            "program_id": self.program_id,
            "fingerprint": fingerprint(command),
            "deadline": NEVER,
            "earliest_ms": 0,
            "latest_ms": NEVER_MS,
        }
        return Submission(command=command, **{**facts, **more})

    def send(self, *commands: Command, **more: Any) -> list[Answer]:
        """Submit commands together and wait for the answers."""
        return self.wait([self.submission(command, **more) for command in commands])

    def wait(self, submissions: Sequence[Submission]) -> list[Answer]:
        assert self.lane is not None
        return [future.result(WAIT_S) for future in self.lane.submit_all(submissions)]

    def posted(self, command: Command) -> Entry:
        (answer,) = self.send(command)
        assert isinstance(answer.decision, Posted), answer
        return answer.decision.entry

    def refused(self, command: Command) -> Refusal:
        (answer,) = self.send(command)
        assert isinstance(answer.decision, Refused), answer
        return answer.decision.reason

    def account(self, member: MemberId = ANN) -> Account:
        return self.store.read_accounts(self.program_id, [member])[member]

    def entries(self, member: MemberId = ANN) -> list[Entry]:
        """Return a member's entries, the oldest first."""
        rows = self.store.read_entries(self.program_id, member, before_seq=None, limit=1_000)
        return [entry for entry, _ in reversed(rows)]

    def close(self) -> None:
        if self.lane is not None:
            self.lane.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sale(
        self,
        *lines: Line | int,
        member: MemberId = ANN,
        spend: int | Spend | None = None,
        rewards: tuple[str, ...] = (),
        assurance: Assurance = Assurance.DEVICE_CODE,
        goods: Basket | None = None,
    ) -> Sale:
        paid = Spend(spend) if isinstance(spend, int) else spend
        return Sale(self.new_id(), member, self.origin, goods or basket(*lines), paid, rewards, assurance)

    def earn(self, points: int, *, member: MemberId = ANN) -> Earn:
        return Earn(self.new_id(), member, self.origin, points, "gift")

    def burn(
        self, points: int, *, member: MemberId = ANN, assurance: Assurance = Assurance.DEVICE_CODE
    ) -> Burn:
        return Burn(self.new_id(), member, self.origin, points, "prize", assurance)

    def adjust(self, points: int, *, member: MemberId = ANN) -> Adjust:
        return Adjust(self.new_id(), member, self.origin, points, "by hand")

    def hold(self, points: int, *, ttl_s: int = 900, goods: Basket | None = None) -> PlaceHold:
        return PlaceHold(
            self.new_id(), ANN, self.origin, ttl_s, Spend(points), (), goods, Assurance.DEVICE_CODE
        )

    def capture(self, hold_id: str, goods: Basket | None = None, *, member: MemberId = ANN) -> Capture:
        return Capture(self.new_id(), member, self.origin, CommandId(hold_id), goods)

    def void(self, hold_id: str, *, member: MemberId = ANN) -> Void:
        return Void(self.new_id(), member, self.origin, CommandId(hold_id))

    def give_back(self, sale_id: str, *lines: ReturnLine, member: MemberId = ANN) -> Return:
        return Return(self.new_id(), member, self.origin, CommandId(sale_id), lines)

    def reverse(self, entry_id: str, *, member: MemberId = ANN) -> Reverse:
        return Reverse(self.new_id(), member, self.origin, CommandId(entry_id), "mistake")

    def settle(
        self, *lines: Line | int, rule_set: int = 1, burned: int = 0, discount: int = 0, earned: int = 0
    ) -> SettleSale:
        return SettleSale(
            self.new_id(),
            ANN,
            self.origin,
            basket(*lines),
            rule_set,
            earned,
            burned,
            Minor(discount),
        )

    def catch_up(self, *, member: MemberId = ANN) -> CatchUp:
        return CatchUp(self.new_id(), member, self.origin)

    def wait_until(self, text: str) -> None:
        """Let time pass and do what it has made due."""
        self.now = at(text)
        self.send(self.catch_up())


def deadline_in(seconds: float) -> float:
    """Return a deadline on the clock that lanes use."""
    return time.monotonic() + seconds


def later(origin: Origin, seconds: int) -> Origin:
    """Return the same place some seconds later."""
    return Origin(Ms(origin.occurred_ms + 1000 * seconds), origin.channel, origin.store_id, origin.till_id)
