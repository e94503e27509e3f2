"""The nightly work: everything that time has made due, member by member, through the writer path."""

from __future__ import annotations

import asyncio

from tallystick.core.basket import Channel, Origin
from tallystick.core.command import CatchUp
from tallystick.core.entry import CaughtUp
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import NEVER_MS, MemberId, Ms, ProgramId, derived_id
from tallystick.core.record import record
from tallystick.service.lane import Lane
from tallystick.service.ports import LedgerReader
from tallystick.service.reads import ReadPool
from tallystick.service.submission import Submission

AT_ONCE_MAX = 256
"""How many members are in the lane at once: enough for full batches, little enough to leave room for tills."""


@record(frozen=True, slots=True)
class DuePage:
    """What one page of the nightly work did; ``last`` is the member to go on after, None after the last page."""

    members: int
    entries: int
    last: MemberId | None


async def expire_page(
    reader: LedgerReader,
    pool: ReadPool,
    lane: Lane,
    program_id: ProgramId,
    *,
    as_of_ms: Ms,
    after: MemberId | None,
    limit: int,
    deadline: float,
) -> DuePage:
    """Catch up a page of members with something due at ``as_of_ms``; a rerun finds nothing left to do."""
    due = await pool.run(reader.read_due, program_id, due_ms=as_of_ms, after=after, limit=limit)
    entries = 0
    for start in range(0, len(due), AT_ONCE_MAX):
        answers = await asyncio.gather(
            *(
                lane.submit(_submission(program_id, member_id, as_of_ms, deadline))
                for member_id in due[start : start + AT_ONCE_MAX]
            )
        )
        entries += sum(answer.decision.entries for answer in answers if isinstance(answer.decision, CaughtUp))
    return DuePage(len(due), entries, due[-1] if len(due) == limit else None)


def _submission(program_id: ProgramId, member_id: MemberId, as_of_ms: Ms, deadline: float) -> Submission:
    command = CatchUp(
        derived_id(member_id, "catch-up", as_of_ms), member_id, Origin(as_of_ms, Channel.UNKNOWN)
    )
    return Submission(program_id, command, fingerprint(command), deadline, 0, NEVER_MS)
