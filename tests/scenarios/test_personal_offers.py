"""Personal offers as a retailer would tell them: who is offered what because of what they bought, and who is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.command import ReturnLine
from tallystick.core.entry import Refusal
from tallystick.core.ids import MemberId
from tallystick.core.rules.experiment import group_of, held_out
from tallystick.service.segments import Segments
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.core.world import at, basket, line
from tests.service.coupons import CouponDesk
from tests.service.desk import ANN, BEN

BACK: dict[str, Any] = {"id": "back", "kind": "money_off", "amount_minor": 500, "code": "BACK-5"}
TEA: dict[str, Any] = {"id": "tea", "kind": "percent_off", "percent": 20, "category": "tea", "code": "TEA-20"}
SLEEPING = {"id": "sleeping", "name": "Asleep", "not_bought_for_days": 60}
DRINKERS = {"id": "drinkers", "bought": {"category": "tea", "times_min": 2, "within_days": 90}}
COME_BACK = {"id": "come-back", "name": "We miss you", "segment": "sleeping", "coupon": "back", "days": 14}
MORE_TEA = {"id": "more-tea", "name": "More tea", "segment": "drinkers", "coupon": "tea"}
NEW: dict[str, Any] = {"segments": [SLEEPING, DRINKERS], "offers": [COME_BACK, MORE_TEA]}

Open = Callable[..., "Club"]


class Club:
    """The desk of a program with segments, and what its members see."""

    def __init__(self, store: Store, **rules: Any) -> None:
        self.store = store
        self.desk = CouponDesk(store, coupons=[BACK, TEA], **{**NEW, **rules})
        self.segments = Segments(store, self.desk.book, now_ms=lambda: self.desk.now)

    def on(self, day: str) -> None:
        self.desk.now = at(day)

    def night(self) -> dict[str, int]:
        """The night's round; return how many members each segment has."""
        return {one.segment_id: one.members for one in self.segments.refresh(self.desk.program_id)}

    def buys(self, who: MemberId, *codes: str, article: str = "shoes", amount: int = 2_000) -> Any:
        goods = line(amount, sku=article, categories=("tea",) if "tea" in article else ())
        return self.desk.posted(self.desk.buys(*codes, amount=goods, member=who))  # type: ignore[arg-type]

    def refused(self, who: MemberId, *codes: str) -> Refusal:
        return self.desk.refused(self.desk.buys(*codes, member=who))

    def offered(self, who: MemberId) -> list[tuple[str, str]]:
        """What the member's card shows: the name of the offer and its code."""
        shown = self.desk.coupons.coupons_of(self.desk.program_id, who)
        return [(one.offer.name if one.offer else "", one.code) for one in shown]


@pytest.fixture
def open_club(shared: Store) -> Iterator[Open]:
    clubs: list[Club] = []

    def opened(**rules: Any) -> Club:
        clubs.append(Club(shared, **rules))
        return clubs[-1]

    yield opened
    for club in clubs:
        club.desk.close()
    report = verify(shared)
    assert report.ok, report.first


def test_who_has_not_bought_for_two_months_is_asked_back_and_nobody_else(open_club: Open) -> None:
    club = open_club()
    club.on("2026-01-15T12:00")
    club.buys(ANN)
    club.on("2026-03-10T12:00")
    club.buys(BEN)
    club.on("2026-03-17T02:00")
    assert club.night() == {"sleeping": 1, "drinkers": 0}
    assert club.offered(ANN) == [("We miss you", "BACK-5")]
    assert club.offered(BEN) == []
    assert club.refused(BEN, "BACK-5") is Refusal.COUPON_NOT_FOR_MEMBER
    assert club.buys(ANN, "back 5").detail.payable_minor == 1_500
    assert club.night() == {"sleeping": 0, "drinkers": 0}, "who buys is awake"
    assert club.offered(ANN) == []


def test_an_offer_of_fourteen_days_ends_when_they_are_over(open_club: Open) -> None:
    club = open_club()
    club.on("2026-01-01T12:00")
    club.buys(ANN)
    club.on("2026-03-15T02:00")
    club.night()
    club.on("2026-03-20T02:00")
    club.night()
    (shown,) = club.desk.coupons.coupons_of(club.desk.program_id, ANN)
    assert shown.ends_ms == at("2026-03-29T02:00"), "a second night does not begin them anew"
    club.on("2026-03-29T02:00")
    assert club.refused(ANN, "BACK-5") is Refusal.COUPON_NOT_FOR_MEMBER
    assert club.offered(ANN) == []
    club.desk.now = at("2026-03-29T01:59")
    assert club.buys(ANN, "BACK-5").detail.payable_minor == 1_500


def test_who_buys_tea_twice_is_offered_more_until_a_sale_comes_back(open_club: Open) -> None:
    club = open_club()
    club.on("2026-02-01T12:00")
    first = club.buys(ANN, article="green tea")
    club.night()
    assert club.offered(ANN) == []
    club.buys(ANN, article="black tea")
    assert club.night()["drinkers"] == 1
    assert club.offered(ANN) == [("More tea", "TEA-20")]
    back = club.desk.give_back(first.command_id, ReturnLine(1, 1_000))
    club.desk.posted(back)
    assert club.night()["drinkers"] == 0
    assert club.refused(ANN, "TEA-20") is Refusal.COUPON_NOT_FOR_MEMBER


def test_a_sale_sent_twice_and_a_sale_refused_leave_the_goods_of_one(open_club: Open) -> None:
    club = open_club()
    tea = line(900, sku="green tea", categories=("tea",))
    sale = replace(club.desk.buys(), basket=basket(tea, tea))
    club.desk.posted(sale)
    club.desk.posted(sale)
    assert club.refused(ANN, "BACK-5") is Refusal.COUPON_NOT_FOR_MEMBER
    kept = club.store.purchases_of(club.desk.program_id, ANN)
    assert [(one.seq, one.goods) for one in kept] == [(1, '[["green tea","",["tea"]]]')]


def test_a_checkout_keeps_its_offer_although_the_night_has_ended_it_for_others(open_club: Open) -> None:
    club = open_club()
    club.on("2026-01-01T12:00")
    club.buys(ANN)
    club.on("2026-03-15T02:00")
    club.night()
    held = club.desk.posted(club.desk.holds("BACK-5", ttl_s=7_200))
    club.buys(ANN)
    assert club.night()["sleeping"] == 0
    assert club.desk.captures(held).detail.payable_minor == 1_500


def test_nobody_of_the_holdout_is_ever_offered_anything(open_club: Open) -> None:
    club = open_club(holdout_percent=50)
    names = [MemberId(f"0190a000-0000-7000-8000-0000000001{number:02d}") for number in range(20)]
    out = {name for name in names if held_out(50, name)}
    assert 3 < len(out) < 17
    club.on("2026-01-01T12:00")
    club.desk.enrol(*names)
    for name in names:
        club.buys(name)
    club.on("2026-03-15T02:00")
    assert club.night()["sleeping"] == 20, "a segment says what members did, whoever reaches them"
    for name in names:
        assert (club.offered(name) == []) is (name in out)
    for name in sorted(out):
        assert club.refused(name, "BACK-5") is Refusal.COUPON_NOT_FOR_MEMBER


def test_an_offer_of_one_variant_is_for_that_variant_alone(open_club: Open) -> None:
    split = {"id": "try", "variants": [{"id": "a", "percent": 50}, {"id": "b", "percent": 50}]}
    club = open_club(
        experiments=[split], offers=[{"id": "o", "name": "Try", "coupon": "back", "experiment": "try/b"}]
    )
    rules = club.desk.book.current(club.desk.program_id)
    assert rules is not None
    groups = {who: group_of(rules.experiments[0], who) for who in (ANN, BEN)}
    assert sorted(groups.values()) == ["a", "b"], "one of each, or the test says nothing"
    for who, group in groups.items():
        if group == "b":
            assert club.offered(who) == [("Try", "BACK-5")]
            assert club.buys(who, "BACK-5").detail.payable_minor == 1_500
        else:
            assert club.offered(who) == []
            assert club.refused(who, "BACK-5") is Refusal.COUPON_NOT_FOR_MEMBER


def test_what_an_erased_member_bought_and_was_is_forgotten(open_club: Open) -> None:
    club = open_club()
    club.buys(ANN, article="green tea")
    club.buys(ANN, article="green tea")
    club.night()
    program = club.desk.program_id
    assert club.store.segments_of(program, ANN) == [("drinkers", club.desk.now)]
    club.store.erase(program, ANN)
    assert club.store.purchases_of(program, ANN) == []
    assert club.store.segments_of(program, ANN) == []
    assert club.night() == {"sleeping": 0, "drinkers": 0}
    club.store.change_segment(program, "drinkers", come=[ANN], gone=[], now_ms=club.desk.now)
    assert club.store.segments_of(program, ANN) == [], "a round that began before comes too late"
    club.desk.posted(club.desk.settle(line(900, sku="green tea", categories=("tea",)), earned=9))
    assert club.store.purchases_of(program, ANN) == [], "nor does a till that was away"


def test_goods_are_forgotten_when_no_segment_asks_about_them_any_more(open_club: Open) -> None:
    club = open_club()
    club.on("2026-02-01T12:00")
    club.buys(ANN, article="green tea")
    club.on("2026-05-02T11:00")
    club.buys(ANN, article="black tea")
    club.night()
    assert len(club.store.purchases_of(club.desk.program_id, ANN)) == 2
    club.on("2026-05-02T13:00")
    club.night()
    assert len(club.store.purchases_of(club.desk.program_id, ANN)) == 1, "older than 90 days"
    club.desk.publish(coupons=[BACK], segments=[SLEEPING], offers=[COME_BACK])
    club.desk.book.forget(club.desk.program_id)
    club.on("2026-05-02T14:00")
    club.buys(ANN, article="black tea")
    club.night()
    assert club.store.purchases_of(club.desk.program_id, ANN) == []
    assert set(club.store.segment_counts(club.desk.program_id)) == {"sleeping"}


def test_a_program_without_questions_about_goods_keeps_none(open_club: Open) -> None:
    club = open_club(segments=[SLEEPING], offers=[COME_BACK])
    club.buys(ANN, article="green tea")
    assert club.store.purchases_of(club.desk.program_id, ANN) == []


def test_the_best_fifths_are_those_who_bought_last_most_and_for_most(open_club: Open) -> None:
    club = open_club(segments=[{"id": "best", "rfm": {"r_min": 5, "f_min": 5, "m_min": 5}}], offers=[])
    names = [MemberId(f"0190a000-0000-7000-8000-0000000002{number:02d}") for number in range(10)]
    club.desk.enrol(*names)
    for number, name in enumerate(names):
        for day in range(1, number + 2):
            club.on(f"2026-02-{day:02d}T12:00")
            club.buys(name, amount=1_000 + number)
    club.on("2026-03-01T12:00")
    assert club.night() == {"best": 2}
    found = club.segments.members(club.desk.program_id, "best", after="", limit=10)
    assert [member_id for member_id, _ in found] == names[8:]


def test_a_second_night_changes_nothing_and_a_new_day_asks_for_one(open_club: Open) -> None:
    club = open_club()
    program = club.store.program(club.desk.program_id)
    assert program is not None
    club.on("2026-04-01T21:30")
    club.buys(ANN)
    assert club.segments.due(program), "it was never worked out"
    club.night()
    before = club.store.segments_of(club.desk.program_id, ANN)
    assert not club.segments.due(program)
    club.on("2026-04-01T21:59")
    assert not club.segments.due(program)
    club.on("2026-04-01T22:00")
    assert club.segments.due(program), "midnight in Stockholm"
    club.night()
    club.store.change_segment(
        program.program_id, "drinkers", come=[ANN, BEN], gone=[], now_ms=at("2026-04-02")
    )
    club.store.change_segment(program.program_id, "drinkers", come=[ANN], gone=[], now_ms=at("2026-04-03"))
    assert club.store.segments_of(club.desk.program_id, ANN) == [("drinkers", at("2026-04-02")), *before]
