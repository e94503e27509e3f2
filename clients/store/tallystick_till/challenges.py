"""Challenges as the gateway tells of them: those nearly met, with a scan, and those that a sale has met."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from tallystick.v1 import identity_pb2, types_pb2
from tallystick_till.types import ChallengeMetView, ChallengeView
from tallystick_till.words import label

SHOWN_MAX: Final = 2
"""So many lines a cashier with a queue reads, before and after a sale."""

ENDS_SOON_DAYS: Final = 6
"""So many days ahead a weekday is enough to name one."""
COUNTS: Final = frozenset({"sales", "spend", "pieces", "points", "days"})


def nearly_met(said: Iterable[identity_pb2.ChallengeAhead]) -> tuple[ChallengeView, ...]:
    """Return what the gateway said, the nearest first; what a newer one counts and nobody here can name is left out."""
    known = [one for one in said if one.counts in COUNTS and one.left > 0]
    return tuple(
        ChallengeView(one.challenge_id, one.name, one.counts, one.left, one.last_day)
        for one in known[:SHOWN_MAX]
    )


def ends_soon(last_day: str, today: date) -> bool:
    """Return whether a period ends today or within ``ENDS_SOON_DAYS``; one without an end never does."""
    try:
        return 0 <= (date.fromisoformat(last_day) - today).days <= ENDS_SOON_DAYS
    except ValueError:
        return False


def met(said: Iterable[types_pb2.ChallengeMet]) -> tuple[ChallengeMetView, ...]:
    """Return the challenges that a sale has met."""
    return tuple(
        ChallengeMetView(one.challenge_id, one.name, one.times, one.points, label(one.badge_id))
        for one in said
    )[:SHOWN_MAX]
