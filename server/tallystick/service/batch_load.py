"""What a batch loads before it decides: the accounts, locked, and all that the commands on them can touch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tallystick.core.advice import TillChain, bounded_ms, item_id_of
from tallystick.core.command import Capture, Command, ReturnLease, SettleSale, Void
from tallystick.core.decide import needs_lots, refers_to
from tallystick.core.entry import Entry, Refused
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.state import Account, Hold, Lot, MemberState
from tallystick.service.coupon_book import (
    CouponBook,
    asks_of_holds,
    budgets_named,
    coupons_named,
    load_book,
    rewards_named,
)
from tallystick.service.ports import InboxItem, Known, Transaction
from tallystick.service.submission import Place, Submission, pinned_version

RulesFor = Callable[[int], RuleSet | None]
"""Gives a rule set by version, 0 for the current one; None when there is none. Raises ``RulesWanted``."""

NO_HOLDS: dict[CommandId, Hold] = {}


class RulesWanted(Exception):
    """A hold was priced by a rule set that is not at hand: look it up outside the transaction, and begin anew."""

    def __init__(self, version: int) -> None:
        super().__init__(f"rule set {version}")
        self.version = version


@dataclass(slots=True)
class Loaded:
    """What the commands of a batch are decided against.

    ``accounts``, ``lots``, ``holds``, ``chains`` and ``inbox`` stay as they were read. ``states``, ``known`` and
    ``before`` (the entries that reverse or return against one) grow with what the batch itself decides.
    """

    now_ms: Ms
    accounts: dict[MemberId, Account] = field(default_factory=dict)
    states: dict[MemberId, MemberState] = field(default_factory=dict)
    lots: dict[MemberId, dict[int, Lot]] = field(default_factory=dict)
    holds: dict[MemberId, dict[CommandId, Hold]] = field(default_factory=dict)
    known: dict[CommandId, Known] = field(default_factory=dict)
    before: dict[tuple[MemberId, int], list[Entry]] = field(default_factory=dict)
    chains: dict[str, TillChain] = field(default_factory=dict)
    inbox: dict[str, InboxItem] = field(default_factory=dict)
    coupons: CouponBook | None = None

    def occurred_ms(self, submission: Submission) -> Ms:
        """Return when a command happened: as it says, or, for a fact, within what is possible."""
        fact = submission.fact
        if fact is None:
            return submission.command.origin.occurred_ms
        # The till's outbox was empty then, so nothing that it reports is older. What comes by another way may be;
        # and what this very upload says of the outbox bounds only what comes after it.
        loose = fact.place is Place.LOOSE
        drained_ms = Ms(0) if loose else self.chains[fact.slot.till_id].drained_ms
        return bounded_ms(fact.told_ms, drained_ms, self.now_ms)

    def known_to(self, submission: Submission) -> Known | None:
        """Return the stored answer to a submission. That a request was refused says nothing about a fact."""
        known = self.known.get(submission.command.command_id)
        if known is not None and submission.fact is not None and isinstance(known.answer, Refused):
            return None
        return known


def load(tx: Transaction, submissions: Sequence[Submission], rules_for: RulesFor, now_ms: Ms) -> Loaded:
    """Lock and load what the submissions need, in the order that every transaction keeps to: chains of tills, accounts,
    then coupons.
    """
    loaded = Loaded(now_ms)
    facts = [submission.fact for submission in submissions if submission.fact]
    if facts:
        # Chains before accounts: every transaction that wants both takes them in this order.
        loaded.chains = tx.lock_tills({fact.slot.till_id for fact in facts})
        loaded.inbox = tx.inbox({item_id_of(fact.slot.digest) for fact in facts})
    commands = [submission.command for submission in submissions]
    ids = {command.command_id for command in commands}
    ids.update(refs := {ref for command in commands if (ref := refers_to(command))})
    members = {command.member_id for command in commands}
    loaded.accounts, loaded.known = tx.locked(members, ids)
    latest: dict[MemberId, int] = {}
    whole: set[MemberId] = set()
    naming: list[Command] = []
    for submission in submissions:
        command = submission.command
        if loaded.known_to(submission) or command.member_id not in loaded.accounts:
            continue
        member = command.member_id
        as_of_ms = loaded.accounts[member].as_of_ms
        latest[member] = max(latest.get(member, as_of_ms), loaded.occurred_ms(submission))
        if needs_lots(command):
            whole.add(member)
        if (
            coupons_named(command)
            or rewards_named(command)
            or isinstance(command, Capture)
            or budgets_named(rules_for(0), command)
        ):
            naming.append(command)
    whole.update(member for member, at_ms in latest.items() if loaded.accounts[member].due_ms <= at_ms)
    holds, lots = _load_whole(tx, loaded, commands, whole) if whole else ({}, {})
    _open_states(loaded, whole, holds, lots)
    loaded.coupons = _load_coupons(
        tx, loaded, submissions, rules_for, naming=naming, refs=refs, latest=latest
    )
    return loaded


def _open_states(
    loaded: Loaded, whole: set[MemberId], holds: dict[MemberId, list[Hold]], lots: dict[MemberId, list[Lot]]
) -> None:
    """Put together each member's state as the first command will find it."""
    for member, account in loaded.accounts.items():
        if member in whole:
            state = MemberState(
                account, tuple(lots.get(member, ())), tuple(holds.get(member, ())), complete=True
            )
            loaded.lots[member] = {lot.lot_seq: lot for lot in state.lots}
            loaded.holds[member] = {hold.hold_id: hold for hold in state.holds}
        else:
            state = MemberState(account, rest_due_ms=account.due_ms)
        loaded.states[member] = state


def _load_whole(
    tx: Transaction, loaded: Loaded, commands: Iterable[Command], whole: set[MemberId]
) -> tuple[dict[MemberId, list[Hold]], dict[MemberId, list[Lot]]]:
    """Load lots and holds of the members that need them, and what their commands refer to."""
    named = {hold_id for command in commands for hold_id in _holds_named(command)}
    # Open holds and held points come and go together, so most members need no look for them: all but those without
    # points, which few commands ask about.
    holding = {member for member in whole if loaded.accounts[member].held}
    holding.update(
        command.member_id for command in commands if asks_of_holds(command) and command.member_id in whole
    )
    holds = tx.holds(open_of=holding, ids=named)
    targets = [
        known.answer
        for command in commands
        if (ref := refers_to(command))
        and (known := loaded.known.get(ref))
        and isinstance(known.answer, Entry)
    ]
    also: set[tuple[MemberId, int]] = set()
    for target in targets:
        also.update((target.member_id, alloc.lot_seq) for alloc in target.detail.allocs)
        also.add((target.member_id, target.seq))
    for member, member_holds in holds.items():
        also.update((member, alloc.lot_seq) for hold in member_holds for alloc in hold.allocs)
    also = {(member, seq) for member, seq in also if member in whole}
    if targets:
        for entry in tx.reversals({(target.member_id, target.seq) for target in targets}):
            loaded.before.setdefault((entry.member_id, entry.reverses_seq), []).append(entry)
    return holds, tx.lots(of=whole, also=also)


def _load_coupons(
    tx: Transaction,
    loaded: Loaded,
    submissions: Sequence[Submission],
    rules_for: RulesFor,
    *,
    naming: list[Command],
    refs: set[CommandId],
    latest: dict[MemberId, int],
) -> CouponBook | None:
    """Load the coupons that commands name, and those that captured, ended and reversed ones may free."""
    reserving = [
        (member, hold)
        for member, of_member in loaded.holds.items()
        for hold in of_member.values()
        if hold.coupons
    ]
    asked = {hold_id for s in submissions for hold_id in _holds_named(s.command)} if reserving else ()
    holds = [
        hold
        for member, hold in reserving
        if hold.hold_id in asked or hold.expires_ms <= latest.get(member, 0)
    ]
    sales = [
        known.answer for ref in refs if (known := loaded.known.get(ref)) and isinstance(known.answer, Entry)
    ]
    budgets: set[str] = set()
    for command in naming:
        version = pinned_version(command, loaded.holds.get(command.member_id, NO_HOLDS).values())
        budgets.update(budgets_named(rules_for(version or 0), command))
    return load_book(
        tx,
        rules_for(0),
        commands=naming,
        budgets=budgets,
        holds=holds,
        sales=sales,
        members=loaded.accounts,
        now_ms=loaded.now_ms,
    )


def _holds_named(command: Command) -> Sequence[CommandId]:
    if isinstance(command, (Capture, Void)):
        return (command.hold_id,)
    if isinstance(command, ReturnLease):
        return (command.lease_id,)
    if isinstance(command, SettleSale):
        return [right.hold_id for right in command.authorities if right.hold_id]
    return ()
