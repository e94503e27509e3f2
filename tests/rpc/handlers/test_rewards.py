"""RewardService, actions and early access as their callers see them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.rpc import code_pb2

from tallystick.core.ids import MemberId
from tallystick.security.keys import generate_signing_key
from tallystick.service.enrolment import canonical_jwk
from tallystick.v1 import app_pb2, ledger_pb2, member_pb2, webshop_pb2
from tallystick.v1 import reward_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    DAY_MS,
    IMPORTER,
    MANAGER,
    RULES,
    SHOP,
    START_MS,
    TILL,
    WEBSHOP,
    Caller,
    World,
    everything_stored,
    new_id,
    origin_of,
    sale_request,
)

MORE = """\
  - {id: evening, kind: experience, name: An evening, points: 300, stock: 2, limit: {count: 1, per: year}}
  - {id: bag, kind: product, points: 100, tier: [guld]}
"""
ACTIONS = """\
actions:
  - {id: review, name: A review, points: 20, limit: {count: 2, per: month}, by: [webshop, app], once_per_subject: true}
  - {id: party, name: A party hosted, points: 200, limit: {count: 1, per: quarter}, by: [staff]}
  - {id: birthday, name: Your birthday, points: 100, on: birthday}
access:
  - {id: spring, name: Spring, category: [spring], tier: [guld], early_from: 2026-02-20, opens_at: 2026-03-10}
  - {id: atelier, sku: [A-9], tier: [guld]}
"""
PARTS = RULES.replace("coupons:\n", MORE + "coupons:\n") + ACTIONS


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    opened = World(tmp_path, rules=PARTS)
    yield opened
    opened.close()


@pytest.fixture
def ann(world: World) -> str:
    return rich(world)


def rich(world: World, points: int = 400) -> str:
    member_id = world.enrol()
    earn = {"member_id": member_id, "points": points, "action_id": "welcome"}
    assert earned(world, earn, Caller(MANAGER)).decision.HasField("posted")
    return member_id


def earned(world: World, body: dict[str, Any], caller: Caller) -> Any:
    return world.send(earn_request(body), caller)


def earn_request(body: dict[str, Any]) -> ledger_pb2.EarnRequest:
    full = {"command_id": new_id(), "assurance": "ASSURANCE_STATIC_CARD", "origin": origin_of(), **body}
    return ParseDict(full, ledger_pb2.EarnRequest())


def redeem(member_id: str, reward: str = "evening", command_id: str = "") -> pb.RedeemRewardRequest:
    body = {
        "command_id": command_id or new_id(),
        "member_id": member_id,
        "reward_id": reward,
        "assurance": "ASSURANCE_STATIC_CARD",
        "origin": origin_of(),
    }
    return ParseDict(body, pb.RedeemRewardRequest())


def use(member_id: str, code: str, command_id: str = "") -> pb.UseRedemptionRequest:
    body = {"command_id": command_id or new_id(), "member_id": member_id, "code": code, "origin": origin_of()}
    return ParseDict(body, pb.UseRedemptionRequest())


def refusal(answer: Any) -> str:
    reason = answer.decision.refused.reason
    return ledger_pb2.RefusalReason.Name(reason).removeprefix("REFUSAL_REASON_")


def card(world: World, member_id: str, caller: Caller | None = None) -> app_pb2.MemberCard:
    found: app_pb2.MemberCard = world.send(
        app_pb2.GetCardRequest(member_id=member_id), caller or Caller(ADMIN)
    ).card
    return found


class TestRewards:
    def test_a_reward_is_bought_shown_checked_and_handed_out(self, world: World, ann: str) -> None:
        command_id = new_id()
        bought = world.send(redeem(ann, command_id=command_id), Caller(WEBSHOP))
        assert bought.decision.posted.entry.kind == ledger_pb2.ENTRY_KIND_BURN
        found = bought.redemption
        assert (found.redemption_id, found.reward_id, found.reward_name) == (
            command_id,
            "evening",
            "An evening",
        )
        assert (found.points, found.state) == (300, pb.REDEMPTION_STATE_OPEN)
        again = world.send(redeem(ann, command_id=command_id), Caller(WEBSHOP))
        assert again.decision.replayed
        assert again.redemption == found
        assert not bought.decision.posted.benefits.coupons

        check = pb.CheckRedemptionRequest(member_id=ann, code=found.code.lower())
        assert world.send(check).redemption == found
        listed = world.send(pb.ListRedemptionsRequest(member_id=ann), Caller(APP, store_id="", member_id=ann))
        assert list(listed.redemptions) == [found]

        command_id = new_id()
        handed = world.send(use(ann, found.code, command_id))
        assert handed.decision.posted.entry.kind == ledger_pb2.ENTRY_KIND_HANDOVER
        assert (handed.redemption.state, handed.redemption.used_store_id) == (pb.REDEMPTION_STATE_USED, "s1")
        assert world.send(use(ann, found.code, command_id)).decision.replayed
        assert refusal(world.send(use(ann, found.code))) == "REDEMPTION_USED"

    def test_a_refusal_has_no_redemption(self, world: World, ann: str) -> None:
        answer = world.send(redeem(ann, "bag"))
        assert refusal(answer) == "REWARD_NOT_IN_TIER"
        assert not answer.HasField("redemption")

    def test_a_wrong_code_is_not_found_and_too_many_are_too_many(self, world: World, ann: str) -> None:
        world.send(redeem(ann))
        request = pb.CheckRedemptionRequest(member_id=ann, code="2-2222-2222")
        tries = [world.refused(request).reason for _ in range(30)]
        assert tries[0] == "REDEMPTION_NOT_FOUND"
        assert tries[-1] == "RATE_LIMITED"

    def test_an_app_buys_for_its_member_once_its_device_is_a_day_old(self, world: World, ann: str) -> None:
        phone = phone_of(world, ann)
        assert refusal(world.send(redeem(ann), phone)) == "ABOVE_ASSURANCE_CAP"
        world.now_ms += DAY_MS
        assert world.send(redeem(ann), phone).HasField("redemption")
        assert world.refused(redeem(rich(world)), phone).reason == "MEMBER_NOT_FOUND"

    def test_an_app_that_sends_it_again_once_its_device_is_a_day_old_gets_the_same_answer(
        self, world: World, ann: str
    ) -> None:
        world.publish(
            PARTS.replace(
                "  - {id: bag,", "  - {id: treat, kind: product, points: 0, stock: 5}\n  - {id: bag,"
            )
        )
        phone = phone_of(world, ann)
        ask = redeem(ann, "treat")
        first = world.send(ask, phone).redemption.code
        world.now_ms += DAY_MS
        assert world.send(ask, phone).redemption.code == first != ""

    def test_the_card_says_how_many_are_left_and_for_whom(self, world: World, ann: str) -> None:
        five, evening, bag = card(world, ann).rewards
        assert (five.limited, five.sold_out, five.name) == (False, False, "")
        assert (evening.kind, evening.name, evening.limited) == ("experience", "An evening", True)
        assert (evening.stock_left, evening.limit_count, evening.limit_per, evening.limit_left) == (
            2,
            1,
            "year",
            1,
        )
        assert (bag.in_tier, bag.missing_points) == (False, 0)
        world.send(redeem(ann))
        evening = card(world, ann).rewards[1]
        assert (evening.stock_left, evening.limit_left, evening.sold_out) == (1, 0, False)
        world.send(redeem(rich(world)))
        assert card(world, ann).rewards[1].sold_out

    def test_a_reversed_purchase_can_be_made_again_in_the_same_year(self, world: World, ann: str) -> None:
        bought = world.send(redeem(ann)).redemption
        assert refusal(world.send(redeem(ann))) == "INSUFFICIENT_POINTS"
        earned(world, {"member_id": ann, "points": 300, "action_id": "x"}, Caller(MANAGER))
        assert refusal(world.send(redeem(ann))) == "REWARD_LIMIT"
        back = {
            "command_id": new_id(),
            "member_id": ann,
            "reversed_command_id": bought.redemption_id,
            "reason": "ill",
            "origin": origin_of(),
        }
        world.send(ParseDict(back, ledger_pb2.ReverseRequest()), Caller(MANAGER))
        assert world.send(redeem(ann)).HasField("redemption")


class TestActions:
    def test_an_action_gives_what_the_rule_says_once_for_each_subject(self, world: World, ann: str) -> None:
        review = {"member_id": ann, "action_id": "review", "subject": "A-1"}
        first = earned(world, review, Caller(WEBSHOP)).decision.posted.entry
        assert [(one.code, one.points, dict(one.args)) for one in first.explanations] == [
            ("action_points", 20, {"name": "A review"})
        ]
        assert first.reason == "review"
        again = earned(world, review, Caller(WEBSHOP))
        assert refusal(again) == "ACTION_LIMIT"
        assert dict(again.decision.refused.details) == {"action_id": "review", "count": "1", "per": "month"}
        assert earned(world, {**review, "subject": "A-2"}, Caller(WEBSHOP)).decision.HasField("posted")
        third = earned(world, {**review, "subject": "A-3"}, Caller(WEBSHOP))
        assert dict(third.decision.refused.details)["count"] == "2"
        assert "A-1" not in everything_stored(world.store), "the subject is nowhere kept"

    def test_an_app_posts_the_actions_that_name_it_and_nothing_else(self, world: World, ann: str) -> None:
        phone = Caller(APP, store_id="", member_id=ann)
        review = {"member_id": ann, "action_id": "review", "subject": "A-1"}
        assert earned(world, review, phone).decision.HasField("posted")
        for body in (
            {"action_id": "party"},
            {"action_id": "birthday"},
            {"action_id": "gift", "points": 5},
        ):
            no = world.refused(earn_request({"member_id": ann, **body}), phone)
            assert (no.reason, no.code) == ("ACTION_NOT_ALLOWED", code_pb2.PERMISSION_DENIED)
            assert no.metadata["role"] == "APP"
        assert refusal(earned(world, {"member_id": ann, "action_id": "gift"}, phone)) == "ACTION_UNKNOWN"
        other = earn_request({**review, "member_id": rich(world)})
        assert world.refused(other, phone).reason == "MEMBER_NOT_FOUND"

    def test_what_was_posted_under_other_rules_is_answered_again(self, world: World, ann: str) -> None:
        ask = earn_request({"member_id": ann, "points": 7, "action_id": "newsletter"})
        posted = world.send(ask, Caller(WEBSHOP)).decision.posted
        newsletter = (
            "  - {id: newsletter, name: N, points: 5, limit: {count: 1, per: month}, by: [webshop]}\n"
        )
        world.publish(PARTS.replace("access:\n", f"{newsletter}access:\n"))
        again = world.send(ask, Caller(WEBSHOP)).decision
        assert (again.replayed, again.posted.entry) == (True, posted.entry)
        other = earn_request({"member_id": ann, "points": 7, "action_id": "newsletter"})
        assert world.refused(other, Caller(WEBSHOP)).code == code_pb2.INVALID_ARGUMENT

    def test_a_till_does_not_post_what_is_for_the_staff(self, world: World, ann: str) -> None:
        party = {"member_id": ann, "action_id": "party"}
        assert world.refused(earn_request(party), Caller(TILL)).reason == "ACTION_NOT_ALLOWED"
        assert earned(world, party, Caller(ADMIN)).decision.HasField("posted")

    def test_the_points_of_an_action_are_the_rules_own(self, world: World, ann: str) -> None:
        body = {"member_id": ann, "action_id": "review", "points": 500}
        no = world.refused(earn_request(body), Caller(WEBSHOP))
        assert (no.reason, no.violations[0][0]) == ("INVALID_INPUT", "points")
        assert earned(world, body, Caller(IMPORTER)).decision.HasField("posted"), "history is what it was"

    def test_an_action_by_subject_needs_one_and_others_take_none(self, world: World, ann: str) -> None:
        no = world.refused(earn_request({"member_id": ann, "action_id": "review"}), Caller(WEBSHOP))
        assert (no.reason, no.violations[0][0]) == ("INVALID_INPUT", "subject")
        body = {"member_id": ann, "action_id": "gift", "points": 5, "subject": "A"}
        no = world.refused(earn_request(body), Caller(WEBSHOP))
        assert (no.reason, no.violations[0][0]) == ("INVALID_INPUT", "subject")

    def test_the_card_says_what_gives_points_and_what_was_done(self, world: World, ann: str) -> None:
        earned(world, {"member_id": ann, "action_id": "review", "subject": "A"}, Caller(WEBSHOP))
        review, party, birthday = card(world, ann).actions
        assert (review.name, review.points, review.done, review.limit_count) == ("A review", 20, 1, 2)
        assert (review.by_app, party.by_app, review.open) == (True, False, True)
        assert (birthday.on, birthday.limit_count, birthday.limit_per) == ("birthday", 1, "year")


class TestAccess:
    def test_articles_open_early_to_gold_and_later_to_all(self, world: World, ann: str) -> None:
        gold = rich(world)
        world.sell(gold, 60_000)
        found = [self.of(world, member_id) for member_id in ("", ann, gold)]
        assert [[one.allowed for one in articles] for articles in found] == [
            [False, False, True],
            [False, False, True],
            [True, True, True],
        ]
        spring, atelier, rest = found[1]
        assert (spring.reason, spring.access_id) == (webshop_pb2.ACCESS_REASON_NOT_YET, "spring")
        assert spring.opens_at.ToJsonString() == "2026-03-09T23:00:00Z"
        assert spring.opens_for_member_at == spring.opens_at
        assert atelier.reason == webshop_pb2.ACCESS_REASON_MEMBERS_ONLY
        assert not atelier.HasField("opens_at")
        assert (rest.reason, rest.access_id) == (webshop_pb2.ACCESS_REASON_OPEN, "")
        assert found[2][0].reason == webshop_pb2.ACCESS_REASON_EARLY

        world.now_ms += 9 * DAY_MS
        assert [one.allowed for one in self.of(world, "")] == [True, False, True]

    def test_the_card_lists_what_is_open_to_its_member(self, world: World, ann: str) -> None:
        spring, atelier = card(world, ann).access
        assert (spring.name, list(spring.categories), spring.allowed) == ("Spring", ["spring"], False)
        assert (list(atelier.skus), atelier.allowed) == (["A-9"], False)
        world.sell(ann, 60_000)
        assert [one.allowed for one in card(world, ann).access] == [True, True]
        world.now_ms += 9 * DAY_MS
        assert [one.access_id for one in card(world, ann).access] == ["atelier"]

    def test_a_sale_before_its_time_is_told_and_not_refused(self, world: World, ann: str) -> None:
        request = sale_request(ann, 1_000)
        request.basket.lines[0].categories.append("spring")
        entry = world.send(request).decision.posted.entry
        (told,) = [one for one in entry.explanations if one.rule_id == "spring"]
        assert (told.code, told.line_no, dict(told.args)) == ("not_open_yet", 1, {"opens_on": "2026-03-10"})

    def of(self, world: World, member_id: str) -> Any:
        articles = [{"sku": "A-1", "categories": ["spring"]}, {"sku": "A-9"}, {"sku": "A-2"}]
        body = {"member_id": member_id, "articles": articles}
        request = ParseDict(body, webshop_pb2.CheckAccessRequest())
        return world.send(request, Caller(WEBSHOP)).articles


class TestBirthdays:
    def test_a_birthday_is_set_once_and_mended_by_the_staff(self, world: World, ann: str) -> None:
        shop = Caller(WEBSHOP)
        first = world.send(profile(ann, "1990-02-28"), shop).profile
        assert first.birthday_changeable_at.ToMilliseconds() == START_MS + 365 * DAY_MS
        assert world.send(profile(ann, "1991-02-28"), shop).profile.birthday == "1991-02-28", (
            "a year is no day"
        )
        no = world.refused(profile(ann, "1990-03-02"), shop)
        assert (no.reason, no.code) == ("BIRTHDAY_FIXED", code_pb2.FAILED_PRECONDITION)
        assert no.metadata["changeable_ms"] == str(START_MS + 365 * DAY_MS)
        kept = world.send(member_pb2.GetProfileRequest(member_id=ann), shop).profile
        assert kept.birthday == "1991-02-28", "a no changes nothing"
        assert world.send(profile(ann, "1990-03-02"), Caller(MANAGER)).profile.birthday == "1990-03-02"
        world.now_ms += 366 * DAY_MS
        assert not world.send(member_pb2.GetProfileRequest(member_id=ann), shop).profile.HasField(
            "birthday_changeable_at"
        )
        assert world.send(profile(ann, "1990-04-01"), shop).profile.birthday == "1990-04-01"

    def test_other_changes_do_not_ask_about_the_birthday(self, world: World, ann: str) -> None:
        world.send(profile(ann, "1990-02-28"), Caller(WEBSHOP))
        request = member_pb2.UpdateProfileRequest(member_id=ann, given_name="Ann")
        assert world.send(request, Caller(WEBSHOP)).profile.birthday == "1990-02-28"


def profile(member_id: str, birthday: str) -> member_pb2.UpdateProfileRequest:
    return member_pb2.UpdateProfileRequest(member_id=member_id, birthday=birthday)


def phone_of(world: World, member_id: str) -> Caller:
    """Register a device of a member, and return it with its token."""
    jwk = canonical_jwk(generate_signing_key().verify_key)
    issued = world.gateway.codes.register(SHOP, MemberId(member_id), jwk, label="Phone")
    return Caller(APP, store_id="", member_id=member_id, device_id=issued.device.kid)
