"""Reminders: what a member is told of once, and where that goes.

Whoever finds something to remind of makes a ``Reminder`` and gives it to every sink; a sink tells it on, by an event,
a mail or whatever it is for. The same reminder may be given twice, by two processes or after a crash: its
``dedup_key`` is then the same, and a sink tells it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record

DEDUP_KEY_CHARS_MAX = 160


class ReminderKind(StrEnum):
    """What is reminded of. The words are those of the event types."""

    BASKET_ABANDONED = "basket.abandoned"
    WISH = "wish.reminder"


@record(frozen=True, slots=True)
class Reminder:
    """One reminder to one member.

    ``facts`` are plain JSON values for the message, by their names in events (camel case): ``activePoints``,
    ``rewardId`` and ``rewardPoints`` of the dearest reward in reach ("" and 0: none), ``currencyCode``; of a basket
    ``basketRef``, ``amountMinor``, ``earnPoints`` (what ordering it would earn), ``items`` and ``pageUrl``; of wishes
    ``items``. An item has ``sku`` and ``name``. ``occurred_ms`` is when it became due.
    """

    kind: ReminderKind
    member_id: MemberId
    facts: Mapping[str, Any]
    dedup_key: str
    occurred_ms: Ms


class ReminderSink(Protocol):
    """Tells reminders on. Safe to use from several threads and processes at once."""

    def remind(self, program_id: ProgramId, reminder: Reminder) -> None:
        """Take a reminder over for good; one whose ``dedup_key`` it has had before changes nothing.

        Raises ``TallystickError`` when it could not be taken: it is given again later.
        """
        ...
