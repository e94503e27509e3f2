"""What notifications need of a store: messages, where push messages go, and how far the journal was followed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.rules.notifications import Occasion
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose

ADD_MAX = 500
"""Most messages that one transaction adds."""

RETRIED_MAX = 10_000
"""Most messages that one call lets wait again."""


class Way(IntEnum):
    """How a message goes. The numbers are those of the contract; NONE as long as it has not been tried."""

    NONE = 0
    EMAIL = 1
    SMS = 2
    PUSH = 3
    WALLET = 4
    WEBHOOK = 5


class NoteState(IntEnum):
    """What became of a message. The numbers are those of the contract."""

    WAITING = 1
    SENT = 2
    DROPPED = 3
    FAILED = 4


@record(frozen=True, slots=True)
class Notification:
    """A message to a member; ``args`` are the values of its places, never who it is.

    After ``stale_ms`` it is too late. ``done_ms`` is when it was sent, dropped or given up, 0 before that.
    """

    notification_id: str
    member_id: MemberId
    occasion: Occasion
    args: tuple[tuple[str, str], ...]
    made_ms: Ms
    stale_ms: Ms
    next_ms: Ms
    state: NoteState = NoteState.WAITING
    way: Way = Way.NONE
    tries: int = 0
    answer: str = ""
    done_ms: Ms = Ms(0)


@record(frozen=True, slots=True)
class Noted:
    """What came of trying to send a message. ``next_ms`` is when to try again, of one that waits."""

    member_id: MemberId
    notification_id: str
    state: NoteState
    way: Way
    answer: str
    next_ms: Ms = Ms(0)
    tried: bool = True


@record(frozen=True, slots=True)
class PushSubscription:
    """Where push messages for one device of a member go (RFC 8030), and its keys (RFC 8291)."""

    member_id: MemberId
    kid: str
    endpoint: str = field(repr=False)
    p256dh: bytes = field(repr=False)
    auth: bytes = field(repr=False)
    made_ms: Ms = Ms(0)


@record(frozen=True, slots=True)
class NotificationPlace:
    """How far the journal has been followed for notifications; ``moves`` is how often the place has moved."""

    lanes: Mapping[int, int]
    moves: int = 0


class NotificationStore(Protocol):
    """Every call is one short transaction of one program."""

    def notification_place(self, program_id: ProgramId) -> NotificationPlace | None:
        """Return the place; None for a program that does not follow its journal for notifications."""
        ...

    def put_notification_place(self, program_id: ProgramId, place: NotificationPlace | None) -> None:
        """Begin at a place, or end with None; whoever follows from another place at this moment moves nothing."""
        ...

    def add_notifications(
        self, program_id: ProgramId, new: Sequence[Notification], *, to: NotificationPlace | None = None
    ) -> int | None:
        """Add messages whose ids are not there, none for an erased member; return how many. At most ``ADD_MAX``.

        With ``to`` the place moves in the same transaction; ``to.moves`` is that of the place that was read: None when
        another process has moved it since, and then nothing is written.
        """
        ...

    def claim_notifications(
        self, program_id: ProgramId, *, now: Ms, until: Ms, limit: int
    ) -> list[Notification]:
        """Return messages that are due, and keep them from others until an instant; of a member one at a time."""
        ...

    def note_notifications(self, program_id: ProgramId, noted: Sequence[Noted], *, now: Ms) -> None:
        """Note what came of sending; one that does not wait any more stays as it is."""
        ...

    def notifications_of(
        self, program_id: ProgramId, member_id: MemberId, *, before: tuple[Ms, str] | None, limit: int
    ) -> list[Notification]:
        """Return a member's messages, newest first by (made_ms, notification_id)."""
        ...

    def failed_notifications(
        self, program_id: ProgramId, *, before: tuple[Ms, str] | None, limit: int
    ) -> list[Notification]:
        """Return messages that were given up, newest first by (made_ms, notification_id)."""
        ...

    def retry_notifications(self, program_id: ProgramId, *, way: Way | None, now: Ms) -> int:
        """Let messages wait again that were given up and are not stale; return how many, at most ``RETRIED_MAX``."""
        ...

    def notifications_sent(
        self, program_id: ProgramId, member_id: MemberId, *, occasions: Collection[Occasion], since: Ms
    ) -> list[Ms]:
        """Return when messages of such occasions were sent to a member since an instant, the newest first."""
        ...

    def notification_counts(
        self, program_id: ProgramId, *, since: Ms
    ) -> dict[tuple[Occasion, Way, NoteState], int]:
        """Count messages made since an instant."""
        ...

    def granted_channels(
        self, program_id: ProgramId, member_ids: Collection[MemberId], purpose: ConsentPurpose
    ) -> dict[MemberId, frozenset[ConsentChannel]]:
        """Return by which channels messages for a purpose may come to members; who has granted none is left out."""
        ...

    def forget_notifications(self, program_id: ProgramId, *, before: Ms) -> int:
        """Remove messages made before an instant that do not wait, a page of them; return how many."""
        ...

    def set_push(self, program_id: ProgramId, subscription: PushSubscription) -> bool:
        """Store a device's address, replacing the one before; False when the member is unknown or erased."""
        ...

    def remove_push(self, program_id: ProgramId, member_id: MemberId, kid: str) -> None: ...

    def push_subscriptions(self, program_id: ProgramId, member_id: MemberId) -> list[PushSubscription]:
        """Return the addresses of a member's devices, by device; those of revoked devices are not among them."""
        ...
