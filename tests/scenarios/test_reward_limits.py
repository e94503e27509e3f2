"""Rewards of which there are only so many, as a retailer would tell them."""

from __future__ import annotations

from typing import Any

from tallystick.core.basket import Assurance
from tallystick.core.command import Command, IssueVoucher, PlaceHold, Sale, SettleSale
from tallystick.core.entry import Refused
from tallystick.core.ids import NEVER_MS, MemberId, Minor
from tallystick.service.balances import Balances
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.scenarios.test_coupon_races import MEMBERS, counted, desks
from tests.service.coupons import CouponDesk, told
from tests.service.desk import ANN, BEN

MUG: dict[str, Any] = {"id": "mug", "kind": "money_off", "points": 100, "amount_minor": 500, "stock": 2}
MANY: dict[str, Any] = {"id": "pen", "kind": "money_off", "points": 10, "amount_minor": 50}
SPENDS = {"rewards": [MUG, MANY], "coupons": ()}


def mug_shop(store: Store, **more: Any) -> CouponDesk:
    """Open a shop that has two mugs, and give Ann and Ben points enough for more."""
    desk = CouponDesk(store, **{**SPENDS, **more})
    for member in (ANN, BEN):
        desk.posted(desk.earn(1_000, member=member))
    return desk


def takes_a_mug(desk: CouponDesk, member: MemberId = ANN) -> Sale:
    return desk.sale(2_000, member=member, rewards=("mug",))


def puts_a_mug_aside(desk: CouponDesk, member: MemberId = ANN, *, ttl_s: int = 900) -> PlaceHold:
    goods = desk.sale(2_000).basket
    assurance = Assurance.DEVICE_CODE
    return PlaceHold(desk.new_id(), member, desk.origin, ttl_s, None, ("mug",), goods, assurance)


def quoted(desk: CouponDesk, sale: Sale) -> str:
    balances = Balances(desk.store, desk.book)
    found = balances.quote(desk.program_id, sale, earliest_ms=0, latest_ms=NEVER_MS, now_ms=desk.now)
    return found.reason.name if isinstance(found, Refused) else found.entry.kind.name


def left(desk: CouponDesk) -> int:
    used, _, held = desk.counted("reward/mug")
    return 2 - used - held


def all_is_well(store: Store) -> None:
    report = verify(store)
    assert report.ok, report.first


def test_of_two_mugs_the_third_is_sold_out_whoever_asks(store: Store) -> None:
    with mug_shop(store) as desk:
        first = desk.posted(takes_a_mug(desk))
        assert [(one.reward_id, one.discount_minor) for one in first.detail.rewards] == [("mug", 500)]
        desk.posted(takes_a_mug(desk, BEN))
        assert told(desk.send(takes_a_mug(desk, BEN))[0]) == "REWARD_SOLD_OUT"
        assert told(desk.send(desk.sale(2_000, rewards=("pen",)))[0]) == "SALE", (
            "what is not counted is there"
        )
        assert told(desk.send(desk.sale(2_000))[0]) == "SALE", "and so are the goods themselves"
    all_is_well(store)


def test_a_mug_in_a_checkout_is_kept_for_it_and_comes_back_when_nothing_comes_of_it(store: Store) -> None:
    with mug_shop(store) as desk:
        aside = desk.posted(puts_a_mug_aside(desk))
        desk.posted(takes_a_mug(desk, BEN))
        assert told(desk.send(takes_a_mug(desk, BEN))[0]) == "REWARD_SOLD_OUT", "one is Ann's until she pays"
        desk.posted(desk.void(aside.command_id))
        assert left(desk) == 1
        desk.posted(takes_a_mug(desk, BEN))
        assert left(desk) == 0
    all_is_well(store)


def test_a_checkout_that_is_paid_uses_the_mug_that_it_kept(store: Store) -> None:
    with mug_shop(store) as desk:
        aside = desk.posted(puts_a_mug_aside(desk))
        desk.posted(takes_a_mug(desk, BEN))
        paid = desk.captures(aside)
        assert [one.reward_id for one in paid.detail.rewards] == ["mug"]
        assert desk.counted("reward/mug") == (2, 1, 0)
    all_is_well(store)


def test_a_checkout_that_is_forgotten_lets_the_mug_go(store: Store) -> None:
    with mug_shop(store) as desk:
        desk.posted(puts_a_mug_aside(desk, ttl_s=60))
        desk.posted(takes_a_mug(desk, BEN))
        desk.later(60)
        desk.posted(takes_a_mug(desk, BEN))
        assert left(desk) == 0
    all_is_well(store)


def test_a_late_payment_gets_the_mug_only_if_one_is_left(store: Store) -> None:
    with mug_shop(store, holds={"late_capture": "if_covered"}) as desk:
        aside = desk.posted(puts_a_mug_aside(desk, ttl_s=60))
        desk.later(60)
        desk.posted(takes_a_mug(desk, BEN))
        desk.posted(takes_a_mug(desk, BEN))
        late = desk.capture(aside.command_id, desk.sale(2_000).basket)
        assert told(desk.send(late)[0]) == "REWARD_SOLD_OUT"
    all_is_well(store)


def test_a_sale_rung_up_by_mistake_puts_the_mug_back(store: Store) -> None:
    with mug_shop(store) as desk:
        wrong = desk.posted(takes_a_mug(desk))
        desk.posted(takes_a_mug(desk))
        assert left(desk) == 0
        desk.posted(desk.reverse(wrong.command_id))
        assert left(desk) == 1
        desk.posted(takes_a_mug(desk, BEN))
    all_is_well(store)


def test_what_a_till_has_given_away_counts_also_beyond_the_stock(store: Store) -> None:
    with mug_shop(store) as desk:
        for _ in range(3):
            given = desk.posted(reported_by_a_till(desk))
            assert [one.reward_id for one in given.detail.rewards] == ["mug"]
        assert left(desk) == -1
        assert told(desk.send(takes_a_mug(desk, BEN))[0]) == "REWARD_SOLD_OUT"
    all_is_well(store)


def test_a_free_reward_in_a_checkout_counts_as_had_by_its_member(store: Store) -> None:
    free = {**MUG, "points": 0, "stock": 9, "limit": {"count": 1, "per": "year"}}
    with CouponDesk(store, coupons=(), rewards=[free]) as desk:
        aside = desk.posted(puts_a_mug_aside(desk))
        assert desk.account().held == 0
        another = takes_a_mug(desk)
        assert quoted(desk, another) == told(desk.send(another)[0]) == "REWARD_LIMIT"
        assert told(desk.send(takes_a_mug(desk, BEN))[0]) == "SALE", "the limit is each member's own"
        desk.captures(aside)
        assert told(desk.send(takes_a_mug(desk))[0]) == "REWARD_LIMIT"
    all_is_well(store)


def test_a_voucher_buys_no_mug_because_nobody_could_count_it(store: Store) -> None:
    with mug_shop(store) as desk:
        (answer,) = desk.send(voucher_for(desk, "mug"))
        assert told(answer) == "REWARD_NEEDS_GATEWAY"
        assert told(desk.send(voucher_for(desk, "pen"))[0]) == "VOUCHER"
    all_is_well(store)


def test_a_stock_that_is_filled_up_sells_on(store: Store) -> None:
    with mug_shop(store) as desk:
        desk.posted(takes_a_mug(desk))
        desk.posted(takes_a_mug(desk))
        desk.publish(rewards=[{**MUG, "stock": 3}], coupons=[])
        desk.book.forget(desk.program_id)
        desk.posted(takes_a_mug(desk, BEN))
        assert told(desk.send(takes_a_mug(desk, BEN))[0]) == "REWARD_SOLD_OUT"
    all_is_well(store)


def test_sixty_who_want_one_of_twenty_get_twenty(shared: Store) -> None:
    twenty = {**MUG, "points": 0, "stock": 20}
    with desks(shared, coupons=[], rewards=[twenty]) as three:
        sales: list[Command] = [three[0].sale(2_000, member=one, rewards=("mug",)) for one in MEMBERS]
        assert counted(three, sales) == {"SALE": 20, "REWARD_SOLD_OUT": 40}
        assert counted(three, sales) == {"SALE": 20, "REWARD_SOLD_OUT": 40}, "however often they are sent"
        assert three[0].counted("reward/mug")[0] == 20


def voucher_for(desk: CouponDesk, reward_id: str) -> IssueVoucher:
    return IssueVoucher(desk.new_id(), ANN, desk.origin, "s1", 0, reward_id, Assurance.DEVICE_CODE)


def reported_by_a_till(desk: CouponDesk) -> SettleSale:
    sold = desk.sale(2_000)
    return SettleSale(
        desk.new_id(),
        ANN,
        desk.origin,
        sold.basket,
        1,
        earned_points=15,
        burned_points=100,
        discount_minor=Minor(500),
        reward_ids=("mug",),
        assurance=Assurance.DEVICE_CODE,
    )
