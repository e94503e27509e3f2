"""The cases of the golden vectors: about fifty decisions that a retailer could check with pencil and paper."""

from __future__ import annotations

from tallystick.core.basket import Assurance, Line
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.ids import Minor
from tests.core.world import basket, line
from tests.golden.plots import (
    CLUB_RATE,
    COFFEES,
    COUPONS,
    GROUPS,
    LEVELS,
    MONTH,
    REWARDS,
    YEARLY,
    a_year_from_a_leap_day,
    a_year_of_club,
    buys,
    climbs_and_falls,
    club_paid_back,
    coffees,
    coffees_too_late,
    coupon_first,
    coupon_held,
    coupon_refused,
    coupon_undone,
    december,
    earning,
    expired_meanwhile,
    expires,
    falls_after_the_grace,
    gift_and_back,
    held,
    held_too_long,
    january,
    mistakes,
    multiplied,
    reported,
    returned,
    rich,
    rolls,
    saved_by_the_grace,
    sell_at,
    sells,
    spends,
    spent_meanwhile,
    tier_rate,
    two_lots,
    years_end_in_stockholm,
)
from tests.golden.story import Case

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
        lambda world: [sell_at(world, text) for text in ("2026-01-15T16:30", "2026-07-15T17:30")],
        earning({"id": "evening", "kind": "multiply", "by": 2, "hours": "17:00-19:00"}),
    ),
    Case(
        "happy-hour-that-comes-twice",
        "double from 2 to 3: on 25 October both hours are, on 29 March there is none",
        lambda world: [
            sell_at(world, text)
            for text in (
                *("2026-03-29T00:59", "2026-03-29T01:00"),
                *("2026-10-24T23:59", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:00"),
            )
        ],
        earning({"id": "night", "kind": "multiply", "by": 2, "hours": "02:00-03:00"}),
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
        lambda world: [sell_at(world, "2026-03-20T22:30"), sell_at(world, "2026-04-02T22:00")],
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
        "tier-falls-after-the-grace",
        "gold until 31 days of 2028 have passed in Stockholm; silver from 1 February",
        falls_after_the_grace,
        {"tiers": {**YEARLY, "grace_days": 31}},
    ),
    Case(
        "tier-kept-within-the-grace",
        "300.00 on 20 January carry gold over the review of 1 February",
        saved_by_the_grace,
        {"tiers": {**YEARLY, "grace_days": 31}},
    ),
    Case(
        "tier-year-of-a-leap-day",
        "60 + 60 + 60 from 27 February on: the first is of the first year, the other two make silver in the second",
        a_year_from_a_leap_day,
        {"tiers": {**YEARLY, "period": "anniversary"}},
    ),
    Case(
        "tier-years-end-where-the-program-is",
        "60 in 2026, 60 in 2027 half a breath later, and 60 more make silver in June",
        years_end_in_stockholm,
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
    Case(
        "coupon-before-reward-before-points",
        "100.00 less 5.00, less a tenth of 95.00, less the reward's 5.00, less 1.00 in points: 79.50 to pay",
        coupon_first,
        {"coupons": COUPONS, "rewards": REWARDS},
    ),
    Case(
        "coupon-refused",
        "unknown; nothing that fits; an exclusive one beside another; and at last used up",
        coupon_refused,
        {"coupons": COUPONS},
    ),
    Case(
        "coupon-held-and-captured",
        "a hold keeps the code from a sale until it is voided; the second hold's capture uses it on 15.00",
        coupon_held,
        {"coupons": COUPONS},
    ),
    Case(
        "coupon-returned-and-reversed",
        "20.00 paid with 15.00 come back as 7.50 twice; a reversal names the coupon that is free again",
        coupon_undone,
        {"coupons": COUPONS},
    ),
    Case(
        "challenge-met-and-brought-back",
        "the tenth coffee wins 40 and a badge, the first one back takes both, 20 in all win them twice",
        coffees,
        {"challenges": [COFFEES]},
    ),
    Case(
        "challenge-of-a-closed-month",
        "January's coffees win when they are told of in February, and nothing in June",
        coffees_too_late,
        {"challenges": [COFFEES]},
    ),
    Case(
        "membership-through-its-grace",
        "double points from the sale after the fee to the end of the seventh day behind the last one",
        a_year_of_club,
        CLUB_RATE,
    ),
    Case(
        "membership-paid-back",
        "the first fee back leaves the term that was bought after it; the second, a day too late, too",
        club_paid_back,
        CLUB_RATE,
    ),
    Case(
        "gift-of-a-tier",
        "silver brings 150, loses them with the goods that carried it, and brings them again",
        gift_and_back,
        {"tiers": {**YEARLY, "levels": [LEVELS[0], {**LEVELS[1], "gift": {"points": 150}}, LEVELS[2]]}},
    ),
    Case("mistakes-undone", "a reversal mirrors the entry whole, once; a spent gift is owed", mistakes),
]
