"""Looks out for what honest members and staff hardly do, and lists it for a person. It holds nothing back.

New entries are followed through the journal from a place of its own; enrolments and wrong coupon codes are counted as
they happen, in counters that all processes share. Each finding is one row for its day.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from tallystick.core.command import ACTION
from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.lots import local_day
from tallystick.core.record import record
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.watch import Watching
from tallystick.service.directory import Clock, Directory, Program
from tallystick.service.errors import TallystickError
from tallystick.service.event_store import EventStore
from tallystick.service.household_store import HouseholdStore
from tallystick.service.journal import entries_between
from tallystick.service.ports import LedgerReader
from tallystick.service.reads import ReadPool
from tallystick.service.review_ports import NOBODY, ReviewStore, StaffMember, WatchPlace
from tallystick.service.reviews import Reviews
from tallystick.service.rounds import Round
from tallystick.service.rulebook import RuleBook

EVERY_S = 60.0
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MEMBERS_AT_ONCE = 500
ENTRIES_MAX = 500
"""Most entries of one member that are looked at; whoever has more in a day has been listed before."""

MANY_ACTIONS, MANY_SALES = "many_actions", "many_sales"
STAFF_SALES, MANY_ENROLMENTS = "staff_sales", "many_enrolments"
"""Kinds of reviews."""

_ACTION_CODES = frozenset({ACTION, "action_points"})
"""Of points that a caller has asked for, by a number or by an action of the rule set; not of what comes by itself."""

log = logging.getLogger(__name__)


class Store(Directory, LedgerReader, ReviewStore, EventStore, HouseholdStore, Protocol):
    """What looking out needs of a store."""


@record(frozen=True, slots=True)
class Finding:
    """What is listed of a member: a kind, figures, and what tells it from others of its day.

    ``member_id`` is whom it is about, where that is not the account: one of the people who share it.
    """

    kind: str
    facts: Mapping[str, object]
    at_ms: Ms
    key: str = ""
    member_id: MemberId | None = None


class Lookout:
    """Counts, compares with the thresholds of the rule set, and lists. Safe in several processes at once."""

    def __init__(
        self,
        store: Store,
        rulebook: RuleBook,
        reviews: Reviews,
        pool: ReadPool,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._reviews = reviews
        self._pool = pool

    def enrolled(self, program_id: ProgramId, till_id: str, at_ms: Ms) -> None:
        """Count a new member at a till. A fault costs the count, never the enrolment."""
        try:
            rules = self._rulebook.current(program_id)
            most = rules.watch.enrolments_per_hour if rules else 0
            if rules is None or not most or not till_id:
                return
            hour = Ms(at_ms - at_ms % HOUR_MS)
            count = self._store.count_watched(program_id, MANY_ENROLMENTS, till_id, bucket=hour)
            if count > most:
                facts = {"till_id": till_id, "enrolments": count, "enrolments_per_hour": most}
                key = f"{till_id}/{local_day(at_ms, rules.zone)}"
                self._reviews.add(program_id, MANY_ENROLMENTS, NOBODY, facts, key)
        except TallystickError as error:
            log.warning("an enrolment could not be counted", extra={"reason": error.reason})

    async def come_round(self, program: Program) -> int:
        """Look at what is new in a program's ledger; return how many findings there were."""
        if program.clock is not Clock.LIVE:
            return 0
        return await self._pool.run(self._look, program.program_id)

    def _look(self, program_id: ProgramId) -> int:
        place = self._store.watch_place(program_id)
        heads = self._store.read_journal_heads(program_id)
        rules = self._rulebook.current(program_id)
        if place is None:
            # What was before somebody looked out is not told.
            self._store.move_watch_place(program_id, WatchPlace(heads))
            return 0
        if rules is None or dict(place.lanes) == dict(heads):
            return 0
        newest: dict[MemberId, int] = {}
        for member_id, seq in entries_between(self._store, program_id, after=place.lanes, heads=heads):
            newest[member_id] = max(seq, newest.get(member_id, 0))
        found = 0
        people = self._people(program_id, newest)
        staff = self._staff(program_id, newest, people)
        suspects = self._suspects(program_id, newest, rules.watch) | staff.keys()
        for member_id in sorted(suspects):
            entries = self._store.read_entries(program_id, member_id, before_seq=None, limit=ENTRIES_MAX)
            history = [entry for entry, _ in entries]
            for finding in findings(history, rules.watch, staff.get(member_id, ())):
                about = finding.member_id or member_id
                found += self._list(program_id, about, finding, rules, people.get(member_id, ()))
        # Last: a process that dies before has its findings found again, under the same ids.
        self._store.move_watch_place(program_id, WatchPlace(heads, place.moves))
        return found

    def _people(
        self, program_id: ProgramId, accounts: Iterable[MemberId]
    ) -> dict[MemberId, Sequence[MemberId]]:
        """Return the people of those accounts that are households'."""
        named, people = sorted(accounts), dict[MemberId, Sequence[MemberId]]()
        for start in range(0, len(named), MEMBERS_AT_ONCE):
            people |= self._store.people_of(program_id, named[start : start + MEMBERS_AT_ONCE])
        return people

    def _staff(
        self,
        program_id: ProgramId,
        accounts: Iterable[MemberId],
        people: Mapping[MemberId, Sequence[MemberId]],
    ) -> dict[MemberId, Sequence[StaffMember]]:
        """Return by account who of those who buy with it works in a store."""
        buys_with = {one: {one} for one in accounts}
        for household_id, persons in people.items():
            for person in persons:
                buys_with.setdefault(person, set()).add(household_id)
        named = sorted(buys_with)
        works: dict[MemberId, list[StaffMember]] = defaultdict(list)
        for start in range(0, len(named), MEMBERS_AT_ONCE):
            for one in self._store.staff_among(program_id, named[start : start + MEMBERS_AT_ONCE]):
                for account in buys_with[one.member_id]:
                    works[account].append(one)
        return dict(works)

    def _suspects(
        self, program_id: ProgramId, newest: Mapping[MemberId, int], watch: Watching
    ) -> set[MemberId]:
        """Return members with so many entries in so short a time that a threshold may be passed.

        One entry of each member decides: that which lies a threshold's number back. Few members have it in the time.
        """
        spans = [
            (most, span_ms)
            for most, span_ms in ((watch.actions_per_day, DAY_MS), (watch.sales_per_hour, HOUR_MS))
            if most
        ]
        suspects: set[MemberId] = set()
        for most, span_ms in spans:
            long_here = sorted(member_id for member_id, seq in newest.items() if seq > most)
            for start in range(0, len(long_here), MEMBERS_AT_ONCE):
                part = long_here[start : start + MEMBERS_AT_ONCE]
                refs = [(one, newest[one] - back) for one in part for back in (0, most)]
                times: dict[MemberId, list[Ms]] = defaultdict(list)
                for entry, recorded_ms in self._store.read_entries_named(program_id, refs):
                    times[entry.member_id].append(recorded_ms)
                # Twice the time: tills are not quite in step with the gateway.
                suspects |= {one for one, pair in times.items() if max(pair) - min(pair) < 2 * span_ms}
        return suspects

    def _list(
        self,
        program_id: ProgramId,
        member_id: MemberId,
        finding: Finding,
        rules: RuleSet,
        people: Sequence[MemberId],
    ) -> int:
        key = f"{finding.key}/{local_day(finding.at_ms, rules.zone)}"
        if self._reviews.find(program_id, finding.kind, member_id, key) is not None:
            return 0
        # Several people honestly do more than one does.
        shared = {"people": len(people)} if people else {}
        facts = {**finding.facts, **shared}
        return self._reviews.add(program_id, finding.kind, member_id, facts, key) is not None


def findings(history: Sequence[Entry], watch: Watching, staff: Sequence[StaffMember]) -> list[Finding]:
    """Return what is to be listed of a member's entries, by their business time; the order does not matter."""
    found: list[Finding] = []
    if watch.actions_per_day:
        actions = [entry.origin.occurred_ms for entry in history if _is_action(entry)]
        for count, at_ms in _crowds(actions, watch.actions_per_day, DAY_MS):
            found.append(Finding(MANY_ACTIONS, {"actions": count, "hours": 24}, at_ms))
    sales: dict[tuple[str, str], list[Ms]] = defaultdict(list)
    for entry in history:
        if entry.kind in (EntryKind.SALE, EntryKind.CAPTURE):
            sales[entry.origin.store_id, entry.origin.till_id].append(entry.origin.occurred_ms)
    if watch.sales_per_hour:
        for (store_id, till_id), times in sorted(sales.items()):
            for count, at_ms in _crowds(times, watch.sales_per_hour, HOUR_MS):
                facts = {"store_id": store_id, "till_id": till_id, "sales": count, "hours": 1}
                found.append(Finding(MANY_SALES, facts, at_ms, till_id))
    if watch.staff_sales_per_day:
        for one in staff:
            own = [at for (store_id, _), times in sales.items() if store_id == one.store_id for at in times]
            for count, at_ms in _crowds(own, watch.staff_sales_per_day, DAY_MS):
                facts = {"store_id": one.store_id, "cashier_id": one.cashier_id, "sales": count, "hours": 24}
                found.append(Finding(STAFF_SALES, facts, at_ms, one.store_id, one.member_id))
    return found


def _crowds(times: Iterable[Ms], most: int, span_ms: int) -> list[tuple[int, Ms]]:
    """Return each instant at which more than ``most`` lie within a span up to it, with how many."""
    ordered = sorted(times)
    found, first = [], 0
    for at, at_ms in enumerate(ordered):
        while ordered[first] <= at_ms - span_ms:
            first += 1
        if at - first + 1 > most:
            found.append((at - first + 1, at_ms))
    return found


def _is_action(entry: Entry) -> bool:
    """Whether points came for an action: not for goods, and not by themselves because of something else."""
    whys = entry.detail.explanations
    return entry.kind is EntryKind.EARN and any(why.code in _ACTION_CODES for why in whys)


def lookout_round(lookout: Lookout, *, every_s: float = EVERY_S) -> Round:
    """What is new in the ledgers, compared with the thresholds of the watch."""
    return Round("lookout", every_s, lookout.come_round)
