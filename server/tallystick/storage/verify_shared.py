"""Verification of the sums over all members: recomputed from the entries, where all of the journal has been summed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tallystick.core.codec import detail_from_text
from tallystick.service.shared_store import SharedPlace
from tallystick.storage.refs import Difference
from tallystick.storage.snapshot import LedgerRow, UnreadableRow

_MARK = '"sums":'
"""In the text of every detail that adds to a sum; most add to none and need not be read."""


class SharedTotals:
    """Takes entries in any order, then says which sums are not those of the entries."""

    def __init__(self) -> None:
        self._sums: Counter[str] = Counter()

    def entry(self, row: LedgerRow) -> None:
        """Take the next entry. Raises ``UnreadableRow``."""
        if _MARK not in row.detail_text:
            return
        try:
            for key, delta in detail_from_text(row.detail_text).sums:
                self._sums[key] += delta
        except (ValueError, TypeError, LookupError) as error:
            raise UnreadableRow("ledger", (row.entry.member_id, row.entry.seq), str(error)) from error

    def differences(
        self, place: SharedPlace, heads: Mapping[int, int], sums: Iterable[tuple[str, int]]
    ) -> Iterator[Difference]:
        """Yield the sums that differ; none while entries wait to be summed, for then they must."""
        if dict(place.lanes) != dict(heads):
            return
        found = dict(sums)
        for key in sorted(self._sums.keys() | found.keys()):
            expected, total = self._sums[key], found.get(key, 0)
            if total != expected:
                yield "shared_sum", (key,), f"{expected}", f"{total}"
