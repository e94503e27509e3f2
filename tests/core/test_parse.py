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
from tests.core.language import FULL
from tests.core.mistakes import WRONG
from tests.core.world import at, document_of

PROGRAMS = sorted((Path(__file__).parents[2] / "server" / "tallystick" / "programs").glob("*.yaml"))


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


def test_a_number_in_the_place_of_a_text_is_told_to_be_put_in_quotes() -> None:
    document = document_of(
        earning={"rules": [{"id": n, "kind": "per_amount", "points": 1, "per_minor": 100} for n in (1, 2)]}
    )
    assert [(one.path, one.mend) for one in findings(document)] == [
        ("earning.rules[0].id", "put it in quotes"),
        ("earning.rules[1].id", "put it in quotes"),
    ]


def test_points_have_to_last_until_they_can_be_spent() -> None:
    document = changed("earning/pending_days", 63)
    for expiry, is_wrong in [
        ({"kind": "months", "months": 2}, True),
        ({"kind": "months", "months": 3}, False),
        ({"kind": "end_of_month", "months": 1}, True),
        ({"kind": "end_of_month", "months": 2}, False),
        ({"kind": "end_of_year"}, False),
        ({"kind": "never"}, False),
    ]:
        found = parse_rules({**document, "expiry": expiry}, version=7, sha256="ab")
        said = [(one.path, one.message) for one in found] if isinstance(found, list) else []
        assert said == [("earning.pending_days", "is longer than points last")] * is_wrong, expiry


def test_what_was_published_before_somebody_looked_for_a_mistake_goes_on() -> None:
    document = changed("earning/exclude", [{"category": "toys"}])
    found = parse_rules(document, version=7, sha256="ab")
    assert isinstance(found, list)
    assert [one.path for one in found] == ["earning.rules[1]"]
    rules = parse_rules(document, version=7, sha256="ab", published=True)
    assert isinstance(rules, RuleSet)
    assert rules.earning.exclude[0].categories == {"toys"}
    # What cannot be read is no rule set, whoever has published it.
    document["earning"]["rules"][0]["points"] = "many"
    found = parse_rules(document, version=7, sha256="ab", published=True)
    assert isinstance(found, list)
    assert [one.path for one in found] == ["earning.rules[0].points"]


def test_a_name_of_what_the_rule_set_has_none_of_says_so() -> None:
    document = changed("earning/rules/1/membership", "club")
    del document["memberships"]
    found = [one for one in findings(document) if one.path == "earning.rules[1].membership[0]"]
    assert [one.mend for one in found] == ["describe it in this rule set, or remove it here"]


def test_nothing_is_said_of_what_only_follows_from_a_number_that_is_written_wrongly() -> None:
    levels = [{"id": "base", "from": 0}, {"id": "gold", "from": "1.000"}]
    variants = [{"id": "a", "percent": "33.3"}, {"id": "b", "percent": "66.7"}]
    document = document_of(
        tiers={"basis": "spend", "period": "calendar_year", "levels": levels},
        experiments=[{"id": "thirds", "variants": variants}],
    )
    assert [one.path for one in findings(document)] == [
        "tiers.levels[1].from",
        "experiments[0].variants[0].percent",
        "experiments[0].variants[1].percent",
    ]


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
