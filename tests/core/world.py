"""A small world for core tests: one member, the pure core, and nothing else."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin, TaxGroup
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
from tallystick.core.decide import NO_REFS, Refs, decide, refers_to
from tallystick.core.entry import Decision, Entry, Posted, Refused
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.core.state import Account, HoldStatus, MemberState, MemberStatus

MEMBER = MemberId("0190a000-0000-7000-8000-000000000001")


def rules_of(**parts: Any) -> RuleSet:
    """Return a rule set: one point per euro, unless a part of the document says otherwise."""
    document: dict[str, Any] = {
        "format": "tallystick/1",
        "name": "Test",
        "currency": "EUR",
        "time_zone": "Europe/Stockholm",
        "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
        "burning": {"points": 100, "minor": 100, "assurance_caps": {"typed": "unlimited"}},
    }
    document.update(parts)
    rules = parse_rules(document, version=1, sha256="0" * 64)
    assert isinstance(rules, RuleSet), rules
    return rules


def at(text: str) -> Ms:
    """Return the instant of a UTC date or time, such as "2026-03-01" or "2026-03-01T12:00"."""
    return Ms(int(datetime.fromisoformat(text + "+00:00" if "T" in text else text + "T00:00+00:00").timestamp()) * 1000)


def line(amount_minor: int, *, quantity: int = 1, sku: str = "A", tax: str = "", **more: Any) -> Line:
    """Return a line of whole pieces."""
    return Line(sku, quantity * 1000, Minor(amount_minor), tax, **more)


def basket(*lines: Line | int, groups: tuple[TaxGroup, ...] = (), currency: str = "EUR") -> Basket:
    """Return a basket; a bare number is a line of that amount."""
    whole = tuple(line(part) if isinstance(part, int) else part for part in lines)
    return Basket(currency, whole, prices_include_tax=True, tax_groups=groups)


@dataclass
class World:
    """One member's life under one rule set; every step checks what must hold after each command."""

    rules: RuleSet
    now: Ms = field(default_factory=lambda: at("2026-01-15T12:00"))
    state: MemberState = field(init=False)
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        account = Account(MEMBER, MemberStatus.OPEN, enrolled_ms=self.now, as_of_ms=self.now)
        self.state = MemberState(account, complete=True)

    def new_id(self) -> CommandId:
        return CommandId(str(uuid.uuid4()))

    @property
    def origin(self) -> Origin:
        return Origin(self.now, Channel.STORE, "s1", "t1")

    @property
    def account(self) -> Account:
        return self.state.account

    def do(self, command: Command) -> Decision:
        ref = refers_to(command)
        target = next((entry for entry in self.entries if entry.command_id == ref), None)
        before = tuple(e for e in self.entries if target and e.reverses_seq == target.seq)
        refs = Refs(target, before) if target else NO_REFS
        outcome = decide(command, self.state, self.rules, refs)
        assert outcome == decide(command, self.state, self.rules, refs), "the same input gives the same outcome"
        self.state = outcome.state
        self.entries += outcome.entries
        check(self.state, self.entries)
        return outcome.decision

    def posted(self, command: Command) -> Entry:
        decision = self.do(command)
        assert isinstance(decision, Posted), decision
        return decision.entry

    def refused(self, command: Command) -> Refused:
        before = self.state.account
        decision = self.do(command)
        assert isinstance(decision, Refused), decision
        assert replace(self.state.account, as_of_ms=before.as_of_ms) == before or self.entries, "nothing was written"
        return decision

    def sale(
        self,
        *lines: Line | int,
        spend: Spend | None = None,
        rewards: tuple[str, ...] = (),
        assurance: Assurance = Assurance.DEVICE_CODE,
        groups: tuple[TaxGroup, ...] = (),
    ) -> Sale:
        return Sale(
            self.new_id(), MEMBER, self.origin, basket(*lines, groups=groups), spend, rewards, assurance
        )

    def earn(self, points: int) -> Earn:
        return Earn(self.new_id(), MEMBER, self.origin, points, "gift")

    def burn(self, points: int) -> Burn:
        return Burn(self.new_id(), MEMBER, self.origin, points, "prize", Assurance.DEVICE_CODE)

    def adjust(self, points: int) -> Adjust:
        return Adjust(self.new_id(), MEMBER, self.origin, points, "by hand")

    def hold(self, points: int, *, ttl_s: int = 900, **more: Any) -> PlaceHold:
        return PlaceHold(
            self.new_id(), MEMBER, self.origin, ttl_s, Spend(points), assurance=Assurance.DEVICE_CODE, **more
        )

    def capture(self, hold_id: str, final: Basket | None = None) -> Capture:
        return Capture(self.new_id(), MEMBER, self.origin, CommandId(hold_id), final)

    def void(self, hold_id: str) -> Void:
        return Void(self.new_id(), MEMBER, self.origin, CommandId(hold_id))

    def give_back(self, sale: Entry, *lines: ReturnLine) -> Return:
        return Return(self.new_id(), MEMBER, self.origin, sale.command_id, lines)

    def reverse(self, entry: Entry) -> Reverse:
        return Reverse(self.new_id(), MEMBER, self.origin, entry.command_id, "mistake")

    def settle(self, *lines: Line | int, burned: int = 0, discount: int = 0, earned: int = 0) -> SettleSale:
        return SettleSale(
            self.new_id(),
            MEMBER,
            self.origin,
            basket(*lines),
            self.rules.version,
            earned,
            burned,
            Minor(discount),
        )

    def wait_until(self, text: str) -> None:
        self.now = at(text)
        self.do(CatchUp(self.new_id(), MEMBER, self.origin))


def check(state: MemberState, entries: list[Entry]) -> None:
    """Everything that must hold of a member after any command."""
    account = state.account
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert len({entry.command_id for entry in entries}) == len(entries)
    totals = [sum(column) for column in zip(*(entry.moves for entry in entries), strict=True)] or [0] * 9
    assert sum(totals) == 0
    assert totals[:4] == [account.active, account.pending, account.held, -account.debt]
    assert account.active == sum(lot.remaining for lot in state.lots if not lot.pending)
    assert account.pending == sum(lot.remaining for lot in state.lots if lot.pending)
    assert account.held == sum(hold.points for hold in state.holds if hold.status is HoldStatus.OPEN)
    assert min(account.active, account.pending, account.held, account.debt) >= 0
    for lot in state.lots:
        assert 0 <= lot.remaining <= lot.points
    for entry in entries:
        if entry.detail.lines:
            assert sum(share.earned_points for share in entry.detail.lines) == -entry.moves.issued
            assert sum(share.burned_points for share in entry.detail.lines) == entry.moves.burned
