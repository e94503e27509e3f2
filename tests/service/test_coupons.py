"""Coupons on every store: reserved, used once, freed, counted; and the books agree afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tallystick.core.command import ReturnLine
from tallystick.core.entry import EntryKind, Refusal
from tallystick.core.ids import NEVER_MS, MemberId, ProgramId
from tallystick.service.balances import Balances, Preview
from tallystick.service.coupon_ports import CodeState
from tallystick.service.errors import AlreadyExists, InvalidInput, NotFound, StoreConflict
from tallystick.service.ports import Transaction
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.service.coupons import CouponDesk, told, used
from tests.service.desk import ANN, BEN, CLUB, NOBODY, later
from tests.storage.conftest import (  # noqa: F401 - the stores of the storage tests, used as fixtures
    clock,
    store,
)


@pytest.fixture
def desk(store: Store) -> Iterator[CouponDesk]:  # noqa: F811
    with CouponDesk(store) as desk:
        yield desk
        report = verify(store)
        assert report.ok, report.first


def test_a_shared_code_takes_its_amount_off_and_is_counted(desk: CouponDesk) -> None:
    entry = desk.posted(desk.buys("summer 25"))
    assert used(entry) == [("summer", 500)]
    assert (entry.detail.payable_minor, -entry.moves.issued) == (1_500, 15)
    assert desk.counted("summer") == (1, 1, 0)


@pytest.mark.parametrize("typed", ["SUMMER-25", "summer25", " sUmMeR 25 ", "S-U-M-M-E-R-2-5", "SUMMER–25"])
def test_how_a_code_is_typed_does_not_matter(desk: CouponDesk, typed: str) -> None:
    assert used(desk.posted(desk.buys(typed))) == [("summer", 500)]


def test_a_unique_code_is_read_with_letters_for_the_digits_they_look_like(desk: CouponDesk) -> None:
    (code,) = desk.codes()
    assert len(code.text) == 14
    mistaken = code.text.lower().replace("0", "o").replace("1", "l")
    assert used(desk.posted(desk.buys(mistaken))) == [("birthday", 300)]
    assert desk.state(code) is CodeState.USED


def test_a_unique_code_is_used_once_by_whoever_has_it(desk: CouponDesk) -> None:
    (code,) = desk.codes()
    entry = desk.posted(desk.buys(code.text, member=BEN))
    assert desk.refused(desk.buys(code.text)) is Refusal.COUPON_USED
    (listed,) = desk.coupons.of_batch(CLUB, code.code.batch_id, after=0, limit=10)
    assert (listed.state, listed.code.used_by) == (CodeState.USED, entry.command_id)


def test_a_retry_uses_nothing_twice(desk: CouponDesk) -> None:
    (code,) = desk.codes()
    sale = desk.buys(code.text, "always")
    first, again = desk.send(sale, sale)
    (later,) = desk.send(sale)
    assert (first.replayed, again.replayed, later.replayed) == (False, True, True)
    assert first.decision == again.decision == later.decision
    assert (desk.counted("birthday")[0], desk.counted("always")[0]) == (1, 1)


def test_the_same_id_with_another_coupon_is_refused(desk: CouponDesk) -> None:
    sale = desk.buys("summer 25")
    desk.posted(sale)
    assert desk.refused(replace(sale, coupons=desk.refs("always"))) is Refusal.COMMAND_ID_REUSED
    assert desk.refused(replace(sale, coupons=())) is Refusal.COMMAND_ID_REUSED
    assert desk.counted("always") == (0, 0, 0)


def test_a_code_of_one_member_is_unknown_to_another(desk: CouponDesk) -> None:
    (code,) = desk.codes(of=[BEN])
    assert desk.refused(desk.buys(code.text)) is Refusal.COUPON_UNKNOWN
    assert used(desk.posted(desk.buys(code.text, member=BEN))) == [("birthday", 300)]


def test_a_member_uses_a_coupon_as_often_as_the_rules_say(desk: CouponDesk) -> None:
    codes = desk.codes(count=3)
    assert [told(desk.send(desk.buys(code.text))[0]) for code in codes] == ["SALE", "SALE", "COUPON_USED"]
    assert told(desk.send(desk.buys(codes[2].text, member=BEN))[0]) == "SALE"
    assert desk.counted("birthday") == (3, 2, 0)


def test_a_code_that_is_given_twice_counts_once(desk: CouponDesk) -> None:
    assert used(desk.posted(desk.buys("summer 25", "SUMMER25"))) == [("summer", 500)]


def test_two_codes_of_one_coupon_in_one_sale_count_twice(desk: CouponDesk) -> None:
    one, two, three = (code.text for code in desk.codes(count=3))
    assert desk.refused(desk.buys(one, two, three)) is Refusal.COUPON_USED
    assert used(desk.posted(desk.buys(one, two))) == [("birthday", 300), ("birthday", 300)]
    assert desk.refused(desk.buys(three)) is Refusal.COUPON_USED


def test_a_total_is_never_exceeded_within_one_batch(desk: CouponDesk) -> None:
    members = [MemberId(f"0190a000-0000-7000-8000-0000000001{number:02d}") for number in range(6)]
    desk.enrol(*members)
    answers = desk.send(*[desk.buys("summer 25", member=member) for member in members])
    assert [told(answer) for answer in answers] == ["SALE"] * 3 + ["COUPON_USED"] * 3
    assert desk.counted("summer")[0] == 3


def test_a_hold_reserves_and_its_capture_uses(desk: CouponDesk) -> None:
    (code,) = desk.codes()
    hold = desk.posted(desk.holds(code.text))
    assert (hold.kind, used(hold), hold.moves.held) == (EntryKind.HOLD, [("birthday", 300)], 0)
    assert desk.state(code) is CodeState.RESERVED
    assert desk.counted("birthday") == (0, 0, 1)
    assert desk.refused(desk.buys(code.text, member=BEN)) is Refusal.COUPON_USED
    sale = desk.captures(hold)
    assert (used(sale), sale.detail.payable_minor) == ([("birthday", 300)], 1_700)
    assert (desk.state(code), desk.counted("birthday")) == (CodeState.USED, (1, 1, 0))


def test_a_void_frees_what_the_hold_reserved(desk: CouponDesk) -> None:
    (code,) = desk.codes()
    hold = desk.posted(desk.holds(code.text, "summer 25"))
    desk.posted(desk.void(hold.command_id))
    assert (desk.state(code), desk.counted("summer")) == (CodeState.OPEN, (0, 0, 0))
    assert desk.refused(desk.capture(hold.command_id, desk.sale(2_000).basket)) is Refusal.HOLD_CLOSED
    assert used(desk.posted(desk.buys(code.text, member=BEN))) == [("birthday", 300)]


def test_a_hold_captured_in_the_batch_that_placed_it_is_captured_once(desk: CouponDesk) -> None:
    (code,) = desk.codes()
    hold = desk.holds(code.text)
    capture = desk.capture(hold.command_id, desk.sale(2_000).basket)
    other = desk.buys(code.text, member=BEN)
    assert [told(one) for one in desk.send(hold, other, capture)] == ["HOLD", "COUPON_USED", "CAPTURE"]
    assert desk.counted("birthday") == (1, 1, 0)


def test_points_and_coupons_are_held_and_captured_together(desk: CouponDesk) -> None:
    desk.posted(desk.adjust(1_000))
    hold = desk.posted(desk.holds("summer 25", points=400))
    assert (hold.moves.held, used(hold)) == (400, [("summer", 500)])
    sale = desk.captures(hold)
    assert (sale.moves.burned, sale.detail.payable_minor) == (400, 1_100)


@pytest.mark.parametrize("points", [0, 400])
def test_what_an_abandoned_checkout_reserved_is_free_when_its_time_is_over(
    desk: CouponDesk, points: int
) -> None:
    desk.posted(desk.adjust(1_000))
    (code,) = desk.codes()
    hold = desk.posted(desk.holds(code.text, points=points, ttl_s=60))
    desk.later(59)
    assert desk.refused(desk.buys(code.text, member=BEN)) is Refusal.COUPON_USED
    desk.later(1)
    assert desk.state(code) is CodeState.OPEN
    assert desk.posted(desk.buys(code.text, member=BEN)).kind is EntryKind.SALE
    late = desk.capture(hold.command_id, desk.sale(2_000).basket)
    assert desk.refused(late) is Refusal.HOLD_EXPIRED
    assert desk.counted("birthday", BEN) == (1, 1, 0)


@pytest.mark.parametrize("points", [0, 400])
def test_a_late_capture_takes_the_coupon_only_while_it_is_free(store: Store, points: int) -> None:  # noqa: F811
    with CouponDesk(store, holds={"late_capture": "if_covered"}) as desk:
        desk.posted(desk.adjust(1_000))
        free, taken = desk.codes(count=2)
        in_time = desk.posted(desk.holds(free.text, ttl_s=60, points=points))
        too_late = desk.posted(desk.holds(taken.text, ttl_s=60, points=points))
        desk.later(61)
        desk.posted(desk.buys(taken.text, member=BEN))
        assert used(desk.captures(in_time)) == [("birthday", 300)]
        late = desk.capture(too_late.command_id, desk.sale(2_000).basket)
        assert desk.refused(late) is Refusal.COUPON_USED
        assert verify(store).ok


def test_a_hold_with_coupons_is_captured_with_the_basket_that_was_sold(desk: CouponDesk) -> None:
    hold = desk.posted(desk.holds("summer 25"))
    assert desk.refused(desk.capture(hold.command_id)) is Refusal.BASKET_EMPTY
    assert desk.captures(hold).kind is EntryKind.CAPTURE


def test_a_coupon_that_the_final_basket_does_not_need_is_free_again(desk: CouponDesk) -> None:
    goods = desk.sale(2_000).basket
    toys = replace(goods, lines=(*goods.lines, replace(goods.lines[0], categories=("toys",))))
    hold = desk.posted(replace(desk.holds("toy", "summer 25"), basket=toys))
    assert used(hold) == [("toy", 2_000), ("summer", 500)]
    sale = desk.captures(hold)
    assert used(sale) == [("summer", 500)]
    assert ("toy", "coupon_given_back") in [(one.rule_id, one.code) for one in sale.detail.explanations]
    assert (desk.counted("toy"), desk.counted("summer")) == ((0, 0, 0), (1, 1, 0))


def test_a_promise_that_a_hold_made_is_kept_when_the_coupons_time_ends_meanwhile(store: Store) -> None:  # noqa: F811
    ends = {
        "id": "today",
        "kind": "money_off",
        "amount_minor": 100,
        "code": "TODAY",
        "until": "2026-01-15T13:01:00",
    }
    with CouponDesk(store, coupons=[ends]) as desk:
        hold = desk.posted(desk.holds("today"))
        desk.later(120)
        assert desk.refused(desk.buys("today", member=BEN)) is Refusal.COUPON_NOT_NOW
        assert used(desk.captures(hold)) == [("today", 100)]
        assert verify(store).ok


def test_reversing_a_sale_frees_its_coupons_and_a_return_does_not(desk: CouponDesk) -> None:
    one, two = desk.codes(count=2)
    wrong, right = desk.posted(desk.buys(one.text)), desk.posted(desk.buys(two.text))
    desk.posted(desk.reverse(wrong.command_id))
    back = desk.posted(desk.give_back(right.command_id, ReturnLine(1, 1_000)))
    assert back.detail.refund_minor == 1_700
    assert (desk.state(one), desk.state(two)) == (CodeState.OPEN, CodeState.USED)
    assert desk.counted("birthday") == (1, 1, 0)
    assert used(desk.posted(desk.buys(one.text))) == [("birthday", 300)]


def test_a_captured_hold_that_is_reversed_frees_its_coupons(desk: CouponDesk) -> None:
    (code,) = desk.codes()
    sale = desk.captures(desk.posted(desk.holds(code.text, "summer 25")))
    desk.posted(desk.reverse(sale.command_id))
    assert (desk.state(code), desk.counted("summer")) == (CodeState.OPEN, (0, 0, 0))


def test_revoked_codes_are_over_but_a_hold_that_has_one_keeps_it(desk: CouponDesk) -> None:
    gone, held, sold = desk.codes(count=3)
    batch = gone.code.batch_id
    hold = desk.posted(desk.holds(held.text))
    sale = desk.posted(desk.buys(sold.text, member=BEN))
    assert (desk.coupons.revoke(CLUB, batch), desk.coupons.revoke(CLUB, batch)) == (1, 0)
    assert desk.refused(desk.buys(gone.text)) is Refusal.COUPON_NOT_NOW
    assert used(desk.captures(hold)) == [("birthday", 300)]
    desk.posted(desk.reverse(sale.command_id, member=BEN))
    assert desk.state(sold) is CodeState.REVOKED


def test_a_member_has_only_so_many_checkouts_with_coupons_alone(store: Store) -> None:  # noqa: F811
    with CouponDesk(store, holds={"open_max": 2}) as desk:
        for _ in range(2):
            desk.posted(desk.holds("always", ttl_s=60))
        assert desk.refused(desk.holds("always")) is Refusal.HOLDS_TOO_MANY
        desk.later(60)
        third = desk.posted(desk.holds("always"))
        assert len(desk.store.read_holds(CLUB, ANN)) == 1, "those whose time is over were closed on the way"
        assert desk.captures(third).kind is EntryKind.CAPTURE
        assert verify(store).ok


def test_erasing_a_member_unlinks_the_codes_and_frees_none(desk: CouponDesk) -> None:
    spent, left = desk.codes(of=[BEN]) + desk.codes(of=[BEN])
    desk.posted(desk.buys(spent.text, member=BEN))
    assert [one.text for one in desk.coupons.of_member(CLUB, BEN, after=(desk.now, ""), limit=10)]
    desk.store.erase(CLUB, BEN)
    assert desk.coupons.of_member(CLUB, BEN, after=(desk.now, ""), limit=10) == []
    assert desk.refused(desk.buys(left.text)) is Refusal.COUPON_UNKNOWN
    for code in (spent, left):
        (listed,) = desk.coupons.of_batch(CLUB, code.code.batch_id, after=0, limit=10)
        assert listed.member_id == ""
    assert (desk.state(spent), desk.counted("birthday", BEN)) == (CodeState.USED, (1, 1, 0))


def test_the_same_batch_answers_the_same_codes_and_another_is_refused(desk: CouponDesk) -> None:
    batch, facts = "0190a000-0000-7000-8000-0000000000b1", {"member_ids": (), "created_by": "test"}
    first = desk.coupons.create(CLUB, batch, coupon_id="birthday", count=3, **facts)  # type: ignore[arg-type]
    again = desk.coupons.create(CLUB, batch, coupon_id="birthday", count=3, **facts)  # type: ignore[arg-type]
    assert [code.text for code in again] == [code.text for code in first]
    assert len({code.text for code in first}) == 3
    with pytest.raises(AlreadyExists):
        desk.coupons.create(CLUB, batch, coupon_id="birthday", count=4, **facts)  # type: ignore[arg-type]


def test_codes_are_made_only_of_coupons_and_for_members_that_are_there(desk: CouponDesk) -> None:
    for coupon in ("summer", "nothing"):
        with pytest.raises(InvalidInput):
            desk.codes(coupon)
    with pytest.raises(NotFound):
        desk.codes(of=[NOBODY])
    with pytest.raises(InvalidInput):
        desk.codes(count=0)


def test_codes_are_listed_page_by_page(desk: CouponDesk) -> None:
    made = desk.codes(count=5)
    batch = made[0].code.batch_id
    pages = [desk.coupons.of_batch(CLUB, batch, after=after, limit=2) for after in (0, 2, 4)]
    assert [code.text for page in pages for code in page] == [code.text for code in made]
    own = [desk.codes(of=[BEN])[0] for _ in range(3)]
    first = desk.coupons.of_member(CLUB, BEN, after=(desk.now, ""), limit=2)
    last = first[-1].code
    rest = desk.coupons.of_member(CLUB, BEN, after=(last.created_ms, last.token), limit=2)
    assert sorted(code.text for code in (*first, *rest)) == sorted(code.text for code in own)


def test_a_card_shows_what_its_member_can_use_now(desk: CouponDesk) -> None:
    (mine,) = desk.codes(of=[ANN])
    desk.codes(of=[BEN])
    shown = [(one.coupon.coupon_id, one.code) for one in desk.coupons.coupons_of(CLUB, ANN)]
    assert shown == [("always", "ALWAYS"), ("birthday", mine.text)]
    desk.posted(desk.holds(mine.text))
    assert [one.code for one in desk.coupons.coupons_of(CLUB, ANN)] == ["ALWAYS"]
    with pytest.raises(NotFound):
        desk.coupons.coupons_of(CLUB, NOBODY)


def test_a_batch_that_loses_its_commit_uses_a_coupon_once_when_it_is_run_again(
    desk: CouponDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = desk.codes()
    real, lost = desk.store.transaction, [True]

    @contextmanager
    def once_lost(program_id: ProgramId) -> Iterator[Transaction]:
        with real(program_id) as transaction:
            yield transaction
            if lost and lost.pop():
                raise StoreConflict("the connection was lost before COMMIT was answered")

    monkeypatch.setattr(desk.store, "transaction", once_lost)
    entry = desk.posted(desk.buys(code.text, "summer 25"))
    assert (lost, used(entry)) == ([], [("birthday", 300), ("summer", 500)])
    assert (desk.counted("birthday"), desk.counted("summer")) == ((1, 1, 0), (1, 1, 0))


@pytest.mark.parametrize("points", [0, 400])
def test_a_hold_that_is_over_for_its_member_is_over_for_the_coupon_too(desk: CouponDesk, points: int) -> None:
    earlier = later(desk.origin, -120)
    desk.posted(replace(desk.adjust(1_000), origin=earlier))
    (code,) = desk.codes()
    desk.posted(replace(desk.holds(code.text, points=points, ttl_s=60), origin=earlier))
    assert desk.refused(desk.buys(code.text, member=BEN)) is Refusal.COUPON_USED
    sale = desk.buys(code.text)
    quote = Balances(desk.store, desk.book).quote(
        CLUB, sale, earliest_ms=0, latest_ms=NEVER_MS, now_ms=desk.now
    )
    assert isinstance(quote, Preview), quote
    assert used(quote.entry) == used(desk.posted(sale)) == [("birthday", 300)]
    assert desk.account().held == 0


@pytest.mark.parametrize("in_company", [False, True])
def test_a_hold_of_points_leaves_those_of_coupons_alone_whatever_shares_its_batch(
    store: Store,  # noqa: F811
    in_company: bool,
) -> None:
    with CouponDesk(store, holds={"open_max": 1}) as desk:
        desk.posted(desk.adjust(1_000))
        (code,) = desk.codes()
        desk.posted(replace(desk.holds(code.text, ttl_s=60), origin=later(desk.origin, -120)))
        company = [desk.buys("always")] if in_company else []
        assert [told(one) for one in desk.send(*company, desk.hold(100))][-1] == "HOLD"
        assert desk.state(code) is CodeState.RESERVED, "for others, by the server's clock"
        assert verify(store).ok


@pytest.mark.parametrize("in_company", [False, True])
def test_checkouts_with_coupons_alone_take_no_room_from_one_with_points(
    store: Store,  # noqa: F811
    in_company: bool,
) -> None:
    with CouponDesk(store, holds={"open_max": 1}) as desk:
        desk.posted(desk.adjust(1_000))
        desk.posted(desk.holds("always"))
        company = [desk.buys("always")] if in_company else []
        assert [told(one) for one in desk.send(*company, desk.hold(100))][-1] == "HOLD"


def test_codes_have_nothing_in_common(store: Store) -> None:  # noqa: F811
    with CouponDesk(store) as desk:
        codes = [one.text.replace("-", "") for one in desk.codes(count=1_000)]
    assert len(set(codes)) == 1_000
    for place in range(12):
        letters = Counter(code[place] for code in codes)
        assert len(letters) == 32
        assert max(letters.values()) < 80
