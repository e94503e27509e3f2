"""The section `notifications` of a rule set: what is read, what is refused, and when nobody is disturbed."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.ids import Ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.notifications import (
    ABOUT,
    ALWAYS,
    CHANNELS,
    Notifications,
    Occasion,
    OwnText,
    Sense,
    Telling,
    fill,
    loud_from,
)
from tallystick.core.rules.parse import parse_rules
from tests.core.test_scanning import PLAIN
from tests.core.world import at

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NIGHT = (21 * 60, 8 * 60)


def read(section: object) -> Notifications | list[str]:
    found = parse_rules({**PLAIN, "notifications": section}, version=1, sha256="")
    return found.notifications if isinstance(found, RuleSet) else [one.path for one in found]


def text(**more: object) -> dict[str, Any]:
    return {"texts": [{"occasion": "redemption", "language": "sv", "title": "Hej", "text": "Hej", **more}]}


def test_without_the_section_a_new_device_is_all_that_is_told() -> None:
    found = parse_rules(PLAIN, version=1, sha256="")
    assert isinstance(found, RuleSet)
    assert found.notifications == Notifications()
    assert dict(found.notifications.by_occasion) == {Occasion.NEW_DEVICE: ALWAYS}


def test_all_keys_are_read_and_channels_are_those_of_the_section_where_an_occasion_names_none() -> None:
    found = read(
        {
            "channels": ["sms", "email", "sms"],
            "quiet_hours": "21:00-08:00",
            "caps": {"per_day": 0, "per_week": 9},
            "tell": [
                {"occasion": "points_expiring", "days_before": [7, 30, 7]},
                {"occasion": "new_device", "channels": "webhook"},
            ],
            **text(text="{points} hos {program}"),
        }
    )
    assert found == Notifications(
        (
            Telling(Occasion.POINTS_EXPIRING, ("sms", "email"), (30, 7)),
            Telling(Occasion.NEW_DEVICE, ("webhook",)),
        ),
        NIGHT,
        0,
        9,
        (OwnText(Occasion.REDEMPTION, "sv", "Hej", "{points} hos {program}"),),
    )
    assert found.by_occasion[Occasion.NEW_DEVICE].channels == ("webhook",)


def test_what_is_left_out_has_the_defaults_of_the_page() -> None:
    found = read({"tell": [{"occasion": "points_expiring"}]})
    assert found == Notifications((Telling(Occasion.POINTS_EXPIRING, CHANNELS, (30, 7)),), None, 1, 3)


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ([], "notifications"),
        ({"loud_hours": "x"}, "notifications.loud_hours"),
        ({"tell": [{"occasion": "points_erned"}]}, "notifications.tell[0].occasion"),
        ({"tell": [{"occasion": "award"}, {"occasion": "award"}]}, "notifications.tell[1].occasion"),
        ({"tell": [{"occasion": "award", "days_before": [3]}]}, "notifications.tell[0].days_before"),
        ({"tell": [{"occasion": "points_expiring", "days_before": []}]}, "notifications.tell[0].days_before"),
        (
            {"tell": [{"occasion": "points_expiring", "days_before": [1, 2, 3, 4, 5, 6]}]},
            "notifications.tell[0].days_before",
        ),
        (
            {"tell": [{"occasion": "points_expiring", "days_before": [7, 91]}]},
            "notifications.tell[0].days_before[1]",
        ),
        (
            {"tell": [{"occasion": "points_expiring", "days_before": [True]}]},
            "notifications.tell[0].days_before[0]",
        ),
        ({"channels": ["mail"]}, "notifications.channels[0]"),
        ({"quiet_hours": "21-8"}, "notifications.quiet_hours"),
        ({"quiet_hours": "24:00-08:00"}, "notifications.quiet_hours"),
        ({"quiet_hours": "08:00-08:00"}, "notifications.quiet_hours"),
        ({"caps": {"per_day": 51}}, "notifications.caps.per_day"),
        ({"caps": {"per_day": 5, "per_week": 3}}, "notifications.caps.per_week"),
        ({"caps": {"per_hour": 1}}, "notifications.caps.per_hour"),
        (text(language="de"), "notifications.texts[0].language"),
        (text(title="a\nb"), "notifications.texts[0].title"),
        (text(title="x" * 101), "notifications.texts[0].title"),
        (text(text="{tier}"), "notifications.texts[0].text"),
        (text(text="{points!r}"), "notifications.texts[0].text"),
        (text(text="{points.__class__}"), "notifications.texts[0].text"),
        (text(text="100 %}"), "notifications.texts[0].text"),
        ({"texts": text()["texts"] * 2}, "notifications.texts[1]"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(section: object, path: str) -> None:
    assert read(section) == [path]


def test_only_what_brings_a_member_back_is_marketing() -> None:
    marketing = {one for one, about in ABOUT.items() if about.sense is Sense.MARKETING}
    assert marketing == {
        Occasion.TIER_AT_RISK,
        Occasion.REWARD_IN_REACH,
        Occasion.BASKET_ABANDONED,
        Occasion.WISH_REMINDER,
    }
    assert [one for one, about in ABOUT.items() if about.sense is Sense.SECURITY] == [Occasion.NEW_DEVICE]


@pytest.mark.parametrize(
    ("moment", "loud"),
    [
        # Winter, UTC+1: nine in the evening is 20:00 UTC, eight in the morning 07:00.
        ("2026-01-10T19:59", "2026-01-10T19:59"),
        ("2026-01-10T20:00", "2026-01-11T07:00"),
        ("2026-01-10T23:30", "2026-01-11T07:00"),
        ("2026-01-11T06:59", "2026-01-11T07:00"),
        ("2026-01-11T07:00", "2026-01-11T07:00"),
        # The night of 29 March is an hour shorter, that of 25 October an hour longer.
        ("2026-03-28T22:00", "2026-03-29T06:00"),
        ("2026-10-24T22:00", "2026-10-25T07:00"),
        ("2026-10-25T00:30", "2026-10-25T07:00"),
        # The last night of the year ends in the next one.
        ("2026-12-31T22:00", "2027-01-01T07:00"),
    ],
)
def test_what_falls_into_the_night_waits_for_the_morning(moment: str, loud: str) -> None:
    assert loud_from(NIGHT, STOCKHOLM, at(moment)) == at(loud)


@pytest.mark.parametrize(
    ("moment", "loud"),
    [
        # 02:30 does not exist on 29 March: the clock leaps from 02:00 to 03:00, and half an hour later it is 03:30.
        ("2026-03-29T00:30", "2026-03-29T01:30"),
        # On 25 October it exists twice: the first one ends the quiet hours, and the second one is loud.
        ("2026-10-24T23:30", "2026-10-25T00:30"),
        ("2026-10-25T01:30", "2026-10-25T01:30"),
    ],
)
def test_quiet_hours_may_end_where_the_clock_is_changed(moment: str, loud: str) -> None:
    assert loud_from((60, 150), STOCKHOLM, at(moment)) == at(loud)


@given(
    st.tuples(st.integers(0, 1439), st.integers(0, 1439)).filter(lambda span: span[0] != span[1]),
    st.integers(1_700_000_000_000, 1_900_000_000_000),
)
def test_whoever_waits_is_let_go_within_a_day_and_outside_of_the_quiet_hours(
    span: tuple[int, int], moment: int
) -> None:
    loud = loud_from(span, STOCKHOLM, Ms(moment))
    assert 0 <= loud - moment <= 25 * 3_600_000
    assert loud_from(span, STOCKHOLM, loud) == loud


def test_without_quiet_hours_nothing_waits() -> None:
    assert loud_from(None, STOCKHOLM, at("2026-01-10T23:30")) == at("2026-01-10T23:30")


def test_places_are_filled_and_nothing_else_in_a_text_means_anything() -> None:
    assert (
        fill("{points} of {program}: {date}", {"points": "{program}", "program": "N"}) == "{program} of N: "
    )
