"""What tills report: checked, posted once, answered for ever with the same verdict."""

from __future__ import annotations

import json

import pytest

from tallystick.core.advice import TillStatus
from tallystick.core.chain import GENESIS
from tallystick.core.entry import Posted
from tallystick.core.ids import MemberId
from tallystick.security.envelope import ANCHOR, body_holds
from tallystick.service.errors import FailedPrecondition
from tallystick.service.identity import Text
from tallystick.service.ports import InboxState
from tallystick.storage.verify import verify
from tallystick.v1 import advice_pb2 as pb
from tests.service.paper_till import (
    DAY_MS,
    HOUR_MS,
    RULES,
    SHOP,
    Shop,
    floor_right,
    kinds_of,
    new_id,
)


def test_sales_made_offline_are_posted_in_order(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    batch = [till.sale(ann, 1_000), till.sale(ann, 2_000)]
    answer = shop.push(till, *batch)
    assert kinds_of(answer.verdicts) == ["POSTED", "POSTED"]
    assert [(one.seq, one.member_seq, one.earned_points) for one in answer.verdicts] == [
        (1, 1, 10),
        (2, 2, 20),
    ]
    assert (answer.epoch, answer.acked_seq, answer.acked_hash) == (1, 2, till.head)
    assert shop.active(ann) == 30
    assert shop.inbox() == []
    assert verify(shop.store).ok


def test_a_second_upload_of_the_same_batch_changes_nothing_and_answers_the_same(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    batch = [till.sale(ann, 1_000), till.sale(ann, 2_000, earned=77), till.undo(ann, new_id())]
    first = shop.push(till, *batch)
    again = shop.push(till, *batch)
    assert kinds_of(first.verdicts) == ["POSTED", "ADJUSTED POINTS_DIFFER", "PARKED SALE_UNKNOWN"]
    assert again.verdicts == first.verdicts
    assert shop.kinds(ann) == ["SALE", "SALE"]
    assert len(shop.inbox()) == 2


def test_a_batch_that_overlaps_the_one_before_posts_only_what_is_new(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    raws = [till.sale(ann, 1_000) for _ in range(3)]
    shop.push(till, *raws[:2])
    assert kinds_of(shop.push(till, *raws[1:]).verdicts) == ["POSTED", "POSTED"]
    assert shop.active(ann) == 30


def test_a_batch_larger_than_one_transaction_is_posted_in_full(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    raws = [till.sale(ann, 100) for _ in range(300)]
    answer = shop.push(till, *raws)
    assert set(kinds_of(answer.verdicts)) == {"POSTED"}
    assert (len(answer.verdicts), answer.acked_seq, shop.active(ann)) == (300, 300, 300)


def test_asking_with_nothing_tells_where_the_chain_is(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    assert shop.push(till).acked_seq == 0
    shop.push(till, till.sale(ann, 1_000))
    answer = shop.push(till)
    assert (answer.epoch, answer.acked_seq, answer.acked_hash) == (1, 1, till.head)
    assert list(answer.verdicts) == []


def test_the_answer_carries_the_gateways_time_for_this_till(shop: Shop) -> None:
    till = shop.till()
    signed = shop.push(till).anchor
    keys = shop.gateway.keys().signing.verify_keys(shop.now_ms // 1000)
    assert body_holds(keys, ANCHOR, signed.body, key_id=signed.key_id, signature=signed.signature)
    anchor = pb.Anchor.FromString(signed.body)
    assert (anchor.till_id, anchor.server_ms) == (till.device_id, shop.now_ms)


def test_what_the_till_said_of_itself_is_kept(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    shop.push(till, till.sale(ann, 1_000), queued=7, floor=12)
    chain = shop.chain(till)
    assert (chain.queued, chain.floor_points, chain.contact_ms, chain.drained_ms) == (7, 12, shop.now_ms, 0)
    shop.wait(HOUR_MS)
    shop.push(till)
    chain = shop.chain(till)
    assert (chain.queued, chain.floor_points, chain.contact_ms) == (0, 0, shop.now_ms)
    assert chain.drained_ms == shop.now_ms


def test_a_clock_that_is_three_days_ahead_is_noted_and_corrected(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    shop.push(till)
    till.now_ms = shop.now_ms + 3 * DAY_MS
    answer = shop.push(till, till.sale(ann, 1_000))
    assert kinds_of(answer.verdicts) == ["POSTED CLOCK"]
    assert shop.entries(ann)[0].origin.occurred_ms == shop.now_ms


def test_nothing_happened_before_the_outbox_was_last_empty(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    shop.push(till)
    emptied = shop.now_ms
    shop.wait(HOUR_MS)
    till.now_ms = emptied - DAY_MS
    assert kinds_of(shop.push(till, till.sale(ann, 1_000)).verdicts) == ["POSTED CLOCK"]
    assert shop.entries(ann)[0].origin.occurred_ms == emptied


class TestChain:
    def test_a_gap_is_refused_and_says_from_where_to_send(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        raws = [till.sale(ann, 1_000) for _ in range(3)]
        shop.push(till, raws[0])
        error = shop.refused(till, raws[2])
        assert isinstance(error, FailedPrecondition)
        assert error.reason == "ADVICE_SEQUENCE_GAP"
        assert error.details == {"expected_epoch": "1", "expected_seq": "2"}
        assert shop.active(ann) == 10

    def test_an_epoch_that_has_not_begun_is_a_gap_behind_its_first_place(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        till.begin(2)
        first, second = till.sale(ann, 1_000), till.sale(ann, 1_000)
        assert shop.refused(till, second).reason == "ADVICE_SEQUENCE_GAP"
        # Only a gateway begins an epoch: this one was restored to before that.
        assert kinds_of(shop.push(till, first, second).verdicts) == ["POSTED", "POSTED"]
        assert (shop.chain(till).epoch, shop.chain(till).acked_seq) == (2, 2)

    def test_a_restored_till_is_fenced_and_goes_on_in_a_new_epoch(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        shop.push(till, *[till.sale(ann, 1_000) for _ in range(3)])
        backup = till.restored(to=1)
        answer = shop.push(backup, backup.sale(ann, 5_000), backup.sale(ann, 5_000))
        assert kinds_of(answer.verdicts) == ["QUARANTINED FORKED", "QUARANTINED FENCED"]
        assert (answer.epoch, answer.acked_seq, answer.acked_hash) == (2, 0, GENESIS)
        assert shop.active(ann) == 30
        assert [item.verdict.kind.name for item in shop.inbox()] == ["QUARANTINED", "QUARANTINED"]
        backup.begin(answer.epoch)
        assert kinds_of(shop.push(backup, backup.sale(ann, 1_000)).verdicts) == ["POSTED"]
        assert shop.chain(backup).fences == 1

    def test_what_was_queued_under_the_old_epoch_is_kept_but_not_posted(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        clone = till.restored(to=0)
        raws = [till.sale(ann, 1_000) for _ in range(2)]
        shop.push(till, raws[0])
        shop.push(clone, clone.sale(ann, 7_000))
        assert kinds_of(shop.push(till, raws[1]).verdicts) == ["QUARANTINED FENCED"]
        assert kinds_of(shop.push(till, raws[0]).verdicts) == ["POSTED"]
        assert shop.active(ann) == 10

    def test_after_three_forks_in_a_day_a_till_is_suspended_until_a_person_reinstates_it(
        self, shop: Shop
    ) -> None:
        till, ann = shop.till(), shop.member()
        shop.push(till, till.sale(ann, 1_000))
        for _ in range(3):
            clone = till.restored(to=0)
            answer = shop.push(clone, clone.sale(ann, 9_000))
            till.begin(answer.epoch)
            shop.push(till, till.sale(ann, 1_000)) if answer.epoch < 4 else None
        assert shop.chain(till).status is TillStatus.SUSPENDED
        error = shop.refused(till, till.sale(ann, 1_000))
        assert isinstance(error, FailedPrecondition)
        assert error.reason == "TILL_SUSPENDED"
        assert shop.refused(till).reason == "TILL_SUSPENDED"
        before = shop.active(ann)
        chain = shop.gateway.inbox.reinstate(SHOP, till.device_id)
        assert (chain.status, chain.epoch) == (TillStatus.TRUSTED, 5)
        assert shop.gateway.inbox.reinstate(SHOP, till.device_id) == chain
        till.begin(chain.epoch)
        assert kinds_of(shop.push(till, till.sale(ann, 1_000)).verdicts) == ["POSTED"]
        assert shop.active(ann) == before + 10

    def test_nobody_joins_at_a_suspended_till(self, shop: Shop) -> None:
        till = shop.till()
        shop.push(till, till.sale(shop.member(), 1_000))
        for epoch in (1, 2, 3):
            clone = till.restored(to=0)
            clone.epoch = epoch
            shop.push(clone, clone.sale(shop.member(), 9_000))
            if epoch < 3:
                till.begin(epoch + 1)
                shop.push(till, till.sale(shop.member(), 1_000))
        till.begin(4)
        newcomer = new_id()
        raw = till.sign_up(shop.gateway, newcomer, "+46701234567")
        assert shop.refused(till, raw).reason == "TILL_SUSPENDED"
        assert shop.store.member(SHOP, MemberId(newcomer)) is None


class TestJoining:
    def test_a_person_who_joined_offline_is_found_and_has_the_points(self, shop: Shop) -> None:
        till, newcomer = shop.till(), new_id()
        batch = [till.sign_up(shop.gateway, newcomer, "+46701234567"), till.sale(newcomer, 1_000)]
        assert kinds_of(shop.push(till, *batch).verdicts) == ["POSTED", "POSTED"]
        assert shop.kinds(newcomer) == ["ENROL", "SALE"]
        rows = shop.gateway.identity.all_of(SHOP, MemberId(newcomer))
        assert [row.kind for row in rows if row.kind == "phone"] == ["phone"]
        assert all(len(row.scan_tag) == 16 for row in rows)
        assert kinds_of(shop.push(till, *batch).verdicts) == ["POSTED", "POSTED"]

    def test_a_taken_identifier_stays_with_its_owner_and_the_sales_are_posted(self, shop: Shop) -> None:
        owner = shop.member(text="+46701234567")
        till, newcomer = shop.till(), new_id()
        batch = [till.sign_up(shop.gateway, newcomer, "+46701234567"), till.sale(newcomer, 1_000)]
        first = shop.push(till, *batch)
        assert kinds_of(first.verdicts) == ["ADJUSTED IDENTIFIER_TAKEN", "POSTED"]
        assert shop.push(till, *batch).verdicts == first.verdicts
        assert shop.active(newcomer) == 10
        kinds = [row.kind for row in shop.gateway.identity.all_of(SHOP, MemberId(newcomer))]
        assert kinds == ["number"]
        assert "phone" in [row.kind for row in shop.gateway.identity.all_of(SHOP, MemberId(owner))]
        assert [item.verdict.kind.name for item in shop.inbox()] == ["ADJUSTED"]

    @pytest.mark.parametrize("text", ["not an identifier at all", "4111111111111111"])
    def test_a_text_that_is_no_identifier_costs_the_text_not_the_member(self, shop: Shop, text: str) -> None:
        till, newcomer = shop.till(), new_id()
        batch = [till.sign_up(shop.gateway, newcomer, text), till.sale(newcomer, 1_000)]
        assert kinds_of(shop.push(till, *batch).verdicts) == ["ADJUSTED INVALID", "POSTED"]
        assert text not in repr(shop.inbox())

    def test_a_text_sealed_for_another_member_does_not_open(self, shop: Shop) -> None:
        till, newcomer = shop.till(), new_id()
        sealed = pb.Advice.FromString(till.sign_up(shop.gateway, new_id(), "+46701234567")).enrolment
        till.begin(1)
        raw = till.advice(newcomer, enrolment=sealed)
        assert kinds_of(shop.push(till, raw).verdicts) == ["ADJUSTED INVALID"]
        assert [row.kind for row in shop.gateway.identity.all_of(SHOP, MemberId(newcomer))] == ["number"]

    def test_a_try_cut_off_between_the_member_and_the_ledger_goes_on_where_it_was(self, shop: Shop) -> None:
        shop.member(text="+46701234567")
        till, newcomer = shop.till(), new_id()
        request = till.batch(till.sign_up(shop.gateway, newcomer, "+46701234567"))
        shop.gateway.advices.prepare(SHOP, till.device_id, request, deadline=0.0)
        assert kinds_of(shop.push(till, request=request).verdicts) == ["ADJUSTED IDENTIFIER_TAKEN"]

    def test_nobody_joins_in_an_epoch_that_was_fenced(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        clone = till.restored(to=0)
        shop.push(till, till.sale(ann, 1_000))
        shop.push(clone, clone.sale(ann, 9_000))
        newcomer = new_id()
        raw = till.sign_up(shop.gateway, newcomer, "+46701234567")
        assert kinds_of(shop.push(till, raw).verdicts) == ["QUARANTINED FENCED"]
        assert shop.store.member(SHOP, MemberId(newcomer)) is None

    def test_an_erased_member_does_not_come_back_by_an_old_sign_up(self, shop: Shop) -> None:
        till, newcomer = shop.till(), new_id()
        raw = till.sign_up(shop.gateway, newcomer, "+46701234567")
        request = till.batch(raw)
        shop.gateway.advices.prepare(SHOP, till.device_id, request, deadline=0.0)
        shop.gateway.members.erase(SHOP, MemberId(newcomer))
        assert kinds_of(shop.push(till, request=request).verdicts) == ["ADJUSTED IDENTIFIER_TAKEN"]
        assert shop.store.identifiers(SHOP, MemberId(newcomer)) == []


class TestRequestsThatBecameAdvices:
    def test_an_advice_whose_id_was_refused_as_a_request_is_posted_all_the_same(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member(points=10)
        answer = shop.burn(ann, 50)
        assert not isinstance(answer.decision, Posted)
        raw = till.sale(ann, 1_000, rights=(floor_right(10),))
        assert kinds_of(shop.push(till, raw).verdicts) == ["POSTED"]

    def test_the_tills_text_of_a_taken_sign_up_is_in_no_answer(self, shop: Shop) -> None:
        shop.member(text="canary@example.org")
        till, newcomer = shop.till(), new_id()
        answer = shop.push(till, till.sign_up(shop.gateway, newcomer, "canary@example.org"))
        assert "canary" not in str(answer)
        assert "canary" not in json.dumps([item.raw.hex() for item in shop.inbox()])


def test_rules_published_meanwhile_do_not_change_what_was_sold(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    shop.publish(RULES.replace("points: 1, per_minor: 100", "points: 9, per_minor: 100"))
    assert kinds_of(shop.push(till, till.sale(ann, 1_000)).verdicts) == ["POSTED"]
    assert shop.active(ann) == 10
    assert shop.inbox(InboxState.OPEN) == []


def test_a_sale_of_a_member_whose_tier_is_gone_holds_up_nobody_elses(shop: Shop) -> None:
    tiers = "tiers: {basis: spend, period: calendar_year, levels: [{id: base, from: 0}, {id: gold, from: 10000}]}\n"
    shop.publish(RULES + tiers)
    till, ann, ben = shop.till(), shop.member(), shop.member()
    shop.push(till, till.sale(ann, 20_000, rule_set=2))
    shop.publish(RULES + tiers.replace("gold", "guld"))
    shop.now_ms = till.now_ms = shop.now_ms + 800 * DAY_MS
    answer = shop.push(till, till.sale(ann, 1_000, rule_set=2), till.sale(ben, 5_000, rule_set=2))
    assert kinds_of(answer.verdicts) == ["POSTED", "POSTED"]
    assert shop.kinds(ann) == ["SALE", "TIER", "SALE"]
    assert shop.active(ben) == 50


def test_goods_that_come_back_late_hold_up_nobody_elses_sale(shop: Shop) -> None:
    shop.publish(
        RULES + "challenges: [{id: year, name: Year, counts: sales, target: 1, award: {points: 100},"
        ' from: "2026-03-01", until: "2027-03-01"}]\n'
    )
    till, ann, ben, sale_id = shop.till(), shop.member(), shop.member(), new_id()
    shop.now_ms = till.now_ms = shop.now_ms + 350 * DAY_MS
    shop.push(till, till.sale(ann, 1_000, advice_id=sale_id, rule_set=2))
    shop.now_ms = till.now_ms = shop.now_ms + 160 * DAY_MS
    bought, back = till.sale(ann, 500, rule_set=2), till.give_back(ann, sale_id, rule_set=2)
    answer = shop.push(till, bought, back, till.sale(ben, 5_000, rule_set=2))
    assert kinds_of(answer.verdicts) == ["POSTED", "POSTED", "POSTED"]
    assert shop.active(ann) == 105, "the challenge is over for good"
    assert shop.active(ben) == 50


def test_a_blocked_members_sale_is_a_fact(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    shop.gateway.members.set_blocked(SHOP, MemberId(ann), blocked=True)
    assert kinds_of(shop.push(till, till.sale(ann, 1_000)).verdicts) == ["POSTED"]


def test_what_the_member_did_not_have_the_store_pays(shop: Shop) -> None:
    till, ann = shop.till(), shop.member(points=5)
    answer = shop.push(till, till.sale(ann, 10_000, rights=(floor_right(20),)))
    assert kinds_of(answer.verdicts) == ["ADJUSTED SHORTFALL"]
    assert answer.verdicts[0].shortfall_points == 15
    assert shop.gateway.exposures.of_store(SHOP, "s1").lost_points == 15


def test_an_identifier_is_tagged_the_same_way_a_till_tags_a_scan(shop: Shop) -> None:
    from tallystick.security.scan_tags import scan_tag

    ann = shop.member(text="ann@example.org")
    key = shop.gateway.keys().scan_key(SHOP)
    rows = shop.gateway.identity.all_of(SHOP, MemberId(ann))
    assert scan_tag(key, kind="email", value="ann@example.org") in {row.scan_tag for row in rows}
    added = shop.gateway.identity.add(SHOP, MemberId(ann), Text("+46701234567"))
    assert scan_tag(key, kind="phone", value="+46701234567") == getattr(added, "scan_tag", b"")
