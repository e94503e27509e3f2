"""What telling others of events needs of a store: the events, who is told of them, and how far that has come."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Protocol

from tallystick.core.entry import Entry
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.state import MemberStatus

WEBHOOKS_MAX = 50
"""Most endpoints of one program."""


class EventType(StrEnum):
    """What happens in a program."""

    MEMBER_ENROLLED = "member.enrolled"
    MEMBER_CHANGED = "member.changed"
    MEMBER_ERASED = "member.erased"
    ENTRY_POSTED = "entry.posted"
    HOLD_EXPIRED = "hold.expired"
    TIER_CHANGED = "tier.changed"
    BASKET_ABANDONED = "basket.abandoned"
    WISH_REMINDER = "wish.reminder"
    NOTIFICATION_DUE = "notification.due"


class Signing(IntEnum):
    """How messages are signed. The numbers are those of the contract."""

    HMAC = 1
    ED25519 = 2


class DeliveryState(IntEnum):
    """What became of a message. The numbers are those of the contract."""

    WAITING = 1
    DELIVERED = 2
    FAILED = 3


@record(frozen=True, slots=True)
class Endpoint:
    """Where messages go. ``event_types`` are those it is told of; none: all.

    ``sealed_key`` signs, ``old_sealed_key`` too until ``old_until_ms`` (0: there is none).
    """

    webhook_id: str
    url: str
    event_types: tuple[str, ...]
    signing: Signing
    sealed_key: bytes
    old_sealed_key: bytes = b""
    old_until_ms: Ms = Ms(0)
    paused: bool = False
    made_ms: Ms = Ms(0)

    def wants(self, event_type: str) -> bool:
        """Whether it is told of events of a type."""
        return not self.event_types or event_type in self.event_types


@record(frozen=True, slots=True)
class Event:
    """Something that happened to a member; ``body`` is the message as it is sent."""

    message_id: str
    event_type: str
    member_id: MemberId
    occurred_ms: Ms
    body: bytes


@record(frozen=True, slots=True)
class EventPlace:
    """How far the journal and the members' own changes have become events, since ``began_ms``.

    ``events`` numbers the events, ``moves`` how often the place has moved.
    """

    lanes: Mapping[int, int]
    changed_ms: Ms
    began_ms: Ms
    events: int = 0
    moves: int = 0


@record(frozen=True, slots=True)
class SeenMember:
    """What has become events of one member: entries up to ``seq`` (0: none yet), own changes up to ``changed_ms``."""

    member_id: MemberId
    seq: int = 0
    tier_id: str = ""
    status: MemberStatus = MemberStatus.OPEN
    changed_ms: Ms = Ms(0)


@record(frozen=True, slots=True)
class MemberNow:
    """A member as it is. ``made_ms`` is when it was stored, 0 for one from before that was noted."""

    member_id: MemberId
    status: MemberStatus
    changed_ms: Ms
    made_ms: Ms


@record(frozen=True, slots=True)
class Due:
    """A message whose turn it is. ``since_ms`` is from when the days count after which it is given up."""

    number: int
    event: Event
    tries: int
    since_ms: Ms


@record(frozen=True, slots=True)
class Tried:
    """What came of sending a message: its state then, the answer, and when to try again if it waits."""

    number: int
    state: DeliveryState
    answer: str
    next_ms: Ms = Ms(0)


@record(frozen=True, slots=True)
class Delivery:
    """A message to an endpoint as people see it; ``next_ms`` of one that waits behind another is NEVER_MS."""

    number: int
    message_id: str
    event_type: str
    state: DeliveryState
    tries: int
    occurred_ms: Ms
    next_ms: Ms
    answer: str


class EventStore(Protocol):
    """Every call is one short transaction of one program."""

    def put_endpoint(self, program_id: ProgramId, endpoint: Endpoint, *, here: EventPlace, now: Ms) -> bool:
        """Store an endpoint, replacing the one of its name; False when there are ``WEBHOOKS_MAX`` others.

        ``here`` is the place if there is none yet. For one that was paused and is not any more, the days in which its
        messages may fail begin anew, and all are due.
        """
        ...

    def endpoint(self, program_id: ProgramId, webhook_id: str) -> Endpoint | None: ...

    def endpoints(self, program_id: ProgramId) -> list[Endpoint]:
        """Return all endpoints by name."""
        ...

    def pause_endpoint(self, program_id: ProgramId, webhook_id: str) -> None:
        """Let an endpoint's messages wait."""
        ...

    def delete_endpoint(self, program_id: ProgramId, webhook_id: str) -> None:
        """Remove an endpoint with its messages; with the last one all that is kept of events."""
        ...

    def delivery_counts(self, program_id: ProgramId) -> dict[tuple[str, DeliveryState], int]:
        """Return how many messages wait and how many were given up, by endpoint."""
        ...

    def event_place(self, program_id: ProgramId) -> EventPlace | None:
        """Return the place; None for a program without endpoints."""
        ...

    def seen_members(
        self, program_id: ProgramId, member_ids: Collection[MemberId]
    ) -> dict[MemberId, SeenMember]: ...

    def members_now(
        self, program_id: ProgramId, member_ids: Collection[MemberId]
    ) -> dict[MemberId, MemberNow]: ...

    def read_entries_named(
        self, program_id: ProgramId, refs: Collection[tuple[MemberId, int]]
    ) -> list[tuple[Entry, Ms]]:
        """Return the entries (member, seq) with their recorded instants, by member and seq."""
        ...

    def queue_events(
        self,
        program_id: ProgramId,
        events: Sequence[Event],
        seen: Sequence[SeenMember],
        *,
        to: EventPlace,
        now: Ms,
    ) -> bool:
        """Number events and queue them for all endpoints that want them, note what is seen, and move the place.

        ``to.moves`` is that of the place that was read: False when another process has moved it since, and then nothing
        is written. ``to.events`` is not looked at.
        """
        ...

    def due_endpoints(self, program_id: ProgramId, *, now: Ms) -> list[str]:
        """Return the endpoints that are not paused and may have a message whose turn it is."""
        ...

    def claim_deliveries(
        self, program_id: ProgramId, webhook_id: str, *, now: Ms, until: Ms, limit: int
    ) -> list[Due]:
        """Return messages that are due, of each member none but the first that waits, and keep them from others."""
        ...

    def note_deliveries(
        self, program_id: ProgramId, webhook_id: str, tried: Sequence[Tried], *, now: Ms
    ) -> None:
        """Note what came of sending messages; one that does not wait any more stays as it is."""
        ...

    def deliveries(
        self,
        program_id: ProgramId,
        webhook_id: str,
        *,
        state: DeliveryState | None,
        before: int | None,
        limit: int,
    ) -> list[Delivery]:
        """Return messages of an endpoint, newest first, ``number`` < ``before``."""
        ...

    def replay_deliveries(self, program_id: ProgramId, webhook_id: str, *, since: Ms | None, now: Ms) -> int:
        """Let messages wait again that failed, or all of events since an instant; return how many.

        All that wait for the endpoint are due then. What is being sent at this moment may come twice.
        """
        ...

    def forget_events(self, program_id: ProgramId, *, before: Ms) -> int:
        """Remove events queued before an instant of which no message waits, a page of them; return how many."""
        ...
