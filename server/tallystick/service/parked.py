"""Parked advices are posted when what they wait for has arrived: after each upload, and every few seconds."""

from __future__ import annotations

import asyncio
import logging
import time

from tallystick.core.ids import ProgramId
from tallystick.service.advices import posted_any
from tallystick.service.inbox import Inbox
from tallystick.service.lane import Lane
from tallystick.service.outliving import outliving
from tallystick.service.reads import ReadPool

EVERY_S = 5.0
ROUNDS_MAX = 10
"""How long a chain of advices that wait for each other is followed at once; the rest comes with the next look."""

DEADLINE_S = 10.0

_NOT_LOOKED_AT = "parked advices could not be looked at"

log = logging.getLogger(__name__)


async def post_parked(inbox: Inbox, pool: ReadPool, lane: Lane, program_id: ProgramId) -> int:
    """Post what waits for nothing any more; return how many advices were looked at. Raises as the lane does."""
    looked_at = 0
    for _ in range(ROUNDS_MAX):
        deadline = time.monotonic() + DEADLINE_S
        submissions = await pool.run(inbox.due, program_id, deadline=deadline)
        if not submissions:
            break
        answers = await lane.submit_together(submissions)
        looked_at += len(answers)
        if not posted_any(answers):
            break
    return looked_at


async def keep_posting(inbox: Inbox, pool: ReadPool, lane: Lane, *, every_s: float = EVERY_S) -> None:
    """Look for parked advices of all programs again and again, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        with outliving(log, _NOT_LOOKED_AT):
            for program_id in await pool.run(inbox.look_for_parked):
                with outliving(log, _NOT_LOOKED_AT, program_id=program_id):
                    await post_parked(inbox, pool, lane, program_id)
