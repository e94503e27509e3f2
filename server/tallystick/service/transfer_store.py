"""What transfers need of a store: a row for each, which says that a member's points may be on their way."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.record import record


class TransferState(IntEnum):
    """How far a transfer is. One that is ASKED may have left its giver or not: the ledger knows."""

    ASKED = 1
    ARRIVED = 2
    UNDONE = 3


@record(frozen=True, slots=True)
class Transfer:
    """Points on their way from one member to another.

    ``made_ms`` is when it was first asked for and ``asked_ms`` when it was last, by the server's clock.
    ``to_program_id`` is the partner program whose member receives; empty within one program.
    """

    transfer_id: CommandId
    from_member_id: MemberId
    to_member_id: MemberId
    points: int
    state: TransferState
    made_ms: Ms
    asked_ms: Ms
    to_program_id: str = ""


class TransferStore(Protocol):
    """Every call is one short transaction of one program."""

    def add_transfer(self, program_id: ProgramId, new: Transfer) -> Transfer:
        """Store a transfer that is asked for, or return the one that has its id.

        One that is there and still ASKED takes over ``asked_ms``.
        """
        ...

    def transfer(self, program_id: ProgramId, transfer_id: CommandId) -> Transfer | None: ...

    def transfers_of(
        self, program_id: ProgramId, member_ids: Sequence[MemberId], *, since: Ms, limit: int
    ) -> list[Transfer]:
        """Return transfers from or to members that were first asked for at or after an instant, newest first."""
        ...

    def end_transfer(
        self, program_id: ProgramId, transfer_id: CommandId, state: TransferState
    ) -> Transfer | None:
        """Note how a transfer that was ASKED has ended, and return it as it is then; None when there is none."""
        ...

    def forget_transfer(self, program_id: ProgramId, transfer_id: CommandId, *, asked_before: Ms) -> bool:
        """Delete a transfer that is ASKED and was last asked for before an instant; of which nothing has left."""
        ...

    def transfers_asked(
        self, program_id: ProgramId, *, before: Ms, after: tuple[Ms, str] | None, limit: int
    ) -> list[Transfer]:
        """Return transfers that are ASKED since before an instant, by (asked_ms, transfer_id), behind one of them."""
        ...
