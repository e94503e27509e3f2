"""Reviews, counters of the watch and staff, in memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.review_ports import NOBODY, STAFF_MAX, Review, ReviewState, StaffMember, WatchPlace
from tallystick.storage.memory_cards import Tables
from tallystick.storage.memory_consents import living
from tallystick.storage.memory_tables import ProgramTables, Undo


class MemoryReviews:
    """What people must look at; ``service.review_ports`` says what each call means."""

    def add_review(self: Tables, program_id: ProgramId, review: Review) -> Review | None:
        with self._changes() as undo:
            tables = self._of(program_id)
            if not all(living(tables, one) for one in (review.member_id, review.other_id) if one):
                return None
            stored = tables.reviews.get(review.review_id)
            if stored is None:
                undo.put(tables.reviews, review.review_id, review)
            return stored or review

    def review(self: Tables, program_id: ProgramId, review_id: str) -> Review | None:
        return self._of(program_id).reviews.get(review_id)

    def reviews(
        self: Tables,
        program_id: ProgramId,
        *,
        state: ReviewState | None,
        kind: str,
        before: tuple[Ms, str] | None,
        limit: int,
    ) -> list[Review]:
        found = [
            one
            for one in list(self._of(program_id).reviews.values())
            if state in (None, one.state)
            and kind in ("", one.kind)
            and (before is None or (one.made_ms, one.review_id) < before)
        ]
        return sorted(found, key=lambda one: (one.made_ms, one.review_id), reverse=True)[:limit]

    def reviews_of(self: Tables, program_id: ProgramId, member_id: MemberId, *, limit: int) -> list[Review]:
        own = [one for one in list(self._of(program_id).reviews.values()) if one.member_id == member_id]
        return sorted(own, key=lambda one: (one.made_ms, one.review_id), reverse=True)[:limit]

    def decide_review(
        self: Tables,
        program_id: ProgramId,
        review_id: str,
        state: ReviewState,
        *,
        by: str,
        note: str,
        now: Ms,
    ) -> Review | None:
        with self._changes() as undo:
            reviews = self._of(program_id).reviews
            review = reviews.get(review_id)
            if review is None or review.state is not ReviewState.OPEN:
                return review
            closed = replace(review, state=state, decided_ms=now, decided_by=by, note=note)
            undo.put(reviews, review_id, closed)
            return closed

    def reviews_to_follow(self: Tables, program_id: ProgramId, *, limit: int) -> list[Review]:
        waiting = [
            one
            for one in list(self._of(program_id).reviews.values())
            if one.state is not ReviewState.OPEN and one.holds and not one.followed
        ]
        return sorted(waiting, key=lambda one: one.review_id)[:limit]

    def review_followed(self: Tables, program_id: ProgramId, review_id: str) -> None:
        with self._changes() as undo:
            reviews = self._of(program_id).reviews
            if review_id in reviews:
                undo.put(reviews, review_id, replace(reviews[review_id], followed=True))

    def forget_reviews(self: Tables, program_id: ProgramId, *, before: Ms) -> int:
        with self._changes() as undo:
            reviews = self._of(program_id).reviews
            old = [
                one.review_id
                for one in reviews.values()
                if one.state is not ReviewState.OPEN
                and one.decided_ms < before
                and (one.followed or not one.holds)
            ]
            for review_id in old:
                undo.remove(reviews, review_id)
            return len(old)

    def count_watched(self: Tables, program_id: ProgramId, kind: str, subject: str, *, bucket: Ms) -> int:
        with self._changes() as undo:
            counts = self._of(program_id).watch_counts
            key = (bucket, kind, subject)
            undo.put(counts, key, counts.get(key, 0) + 1)
            return counts[key]

    def forget_watched(self: Tables, program_id: ProgramId, *, before: Ms) -> int:
        with self._changes() as undo:
            counts = self._of(program_id).watch_counts
            old = [key for key in counts if key[0] < before]
            for key in old:
                undo.remove(counts, key)
            return len(old)

    def watch_place(self: Tables, program_id: ProgramId) -> WatchPlace | None:
        return self._of(program_id).watch_places.get("")

    def move_watch_place(self: Tables, program_id: ProgramId, to: WatchPlace) -> bool:
        with self._changes() as undo:
            places = self._of(program_id).watch_places
            stored = places.get("")
            if (stored.moves if stored else 0) != to.moves:
                return False
            undo.put(places, "", replace(to, moves=to.moves + 1))
            return True

    def put_staff(self: Tables, program_id: ProgramId, staff: StaffMember) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            key = (staff.store_id, staff.cashier_id)
            if not staff.member_id:
                if key in tables.staff:
                    undo.remove(tables.staff, key)
                return True
            others = sum(store == staff.store_id and (store, name) != key for store, name in tables.staff)
            if not living(tables, staff.member_id) or others >= STAFF_MAX:
                return False
            undo.put(tables.staff, key, staff)
            return True

    def staff_of_store(self: Tables, program_id: ProgramId, store_id: str) -> list[StaffMember]:
        staff = self._of(program_id).staff
        return [staff[key] for key in sorted(staff) if key[0] == store_id]

    def staff_among(
        self: Tables, program_id: ProgramId, member_ids: Collection[MemberId]
    ) -> list[StaffMember]:
        found = [one for one in list(self._of(program_id).staff.values()) if one.member_id in member_ids]
        return sorted(found, key=lambda one: (one.member_id, one.store_id))


def erase_reviews(undo: Undo, tables: ProgramTables, member_id: MemberId) -> None:
    """Delete what is about a member, and the member out of what is about others."""
    for review in list(tables.reviews.values()):
        if review.member_id == member_id:
            undo.remove(tables.reviews, review.review_id)
        elif review.other_id == member_id:
            undo.put(tables.reviews, review.review_id, replace(review, other_id=NOBODY))
    for key in [key for key in tables.watch_counts if key[2] == member_id]:
        undo.remove(tables.watch_counts, key)
    for place in [key for key, one in tables.staff.items() if one.member_id == member_id]:
        undo.remove(tables.staff, place)
