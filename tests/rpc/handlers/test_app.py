"""AppService: what a card shows, the spend lock, consents, new devices, passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from tallystick.core.ids import MemberId
from tallystick.security.keys import generate_signing_key
from tallystick.service.enrolment import canonical_jwk
from tallystick.v1 import advice_pb2, ledger_pb2, member_pb2, store_pb2
from tallystick.v1 import app_pb2 as pb
from tallystick.wire.advices import from_digits
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    DAY_MS,
    MANAGER,
    PAGE,
    RULES,
    SHOP,
    WEBSHOP,
    WIDGET,
    Caller,
    Refused,
    World,
    new_id,
    open_till,
    sale_request,
)
from tests.service.paper_till import voucher_right

ALL_PAIRS = 12


def app_of(member_id: str) -> Caller:
    return Caller(APP, store_id="", member_id=member_id)


def card_of(world: World, member_id: str, caller: Caller | None = None) -> pb.MemberCard:
    card: pb.MemberCard = world.send(pb.GetCardRequest(member_id=member_id), caller or app_of(member_id)).card
    return card


def fields_of(card: pb.MemberCard) -> list[tuple[str, object]]:
    return [(field.name, value) for field, value in card.ListFields()]


def lock(world: World, member_id: str, locked: bool = True) -> member_pb2.Member:
    request = pb.SetSpendLockRequest(member_id=member_id, locked=locked)
    member: member_pb2.Member = world.send(request, app_of(member_id)).member
    return member


def say(member_id: str, purpose: str, channel: str, granted: bool) -> pb.SetConsentRequest:
    body = {"purpose": f"CONSENT_PURPOSE_{purpose}", "channel": f"CONSENT_CHANNEL_{channel}"}
    return ParseDict({"member_id": member_id, **body, "granted": granted}, pb.SetConsentRequest())


def voucher(world: World, member_id: str, points: int) -> store_pb2.IssueVoucherResponse:
    body = {"voucher_id": new_id(), "member_id": member_id, "store_id": "s1", "points": points}
    request = ParseDict({**body, "assurance": "ASSURANCE_STATIC_CARD"}, store_pb2.IssueVoucherRequest())
    answer: store_pb2.IssueVoucherResponse = world.send(request, Caller(WEBSHOP))
    return answer


def exported(world: World, member_id: str) -> dict[str, Any]:
    answer = world.send(pb.ExportMemberRequest(member_id=member_id), app_of(member_id))
    document: dict[str, Any] = json.loads(answer.json)
    return document


class TestCard:
    def test_a_new_member_sees_the_whole_way(self, world: World) -> None:
        ann = world.enrol()
        card = card_of(world, ann)
        assert (card.member_id, card.number, card.program_name) == (ann, world.number_of(ann), "Shop")
        assert (card.currency_code, card.time_zone) == ("EUR", "Europe/Stockholm")
        assert card.status == member_pb2.MEMBER_STATUS_OPEN
        assert card.ladder == pb.Ladder(
            tiers=[
                pb.LadderTier(tier_id="bas", from_credits=0),
                pb.LadderTier(tier_id="guld", from_credits=50_000),
            ],
            tier_id="bas",
            basis="spend",
            next_tier_id="guld",
            next_credits=50_000,
            next_reward_id="five-off",
            next_reward_points=50,
        )
        assert card.conversion == pb.Conversion(
            points=1, amount_minor=1, unit_points=1, minimum_points=1, share_max_ppm=1_000_000
        )
        (reward,) = card.rewards
        assert (reward.reward_id, reward.kind, reward.cost_points, reward.amount_minor) == (
            "five-off",
            "money_off",
            50,
            500,
        )
        assert (reward.in_tier, reward.missing_points) == (True, 50)
        assert card.as_of.ToMilliseconds() == world.now_ms

    def test_a_sale_moves_the_balance_the_ladder_and_what_expires(self, world: World) -> None:
        ann = world.enrol()
        world.sell(ann, 60_000)
        card = card_of(world, ann)
        assert card.balance == world.balance(ann)
        assert (card.ladder.tier_id, card.ladder.next_tier_id, card.ladder.next_credits) == ("guld", "", 0)
        assert (card.ladder.keep_credits, card.ladder.review_at.ToJsonString()) == (
            50_000,
            "2027-12-31T23:00:00Z",
        )
        assert card.rewards[0].missing_points == 0
        assert card.ladder.next_reward_id == ""
        assert [(one.points, one.last_day) for one in card.expiring] == [(600, "2027-03-01")]

    def test_a_sale_told_with_a_clock_ahead_does_not_move_the_time_that_phones_go_by(
        self, world: World
    ) -> None:
        ann = world.enrol()
        world.sell(ann, 60_000, at_ms=world.now_ms + 120_000)
        assert card_of(world, ann).as_of.ToMilliseconds() == world.now_ms

    def test_time_moves_the_card_without_anything_being_posted(self, world: World) -> None:
        ann = world.enrol()
        world.sell(ann, 60_000)
        world.now_ms += 400 * DAY_MS
        card = card_of(world, ann)
        assert (card.balance.active, list(card.expiring)) == (0, [])
        entries = world.send(ledger_pb2.ListEntriesRequest(member_id=ann), app_of(ann)).entries
        assert len(entries) == 1

    def test_the_name_that_the_member_gave_is_shown(self, world: World) -> None:
        ann = world.enrol()
        world.send(member_pb2.UpdateProfileRequest(member_id=ann, given_name="Ann"), app_of(ann))
        assert card_of(world, ann).given_name == "Ann"

    def test_a_voucher_is_shown_as_long_as_its_store_takes_it(self, world: World) -> None:
        ann = world.enrol()
        world.sell(ann, 60_000)
        made = voucher(world, ann, 100).voucher
        (shown,) = card_of(world, ann).vouchers
        assert (shown.store_id, shown.points, shown.reward_id) == ("s1", 100, "")
        signed = advice_pb2.Signed.FromString(from_digits(shown.digits) or b"")
        assert signed.body == made.grant.body, "the same voucher, whatever its signature"
        assert signed.key_id == made.grant.key_id
        world.now_ms = shown.ends_at.ToMilliseconds()
        assert not card_of(world, ann).vouchers

    def test_a_voucher_that_was_used_is_not_shown(self, world: World) -> None:
        till, caller = open_till(world)
        ann = world.enrol()
        world.sell(ann, 60_000)
        voucher(world, ann, 100)
        (shown,) = card_of(world, ann).vouchers
        world.send(till.batch(till.sale(ann, 5_000, rights=(voucher_right(shown.voucher_id, 60),))), caller)
        assert not card_of(world, ann).vouchers

    def test_stores_are_those_with_a_till_that_was_confirmed(self, world: World) -> None:
        ann = world.enrol()
        open_till(world, "s2")
        open_till(world, "s1")
        open_till(world, "s1", label="Another")
        assert list(card_of(world, ann).store_ids) == ["s1", "s2"]
        third, _ = open_till(world, "s3")
        assert list(card_of(world, ann).store_ids) == ["s1", "s2"], "the list may be half a minute old"
        world.now_ms += 30_000
        assert list(card_of(world, ann).store_ids) == ["s1", "s2", "s3"]
        world.gateway.enrolment.revoke(SHOP, third.device_id)
        world.now_ms += 30_000
        assert list(card_of(world, ann).store_ids) == ["s1", "s2"]

    def test_a_widget_gets_nothing_that_says_who_the_member_is(self, world: World) -> None:
        ann = world.enrol()
        world.send(member_pb2.UpdateProfileRequest(member_id=ann, given_name="Ann"), app_of(ann))
        world.sell(ann, 60_000)
        voucher(world, ann, 100)
        open_till(world)
        whole = card_of(world, ann)
        reduced = card_of(world, ann, Caller(WIDGET, store_id="", member_id=ann, web_origin=PAGE))
        private = {"number", "given_name", "vouchers", "store_ids", "referral_url", "referral"}
        told, shown = dict(fields_of(whole)), dict(fields_of(reduced))
        assert private < told.keys()
        assert shown == {name: value for name, value in told.items() if name not in private}

    @pytest.mark.parametrize("role", [WEBSHOP, ADMIN])
    def test_a_webshop_and_the_back_office_see_the_whole_card(self, world: World, role: int) -> None:
        ann = world.enrol()
        assert card_of(world, ann, Caller(role)) == card_of(world, ann)

    def test_a_blocked_member_may_look_and_an_erased_one_is_not_there(self, world: World) -> None:
        ann = world.enrol()
        world.send(member_pb2.BlockMemberRequest(member_id=ann), Caller(MANAGER))
        assert card_of(world, ann).status == member_pb2.MEMBER_STATUS_BLOCKED
        world.send(member_pb2.EraseMemberRequest(member_id=ann), Caller(ADMIN))
        for caller in (app_of(ann), Caller(ADMIN)):
            refused = world.refused(pb.GetCardRequest(member_id=ann), caller)
            assert refused.reason == "MEMBER_NOT_FOUND"

    def test_a_coupon_that_all_may_see_is_on_the_card_until_it_ends(self, world: World) -> None:
        ann = world.enrol()
        coupon = (
            "{id: spring, kind: percent_off, percent: 10, code: SPRING-26, show: true, until: '2026-04-01'}"
        )
        world.publish(f"{RULES.partition('coupons:')[0]}coupons:\n  - {coupon}\n")
        (shown,) = card_of(world, ann).coupons
        assert (shown.coupon_id, shown.code, shown.percent_ppm) == ("spring", "SPRING-26", 100_000)
        world.now_ms = shown.ends_at.ToMilliseconds()
        assert not card_of(world, ann).coupons

    def test_challenges_badges_and_memberships_are_on_the_card(self, world: World) -> None:
        ann = world.enrol()
        world.publish(
            f"{RULES.partition('coupons:')[0]}"
            "challenges:\n"
            "  - {id: march, name: March, counts: sales, target: 2, per: month, award: {points: 50, badge: keen}}\n"
            "  - {id: over, name: Over, counts: sales, target: 2, until: '2026-02-01', award: {points: 5}}\n"
            "memberships:\n"
            "  - {id: club, name: Club, sku: A-1, months: 1, grace_days: 3, remind_days: 7}\n"
        )
        before = card_of(world, ann)
        assert [one.challenge_id for one in before.challenges] == ["march"], "the other one is over"
        assert before.memberships == [pb.CardMembership(membership_id="club", name="Club", sku="A-1")]
        for _ in range(2):
            world.sell(ann, 1_000)
        card = card_of(world, ann)
        assert card.challenges == [
            pb.CardChallenge(
                challenge_id="march",
                name="March",
                counts="sales",
                progress=2,
                target=2,
                first_day="2026-03-01",
                last_day="2026-03-31",
                awarded=1,
                times=1,
                award_points=50,
                badge_id="keen",
            )
        ]
        assert card.badges == [pb.CardBadge(badge_id="keen", count=1)]
        tallies = {one["key"]: (one["first_day"], one["count"]) for one in exported(world, ann)["tallies"]}
        assert tallies["challenge/march"] == ("2026-03-01", 2)
        assert tallies["badge/keen"] == (None, 1)
        (club,) = card.memberships
        assert club.active
        assert (club.last_day, club.grace_day, club.remind_day) == ("2026-04-30", "2026-05-03", "2026-04-23")

    def test_a_coupon_of_members_is_on_the_card_of_members(self, world: World) -> None:
        ann = world.enrol()
        world.publish(
            f"{RULES.partition('coupons:')[0]}"
            "memberships:\n  - {id: club, name: Club, sku: A-1, months: 1}\n"
            "coupons:\n  - {id: tea, kind: money_off, amount_minor: 100, code: TEA, show: true, membership: club}\n"
        )
        assert not card_of(world, ann).coupons
        world.sell(ann, 1_000)
        assert [one.code for one in card_of(world, ann).coupons] == ["TEA"]


class TestSpendLock:
    def test_a_locked_member_earns_and_does_not_burn_until_unlocked(self, world: World) -> None:
        ann = world.enrol()
        world.sell(ann, 10_000)
        for _ in range(2):
            assert lock(world, ann).status == member_pb2.MEMBER_STATUS_LOCKED
        assert card_of(world, ann).spend_locked
        assert world.sell(ann, 1_000).HasField("posted")
        refused = world.sell(ann, 1_000, spend={"points": 10}).refused
        assert refused.reason == ledger_pb2.REFUSAL_REASON_MEMBER_LOCKED
        assert refused.message == "The member has locked the points: they can be earned and not burned."
        assert voucher(world, ann, 10).refusal == "MEMBER_LOCKED"
        assert lock(world, ann, locked=False).status == member_pb2.MEMBER_STATUS_OPEN
        assert not card_of(world, ann).spend_locked
        assert world.sell(ann, 1_000, spend={"points": 10}).HasField("posted")

    def test_a_quote_says_that_the_points_are_locked(self, world: World) -> None:
        ann = world.enrol()
        world.sell(ann, 10_000)
        lock(world, ann)
        sale = sale_request(ann, 1_000, spend={"points": 10})
        quote = ledger_pb2.QuoteRequest(
            member_id=ann, basket=sale.basket, spend=sale.spend, assurance=sale.assurance, origin=sale.origin
        )
        refused = world.send(quote, Caller(WEBSHOP)).refused
        assert refused.reason == ledger_pb2.REFUSAL_REASON_MEMBER_LOCKED

    def test_a_block_does_not_forget_the_lock(self, world: World) -> None:
        ann = world.enrol()
        lock(world, ann)
        manager = Caller(MANAGER)
        blocked = world.send(member_pb2.BlockMemberRequest(member_id=ann), manager).member
        assert blocked.status == member_pb2.MEMBER_STATUS_BLOCKED
        assert card_of(world, ann).spend_locked
        unblocked = world.send(member_pb2.UnblockMemberRequest(member_id=ann), manager).member
        assert unblocked.status == member_pb2.MEMBER_STATUS_LOCKED
        again = world.send(member_pb2.UnblockMemberRequest(member_id=ann), manager).member
        assert again.status == member_pb2.MEMBER_STATUS_LOCKED

    def test_stores_are_asked_to_give_leases_back(self, world: World) -> None:
        _, caller = open_till(world)
        ann = world.enrol()
        world.sell(ann, 10_000)
        ask = ParseDict(
            {"asks": [{"member_id": ann, "lease_id": new_id()}]}, store_pb2.RequestLeasesRequest()
        )
        (granted,) = world.send(ask, caller).answers
        assert not granted.lease.recalled
        lock(world, ann)
        (hold,) = world.store.read_holds(SHOP, MemberId(ann))
        assert hold.recalled
        seq = world.balance(ann).as_of
        lock(world, ann)
        assert world.balance(ann).as_of == seq
        kinds = [e.kind for e, _ in world.store.read_entries(SHOP, MemberId(ann), before_seq=None, limit=9)]
        assert [kind.name for kind in kinds] == ["RECALL", "LEASE", "SALE"], "recalled once"

    def test_a_webshop_cannot_unlock(self, world: World) -> None:
        request = pb.SetSpendLockRequest(member_id=world.enrol())
        assert world.refused(request, Caller(WEBSHOP)).reason == "ROLE_NOT_ALLOWED"

    def test_there_is_nothing_to_lock_of_an_erased_member(self, world: World) -> None:
        ann = world.enrol()
        world.send(member_pb2.EraseMemberRequest(member_id=ann), Caller(ADMIN))
        request = pb.SetSpendLockRequest(member_id=ann, locked=True)
        assert world.refused(request, Caller(ADMIN)).reason == "MEMBER_NOT_FOUND"


class TestConsents:
    def test_as_long_as_nothing_was_said_every_answer_is_no(self, world: World) -> None:
        ann = world.enrol()
        consents = world.send(pb.ListConsentsRequest(member_id=ann), app_of(ann)).consents
        assert len({(one.purpose, one.channel) for one in consents}) == len(consents) == ALL_PAIRS
        assert not any(one.granted or one.HasField("changed_at") for one in consents)

    def test_the_last_word_counts_for_its_purpose_and_channel_alone(self, world: World) -> None:
        ann = world.enrol()
        for granted in (True, False, True):
            world.now_ms += 1_000
            stands = world.send(say(ann, "OFFERS", "SMS", granted), app_of(ann)).consent
            assert (stands.granted, stands.changed_at.ToMilliseconds()) == (granted, world.now_ms)
        yes = [
            (pb.ConsentPurpose.Name(one.purpose), pb.ConsentChannel.Name(one.channel))
            for one in world.send(pb.ListConsentsRequest(member_id=ann), app_of(ann)).consents
            if one.granted
        ]
        assert yes == [("CONSENT_PURPOSE_OFFERS", "CONSENT_CHANNEL_SMS")]

    def test_saying_it_again_changes_nothing(self, world: World) -> None:
        ann = world.enrol()
        first = world.send(say(ann, "POINTS", "EMAIL", True), app_of(ann)).consent
        world.now_ms += 60_000
        assert world.send(say(ann, "POINTS", "EMAIL", True), app_of(ann)).consent == first

    def test_a_no_is_noted_where_nothing_was_said_before(self, world: World) -> None:
        ann = world.enrol()
        assert world.send(say(ann, "POINTS", "EMAIL", False), app_of(ann)).consent.HasField("changed_at")

    @pytest.mark.parametrize("field", ["purpose", "channel"])
    @pytest.mark.parametrize("value", [0, 99])
    def test_a_purpose_or_channel_that_there_is_not_is_an_error(
        self, world: World, field: str, value: int
    ) -> None:
        ann = world.enrol()
        request = say(ann, "POINTS", "EMAIL", True)
        setattr(request, field, value)
        assert world.refused(request, app_of(ann)).violations[0][0] == field


class TestNewDevice:
    def phone_of(self, world: World, member_id: str) -> Caller:
        jwk = canonical_jwk(generate_signing_key().verify_key)
        kid = world.gateway.codes.register(SHOP, MemberId(member_id), jwk, label="New").device.kid
        return Caller(APP, store_id="", member_id=member_id, device_id=kid)

    def asked(self, world: World, member_id: str, caller: Caller) -> list[str]:
        """What becomes of unlocking and of a pass."""
        unlock = pb.SetSpendLockRequest(member_id=member_id, locked=False)
        wallet = pb.IssueWalletPassRequest(member_id=member_id, wallet=pb.WALLET_KIND_APPLE)
        answers = []
        for request in (unlock, wallet):
            try:
                world.send(request, caller)
            except Refused as refused:
                answers.append(refused.reason)
            else:
                answers.append("OK")
        return answers

    def test_it_locks_points_and_unlocks_none_and_gets_no_pass_for_a_day(self, world: World) -> None:
        ann = world.enrol()
        world.now_ms += DAY_MS
        phone = self.phone_of(world, ann)
        world.send(pb.SetSpendLockRequest(member_id=ann, locked=True), phone)
        assert self.asked(world, ann, phone) == ["DEVICE_NEW", "DEVICE_NEW"]
        assert card_of(world, ann).spend_locked
        world.now_ms += DAY_MS
        # No wallet is set up here, which is only said to a device that may have a pass.
        assert self.asked(world, ann, phone) == ["OK", "WALLET_OFF"]

    def test_the_device_that_a_member_joined_with_may_at_once(self, world: World) -> None:
        ann = world.enrol()
        assert self.asked(world, ann, self.phone_of(world, ann)) == ["OK", "WALLET_OFF"]


@pytest.mark.parametrize("wallet", ["APPLE", "GOOGLE"])
def test_a_wallet_that_is_not_set_up_is_named(world: World, wallet: str) -> None:
    ann = world.enrol()
    body = {"member_id": ann, "wallet": f"WALLET_KIND_{wallet}"}
    refused = world.refused(ParseDict(body, pb.IssueWalletPassRequest()), app_of(ann))
    assert (refused.reason, refused.metadata) == ("WALLET_OFF", {"wallet": wallet.lower()})
