"""Points for what members do beside buying: sign-ups, reviews, parties, visits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.basket import Channel
from tallystick.core.command import Command, Earn
from tallystick.core.entry import EntryKind, Posted
from tallystick.core.ids import MemberId, Ms
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.core.world import at
from tests.scenarios.test_coupon_races import counted, desks
from tests.service.coupons import CouponDesk, told
from tests.service.desk import ANN, BEN

NEWSLETTER = {
    "id": "newsletter",
    "name": "The newsletter",
    "points": 50,
    "limit": {"count": 1, "per": "ever"},
}
SURVEY = {"id": "survey", "name": "A survey", "points": 10, "limit": {"count": 2, "per": "month"}}
VISIT = {
    "id": "visit",
    "name": "A visit",
    "points": 1,
    "limit": {"count": 1, "per": "day"},
    "channel": "store",
}
REVIEW = {
    "id": "review",
    "name": "A review",
    "points": 20,
    "limit": {"count": 3, "per": "month"},
    "once_per_subject": True,
}
PARTY = {
    "id": "party",
    "name": "A party hosted",
    "points": 500,
    "limit": {"count": 1, "per": "quarter"},
    "tier": ["gold"],
    "from": "2026-02-01",
    "until": "2026-06-01",
}
TIERS = {
    "basis": "points",
    "period": "calendar_year",
    "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 1_000}],
}
ACTIONS: list[dict[str, Any]] = [NEWSLETTER, SURVEY, VISIT, REVIEW, PARTY]


def club(store: Store, **more: Any) -> CouponDesk:
    return CouponDesk(store, **{"coupons": (), "actions": ACTIONS, "tiers": TIERS, **more})


def does(
    desk: CouponDesk,
    action: str,
    subject: str = "",
    *,
    member: MemberId = ANN,
    on: str = "",
    channel: Channel = Channel.STORE,
) -> Earn:
    origin = replace(desk.origin, channel=channel, occurred_ms=at(on) if on else desk.now)
    return Earn(desk.new_id(), member, origin, 0, action, action_id=action, subject=subject)


def answer(desk: CouponDesk, command: Command) -> str:
    return told(desk.send(command)[0])


def all_is_well(store: Store) -> None:
    report = verify(store)
    assert report.ok, report.first


def test_the_newsletter_gives_its_points_once_and_for_all(store: Store) -> None:
    with club(store) as desk:
        signed_up = desk.posted(does(desk, "newsletter"))
        assert (signed_up.kind, -signed_up.moves.issued) == (EntryKind.EARN, 50)
        assert [(one.rule_id, one.code, one.args) for one in signed_up.detail.explanations] == [
            ("newsletter", "action_points", (("name", "The newsletter"),))
        ]
        desk.now = at("2031-01-15T12:00")
        assert answer(desk, does(desk, "newsletter")) == "ACTION_LIMIT"
        assert answer(desk, does(desk, "newsletter", member=BEN)) == "EARN"
    all_is_well(store)


def test_two_surveys_a_month_give_points_and_then_the_next_month_begins(store: Store) -> None:
    with club(store) as desk:
        answers = [answer(desk, does(desk, "survey")) for _ in range(3)]
        assert answers == ["EARN", "EARN", "ACTION_LIMIT"]
        desk.now = at("2026-01-31T22:59")
        assert answer(desk, does(desk, "survey")) == "ACTION_LIMIT"
        desk.now = at("2026-01-31T23:00")
        assert answer(desk, does(desk, "survey")) == "EARN", "it is February in Stockholm"
    all_is_well(store)


def test_a_command_sent_again_is_not_a_second_survey(store: Store) -> None:
    with club(store) as desk:
        survey = does(desk, "survey")
        first, again = desk.send(survey)[0], desk.send(survey)[0]
        assert again.replayed
        assert first.decision == again.decision
        assert desk.account().active == 10
    all_is_well(store)


def test_each_article_is_reviewed_once_and_three_a_month(store: Store) -> None:
    with club(store) as desk:
        articles = ["kettle", "kettle", " kettle ", "pan", "lid", "spoon"]
        answers = [answer(desk, does(desk, "review", article)) for article in articles]
        assert answers == ["EARN", "ACTION_LIMIT", "ACTION_LIMIT", "EARN", "EARN", "ACTION_LIMIT"]
        desk.now = at("2026-02-15T12:00")
        assert answer(desk, does(desk, "review", "spoon")) == "EARN"
    all_is_well(store)


def test_reviews_of_months_long_over_take_no_room(store: Store) -> None:
    with club(store) as desk:
        for month in range(24):
            desk.now = at(f"{2026 + month // 12}-{month % 12 + 1:02}-15T12:00")
            for article in ("a", "b", "c"):
                desk.posted(does(desk, "review", f"{article}{month}"))
        kept = [tally for tally in desk.account().tallies if tally.key.startswith("action/review/")]
        assert 3 <= len(kept) <= 3 * 4, "those of the months that can still be reckoned down, no more"
    all_is_well(store)


def test_a_party_is_for_gold_and_for_its_season(store: Store) -> None:
    with club(store) as desk:
        assert answer(desk, does(desk, "party")) == "ACTION_NOT_NOW", "it is January, and she has no gold"
        desk.now = at("2026-02-15T12:00")
        assert answer(desk, does(desk, "party")) == "ACTION_NOT_NOW", "it is the season, and she has no gold"
        desk.posted(desk.earn(1_000))
        assert answer(desk, does(desk, "party")) == "EARN"
        assert answer(desk, does(desk, "party")) == "ACTION_LIMIT"
        desk.now = at("2026-06-15T12:00")
        assert answer(desk, does(desk, "party")) == "ACTION_NOT_NOW"
    all_is_well(store)


def test_a_visit_counts_in_a_store_once_a_day(store: Store) -> None:
    with club(store) as desk:
        assert answer(desk, does(desk, "visit", channel=Channel.WEBSHOP)) == "ACTION_NOT_NOW"
        assert answer(desk, does(desk, "visit")) == "EARN"
        assert answer(desk, does(desk, "visit")) == "ACTION_LIMIT"
        desk.now = Ms(desk.now + 86_400_000)
        assert answer(desk, does(desk, "visit")) == "EARN"
        assert answer(desk, does(desk, "visit", on="2026-01-14T12:00")) == "EARN", "told late, of its own day"
        assert answer(desk, does(desk, "visit", on="2026-01-14T13:00")) == "ACTION_LIMIT"
    all_is_well(store)


def test_a_survey_taken_back_can_be_done_again(store: Store) -> None:
    with club(store) as desk:
        desk.posted(does(desk, "survey"))
        wrong = desk.posted(does(desk, "survey"))
        desk.posted(desk.reverse(wrong.command_id))
        assert desk.account().active == 10
        assert answer(desk, does(desk, "survey")) == "EARN"
        assert answer(desk, does(desk, "survey")) == "ACTION_LIMIT"
    all_is_well(store)


def test_what_no_rule_names_gives_nothing(store: Store) -> None:
    with club(store) as desk:
        assert answer(desk, does(desk, "selfie")) == "ACTION_UNKNOWN"
        assert desk.account().active == 0


def test_points_for_actions_wait_expire_and_qualify_as_others_do(store: Store) -> None:
    rules: dict[str, Any] = {
        "earning": {
            "pending_days": 14,
            "rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}],
        },
        "expiry": {"kind": "months", "months": 1},
    }
    with club(store, **rules) as desk:
        desk.posted(does(desk, "newsletter"))
        assert (desk.account().active, desk.account().pending) == (0, 50)
        desk.now = at("2026-02-01T12:00")
        (matured,) = [one.decision for one in desk.send(does(desk, "survey"))]
        assert isinstance(matured, Posted)
        assert (desk.account().active, desk.account().pending) == (50, 10)
        assert sum(credits for _, credits in desk.account().tier.buckets) == 50
    all_is_well(store)


@pytest.mark.parametrize("action", ["survey", "review"])
def test_thirty_at_once_have_it_as_often_as_the_rule_says(shared: Store, action: str) -> None:
    with desks(shared, coupons=[], actions=ACTIONS, tiers=TIERS) as three:
        asks: list[Command] = [does(three[0], action, f"article {number}") for number in range(30)]
        most = 2 if action == "survey" else 3
        assert counted(three, asks) == {"EARN": most, "ACTION_LIMIT": 30 - most}
