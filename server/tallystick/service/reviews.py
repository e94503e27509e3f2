"""The review list: what a person must look at, and how what was held goes on when somebody has decided.

Whoever finds something adds it under a key, so that the same finding is there once however often it is found. What
waits for the decision is told of it by a hook of its kind; a process that dies before has its work done by the next
round, so hooks are called until they return, and must find their own work.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId, derived_id
from tallystick.core.state import MemberStatus
from tallystick.service.balances import member_not_found
from tallystick.service.directory import Directory, Program
from tallystick.service.errors import FailedPrecondition, NotFound, PermissionDenied, TallystickError
from tallystick.service.reads import ReadPool
from tallystick.service.review_ports import NOBODY, STAFF_MAX, Review, ReviewState, ReviewStore, StaffMember
from tallystick.service.rounds import Round

FACTS_MAX = 20
FACT_CHARS_MAX = 200
FOLLOW_PAGE = 200
FOLLOW_EVERY_S = 60.0
KEPT_MS = 400 * 86_400_000
"""How long a decided review can be looked up."""

COUNTED_MS = 2 * 86_400_000
"""How long a counter of the watch is kept; the longest bucket is a day."""

log = logging.getLogger(__name__)

Hook = Callable[[ProgramId, Review], Awaitable[None]]
"""Lets what waited go on (``review.state`` RELEASED) or end (REFUSED). Called again until it returns once."""


class Store(Directory, ReviewStore, Protocol):
    """What the review list needs of a store."""


class Reviews:
    """The use cases around the review list. Methods block, but for ``decide`` and ``follow``."""

    def __init__(self, store: Store, pool: ReadPool, *, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._pool = pool
        self._now_ms = now_ms
        self._hooks: dict[str, Hook] = {}

    def on_decided(self, kind: str, hook: Hook) -> None:
        """Let a hook be called for every decision on reviews of a kind that hold something; one for each kind."""
        assert kind not in self._hooks, "one hook for each kind"
        self._hooks[kind] = hook

    def add(
        self,
        program_id: ProgramId,
        kind: str,
        member_id: MemberId,
        facts: Mapping[str, object],
        dedup_key: str,
        *,
        other_id: MemberId = NOBODY,
        holds: bool = False,
        asked_by: str = "",
        held: str = "",
    ) -> Review | None:
        """List something for a person to look at, and return it as it is listed: once for each ``dedup_key``.

        ``member_id`` is whom it is about (``NOBODY``: a device, which the key then names). ``facts`` are figures and
        ids, never personal data. With ``holds`` something waits for the decision, for which ``on_decided`` has a hook;
        ``asked_by`` is the device that asked for it and cannot release it. None when a member of it is gone.
        """
        assert len(facts) <= FACTS_MAX, "figures, not documents"
        review = Review(
            review_id_of(kind, member_id, dedup_key),
            kind,
            member_id,
            other_id,
            {name: str(value)[:FACT_CHARS_MAX] for name, value in facts.items()},
            self._now_ms(),
            holds=holds,
            asked_by=asked_by,
            held=held,
        )
        return self._store.add_review(program_id, review)

    def find(self, program_id: ProgramId, kind: str, member_id: MemberId, dedup_key: str) -> Review | None:
        """Return what is listed under a key."""
        return self._store.review(program_id, review_id_of(kind, member_id, dedup_key))

    def is_held(self, program_id: ProgramId, kind: str, member_id: MemberId, dedup_key: str) -> bool:
        """Return whether something waits for a decision: listed under that key, and nobody has decided."""
        review = self.find(program_id, kind, member_id, dedup_key)
        return review is not None and review.holds and review.state is ReviewState.OPEN

    def get(self, program_id: ProgramId, review_id: str) -> Review:
        """Return a review. Raises ``NotFound``."""
        review = self._store.review(program_id, review_id)
        if review is None:
            raise _not_found(review_id)
        return review

    def page(
        self,
        program_id: ProgramId,
        *,
        state: ReviewState | None,
        kind: str,
        before: tuple[Ms, str] | None,
        limit: int,
    ) -> list[Review]:
        """Return reviews, newest first; of all states with None, of all kinds with ""."""
        return self._store.reviews(program_id, state=state, kind=kind, before=before, limit=limit)

    async def decide(
        self, program_id: ProgramId, review_id: str, state: ReviewState, *, by: str, note: str
    ) -> Review:
        """Release or refuse, and let what waited go on; the first decision stands, and the same again answers it.

        Raises ``NotFound``, ``PermissionDenied`` when the device that asked would release, and ``FailedPrecondition``
        when it was decided the other way.
        """
        assert state is not ReviewState.OPEN, "a decision closes"
        review = await self._pool.run(self.get, program_id, review_id)
        if state is ReviewState.RELEASED and review.asked_by == by:
            raise _needs_second(review_id)
        decided = await self._pool.run(
            lambda: self._store.decide_review(
                program_id, review_id, state, by=by, note=note, now=self._now_ms()
            )
        )
        if decided is None:
            raise _not_found(review_id)
        if decided.state is not state:
            raise _decided(decided)
        if decided.holds and not decided.followed:
            await self._follow(program_id, decided)
        return decided

    async def follow(self, program: Program) -> int:
        """Let go on what was decided and has not gone on, and forget what is old; return how many."""
        program_id = program.program_id
        waiting = await self._pool.run(self._store.reviews_to_follow, program_id, limit=FOLLOW_PAGE)
        for review in waiting:
            try:
                await self._follow(program_id, review)
            except Exception:
                # One that fails keeps no other one waiting; it is tried again in the next round.
                log.exception("a decided review could not be followed", extra={"kind": review.kind})
        await self._pool.run(self._forget, program_id)
        return len(waiting)

    async def _follow(self, program_id: ProgramId, review: Review) -> None:
        hook = self._hooks.get(review.kind)
        if hook is None:
            # Left for a process that knows the kind: two versions serve side by side during an upgrade.
            log.warning("nobody here knows how a review goes on", extra={"kind": review.kind})
            return
        await hook(program_id, review)
        await self._pool.run(self._store.review_followed, program_id, review.review_id)

    def _forget(self, program_id: ProgramId) -> None:
        now_ms = self._now_ms()
        self._store.forget_reviews(program_id, before=Ms(now_ms - KEPT_MS))
        self._store.forget_watched(program_id, before=Ms(now_ms - COUNTED_MS))

    def set_staff(self, program_id: ProgramId, staff: StaffMember) -> None:
        """Note which member a cashier is; nobody: forget it. Raises ``NotFound``."""
        if staff.member_id and self._store.cashier(program_id, staff.store_id, staff.cashier_id) is None:
            raise NotFound(
                "The store has no such cashier.",
                mend="Make the cashier first.",
                store_id=staff.store_id,
                cashier_id=staff.cashier_id,
            )
        member = self._store.member(program_id, staff.member_id) if staff.member_id else None
        if staff.member_id and (member is None or member.status is MemberStatus.ERASED):
            raise member_not_found(staff.member_id)
        if not self._store.put_staff(program_id, staff):
            raise TallystickError(
                f"{STAFF_MAX} cashiers of the store are known to be members.",
                mend="Forget those who have left.",
                reason="LIMIT_REACHED",
                limit=STAFF_MAX,
            )

    def staff_of(self, program_id: ProgramId, store_id: str) -> list[StaffMember]:
        """Return which members the cashiers of a store are."""
        return self._store.staff_of_store(program_id, store_id)


def review_id_of(kind: str, member_id: MemberId, dedup_key: str) -> str:
    """Return the id of a finding: the same for the same kind, member and key."""
    return derived_id(member_id, f"review/{kind}", dedup_key)


def review_round(reviews: Reviews, *, every_s: float = FOLLOW_EVERY_S) -> Round:
    """Decisions behind which something waits, for whoever decided and died; and what is old."""
    return Round("reviews", every_s, reviews.follow)


def _not_found(review_id: str) -> NotFound:
    return NotFound(
        "There is no such review.",
        mend="List the reviews of the program.",
        reason="REVIEW_NOT_FOUND",
        review_id=review_id,
    )


def _decided(review: Review) -> FailedPrecondition:
    return FailedPrecondition(
        f"The review was {review.state.name.lower()} before, and that stands.",
        mend="Correct what came of it by hand, for example with an adjustment.",
        reason="REVIEW_DECIDED",
        review_id=review.review_id,
        state=review.state.name,
    )


def _needs_second(review_id: str) -> PermissionDenied:
    return PermissionDenied(
        "Who asked for it cannot release it.",
        mend="Let a second person release it, from another device.",
        reason="REVIEW_NEEDS_SECOND",
        review_id=review_id,
    )
