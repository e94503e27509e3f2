"""Reading a rule set: everything that is wrong is found at once, each with its place and how to mend it."""

from __future__ import annotations

import copy
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.ids import NEVER_MS
from tallystick.core.rules.challenge import Counts
from tallystick.core.rules.membership import Membership
from tallystick.core.rules.model import (
    Combine,
    Downgrade,
    ExpiryKind,
    Offline,
    Rounding,
    RuleSet,
    SpentPolicy,
)
from tallystick.core.rules.parse import parse_rules
from tallystick.core.rules.period import Limit, Per
from tallystick.core.rules.reader import Finding
from tallystick.core.rules.referral import Referring
from tallystick.core.rules.reminders import Reminders
from tallystick.core.rules.watch import Watching
from tallystick.service.rule_text import read_document
from tests.core.world import at, document_of

PROGRAMS = sorted((Path(__file__).parents[2] / "server" / "tallystick" / "programs").glob("*.yaml"))

FULL: dict[str, Any] = {
    "holdout_percent": 5,
    "experiments": [
        {
            "id": "weekend",
            "holdout_percent": 10,
            "variants": [{"id": "plain", "percent": 50}, {"id": "double", "percent": 50}],
            "from": "2026-01-01",
            "until": "2026-07-01",
        }
    ],
    "segments": [
        {
            "id": "sleeping",
            "name": "Asleep",
            "not_bought_for_days": 60,
            "spend": {"min_minor": 1_000, "max_minor": 9_000, "within_days": 200},
            "visits": {"min": 1, "max": 9},
            "rfm": {"r_min": 1, "r_max": 2, "f_min": 2, "f_max": 5, "m_min": 3, "m_max": 4},
            "joined_within_days": 900,
            "all": [{"bought": {"sku": "A", "category": "tea", "brand": "X", "times_min": 2}}],
            "any": [{"tier": "gold"}],
            "none": [{"visits": {"min": 20}}],
        }
    ],
    "offers": [
        {
            "id": "come-back",
            "name": "We miss you",
            "segment": "sleeping",
            "experiment": "weekend/double",
            "coupon": "part",
            "days": 14,
        }
    ],
    "reminders": {"abandoned_after_h": 20, "wish_reminder_days": 21, "per_month": 2},
    "scanning": {
        "standard": ["gsrn", "email"],
        "rules": [
            {
                "name": "plastic",
                "kind": "code128",
                "aim": ["]C0"],
                "length": 12,
                "prefix": "CLUB",
                "strip": 4,
                "check": "luhn",
            }
        ],
    },
    "notifications": {
        "channels": ["push", "email"],
        "quiet_hours": "21:00-08:00",
        "caps": {"per_day": 2, "per_week": 4},
        "tell": [
            {"occasion": "points_expiring", "days_before": [7, 30], "channels": "email"},
            {"occasion": "redemption"},
        ],
        "texts": [{"occasion": "redemption", "language": "sv", "title": "Hej", "text": "{points} poäng"}],
    },
    "format": "tallystick/1",
    "name": "Full",
    "currency": "SEK",
    "time_zone": "Europe/Stockholm",
    "earning": {
        "combine": "sum",
        "rounding": "half_up",
        "amount": "net",
        "minimum_minor": 100,
        "points_max": 1000,
        "on_points_part": True,
        "pending_days": 14,
        "rules": [
            {
                "id": "base",
                "kind": "per_amount",
                "points": 1,
                "per_minor": 1000,
                "budget": {"points": 5_000, "per": "month", "store": True},
            },
            {
                "id": "evening",
                "kind": "multiply",
                "by": "1.5",
                "sku": "A",
                "category": ["toys"],
                "brand": "acme",
                "store": "s1",
                "channel": ["store", "app"],
                "tier": "gold",
                "weekday": ["mon", "sun"],
                "hours": ["08:00-12:30", "23:00-24:00"],
                "from": "2026-01-01",
                "until": "2026-12-24T18:00",
            },
        ],
        "exclude": [{"sku": ["POST"]}],
    },
    "expiry": {"kind": "end_of_month", "months": 24},
    "tiers": {
        "basis": "points",
        "period": "rolling",
        "rolling_days": 90,
        "downgrade": "by_balance",
        "grace_days": 30,
        "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 100, "gift": {"points": 500}}],
    },
    "challenges": [
        {
            "id": "toys",
            "name": "Ten toys",
            "counts": "pieces",
            "target": 10,
            "per": "month",
            "times": 3,
            "award": {"points": 50, "badge": "player"},
            "category": "toys",
            "membership": ["club"],
        },
    ],
    "memberships": [
        {
            "id": "club",
            "name": "Club",
            "sku": "FEE",
            "months": 12,
            "grace_days": 7,
            "refund_days": 14,
            "remind_days": 21,
        },
        {"id": "trial", "name": "Trial", "sku": "TRIAL", "days": 30},
    ],
    "burning": {
        "points": 100,
        "minor": 50,
        "unit_points": 10,
        "minimum_points": 200,
        "share_max_percent": "33.5",
        "assurance_caps": {"typed": 5, "device_code": "unlimited"},
    },
    "rewards": [
        {"id": "off", "kind": "money_off", "points": 10, "amount_minor": 100, "minimum_minor": 500},
        {"id": "ten", "kind": "percent_off", "points": 0, "percent": 10, "amount_minor_max": 900},
        {"id": "toy", "kind": "free_item", "points": 5, "category": "toys", "tier": ["gold"]},
        {
            "id": "evening",
            "kind": "experience",
            "name": "An evening",
            "points": 500,
            "stock": 20,
            "limit": {"count": 1, "per": "year"},
        },
    ],
    "coupons": [
        {
            "id": "summer",
            "kind": "money_off",
            "amount_minor": 50,
            "minimum_minor": 300,
            "code": "Hello-10",
            "per_member": 3,
            "total": 500,
            "combine": "exclusive",
            "show": True,
            "until": "2026-08-01",
        },
        {"id": "part", "kind": "percent_off", "percent": "12.5", "amount_minor_max": 70},
        {
            "id": "gift",
            "kind": "free_item",
            "category": "toys",
            "per_member": 0,
            "segment": "sleeping",
            "days": 3,
        },
    ],
    "actions": [
        {
            "id": "review",
            "name": "A review",
            "points": 20,
            "limit": {"count": 3, "per": "month"},
            "by": ["webshop", "app"],
            "once_per_subject": True,
            "tier": "gold",
            "until": "2027-01-01",
        },
        {"id": "birthday", "name": "Your birthday", "points": 100, "on": "birthday"},
    ],
    "access": [
        {
            "id": "autumn",
            "name": "The autumn collection",
            "category": "autumn",
            "tier": ["gold"],
            "early_from": "2026-09-01",
            "opens_at": "2026-09-08T10:00",
        },
        {"id": "atelier", "brand": "atelier", "tier": "gold"},
    ],
    "referral": {
        "referrer_points": 500,
        "joiner_points": 100,
        "minimum_minor": 2500,
        "within_days": 60,
        "after_days": 21,
        "limit": {"count": 12, "per": "year"},
        "burst_per_day": 8,
    },
    "watch": {
        "actions_per_day": 9,
        "sales_per_hour": 3,
        "staff_sales_per_day": 1,
        "enrolments_per_hour": 40,
        "adjust_review_points": 5000,
    },
    "returns": {"spent": "within_balance", "grace_days": 9},
    "holds": {"ttl_max_s": 60, "open_max": 3, "late_capture": "if_covered"},
    "offline": {
        "lease_share_percent": "12.5",
        "lease_points_max": 900,
        "lease_hours": 24,
        "voucher_days": 10,
        "grace_days": 3,
        "away_days_max": 5,
        "floor": {"sale_points": 1, "member_points": 2, "till_points": 3},
    },
    "transfers": {
        "to": "household",
        "minimum_points": 10,
        "limit_points": {"count": 500, "per": "week"},
        "member_days": 30,
    },
    "charity": {
        "projects": [{"id": "sea", "name": "Sea", "text": "Boats"}, {"id": "trees", "name": "Trees"}],
        "share": [
            {"project": "sea", "minor": 100, "category": "watches", "each": "piece"},
            {"project": "trees", "percent": "0.5", "store": "s1"},
        ],
    },
    "goals": [
        {
            "id": "advent",
            "name": "Advent",
            "counts": "pieces",
            "target": 100,
            "award": {"points": 50},
            "sku": "candle",
            "from": "2026-11-01",
            "until": "2026-12-01",
            "return_days": 14,
        },
        {
            "id": "spring",
            "name": "Spring",
            "counts": "spend",
            "target": 100,
            "award": {"points": 5},
            "from": "2026-03-01",
            "until": "2026-04-01",
            "at_once": True,
        },
    ],
    "partners": [
        {
            "program": "cinema",
            "name": "Cinema",
            "give_points": 10,
            "get_points": 1,
            "limit_points": {"count": 100, "per": "month"},
        },
        {"program": "air-line", "name": "Airline", "give_points": 3, "get_points": 2},
    ],
}


def parsed(document: object) -> RuleSet:
    rules = parse_rules(document, version=7, sha256="ab")
    assert isinstance(rules, RuleSet), rules
    return rules


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the full document with one place changed; ``...`` removes it. A path is ``tiers/levels/0/from``."""
    document: Any = copy.deepcopy(FULL)
    place = document
    *parents, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    for key in parents:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    assert isinstance(document, dict)
    return document


def findings(document: object) -> list[Finding]:
    result = parse_rules(document, version=1, sha256="")
    assert isinstance(result, list), "something should have been wrong"
    return result


def test_every_key_of_the_language_is_read() -> None:
    rules = parsed(FULL)
    earning, evening = rules.earning, rules.earning.rules[1]
    assert (rules.version, rules.sha256, rules.name, rules.currency) == (7, "ab", "Full", "SEK")
    assert rules.zone.key == "Europe/Stockholm"
    assert (earning.combine, earning.rounding, earning.net_of_tax) == (Combine.SUM, Rounding.HALF_UP, True)
    assert (earning.minimum_minor, earning.points_max, earning.on_points_part) == (100, 1000, True)
    assert (earning.pending_days, earning.denominator) == (14, 2000)
    assert (evening.num, evening.den) == (3, 2)
    assert evening.lines.skus == {"A"}
    assert evening.lines.categories == {"toys"}
    assert evening.lines.brands == {"acme"}
    when = evening.when
    assert (when.stores, when.channels) == (frozenset({"s1"}), frozenset({1, 3}))
    assert (when.tiers, when.weekdays) == (frozenset({"gold"}), frozenset({0, 6}))
    assert when.minutes == ((480, 750), (1380, 1440))
    assert (when.from_ms, when.until_ms) == (at("2025-12-31T23:00"), at("2026-12-24T17:00"))
    assert [selector.skus for selector in earning.exclude] == [{"POST"}]
    assert (rules.expiry.kind, rules.expiry.count) == (ExpiryKind.END_OF_MONTH, 24)
    assert rules.tiers is not None
    assert (rules.tiers.rolling_days, rules.tiers.grace_days) == (90, 30)
    assert rules.tiers.downgrade is Downgrade.BY_BALANCE
    assert rules.tiers.ranks == {"base": 0, "gold": 1}
    burning = rules.burning
    assert (burning.value_points, burning.value_minor, burning.unit_points) == (100, 50, 10)
    assert (burning.minimum_points, burning.share_max_ppm) == (200, 335_000)
    assert burning.assurance_caps == (5, -1, -1, -1, -1)
    off, ten, toy, evening_out = rules.rewards
    assert (off.kind, off.cost, off.amount_minor, off.minimum_minor) == ("money_off", 10, 100, 500)
    assert (ten.kind, ten.cost, ten.percent_ppm, ten.amount_minor) == ("percent_off", 0, 100_000, 900)
    assert (toy.kind, toy.cost) == ("free_item", 5)
    assert (toy.lines.categories, toy.when.tiers) == (frozenset({"toys"}), frozenset({"gold"}))
    assert (evening_out.kind, evening_out.name, evening_out.cost) == ("experience", "An evening", 500)
    assert (evening_out.stock, evening_out.limit, evening_out.limited) == (20, Limit(1, Per.YEAR), True)
    assert [one.limited for one in (off, ten, toy)] == [False] * 3
    review, birthday = rules.actions
    assert (review.name, review.points, review.limit) == ("A review", 20, Limit(3, Per.MONTH))
    assert (review.by, review.once_per_subject, review.on) == (frozenset({"webshop", "app"}), True, "")
    assert (review.when.tiers, review.when.until_ms) == (frozenset({"gold"}), at("2026-12-31T23:00"))
    assert (birthday.on, birthday.points, birthday.by) == ("birthday", 100, frozenset())
    autumn, atelier = rules.access
    assert (autumn.name, autumn.lines.categories, autumn.who.tiers) == (
        "The autumn collection",
        frozenset({"autumn"}),
        frozenset({"gold"}),
    )
    assert (autumn.early_ms, autumn.opens_ms) == (at("2026-08-31T22:00"), at("2026-09-08T08:00"))
    assert (atelier.early_ms, atelier.opens_ms) == (0, NEVER_MS)
    (toys,) = rules.challenges
    assert (toys.counts, toys.target, toys.per, toys.times) == (Counts.PIECES, 10, Per.MONTH, 3)
    assert (toys.points, toys.badge, toys.lines.categories) == (50, "player", frozenset({"toys"}))
    assert (toys.when.memberships, toys.first_day) == (frozenset({"club"}), 0)
    assert rules.memberships == (
        Membership("club", "Club", "FEE", months=12, grace_days=7, refund_days=14, remind_days=21),
        Membership("trial", "Trial", "TRIAL", days=30),
    )
    assert [level.gift_points for level in rules.tiers.levels] == [0, 500]
    summer, part, gift = rules.coupons
    assert (summer.kind, summer.amount_minor, summer.minimum_minor) == ("money_off", 50, 300)
    assert (summer.code, summer.spelled, summer.when.until_ms) == (
        "Hello-10",
        "HE11010",
        at("2026-07-31T22:00"),
    )
    assert (summer.per_member, summer.total, summer.exclusive, summer.show) == (3, 500, True, True)
    assert (part.kind, part.percent_ppm, part.amount_minor) == ("percent_off", 125_000, 70)
    assert (part.code, part.per_member, part.total, part.exclusive, part.show) == ("", 1, 0, False, False)
    assert (gift.kind, gift.lines.categories, gift.per_member) == ("free_item", frozenset({"toys"}), 0)
    assert (rules.returns.spent, rules.returns.grace_days) == (SpentPolicy.WITHIN_BALANCE, 9)
    assert (rules.holds.ttl_max_s, rules.holds.open_max) == (60, 3)
    assert rules.holds.late_capture_if_covered
    assert rules.offline == Offline(125_000, 900, 86_400, 864_000, 259_200, 1, 2, 3, 432_000)
    assert rules.reminders == Reminders(20, 21, 2)


def test_what_is_left_out_has_its_default() -> None:
    rules = parsed(
        {"format": "tallystick/1", "name": "x", "currency": "EUR", "time_zone": "UTC", "earning": {}}
    )
    earning = rules.earning
    assert (earning.rules, earning.exclude, earning.denominator) == ((), (), 1)
    assert (earning.combine, earning.rounding, earning.net_of_tax) == (Combine.HIGHEST, Rounding.DOWN, False)
    assert (earning.minimum_minor, earning.points_max, earning.pending_days) == (0, 0, 0)
    assert not earning.on_points_part
    assert (rules.expiry.kind, rules.tiers, rules.rewards) == (ExpiryKind.NEVER, None, ())
    burning = rules.burning
    assert (burning.value_points, burning.value_minor, burning.unit_points) == (1, 1, 1)
    assert (burning.minimum_points, burning.share_max_ppm) == (1, 1_000_000)
    assert burning.assurance_caps == (0, -1, -1, -1, -1), "a typed number burns nothing"
    assert (rules.returns.spent, rules.returns.grace_days) == (SpentPolicy.DEBT, 0)
    assert (rules.holds.ttl_max_s, rules.holds.open_max) == (86_400, 20)
    assert not rules.holds.late_capture_if_covered
    assert rules.offline == Offline(250_000, 0, 172_800, 2_592_000, 604_800, 500, 500, 5_000, 2_592_000)
    assert rules.reminders is None
    assert parsed(document_of(reminders={})).reminders == Reminders(24, 30, 4)


def test_defaults_within_a_part_that_is_there() -> None:
    document = changed(
        "tiers", {"basis": "spend", "period": "rolling", "levels": [{"id": "gold", "from": 0}]}
    )
    tiers = parsed(document).tiers
    assert tiers is not None
    assert (tiers.rolling_days, tiers.downgrade, tiers.grace_days) == (365, Downgrade.ONE_STEP, 0)
    burning = parsed(changed("burning", {"points": 30, "minor": 20})).burning
    assert (burning.unit_points, burning.minimum_points) == (3, 3)
    assert parsed(changed("expiry", {"kind": "end_of_year"})).expiry.count == 0
    when = parsed(changed("earning/rules/1/from", ...)).earning.rules[1].when
    assert when.from_ms == 0
    assert parsed(changed("earning/rules/1/until", ...)).earning.rules[1].when.until_ms == NEVER_MS


PRIMES = [
    {"id": str(minor), "kind": "per_amount", "points": 1, "per_minor": minor}
    for minor in (999_999_937, 999_999_929)
]

WRONG: list[tuple[str, object, str, str, str]] = [
    ("format", ..., "format", "is missing", "tallystick/1"),
    ("format", "tallystick/2", "format", "is not known here", "did you mean 'tallystick/1'?"),
    ("name", ..., "name", "is missing", "add 'name:'"),
    ("name", "", "name", "1 to 100 characters", ""),
    ("name", "x" * 101, "name", "1 to 100 characters", ""),
    ("currency", "kr", "currency", "not an ISO 4217 code", "EUR"),
    ("currency", "sek", "currency", "not an ISO 4217 code", "EUR"),
    ("currency", 752, "currency", "must be a text", ""),
    ("time_zone", "Stockholm", "time_zone", "is not a time zone", "Europe/Stockholm"),
    ("time_zone", "../../etc/passwd", "time_zone", "is not a time zone", ""),
    ("time_zone", "Europe", "time_zone", "is not a time zone", ""),
    ("earning", ..., "earning", "is missing", "earning:"),
    ("earning", "much", "earning", "must be a mapping", ""),
    ("earnings", {}, "earnings", "is not known here", "did you mean 'earning'?"),
    ("zzz", {}, "zzz", "is not known here", "known here: access"),
    ("earning/combine", "max", "earning.combine", "is not known here", "highest"),
    ("earning/rounding", "halfup", "earning.rounding", "is not known here", "did you mean 'half_up'?"),
    ("earning/amount", "nett", "earning.amount", "is not known here", "did you mean 'net'?"),
    ("earning/minimum_minor", -1, "earning.minimum_minor", "must be from 0", ""),
    ("earning/minimum_minor", 10**12 + 1, "earning.minimum_minor", "must be from 0", ""),
    ("earning/points_max", "many", "earning.points_max", "whole number", "without quotes"),
    ("earning/points_max", True, "earning.points_max", "whole number", ""),
    ("earning/points_max", 1.5, "earning.points_max", "whole number", ""),
    ("earning/on_points_part", "no", "earning.on_points_part", "true or false", ""),
    ("earning/pending_days", 367, "earning.pending_days", "from 0 to 366", ""),
    ("earning/rules", {}, "earning.rules", "must be a list", "- "),
    ("earning/rules", [{}] * 201, "earning.rules", "201 items, at most 200", ""),
    ("earning/rules/0", "x", "earning.rules[0]", "must be a mapping", ""),
    ("earning/rules/0/id", ..., "earning.rules[0].id", "is missing", ""),
    ("earning/rules/0/id", "x" * 65, "earning.rules[0].id", "1 to 64", ""),
    ("earning/rules/1/id", "base", "earning.rules[1].id", "is there already", "own id"),
    ("earning/rules/0/kind", ..., "earning.rules[0].kind", "is missing", "per_amount, per_item"),
    (
        "earning/rules/0/kind",
        "per_ammount",
        "earning.rules[0].kind",
        "not known",
        "did you mean 'per_amount'?",
    ),
    ("earning/rules/0/points", ..., "earning.rules[0].points", "is missing", ""),
    ("earning/rules/0/points", 0, "earning.rules[0].points", "must be from 1", ""),
    ("earning/rules/0/points", 10**9 + 1, "earning.rules[0].points", "must be from 1", ""),
    ("earning/rules/0/per_minor", 0, "earning.rules[0].per_minor", "must be from 1", ""),
    ("earning/rules/0/per_minor", ..., "earning.rules[0].per_minor", "is missing", ""),
    ("earning/rules/0/by", 2, "earning.rules[0].by", "is not known here", ""),
    ("earning/rules/0/skus", ["A"], "earning.rules[0].skus", "is not known here", "did you mean 'sku'?"),
    ("earning/rules/1/by", ..., "earning.rules[1].by", "must be a number", '"1.5"'),
    ("earning/rules/1/by", "0.5", "earning.rules[1].by", "must be from 1 to 100", ""),
    ("earning/rules/1/by", 101, "earning.rules[1].by", "must be from 1 to 100", ""),
    ("earning/rules/1/by", "1.00001", "earning.rules[1].by", "four decimals", ""),
    ("earning/rules/1/by", "1e999999999", "earning.rules[1].by", "must be a number", ""),
    ("earning/rules/1/by", "3/2", "earning.rules[1].by", "must be a number", ""),
    ("earning/rules/1/by", True, "earning.rules[1].by", "must be a number", ""),
    ("earning/rules/1/sku", [""], "earning.rules[1].sku[0]", "must be a text", ""),
    ("earning/rules/1/sku", [1234], "earning.rules[1].sku[0]", "must be a text", "put it in quotes"),
    ("earning/rules/1/sku", ["x"] * 1001, "earning.rules[1].sku", "1001 items, at most 1000", ""),
    (
        "earning/rules/1/channel",
        "stores",
        "earning.rules[1].channel[0]",
        "not known",
        "did you mean 'store'?",
    ),
    ("earning/rules/1/channel", "fax", "earning.rules[1].channel[0]", "not known", "store, webshop, app"),
    ("earning/rules/1/tier", "golden", "earning.rules[1].tier[0]", "not known", "did you mean 'gold'?"),
    ("earning/rules/1/weekday", ["mon", "day"], "earning.rules[1].weekday[1]", "not known", "mon"),
    (
        "earning/rules/1/hours",
        "8-12",
        "earning.rules[1].hours",
        "not a span of one day",
        "split it at midnight",
    ),
    ("earning/rules/1/hours", "22:00-02:00", "earning.rules[1].hours", "not a span of one day", ""),
    ("earning/rules/1/hours", "12:00-12:00", "earning.rules[1].hours", "not a span of one day", ""),
    ("earning/rules/1/hours", "23:00-24:01", "earning.rules[1].hours", "not a span of one day", ""),
    ("earning/rules/1/hours", "08:60-09:00", "earning.rules[1].hours", "not a span of one day", ""),
    ("earning/rules/1/hours", "08:00", "earning.rules[1].hours", "not a span of one day", ""),
    ("earning/rules/1/from", "24 December", "earning.rules[1].from", "must be a date", "2026-12-24"),
    ("earning/rules/1/from", "2027-01-01", "earning.rules[1].until", "before 'from'", "never hold"),
    ("earning/rules/1/from", "2026-12-24T18:00", "earning.rules[1].until", "before 'from'", "never hold"),
    ("earning/rules/0/kind", "per_sale", "earning.rules", "nothing to multiply", "per_amount or per_item"),
    ("earning/rules", PRIMES, "earning.rules", "no common fraction", "rounder"),
    ("earning/exclude", [{}], "earning.exclude[0]", "excludes everything", "sku, category or brand"),
    ("earning/exclude/0/store", "s1", "earning.exclude[0].store", "is not known here", ""),
    ("expiry/kind", ..., "expiry.kind", "is missing", "never, months"),
    ("expiry/months", ..., "expiry.months", "is missing", ""),
    ("expiry/months", 0, "expiry.months", "from 1 to 120", ""),
    ("expiry/months", 121, "expiry.months", "from 1 to 120", ""),
    ("expiry", {"kind": "end_of_year", "years": 11}, "expiry.years", "from 0 to 10", ""),
    ("expiry", {"kind": "never", "months": 3}, "expiry.months", "is not known here", ""),
    ("tiers/basis", ..., "tiers.basis", "is missing", "spend, points, visits"),
    ("tiers/period", "year", "tiers.period", "is not known here", "calendar_year"),
    ("tiers/period", "anniversary", "tiers.rolling_days", "only goes with 'period: rolling'", "remove"),
    ("tiers/rolling_days", 1097, "tiers.rolling_days", "from 1 to 1096", ""),
    ("tiers/downgrade", "always", "tiers.downgrade", "is not known here", ""),
    ("tiers/grace_days", 367, "tiers.grace_days", "from 0 to 366", ""),
    ("tiers/levels", ..., "tiers.levels", "must be from 0", ""),
    ("tiers/levels/0/from", 1, "tiers.levels", "must be from 0", "everybody starts there"),
    ("tiers/levels/1/from", 0, "tiers.levels", "more than the one before", ""),
    ("tiers/levels/1/id", "base", "tiers.levels[1].id", "is there already", ""),
    ("tiers/levels/1/id", "x" * 33, "tiers.levels[1].id", "1 to 32", ""),
    ("tiers/levels/1/at", 3, "tiers.levels[1].at", "is not known here", ""),
    ("tiers/levels", [{"id": str(n), "from": n} for n in range(21)], "tiers.levels", "at most 20", ""),
    ("burning/points", 0, "burning.points", "must be from 1", ""),
    ("burning/minor", 0, "burning.minor", "must be from 1", ""),
    ("burning/unit_points", 3, "burning.unit_points", "no whole minor units", "multiple of 2"),
    ("burning/minimum_points", 0, "burning.minimum_points", "must be from 1", ""),
    ("burning/share_max_percent", 101, "burning.share_max_percent", "must be from 1/100 to 100", ""),
    ("burning/share_max_percent", 0, "burning.share_max_percent", "must be from 1/100 to 100", ""),
    ("burning/assurance_caps/typed", -1, "burning.assurance_caps.typed", "must be from 0", ""),
    ("burning/assurance_caps/device_code", -1, "burning.assurance_caps.device_code", "must be from 0", ""),
    ("burning/assurance_caps/typed", "none", "burning.assurance_caps.typed", "whole number", ""),
    ("burning/assurance_caps/qr", 1, "burning.assurance_caps.qr", "is not known here", ""),
    ("rewards/0/kind", "cash", "rewards[0].kind", "is not known here", "money_off"),
    ("rewards/0/id", "ten", "rewards[1].id", "is there already", ""),
    ("rewards/0/points", ..., "rewards[0].points", "is missing", ""),
    ("rewards/0/points", -1, "rewards[0].points", "must be from 0", ""),
    ("rewards/0/amount_minor", ..., "rewards[0].amount_minor", "is missing", ""),
    ("rewards/0/amount_minor", 0, "rewards[0].amount_minor", "must be from 1", ""),
    ("rewards/0/percent", 5, "rewards[0].percent", "is not known here", ""),
    ("rewards/1/percent", ..., "rewards[1].percent", "is missing", '"10"'),
    ("rewards/1/percent", "0.005", "rewards[1].percent", "must be from 1/100", ""),
    ("coupons/0/id", "part", "coupons[1].id", "is there already", ""),
    ("coupons/1/code", "hell o1o", "coupons[1].code", "is there already", "each its own code"),
    ("coupons/0/code", "A-1", "coupons[0].code", "3 to 32 letters and digits", "SUMMER25"),
    ("coupons/0/code", "", "coupons[0].code", "must be a text", ""),
    ("coupons/0/amount_minor", ..., "coupons[0].amount_minor", "is missing", ""),
    ("coupons/0/points", 5, "coupons[0].points", "is not known here", ""),
    ("coupons/0/total", -1, "coupons[0].total", "must be from 0", ""),
    ("coupons/0/combine", "both", "coupons[0].combine", "is not known here", "joint"),
    ("coupons/1/percent", ..., "coupons[1].percent", "is missing", '"10"'),
    ("coupons/1/show", True, "coupons[1].show", "only goes with a shared code", "unique codes"),
    ("coupons/2/category", ..., "coupons[2]", "must say which", "sku, category or brand"),
    ("rewards/2/category", ..., "rewards[2]", "must say which", "sku, category or brand"),
    ("rewards/3/sku", "A", "rewards[3]", "has no basket", "remove sku"),
    ("rewards/3/minimum_minor", 5, "rewards[3].minimum_minor", "is not known here", ""),
    ("rewards/3/stock", -1, "rewards[3].stock", "from 0 to 1000000000", ""),
    ("rewards/3/limit", 2, "rewards[3].limit", "must be a mapping", ""),
    ("rewards/3/limit/count", 0, "rewards[3].limit.count", "from 1 to 10000", ""),
    ("rewards/3/limit/per", "moth", "rewards[3].limit.per", "is not known here", "did you mean 'month'?"),
    ("rewards/3/limit/from", "may", "rewards[3].limit.from", "is not known here", ""),
    ("coupons/0/id", "reward/x", "coupons[0].id", "begin names under which other things", "another id"),
    ("actions", [{}] * 101, "actions", "101 items, at most 100", ""),
    ("actions/0/id", "a b", "actions[0].id", "is not a plain word", "letters"),
    ("actions/1/id", "review", "actions[1].id", "is there already", "own id"),
    ("actions/0/name", ..., "actions[0].name", "is missing", ""),
    ("actions/0/points", 0, "actions[0].points", "must be from 1", ""),
    ("actions/0/limit", ..., "actions[0].limit", "is missing", "limit: {count: 1, per: month}"),
    ("actions/0/limit/count", 101, "actions[0].limit", "at most 100 are kept apart", ""),
    ("actions/0/by", ["shop"], "actions[0].by[0]", "is not known here", "webshop"),
    ("actions/0/tier", "golden", "actions[0].tier[0]", "is not known here", "did you mean 'gold'?"),
    ("actions/1/on", "birthdy", "actions[1].on", "is not known here", "did you mean 'birthday'?"),
    ("actions/1/limit", {"count": 1, "per": "year"}, "actions[1].limit", "does not go with 'on'", "remove"),
    ("actions/1/by", ["app"], "actions[1].by", "does not go with 'on'", ""),
    ("actions/1/store", "s1", "actions[1].on", "comes from no store or channel", "remove store"),
    ("access", [{}] * 101, "access", "101 items, at most 100", ""),
    ("access/0/category", ..., "access[0]", "does not say which articles", "name a sku"),
    ("access/0/tier", ..., "access[0]", "does not say to whom", "name a tier"),
    ("access/0/until", "2026-12-01", "access[0]", "is opened by early_from and opens_at", "remove"),
    ("access/0/opens_at", "2026-09-01", "access[0].opens_at", "is not after 'early_from'", "nobody"),
    ("access/1/id", "autumn", "access[1].id", "is there already", "own id"),
    ("referral/referrer_points", 10**9 + 1, "referral.referrer_points", "from 0 to 1000000000", ""),
    ("referral/minimum_minor", "25", "referral.minimum_minor", "must be a whole number", "without quotes"),
    ("referral/within_days", 0, "referral.within_days", "from 1 to 1096", ""),
    ("referral/after_days", 367, "referral.after_days", "from 0 to 366", ""),
    ("referral/limit/per", "fortnight", "referral.limit.per", "is not known here", "week"),
    ("referral/limit/count", 0, "referral.limit.count", "from 1 to", ""),
    ("referral/burst_per_day", 1_001, "referral.burst_per_day", "from 0 to 1000", ""),
    ("referral/refferer_points", 5, "referral.refferer_points", "is not known here", "referrer_points"),
    ("referral", {"minimum_minor": 5}, "referral.referrer_points", "nobody gets anything", "joiner_points"),
    ("referral", "yes", "referral", "must be a mapping", ""),
    ("watch/actions_per_day", -1, "watch.actions_per_day", "from 0 to 100000", ""),
    ("watch/adjust_review_points", 10**15 + 1, "watch.adjust_review_points", "from 0 to", ""),
    ("watch/sales", 3, "watch.sales", "is not known here", "sales_per_hour"),
    ("returns/spent", "keep", "returns.spent", "is not known here", "only_pending"),
    ("returns/grace_days", 367, "returns.grace_days", "from 0 to 366", ""),
    ("holds/ttl_max_s", 30 * 86_400 + 1, "holds.ttl_max_s", "from 1 to 2592000", ""),
    ("offline/lease_share_percent", 101, "offline.lease_share_percent", "from 0 to 100", ""),
    ("offline/lease_hours", 745, "offline.lease_hours", "from 1 to 744", ""),
    ("offline/voucher_days", 0, "offline.voucher_days", "from 1 to 366", ""),
    ("offline/grace_days", 91, "offline.grace_days", "from 1 to 90", ""),
    ("offline/away_days_max", 0, "offline.away_days_max", "from 1 to 366", ""),
    ("offline/floor/sale_points", -1, "offline.floor.sale_points", "from 0 to", ""),
    ("offline/floor/sale", 1, "offline.floor.sale", "is not known here", "sale_points"),
    ("transfers/to", "anybody", "transfers.to", "is not known here", "did you mean 'anyone'?"),
    ("transfers/minimum_points", 501, "transfers.limit_points.count", "less than minimum_points", "nobody"),
    ("transfers/limit_points/count", 0, "transfers.limit_points.count", "from 1 to", ""),
    ("transfers/limit_points/per", "fortnight", "transfers.limit_points.per", "is not known here", "month"),
    ("transfers/member_days", -1, "transfers.member_days", "from 0 to 3660", ""),
    ("transfers/fee_points", 1, "transfers.fee_points", "is not known here", "limit_points"),
    ("charity/projects", [], "charity.projects", "is empty", "at least one"),
    ("charity/projects/1/id", "sea", "charity.projects[1].id", "is there already", "its own id"),
    (
        "charity/share/0/project",
        "see",
        "charity.share[0].project",
        "is not known here",
        "did you mean 'sea'?",
    ),
    ("charity/share/0/percent", "1", "charity.share[0]", "how much is given", "either minor"),
    ("charity/share/0/minor", ..., "charity.share[0]", "how much is given", "either minor"),
    ("charity/share/1/percent", "101", "charity.share[1].percent", "from 1/100 to 100", ""),
    ("goals/1/id", "advent", "goals[1].id", "is there already", "its own id"),
    ("goals/0/award", ..., "goals[0].award", "is missing", "what everybody gets"),
    ("goals/0/award/points", 0, "goals[0].award.points", "from 1 to", ""),
    ("goals/0/until", ..., "goals[0].until", "must be there", "until:"),
    ("goals/0/target", 0, "goals[0].target", "from 1 to", ""),
    ("goals/0/counts", "steps", "goals[0].counts", "is not known here", "did you mean 'sales'?"),
    ("goals/1/return_days", 3, "goals[1].return_days", "does not go with at_once", "one of the two"),
    ("partners/1/program", "cinema", "partners[1].program", "is there already", "once"),
    ("partners/1/program", "Air Line", "partners[1].program", "not the id of a program", "other-brand"),
    ("partners/0/give_points", 0, "partners[0].give_points", "from 1 to", ""),
    ("partners/0/give_points", 101, "partners[0].limit_points.count", "less than give_points", "nothing"),
    ("partners/0/get_points", "1", "partners[0].get_points", "must be a whole number", ""),
    ("partners/0/rate", 2, "partners[0].rate", "is not known here", ""),
    ("holds/open_max", 101, "holds.open_max", "from 1 to 100", ""),
    ("holds/late_capture", True, "holds.late_capture", "is not known here", "refuse, if_covered"),
    ("reminders/abandoned_after_h", 721, "reminders.abandoned_after_h", "from 0 to 720", ""),
    ("reminders/abandoned_after_h", "1 day", "reminders.abandoned_after_h", "must be a whole number", ""),
    ("reminders/wish_reminder_days", 366, "reminders.wish_reminder_days", "from 0 to 365", ""),
    ("reminders/per_month", 0, "reminders.per_month", "from 1 to 31", ""),
    ("reminders/per_mont", 1, "reminders.per_mont", "is not known here", "did you mean 'per_month'?"),
    (
        "reminders",
        {"abandoned_after_h": 0, "wish_reminder_days": 0},
        "reminders",
        "reminds of nothing",
        "abandoned_after_h",
    ),
]


@pytest.mark.parametrize(
    ("place", "value", "path", "message", "mend"),
    WRONG,
    ids=[f"{row[0]}={str(row[1])[:24]}" for row in WRONG],
)
def test_a_mistake_is_found_with_its_place_and_how_to_mend_it(
    place: str, value: object, path: str, message: str, mend: str
) -> None:
    found = findings(changed(place, value))
    hits = [one for one in found if one.path == path and message in one.message and mend in one.mend]
    assert hits, found


def test_all_mistakes_are_found_at_once_and_always_in_the_same_order() -> None:
    document = changed("currency", "kr")
    document["earning"]["rules"][0]["points"] = 0
    document["tiers"]["zeta"] = document["tiers"]["alpha"] = 1
    document["holds"]["open_max"] = 0
    assert [one.path for one in findings(document)] == [
        "currency",
        "tiers.alpha",
        "tiers.zeta",
        "earning.rules[0].points",
        "holds.open_max",
    ]


@pytest.mark.parametrize("document", [None, 3, "text", [], [1]])
def test_what_is_no_document_at_all_is_said_to_be_none(document: object) -> None:
    first = findings(document)[0]
    assert (first.path, "must be a mapping" in first.message) == ("", True)


def test_a_date_may_stand_without_quotes_or_with_a_zone_of_its_own() -> None:
    assert parsed(changed("earning/rules/1/from", date(2026, 1, 1))).earning.rules[1].when.from_ms == at(
        "2025-12-31T23:00"
    )
    moment = datetime.fromisoformat("2026-01-01T00:00+00:00")
    assert parsed(changed("earning/rules/1/from", moment)).earning.rules[1].when.from_ms == at("2026-01-01")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def places(document: Any, path: str = "") -> list[str]:
    """Return the path of everything in a document."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    found = []
    for key, value in items:
        here = f"{path}/{key}" if path else str(key)
        found.append(here)
        if isinstance(value, (dict, list)):
            found += places(value, here)
    return found


@settings(max_examples=300)
@given(place=st.sampled_from(places(FULL)), value=json_values)
def test_whatever_stands_there_is_read_or_said_to_be_wrong(place: str, value: object) -> None:
    result = parse_rules(changed(place, value), version=1, sha256="")
    assert isinstance(result, RuleSet) or (result and all(one.message for one in result))


DATES = st.sampled_from(["earning/rules/1/from", "earning/rules/1/until"])


@settings(max_examples=200)
@given(place=DATES, text=st.text("0123456789-+:TZW. ", max_size=24))
def test_whatever_stands_for_a_date_is_read_or_said_to_be_wrong(place: str, text: str) -> None:
    result = parse_rules(changed(place, text), version=1, sha256="")
    assert isinstance(result, RuleSet) or result


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_programs_that_come_along_are_in_order(path: Path) -> None:
    assert parsed(read_document(path.read_text(encoding="utf-8")).value).name


def test_there_are_programs_that_come_along() -> None:
    assert {path.stem for path in PROGRAMS} >= {"simple", "online_retail"}


def test_what_recommendations_bring_and_what_is_watched_are_read() -> None:
    rules = parsed(FULL)
    assert rules.referral == Referring(500, 100, 2500, 21, 60, Limit(12, Per.YEAR), 8)
    assert rules.watch == Watching(9, 3, 1, 40, 5000)


def test_without_the_sections_nothing_is_paid_and_the_usual_is_watched() -> None:
    assert parsed(changed("referral", ...)).referral is None
    assert parsed(changed("watch", ...)).watch == Watching()


@pytest.mark.parametrize(("pending", "after"), [(30, 30), (0, 14)])
def test_the_return_window_is_that_of_the_earning_unless_something_else_is_said(
    pending: int, after: int
) -> None:
    document = changed("referral/after_days", ...)
    document["earning"]["pending_days"] = pending
    referral = parsed(document).referral
    assert referral is not None
    assert referral.after_days == after
