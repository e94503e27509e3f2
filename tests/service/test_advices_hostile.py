"""Uploads that are not what they say: forged, edited, foreign, senseless."""

from __future__ import annotations

import pytest

from tallystick.security.keys import generate_signing_key
from tallystick.service.enrolment import canonical_jwk, rotation_message
from tallystick.service.errors import PermissionDenied, Unauthenticated
from tallystick.v1 import advice_pb2 as pb
from tests.service.paper_till import (
    SHOP,
    Shop,
    id_of,
    kinds_of,
)


class TestSignature:
    def test_a_batch_signed_by_another_key_writes_nothing(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        request = till.batch(till.sale(ann, 1_000))
        request.signature = till.sign(request, generate_signing_key())
        error = shop.refused(till, request=request)
        assert isinstance(error, PermissionDenied)
        assert (error.reason, error.details) == ("ADVICE_SIGNATURE_INVALID", {"till_id": till.device_id})
        assert shop.kinds(ann) == []
        assert shop.store.read_tills(SHOP, store_id="") == []

    @pytest.mark.parametrize("at", [0, 1, 2])
    def test_an_edited_byte_anywhere_spoils_the_batch(self, shop: Shop, at: int) -> None:
        till, ann = shop.till(), shop.member()
        raws = [till.sale(ann, 1_000) for _ in range(3)]
        request = till.batch(*raws)
        edited = pb.Advice.FromString(raws[at])
        edited.sale.earned_points = 1_000_000
        request.advices[at] = edited.SerializeToString(deterministic=True)
        assert shop.refused(till, request=request).reason == "ADVICE_SIGNATURE_INVALID"
        assert shop.kinds(ann) == []

    @pytest.mark.parametrize("change", ["epoch", "first_seq", "fewer", "other_order", "no_signature"])
    def test_a_batch_sent_as_something_else_is_refused(self, shop: Shop, change: str) -> None:
        till, ann = shop.till(), shop.member()
        request = till.batch(*[till.sale(ann, 1_000) for _ in range(3)])
        if change == "epoch":
            request.epoch = 2
        elif change == "first_seq":
            request.first_seq = 2
        elif change == "fewer":
            del request.advices[0]
        elif change == "other_order":
            raws = [request.advices[1], request.advices[0], request.advices[2]]
            del request.advices[:]
            request.advices.extend(raws)
        else:
            request.ClearField("signature")
        assert shop.refused(till, request=request).reason == "ADVICE_SIGNATURE_INVALID"
        assert shop.kinds(ann) == []

    def test_another_tills_batch_is_refused(self, shop: Shop) -> None:
        till, other, ann = shop.till(), shop.till(label="Other"), shop.member()
        request = other.batch(other.sale(ann, 1_000))
        assert shop.refused(till, request=request).reason == "ADVICE_SIGNATURE_INVALID"
        assert shop.kinds(ann) == []

    def test_without_the_hash_before_the_first_advice_tells_it(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        shop.push(till, till.sale(ann, 1_000))
        request = till.batch(till.sale(ann, 1_000))
        request.ClearField("prev_hash")
        assert kinds_of(shop.push(till, request=request).verdicts) == ["POSTED"]

    def test_after_a_rotation_the_new_key_counts_and_the_old_one_no_more(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        old, till.key = till.key, generate_signing_key()
        message = rotation_message(program_id=SHOP, device_id=till.device_id, kid=till.key.kid)
        shop.gateway.enrolment.rotate_key(
            SHOP,
            till.device_id,
            public_jwk_text=canonical_jwk(till.key.verify_key),
            proof=till.key.sign_raw(message),
        )
        request = till.batch(till.sale(ann, 1_000))
        assert kinds_of(shop.push(till, request=request).verdicts) == ["POSTED"]
        request = till.batch(till.sale(ann, 1_000))
        request.signature = till.sign(request, old)
        assert shop.refused(till, request=request).reason == "ADVICE_SIGNATURE_INVALID"

    def test_a_revoked_till_is_refused_at_once(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        shop.gateway.enrolment.revoke(SHOP, till.device_id)
        error = shop.refused(till, till.sale(ann, 1_000))
        assert isinstance(error, Unauthenticated)
        assert error.reason == "DEVICE_REVOKED"
        assert shop.kinds(ann) == []


class TestHostileAdvices:
    def test_bytes_that_are_no_advice_are_kept_and_stop_no_queue(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        raws = []
        for number in range(3):
            raws.append(till.sale(ann, 1_000))
            till.seq += 1
            raws.append(till.keep(b"\xff\x00 not a message " + bytes([number])))
        answer = shop.push(till, *raws)
        assert kinds_of(answer.verdicts) == ["POSTED", "QUARANTINED UNREADABLE"] * 3
        assert answer.acked_seq == 6
        assert [item.raw for item in shop.inbox()] == raws[1::2]
        assert shop.push(till, *raws).verdicts == answer.verdicts

    def test_a_queue_that_begins_with_such_bytes_drains_all_the_same(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        shop.push(till, till.sale(ann, 1_000))
        till.seq += 1
        raws = [till.keep(b"\xff" * 40), till.sale(ann, 1_000)]
        assert kinds_of(shop.push(till, *raws).verdicts) == ["QUARANTINED UNREADABLE", "POSTED"]
        assert kinds_of(shop.push(till, *raws).verdicts) == ["QUARANTINED UNREADABLE", "POSTED"]

    def test_an_advice_with_a_foreign_tills_id_is_quarantined(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        raw = till.sale(ann, 1_000, till_id=shop.till(label="Other").device_id)
        answer = shop.push(till, raw, till.sale(ann, 2_000))
        assert kinds_of(answer.verdicts) == ["QUARANTINED INVALID", "POSTED"]
        assert shop.active(ann) == 20

    def test_an_advice_that_claims_another_place_is_quarantined(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        answer = shop.push(till, till.sale(ann, 1_000, seq=9), till.sale(ann, 1_000, epoch=3))
        assert kinds_of(answer.verdicts) == ["QUARANTINED INVALID"] * 2
        assert shop.active(ann) == 0

    def test_a_basket_in_another_currency_is_quarantined(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        written = pb.Advice.FromString(till.sale(ann, 1_000))
        till.begin(1)
        written.sale.basket.currency_code = "SEK"
        raw = till.advice(ann, sale=written.sale)
        assert kinds_of(shop.push(till, raw).verdicts) == ["QUARANTINED INVALID"]

    def test_an_id_that_belongs_to_something_else_is_quarantined(self, shop: Shop) -> None:
        till, ann, ben = shop.till(), shop.member(), shop.member()
        first = till.sale(ann, 1_000)
        second = till.sale(ben, 1_000, advice_id=id_of(first))
        assert kinds_of(shop.push(till, first, second).verdicts) == ["POSTED", "QUARANTINED ID_REUSED"]
        assert shop.active(ben) == 0

    def test_rules_that_are_not_ours_under_that_number_are_quarantined(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        raw = till.sale(ann, 1_000, rule_set_sha256=b"\x01" * 32)
        assert kinds_of(shop.push(till, raw).verdicts) == ["QUARANTINED RULE_SET_UNKNOWN"]

    def test_a_member_of_another_program_is_nobody(self, shop: Shop) -> None:
        till = shop.till(program_id="other")
        ann = shop.member(points=100)
        assert kinds_of(shop.push(till, till.sale(ann, 1_000)).verdicts) == ["PARKED MEMBER_UNKNOWN"]
        assert shop.active(ann) == 100
