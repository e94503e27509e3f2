"""What one transaction knows of coupons: loaded under lock, told to each decision, kept up to date by what it posts.

Rewards with a stock are counted like coupons, each under the name of its counter.

Locks are taken tills, accounts, codes, coupons, each kind in the order of its keys, by every transaction that wants
more than one: so of two that meet, one waits and never both. Codes come behind accounts because which coupons a batch
needs is only known once the members' holds and the sales to be reversed have been read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from tallystick.core.budget import budget_key, is_budget, times_of
from tallystick.core.command import (
    Capture,
    Command,
    CouponRef,
    PlaceHold,
    RedeemReward,
    Sale,
    SettleSale,
)
from tallystick.core.coupon import CouponUse
from tallystick.core.decide import Outcome
from tallystick.core.entry import AppliedCoupon, Entry, EntryKind
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.lots import local_day
from tallystick.core.rules.coupon import find_coupon, shared_coupon
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.reward import counters_of
from tallystick.core.state import Account, Hold, HoldStatus, MemberState
from tallystick.service.coupon_ports import (
    CodeState,
    CouponChanges,
    CouponCode,
    CouponCounts,
    CouponReader,
    CouponTransaction,
    Reservation,
)
from tallystick.service.segment_ports import Memberships, SegmentReader, SegmentTransaction

NO_MEMBERSHIPS: Memberships = {}
_USING = (EntryKind.SALE, EntryKind.CAPTURE, EntryKind.BURN)


BUYING = (Sale, PlaceHold, RedeemReward)
"""What asks for coupons or rewards and can be refused."""


def coupons_named(command: Command) -> Sequence[CouponRef]:
    """Return the coupons that a command names."""
    return command.coupons if isinstance(command, (Sale, PlaceHold)) else ()


def rewards_named(command: Command) -> Sequence[str]:
    """Return the rewards that a command asks for, or says that a till has given."""
    if isinstance(command, (Sale, PlaceHold, SettleSale)):
        return command.reward_ids
    return (command.reward_id,) if isinstance(command, RedeemReward) else ()


def asks_of_holds(command: Command) -> bool:
    """Return whether it matters to a command which holds without points are open: they reserve coupons and free
    rewards, and those of its own member that are over no longer do.
    """
    return bool(coupons_named(command) or rewards_named(command))


def budgets_named(rules: RuleSet | None, command: Command) -> Sequence[str]:
    """Return the names under which is counted what a sale may get of rules with a budget."""
    if rules is None or not rules.budgets:
        return ()
    if not (isinstance(command, Sale) or (isinstance(command, Capture) and command.basket is not None)):
        return ()
    day = local_day(command.origin.occurred_ms, rules.zone)
    return [budget_key(rule, day, command.origin.store_id) for rule in rules.budgets]


class BookTransaction(CouponTransaction, SegmentTransaction, Protocol):
    """What a book is loaded from under lock."""


class BookReader(CouponReader, SegmentReader, Protocol):
    """What a book is read from."""


class CouponBook:
    """The coupons of a batch. ``now_ms`` is the server's clock, by which reservations lapse."""

    def __init__(
        self,
        rules: RuleSet | None,
        codes: dict[str, CouponCode],
        counts: CouponCounts,
        memberships: Memberships = NO_MEMBERSHIPS,
        *,
        now_ms: Ms,
    ) -> None:
        self._rules = rules
        self._codes = codes
        self._counts = counts
        self._memberships = memberships
        self._now_ms = now_ms
        self._held: dict[CommandId, list[Reservation]] = {}
        for one in counts.reservations:
            self._held.setdefault(one.hold_id, []).append(one)
        self._codes_before = dict(codes)
        self._used_before = dict(counts.used)
        self._by_member_before = dict(counts.by_member)

    def uses_of(self, command: Command, state: MemberState, rules: RuleSet) -> tuple[CouponUse, ...]:
        """Return what is known of the coupons that a command names or that the captured hold has, of the rewards with a
        stock that it asks for, and of the budgets of the rules that decide it.
        """
        budgets = self._budgets(command, rules)
        if isinstance(command, (*BUYING, SettleSale)):
            at_ms = max(command.origin.occurred_ms, state.account.as_of_ms)
            # What time ends before the command is decided no longer keeps the coupon from its own member.
            over = {
                hold.hold_id
                for hold in state.holds
                if hold.status is HoldStatus.OPEN and hold.expires_ms <= at_ms
            }
            named = tuple(self._use_of_ref(ref, command.member_id, over) for ref in coupons_named(command))
            stock = [
                self._counted(CouponUse(name), command.member_id, over)
                for name in counters_of(self._rules, rewards_named(command))
            ]
            return (*named, *stock, *budgets)
        hold = _captured(command, state)
        held = () if hold is None else self._uses_of_hold(hold, command.member_id)
        return (*held, *budgets)

    def _budgets(self, command: Command, rules: RuleSet) -> tuple[CouponUse, ...]:
        """Return what has been given of the budgets that a sale may use."""
        used = self._counts.used
        return tuple(CouponUse(name, in_all=used.get(name, 0)) for name in budgets_named(rules, command))

    def apply(self, before: MemberState, outcome: Outcome) -> None:
        """Take up what a decision has posted: coupons used, reserved and freed."""
        holds = {hold.hold_id: hold for hold in before.holds}
        for hold in outcome.state.holds:
            old = holds.get(hold.hold_id)
            if old is None and hold.coupons:
                self._reserve(hold, outcome.state.account)
            elif hold.coupons and hold.status is not HoldStatus.OPEN:
                self._drop(hold)
        for entry in outcome.entries:
            if entry.detail.coupons and entry.kind in _USING:
                self._use(entry)
            elif entry.detail.coupons and entry.kind is EntryKind.REVERSE:
                self._free(entry)

    def changes(self) -> CouponChanges | None:
        """Return what is to be written, None when nothing has changed."""
        counts = self._counts
        now = {(one.hold_id, one.coupon_id, one.token): one for rows in self._held.values() for one in rows}
        then = {(one.hold_id, one.coupon_id, one.token): one for one in counts.reservations}
        found = CouponChanges(
            codes=[code for token, code in self._codes.items() if code != self._codes_before[token]],
            used=[(key, n) for key, n in counts.used.items() if n != self._used_before.get(key, 0)],
            by_member=[
                (member, coupon_id, n)
                for (member, coupon_id), n in counts.by_member.items()
                if n != self._by_member_before.get((member, coupon_id), 0)
            ],
            reserved=[one for key, one in now.items() if key not in then],
            dropped=[one for key, one in then.items() if key not in now],
        )
        changed = found.codes or found.used or found.by_member or found.reserved or found.dropped
        return found if changed else None

    def _use_of_ref(self, ref: CouponRef, member_id: MemberId, over: set[CommandId]) -> CouponUse:
        shared = shared_coupon(self._rules, ref.code) if self._rules else None
        if shared is not None:
            return self._counted(CouponUse(shared.coupon_id), member_id, over)
        code = self._codes.get(ref.token)
        if code is None or code.member_id not in ("", member_id):
            return CouponUse()
        taken = code.state is CodeState.USED or (code.held_at(self._now_ms) and code.used_by not in over)
        use = CouponUse(code.coupon_id, code.token, ended=code.revoked, taken=taken)
        return self._counted(use, member_id, over)

    def _uses_of_hold(self, hold: Hold, member_id: MemberId) -> tuple[CouponUse, ...]:
        kept = {(one.coupon_id, one.token) for one in self._held.get(hold.hold_id, ())}
        uses = []
        for coupon_id, token in hold.coupons:
            code = self._codes.get(token) if token else None
            use = CouponUse(coupon_id, token, reserved=(coupon_id, token) in kept)
            if code is not None:
                others = code.held_at(self._now_ms) and code.used_by != hold.hold_id
                use = replace(use, ended=code.revoked, taken=others or code.state is CodeState.USED)
            uses.append(self._counted(use, member_id, {hold.hold_id}))
        return tuple(uses)

    def _counted(self, use: CouponUse, member_id: MemberId, without: set[CommandId]) -> CouponUse:
        """Add how often the coupon was used or is reserved, apart from what some holds reserve."""
        coupon_id, counts = use.coupon_id, self._counts
        held = [
            (one.member_id, hold_id)
            for hold_id, rows in self._held.items()
            for one in rows
            if one.coupon_id == coupon_id
        ]
        spared = sum(hold_id in without for _, hold_id in held)
        own = sum(member == member_id and hold_id not in without for member, hold_id in held)
        found = find_coupon(self._rules, coupon_id) if self._rules else None
        segment = found.segment if found else ""
        return replace(
            use,
            since_ms=self._memberships.get((member_id, segment), -1),
            by_member=counts.by_member.get((member_id, coupon_id), 0) + own,
            in_all=counts.used.get(coupon_id, 0) + counts.held.get(coupon_id, 0) - spared,
        )

    def _reserve(self, hold: Hold, account: Account) -> None:
        # Never shorter by the server's clock than by the business time that the hold goes by.
        ttl_ms = hold.expires_ms - account.as_of_ms
        until_ms = Ms(max(hold.expires_ms, self._now_ms + ttl_ms))
        for coupon_id, token in hold.coupons:
            row = Reservation(account.member_id, hold.hold_id, coupon_id, token, until_ms)
            self._held.setdefault(hold.hold_id, []).append(row)
            self._counts.held[coupon_id] = self._counts.held.get(coupon_id, 0) + 1
            self._set_code(token, CodeState.RESERVED, hold.hold_id, until_ms)

    def _drop(self, hold: Hold) -> None:
        for row in self._held.pop(hold.hold_id, ()):
            self._counts.held[row.coupon_id] -= 1
        for _, token in hold.coupons:
            code = self._codes.get(token)
            if code is not None and code.state is CodeState.RESERVED and code.used_by == hold.hold_id:
                self._set_code(token, CodeState.OPEN, "", Ms(0))

    def _use(self, entry: Entry) -> None:
        for coupon in entry.detail.coupons:
            self._count(entry.member_id, coupon, times_of(coupon))
            self._set_code(coupon.token, CodeState.USED, entry.command_id, Ms(0))

    def _free(self, entry: Entry) -> None:
        for coupon in entry.detail.coupons:
            self._count(entry.member_id, coupon, -times_of(coupon))
            self._set_code(coupon.token, CodeState.OPEN, "", Ms(0))

    def _count(self, member_id: MemberId, coupon: AppliedCoupon, more: int) -> None:
        counts, key = self._counts, (member_id, coupon.coupon_id)
        counts.used[coupon.coupon_id] = counts.used.get(coupon.coupon_id, 0) + more
        if is_budget(coupon.coupon_id):
            # No budget is a member's.
            return
        counts.by_member[key] = counts.by_member.get(key, 0) + more

    def _set_code(self, token: str, state: CodeState, used_by: str, until_ms: Ms) -> None:
        if token:
            code = self._codes[token]
            self._codes[token] = replace(code, state=state, used_by=used_by, reserved_until_ms=until_ms)


def load_book(
    transaction: BookTransaction,
    rules: RuleSet | None,
    *,
    commands: Iterable[Command],
    budgets: Iterable[str],
    holds: Iterable[Hold],
    sales: Iterable[Entry],
    members: Iterable[MemberId],
    now_ms: Ms,
) -> CouponBook | None:
    """Lock and load the coupons and counted rewards that commands name, the budgets that they may use, and the coupons
    that holds and sales may free.

    None, without a look at the store, when there are none.
    """
    commands = list(commands)
    refs = [ref for command in commands for ref in coupons_named(command)]
    stock = {name for command in commands for name in counters_of(rules, rewards_named(command))}
    stock.update(budgets)
    behind = [coupon for hold in holds for coupon in hold.coupons]
    pairs = [(coupon.coupon_id, coupon.token) for coupon in behind]
    pairs += [(coupon.coupon_id, coupon.token) for sale in sales for coupon in sale.detail.coupons]
    if not refs and not pairs and not stock:
        return None
    tokens, coupon_ids = wanted_of(rules, refs)
    coupon_ids |= stock
    tokens |= {token for _, token in pairs if token}
    coupon_ids |= {coupon_id for coupon_id, _ in pairs}
    codes = transaction.lock_codes(tokens) if tokens else {}
    coupon_ids |= {code.coupon_id for code in codes.values()}
    counts = transaction.lock_coupons(coupon_ids, members, now_ms=now_ms) if coupon_ids else CouponCounts()
    segments = segments_asked(rules, coupon_ids)
    memberships = transaction.memberships(members, segments) if segments else NO_MEMBERSHIPS
    return CouponBook(rules, codes, counts, memberships, now_ms=now_ms)


def read_book(
    reader: BookReader, program_id: ProgramId, rules: RuleSet, sale: Sale, *, now_ms: Ms
) -> CouponBook:
    """Return the coupons and counted rewards that a sale names as they are now, for a look ahead: nothing is locked."""
    tokens, coupon_ids = wanted_of(rules, sale.coupons)
    coupon_ids |= {*counters_of(rules, sale.reward_ids), *budgets_named(rules, sale)}
    codes = reader.read_codes(program_id, sorted(tokens)) if tokens else {}
    wanted = sorted(coupon_ids | {code.coupon_id for code in codes.values()})
    counts = (
        reader.read_coupon_counts(program_id, wanted, sale.member_id, now_ms=now_ms)
        if wanted
        else CouponCounts()
    )
    segments = segments_asked(rules, wanted)
    memberships = (
        reader.read_memberships(program_id, [sale.member_id], segments) if segments else NO_MEMBERSHIPS
    )
    return CouponBook(rules, codes, counts, memberships, now_ms=now_ms)


def segments_asked(rules: RuleSet | None, coupon_ids: Iterable[str]) -> list[str]:
    """Return the segments that coupons are for."""
    named = set(coupon_ids)
    coupons = rules.coupons if rules else ()
    return sorted({one.segment for one in coupons if one.segment and one.coupon_id in named})


def wanted_of(rules: RuleSet | None, refs: Sequence[CouponRef]) -> tuple[set[str], set[str]]:
    """Return the tokens to look up, and the coupons that shared codes of the rule set stand for."""
    tokens, coupon_ids = set(), set()
    for ref in refs:
        shared = shared_coupon(rules, ref.code) if rules else None
        if shared is None:
            tokens.add(ref.token)
        else:
            coupon_ids.add(shared.coupon_id)
    return tokens, coupon_ids


def _captured(command: Command, state: MemberState) -> Hold | None:
    if not isinstance(command, Capture):
        return None
    return next((hold for hold in state.holds if hold.hold_id == command.hold_id and hold.coupons), None)
