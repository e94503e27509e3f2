"""What comes round by itself of what members share."""

from __future__ import annotations

import time

from tallystick.service.directory import Program
from tallystick.service.rounds import DEADLINE_S, Round
from tallystick.service.transfers import Transfers

SHARING_EVERY_S = 60.0


def sharing_round(transfers: Transfers, *, every_s: float = SHARING_EVERY_S) -> Round:
    """Finish transfers that were interrupted, and move to households what their people have earned by themselves, and
    what comes to a household that all have left to the last one.
    """

    async def share(program: Program) -> int:
        finished = await transfers.resume(program.program_id, deadline=_deadline)
        return finished + await transfers.pool_all(program.program_id, deadline=_deadline)

    return Round("sharing", every_s, share)


def _deadline() -> float:
    return time.monotonic() + DEADLINE_S
