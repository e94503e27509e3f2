"""Random rule sets over the whole language, and random lives of members: all of it from one seed."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin, TaxGroup
from tallystick.core.ids import Minor, Ms
from tallystick.core.rules.model import RuleSet

ZONES = (
    "Europe/Stockholm",
    "Europe/Riga",
    "America/New_York",
    "America/St_Johns",
    "Pacific/Auckland",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "UTC",
)
SKUS = tuple(f"sku-{number}" for number in range(12))
CATEGORIES = ("coffee", "toys", "food", "watches")
BRANDS = ("acme", "norr", "lund")
STORES = ("s1", "s2", "s3")
TIERS = ("base", "silver", "gold", "platinum")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CHANNELS = ("store", "webshop", "app")
MEMBERSHIP = {"id": "plus", "name": "Plus", "sku": SKUS[1], "days": 200, "grace_days": 7, "refund_days": 30}
VARIANTS = ({"id": "red", "percent": 50}, {"id": "blue", "percent": 50})
FIRST_DAY = date(2026, 1, 1)
DAYS = 4 * 366
"""Sales happen in four years, so that there is a leap day in every life that is long enough."""
LINES_MAX = 12


def draw_document(dice: random.Random) -> dict[str, Any]:
    """Return a rule set's document that parses."""
    document: dict[str, Any] = {
        "format": "tallystick/1",
        "name": "Drawn",
        "currency": dice.choice(("EUR", "SEK", "PLN")),
        "time_zone": dice.choice(ZONES),
    }
    tiers = _tiers(dice)
    if tiers:
        document["tiers"] = tiers
    levels = [level["id"] for level in tiers["levels"]] if tiers else []
    document["memberships"] = [dict(MEMBERSHIP)]
    document["experiments"] = [
        {
            "id": "colour",
            "variants": [dict(one) for one in VARIANTS],
            "holdout_percent": dice.choice((0, 20)),
            **dice.choice(({}, {"from": "2026-06-01", "until": "2028-02-29"})),
        }
    ]
    document["challenges"] = [_challenge(dice, number, levels) for number in range(dice.randrange(3))]
    document["earning"] = _earning(dice, levels)
    document["burning"] = _burning(dice)
    document["rewards"] = [_reward(dice, number, levels) for number in range(dice.randrange(4))]
    document["coupons"] = [_coupon(dice, number, levels) for number in range(dice.randrange(3))]
    document["expiry"] = dice.choice(
        (
            {"kind": "never"},
            {"kind": "months", "months": dice.choice((1, 6, 12))},
            {"kind": "end_of_month", "months": dice.choice((1, 12, 24))},
            {"kind": "end_of_year", "years": dice.randrange(2)},
        )
    )
    # So wide that a till may burn whatever it is asked to: what is above the floor limit is the store's loss.
    document["offline"] = {"floor": dict.fromkeys(("sale_points", "member_points", "till_points"), 10**9)}
    document["returns"] = {
        "spent": dice.choice(("only_pending", "within_balance", "debt")),
        "grace_days": dice.choice((0, 30)),
    }
    return document


def _tiers(dice: random.Random) -> dict[str, Any]:
    if dice.random() < 0.3:
        return {}
    basis = dice.choice(("spend", "points", "visits"))
    step = {"spend": 20_000, "points": 150, "visits": 3}[basis]
    count = dice.randrange(2, 5)
    tiers: dict[str, Any] = {
        "basis": basis,
        "period": dice.choice(("calendar_year", "rolling", "anniversary")),
        "downgrade": dice.choice(("one_step", "by_balance", "never")),
        "grace_days": dice.choice((0, 0, 45)),
        "levels": [{"id": name, "from": step * at * at} for at, name in enumerate(TIERS[:count])],
    }
    if dice.random() < 0.4:
        tiers["levels"][1]["gift"] = {"points": dice.choice((1, 250))}
    if tiers["period"] == "rolling":
        tiers["rolling_days"] = dice.choice((30, 365))
    return tiers


def _earning(dice: random.Random, levels: list[str]) -> dict[str, Any]:
    rules = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": dice.choice((1, 10, 100, 300))}]
    rules += [_accrual_rule(dice, number, levels) for number in range(dice.choice((0, 2, 5, 12)))]
    earning: dict[str, Any] = {
        "rounding": dice.choice(("down", "half_up", "up")),
        "combine": dice.choice(("highest", "sum", "product")),
        "amount": dice.choice(("gross", "net")),
        "on_points_part": dice.random() < 0.3,
        "rules": rules,
    }
    if dice.random() < 0.3:
        earning["minimum_minor"] = dice.choice((500, 5_000))
    if dice.random() < 0.2:
        earning["points_max"] = dice.choice((7, 500))
    if dice.random() < 0.4:
        earning["pending_days"] = dice.choice((1, 14, 30))
    if dice.random() < 0.3:
        earning["exclude"] = [dice.choice(({"category": ["food"]}, {"sku": [SKUS[0]]}, {"brand": "acme"}))]
    return earning


def _accrual_rule(dice: random.Random, number: int, levels: list[str]) -> dict[str, Any]:
    kind = dice.choice(("per_amount", "per_item", "per_sale", "multiply", "multiply"))
    rule: dict[str, Any] = {"id": f"rule-{number}", "kind": kind, **_lines(dice), **_when(dice, levels)}
    if kind == "multiply":
        rule["by"] = dice.choice((2, 3, "1.5", "1.1", "2.25"))
    else:
        rule["points"] = dice.choice((1, 3, 10))
    if kind == "per_amount":
        rule["per_minor"] = dice.choice((70, 100, 1_000))
    return rule


def _lines(dice: random.Random, chance: float = 0.5) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, names in (("sku", SKUS), ("category", CATEGORIES), ("brand", BRANDS)):
        if dice.random() < chance / 2:
            found[key] = dice.sample(names, dice.randrange(1, 3))
    return found


def _when(dice: random.Random, levels: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, names in (("store", STORES), ("channel", CHANNELS), ("weekday", WEEKDAYS), ("tier", levels)):
        if names and dice.random() < 0.2:
            found[key] = dice.sample(list(names), min(len(names), dice.randrange(1, 4)))
    if dice.random() < 0.15:
        found["membership"] = ["plus"]
    if dice.random() < 0.15:
        found["experiment"] = f"colour/{dice.choice(VARIANTS)['id']}"
    if dice.random() < 0.2:
        found["hours"] = dice.choice((["00:00-06:00"], ["01:30-03:30", "22:00-24:00"], "09:15-17:45"))
    if dice.random() < 0.15:
        start = FIRST_DAY + timedelta(days=dice.randrange(DAYS))
        found["from"] = start.isoformat()
        found["until"] = (start + timedelta(days=dice.randrange(1, 500))).isoformat()
    return found


def _burning(dice: random.Random) -> dict[str, Any]:
    burning: dict[str, Any] = dice.choice(({"points": 100, "minor": 100}, {"points": 10, "minor": 3}, {}))
    burning = dict(burning)
    if burning and dice.random() < 0.5:
        burning["unit_points"] = dice.choice((10, 100)) if burning["points"] == 10 else 50
    if dice.random() < 0.3:
        burning["minimum_points"] = dice.choice((20, 200))
    if dice.random() < 0.4:
        burning["share_max_percent"] = dice.choice((50, "33.5"))
    names = ("typed", "static_card", "server_code", "rotating_code", "device_code")
    caps: dict[str, object] = dict.fromkeys(names, "unlimited") | {
        "typed": dice.choice((0, 100, "unlimited"))
    }
    caps["static_card"] = dice.choice((300, "unlimited"))
    burning["assurance_caps"] = caps
    return burning


def _worth(dice: random.Random) -> dict[str, Any]:
    worth: dict[str, Any] = dice.choice(
        (
            {"kind": "money_off", "amount_minor": dice.choice((1, 333, 2_000))},
            {"kind": "percent_off", "percent": dice.choice((10, "33.33", 100))},
            {"kind": "percent_off", "percent": 25, "amount_minor_max": 777},
            {"kind": "free_item", "category": dice.choice(CATEGORIES)},
        )
    )
    return dict(worth)


def _reward(dice: random.Random, number: int, levels: list[str]) -> dict[str, Any]:
    reward = {"id": f"reward-{number}", "points": dice.choice((0, 20, 150)), **_when(dice, levels)}
    if dice.random() < 0.3:
        reward |= {"minimum_minor": 3_000, "name": "A reward"}
    return {**_lines(dice, 0.3), **reward, **_worth(dice)}


def _challenge(dice: random.Random, number: int, levels: list[str]) -> dict[str, Any]:
    counts = dice.choice(("sales", "spend", "pieces", "points", "days"))
    return {
        "id": f"challenge-{number}",
        "name": "A challenge",
        "counts": counts,
        "target": {"spend": 20_000, "points": 100}.get(counts, 2),
        "per": "month" if counts == "days" else dice.choice(("month", "year", "ever")),
        "times": dice.choice((1, 3)),
        "award": dice.choice(({"points": 40}, {"points": 5, "badge": "star"}, {"badge": "moon"})),
        **_lines(dice, 0.2),
        **{
            key: value for key, value in _when(dice, levels).items() if key in ("store", "tier", "membership")
        },
    }


def _coupon(dice: random.Random, number: int, levels: list[str]) -> dict[str, Any]:
    coupon: dict[str, Any] = {"id": f"coupon-{number}", "code": f"CODE-{number}7", **_when(dice, levels)}
    coupon["per_member"] = dice.choice((0, 1, 3))
    coupon["combine"] = dice.choice(("joint", "exclusive"))
    if dice.random() < 0.2:
        coupon |= {"show": True, "total": 5, "minimum_minor": 1_000}
    return {**_lines(dice, 0.3), **coupon, **_worth(dice)}


def draw_instants(dice: random.Random, zone: ZoneInfo, count: int) -> list[Ms]:
    """Return business times in order: ordinary days, and the hours around everything that calendars do."""
    found = []
    for _ in range(count):
        moment = datetime.combine(FIRST_DAY + timedelta(days=dice.randrange(DAYS)), datetime.min.time(), zone)
        if dice.random() < 0.5:
            moment = datetime.fromisoformat(dice.choice(_EDGES)).replace(tzinfo=zone)
            found.append(_ms(moment) + dice.randrange(-7_200, 7_200) * 1_000)
        else:
            found.append(_ms(moment) + dice.randrange(86_400) * 1_000)
    return [Ms(at_ms) for at_ms in sorted(found)]


_EDGES = (
    *(f"{year}-{day}" for year in (2026, 2027, 2028, 2029) for day in ("01-01T00:00", "12-31T23:59")),
    *("2026-03-29T02:30", "2026-10-25T02:30", "2027-03-28T03:00", "2028-10-29T03:00"),
    *("2026-03-08T02:30", "2026-11-01T01:30", "2026-04-05T02:30", "2026-09-27T02:30"),
    *("2028-02-28T23:59", "2028-02-29T12:00", "2028-03-01T00:00", "2027-02-28T23:59"),
)
"""Local times: year ends, clocks put forward and back in Europe, America and New Zealand, leap days and their years."""


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000


def draw_origin(dice: random.Random, at_ms: Ms) -> Origin:
    """Return a store, the webshop or the app at an instant."""
    channel = dice.choice((Channel.STORE, Channel.STORE, Channel.WEBSHOP, Channel.APP))
    return Origin(at_ms, channel, dice.choice(STORES) if channel is Channel.STORE else "")


def draw_basket(dice: random.Random, rules: RuleSet) -> Basket:
    """Return a basket with whole pieces and weights, free goods, and tax in several groups or none."""
    groups = dice.choice(((), (TaxGroup("a", 250_000),), (TaxGroup("a", 250_000), TaxGroup("b", 60_000))))
    codes = ["", *(group.code for group in groups)]
    lines = tuple(
        Line(
            dice.choice(SKUS),
            dice.choice((1_000, 1_000, 2_000, 3_000, 532, dice.randrange(1, 5_000))),
            Minor(dice.choice((0, 1, 99, 100, dice.randrange(3_000), dice.randrange(60_000)))),
            dice.choice(codes),
            tuple(dice.sample(CATEGORIES, dice.randrange(3))),
            dice.choice(("", *BRANDS)),
        )
        for _ in range(dice.randrange(1, dice.choice((3, 6, LINES_MAX))))
    )
    currency = rules.currency if dice.random() < 0.995 else "ISK"
    return Basket(currency, lines, prices_include_tax=dice.random() < 0.8, tax_groups=groups)


def draw_assurance(dice: random.Random) -> Assurance:
    """Return how sure a scan was: mostly sure enough to burn."""
    return dice.choice((Assurance.TYPED, Assurance.STATIC_CARD, *[Assurance.DEVICE_CODE] * 3))
