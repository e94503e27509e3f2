"""What projects were given, month by month, out of the entries themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from tallystick.core.codec import detail_from_text
from tallystick.core.lots import local_day
from tallystick.core.shared import DONATED, GIFT, WORTH
from tallystick.reports.entries import Row

_MARK = '"sums":'
"""In the text of every detail that gives something; most give nothing and need not be read."""

_PARTS = {GIFT: "given_minor", DONATED: "donated_points", WORTH: "donated_minor"}


@dataclass(slots=True)
class Given:
    """What one project got in a month: of sales less returns, and from members in points and their worth."""

    given_minor: int = 0
    donated_points: int = 0
    donated_minor: int = 0


def read_charity(rows: Iterable[Row], *, zone: ZoneInfo) -> dict[tuple[date, str], Given]:
    """Return what was given by (first day of the month, project); months are those of the program's time zone."""
    found: dict[tuple[date, str], Given] = {}
    for row in rows:
        if _MARK not in row.detail_text:
            continue
        month = local_day(row.entry.origin.occurred_ms, zone).replace(day=1)
        for key, delta in detail_from_text(row.detail_text).sums:
            kind, _, project_id = key.partition("/")
            name = _PARTS.get(f"{kind}/")
            if name is not None:
                given = found.setdefault((month, project_id), Given())
                setattr(given, name, getattr(given, name) + delta)
    return dict(sorted(found.items()))
