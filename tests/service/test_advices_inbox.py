"""What waits for a person or for something that has not arrived: parked, quarantined, recovered."""

from __future__ import annotations

import pytest

from tallystick.core.advice import VerdictReason
from tallystick.core.ids import MemberId, ProgramId
from tallystick.security.keys import generate_signing_key
from tallystick.service.directory import Clock
from tallystick.service.errors import FailedPrecondition, InvalidInput, NotFound
from tallystick.service.ports import InboxItem, InboxState
from tallystick.service.uploads import advice_of
from tallystick.storage.verify import verify
from tests.service.paper_till import NEVER, SHOP, PaperTill, Shop, id_of, kinds_of, new_id

BOSS = "the-manager"


def post(shop: Shop, item: InboxItem) -> InboxItem:
    """Do what a manager's POST does."""
    submission = shop.gateway.inbox.prepare_post(SHOP, item, deadline=NEVER)
    if submission is not None:
        shop.lane([submission])
    return shop.gateway.inbox.conclude_post(
        SHOP, item.item_id, store_id="", resolved_by=BOSS, note="looked at it"
    )


def forked(shop: Shop, member_id: str) -> tuple[PaperTill, InboxItem]:
    """Return a till that was cloned, and the clone's sale in the inbox."""
    till = shop.till()
    clone = till.restored(to=0)
    shop.push(till, till.sale(member_id, 1_000))
    shop.push(clone, clone.sale(member_id, 5_000))
    return till, shop.inbox()[0]


class TestParked:
    def test_a_return_that_came_before_its_sale_is_posted_when_the_sale_arrives(self, shop: Shop) -> None:
        first, second, ann = shop.till(), shop.till(label="Second"), shop.member()
        sale = first.sale(ann, 1_000)
        back = second.give_back(ann, id_of(sale))
        assert kinds_of(shop.push(second, back).verdicts) == ["PARKED SALE_UNKNOWN"]
        shop.post_parked()
        assert shop.kinds(ann) == []
        shop.push(first, sale)
        shop.post_parked()
        assert shop.kinds(ann) == ["SALE", "RETURN"]
        assert shop.active(ann) == 0
        (item,) = shop.inbox(InboxState.POSTED)
        assert (item.verdict.kind.name, item.resolved_by, item.resolved_ms) == ("POSTED", "", shop.now_ms)
        assert kinds_of(shop.push(second, back).verdicts) == ["POSTED"]
        assert shop.kinds(ann) == ["SALE", "RETURN"]
        assert verify(shop.store).ok

    def test_sales_of_a_member_who_is_still_to_come_wait_for_the_sign_up(self, shop: Shop) -> None:
        first, second, newcomer = shop.till(), shop.till(label="Second"), new_id()
        answer = shop.push(second, second.sale(newcomer, 1_000), second.sale(newcomer, 2_000))
        assert kinds_of(answer.verdicts) == ["PARKED MEMBER_UNKNOWN"] * 2
        shop.push(first, first.sign_up(shop.gateway, newcomer, "+46701234567"))
        shop.post_parked()
        assert shop.active(newcomer) == 30
        assert shop.inbox() == []

    def test_an_undo_waits_for_its_sale_and_the_sale_for_its_member(self, shop: Shop) -> None:
        first, second, newcomer = shop.till(), shop.till(label="Second"), new_id()
        sale = first.sale(newcomer, 1_000)
        shop.push(second, second.undo(newcomer, id_of(sale)))
        shop.push(first, sale)
        shop.push(first, first.sign_up(shop.gateway, newcomer, ""))
        shop.post_parked()
        assert shop.kinds(newcomer) == ["ENROL", "SALE", "REVERSE"]

    def test_looking_in_vain_sends_nothing_down_the_lane(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        shop.push(till, till.give_back(ann, new_id()))
        assert shop.gateway.inbox.look_for_parked() == [SHOP]
        assert shop.gateway.inbox.due(SHOP, deadline=NEVER) == []
        assert len(shop.inbox()) == 1

    def test_what_waits_is_found_behind_a_thousand_programs(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        shop.push(till, till.give_back(ann, new_id()))
        inbox = shop.gateway.inbox
        for number in range(1_001):
            shop.gateway.programs.create(ProgramId(f"before-{number:04}"), "", Clock.LIVE)
            inbox.note_parked(ProgramId(f"before-{number:04}"))
        assert SHOP in inbox.look_for_parked()

    def test_a_program_with_nothing_parked_is_forgotten(self, shop: Shop) -> None:
        inbox = shop.gateway.inbox
        assert inbox.look_for_parked() == []
        inbox.note_parked(SHOP)
        assert inbox.waits(SHOP)
        assert inbox.due(SHOP, deadline=NEVER) == []
        assert not inbox.waits(SHOP)

    def test_many_that_wait_in_vain_do_not_keep_others_from_their_turn(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tallystick.service.inbox.PARKED_PAGE_MAX", 2)
        till, ann = shop.till(), shop.member()
        sales = [shop.till(label=f"Till {number}") for number in range(5)]
        raws = [one.sale(ann, 1_000) for one in sales]
        shop.push(till, *[till.give_back(ann, new_id()) for _ in range(6)])
        shop.push(till, *[till.give_back(ann, id_of(raw)) for raw in raws])
        for one, raw in zip(sales, raws, strict=True):
            shop.push(one, raw)
        shop.gateway.inbox.note_parked(SHOP)
        for _ in range(10):
            shop.lane(shop.gateway.inbox.due(SHOP, deadline=NEVER))
        assert shop.active(ann) == 0
        assert len(shop.inbox()) == 6


class TestAPersonDecides:
    def test_what_was_quarantined_is_posted_when_a_manager_vouches_for_it(self, shop: Shop) -> None:
        ann = shop.member()
        _, item = forked(shop, ann)
        done = post(shop, item)
        assert (done.state, done.resolved_by, done.note) == (InboxState.POSTED, BOSS, "looked at it")
        assert done.verdict.member_seq == 2
        assert shop.active(ann) == 60
        assert post(shop, done) == done
        assert shop.kinds(ann) == ["SALE", "SALE"]

    def test_what_cannot_be_read_stays_open(self, shop: Shop) -> None:
        till = shop.till()
        till.seq += 1
        shop.push(till, till.keep(b"\xff" * 30))
        done = post(shop, shop.inbox()[0])
        assert (done.state, done.resolved_by) == (InboxState.OPEN, "")
        assert done.verdict.reasons == (VerdictReason.UNREADABLE,)

    def test_what_still_cannot_be_posted_stays_open_and_says_why(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        shop.push(till, till.give_back(ann, new_id()))
        done = post(shop, shop.inbox()[0])
        assert (done.state, done.verdict.reasons) == (InboxState.OPEN, (VerdictReason.SALE_UNKNOWN,))

    def test_the_till_learns_what_became_of_it(self, shop: Shop) -> None:
        ann = shop.member()
        till, clone = shop.till(), None
        clone = till.restored(to=0)
        shop.push(till, till.sale(ann, 1_000))
        raw = clone.sale(ann, 5_000)
        request = clone.batch(raw)
        shop.push(clone, request=request)
        post(shop, shop.inbox()[0])
        assert kinds_of(shop.push(clone, request=request).verdicts) == ["POSTED"]

    def test_dismissing_needs_a_reason_and_posts_nothing(self, shop: Shop) -> None:
        ann = shop.member()
        _, item = forked(shop, ann)
        inbox = shop.gateway.inbox
        with pytest.raises(InvalidInput):
            inbox.dismiss(SHOP, item.item_id, store_id="", resolved_by=BOSS, note="  ")
        done = inbox.dismiss(SHOP, item.item_id, store_id="", resolved_by=BOSS, note="a test till")
        assert (done.state, done.note, done.resolved_ms) == (InboxState.DISMISSED, "a test till", shop.now_ms)
        again = inbox.dismiss(SHOP, item.item_id, store_id="", resolved_by="other", note="me too")
        assert again == done
        assert shop.active(ann) == 10
        with pytest.raises(FailedPrecondition) as caught:
            post(shop, done)
        assert (caught.value.reason, caught.value.details["state"]) == ("INBOX_ITEM_CLOSED", "DISMISSED")

    def test_a_dismissed_return_is_not_posted_when_its_sale_arrives(self, shop: Shop) -> None:
        first, second, ann = shop.till(), shop.till(label="Second"), shop.member()
        sale = first.sale(ann, 1_000)
        shop.push(second, second.give_back(ann, id_of(sale)))
        (item,) = shop.inbox()
        shop.gateway.inbox.dismiss(SHOP, item.item_id, store_id="", resolved_by=BOSS, note="double")
        shop.push(first, sale)
        shop.post_parked()
        assert shop.kinds(ann) == ["SALE"]

    def test_an_adjustment_is_done_with_once_it_was_read(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        shop.push(till, till.sale(ann, 1_000, earned=99))
        (item,) = shop.inbox()
        inbox = shop.gateway.inbox
        for wrong in (
            lambda: inbox.dismiss(SHOP, item.item_id, store_id="", resolved_by=BOSS, note="no"),
            lambda: inbox.prepare_post(SHOP, item, deadline=NEVER),
        ):
            with pytest.raises(InvalidInput):
                wrong()
        done = inbox.mark_seen(SHOP, item.item_id, store_id="s1", resolved_by="till", note="")
        assert done.state is InboxState.SEEN
        assert inbox.mark_seen(SHOP, item.item_id, store_id="s1", resolved_by="x", note="") == done
        assert shop.inbox() == []

    def test_what_was_not_posted_is_not_done_with_by_reading_it(self, shop: Shop) -> None:
        _, item = forked(shop, shop.member())
        with pytest.raises(InvalidInput):
            shop.gateway.inbox.mark_seen(SHOP, item.item_id, store_id="", resolved_by=BOSS, note="")

    def test_another_stores_item_is_not_there(self, shop: Shop) -> None:
        _, item = forked(shop, shop.member())
        inbox = shop.gateway.inbox
        for program, item_id, store in (
            (SHOP, item.item_id, "s2"),
            (SHOP, new_id(), ""),
            (ProgramId("other"), item.item_id, ""),
        ):
            with pytest.raises(NotFound) as caught:
                inbox.get(program, item_id, store_id=store)
            assert caught.value.reason == "INBOX_ITEM_NOT_FOUND"


class TestRecovery:
    def test_a_dead_tills_receipts_are_posted(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        signed = [till.receipt(till.sale(ann, 1_000)), till.receipt(till.sale(ann, 2_000))]
        assert kinds_of(shop.recover(*signed)) == ["POSTED", "POSTED"]
        assert kinds_of(shop.recover(*signed)) == ["POSTED", "POSTED"]
        assert shop.active(ann) == 30

    def test_the_till_that_was_not_dead_uploads_them_without_a_second_effect(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        raws = [till.sale(ann, 1_000), till.sale(ann, 2_000)]
        shop.recover(till.receipt(raws[1]))
        answer = shop.push(till, *raws)
        assert kinds_of(answer.verdicts) == ["POSTED", "POSTED"]
        assert answer.acked_seq == 2
        assert shop.active(ann) == 30

    def test_what_was_uploaded_before_has_its_verdict(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        raw = till.sale(ann, 1_000, earned=99)
        shop.push(till, raw)
        assert kinds_of(shop.recover(till.receipt(raw))) == ["ADJUSTED POINTS_DIFFER"]
        assert shop.active(ann) == 10

    def test_a_receipt_that_the_till_did_not_sign_is_quarantined(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        raw = till.sale(ann, 1_000)
        forged = till.receipt(raw, generate_signing_key())
        assert kinds_of(shop.recover(forged)) == ["QUARANTINED BAD_SIGNATURE"]
        assert [advice_of(item) for item in shop.inbox()] == [raw]
        assert verify(shop.store).ok
        assert shop.kinds(ann) == []

    def test_a_forged_receipt_does_not_stand_in_the_way_of_the_tills_own_upload(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        raw = till.sale(ann, 1_000)
        shop.recover(till.receipt(raw, generate_signing_key()))
        assert kinds_of(shop.push(till, raw).verdicts) == ["POSTED"]
        assert shop.active(ann) == 10

    def test_a_forged_receipt_that_a_manager_vouches_for_is_posted_once(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        raw = till.sale(ann, 1_000)
        shop.recover(till.receipt(raw, generate_signing_key()))
        assert post(shop, shop.inbox()[0]).state is InboxState.POSTED
        assert kinds_of(shop.push(till, raw).verdicts) == ["POSTED"]
        assert shop.active(ann) == 10

    def test_a_stolen_tills_sales_are_kept_for_a_person(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        raw = till.sale(ann, 1_000)
        shop.gateway.enrolment.revoke(SHOP, till.device_id)
        assert kinds_of(shop.recover(till.receipt(raw))) == ["QUARANTINED TILL_REVOKED"]
        assert shop.kinds(ann) == []
        assert post(shop, shop.inbox()[0]).state is InboxState.POSTED
        assert shop.active(ann) == 10

    def test_an_edited_receipt_is_quarantined(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        signed = till.receipt(till.sale(ann, 1_000))
        signed.advice = signed.advice.replace(b"A-1", b"A-2")
        assert kinds_of(shop.recover(signed)) == ["QUARANTINED BAD_SIGNATURE"]

    def test_nobodys_advice_is_answered_and_not_kept(self, shop: Shop) -> None:
        till, ann = shop.till(), shop.member()
        stranger = shop.till(program_id="other")
        signed = [stranger.receipt(stranger.sale(ann, 1_000)), till.receipt(b"\xff" * 20)]
        assert kinds_of(shop.recover(*signed)) == ["QUARANTINED BAD_SIGNATURE", "QUARANTINED UNREADABLE"]
        assert shop.inbox() == []

    def test_another_stores_receipts_are_nobodys_to_a_store(self, shop: Shop) -> None:
        till, ann = shop.till(store_id="s2"), shop.member()
        signed = till.receipt(till.sale(ann, 1_000))
        assert kinds_of(shop.recover(signed, store_id="s1")) == ["QUARANTINED BAD_SIGNATURE"]
        assert kinds_of(shop.recover(signed, store_id="s2")) == ["POSTED"]

    def test_a_person_who_joined_at_a_dead_till_is_recovered_too(self, shop: Shop) -> None:
        till, newcomer = shop.till(), new_id()
        signed = [
            till.receipt(till.sign_up(shop.gateway, newcomer, "+46701234567")),
            till.receipt(till.sale(newcomer, 1_000)),
        ]
        assert kinds_of(shop.recover(*signed)) == ["POSTED", "POSTED"]
        rows = shop.gateway.identity.all_of(SHOP, MemberId(newcomer))
        assert {row.kind for row in rows} == {"phone", "number"}
