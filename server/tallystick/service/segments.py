"""Segments worked out from the ledger: who is in which, told to coupons, the back office and other systems."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.lots import local_day
from tallystick.core.rules.model import DAY_MS, RuleSet
from tallystick.core.rules.segment import Facts, SaleFact, Segment, fifth, meets, rfm_facts
from tallystick.core.rules.tier import current_tier
from tallystick.core.state import MemberStatus
from tallystick.service.directory import Clock, Program
from tallystick.service.errors import NotFound
from tallystick.service.goods import goods_fact
from tallystick.service.histories import MemberHistory, histories, sold
from tallystick.service.reads import ReadPool
from tallystick.service.rounds import Round
from tallystick.service.rulebook import RuleBook
from tallystick.service.segment_ports import BooksSource, SegmentCount, SegmentStore

MEMBERS_PAGE = 1_000
ROUND_EVERY_S = 900.0


class Store(SegmentStore, Protocol):
    """What segments need of a store."""

    def program(self, program_id: ProgramId) -> Program | None: ...


class Segments:
    """The use cases around segments. Safe to use from several threads, and from several processes at once."""

    def __init__(self, store: Store, rulebook: RuleBook, *, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._rulebook = rulebook
        self._now_ms = now_ms

    def refresh(self, program_id: ProgramId) -> list[SegmentCount]:
        """Work out who is in which segment now, from the whole ledger; a second time changes nothing.

        Goods of sales that no segment asks about any more are deleted.
        """
        rules, now_ms = self._rulebook.current(program_id), self._now(program_id)
        segments = rules.segments if rules else ()
        found: list[SegmentCount] = []
        if rules is not None and segments:
            for segment, wanted in zip(segments, self._wanted(program_id, rules, now_ms), strict=True):
                found.append(self._change(program_id, segment.segment_id, wanted, now_ms))
        self._store.forget_segments(program_id, keep=[one.segment_id for one in segments])
        kept_ms = rules.goods_days * DAY_MS if rules else 0
        self._store.forget_purchases(program_id, before_ms=Ms(now_ms - kept_ms))
        return found

    def of_program(self, program_id: ProgramId) -> list[tuple[Segment, SegmentCount | None]]:
        """Return the segments of the rule set in force, in its order, with what was last worked out."""
        rules = self._rulebook.current(program_id)
        counts = self._store.segment_counts(program_id)
        return [(one, counts.get(one.segment_id)) for one in (rules.segments if rules else ())]

    def members(
        self, program_id: ProgramId, segment_id: str, *, after: str, limit: int
    ) -> list[tuple[MemberId, Ms]]:
        """Return who is in a segment since when, by id, behind one. Raises ``NotFound``."""
        rules = self._rulebook.current(program_id)
        if segment_id not in {one.segment_id for one in (rules.segments if rules else ())}:
            raise NotFound("There is no such segment.", reason="SEGMENT_NOT_FOUND", segment_id=segment_id)
        return self._store.segment_members(program_id, segment_id, after=after, limit=limit)

    def due(self, program: Program) -> bool:
        """Return whether a new day has begun where the program is since a segment was last worked out."""
        rules = self._rulebook.current(program.program_id)
        if rules is None or program.clock is not Clock.LIVE:
            return False
        counts = self._store.segment_counts(program.program_id)
        wanted = {one.segment_id for one in rules.segments}
        today = local_day(self._now_ms(), rules.zone)
        return counts.keys() != wanted or any(
            local_day(one.refreshed_ms, rules.zone) != today for one in counts.values()
        )

    def _now(self, program_id: ProgramId) -> Ms:
        """Return the server's time; in a replay it is that of the last sale."""
        program = self._store.program(program_id)
        if program is None or program.clock is Clock.LIVE:
            return self._now_ms()
        with self._store.snapshot(program_id) as books:
            return max((account.as_of_ms for account in books.accounts()), default=self._now_ms())

    def _wanted(self, program_id: ProgramId, rules: RuleSet, now_ms: Ms) -> list[list[MemberId]]:
        """Return the members of each segment, in the order of their ids."""
        found: list[list[MemberId]] = [[] for _ in rules.segments]
        ranks = _ranks(self._store, program_id, rules, now_ms)
        with self._store.snapshot(program_id) as books:
            for history in histories(books):
                if history.account.status is MemberStatus.ERASED:
                    continue
                facts = facts_of(history, rules, now_ms, ranks)
                for segment, members in zip(rules.segments, found, strict=True):
                    if meets(segment.criteria, facts, now_ms):
                        members.append(history.account.member_id)
        return found

    def _change(
        self, program_id: ProgramId, segment_id: str, wanted: list[MemberId], now_ms: Ms
    ) -> SegmentCount:
        have: set[MemberId] = set()
        after = ""
        while True:
            page = self._store.segment_members(program_id, segment_id, after=after, limit=MEMBERS_PAGE)
            have.update(member_id for member_id, _ in page)
            if len(page) < MEMBERS_PAGE:
                break
            after = page[-1][0]
        come = [member_id for member_id in wanted if member_id not in have]
        gone = sorted(have.difference(wanted))
        if come or gone:
            self._store.change_segment(program_id, segment_id, come=come, gone=gone, now_ms=now_ms)
        return self._store.segment_refreshed(program_id, segment_id, now_ms=now_ms)


Ranks = tuple[list[int], list[int], list[int]]


def facts_of(history: MemberHistory, rules: RuleSet, now_ms: int, ranks: Ranks | None) -> Facts:
    """Return what segments ask about a member; goods only of sales that were not undone."""
    sales = sold(history.entries)
    standing = {one.seq for one in sales}
    facts = Facts(
        history.account.enrolled_ms,
        current_tier(rules, history.account.tier).tier_id,
        tuple(SaleFact(one.at_ms, one.paid_minor) for one in sales),
        tuple(goods_fact(one) for one in history.purchases if one.seq in standing),
    )
    raw = rfm_facts(facts.sales, now_ms) if ranks else None
    if ranks is None or raw is None:
        return facts
    recency, frequency, money = (fifth(ranked, value) for ranked, value in zip(ranks, raw, strict=True))
    return replace(facts, rfm=(recency, frequency, money))


def _ranks(store: BooksSource, program_id: ProgramId, rules: RuleSet, now_ms: Ms) -> Ranks | None:
    """Return what all members who bought are ranked by, None when no segment asks: it is a reading of its own."""
    if not any(part.rfm for one in rules.segments for part in one.criteria.walk()):
        return None
    columns = array("q"), array("q"), array("q")
    with store.snapshot(program_id) as books:
        for history in histories(books):
            if history.account.status is MemberStatus.ERASED:
                continue
            raw = rfm_facts([SaleFact(one.at_ms, one.paid_minor) for one in sold(history.entries)], now_ms)
            for column, value in zip(columns, raw or (), strict=False):
                column.append(value)
    recency, frequency, money = map(sorted, columns)
    return recency, frequency, money


def segment_round(segments: Segments, pool: ReadPool, *, every_s: float = ROUND_EVERY_S) -> Round:
    """Work segments out when a new day has begun where the program is, and soon after new ones were published."""

    async def refresh(program: Program) -> int:
        if not await pool.run(segments.due, program):
            return 0
        return len(await pool.run(segments.refresh, program.program_id))

    return Round("segments", every_s, refresh)
