"""Notifications as the contract has them."""

from __future__ import annotations

from tallystick.core.rules.notifications import Occasion
from tallystick.rpc.convert.scalars import known_ms_to_pb, ms_to_pb
from tallystick.service.notification_ports import NoteState, Notification, Way
from tallystick.service.notifications import Counts, Shown
from tallystick.v1 import notification_pb2 as pb

_NUMBERS = {occasion: number for number, occasion in enumerate(Occasion, 1)}
_OCCASIONS = {number: occasion for occasion, number in _NUMBERS.items()}


def occasion_from_pb(number: int) -> Occasion:
    """Return the occasion of a number of the contract."""
    return _OCCASIONS[number]


def notification_to_pb(note: Notification, *, title: str = "", text: str = "") -> pb.Notification:
    """Return a message, with its words where they are at hand."""
    waits, sent = note.state is NoteState.WAITING, note.state is NoteState.SENT
    return pb.Notification(
        notification_id=note.notification_id,
        member_id=note.member_id,
        occasion=_occasion(note.occasion),
        channel=_channel(note.way),
        state=pb.NotificationState.ValueType(note.state),
        title=title,
        text=text,
        made_at=ms_to_pb(note.made_ms),
        sent_at=known_ms_to_pb(note.done_ms) if sent else None,
        next_at=known_ms_to_pb(note.next_ms) if waits else None,
        tries=note.tries,
        answer=note.answer,
    )


def shown_to_pb(shown: Shown) -> pb.Notification:
    """Return a message with its words."""
    return notification_to_pb(shown.note, title=shown.title, text=shown.text)


def stats_to_pb(counts: Counts, ways: frozenset[Way]) -> pb.GetNotificationStatsResponse:
    """Return counts in the order of their numbers."""
    ordered = sorted(counts.items(), key=lambda found: (_NUMBERS[found[0][0]], found[0][1], found[0][2]))
    return pb.GetNotificationStatsResponse(
        counts=[
            pb.NotificationCount(
                occasion=_occasion(occasion),
                channel=_channel(way),
                state=pb.NotificationState.ValueType(state),
                count=count,
            )
            for (occasion, way, state), count in ordered
        ],
        channels=[_channel(way) for way in sorted(ways)],
    )


def _occasion(occasion: Occasion) -> pb.NotificationOccasion.ValueType:
    return pb.NotificationOccasion.ValueType(_NUMBERS[occasion])


def _channel(way: Way) -> pb.NotificationChannel.ValueType:
    return pb.NotificationChannel.ValueType(way)
