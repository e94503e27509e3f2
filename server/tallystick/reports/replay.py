"""Replays a history under a rule set, through the same core that decides for the gateway and the tills.

Members do not touch each other, so they are shared out among processes; the result does not depend on how many.
"""

from __future__ import annotations

import multiprocessing
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date

from tallystick.core.basket import Channel, Origin
from tallystick.core.command import CatchUp, Command, Return, Sale
from tallystick.core.decide import NO_REFS, Refs, decide
from tallystick.core.entry import Decision, Entry, EntryKind, Posted, Refused
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.lots import local_day, midnight_ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.state import Account, Lot, MemberState, MemberStatus
from tallystick.reports.history import History, Past, PastReturn, PastSale

WORKERS_MAX = 8
SHARE_MIN = 2_000
"""Fewest members for which another process is worth its start."""


@dataclass(slots=True)
class Flow:
    """Points moved, each 0 or more, and what was taken off baskets, in minor units."""

    issued: int = 0
    taken_back: int = 0
    burned: int = 0
    given_back: int = 0
    expired: int = 0
    discount_minor: int = 0

    def add(self, other: Flow) -> None:
        """Add another flow to this one."""
        self.issued += other.issued
        self.taken_back += other.taken_back
        self.burned += other.burned
        self.given_back += other.given_back
        self.expired += other.expired
        self.discount_minor += other.discount_minor

    @property
    def outstanding_change(self) -> int:
        """By how many points what members have grew."""
        return self.issued - self.taken_back - self.burned + self.given_back - self.expired


@dataclass(slots=True)
class MemberOutcome:
    """What one member did and got. ``spent_minor`` is what was bought less what came back, before any discount.

    ``outstanding`` is active and pending points less debt at the end.
    """

    flow: Flow = field(default_factory=Flow)
    sales: int = 0
    spent_minor: int = 0
    outstanding: int = 0
    tier_id: str = ""


@dataclass(slots=True)
class Replayed:
    """The whole outcome. ``months`` are the flows by the first day of the month in the program's time zone.

    ``dropped`` counts what past sales had asked for and the rule set refuses, by reason: the sale was then posted
    without it, since it happened. ``refused`` counts sales and returns that were not posted at all.
    """

    members: dict[MemberId, MemberOutcome] = field(default_factory=dict)
    months: dict[date, Flow] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: Replayed) -> None:
        """Add the outcome of other members."""
        self.members |= other.members
        for month, flow in other.months.items():
            self.months.setdefault(month, Flow()).add(flow)
        self.dropped += other.dropped
        self.refused += other.refused


def replay(history: History, rules: RuleSet, *, workers: int = 0) -> Replayed:
    """Replay a history until the end of its last day. ``workers`` processes share the work; 0 takes what fits.

    The same history and rules always give the same outcome. Nothing outside is read or changed.
    """
    ids = sorted(history.members)
    if not workers:
        workers = min(WORKERS_MAX, os.cpu_count() or 1, max(1, len(ids) // SHARE_MIN))
    end_ms = _end_of_day(history.last_ms, rules)
    months = _month_starts(history.first_ms, end_ms, rules)
    if workers == 1:
        return _replay_members(history, rules, ids, months, end_ms)
    total = Replayed()
    # Forked, so that the history is shared instead of sent.
    context = multiprocessing.get_context("fork")
    shares = [ids[at::workers] for at in range(workers)]
    with ProcessPoolExecutor(workers, context, _keep, ((history, rules, months, end_ms),)) as pool:
        for part in pool.map(_replay_share, shares):
            total.add(part)
    total.members = {member_id: total.members[member_id] for member_id in ids}
    return total


_Work = tuple[History, RuleSet, list[tuple[int, date]], Ms]
_kept: list[_Work] = []
"""In a process of the pool: what its parent had in memory when it forked."""


def _keep(work: _Work) -> None:
    _kept[:] = [work]


def _replay_share(ids: Sequence[MemberId]) -> Replayed:
    history, rules, months, end_ms = _kept[0]
    return _replay_members(history, rules, ids, months, end_ms)


def _replay_members(
    history: History,
    rules: RuleSet,
    ids: Sequence[MemberId],
    months: list[tuple[int, date]],
    end_ms: Ms,
) -> Replayed:
    total = Replayed()
    starts = [start for start, _ in months]
    flows = [Flow() for _ in months]
    for member_id in ids:
        life = Life(member_id, history.members[member_id], rules, total)
        outcome = MemberOutcome()
        for entry in life.live(end_ms):
            at = max(0, bisect_right(starts, entry.origin.occurred_ms) - 1)
            moved = _flow_of(entry, rules)
            flows[at].add(moved)
            outcome.flow.add(moved)
        account = life.state.account
        outcome.sales, outcome.spent_minor = life.sales, life.spent_minor
        outcome.outstanding = account.active + account.pending + account.held - account.debt
        outcome.tier_id = account.tier.tier_id
        total.members[member_id] = outcome
    total.months = {month: flow for (_, month), flow in zip(months, flows, strict=True)}
    return total


class Life:
    """One member's past under the rules. Keeps apart what nothing can touch any more, so that long lives stay quick."""

    def __init__(self, member_id: MemberId, past: Sequence[Past], rules: RuleSet, counts: Replayed) -> None:
        self._id = member_id
        self._past = past
        self._rules = rules
        self._counts = counts
        # A stable sort: what happened at one instant stays in the order in which it was told.
        self._past = sorted(past, key=lambda one: one.origin.occurred_ms)
        first_ms = self._past[0].origin.occurred_ms
        self.state = MemberState(Account(member_id, MemberStatus.OPEN, first_ms), complete=True)
        self._spent_lots: dict[int, Lot] = {}
        self._returnable = {one.sale_id for one in past if isinstance(one, PastReturn)}
        self._sold: dict[CommandId, Entry] = {}
        self._back: dict[CommandId, list[Entry]] = {}
        self.sales = 0
        self.spent_minor = 0

    def live(self, end_ms: Ms) -> Iterator[Entry]:
        """Yield every entry made, up to ``end_ms``."""
        for one in self._past:
            yield from self._sell(one) if isinstance(one, PastSale) else self._bring_back(one)
        over = Origin(end_ms, Channel.UNKNOWN)
        yield from self._decide(CatchUp(CommandId(f"{self._id}/end"), self._id, over))[0]

    def _sell(self, past: PastSale) -> Sequence[Entry]:
        sale = Sale(
            past.command_id, self._id, past.origin, past.basket, past.spend, past.reward_ids, past.assurance
        )
        entries, answer = self._decide(sale)
        if isinstance(answer, Refused) and (past.spend or past.reward_ids):
            self._counts.dropped[answer.reason.name] += 1
            more, answer = self._decide(replace(sale, spend=None, reward_ids=()))
            entries = (*entries, *more)
        if not isinstance(answer, Posted):
            self._refuse(answer)
            return entries
        self.sales += 1
        self.spent_minor += sum(line.amount_minor for line in past.basket.lines)
        if past.command_id in self._returnable:
            self._sold[past.command_id] = answer.entry
        return entries

    def _bring_back(self, past: PastReturn) -> Sequence[Entry]:
        sold = self._sold.get(past.sale_id)
        if sold is None:
            self._counts.refused["SALE_UNKNOWN"] += 1
            return ()
        before = self._back.setdefault(past.sale_id, [])
        command = Return(past.command_id, self._id, past.origin, past.sale_id, past.lines)
        wanted = {alloc.lot_seq for alloc in sold.detail.allocs} | {sold.seq}
        again = tuple(self._spent_lots.pop(seq) for seq in wanted if seq in self._spent_lots)
        self.state = replace(self.state, lots=self.state.lots + again)
        entries, answer = self._decide(command, Refs(sold, tuple(before)))
        if not isinstance(answer, Posted):
            self._refuse(answer)
            return entries
        back = answer.entry
        before.append(back)
        self.spent_minor -= sum(part.amount_minor for part in back.detail.returned)
        return entries

    def _refuse(self, answer: Decision) -> None:
        assert isinstance(answer, Refused), "a sale or a return is posted or refused"
        self._counts.refused[answer.reason.name] += 1

    def _decide(self, command: Command, refs: Refs = NO_REFS) -> tuple[Sequence[Entry], Decision]:
        outcome = decide(command, self.state, self._rules, refs)
        state = outcome.state
        if any(not lot.remaining and not lot.pending for lot in state.lots):
            left = tuple(lot for lot in state.lots if lot.remaining or lot.pending)
            self._spent_lots |= {
                lot.lot_seq: lot for lot in state.lots if not lot.remaining and not lot.pending
            }
            state = replace(state, lots=left)
        self.state = state
        return outcome.entries, outcome.decision


def _flow_of(entry: Entry, rules: RuleSet) -> Flow:
    moves = entry.moves
    flow = Flow(
        issued=max(0, -moves.issued),
        taken_back=max(0, moves.issued),
        burned=max(0, moves.burned),
        given_back=max(0, -moves.burned),
        expired=max(0, moves.breakage),
    )
    if entry.kind is EntryKind.SALE:
        flow.discount_minor = sum(part.discount_minor for part in entry.detail.lines)
    elif entry.kind is EntryKind.RETURN and flow.given_back:
        burning = rules.burning
        flow.discount_minor = -(flow.given_back * burning.value_minor // burning.value_points)
    return flow


def _end_of_day(at_ms: Ms, rules: RuleSet) -> Ms:
    return midnight_ms(date.fromordinal(local_day(at_ms, rules.zone).toordinal() + 1), rules.zone)


def _month_starts(first_ms: Ms, end_ms: Ms, rules: RuleSet) -> list[tuple[int, date]]:
    """Return each month's first instant and first day."""
    month = local_day(first_ms, rules.zone).replace(day=1)
    months: list[tuple[int, date]] = []
    while (start := midnight_ms(month, rules.zone)) < end_ms:
        months.append((start, month))
        month = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    return months
