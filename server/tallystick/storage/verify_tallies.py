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


def tally_differences(account: Account, counts: Mapping[tuple[str, int], int]) -> Iterator[tuple[str, str]]:
    """Yield (expected, found) where an account does not keep what its entries sum to.

    A period that is over may be gone from the account; what lasts for ever must be there.
    """
    kept = {(key, period): count for key, period, count in account.tallies}
    lasting = {place for place, count in counts.items() if count and not place[1]}
    for place in sorted(kept.keys() | lasting):
        expected, found = counts.get(place, 0), kept.get(place, 0)
        if found != expected:
            key, period = place
            yield f"{expected} counted under {key!r} in period {period}", f"{found}"
