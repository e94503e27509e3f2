"""Large corrections by hand: they wait in the review list until a second person releases them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Protocol

from tallystick.core.basket import Channel, Origin
from tallystick.core.command import Adjust
from tallystick.core.entry import Refusal, Refused, refused
from tallystick.core.ids import NEVER_MS, Ms, ProgramId
from tallystick.service.lane import Lane
from tallystick.service.ports import LedgerReader
from tallystick.service.review_ports import Review, ReviewState
from tallystick.service.reviews import Reviews
from tallystick.service.rulebook import RuleBook
from tallystick.service.submission import Submission

ADJUST = "adjust"
"""The kind of review."""

DEADLINE_S = 30.0

log = logging.getLogger(__name__)


class Store(LedgerReader, Protocol):
    """What holding adjustments back needs of a store."""


class Adjustments:
    """Holds adjustments back that need a second person, and posts them when one has released them."""

    def __init__(
        self, store: Store, rulebook: RuleBook, reviews: Reviews, lane: Lane, *, now_ms: Callable[[], Ms]
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._reviews = reviews
        self._lane = lane
        self._now_ms = now_ms
        reviews.on_decided(ADJUST, self._on_decided)

    def hold(self, program_id: ProgramId, command: Adjust, *, sent: bytes, asked_by: str) -> Refused | None:
        """Hold an adjustment back and return why, or how its review stands; None for one that may be posted.

        ``sent`` is the fingerprint of the command as it came. What is held is posted under its own id when it is
        released, so whoever sends it again gets the answer then.
        """
        rules = self._rulebook.current(program_id)
        points_max = rules.watch.adjust_review_points if rules else 0
        if not points_max or abs(command.points) <= points_max:
            return None
        if self._store.read_known(program_id, [command.command_id]):
            return None
        review = self._reviews.add(
            program_id,
            ADJUST,
            command.member_id,
            {"points": command.points, "points_max": points_max, "command_id": command.command_id},
            command.command_id,
            holds=True,
            asked_by=asked_by,
            held=_held_text(command, sent),
        )
        if review is None or review.state is ReviewState.RELEASED:
            return None
        if _sent_of(review) != sent:
            return refused(Refusal.COMMAND_ID_REUSED, command_id=command.command_id)
        return refused(
            Refusal.ADJUST_NEEDS_SECOND,
            review_id=review.review_id,
            state=review.state.name.lower(),
            points_max=points_max,
        )

    async def _on_decided(self, program_id: ProgramId, review: Review) -> None:
        """Post what was released; sent again, the writer finds it posted."""
        if review.state is not ReviewState.RELEASED:
            return
        command = command_of(review)
        deadline = time.monotonic() + DEADLINE_S
        answer = await self._lane.submit(
            Submission(program_id, command, _sent_of(review), deadline, 0, NEVER_MS)
        )
        if isinstance(answer.decision, Refused):
            # The decision is stored and told; whoever released it sees why.
            log.info("a released adjustment was refused", extra={"reason": answer.decision.reason.name})


def command_of(review: Review) -> Adjust:
    """Return the adjustment that a review holds."""
    held = json.loads(review.held)
    occurred_ms, channel, store_id, till_id, reference = held["origin"]
    return Adjust(
        held["command_id"],
        review.member_id,
        Origin(Ms(occurred_ms), Channel(channel), store_id, till_id, reference),
        held["points"],
        held["reason"],
        held["expires_ms"],
    )


def _held_text(command: Adjust, sent: bytes) -> str:
    origin = command.origin
    return json.dumps(
        {
            "command_id": command.command_id,
            "origin": [
                origin.occurred_ms,
                int(origin.channel),
                origin.store_id,
                origin.till_id,
                origin.reference,
            ],
            "points": command.points,
            "reason": command.reason,
            "expires_ms": command.expires_ms,
            "sent": sent.hex(),
        },
        ensure_ascii=False,
    )


def _sent_of(review: Review) -> bytes:
    return bytes.fromhex(json.loads(review.held)["sent"])
