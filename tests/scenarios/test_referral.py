"""Recommendations: points for both, once the new member has bought, kept the goods, and nothing looks like fraud."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.ids import MemberId
from tallystick.service.errors import FailedPrecondition
from tallystick.service.referral_ports import ReferralState, ReferralSums
from tallystick.service.review_ports import Review, ReviewState
from tallystick.storage.open import Store, open_store
from tallystick.storage.verify import verify
from tests.scenarios.club import PLAN, Club
from tests.service.paper_till import DAY_MS, HOUR_MS, RULES, SHOP, START_MS


def test_both_get_points_once_the_return_window_of_the_first_purchase_is_over(club: Club) -> None:
    ann = club.joined()
    ben = club.joined(by=ann)
    club.buys(ben, 4000)
    assert club.days_go_by(13) == 0
    assert (club.state(ben), club.given(ann), club.given(ben)) == ("BOUGHT", 0, 0)
    assert club.days_go_by(1) == 1
    assert (club.state(ben), club.given(ann), club.given(ben)) == ("PAID", 500, 100)
    assert club.active(ann) == 500, "spendable at once: the window is over"
    assert club.days_go_by(30) == 0
    assert club.given(ann) == 500
    assert verify(club.store).ok


@pytest.mark.parametrize(
    ("wrong", "expected", "found"),
    [
        ({"referrer_points": 600}, "500 points for the referrer", "600"),
        ({"joiner_points": 0}, "100 points for the joiner", "0"),
        ({"state": ReferralState.REFUSED}, "500 points for the referrer", "0"),
    ],
)
def test_what_the_ledger_did_not_give_is_found_by_verification(
    club: Club, wrong: dict[str, Any], expected: str, found: str
) -> None:
    ann = club.joined()
    ben = club.joined(by=ann)
    club.buys(ben, 4000)
    club.days_go_by(14)
    paid = club.store.referral(SHOP, ben)
    assert paid is not None
    assert club.store.move_referral(SHOP, replace(paid, **wrong))
    problem = verify(club.store).problems[0]
    assert (problem.table, problem.expected, problem.found) == ("referral", expected, found)
    assert str(ben) in str(problem)


def test_a_purchase_that_is_too_small_does_not_count_and_a_later_one_does(club: Club) -> None:
    ann = club.joined()
    ben = club.joined(by=ann)
    club.buys(ben, 2999)
    assert club.days_go_by(20) == 0
    assert club.state(ben) == "NOTED"
    club.buys(ben, 3000)
    assert club.days_go_by(14) == 1


@pytest.mark.parametrize(("kept", "state"), [(3000, "PAID"), (2999, "NOTED")])
def test_what_comes_back_in_the_window_is_taken_off(club: Club, kept: int, state: str) -> None:
    ann = club.joined()
    ben = club.joined(by=ann)
    sale_id = club.buys(ben, 5000)
    club.days_go_by(1)
    club.brings_back(ben, sale_id, 5000 - kept)
    club.days_go_by(13)
    assert club.state(ben) == state


def test_a_sale_that_was_rung_up_by_mistake_brings_nothing(club: Club) -> None:
    ann = club.joined()
    ben = club.joined(by=ann)
    club.days_go_by(1)
    club.undoes(ben, club.buys(ben, 5000))
    club.days_go_by(1)
    assert club.state(ben) == "NOTED"


def test_another_purchase_counts_when_the_first_came_back(club: Club) -> None:
    ann = club.joined()
    ben = club.joined(by=ann)
    first = club.buys(ben, 5000)
    club.days_go_by(1)
    club.buys(ben, 4000)
    club.brings_back(ben, first, 5000)
    assert club.days_go_by(13) == 0
    assert club.days_go_by(2) == 1


def test_who_does_not_buy_in_time_brings_nothing_for_ever(club: Club) -> None:
    ann = club.joined()
    ben = club.joined(by=ann)
    club.days_go_by(31)
    club.buys(ben, 9000)
    club.days_go_by(30)
    assert (club.state(ben), club.reason(ben)) == ("LAPSED", "no_purchase")
    assert club.given(ann) == 0


def test_of_one_referrer_no_more_are_paid_than_the_rule_set_says(club: Club) -> None:
    club.publish(RULES + PLAN + "  limit: {count: 2, per: year}\n")
    ann = club.joined()
    friends = [club.joined(by=ann) for _ in range(3)]
    for friend in friends:
        club.buys(friend, 4000)
    assert club.days_go_by(14) == 2
    assert sorted(map(club.state, friends)) == ["PAID", "PAID", "REFUSED"]
    assert club.given(ann) == 1000


def test_who_is_blocked_is_paid_when_the_block_is_lifted(club: Club) -> None:
    ann = club.joined()
    ben = club.joined(by=ann)
    club.buys(ben, 4000)
    club.gateway.members.set_blocked(SHOP, ann, blocked=True)
    assert club.days_go_by(15) == 0
    club.gateway.members.set_blocked(SHOP, ann, blocked=False)
    assert club.days_go_by(2) == 1


@pytest.mark.parametrize("gone", ["referrer", "joiner"])
def test_nothing_is_known_or_paid_when_one_of_the_two_has_gone(club: Club, gone: str) -> None:
    ann = club.joined()
    ben = club.joined(by=ann)
    club.buys(ben, 4000)
    club.days_go_by(1)
    club.gateway.members.erase(SHOP, ann if gone == "referrer" else ben)
    assert club.days_go_by(14) == 0
    assert (club.state(ben), club.given(ann), club.given(ben)) == ("", 0, 0)


def test_without_the_section_nothing_is_paid_but_what_was_promised_is(club: Club) -> None:
    ann = club.joined()
    ben, eve = club.joined(by=ann), club.joined(by=ann)
    club.buys(ben, 4000)
    club.days_go_by(14)
    club.buys(eve, 4000)
    club.publish(RULES)
    assert club.days_go_by(20) == 0
    assert (club.state(ben), club.state(eve)) == ("PAID", "NOTED")


def same_mailbox(club: Club, ann: MemberId, ben: MemberId) -> None:
    club.gateway.members.update_profile(SHOP, ann, {"email": "ann@shop.example"})
    club.gateway.members.update_profile(SHOP, ben, {"email": "Ann+bonus@shop.example"})


def same_phone(club: Club, ann: MemberId, ben: MemberId) -> None:
    club.gateway.members.update_profile(SHOP, ann, {"phone": "+46 70 123 45 67"})
    club.gateway.members.update_profile(SHOP, ben, {"phone": "070-1234567"})


def phone_of_a_third(club: Club, ann: MemberId, ben: MemberId) -> None:
    assert ann != ben
    club.joined(text="+46701234567")
    club.gateway.members.update_profile(SHOP, ben, {"phone": "+46701234567"})


@pytest.mark.parametrize(
    ("alike", "by"), [(same_mailbox, "mailbox"), (same_phone, "phone"), (phone_of_a_third, "identifier")]
)
def test_the_same_person_again_waits_for_somebody_to_look(
    club: Club, alike: Callable[[Club, MemberId, MemberId], None], by: str
) -> None:
    ann = club.joined()
    ben = club.joined(by=ann)
    alike(club, ann, ben)
    club.buys(ben, 4000)
    assert club.days_go_by(20) == 0
    (review,) = club.open_reviews()
    assert (review.member_id, review.other_id) == (ben, ann)
    assert review.facts == {"reason": "same_person", "by": by}
    assert (club.state(ben), club.reason(ben)) == ("HELD", "same_person")


def test_a_chain_of_one_day_waits_and_a_slow_one_does_not(club: Club) -> None:
    ann = club.joined()
    ben = club.joined(by=ann)
    eve = club.joined(by=ben)
    club.days_go_by(2)
    ida = club.joined(by=eve)
    for member_id in (ben, eve, ida):
        club.buys(member_id, 4000)
    assert club.days_go_by(14) == 2
    assert [club.state(one) for one in (ben, eve, ida)] == ["PAID", "HELD", "PAID"]
    assert club.reason(eve) == "chain"


def test_a_burst_of_one_referrer_waits(club: Club) -> None:
    club.publish(RULES + PLAN + "  burst_per_day: 2\n")
    ann = club.joined()
    friends = [club.joined(by=ann) for _ in range(3)]
    for friend in friends:
        club.buys(friend, 4000)
    assert club.days_go_by(15) == 0
    assert [club.reason(friend) for friend in friends] == ["burst"] * 3
    assert {review.facts["joined_that_day"] for review in club.open_reviews()} == {"3"}


def test_as_many_as_the_rule_set_allows_on_a_day_are_no_burst(club: Club) -> None:
    club.publish(RULES + PLAN + "  burst_per_day: 3\n")
    ann = club.joined()
    for friend in [club.joined(by=ann) for _ in range(3)]:
        club.buys(friend, 4000)
    assert club.days_go_by(15) == 3


def held(club: Club) -> tuple[MemberId, MemberId, Review]:
    ann = club.joined()
    ben = club.joined(by=ann)
    same_mailbox(club, ann, ben)
    club.buys(ben, 4000)
    club.days_go_by(1)
    (review,) = club.open_reviews()
    return ann, ben, review


def test_what_was_held_is_paid_when_somebody_releases_it(club: Club) -> None:
    ann, ben, review = held(club)
    club.days_go_by(20)
    club.decides(review, ReviewState.RELEASED)
    assert (club.state(ben), club.given(ann), club.given(ben)) == ("PAID", 500, 100)
    club.decides(review, ReviewState.RELEASED)
    assert club.days_go_by(20) == 0
    assert club.given(ann) == 500


def test_what_is_released_early_still_waits_for_the_return_window(club: Club) -> None:
    ann, ben, review = held(club)
    club.decides(review, ReviewState.RELEASED)
    assert (club.state(ben), club.given(ann)) == ("BOUGHT", 0)
    assert club.days_go_by(13) == 1


def test_what_somebody_refuses_has_ended(club: Club) -> None:
    ann, ben, review = held(club)
    club.decides(review, ReviewState.REFUSED)
    assert (club.state(ben), club.days_go_by(30), club.given(ann)) == ("REFUSED", 0, 0)
    with pytest.raises(FailedPrecondition, match="refused before"):
        club.decides(review, ReviewState.RELEASED)


def test_the_referrer_sees_what_came_of_it_and_nobodys_name(club: Club) -> None:
    ann = club.joined()
    friends = [club.joined(by=ann) for _ in range(3)]
    club.buys(friends[0], 4000)
    club.days_go_by(14)
    assert club.store.referral_sums(SHOP, ann) == ReferralSums(3, 2, 1, 500)


def test_a_till_that_was_away_tells_of_the_purchase_later_and_it_counts(club: Club) -> None:
    """A till without a line posts the sale when it is back; the window counts from the purchase."""
    ann = club.joined()
    ben = club.joined(by=ann)
    till = club.till()
    club.wait(HOUR_MS)
    till.now_ms = club.now_ms
    sale = till.sale(ben, 4000, rule_set=2)
    assert club.days_go_by(10) == 0
    club.push(till, sale)
    assert club.days_go_by(3) == 0
    assert club.days_go_by(2) == 1
    assert club.given(ann) == 500


@pytest.mark.parametrize("dies_at", range(1, 9))
def test_a_process_that_dies_anywhere_leaves_nothing_unpaid_and_pays_nothing_twice(
    tmp_path: Path, dies_at: int
) -> None:
    """The process is gone behind its first, second ... call of the store or of the lane; another one comes round."""
    club = Club(tmp_path, open_store("memory:", now_ms=lambda: START_MS))
    ann = club.joined()
    ben = club.joined(by=ann)
    club.buys(ben, 4000)
    club.comes_round()
    club.wait(14 * DAY_MS)
    payouts, life = club.gateway.payouts, Life(dies_at)
    payouts._store, payouts._lane = Mortal(club.store, life), Mortal(club.gateway.lane, life)  # type: ignore[assignment]
    with contextlib.suppress(Killed):
        club.comes_round()
    payouts._store, payouts._lane = club.store, club.gateway.lane
    club.wait(HOUR_MS)
    club.comes_round()
    assert (club.state(ben), club.given(ann), club.given(ben)) == ("PAID", 500, 100)
    assert verify(club.store).ok
    club.close()


def test_three_processes_that_come_round_at_once_pay_each_recommendation_once(
    shared: Store, tmp_path: Path
) -> None:
    club = Club(tmp_path, shared)
    club.publish(RULES + PLAN + "  limit: {count: 7, per: year}\n  burst_per_day: 0\n")
    ann = club.joined()
    friends = [club.joined(by=ann) for _ in range(10)]
    for friend in friends:
        club.buys(friend, 4000)
    club.comes_round()
    club.wait(14 * DAY_MS)
    with ExitStack() as stack:
        others = [stack.enter_context(contextlib.closing(club.another())) for _ in range(2)]
        program = club.gateway.programs.get(SHOP)
        rounds = [one.payouts.come_round for one in (club.gateway, *others)]
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda come_round: asyncio.run(come_round(program)), rounds))
    assert Counter(map(club.state, friends)) == {"PAID": 7, "REFUSED": 3}
    assert club.given(ann) == 7 * 500
    assert [club.given(friend) for friend in friends if club.state(friend) == "PAID"] == [100] * 7
    assert verify(shared).ok
    club.close()


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Life:
    """How many calls a process has left."""

    calls: int


class Mortal:
    """Something whose process dies as soon as the last of so many calls has done its work."""

    def __init__(self, real: object, life: Life) -> None:
        self._real = real
        self._life = life

    def __getattr__(self, name: str) -> Callable[..., object]:
        call = getattr(self._real, name)

        def last() -> None:
            self._life.calls -= 1
            if self._life.calls == 0:
                raise Killed

        async def awaited(*args: object, **kwargs: object) -> object:
            result = await call(*args, **kwargs)
            last()
            return result

        def done(*args: object, **kwargs: object) -> object:
            result = call(*args, **kwargs)
            last()
            return result

        return awaited if inspect.iscoroutinefunction(call) else done
