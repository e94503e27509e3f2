"""A small world for core tests: one member, the pure core, and nothing else."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin, TaxGroup
from tallystick.core.command import (
    Adjust,
    Authority,
    Burn,
    Capture,
    CatchUp,
    Command,
    CouponRef,
    Earn,
    GrantLease,
    IssueVoucher,
    PlaceHold,
    RedeemReward,
    Return,
    ReturnLease,
    ReturnLine,
    Reverse,
    Sale,
    SettleSale,
    Spend,
    Void,
)
from tallystick.core.coupon import CouponUse
from tallystick.core.decide import NO_REFS, Refs, decide, refers_to
from tallystick.core.entry import Decision, Entry, EntryKind, Posted, Refusal, Refused
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.core.rules.reward import counters_of
from tallystick.core.state import Account, HoldStatus, MemberState, MemberStatus

MADE_BY_TIME = (EntryKind.EXPIRE, EntryKind.MATURE, EntryKind.HOLD_RELEASE, EntryKind.TIER)
MEMBER = MemberId("0190a000-0000-7000-8000-000000000001")


def document_of(**parts: Any) -> dict[str, Any]:
    """Return a rule set's document: one point per euro, unless a part says otherwise."""
    document: dict[str, Any] = {
        "format": "tallystick/1",
        "name": "Test",
        "currency": "EUR",
        "time_zone": "Europe/Stockholm",
        "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
        "burning": {"points": 100, "minor": 100, "assurance_caps": {"typed": "unlimited"}},
    }
    return {**document, **parts}


def rules_of(**parts: Any) -> RuleSet:
    """Return the rule set of such a document."""
    rules = parse_rules(document_of(**parts), version=1, sha256="0" * 64)
    assert isinstance(rules, RuleSet), rules
    return rules


def at(text: str) -> Ms:
    """Return the instant of a UTC date or time, such as "2026-03-01" or "2026-03-01T12:00"."""
    return Ms(
        int(datetime.fromisoformat(text + "+00:00" if "T" in text else text + "T00:00+00:00").timestamp())
        * 1000
    )


def line(amount_minor: int, *, quantity: int = 1, sku: str = "A", tax: str = "", **more: Any) -> Line:
    """Return a line of whole pieces."""
    return Line(sku, quantity * 1000, Minor(amount_minor), tax, **more)


def basket(
    *lines: Line | int,
    groups: tuple[TaxGroup, ...] = (),
    currency: str = "EUR",
    includes_tax: bool = True,
) -> Basket:
    """Return a basket; a bare number is a line of that amount."""
    whole = tuple(line(part) if isinstance(part, int) else part for part in lines)
    return Basket(currency, whole, prices_include_tax=includes_tax, tax_groups=groups)


@dataclass
class World:
    """One member's life under one rule set; every step checks what must hold after each command."""

    rules: RuleSet
    pinned: RuleSet | None = None
    now: Ms = field(default_factory=lambda: at("2026-01-15T12:00"))
    state: MemberState = field(init=False)
    entries: list[Entry] = field(default_factory=list)
    mint: Callable[[], CommandId] = lambda: CommandId(str(uuid.uuid4()))
    codes: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What codes stand for: the coupon, and the token of a unique code (empty for a shared one)."""

    def __post_init__(self) -> None:
        account = Account(MEMBER, MemberStatus.OPEN, enrolled_ms=self.now, as_of_ms=self.now)
        self.state = MemberState(account, complete=True)

    def new_id(self) -> CommandId:
        return self.mint()

    @property
    def origin(self) -> Origin:
        return Origin(self.now, Channel.STORE, "s1", "t1")

    @property
    def account(self) -> Account:
        return self.state.account

    def do(self, command: Command) -> Decision:
        ref = refers_to(command)
        target = next((entry for entry in self.entries if ref and entry.command_id == ref), None)
        before = tuple(e for e in self.entries if target and e.reverses_seq == target.seq)
        refs = Refs(target, before) if target else NO_REFS
        known = self.known_of(command)
        outcome = decide(command, self.state, self.rules, refs, pinned=self.pinned, coupons=known)
        again = decide(command, self.state, self.rules, refs, pinned=self.pinned, coupons=known)
        assert outcome == again, "the same input gives the same outcome"
        self.state = outcome.state
        self.entries += outcome.entries
        check(self.state, self.entries)
        return outcome.decision

    def known_of(self, command: Command) -> tuple[CouponUse, ...]:
        """Return what is known of the coupons of a command: this member is the only one there is."""
        if isinstance(command, (Sale, PlaceHold)):
            pairs = [self.codes.get(ref.token, ("", "")) for ref in command.coupons]
            pairs += [(name, "") for name in counters_of(self.rules, command.reward_ids)]
            return tuple(self._use(coupon_id, token, but="") for coupon_id, token in pairs)
        if isinstance(command, RedeemReward):
            return tuple(self._use(name, "", but="") for name in counters_of(self.rules, [command.reward_id]))
        if not isinstance(command, Capture):
            return ()
        named = [hold for hold in self.state.holds if hold.hold_id == command.hold_id]
        return tuple(
            replace(self._use(*coupon, but=hold.hold_id), reserved=hold.status is HoldStatus.OPEN)
            for hold in named
            for coupon in hold.coupons
        )

    def _use(self, coupon_id: str, token: str, *, but: str) -> CouponUse:
        undone = {entry.reverses_seq for entry in self.entries if entry.kind is EntryKind.REVERSE}
        having = [
            (coupon.coupon_id, coupon.token)
            for entry in self.entries
            if entry.kind in (EntryKind.SALE, EntryKind.CAPTURE, EntryKind.BURN) and entry.seq not in undone
            for coupon in entry.detail.coupons
        ]
        having += [
            (coupon.coupon_id, coupon.token)
            for hold in self.state.holds
            if hold.status is HoldStatus.OPEN and hold.expires_ms > self.now and hold.hold_id != but
            for coupon in hold.coupons
        ]
        count = sum(one == coupon_id for one, _ in having)
        taken = bool(token) and any(one == token for _, one in having)
        return CouponUse(coupon_id, token, taken=taken, by_member=count, in_all=count)

    def posted(self, command: Command) -> Entry:
        decision = self.do(command)
        assert isinstance(decision, Posted), decision
        return decision.entry

    def refused(self, command: Command) -> Refused:
        before, written = self.state, len(self.entries)
        decision = self.do(command)
        assert isinstance(decision, Refused), decision
        made = self.entries[written:]
        assert all(entry.kind in MADE_BY_TIME for entry in made), "a refused command posts nothing"
        assert made or self.state == before, "a refused command changes nothing"
        return decision

    def why(self, command: Command) -> Refusal:
        """Return only the reason of a refusal."""
        return self.refused(command).reason

    def sale(
        self,
        *lines: Line | int,
        spend: Spend | None = None,
        rewards: tuple[str, ...] = (),
        assurance: Assurance = Assurance.DEVICE_CODE,
        groups: tuple[TaxGroup, ...] = (),
        coupons: tuple[str, ...] = (),
    ) -> Sale:
        goods, refs = basket(*lines, groups=groups), refs_of(*coupons)
        return Sale(self.new_id(), MEMBER, self.origin, goods, spend, rewards, assurance, refs)

    def sale_of(self, goods: Basket, **more: Any) -> Sale:
        """Return a sale of a basket that is made elsewhere."""
        return Sale(self.new_id(), MEMBER, self.origin, goods, **{"assurance": Assurance.DEVICE_CODE, **more})

    def earn(self, points: int) -> Earn:
        return Earn(self.new_id(), MEMBER, self.origin, points, "gift")

    def burn(self, points: int) -> Burn:
        return Burn(self.new_id(), MEMBER, self.origin, points, "prize", Assurance.DEVICE_CODE)

    def adjust(self, points: int) -> Adjust:
        return Adjust(self.new_id(), MEMBER, self.origin, points, "by hand")

    def hold(self, points: int, *, ttl_s: int = 900, **more: Any) -> PlaceHold:
        spend = more.pop("spend", Spend(points))
        return PlaceHold(
            self.new_id(), MEMBER, self.origin, ttl_s, spend, assurance=Assurance.DEVICE_CODE, **more
        )

    def capture(self, hold_id: str, final: Basket | None = None) -> Capture:
        return Capture(self.new_id(), MEMBER, self.origin, CommandId(hold_id), final)

    def void(self, hold_id: str) -> Void:
        return Void(self.new_id(), MEMBER, self.origin, CommandId(hold_id))

    def give_back(self, sale: Entry, *lines: ReturnLine) -> Return:
        return Return(self.new_id(), MEMBER, self.origin, sale.command_id, lines)

    def all_back(self, sale: Entry) -> Return:
        """Return everything that the sale sold."""
        shares = enumerate(sale.detail.lines, 1)
        return self.give_back(sale, *[ReturnLine(number, share.quantity_milli) for number, share in shares])

    def reverse(self, entry: Entry) -> Reverse:
        return Reverse(self.new_id(), MEMBER, self.origin, entry.command_id, "mistake")

    def lease(self, store: str = "s1") -> GrantLease:
        return GrantLease(self.new_id(), MEMBER, self.origin, store)

    def give_lease_back(self, lease: Entry, store: str = "s1") -> ReturnLease:
        origin = replace(self.origin, store_id=store)
        return ReturnLease(self.new_id(), MEMBER, origin, lease.command_id)

    def voucher(self, points: int = 0, *, reward: str = "", store: str = "s1", **more: Any) -> IssueVoucher:
        more = {"assurance": Assurance.DEVICE_CODE, **more}
        return IssueVoucher(self.new_id(), MEMBER, self.origin, store, points, reward, **more)

    def burned(self, *rights: Authority, store: str = "s1", amount: int = 100_000) -> SettleSale:
        """Return a sale at a till that burned by these rights, one point a minor unit."""
        points = sum(right.points for right in rights)
        sale = self.settle(amount, burned=points, discount=points)
        origin = replace(self.origin, store_id=store)
        return replace(sale, authorities=rights, origin=origin, spend=Spend(points))

    def settle(self, *lines: Line | int, burned: int = 0, discount: int = 0, earned: int = 0) -> SettleSale:
        return SettleSale(
            self.new_id(),
            MEMBER,
            self.origin,
            basket(*lines),
            (self.pinned or self.rules).version,
            earned,
            burned,
            Minor(discount),
        )

    def wait_until(self, text: str) -> None:
        self.now = at(text)
        self.wait_until_now()

    def wait_until_now(self) -> None:
        """Do what time has made due."""
        self.do(CatchUp(self.new_id(), MEMBER, self.origin))


def refs_of(*codes: str) -> tuple[CouponRef, ...]:
    """Return codes as a command names them; each stands for itself."""
    return tuple(CouponRef(code, code) for code in codes)


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
    assert account.held == sum(hold.left for hold in state.holds if hold.status is HoldStatus.OPEN)
    for hold in state.holds:
        assert 0 <= hold.used <= hold.points
        if hold.status is HoldStatus.OPEN:
            assert hold.left == sum(alloc.points for alloc in hold.allocs)
    assert min(account.active, account.pending, account.held, account.debt) >= 0
    for lot in state.lots:
        assert 0 <= lot.remaining <= lot.points
    for entry in entries:
        if entry.detail.lines:
            assert sum(share.earned_points for share in entry.detail.lines) == -entry.moves.issued
            spent = entry.moves.held if entry.kind is EntryKind.HOLD else entry.moves.burned
            assert sum(share.burned_points for share in entry.detail.lines) == spent

    check_tallies(state, entries)


def check_tallies(state: MemberState, entries: list[Entry]) -> None:
    """What the account keeps is what the entries counted; what lasts for ever is all there."""
    sums: Counter[tuple[str, int]] = Counter()
    for entry in entries:
        for key, period, delta in entry.detail.tallies:
            sums[key, period] += delta
            assert sums[key, period] >= 0, f"{key} is reckoned down below nothing"
    kept = {(key, period): count for key, period, count in state.account.tallies}
    assert list(kept) == sorted(kept)
    assert all(count == sums[place] > 0 for place, count in kept.items())
    assert {place for place, count in sums.items() if count and not place[1]} <= kept.keys()


def lots_of(world: World) -> list[tuple[int, int]]:
    """Return (lot_seq, remaining) of every lot that is not empty, oldest first."""
    return [(lot.lot_seq, lot.remaining) for lot in world.state.lots if lot.remaining]


def codes_of(entry: Entry) -> list[tuple[str, int, int, str]]:
    """Return what explains an entry, without its values."""
    return [(why.rule_id, why.line_no, why.points, why.code) for why in entry.detail.explanations]
