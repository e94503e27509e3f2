"""The reading half of every store: each read is one short transaction that sees committed rows only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from tallystick.core.entry import Entry
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.state import Account, Hold, Lot
from tallystick.service.ports import Known

PAGE_MAX = 10_000
"""Most rows that one read returns, and most keys that one read takes."""

T = TypeVar("T")


class Reads(Protocol):
    """What a transaction can read, with or without the right to write."""

    def accounts(self, member_ids: Iterable[MemberId]) -> dict[MemberId, Account]: ...

    def known(self, command_ids: Iterable[CommandId]) -> dict[CommandId, Known]: ...

    def holds(
        self, *, open_of: Iterable[MemberId], ids: Iterable[CommandId]
    ) -> dict[MemberId, list[Hold]]: ...

    def lots(
        self, *, of: Iterable[MemberId], also: Iterable[tuple[MemberId, int]]
    ) -> dict[MemberId, list[Lot]]: ...

    def reversals(self, of: Iterable[tuple[MemberId, int]]) -> list[Entry]: ...

    def entries(
        self, member_id: MemberId, *, before_seq: int | None, limit: int
    ) -> list[tuple[Entry, Ms]]: ...

    def due(self, *, due_ms: Ms, after: MemberId | None, limit: int) -> list[MemberId]: ...

    def sums(self) -> dict[str, int]: ...


class LedgerReads(ABC):
    """``LedgerReader`` over a store's own way to read; what a lane's transaction reads is read by the same code."""

    @abstractmethod
    def _read(self, program_id: ProgramId, work: Callable[[Reads], T]) -> T:
        """Run reads of one program in a transaction of their own."""

    def read_accounts(self, program_id: ProgramId, member_ids: Sequence[MemberId]) -> dict[MemberId, Account]:
        """Return accounts by one set-based query, without locks; at most ``PAGE_MAX`` of them."""
        assert len(member_ids) <= PAGE_MAX
        return self._read(program_id, lambda reads: reads.accounts(member_ids))

    def read_lots(self, program_id: ProgramId, member_id: MemberId) -> list[Lot]:
        """Return lots with points remaining, and pending ones also when empty, in burning order."""
        found = self._read(program_id, lambda reads: reads.lots(of=[member_id], also=()))
        return found.get(member_id, [])

    def read_holds(self, program_id: ProgramId, member_id: MemberId) -> list[Hold]:
        """Return open holds."""
        found = self._read(program_id, lambda reads: reads.holds(open_of=[member_id], ids=()))
        return found.get(member_id, [])

    def read_known(self, program_id: ProgramId, command_ids: Sequence[CommandId]) -> dict[CommandId, Known]:
        """Return stored answers; to at most ``PAGE_MAX`` commands."""
        assert len(command_ids) <= PAGE_MAX
        return self._read(program_id, lambda reads: reads.known(command_ids))

    def read_entries(
        self, program_id: ProgramId, member_id: MemberId, *, before_seq: int | None, limit: int
    ) -> list[tuple[Entry, Ms]]:
        """Return a member's entries with their recorded instants, newest first, ``seq`` < ``before_seq``."""
        most = min(limit, PAGE_MAX)
        return self._read(
            program_id, lambda reads: reads.entries(member_id, before_seq=before_seq, limit=most)
        )

    def read_reversals(self, program_id: ProgramId, member_id: MemberId, seq: int) -> list[Entry]:
        """Return the entries that reverse or return against one entry, oldest first."""
        return self._read(program_id, lambda reads: reads.reversals([(member_id, seq)]))

    def read_due(
        self, program_id: ProgramId, *, due_ms: Ms, after: MemberId | None, limit: int
    ) -> list[MemberId]:
        """Return members with ``due_ms`` <= the given instant, ordered by id, after a member."""
        most = min(limit, PAGE_MAX)
        return self._read(program_id, lambda reads: reads.due(due_ms=due_ms, after=after, limit=most))

    def read_sums(self, program_id: ProgramId) -> dict[str, int]:
        """Return the program's accounts: each of ``Moves``' fields summed over the journal."""
        return self._read(program_id, lambda reads: reads.sums())
