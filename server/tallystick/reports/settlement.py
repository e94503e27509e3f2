"""What a program has exchanged with its partners, month by month, out of the entries themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from tallystick.core.codec import detail_from_text
from tallystick.core.entry import EntryKind
from tallystick.core.ids import MemberId
from tallystick.core.lots import local_day
from tallystick.reports.entries import Row


@dataclass(slots=True)
class Exchanged:
    """Points burned here for a partner, less what came back, and points earned here for what the partner burned."""

    gave_points: int = 0
    got_points: int = 0


def read_settlement(rows: Iterable[Row], *, zone: ZoneInfo) -> dict[tuple[date, str, int], Exchanged]:
    """Return what was exchanged by (first day of the month, partner, version of the rule set that it was under).

    Months are those of the program's time zone. What comes back does so under the version that it had left under.
    """
    found: dict[tuple[date, str, int], Exchanged] = {}
    left_under: dict[tuple[MemberId, int], int] = {}
    for row in rows:
        entry = row.entry
        if entry.kind is not EntryKind.TRANSFER:
            continue
        partner_id = detail_from_text(row.detail_text).partner_id
        if not partner_id:
            continue
        month = local_day(entry.origin.occurred_ms, zone).replace(day=1)
        version = left_under.get((entry.member_id, entry.reverses_seq), entry.rule_set)
        left_under[entry.member_id, entry.seq] = version
        exchanged = found.setdefault((month, partner_id, version), Exchanged())
        exchanged.gave_points += entry.moves.burned
        exchanged.got_points -= entry.moves.issued
    return dict(sorted(found.items()))
