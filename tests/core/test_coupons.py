"""What coupons take off, in which order, how often, and why not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.basket import Channel, Line, TaxGroup
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.coupon import CouponUse, can_use
from tallystick.core.entry import Entry, EntryKind, Refusal
from tallystick.core.ids import Ms
from tallystick.core.rules.coupon import normalise_code
from tallystick.core.rules.match import moment_of
from tests.core.world import World, at, basket, codes_of, line, refs_of, rules_of

COUPONS: list[dict[str, Any]] = [
    {"id": "five", "kind": "money_off", "amount_minor": 500, "per_member": 2},
    {"id": "tenth", "kind": "percent_off", "percent": 10, "code": "TENTH", "per_member": 0},
    {"id": "half", "kind": "percent_off", "percent": 50, "amount_minor_max": 250, "code": "HALF"},
    {"id": "toy", "kind": "free_item", "category": "toys", "code": "TOY", "per_member": 5},
    {"id": "alone", "kind": "money_off", "amount_minor": 100, "code": "ALONE", "combine": "exclusive"},
    {"id": "big", "kind": "money_off", "amount_minor": 100, "code": "BIG", "minimum_minor": 5_000},
    {"id": "later", "kind": "money_off", "amount_minor": 100, "code": "LATER", "from": "2026-02-01"},
    {"id": "web", "kind": "money_off", "amount_minor": 100, "code": "WEB", "channel": "webshop"},
    {"id": "few", "kind": "money_off", "amount_minor": 100, "code": "FEW", "per_member": 0, "total": 2},
]
CODES = {
    **{one["code"]: (one["id"], "") for one in COUPONS if "code" in one},
    **{name: ("five", name) for name in ("u1", "u2", "u3")},
    "gone": ("no-longer", "gone"),
}
REWARDS = [
    {"id": "quarter", "kind": "percent_off", "points": 30, "percent": 25},
    {"id": "freebie", "kind": "free_item", "points": 20, "category": "toys"},
]


def world(**parts: Any) -> World:
    made = World(rules_of(coupons=COUPONS, rewards=REWARDS, **parts), codes=dict(CODES))
    made.posted(made.adjust(10_000))
    return made


def toy(amount: int, *, quantity: int = 1) -> Line:
    return line(amount, quantity=quantity, categories=("toys",))


def discounts(entry: Entry) -> list[int]:
    return [share.discount_minor for share in entry.detail.lines]


def used(entry: Entry) -> list[tuple[str, int, str]]:
    return [tuple(one) for one in entry.detail.coupons]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("SUMMER25", "SUMMER25"),
        (" summer-25 ", "SUMMER25"),
        ("Oil", "011"),
        ("ｓｕｍｍｅｒ２５", "SUMMER25"),
        ("stra\u00dfe", "STRASSE"),
        ("k7ab\u20139qrs tvwx", "K7AB9QRSTVWX"),
        ("---", ""),
    ],
)
def test_a_code_has_one_spelling_however_it_is_typed(typed: str, read: str) -> None:
    assert normalise_code(typed) == read
    assert normalise_code(read) == read


@pytest.mark.parametrize(
    ("codes", "lines", "off"),
    [
        (("u1",), (2_000,), [500]),
        (("u1",), (300,), [300]),
        (("TENTH",), (1_999,), [199]),
        (("HALF",), (400,), [200]),
        (("HALF",), (4_000,), [250]),
        (("TOY",), (toy(3_000, quantity=3), 500), [1_000, 0]),
        (("BIG",), (5_000,), [100]),
        (("u1", "TENTH"), (2_000,), [650]),
        (("TENTH", "u1"), (2_000,), [700]),
        (("u1", "u2"), (2_000,), [1_000]),
    ],
)
def test_a_coupon_takes_off_what_it_says(
    codes: tuple[str, ...], lines: tuple[Line | int, ...], off: list[int]
) -> None:
    shop = world()
    entry = shop.posted(shop.sale(*lines, coupons=codes))
    assert discounts(entry) == off
    assert sum(one.discount_minor for one in entry.detail.coupons) == sum(off)


def test_coupons_come_first_then_rewards_then_points_and_the_rest_earns() -> None:
    shop = world()
    sale = shop.sale(10_000, coupons=("u1", "TENTH"), rewards=("quarter",), spend=Spend(1_000))
    entry = shop.posted(sale)
    assert used(entry) == [("five", 500, "u1"), ("tenth", 950, "")]
    assert [(one.reward_id, one.discount_minor) for one in entry.detail.rewards] == [("quarter", 2_137)]
    assert (entry.detail.payable_minor, -entry.moves.issued) == (10_000 - 500 - 950 - 2_137 - 1_000, 54)
    assert [(rule, points, code) for rule, _, points, code in codes_of(entry)] == [
        ("five", 0, "coupon"),
        ("tenth", 0, "coupon"),
        ("quarter", -30, "reward"),
        ("points", -1_000, "points_as_money"),
        ("base", 54, "per_amount"),
    ]


def test_a_coupon_and_a_reward_never_make_the_same_piece_free() -> None:
    shop = world()
    entry = shop.posted(shop.sale(toy(2_000, quantity=2), coupons=("TOY",), rewards=("freebie",)))
    assert (discounts(entry), entry.detail.payable_minor) == ([2_000], 0)
    assert (
        shop.why(shop.sale(toy(1_000), coupons=("TOY",), rewards=("freebie",)))
        is Refusal.REWARD_NOT_APPLICABLE
    )


def test_a_discount_is_spread_over_tax_groups_and_lines_to_the_minor_unit() -> None:
    shop = world()
    groups = (TaxGroup("food", 120_000), TaxGroup("full", 250_000))
    lines = (line(333, tax="food"), line(333, tax="full"), line(334, tax="food"))
    entry = shop.posted(shop.sale(*lines, coupons=("ALONE",), groups=groups))
    assert discounts(entry) == [33, 33, 34]
    assert [total.gross_minor for total in entry.detail.tax_totals] == [600, 300]


def test_what_a_coupon_took_off_neither_earns_nor_counts_towards_the_tier() -> None:
    tiers = {"basis": "spend", "period": "calendar_year", "levels": [{"id": "base", "from": 0}]}
    shop = world(tiers=tiers)
    entry = shop.posted(shop.sale(2_000, coupons=("u1",)))
    assert [(share.earned_points, share.credits) for share in entry.detail.lines] == [(15, 1_500)]


@pytest.mark.parametrize(
    ("codes", "why", "details"),
    [
        (("nothing",), Refusal.COUPON_UNKNOWN, ("coupon_no", "1")),
        (("u1", "gone"), Refusal.COUPON_UNKNOWN, ("coupon_no", "2")),
        (("LATER",), Refusal.COUPON_NOT_NOW, ("coupon_id", "later")),
        (("WEB",), Refusal.COUPON_NOT_APPLICABLE, ("coupon_id", "web")),
        (("TOY",), Refusal.COUPON_NOT_APPLICABLE, ("coupon_id", "toy")),
        (("BIG",), Refusal.COUPON_NOT_APPLICABLE, ("coupon_id", "big")),
        (("ALONE", "TENTH"), Refusal.COUPON_NOT_APPLICABLE, ("coupon_id", "tenth")),
        (("TENTH", "ALONE"), Refusal.COUPON_NOT_APPLICABLE, ("coupon_id", "alone")),
        (("u1", "u2", "u3"), Refusal.COUPON_USED, ("coupon_id", "five")),
    ],
)
def test_a_coupon_that_cannot_be_used_says_which_and_why(
    codes: tuple[str, ...], why: Refusal, details: tuple[str, str]
) -> None:
    shop = world()
    no = shop.refused(shop.sale(2_000, coupons=codes))
    assert (no.reason, no.details) == (why, (details,))


def test_of_many_reasons_the_one_with_the_lowest_number_is_given() -> None:
    shop = world()
    shop.posted(shop.sale(2_000, coupons=("HALF",)))
    codes = ["TOY", "LATER", "HALF", "nothing"]
    reasons = [
        Refusal.COUPON_UNKNOWN,
        Refusal.COUPON_USED,
        Refusal.COUPON_NOT_NOW,
        Refusal.COUPON_NOT_APPLICABLE,
    ]
    for reason in reasons:
        assert shop.why(shop.sale(2_000, coupons=tuple(codes))) is reason
        codes.pop()
    poor = shop.sale(2_000, coupons=("nothing", "TOY"), spend=Spend(99_999))
    assert shop.why(poor) is Refusal.ABOVE_SHARE_CAP
    assert shop.why(shop.sale(2_000, coupons=("TOY",), rewards=("none",))) is Refusal.REWARD_UNKNOWN


def test_a_hold_is_refused_for_its_length_and_number_before_its_coupons() -> None:
    shop = world(holds={"open_max": 1, "ttl_max_s": 60})
    held = shop.posted(
        replace(shop.hold(0, ttl_s=60, spend=None, basket=basket(2_000)), coupons=refs_of("u1"))
    )
    wrong = replace(shop.hold(0, ttl_s=61, spend=None, basket=basket(2_000)), coupons=refs_of("nothing"))
    assert shop.why(wrong) is Refusal.HOLD_TTL
    assert shop.why(replace(wrong, ttl_s=60)) is Refusal.HOLDS_TOO_MANY
    shop.posted(shop.void(held.command_id))
    assert shop.why(replace(wrong, ttl_s=60, command_id=shop.new_id())) is Refusal.COUPON_UNKNOWN


def test_a_hold_of_coupons_needs_a_basket_and_a_hold_of_nothing_is_none() -> None:
    shop = world()
    bare = replace(shop.hold(0, spend=None), coupons=refs_of("u1"))
    assert shop.why(bare) is Refusal.BASKET_EMPTY
    assert shop.why(shop.hold(0, spend=None, basket=basket(2_000))) is Refusal.BELOW_MINIMUM


def test_a_total_counts_the_uses_of_all() -> None:
    shop = world()
    for _ in range(2):
        shop.posted(shop.sale(2_000, coupons=("FEW",)))
    assert shop.why(shop.sale(2_000, coupons=("FEW",))) is Refusal.COUPON_USED


@pytest.mark.parametrize("points", [0, 300])
def test_a_hold_keeps_the_coupon_and_its_capture_uses_it(points: int) -> None:
    shop = world()
    spend = Spend(points) if points else None
    hold = shop.posted(replace(shop.hold(0, spend=spend, basket=basket(2_000)), coupons=refs_of("u1")))
    assert (used(hold), hold.moves.held) == ([("five", 500, "u1")], points)
    assert codes_of(hold)[0] == ("five", 0, 0, "coupon")
    assert shop.why(shop.sale(2_000, coupons=("u1",))) is Refusal.COUPON_USED
    sale = shop.posted(shop.capture(hold.command_id, basket(3_000)))
    assert (sale.kind, used(sale)) == (EntryKind.CAPTURE, [("five", 500, "u1")])
    assert (sale.moves.burned, sale.detail.payable_minor) == (points, 2_500 - points)


def test_a_hold_of_coupons_alone_ends_with_its_time_and_without_an_entry() -> None:
    shop = world()
    hold = shop.posted(
        replace(shop.hold(0, ttl_s=60, spend=None, basket=basket(2_000)), coupons=refs_of("u1"))
    )
    shop.now = Ms(shop.now + 60_000)
    assert shop.why(shop.capture(hold.command_id, basket(2_000))) is Refusal.HOLD_EXPIRED
    assert shop.why(shop.void(hold.command_id)) is Refusal.HOLD_EXPIRED
    shop.posted(shop.sale(2_000, coupons=("u1",)))
    assert [entry.kind for entry in shop.entries[1:]] == [EntryKind.HOLD, EntryKind.SALE]


def test_a_hold_with_points_is_released_by_an_entry_and_one_of_coupons_beside_it_is_not() -> None:
    shop = world()
    goods = basket(2_000)
    for points, code in ((300, "u1"), (0, "u2")):
        spend = Spend(points) if points else None
        shop.posted(replace(shop.hold(0, ttl_s=60, spend=spend, basket=goods), coupons=refs_of(code)))
    shop.now = Ms(shop.now + 60_000)
    shop.posted(shop.sale(2_000, coupons=("u1", "u2")))
    kinds = [entry.kind.name for entry in shop.entries[1:]]
    assert kinds == ["HOLD", "HOLD", "HOLD_RELEASE", "SALE"]


def test_a_late_capture_asks_about_the_coupon_again() -> None:
    shop = world(holds={"late_capture": "if_covered"})
    first, second = [
        shop.posted(replace(shop.hold(0, ttl_s=60, spend=None, basket=basket(2_000)), coupons=refs_of(code)))
        for code in ("u1", "u2")
    ]
    shop.now = Ms(shop.now + 60_000)
    shop.posted(shop.sale(2_000, coupons=("u2",)))
    assert used(shop.posted(shop.capture(first.command_id, basket(2_000)))) == [("five", 500, "u1")]
    assert shop.why(shop.capture(second.command_id, basket(2_000))) is Refusal.COUPON_USED


def test_returns_give_back_what_was_paid_and_never_the_coupon() -> None:
    shop = world()
    sale = shop.posted(shop.sale(line(1_000, quantity=3), 500, coupons=("u1", "TENTH")))
    paid = sale.detail.payable_minor
    parts = [shop.give_back(sale, ReturnLine(1, 1_000)) for _ in range(3)] + [
        shop.give_back(sale, ReturnLine(2, 1_000))
    ]
    refunds = [shop.posted(part).detail for part in parts]
    assert sum(one.refund_minor for one in refunds) == paid == 900
    assert sum(one.due_points for one in refunds) == -sale.moves.issued
    assert not any(one.coupons for one in refunds)
    assert shop.why(shop.sale(2_000, coupons=("u1",))) is Refusal.COUPON_USED


def test_a_reversed_sale_gives_its_coupons_free() -> None:
    shop = world()
    sale = shop.posted(shop.sale(2_000, coupons=("u1", "HALF")))
    undone = shop.posted(shop.reverse(sale))
    assert undone.detail.coupons == sale.detail.coupons
    assert used(shop.posted(shop.sale(2_000, coupons=("u1", "HALF")))) == used(sale)


def test_a_card_shows_a_coupon_while_one_is_left_and_its_time_and_tier_are_right() -> None:
    rules = rules_of(coupons=COUPONS)
    by_id = {one.coupon_id: one for one in rules.coupons}
    shop = World(rules)
    moment = moment_of(replace(shop.origin, channel=Channel.UNKNOWN), "", rules.zone)
    assert can_use(by_id["web"], CouponUse("web"), moment), "it may be used elsewhere than here"
    assert not can_use(by_id["later"], CouponUse("later"), moment)
    assert not can_use(by_id["few"], CouponUse("few", in_all=2), moment)
    assert not can_use(by_id["half"], CouponUse("half", by_member=1), moment)
    assert not can_use(by_id["five"], CouponUse("five", "u1", ended=True), moment)
    assert at("2026-02-01") > moment.at_ms
