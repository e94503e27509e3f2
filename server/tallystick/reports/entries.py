"""A ledger read member by member, with what each entry kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Protocol

from tallystick.core.codec import detail_from_text
from tallystick.core.entry import Entry
from tallystick.core.ids import MemberId


class Row(Protocol):
    """A row of the ledger, whose detail is text still."""

    @property
    def entry(self) -> Entry: ...

    @property
    def detail_text(self) -> str: ...


def by_member(rows: Iterable[Row]) -> Iterator[tuple[MemberId, Iterator[Entry]]]:
    """Yield each member with the entries, oldest first. ``rows`` are in the order of member and number."""
    for member_id, found in groupby(rows, lambda row: row.entry.member_id):
        yield member_id, (replace(row.entry, detail=detail_from_text(row.detail_text)) for row in found)
