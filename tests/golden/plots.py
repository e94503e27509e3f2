"""What happens in the golden vectors: rule sets in parts, and small stories that the cases are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tallystick.core.basket import Line, TaxGroup
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.entry import Decision, Entry
from tallystick.core.ids import Minor
from tallystick.core.state import Account, MemberState, MemberStatus
from tests.core.world import MEMBER, World, at, basket, line, refs_of
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
THREE = (line(3_330, tax="food"), line(3_330, tax="full"), line(3_340, tax="food"))
MONTH = {"kind": "months", "months": 1}


def earning(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"earning": {"rules": [BASE, *rules], **more}}


def sells(*lines: Line | int, **more: Any) -> Any:
    """Return a story of one sale."""
    return lambda world: world.do(world.sale(*lines, **more))


def rich(world: World, points: int = 10_000) -> Decision:
    return world.do(world.adjust(points))


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
    factors: list[dict[str, Any]] = [
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


def sell_at(world: World, text: str) -> Decision:
    world.now = at(text)
    return world.do(world.sale(1_000))


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


COUPONS = [
    {"id": "welcome", "kind": "money_off", "amount_minor": 500, "minimum_minor": 1_000},
    {"id": "tenth", "kind": "percent_off", "percent": 10, "code": "TENTH", "per_member": 2},
    {"id": "toy", "kind": "free_item", "category": "toys", "code": "TOY", "combine": "exclusive"},
]
CODES = {"TENTH": ("tenth", ""), "TOY": ("toy", "")} | {"code-1": ("welcome", "token-1")}


def with_coupons(tell: Callable[[World], object]) -> Callable[[World], object]:
    """Let a story happen where there are codes to give."""

    def told(world: World) -> None:
        world.codes.update(CODES)
        tell(world)

    return told


@with_coupons
def coupon_first(world: World) -> None:
    rich(world)
    world.do(
        world.sale(*THREE, coupons=("code-1", "TENTH"), rewards=("five",), spend=Spend(100), groups=GROUPS)
    )


@with_coupons
def coupon_refused(world: World) -> None:
    for codes in (("nobody",), ("TOY",), ("TENTH", "TOY"), ("TENTH",), ("TENTH",), ("TENTH",)):
        world.do(world.sale(2_000, coupons=codes))


@with_coupons
def coupon_held(world: World) -> None:
    def hold(code: str) -> Entry:
        reserved = world.hold(0, ttl_s=60, spend=None, basket=basket(2_000))
        return world.posted(replace(reserved, coupons=refs_of(code)))

    first = hold("code-1")
    world.do(world.sale(2_000, coupons=("code-1",)))
    world.do(world.void(first.command_id))
    second = hold("code-1")
    world.do(world.capture(second.command_id, basket(1_500)))


@with_coupons
def coupon_undone(world: World) -> None:
    sale = world.posted(world.sale(line(1_000, quantity=2), coupons=("code-1",)))
    world.do(world.give_back(sale, ReturnLine(1, 1_000)))
    world.do(world.give_back(sale, ReturnLine(1, 1_000)))
    other = world.posted(world.sale(2_000, coupons=("TENTH",)))
    world.do(world.reverse(other))
    world.do(world.sale(2_000, coupons=("TENTH",)))


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


def falls_after_the_grace(world: World) -> None:
    """Gold from 2026 to the end of 2027; the review waits for 31 days, as long as a month of sales may still count."""
    world.now = at("2026-05-01")
    world.do(world.sale(30_000))
    for moment in ("2027-12-31T23:00", "2028-01-31T22:59", "2028-01-31T23:00"):
        world.now = at(moment)
        world.do(world.sale(100))


def saved_by_the_grace(world: World) -> None:
    """What is bought in January counts for the year that begins, and keeps gold at the review of the one before."""
    world.now = at("2026-05-01")
    world.do(world.sale(30_000))
    for moment, amount in (("2028-01-20", 30_000), ("2028-02-01", 100)):
        world.now = at(moment)
        world.do(world.sale(amount))


def a_year_from_a_leap_day(world: World) -> None:
    """Enrolled on 29 February 2028: the second year begins with 28 February 2029, in Stockholm."""
    enrolled = at("2028-02-29T12:00")
    world.state = MemberState(
        Account(MEMBER, MemberStatus.OPEN, enrolled_ms=enrolled, as_of_ms=enrolled), complete=True
    )
    for moment, amount in (
        ("2029-02-27T22:59", 6_000),
        ("2029-02-27T23:00", 6_000),
        ("2029-02-28T12:00", 6_000),
    ):
        world.now = at(moment)
        world.do(world.sale(amount))


def years_end_in_stockholm(world: World) -> None:
    """A minute before and a minute after midnight in Stockholm are two years; in Greenwich they are one."""
    for moment in ("2026-12-31T22:59", "2026-12-31T23:00", "2027-06-01T12:00"):
        world.now = at(moment)
        world.do(world.sale(6_000))


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


COFFEES = {
    "id": "coffees",
    "name": "Ten coffees",
    "counts": "pieces",
    "sku": "COFFEE",
    "target": 10,
    "per": "month",
    "times": 2,
    "award": {"points": 40, "badge": "barista"},
}
CLUB = {"id": "club", "name": "Club", "sku": "FEE", "months": 12, "grace_days": 7, "refund_days": 14}
CLUB_RATE = {
    **earning(
        {"id": "club-rate", "kind": "multiply", "by": 2, "membership": "club"}, exclude=[{"sku": "FEE"}]
    ),
    "memberships": [CLUB],
}


def coffees(world: World) -> None:
    """Nine coffees and one make ten; three come back in two parts; and then a second ten is won."""
    nine = world.posted(world.sale(line(2_700, quantity=9, sku="COFFEE"), 1_000))
    world.posted(world.sale(line(300, sku="COFFEE")))
    world.posted(world.give_back(nine, ReturnLine(1, 1_000)))
    world.posted(world.give_back(nine, ReturnLine(1, 2_000)))
    world.posted(world.sale(line(3_900, quantity=13, sku="COFFEE")))


def coffees_too_late(world: World) -> None:
    """What a till reports of January in February counts for January; in June it counts for nothing."""
    world.wait_until("2026-02-10T12:00")
    for when in ("2026-02-10T12:00", "2026-06-10T12:00"):
        world.wait_until(when)
        advice = world.settle(line(3_000, quantity=10, sku="COFFEE"), earned=30)
        world.posted(replace(advice, origin=replace(world.origin, occurred_ms=at("2026-01-31T22:59"))))


def a_year_of_club(world: World) -> None:
    """The fee, a sale as a member, the last day of grace, and the day after it."""
    world.posted(world.sale(line(9_900, sku="FEE")))
    for when in ("2026-01-15T12:00", "2027-01-21T22:59", "2027-01-21T23:00"):
        world.wait_until(when)
        world.posted(world.sale(1_000))


def club_paid_back(world: World) -> None:
    """Two terms, of which the first is paid back in time; then the second, too late."""
    first, second = (world.posted(world.sale(line(9_900, sku="FEE"))) for _ in range(2))
    world.posted(world.all_back(first))
    world.wait_until("2026-01-30T12:00")
    world.posted(world.all_back(second))


def gift_and_back(world: World) -> None:
    """Silver with its gift; the goods that carried it come back; and silver once more."""
    world.posted(world.sale(8_000))
    sale = world.posted(world.sale(2_000))
    world.posted(world.all_back(sale))
    world.posted(world.sale(2_000))


def mistakes(world: World) -> None:
    rich(world, 500)
    sale = world.posted(world.sale(1_000, spend=Spend(400)))
    world.do(world.reverse(sale))
    world.do(world.reverse(sale))
    gift = world.posted(world.adjust(70))
    world.do(world.burn(540))
    world.do(world.reverse(gift))
    world.do(world.adjust(-1))
