"""Reviews, counters, staff and states of recommendations: each store keeps them in the same way."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tallystick.core.ids import MemberId, Ms
from tallystick.service.referral_ports import (
    WAITING,
    Referral,
    ReferralState,
    ReferralSums,
    Room,
)
from tallystick.service.review_ports import NOBODY, Review, ReviewState, StaffMember, WatchPlace
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, Books, command_id, member, member_id, program

ANN, BEN, EVE = member_id(1), member_id(2), member_id(3)


@pytest.fixture
def people(store: Store) -> Store:
    for program_id in (PROGRAM, OTHER_PROGRAM):
        store.create_program(program(program_id))
        for number in (1, 2, 3):
            store.enrol(program_id, member(number), [])
    return store


def review(number: int, **more: object) -> Review:
    found = Review(command_id(number), "referral", ANN, BEN, {"reason": "burst", "när": "i går"}, NOW)
    return replace(found, **more)  # type: ignore[arg-type]


def listed(store: Store, state: ReviewState | None = None, kind: str = "", limit: int = 10) -> list[str]:
    found = store.reviews(PROGRAM, state=state, kind=kind, before=None, limit=limit)
    return [one.review_id for one in found]


def decided(store: Store, one: Review, state: ReviewState = ReviewState.RELEASED) -> Review | None:
    return store.decide_review(PROGRAM, one.review_id, state, by="ann", note="fine", now=Ms(NOW + 5))


class TestReviews:
    def test_what_is_added_is_there_as_it_was_and_only_once(self, people: Store) -> None:
        first = review(1, holds=True, asked_by="desk", held='{"points": 5}')
        assert people.add_review(PROGRAM, first) == first
        assert people.add_review(PROGRAM, replace(first, facts={}, made_ms=Ms(NOW + 9))) == first
        assert people.review(PROGRAM, first.review_id) == first
        assert people.review(OTHER_PROGRAM, first.review_id) is None

    def test_one_may_be_about_nobody(self, people: Store) -> None:
        of_device = review(1, member_id=NOBODY, other_id=NOBODY)
        people.add_review(PROGRAM, of_device)
        assert people.review(PROGRAM, of_device.review_id) == of_device

    @pytest.mark.parametrize("names", [{"member_id": EVE}, {"other_id": EVE}, {"member_id": member_id(9)}])
    def test_nothing_is_kept_about_who_has_gone(self, people: Store, names: dict[str, MemberId]) -> None:
        people.erase(PROGRAM, EVE)
        assert people.add_review(PROGRAM, review(1, **names)) is None

    def test_the_list_is_newest_first_and_goes_on_behind_any_of_them(self, people: Store) -> None:
        for number, at_ms in ((1, NOW), (2, NOW + 1), (3, NOW + 1), (4, NOW + 2)):
            people.add_review(
                PROGRAM, review(number, made_ms=Ms(at_ms), kind="adjust" if number == 2 else "a")
            )
        order = [command_id(number) for number in (4, 3, 2, 1)]
        assert listed(people) == order
        for at, review_id in enumerate(order):
            last = people.review(PROGRAM, review_id)
            assert last is not None
            rest = people.reviews(PROGRAM, state=None, kind="", before=(last.made_ms, review_id), limit=2)
            assert [one.review_id for one in rest] == order[at + 1 : at + 3]
        of_ann = people.reviews_of(PROGRAM, ANN, limit=3)
        assert [one.review_id for one in of_ann] == order[:3]
        assert people.reviews_of(PROGRAM, BEN, limit=3) == []
        assert listed(people, kind="adjust") == [command_id(2)]
        assert listed(people, limit=1) == order[:1]

    def test_the_first_decision_stands(self, people: Store) -> None:
        people.add_review(PROGRAM, review(1))
        first = decided(people, review(1))
        assert first is not None
        told = (first.state, first.decided_ms, first.decided_by, first.note)
        assert told == (ReviewState.RELEASED, NOW + 5, "ann", "fine")
        assert decided(people, review(1), ReviewState.REFUSED) == first
        assert decided(people, review(2)) is None
        assert listed(people, ReviewState.OPEN) == []
        assert listed(people, ReviewState.RELEASED) == [command_id(1)]

    def test_what_waited_is_followed_once_it_is_decided_and_until_it_went_on(self, people: Store) -> None:
        for number, holds in ((1, True), (2, True), (3, False)):
            people.add_review(PROGRAM, review(number, holds=holds))
        decided(people, review(1))
        decided(people, review(3))
        (waiting,) = people.reviews_to_follow(PROGRAM, limit=10)
        assert waiting.review_id == command_id(1)
        assert people.forget_reviews(PROGRAM, before=Ms(NOW + 9)) == 1, "the one behind which nothing waits"
        people.review_followed(PROGRAM, command_id(1))
        assert people.reviews_to_follow(PROGRAM, limit=10) == []
        assert people.forget_reviews(PROGRAM, before=Ms(NOW + 5)) == 0
        assert people.forget_reviews(PROGRAM, before=Ms(NOW + 6)) == 1
        assert listed(people) == [command_id(2)]

    def test_erasing_a_member_takes_the_member_out(self, people: Store) -> None:
        people.add_review(PROGRAM, review(1))
        people.add_review(PROGRAM, review(2, member_id=BEN, other_id=ANN))
        people.put_staff(PROGRAM, StaffMember("s1", "ann", ANN))
        people.count_watched(PROGRAM, "guessing", ANN, bucket=NOW)
        people.erase(PROGRAM, ANN)
        assert listed(people) == [command_id(2)]
        left = people.review(PROGRAM, command_id(2))
        assert left is not None
        assert left.other_id == NOBODY
        assert people.staff_of_store(PROGRAM, "s1") == []
        assert people.count_watched(PROGRAM, "guessing", ANN, bucket=NOW) == 1


class TestCounters:
    def test_each_counts_for_itself(self, people: Store) -> None:
        count = people.count_watched
        assert [count(PROGRAM, "a", "till", bucket=NOW) for _ in range(3)] == [1, 2, 3]
        assert count(PROGRAM, "b", "till", bucket=NOW) == 1
        assert count(PROGRAM, "a", "other", bucket=NOW) == 1
        assert count(PROGRAM, "a", "till", bucket=Ms(NOW + 1)) == 1
        assert count(OTHER_PROGRAM, "a", "till", bucket=NOW) == 1
        assert people.forget_watched(PROGRAM, before=Ms(NOW + 1)) == 3
        assert count(PROGRAM, "a", "till", bucket=NOW) == 1

    def test_who_counts_at_once_misses_nothing(self, people: Store) -> None:
        found: list[int] = []

        def work() -> None:
            count = people.count_watched
            found.extend([count(PROGRAM, "a", "till", bucket=NOW) for _ in range(10)])

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(found) == list(range(1, 31))

    def test_the_place_is_moved_by_one_of_two(self, people: Store) -> None:
        assert people.watch_place(PROGRAM) is None
        assert people.move_watch_place(PROGRAM, WatchPlace({0: 3, 2: 1}))
        assert not people.move_watch_place(PROGRAM, WatchPlace({0: 9}))
        place = people.watch_place(PROGRAM)
        assert place == WatchPlace({0: 3, 2: 1}, 1)
        assert people.move_watch_place(PROGRAM, WatchPlace({0: 4}, 1))
        assert not people.move_watch_place(PROGRAM, WatchPlace({0: 5}, 1))
        assert people.watch_place(PROGRAM) == WatchPlace({0: 4}, 2)
        assert people.watch_place(OTHER_PROGRAM) is None


class TestStaff:
    def test_a_cashier_is_one_member_and_may_work_in_two_stores(self, people: Store) -> None:
        for one in (
            StaffMember("s1", "ann", BEN),
            StaffMember("s1", "ann", ANN),
            StaffMember("s2", "a", ANN),
        ):
            assert people.put_staff(PROGRAM, one)
        assert people.staff_of_store(PROGRAM, "s1") == [StaffMember("s1", "ann", ANN)]
        both = [StaffMember("s1", "ann", ANN), StaffMember("s2", "a", ANN)]
        assert list(people.staff_among(PROGRAM, {ANN, BEN})) == both
        assert list(people.staff_among(PROGRAM, ())) == []
        assert people.put_staff(PROGRAM, StaffMember("s1", "ann", NOBODY))
        assert people.staff_of_store(PROGRAM, "s1") == []

    def test_who_is_gone_works_nowhere(self, people: Store) -> None:
        people.erase(PROGRAM, ANN)
        assert not people.put_staff(PROGRAM, StaffMember("s1", "ann", ANN))


class TestReferralStates:
    def test_a_step_is_made_by_one_of_two(self, people: Store) -> None:
        noted = Referral(ANN, BEN, NOW, due_ms=Ms(NOW + 5))
        people.add_referral(PROGRAM, noted)
        to = replace(
            noted,
            state=ReferralState.BOUGHT,
            sale_id=command_id(7),
            seen_seq=3,
            changed_ms=Ms(NOW + 1),
            reason="chain",
            cleared=True,
            referrer_points=5,
            joiner_points=2,
        )
        moved = people.move_referral(PROGRAM, to)
        assert moved == replace(to, moves=1)
        assert people.referral(PROGRAM, ANN) == moved
        assert people.move_referral(PROGRAM, to) is None, "it has moved since it was read"
        assert people.move_referral(OTHER_PROGRAM, moved) is None
        people.erase(PROGRAM, BEN)
        assert people.move_referral(PROGRAM, moved) is None

    def test_what_is_due_is_found_and_what_has_news(self, people: Store, books: Books) -> None:
        people.add_referral(PROGRAM, Referral(ANN, BEN, NOW, due_ms=Ms(NOW + 5)))
        people.add_referral(PROGRAM, Referral(EVE, BEN, NOW, due_ms=Ms(NOW + 9)))

        def due(at_ms: int, after: MemberId | None = None, limit: int = 10) -> list[MemberId]:
            found = people.referrals_due(PROGRAM, WAITING, now=Ms(at_ms), after=after, limit=limit)
            return [one.member_id for one in found]

        assert due(NOW + 4) == []
        assert due(NOW + 5) == [ANN]
        assert due(NOW + 9) == [ANN, EVE]
        assert due(NOW + 9, limit=1) == [ANN]
        assert due(NOW + 9, after=ANN) == [EVE]
        books.post((3, books.earn(1)))
        assert due(NOW) == [EVE], "the joiner has entries that nobody has looked at"
        eve = people.referral(PROGRAM, EVE)
        assert eve is not None
        people.move_referral(PROGRAM, replace(eve, seen_seq=1))
        assert due(NOW) == []
        paying = (ReferralState.PAYING,)
        assert people.referrals_due(PROGRAM, paying, now=Ms(NOW + 99), after=None, limit=10) == []
        for state in (ReferralState.HELD, ReferralState.PAID, ReferralState.LAPSED, ReferralState.REFUSED):
            eve = people.referral(PROGRAM, EVE)
            assert eve is not None
            people.move_referral(PROGRAM, replace(eve, state=state, due_ms=Ms(0)))
            assert due(NOW + 99) == [ANN]

    def test_a_referrer_has_room_for_so_many_since_an_instant(self, people: Store) -> None:
        for one in (ANN, EVE):
            people.add_referral(PROGRAM, Referral(one, BEN, NOW))
        first, second = people.referral(PROGRAM, ANN), people.referral(PROGRAM, EVE)
        assert first is not None
        assert second is not None
        room = Room(NOW, 1)
        paying = {"state": ReferralState.PAYING, "changed_ms": NOW, "referrer_points": 5}
        moved = people.move_referral(PROGRAM, replace(first, **paying), room=room)  # type: ignore[arg-type]
        assert moved is not None
        wanted = replace(second, **paying)  # type: ignore[arg-type]
        assert people.move_referral(PROGRAM, wanted, room=room) is None
        people.move_referral(PROGRAM, replace(moved, state=ReferralState.PAID))
        assert people.move_referral(PROGRAM, wanted, room=room) is None, "what is paid takes the room too"
        assert people.referral_sums(PROGRAM, BEN) == ReferralSums(2, 1, 1, 5)
        assert people.move_referral(PROGRAM, wanted, room=Room(Ms(NOW + 1), 1)) is not None
        assert people.referral_sums(PROGRAM, BEN) == ReferralSums(2, 1, 1, 5)
        assert people.referral_sums(PROGRAM, ANN) == ReferralSums()

    def test_who_came_by_a_referrer_is_counted_by_the_instant(self, people: Store) -> None:
        people.add_referral(PROGRAM, Referral(ANN, BEN, NOW))
        people.add_referral(PROGRAM, Referral(EVE, BEN, Ms(NOW + 1)))

        def count(since: int, until: int, referrer: MemberId = BEN) -> int:
            return people.count_referrals(PROGRAM, referrer, since=Ms(since), until=Ms(until))

        assert [count(NOW, NOW + 2), count(NOW + 1, NOW + 2), count(NOW, NOW + 1)] == [2, 1, 1]
        assert count(NOW, NOW + 2, ANN) == 0
