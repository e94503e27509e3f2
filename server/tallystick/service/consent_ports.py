"""What the use cases around consents need of a store. They go when their member is erased."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record

CONSENTS_KEPT_MAX = 1_000
"""Most statements kept of one member; behind that the oldest that others have replaced are let go."""


class ConsentPurpose(IntEnum):
    """What a message is for. The numbers are those of the contract."""

    POINTS = 1
    OFFERS = 2
    PERSONAL = 3
    REMINDERS = 4


class ConsentChannel(IntEnum):
    """How a message comes. The numbers are those of the contract."""

    EMAIL = 1
    SMS = 2
    PUSH = 3


@record(frozen=True, slots=True)
class SaidConsent:
    """One yes or no of a member, and by whom it came: a role's number and the device that called.

    The last one of a purpose and channel counts.
    """

    purpose: ConsentPurpose
    channel: ConsentChannel
    granted: bool
    said_ms: Ms
    by_role: int
    by_device: str


class ConsentDirectory(Protocol):
    """Consents. Every call is one short transaction of one program."""

    def add_consent(self, program_id: ProgramId, member_id: MemberId, said: SaidConsent) -> SaidConsent:
        """Add a statement and return the one that counts now; what says the same as before adds nothing.

        Raises ``NotFound`` when the member is unknown or erased.
        """
        ...

    def consents(self, program_id: ProgramId, member_id: MemberId) -> list[SaidConsent]:
        """Return all that is kept, in the order in which it was said."""
        ...
