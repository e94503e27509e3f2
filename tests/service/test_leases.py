"""Points escrowed to stores: leases, vouchers, recalls, and what a store can lose."""

from __future__ import annotations

import pytest

from tallystick.core.advice import TillStatus
from tallystick.core.ids import MemberId
from tallystick.security.envelope import LEASE, VOUCHER, body_holds
from tallystick.service.errors import AlreadyExists, NotFound
from tallystick.v1 import advice_pb2 as pb
from tallystick.wire.advices import from_digits
from tests.service.paper_till import (
    DAY_MS,
    NEVER,
    SHOP,
    Shop,
    floor_right,
    kinds_of,
    lease_right,
    new_id,
    voucher_right,
    why_refused,
)


def opened(shop: Shop, signed: pb.Signed, context: str) -> bytes:
    """Return the body of a text that the gateway signed."""
    keys = shop.gateway.keys().signing.verify_keys(shop.now_ms // 1000)
    assert body_holds(keys, context, signed.body, key_id=signed.key_id, signature=signed.signature)
    return bytes(signed.body)


class TestLease:
    def test_a_lease_is_signed_and_escrows_a_share(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member(points=80)
        lease_id = new_id()
        answer = shop.lease(till, ann, lease_id)
        grant = pb.LeaseGrant.FromString(opened(shop, answer.lease.grant, LEASE))
        assert (grant.lease_id, grant.program_id, grant.store_id, grant.member_id, grant.points) == (
            lease_id,
            SHOP,
            "s1",
            ann,
            40,
        )
        assert grant.ends_at.ToMilliseconds() == shop.now_ms + 2 * DAY_MS
        assert (answer.lease.remaining_points, answer.lease.recalled) == (40, False)
        assert (shop.active(ann), shop.held(ann)) == (40, 40)

    def test_asking_again_is_answered_the_same_and_escrows_nothing_more(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member(points=80)
        lease_id = new_id()
        first = shop.lease(till, ann, lease_id)
        shop.wait(DAY_MS)
        again = shop.lease(till, ann, lease_id)
        assert again.lease.grant.body == first.lease.grant.body
        assert shop.held(ann) == 40

    def test_a_store_that_has_a_lease_is_told_that_one(self, shop: Shop) -> None:
        till, second, ann = shop.till(), shop.till(label="Second"), shop.member(points=80)
        first = shop.lease(till, ann)
        shop.push(till, till.sale(ann, 1_000, rights=(lease_right(first.lease_id, 10),)))
        other = shop.lease(second, ann)
        assert other.lease.grant.body == first.lease.grant.body
        assert other.lease.remaining_points == 30

    def test_two_stores_get_leases_that_do_not_overlap(self, shop: Shop) -> None:
        here, there, ann = shop.till(), shop.till(store_id="s2"), shop.member(points=80)
        one, two = shop.lease(here, ann), shop.lease(there, ann)
        assert (one.lease.remaining_points, two.lease.remaining_points) == (40, 20)
        right_here, right_there = lease_right(one.lease_id, 40), lease_right(two.lease_id, 20)
        assert kinds_of(shop.push(here, here.sale(ann, 5_000, rights=(right_here,))).verdicts) == ["POSTED"]
        assert kinds_of(shop.push(there, there.sale(ann, 5_000, rights=(right_there,))).verdicts) == [
            "POSTED"
        ]
        assert shop.gateway.exposures.of_store(SHOP, "s1").lost_points == 0

    def test_a_refusal_says_why(self, shop: Shop) -> None:
        till = shop.till()
        assert shop.lease(till, shop.member()).refusal == "INSUFFICIENT_POINTS"
        assert shop.lease(till, new_id()).refusal == "MEMBER_UNKNOWN"
        blocked = shop.member(points=80)
        shop.gateway.members.set_blocked(SHOP, MemberId(blocked), blocked=True)
        assert shop.lease(till, blocked).refusal == "MEMBER_BLOCKED"

    def test_what_is_left_goes_back_once(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member(points=80)
        lease_id = shop.lease(till, ann).lease_id
        shop.push(till, till.sale(ann, 1_000, rights=(lease_right(lease_id, 10),)))
        command_id = new_id()
        assert shop.give_lease_back(till, ann, lease_id, command_id=command_id) == 30
        assert shop.give_lease_back(till, ann, lease_id, command_id=command_id) == 30
        assert shop.give_lease_back(till, ann, lease_id) == 0
        assert shop.held(ann) == 0
        assert shop.lease(till, ann, lease_id).refusal == "HOLD_CLOSED"

    def test_another_store_does_not_give_it_back(self, shop: Shop) -> None:
        till, other, ann = shop.till(), shop.till(store_id="s2"), shop.member(points=80)
        lease_id = shop.lease(till, ann).lease_id
        with pytest.raises(NotFound) as caught:
            shop.give_lease_back(other, ann, lease_id)
        assert caught.value.reason == "LEASE_NOT_FOUND"
        with pytest.raises(NotFound) as caught:
            shop.give_lease_back(till, new_id(), lease_id)
        assert caught.value.reason == "MEMBER_NOT_FOUND"
        assert shop.held(ann) == 40

    def test_another_stores_command_id_is_not_a_retry(self, shop: Shop) -> None:
        till, other, ann = shop.till(), shop.till(store_id="s2"), shop.member(points=80)
        lease_id, command_id = shop.lease(till, ann).lease_id, new_id()
        shop.give_lease_back(till, ann, lease_id, command_id=command_id)
        with pytest.raises(AlreadyExists):
            shop.give_lease_back(other, ann, lease_id, command_id=command_id)


class TestRecall:
    def test_leases_are_recalled_once_for_one_state_of_them(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member(points=80)
        shop.lease(till, ann)
        found = shop.gateway.leases.recall(SHOP, MemberId(ann), deadline=NEVER)
        assert found.leased_points == 40
        assert found.submission is not None
        again = shop.gateway.leases.recall(SHOP, MemberId(ann), deadline=NEVER)
        assert again.submission is not None
        assert again.submission.command.command_id == found.submission.command.command_id
        shop.lane([found.submission])
        assert shop.kinds(ann) == ["ADJUST", "LEASE", "RECALL"]
        assert shop.lease(till, ann).lease.recalled
        settled = shop.gateway.leases.recall(SHOP, MemberId(ann), deadline=NEVER)
        assert (settled.leased_points, settled.submission) == (40, None)

    def test_a_member_without_leases_is_left_alone(self, shop: Shop) -> None:
        ann = shop.member(points=80)
        shop.voucher(ann, points=20)
        found = shop.gateway.leases.recall(SHOP, MemberId(ann), deadline=NEVER)
        assert (found.leased_points, found.submission) == (0, None)

    def test_points_that_came_back_can_be_spent(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member(points=80)
        lease_id = shop.lease(till, ann).lease_id
        assert why_refused(shop.burn(ann, 60)) == "INSUFFICIENT_POINTS"
        shop.give_lease_back(till, ann, lease_id)
        assert shop.burn(ann, 60).decision is not None
        assert shop.active(ann) == 20


class TestVoucher:
    def test_a_voucher_is_signed_for_one_store_and_fits_into_a_code(self, shop: Shop) -> None:
        ann, voucher_id = shop.member(points=80), new_id()
        made = shop.voucher(ann, points=30, voucher_id=voucher_id).voucher
        grant = pb.VoucherGrant.FromString(opened(shop, made.grant, VOUCHER))
        assert (grant.points, grant.store_id, grant.reward_id) == (30, "s1", "")
        assert grant.expires_ms == shop.now_ms + 30 * DAY_MS
        assert from_digits(made.digits) == made.grant.SerializeToString(deterministic=True)
        assert len(made.digits) < 800
        again = shop.voucher(ann, points=30, voucher_id=voucher_id).voucher
        assert again.grant.body == made.grant.body
        assert (shop.active(ann), shop.held(ann)) == (50, 30)

    def test_a_reward_costs_what_the_rules_say(self, shop: Shop) -> None:
        made = shop.voucher(shop.member(points=80), reward_id="five-off").voucher
        grant = pb.VoucherGrant.FromString(made.grant.body)
        assert (grant.points, grant.reward_id) == (50, "five-off")

    def test_a_refusal_says_why(self, shop: Shop) -> None:
        ann = shop.member(points=80)
        assert shop.voucher(ann, points=81).refusal == "INSUFFICIENT_POINTS"
        assert shop.voucher(ann, reward_id="nothing").refusal == "REWARD_UNKNOWN"
        assert shop.voucher(new_id(), points=1).refusal == "MEMBER_UNKNOWN"

    def test_the_same_id_with_other_content_is_not_the_same_voucher(self, shop: Shop) -> None:
        ann, voucher_id = shop.member(points=80), new_id()
        shop.voucher(ann, points=30, voucher_id=voucher_id)
        assert shop.voucher(ann, points=31, voucher_id=voucher_id).refusal == "COMMAND_ID_REUSED"

    def test_a_used_voucher_is_not_shown_again(self, shop: Shop) -> None:
        till, ann, voucher_id = shop.till(), shop.member(points=80), new_id()
        shop.voucher(ann, points=30, voucher_id=voucher_id)
        shop.push(till, till.sale(ann, 5_000, rights=(voucher_right(voucher_id, 30),)))
        assert shop.voucher(ann, points=30, voucher_id=voucher_id).refusal == "HOLD_CLOSED"

    def test_a_voucher_that_has_ended_is_not_shown_again(self, shop: Shop) -> None:
        ann, voucher_id = shop.member(points=80), new_id()
        shop.voucher(ann, points=30, voucher_id=voucher_id)
        shop.wait(40 * DAY_MS)
        shop.burn(ann, 1)
        assert shop.voucher(ann, points=30, voucher_id=voucher_id).refusal == "HOLD_EXPIRED"


class TestExposure:
    def test_the_worst_case_is_the_floor_of_every_till_that_may_work(self, shop: Shop) -> None:
        till, second = shop.till(), shop.till(label="Second")
        shop.till(store_id="s2")
        assert shop.gateway.exposures.of_store(SHOP, "s1").worst_case_points == 200
        shop.gateway.enrolment.revoke(SHOP, second.device_id)
        risk = shop.gateway.exposures.of_store(SHOP, "s1")
        assert risk.worst_case_points == 100
        assert [one.till_id for one in risk.tills] == [till.device_id]

    def test_figures_come_from_the_ledger_and_from_what_tills_said(self, shop: Shop) -> None:
        till, ann, ben = shop.till(), shop.member(points=80), shop.member(points=5)
        shop.lease(till, ann)
        shop.voucher(ann, points=10)
        shop.push(till, till.sale(ben, 5_000, rights=(floor_right(20),)), queued=3, floor=20)
        risk = shop.gateway.exposures.of_store(SHOP, "s1")
        assert (risk.leased_points, risk.voucher_points, risk.lost_points) == (40, 10, 15)
        (one,) = risk.tills
        assert (one.chain.queued, one.chain.floor_points, one.chain.acked_seq) == (3, 20, 1)
        assert (one.floor_cap_points, one.chain.status) == (100, TillStatus.TRUSTED)
        nowhere = shop.gateway.exposures.of_store(SHOP, "s9")
        assert (nowhere.worst_case_points, nowhere.tills) == (0, ())

    def test_a_till_is_found_by_its_own_store_alone(self, shop: Shop) -> None:
        till = shop.till()
        exposures = shop.gateway.exposures
        assert exposures.till(SHOP, till.device_id, store_id="s1").device_id == till.device_id
        for till_id, store_id in ((till.device_id, "s2"), (new_id(), "")):
            with pytest.raises(NotFound) as caught:
                exposures.till(SHOP, till_id, store_id=store_id)
            assert caught.value.reason == "TILL_NOT_FOUND"
