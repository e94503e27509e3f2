"""What the entries of a member counted, against what the account keeps of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tallystick.core.codec import detail_from_text
from tallystick.core.state import Account, Tally
from tallystick.storage.snapshot import LedgerRow, UnreadableRow

_MARK = '"tallies"'
"""In the text of every detail that counts something; most count nothing and need not be read."""


def counted_by(row: LedgerRow) -> tuple[Tally, ...]:
    """Return what an entry counted, up or down. Raises ``UnreadableRow``."""
    if _MARK not in row.detail_text:
        return ()
    try:
        return detail_from_text(row.detail_text).tallies
    except (ValueError, TypeError, LookupError) as error:
        raise UnreadableRow("ledger", (row.entry.member_id, row.entry.seq), str(error)) from error


class TallyCounts:
    """What the entries of one member counted, taken in their order.

    What is counted in a period makes room: earlier periods of the same may be gone from the account. Rules that change
    how long a period is can come back to one of them, and count in it anew. So a place may have several right sums: the
    whole one, and those since each count by which it may have been dropped.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int], set[int]] = {}
        self._touched: dict[tuple[str, int], int] = {}
        self._ups: dict[str, dict[int, int]] = {}
        self._taken = 0

    def entry(self, row: LedgerRow) -> None:
        """Take what an entry counted. Raises ``UnreadableRow``."""
        for tally in counted_by(row):
            self._take(tally)

    def differences(self, account: Account) -> Iterator[tuple[str, str]]:
        """Yield (expected, found) where an account does not keep what its entries sum to.

        A period that is over may be gone from the account; what lasts for ever must be there.
        """
        kept = {(key, period): count for key, period, count in account.tallies}
        lasting = {place for place, sums in self._sums.items() if not place[1] and any(sums)}
        for place in sorted(kept.keys() | lasting):
            sums, found = self._sums.get(place, {0}), kept.get(place, 0)
            if found not in sums:
                key, period = place
                yield f"{max(sums)} counted under {key!r} in period {period}", f"{found}"

    def _take(self, tally: Tally) -> None:
        key, period, delta = tally
        place = (key, period)
        self._taken += 1
        ups = self._ups.setdefault(_dropped_with(key), {})
        sums = self._sums.get(place, {0})
        if period and place in self._sums and _followed(ups, period, self._touched[place]):
            sums.add(0)
        moved = {count + delta for count in sums}
        self._sums[place] = {count for count in moved if count >= 0} or moved
        self._touched[place] = self._taken
        if delta > 0:
            # The latest comes last, for whoever looks for what came since.
            ups.pop(period, None)
            ups[period] = self._taken


def _dropped_with(key: str) -> str:
    """Return the name that keys have in common which make room for each other: the subjects of an action do."""
    return "/".join(key.split("/")[:2]) if key.startswith("action/") else key


def _followed(ups: Mapping[int, int], period: int, since: int) -> bool:
    """Return whether something was counted up in a later period since then."""
    for other in reversed(ups):
        if ups[other] <= since:
            return False
        if other > period:
            return True
    return False
