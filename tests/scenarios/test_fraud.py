"""What looks like fraud comes to a person's eyes, and what one person should not do alone waits for a second one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tallystick.core.command import Adjust, Earn
from tallystick.core.entry import Posted, Refused
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import CommandId, MemberId
from tallystick.service.directory import Cashier
from tallystick.service.errors import FailedPrecondition, NotFound, Overloaded, PermissionDenied
from tallystick.service.guesses import BUCKET_MS, MEMBER_PACE, Guesses, SharedGuesses
from tallystick.service.review_ports import NOBODY, Review, ReviewState, StaffMember
from tallystick.service.reviews import Reviews
from tallystick.storage.verify import verify
from tests.scenarios.club import Club
from tests.service.paper_till import DAY_MS, HOUR_MS, RULES, SHOP, new_id

WATCH = """\
watch:
  actions_per_day: 3
  sales_per_hour: 2
  staff_sales_per_day: 1
  enrolments_per_hour: 2
  adjust_review_points: 1000
"""


@pytest.fixture(autouse=True)
def watched(club: Club) -> None:
    """The club looks out, and has begun to."""
    club.publish(RULES + WATCH)
    looks(club)


def looks(club: Club) -> int:
    return asyncio.run(club.gateway.lookout.come_round(club.gateway.programs.get(SHOP)))


def acts(club: Club, member_id: MemberId) -> None:
    club.wait(60_000)
    command = Earn(CommandId(new_id()), member_id, club.origin(), 10, "review")
    assert isinstance(club.send(command).decision, Posted)


class TestFarming:
    def test_more_actions_in_a_day_than_the_rule_set_says_are_listed_once_a_day(self, club: Club) -> None:
        ann, ben = club.joined(), club.joined()
        for _ in range(3):
            acts(club, ann)
            acts(club, ben)
        assert looks(club) == 0
        acts(club, ann)
        assert looks(club) == 1
        acts(club, ann)
        assert looks(club) == 0, "one row for its day"
        (review,) = club.open_reviews("many_actions")
        assert (review.member_id, review.facts, review.holds) == (ann, {"actions": "4", "hours": "24"}, False)
        assert club.active(ann) == 50, "it is listed, and nothing is held back"
        club.wait(DAY_MS)
        for _ in range(4):
            acts(club, ann)
        assert looks(club) == 1

    def test_actions_of_the_rule_set_count_alike(self, club: Club) -> None:
        club.publish(
            RULES
            + WATCH
            + "actions:\n  - {id: survey, name: Survey, points: 5, limit: {count: 9, per: day}}\n"
        )
        ann = club.joined()
        for _ in range(4):
            command = Earn(CommandId(new_id()), ann, club.origin(), 0, "", action_id="survey")
            assert isinstance(club.send(command).decision, Posted)
        assert looks(club) == 1
        assert club.active(ann) == 20

    def test_actions_that_are_a_day_apart_are_not_many(self, club: Club) -> None:
        ann = club.joined()
        for _ in range(6):
            acts(club, ann)
            club.wait(10 * HOUR_MS)
        assert looks(club) == 0

    def test_points_for_recommendations_are_no_actions(self, club: Club) -> None:
        ann = club.joined()
        for _ in range(5):
            command = Earn(CommandId(new_id()), ann, club.origin(), 500, "referral", why="referral")
            assert isinstance(club.send(command).decision, Posted)
        assert looks(club) == 0


class TestSales:
    def test_many_sales_of_one_member_at_one_till_within_an_hour_are_listed(self, club: Club) -> None:
        ann, ben = club.joined(), club.joined()
        for _ in range(3):
            club.buys(ann, 1000)
            club.wait(10 * 60_000)
        for _ in range(3):
            club.buys(ben, 1000)
            club.wait(31 * 60_000)
        assert looks(club) == 1
        (review,) = club.open_reviews("many_sales")
        facts = {"store_id": "s1", "till_id": "online-till", "sales": "3", "hours": "1"}
        assert (review.member_id, review.facts) == (ann, facts)

    def test_of_an_account_that_several_people_share_it_is_said_how_many(self, club: Club) -> None:
        ann, home = club.joined(), MemberId(new_id())
        club.gateway.households.create(SHOP, home, ann)
        for _ in range(3):
            club.buys(home, 1000)
        assert looks(club) == 1
        (review,) = club.open_reviews("many_sales")
        assert (review.member_id, review.facts["people"]) == (home, "1")

    def test_what_was_found_is_found_again_by_a_process_that_takes_over(self, club: Club) -> None:
        """The place moves last; between finding and moving nothing can be lost, and nothing is listed twice."""
        ann = club.joined()
        for _ in range(3):
            club.buys(ann, 1000)
        place = club.store.watch_place(SHOP)
        assert looks(club) == 1
        assert place is not None
        found = club.store.watch_place(SHOP)
        assert found is not None
        assert club.store.move_watch_place(SHOP, type(place)(place.lanes, found.moves))
        assert looks(club) == 0
        assert len(club.open_reviews("many_sales")) == 1

    def test_of_two_processes_that_look_at_once_one_moves_the_place(self, club: Club) -> None:
        place = club.store.watch_place(SHOP)
        assert place is not None
        assert club.store.move_watch_place(SHOP, place)
        assert not club.store.move_watch_place(SHOP, place)


class TestStaff:
    def test_staff_who_earn_on_many_sales_at_their_own_store_are_listed(self, club: Club) -> None:
        ann, ben = club.joined(), club.joined()
        club.store.put_cashier(SHOP, Cashier("s1", "ann", "Ann", active=True, pin_hash=""))
        club.gateway.reviews.set_staff(SHOP, StaffMember("s1", "ann", ann))
        for store_id in ("s1", "s2", "s2"):
            club.buys(ann, 1000, store_id)
        assert looks(club) == 0, "elsewhere they are customers"
        for member_id in (ann, ben, ben):
            club.buys(member_id, 1000)
            club.wait(2 * HOUR_MS)
        assert looks(club) == 1
        (review,) = club.open_reviews("staff_sales")
        facts = {"store_id": "s1", "cashier_id": "ann", "sales": "2", "hours": "24"}
        assert (review.member_id, review.facts) == (ann, facts)

    def test_staff_who_earn_for_their_household_are_listed_as_the_persons_they_are(self, club: Club) -> None:
        ann, home = club.joined(), MemberId(new_id())
        club.store.put_cashier(SHOP, Cashier("s1", "ann", "Ann", active=True, pin_hash=""))
        club.gateway.reviews.set_staff(SHOP, StaffMember("s1", "ann", ann))
        club.gateway.households.create(SHOP, home, ann)
        for _ in range(2):
            club.buys(home, 1000)
            club.wait(2 * HOUR_MS)
        assert looks(club) == 1
        (review,) = club.open_reviews("staff_sales")
        assert (review.member_id, review.facts["cashier_id"], review.facts["people"]) == (ann, "ann", "1")

    def test_only_a_cashier_of_the_store_can_be_linked_and_the_link_forgotten(self, club: Club) -> None:
        ann = club.joined()
        with pytest.raises(NotFound, match="no such cashier"):
            club.gateway.reviews.set_staff(SHOP, StaffMember("s1", "ann", ann))
        club.store.put_cashier(SHOP, Cashier("s1", "ann", "Ann", active=True, pin_hash=""))
        club.gateway.reviews.set_staff(SHOP, StaffMember("s1", "ann", ann))
        assert club.gateway.reviews.staff_of(SHOP, "s1") == [StaffMember("s1", "ann", ann)]
        club.gateway.reviews.set_staff(SHOP, StaffMember("s1", "ann", NOBODY))
        assert club.gateway.reviews.staff_of(SHOP, "s1") == []

    def test_a_till_that_enrols_members_by_the_dozen_is_listed_also_when_it_was_away(
        self, club: Club
    ) -> None:
        till = club.till()
        signed = [till.sign_up(club.gateway, new_id(), "", rule_set=3) for _ in range(3)]
        club.push(till, *signed)
        (review,) = club.open_reviews("many_enrolments")
        assert review.facts == {"till_id": till.device_id, "enrolments": "3", "enrolments_per_hour": "2"}

    def test_the_same_upload_again_counts_nobody_twice(self, club: Club) -> None:
        till = club.till()
        signed = [till.sign_up(club.gateway, new_id(), "", rule_set=3) for _ in range(2)]
        for _ in range(2):
            club.push(till, *signed)
        assert club.open_reviews("many_enrolments") == []


class TestGuessing:
    def guesser(self, club: Club) -> tuple[Callable[[], None], Callable[[], None]]:
        """Return how one guesses wrongly in a process of its own, and how one asks whether one may."""
        local, now_s = Guesses(monotonic=lambda: club.now_ms / 1000), club.gateway.now_ms
        shared = SharedGuesses(club.store, club.gateway.reviews, local, now_ms=now_s)
        ann = self.ann

        def may() -> None:
            local.require(SHOP, ann, "web")

        def wrong() -> None:
            may()
            local.wrong(SHOP, ann, "web")
            shared.count(SHOP, ann, "web")

        return wrong, may

    def test_who_guesses_at_several_processes_is_slowed_down_by_all_of_them_and_listed(
        self, club: Club
    ) -> None:
        self.ann = club.joined()
        club.wait(BUCKET_MS - club.now_ms % BUCKET_MS)
        processes = [self.guesser(club) for _ in range(4)]
        guessed = 0
        for _ in range(10):
            for wrong, _may in processes:
                try:
                    wrong()
                    guessed += 1
                except Overloaded:
                    continue
        # Each of the others has one more guess until it hears of the limit.
        assert MEMBER_PACE.per_bucket <= guessed <= MEMBER_PACE.per_bucket + len(processes) - 1
        (review,) = club.open_reviews("guessing")
        assert (review.member_id, review.facts["device_id"]) == (self.ann, "web")
        for _wrong, may in processes:
            with pytest.raises(Overloaded):
                may()
        club.wait(BUCKET_MS)
        for _wrong, may in processes:
            may()

    def test_who_guesses_slowly_and_all_day_is_listed_too(self, club: Club) -> None:
        self.ann = club.joined()
        club.wait(DAY_MS - club.now_ms % DAY_MS)
        wrong, _ = self.guesser(club)
        for _ in range(MEMBER_PACE.listed_per_day - 1):
            wrong()
            club.wait(61_000)
        assert club.open_reviews("guessing") == []
        wrong()
        assert len(club.open_reviews("guessing")) == 1

    def test_counters_do_not_outlive_their_use(self, club: Club) -> None:
        self.ann = club.joined()
        wrong, _ = self.guesser(club)
        wrong()
        club.wait(3 * DAY_MS)
        asyncio.run(club.gateway.reviews.follow(club.gateway.programs.get(SHOP)))
        assert club.store.forget_watched(SHOP, before=club.gateway.now_ms()) == 0


def adjust(club: Club, member_id: MemberId, points: int, command_id: str = "") -> Adjust:
    return Adjust(CommandId(command_id or new_id()), member_id, club.origin(), points, "goodwill")


def asks(club: Club, command: Adjust, by: str = "manager-1") -> Refused | None:
    """Ask as the gateway does; what needs no second person is posted."""
    held = club.gateway.adjustments.hold(SHOP, command, sent=fingerprint(command), asked_by=by)
    if held is None:
        club.send(command)
    return held


class TestSecondPerson:
    def test_a_large_adjustment_waits_for_a_second_person(self, club: Club) -> None:
        ann = club.joined()
        command = adjust(club, ann, 5000)
        held = asks(club, command)
        assert held is not None
        assert held.reason.name == "ADJUST_NEEDS_SECOND"
        assert dict(held.details)["state"] == "open"
        assert asks(club, command) == held, "sent again, it is the same review"
        assert club.active(ann) == 0
        (review,) = club.open_reviews("adjust")
        with pytest.raises(PermissionDenied, match="Who asked"):
            club.decides(review, ReviewState.RELEASED, by="manager-1")
        club.decides(review, ReviewState.RELEASED, by="manager-2")
        assert club.active(ann) == 5000
        assert asks(club, command) is None, "sent again, it gets the answer of the ledger"
        assert club.active(ann) == 5000
        assert verify(club.store).ok

    @pytest.mark.parametrize("points", [1000, -400])
    def test_a_small_one_does_not(self, club: Club, points: int) -> None:
        ann = club.joined()
        club.send(adjust(club, ann, 500))
        assert asks(club, adjust(club, ann, points)) is None
        assert club.active(ann) == 500 + points

    def test_taking_much_waits_as_giving_much_does(self, club: Club) -> None:
        ann = club.joined()
        club.send(adjust(club, ann, 5000))
        assert asks(club, adjust(club, ann, -1001)) is not None

    def test_what_is_refused_is_never_posted_and_who_asked_may_refuse_it(self, club: Club) -> None:
        ann = club.joined()
        command = adjust(club, ann, 5000)
        asks(club, command)
        (review,) = club.open_reviews("adjust")
        club.decides(review, ReviewState.REFUSED, by="manager-1")
        held = asks(club, command)
        assert held is not None
        assert dict(held.details)["state"] == "refused"
        with pytest.raises(FailedPrecondition, match="refused before"):
            club.decides(review, ReviewState.RELEASED, by="manager-2")
        assert club.active(ann) == 0

    def test_other_content_under_the_same_id_is_refused(self, club: Club) -> None:
        ann = club.joined()
        command = adjust(club, ann, 5000)
        asks(club, command)
        other = asks(club, adjust(club, ann, 9000, command.command_id))
        assert other is not None
        assert other.reason.name == "COMMAND_ID_REUSED"

    def test_a_process_that_dies_after_the_decision_leaves_the_posting_to_the_next_round(
        self, club: Club
    ) -> None:
        ann = club.joined()
        asks(club, adjust(club, ann, 5000))
        (review,) = club.open_reviews("adjust")
        now = club.gateway.now_ms()
        club.store.decide_review(
            SHOP, review.review_id, ReviewState.RELEASED, by="manager-2", note="", now=now
        )
        assert club.active(ann) == 0
        program = club.gateway.programs.get(SHOP)
        assert asyncio.run(club.gateway.reviews.follow(program)) == 1
        assert asyncio.run(club.gateway.reviews.follow(program)) == 0
        assert club.active(ann) == 5000

    def test_a_hook_that_fails_is_called_again(self, club: Club) -> None:
        calls = []

        async def hook(program_id: str, review: Review) -> None:
            calls.append((program_id, review.state))
            if len(calls) == 1:
                raise ValueError("a fault of ours")

        reviews: Reviews = club.gateway.reviews
        reviews.on_decided("test", hook)
        review = reviews.add(SHOP, "test", club.joined(), {}, "1", holds=True)
        assert review is not None
        with pytest.raises(ValueError, match="a fault"):
            club.decides(review, ReviewState.RELEASED)
        assert not reviews.is_held(SHOP, "test", review.member_id, "1")
        program = club.gateway.programs.get(SHOP)
        for _ in range(2):
            asyncio.run(reviews.follow(program))
        assert calls == [(SHOP, ReviewState.RELEASED)] * 2


def test_what_is_about_a_member_goes_with_the_member(club: Club) -> None:
    ann, ben = club.joined(), club.joined()
    asks(club, adjust(club, ann, 5000))
    reviews = club.gateway.reviews
    reviews.add(SHOP, "test", ben, {}, "1", other_id=ann)
    club.store.count_watched(SHOP, "guessing", ann, bucket=club.gateway.now_ms())
    club.store.put_staff(SHOP, StaffMember("s1", "ann", ann))
    club.gateway.members.erase(SHOP, ann)
    assert [(one.member_id, one.other_id) for one in club.open_reviews("")] == [(ben, NOBODY)]
    assert club.store.staff_of_store(SHOP, "s1") == []
    club.wait(1)
    assert club.store.forget_watched(SHOP, before=club.gateway.now_ms()) == 0
    assert reviews.add(SHOP, "test", ann, {}, "2") is None, "and nothing new is kept of who has gone"
