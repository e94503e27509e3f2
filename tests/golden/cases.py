"""The cases of the golden vectors: about fifty decisions that a retailer could check with pencil and paper."""

from __future__ import annotations

from typing import Any

from tallystick.core.basket import Assurance, Line, TaxGroup
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.ids import Minor
from tests.core.world import World, at, basket, line
from tests.golden.story import Case

BASE = {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}
GROUPS = (TaxGroup("food", 120_000), TaxGroup("full", 250_000))
LEVELS = [{"id": "base", "from": 0}, {"id": "silver", "from": 10_000}, {"id": "gold", "from": 30_000}]
YEARLY = {"basis": "spend", "period": "calendar_year", "levels": LEVELS}
REWARDS = [
    {"id": "five", "kind": "money_off", "points": 50, "amount_minor": 500},
    {"id": "tenth", "kind": "percent_off", "points": 30, "percent": 10, "amount_minor_max": 250},
    {"id": "toy", "kind": "free_item", "points": 20, "category": "toys"},
]
MONTH = {"kind": "months", "months": 1}


def earning(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"earning": {"rules": [BASE, *rules], **more}}


def sells(*lines: Line | int, **more: Any) -> Any:
    """Return a story of one sale."""
    return lambda world: world.do(world.sale(*lines, **more))


def rich(world: World, points: int = 10_000) -> None:
    world.do(world.adjust(points))


def spends(points: int, *lines: Line | int, up_to: bool = False, **more: Any) -> Any:
    """Return a story of one sale on which points are spent."""

    def tell(world: World) -> None:
        rich(world)
        world.do(world.sale(*lines, spend=Spend(points, up_to=up_to), **more))

    return tell


def buys(*rewards: str, lines: tuple[Line | int, ...]) -> Any:
    """Return a story of one sale on which rewards are bought."""

    def tell(world: World) -> None:
        rich(world)
        world.do(world.sale(*lines, rewards=rewards))

    return tell


def multiplied(combine: str) -> Case:
    factors = [
        {"id": "brand", "kind": "multiply", "by": "1.5", "brand": "acme"},
        {"id": "toys", "kind": "multiply", "by": 2, "category": "toys"},
    ]
    goods = (line(999, brand="acme", categories=("toys",)), line(1_001, brand="acme"), 350)
    whys = {
        "highest": "9.99 doubled, 10.01 half as much again, 3.50 as it is: 38.495 points",
        "sum": "9.99 times 2.5, 10.01 times 1.5, 3.50 as it is: 43.49 points",
        "product": "9.99 times 3, 10.01 times 1.5, 3.50 as it is: 48.485 points",
    }
    return Case(f"multipliers-{combine}", whys[combine], sells(*goods), earning(*factors, combine=combine))


def tier_rate(world: World) -> None:
    world.do(world.sale(25_000))
    world.do(world.sale(19_600))
    world.do(world.sale(19_600))


def expires(sold: str, until: str) -> Any:
    """Return a story of points earned at one instant, looked at a second before another and at it."""

    def tell(world: World) -> None:
        world.now = at(sold)
        world.do(world.sale(1_000))
        end = at(until)
        world.now = type(end)(end - 1_000)
        world.do(world.sale(0))
        world.now = end
        world.do(world.sale(0))

    return tell


def returned(*pieces: ReturnLine, spend: int = 100, lines: tuple[Line | int, ...]) -> Any:
    """Return a story of a sale and one return after the other."""

    def tell(world: World) -> None:
        rich(world)
        sale = world.posted(world.sale(*lines, spend=Spend(spend)))
        for piece in pieces:
            world.do(world.give_back(sale, piece))

    return tell


def spent_meanwhile(world: World) -> None:
    sale = world.posted(world.sale(line(10_000, quantity=2)))
    world.do(world.burn(80))
    world.do(world.give_back(sale, ReturnLine(1, 1000)))
    world.do(world.give_back(sale, ReturnLine(1, 1000)))
    world.do(world.sale(10_500))


def expired_meanwhile(world: World) -> None:
    world.do(world.earn(400))
    sale = world.posted(world.sale(400, spend=Spend(400)))
    world.now = at("2026-03-01T12:00")
    world.do(world.all_back(sale))
    world.now = at("2026-03-11T12:00")
    world.do(world.sale(0))


def held(world: World) -> None:
    rich(world, 1_000)
    hold = world.posted(world.hold(300, basket=basket(1_000)))
    world.do(world.capture(hold.hold_id, basket(120)))
    world.do(world.void(hold.hold_id))


def held_too_long(world: World) -> None:
    rich(world, 1_000)
    hold = world.posted(world.hold(300, ttl_s=60))
    world.now = at("2026-01-15T13:00")
    world.do(world.void(hold.hold_id))
    world.do(world.capture(hold.hold_id))


def two_lots(world: World) -> None:
    world.do(world.earn(10))
    world.now = at("2026-01-20T12:00")
    world.do(world.earn(20))
    world.do(world.burn(15))
    world.now = at("2026-02-21T12:00")
    world.do(world.sale(0))


def reported(burned: int, discount: int, earned: int) -> Any:
    def tell(world: World) -> None:
        rich(world, 100)
        sale = world.posted(
            world.settle(line(1_000, quantity=2), 500, burned=burned, discount=discount, earned=earned)
        )
        world.do(world.give_back(sale, ReturnLine(1, 1000)))
        world.do(world.give_back(sale, ReturnLine(1, 1000), ReturnLine(2, 1000)))

    return tell


def climbs_and_falls(world: World) -> None:
    world.now = at("2026-05-01")
    world.do(world.sale(30_000))
    world.now = at("2028-01-02")
    world.do(world.sale(100))
    world.now = at("2029-01-02")
    world.do(world.sale(100))


def rolls(world: World) -> None:
    for day, amount in (("01-15", 6_000), ("04-14", 4_000), ("04-20", 100), ("07-20", 100)):
        world.now = at(f"2026-{day}T12:00")
        world.do(world.sale(amount))


def december(world: World) -> None:
    world.now = at("2026-12-28T12:00")
    world.do(world.sale(30_000))
    world.now = at("2027-01-12T12:00")
    world.do(world.sale(100))


def january(world: World) -> None:
    world.now = at("2026-12-20")
    sale = world.posted(world.sale(40_000, 500))
    world.now = at("2027-01-05")
    world.do(world.give_back(sale, ReturnLine(2, 1000)))
    world.do(world.give_back(sale, ReturnLine(1, 0, Minor(25_000))))
    world.do(world.give_back(sale, ReturnLine(1, 0, Minor(15_000))))


def mistakes(world: World) -> None:
    rich(world, 500)
    sale = world.posted(world.sale(1_000, spend=Spend(400)))
    world.do(world.reverse(sale))
    world.do(world.reverse(sale))
    gift = world.posted(world.adjust(70))
    world.do(world.burn(540))
    world.do(world.reverse(gift))
    world.do(world.adjust(-1))


TIER_RATE = {
    **earning({"id": "gold-rate", "kind": "multiply", "by": "1.11", "tier": "gold"}),
    "tiers": YEARLY,
}
TENTH_FIRST = [{"id": "tenth", "kind": "percent_off", "points": 30, "percent": "33.33"}]
THIRDS = (line(333, tax="food"), line(333, tax="full"), line(334, tax="food"))

CASES = [
    Case(
        "one-point-per-ten-kronor",
        "119 kronor are 11 points",
        sells(11_900),
        {
            "currency": "EUR",
            "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 1_000}]},
        },
    ),
    Case("floor-once-per-sale", "0.50 + 0.50 + 0.99 are 1.99, so one point", sells(50, 50, 99)),
    Case("round-half-up", "1.50 is two points", sells(149, 1), earning(rounding="half_up")),
    Case("round-up", "1.01 is two points", sells(100, 1), earning(rounding="up")),
    Case("remainder-tie-goes-first", "one point, two equal halves: the first line has it", sells(50, 50)),
    Case(
        "remainders-of-seven-lines", "7 times 0.99 are 6 points; the seventh line has none", sells(*[99] * 7)
    ),
    multiplied("highest"),
    multiplied("sum"),
    multiplied("product"),
    Case(
        "pieces-by-weight",
        "1.532 kg at 3 points a piece are 4.596, so four points",
        sells(Line("A", 1532, Minor(2_000))),
        {"earning": {"rules": [{"id": "piece", "kind": "per_item", "points": 3}]}},
    ),
    Case(
        "points-for-the-visit",
        "7 for the visit are spread over the lines by amount",
        sells(1_000, 3_000, 1),
        earning({"id": "visit", "kind": "per_sale", "points": 7}),
    ),
    Case(
        "postage-earns-nothing",
        "the excluded line neither earns nor qualifies",
        sells(line(495, sku="POST"), 1_000),
        {**earning(exclude=[{"sku": "POST"}]), "tiers": YEARLY},
    ),
    Case(
        "below-the-minimum",
        "9.99 earn nothing where ten are needed",
        sells(999),
        earning(minimum_minor=1_000),
    ),
    Case(
        "capped",
        "30 points are cut to 17, and the lines share them",
        sells(1_000, 2_000),
        earning(points_max=17),
    ),
    Case(
        "net-of-tax",
        "10.00 and 12.50 with tax are 8.93 and 10.00 without: 18.93",
        sells(line(1_000, tax="food"), line(1_250, tax="full"), groups=GROUPS),
        earning(amount="net"),
    ),
    Case(
        "prices-without-tax",
        "10.00 and 12.50 without tax are 11.20 and 15.63 to pay",
        lambda world: world.do(
            world.sale_of(
                basket(line(1_000, tax="food"), line(1_250, tax="full"), groups=GROUPS, includes_tax=False)
            )
        ),
    ),
    Case(
        "happy-hour",
        "double from 17 to 19 local time: 16:30 UTC in January is in it, in July it is not",
        lambda world: [_sell_at(world, text) for text in ("2026-01-15T16:30", "2026-07-15T17:30")],
        earning({"id": "evening", "kind": "multiply", "by": 2, "hours": "17:00-19:00"}),
    ),
    Case(
        "tier-rate-before-the-sale",
        "196.00 are 196 points for silver (not 217); for gold they are 217",
        tier_rate,
        TIER_RATE,
    ),
    Case(
        "points-over-three-lines",
        "1.00 off 3.33 + 3.33 + 3.34 is 0.33 + 0.33 + 0.34",
        spends(100, 333, 333, 334),
    ),
    Case(
        "points-by-tax-group",
        "1.00 off, two thirds of it food: 0.67 and 0.33",
        spends(100, *THIRDS, groups=GROUPS),
    ),
    Case(
        "nothing-left-to-pay",
        "points for all: 0 to pay, 0 tax, nothing earned",
        spends(1_000, *THIRDS, groups=GROUPS),
    ),
    Case(
        "whole-units-of-conversion",
        "at most half of 9.99 in units of 100: 400 points",
        spends(9_999, 999, up_to=True),
        {"burning": {"points": 100, "minor": 100, "unit_points": 100, "share_max_percent": 50}},
    ),
    Case(
        "points-that-are-worth-less",
        "10 points are 3 cents: 333 points are refused, 330 are 0.99",
        lambda world: [
            rich(world),
            world.do(world.sale(500, spend=Spend(333))),
            world.do(world.sale(500, spend=Spend(330))),
        ],
        {"burning": {"points": 10, "minor": 3}},
    ),
    Case(
        "the-points-part-earns",
        "10.00 of which 4.00 by points: ten points where the rule set says so",
        spends(400, 1_000),
        earning(on_points_part=True),
    ),
    Case(
        "money-off",
        "5.00 off 4.00 + 8.00: 1.67 and 3.33",
        buys("five", lines=(400, 800)),
        {"rewards": REWARDS},
    ),
    Case(
        "percent-off",
        "10 % of 30.00 are limited to 2.50",
        buys("tenth", lines=(1_000, 2_000)),
        {"rewards": REWARDS},
    ),
    Case(
        "percent-rounds-down",
        "33.33 % of 9.99 are 3.32",
        buys("tenth", lines=(333, 333, 333)),
        {"rewards": TENTH_FIRST},
    ),
    Case(
        "free-item",
        "one piece of the dearest toy",
        buys(
            "toy",
            lines=(
                line(300, quantity=2, categories=("toys",)),
                line(900, quantity=3, categories=("toys",)),
                5_000,
            ),
        ),
        {"rewards": REWARDS},
    ),
    Case(
        "two-free-items",
        "two of three pieces for 2.99: 0.99 and 1.00",
        buys("toy", "toy", lines=(line(299, quantity=3, categories=("toys",)),)),
        {"rewards": REWARDS},
    ),
    Case(
        "typed-number-burns-nothing",
        "a number that was typed in earns, and is refused to burn",
        lambda world: [
            rich(world),
            world.do(world.sale(1_000, spend=Spend(100), assurance=Assurance.TYPED)),
            world.do(world.sale(1_000, assurance=Assurance.TYPED)),
        ],
        {"burning": {"points": 100, "minor": 100}},
    ),
    Case(
        "too-few-points",
        "the refusal says how many there are",
        lambda world: [rich(world, 99), world.do(world.sale(1_000, spend=Spend(100)))],
    ),
    Case(
        "first-in-first-out",
        "15 of 10 + 20: the first lot is gone, five of the second; 15 expire a month later",
        two_lots,
        {"expiry": MONTH},
    ),
    Case(
        "expiry-before-summer-time",
        "a month from 28 February ends at 23:00 UTC, before the clocks change",
        expires("2026-02-28T12:00", "2026-03-28T23:00"),
        {"expiry": MONTH},
    ),
    Case(
        "expiry-after-summer-time",
        "two months from 29 January end at 22:00 UTC, after the clocks changed",
        expires("2026-01-29T12:00", "2026-03-29T22:00"),
        {"expiry": {"kind": "months", "months": 2}},
    ),
    Case(
        "expiry-on-a-leap-day",
        "12 months from 29 February end with 28 February",
        expires("2028-02-29T12:00", "2029-02-28T23:00"),
        {"expiry": {"kind": "months", "months": 12}},
    ),
    Case(
        "expiry-at-the-end-of-a-leap-month",
        "the end of February 2028 is the 29th",
        expires("2027-02-03T12:00", "2028-02-29T23:00"),
        {"expiry": {"kind": "end_of_month", "months": 12}},
    ),
    Case(
        "expiry-at-the-end-of-the-year",
        "half past eleven in London is next year in Stockholm",
        expires("2026-12-31T23:30", "2027-12-31T23:00"),
        {"expiry": {"kind": "end_of_year"}},
    ),
    Case(
        "pending-over-summer-time",
        "14 days from the evening of 20 March end as 3 April begins",
        lambda world: [_sell_at(world, "2026-03-20T22:30"), _sell_at(world, "2026-04-02T22:00")],
        earning(pending_days=14),
    ),
    Case(
        "return-in-thirds",
        "a third each of 10.00, 9 points and 100 burned",
        returned(*[ReturnLine(1, 1000)] * 3, lines=(line(1_000, quantity=3),)),
    ),
    Case(
        "return-in-halves",
        "half of the goods bring half of the burned points back, not all of them",
        returned(ReturnLine(1, 1000), spend=400, lines=(line(1_000, quantity=2),)),
    ),
    Case(
        "return-by-amount",
        "2.50 of 10.00, then the rest",
        returned(ReturnLine(1, 0, Minor(250)), ReturnLine(1, 0, Minor(750)), lines=(1_000, 500)),
    ),
    Case(
        "return-of-too-much",
        "three of two is refused",
        returned(
            ReturnLine(1, 3000), ReturnLine(1, 2000), ReturnLine(1, 1), lines=(line(1_000, quantity=2),)
        ),
    ),
    Case("return-into-debt", "what was spent is owed, and the next sale pays it", spent_meanwhile),
    Case(
        "return-within-balance",
        "what was spent is let go",
        spent_meanwhile,
        {"returns": {"spent": "within_balance"}},
    ),
    Case(
        "return-only-pending",
        "points that are no longer pending stay",
        spent_meanwhile,
        {"returns": {"spent": "only_pending"}},
    ),
    Case(
        "return-to-an-expired-lot",
        "burned points come back for the grace of ten days",
        expired_meanwhile,
        {"expiry": MONTH, "returns": {"grace_days": 10}},
    ),
    Case("capture-with-a-smaller-basket", "300 held, 120 needed, 180 go back; then the hold is closed", held),
    Case(
        "capture-after-the-time",
        "a hold that ran out is refused to void, and captured from the balance",
        held_too_long,
        {"holds": {"late_capture": "if_covered"}},
    ),
    Case(
        "advice-with-shortfall",
        "400 burned of 100: the store stands in for 300, and has them back first",
        reported(400, 400, 11),
    ),
    Case("advice-that-printed-otherwise", "the till printed 99, the rules say 15", reported(0, 0, 99)),
    Case(
        "tier-climbs-and-falls",
        "gold in 2026, silver from 2028, base from 2029",
        climbs_and_falls,
        {"tiers": YEARLY},
    ),
    Case(
        "tier-over-a-rolling-window",
        "60 + 40 in 90 days are silver; the review after 90 days ends it",
        rolls,
        {"tiers": {**YEARLY, "period": "rolling", "rolling_days": 90, "downgrade": "by_balance"}},
    ),
    Case(
        "december-counts-for-december",
        "what matures in January counts for the year of the sale",
        december,
        {**earning(pending_days=14), "tiers": YEARLY},
    ),
    Case(
        "january-returns",
        "a small return keeps gold, a large one leaves silver, all of it base",
        january,
        {"tiers": YEARLY},
    ),
    Case("mistakes-undone", "a reversal mirrors the entry whole, once; a spent gift is owed", mistakes),
]


def _sell_at(world: World, text: str) -> None:
    world.now = at(text)
    world.do(world.sale(1_000))
