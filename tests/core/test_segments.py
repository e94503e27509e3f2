"""Segments: a member is in one when all that it asks for holds now, and its edges are where they are said to be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.ids import Ms
from tallystick.core.rules.parse import parse_rules
from tallystick.core.rules.segment import DAY_MS, Facts, GoodsFact, SaleFact, fifth, line_of, meets, rfm_facts
from tests.core.world import at, document_of, rules_of

NOW = at("2026-06-01T12:00")
TIERS = {
    "basis": "spend",
    "period": "calendar_year",
    "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 100}],
}


def ago(days: int) -> Ms:
    return Ms(NOW - days * DAY_MS)


def sale(days: int, paid: int = 1_000) -> SaleFact:
    return SaleFact(ago(days), paid)


def goods(days: int, sku: str, brand: str = "", *categories: str) -> GoodsFact:
    return GoodsFact(ago(days), (line_of(sku, brand, categories),))


def is_in(criteria: dict[str, Any], facts: Facts) -> bool:
    rules = rules_of(segments=[{"id": "s", **criteria}], tiers=TIERS)
    return meets(rules.segments[0].criteria, facts, NOW)


OLD = Facts(enrolled_ms=ago(900), tier_id="base")
QUIET = {"not_bought_for_days": 60}
CASES: list[tuple[str, dict[str, Any], Facts, bool]] = [
    ("quiet for exactly so long", QUIET, replace(OLD, sales=(sale(60),)), True),
    ("bought a day too late", QUIET, replace(OLD, sales=(sale(200), sale(59))), False),
    ("never bought at all", QUIET, OLD, False),
    ("enough visits", {"visits": {"min": 2}}, replace(OLD, sales=(sale(1), sale(2))), True),
    ("a visit too few", {"visits": {"min": 2}}, replace(OLD, sales=(sale(1),)), False),
    (
        "visits too long ago",
        {"visits": {"min": 2, "within_days": 30}},
        replace(OLD, sales=(sale(1), sale(30))),
        False,
    ),
    ("at most one visit", {"visits": {"max": 1}}, replace(OLD, sales=(sale(1), sale(2))), False),
    ("spent enough", {"spend": {"min_minor": 2_000}}, replace(OLD, sales=(sale(1), sale(2))), True),
    ("spent too much", {"spend": {"max_minor": 1_999}}, replace(OLD, sales=(sale(1), sale(2))), False),
    ("in the tier", {"tier": "gold"}, replace(OLD, tier_id="gold"), True),
    ("in another tier", {"tier": "gold"}, OLD, False),
    ("joined lately", {"joined_within_days": 30}, replace(OLD, enrolled_ms=ago(29)), True),
    ("joined long ago", {"joined_within_days": 30}, replace(OLD, enrolled_ms=ago(30)), False),
    ("bought the article", {"bought": {"sku": "A"}}, replace(OLD, goods=(goods(1, "A"),)), True),
    ("bought another one", {"bought": {"sku": "A"}}, replace(OLD, goods=(goods(1, "B"),)), False),
    ("bought the brand", {"bought": {"brand": "X"}}, replace(OLD, goods=(goods(1, "B", "X"),)), True),
    (
        "bought of the category often enough",
        {"bought": {"category": "tea", "times_min": 2}},
        replace(OLD, goods=(goods(1, "B", "X", "tea"), goods(9, "C", "", "food", "tea"))),
        True,
    ),
    (
        "bought of the category once",
        {"bought": {"category": "tea", "times_min": 2}},
        replace(OLD, goods=(goods(1, "B", "X", "tea"), goods(9, "C", "", "food"))),
        False,
    ),
    (
        "bought it too long ago",
        {"bought": {"sku": "A", "within_days": 10}},
        replace(OLD, goods=(goods(10, "A"),)),
        False,
    ),
    ("the best fifth", {"rfm": {"r_min": 5}}, replace(OLD, rfm=(5, 1, 1)), True),
    ("only good", {"rfm": {"r_min": 5}}, replace(OLD, rfm=(4, 5, 5)), False),
    ("the lowest fifths", {"rfm": {"m_max": 2}}, replace(OLD, rfm=(5, 5, 2)), True),
    ("without a sale in no fifth", {"rfm": {"m_max": 2}}, OLD, False),
    ("two wishes at once", {"tier": "base", "visits": {"min": 1}}, OLD, False),
    ("one of two", {"any": [{"tier": "gold"}, {"joined_within_days": 1_000}]}, OLD, True),
    ("none of two", {"any": [{"tier": "gold"}, {"joined_within_days": 10}]}, OLD, False),
    ("not what is ruled out", {"none": [{"tier": "gold"}]}, OLD, True),
    ("what is ruled out", {"none": [{"tier": "base"}]}, OLD, False),
    (
        "nested",
        {"all": [{"any": [{"tier": "gold"}, {"visits": {"min": 1}}]}, {"none": [QUIET]}]},
        replace(OLD, sales=(sale(10),)),
        True,
    ),
]


@pytest.mark.parametrize(("what", "criteria", "facts", "expected"), CASES, ids=[case[0] for case in CASES])
def test_a_member_is_in_a_segment_when_all_that_it_asks_for_holds(
    what: str, criteria: dict[str, Any], facts: Facts, expected: bool
) -> None:
    assert is_in(criteria, facts) is expected, what


def test_goods_are_kept_as_long_as_the_longest_question_about_them() -> None:
    tea = {"id": "tea", "none": [{"bought": {"category": "tea", "within_days": 200}}]}
    coffee = {"id": "coffee", "bought": {"category": "coffee", "within_days": 90}}
    assert rules_of(segments=[tea, coffee]).goods_days == 200
    assert rules_of(segments=[{"id": "all", "visits": {"min": 1}}]).goods_days == 0


def test_a_hundred_members_are_twenty_in_each_fifth_and_equals_are_together() -> None:
    ranked = list(range(100))
    assert [sum(fifth(ranked, value) == part for value in ranked) for part in range(1, 6)] == [20] * 5
    assert {fifth([7] * 10, 7)} == {1}
    assert fifth([1, 1, 1, 1, 9], 9) == 5


def test_what_comes_after_the_ranking_was_read_is_in_one_of_the_fifths_too() -> None:
    assert [fifth([3, 5, 7], value) for value in (2, 4, 6, 8)] == [1, 2, 4, 5]
    assert fifth([], 8) == 5


def test_what_is_ranked_is_the_last_sale_ever_and_the_rest_of_one_year() -> None:
    sales = (sale(400, 5_000), sale(364, 300), sale(2, 200))
    assert rfm_facts(sales, NOW) == (ago(2), 2, 500)
    assert rfm_facts((), NOW) is None


BASE = {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}
SEGMENT = {"id": "s", "visits": {"min": 1}}
COUPON = {"id": "c", "kind": "money_off", "amount_minor": 100, "code": "COME-BACK"}
OFFER = {"id": "o", "name": "Come back", "segment": "s", "coupon": "c"}
SPLIT = {"id": "e", "variants": [{"id": "a", "percent": 50}, {"id": "b", "percent": 50}]}
FULL: dict[str, Any] = {"segments": [SEGMENT], "coupons": [COUPON], "offers": [OFFER], "experiments": [SPLIT]}
WRONG: list[tuple[dict[str, Any], str, str, str]] = [
    ({"segments": [{"id": "s"}]}, "segments[0]", "asks for nothing", "say what"),
    ({"segments": [SEGMENT, SEGMENT]}, "segments[1].id", "is there already", "its own id"),
    (
        {"segments": [{"id": "s", "bought": {"times_min": 2}}]},
        "segments[0].bought",
        "does not say what",
        "sku",
    ),
    (
        {"segments": [{"id": "s", "visits": {"min": 3, "max": 2}}]},
        "segments[0].visits.max",
        "below",
        "nobody",
    ),
    ({"segments": [{"id": "s", "rfm": {"r_min": 6}}]}, "segments[0].rfm.r_min", "from 1 to 5", ""),
    (
        {"segments": [{"id": "s", "rfm": {"f_min": 4, "f_max": 2}}]},
        "segments[0].rfm.f_max",
        "below",
        "nobody",
    ),
    ({"segments": [{"id": "s", "tier": "gold"}]}, "segments[0].tier[0]", "not known", ""),
    ({"segments": [{"id": "s", "visit": {}}]}, "segments[0].visit", "not known", "visits"),
    (
        {"segments": [{"id": "s", "all": [{"any": [{"all": [{"tier": "x"}]}]}]}]},
        "segments[0].all[0].any[0].all",
        "not known",
        "known here",
    ),
    ({"segments": [{"id": "s", "any": [{}]}]}, "segments[0].any[0]", "asks for nothing", "remove it"),
    ({"offers": [{**OFFER, "segment": "t"}]}, "offers[0].segment", "'t' is not a segment", "segments"),
    ({"offers": [{**OFFER, "coupon": "d"}]}, "offers[0].coupon", "is not a coupon", "coupons"),
    ({"offers": [OFFER, {**OFFER, "id": "p"}]}, "offers[1].coupon", "has an audience already", "its own"),
    ({"offers": [OFFER, OFFER]}, "offers[1].id", "is there already", "its own id"),
    ({"offers": [{"id": "o", "name": "x", "coupon": "c"}]}, "offers[0].segment", "is missing", "for whom"),
    (
        {"offers": [{"id": "o", "name": "x", "coupon": "c", "experiment": "e/a", "days": 3}]},
        "offers[0].days",
        "count from",
        "segment",
    ),
    ({"coupons": [{**COUPON, "segment": "old"}], "offers": []}, "coupons[0].segment", "not a segment", ""),
    ({"coupons": [{**COUPON, "days": 3}], "offers": []}, "coupons[0].days", "count from", "name the segment"),
    ({"coupons": [{**COUPON, "segment": "s"}]}, "offers[0].coupon", "has an audience already", ""),
    ({"offers": [{**OFFER, "experiment": "e/c"}]}, "offers[0].experiment[0]", "not known", "did you mean"),
    (
        {"experiments": [], "offers": [{**OFFER, "experiment": "e/a"}]},
        "offers[0].experiment[0]",
        "not known",
        "describe it in this rule set",
    ),
    (
        {"experiments": [{"id": "e", "variants": [{"id": "a", "percent": 60}]}]},
        "experiments[0].variants",
        "come to 60 percent",
        "100",
    ),
    (
        {"experiments": [{"id": "e", "variants": [{"id": "holdout", "percent": 100}]}]},
        "experiments[0].variants[0].id",
        "is taken",
        "holdout",
    ),
    ({"experiments": [SPLIT, SPLIT]}, "experiments[1].id", "is there already", "its own id"),
    ({"experiments": [{**SPLIT, "id": "a/b"}]}, "experiments[0].id", "cannot be an id", "letters"),
    (
        {"experiments": [{**SPLIT, "from": "2026-02-01", "until": "2026-01-01"}]},
        "experiments[0].until",
        "after 'from'",
        "never run",
    ),
    (
        {"earning": {"rules": [{**BASE, "budget": {"per": "day"}}]}},
        "earning.rules[0].budget",
        "needs points or minor",
        "write one",
    ),
    (
        {"earning": {"rules": [{**BASE, "budget": {"points": 5, "minor": 5, "per": "day"}}]}},
        "earning.rules[0].budget",
        "needs points or minor",
        "write one",
    ),
    (
        {"earning": {"rules": [{**BASE, "budget": {"points": 5, "per": "week"}}]}},
        "earning.rules[0].budget.per",
        "not known",
        "choose one of: day, month, ever",
    ),
    ({"coupons": [{**COUPON, "id": "budget/x"}], "offers": []}, "coupons[0].id", "begin names", "another id"),
    ({"holdout_percent": 51}, "holdout_percent", "from 0 to 50", ""),
]


@pytest.mark.parametrize(
    ("parts", "path", "message", "mend"), WRONG, ids=[f"{row[1]}: {row[2]}" for row in WRONG]
)
def test_a_mistake_is_found_with_its_place_and_how_to_mend_it(
    parts: dict[str, Any], path: str, message: str, mend: str
) -> None:
    found = parse_rules(document_of(**{**FULL, **parts}), version=1, sha256="")
    assert isinstance(found, list)
    assert [one for one in found if one.path == path and message in one.message and mend in one.mend], found


def test_what_is_in_order_is_read_whole() -> None:
    parts = {**FULL, "offers": [{**OFFER, "days": 14, "experiment": "e/b"}], "holdout_percent": 5}
    rules = rules_of(**parts)
    (coupon,), (offer,) = rules.coupons, rules.offers
    assert (coupon.segment, coupon.days, coupon.show) == ("s", 14, True)
    assert coupon.when.groups == {"e/b"}
    assert (offer.name, offer.coupon_id, rules.holdout_percent) == ("Come back", "c", 5)
