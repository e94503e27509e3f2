"""A till's chain for tests of the gateway: advices with places, as the wire gives them to the lane."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from tallystick.core.advice import Slot, Verdict, digest_of
from tallystick.core.chain import GENESIS
from tallystick.core.command import Advice
from tallystick.core.fingerprint import fingerprint
from tallystick.service.submission import Answer, Contact, Fact, Place, Submission, Told
from tests.service.desk import Desk

TILL = "t1"


class Till:
    """One till's chain. ``push`` sends facts through the lane's batch and returns what the till is told."""

    def __init__(self, desk: Desk, till_id: str = TILL, store_id: str = "s1") -> None:
        self.desk = desk
        self.till_id = till_id
        self.store_id = store_id
        self.epoch = 1
        self.seq = 0
        self.head = GENESIS

    def fact(
        self, advice: Advice, *, raw: bytes = b"", told_ms: int | None = None, **more: Any
    ) -> Submission:
        """Append an advice to the chain."""
        raw = raw or hashlib.sha256(fingerprint(advice) + advice.command_id.encode()).digest()
        slot = Slot(self.till_id, self.store_id, self.epoch, self.seq + 1, self.head, digest_of(raw), raw)
        self.seq, self.head = slot.seq, slot.digest
        told_ms = advice.origin.occurred_ms if told_ms is None else told_ms
        origin = replace(advice.origin, till_id=self.till_id, store_id=self.store_id)
        fact = Fact(slot, told_ms, **more)
        own = replace(advice, origin=origin)
        return self.desk.submission(own, fact=fact, fingerprint=slot.digest[:16])

    def last(self, submission: Submission, *, queued: int = 0, floor_points: int = 0) -> Submission:
        """Mark a fact as the end of an upload."""
        assert submission.fact is not None
        return replace(submission, fact=replace(submission.fact, contact=Contact(queued, floor_points)))

    def loose(self, submission: Submission) -> Submission:
        """Hand the same advice in by another way than the till's upload."""
        assert submission.fact is not None
        return replace(submission, fact=replace(submission.fact, place=Place.LOOSE))

    def new_epoch(self, told: Told) -> None:
        """Begin the epoch that the gateway told."""
        self.epoch, self.seq, self.head = told.chain.epoch, 0, GENESIS


def told(answer: Answer) -> Told:
    """Return what the till is told."""
    assert answer.told is not None
    return answer.told


def verdict(answer: Answer) -> Verdict:
    """Return the verdict that must be there."""
    found = told(answer).verdict
    assert found is not None, answer
    return found
