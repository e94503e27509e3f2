"""Segments and goods of sales, in memory; ``service.segment_ports`` says what each call means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.segment_ports import Purchase, SegmentCount
from tallystick.storage.memory_coupons import Tables
from tallystick.storage.memory_tables import ProgramTables, Undo


class MemorySegmentReads:
    """The part of a transaction that is about segments."""

    _tables: ProgramTables

    def memberships(
        self, members: Iterable[MemberId], segment_ids: Iterable[str]
    ) -> dict[tuple[MemberId, str], Ms]:
        """Return when members came into those of the segments that they are in."""
        of, wanted = set(members), set(segment_ids)
        found = self._tables.segment_members
        return {key: since for key, since in found.items() if key[0] in of and key[1] in wanted}


class MemorySegments:
    """Who is in which segment."""

    def segment_counts(self: Tables, program_id: ProgramId) -> dict[str, SegmentCount]:
        return dict(self._of(program_id).segments)

    def segment_members(
        self: Tables, program_id: ProgramId, segment_id: str, *, after: str, limit: int
    ) -> list[tuple[MemberId, Ms]]:
        found = self._of(program_id).segment_members.items()
        return sorted(
            (member, since) for (member, segment), since in found if segment == segment_id and member > after
        )[:limit]

    def change_segment(
        self: Tables,
        program_id: ProgramId,
        segment_id: str,
        *,
        come: Sequence[MemberId],
        gone: Sequence[MemberId],
        now_ms: Ms,
    ) -> None:
        with self._changes() as undo:
            tables = self._of(program_id)
            for member_id in gone:
                if (member_id, segment_id) in tables.segment_members:
                    undo.remove(tables.segment_members, (member_id, segment_id))
            for member_id in come:
                member = tables.members.get(member_id)
                living = member is not None and member.status is not MemberStatus.ERASED
                if living and (member_id, segment_id) not in tables.segment_members:
                    undo.put(tables.segment_members, (member_id, segment_id), now_ms)

    def segment_refreshed(
        self: Tables, program_id: ProgramId, segment_id: str, *, now_ms: Ms
    ) -> SegmentCount:
        with self._changes() as undo:
            tables = self._of(program_id)
            members = sum(segment == segment_id for _, segment in tables.segment_members)
            found = SegmentCount(segment_id, members, now_ms)
            undo.put(tables.segments, segment_id, found)
            return found

    def forget_segments(self: Tables, program_id: ProgramId, *, keep: Sequence[str]) -> int:
        with self._changes() as undo:
            tables = self._of(program_id)
            old = [name for name in tables.segments if name not in keep]
            for name in old:
                undo.remove(tables.segments, name)
            for key in [key for key in tables.segment_members if key[1] not in keep]:
                undo.remove(tables.segment_members, key)
            return len(old)

    def forget_purchases(self: Tables, program_id: ProgramId, *, before_ms: Ms) -> int:
        with self._changes() as undo:
            purchases = self._of(program_id).purchases
            old = [key for key, one in purchases.items() if one.at_ms < before_ms]
            for key in old:
                undo.remove(purchases, key)
            return len(old)

    def purchases_of(self: Tables, program_id: ProgramId, member_id: MemberId) -> list[Purchase]:
        own = self._of(program_id).purchases.items()
        return [one for key, one in sorted(own, key=lambda item: item[0]) if key[0] == member_id]

    def segments_of(self: Tables, program_id: ProgramId, member_id: MemberId) -> list[tuple[str, Ms]]:
        found = self._of(program_id).segment_members.items()
        return sorted((segment, since) for (member, segment), since in found if member == member_id)


def forget_member(undo: Undo, tables: ProgramTables, member_id: MemberId) -> None:
    """Delete what a member has bought and which segments that led to."""
    for purchase in [key for key in tables.purchases if key[0] == member_id]:
        undo.remove(tables.purchases, purchase)
    for membership in [key for key in tables.segment_members if key[0] == member_id]:
        undo.remove(tables.segment_members, membership)
