"""What projects were given, by month, out of a ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

from tallystick.core.codec import detail_to_text
from tallystick.core.entry import Detail, Entry, SharedSum
from tallystick.core.ids import Ms
from tallystick.reports.charity import Given, read_charity
from tallystick.storage.snapshot import LedgerRow
from tests.core.world import World, at, rules_of

CHARITY = {
    "projects": [{"id": "sea", "name": "Sea"}],
    "share": [{"project": "sea", "minor": 100}],
}
ZONE = ZoneInfo("Europe/Stockholm")


def row(entry: Entry, when: str) -> LedgerRow:
    moved = replace(entry, origin=replace(entry.origin, occurred_ms=at(when)))
    return LedgerRow(moved, b"", detail_to_text(moved.detail), Ms(0))


def test_gifts_and_donations_are_told_by_the_month_of_the_programs_own_zone() -> None:
    world = World(rules_of(charity=CHARITY))
    sale = world.posted(world.sale(1_000))
    back = replace(sale, detail=Detail(sums=(SharedSum("gift/sea", -40),)))
    donated = Detail(sums=(SharedSum("donated/sea", 300), SharedSum("worth/sea", 30)))
    plain = replace(sale, detail=Detail(sums=(SharedSum("goal/advent", 9),)))
    rows = [
        row(sale, "2026-01-31T22:59"),
        row(sale, "2026-01-31T23:00"),
        row(back, "2026-02-10T12:00"),
        row(replace(sale, detail=donated), "2026-02-11T12:00"),
        row(plain, "2026-03-01T12:00"),
    ]
    assert read_charity(rows, zone=ZONE) == {
        (date(2026, 1, 1), "sea"): Given(100),
        (date(2026, 2, 1), "sea"): Given(60, 300, 30),
    }
