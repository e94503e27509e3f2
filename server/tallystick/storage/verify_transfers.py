"""Verification of transfers: what has left a member has reached another, come back, or is known to be on its way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from tallystick.core.codec import detail_from_text
from tallystick.core.entry import EntryKind
from tallystick.service.transfer_store import Transfer, TransferState
from tallystick.storage.refs import Difference
from tallystick.storage.snapshot import LedgerRow, UnreadableRow


class TransferPairs:
    """Takes entries in any order, then says which transfers do not come out even."""

    def __init__(self) -> None:
        self._left: defaultdict[str, int] = defaultdict(int)
        self._converted: defaultdict[str, int] = defaultdict(int)

    def entry(self, row: LedgerRow) -> None:
        """Take the next entry. Raises ``UnreadableRow``."""
        entry = row.entry
        if entry.kind is not EntryKind.TRANSFER:
            return
        try:
            transfer = detail_from_text(row.detail_text).transfer
        except (ValueError, TypeError, LookupError) as error:
            raise UnreadableRow("ledger", (entry.member_id, entry.seq), str(error)) from error
        if transfer is None:
            raise UnreadableRow("ledger", (entry.member_id, entry.seq), "it names no transfer")
        if entry.moves.burned:
            self._converted[transfer.transfer_id] += entry.moves.burned
        self._left[transfer.transfer_id] += entry.moves.adjusted
        if not self._left[transfer.transfer_id]:
            # Nearly all come out even: only what is open is kept.
            del self._left[transfer.transfer_id]

    def differences(self, transfers: Iterable[Transfer]) -> Iterator[Difference]:
        """Yield the transfers that are neither even nor known to be on their way."""
        for transfer in transfers:
            if transfer.to_program_id:
                yield from self._conversion(transfer)
                continue
            left = self._left.pop(transfer.transfer_id, 0)
            if left and not (transfer.state is TransferState.ASKED and left == transfer.points):
                yield "transfer", (transfer.transfer_id,), "as much arrived as left", f"{left} points less"
        for transfer_id, left in sorted(self._left.items()):
            yield "transfer", (transfer_id,), "as much arrived as left", f"{left} points less"
        for transfer_id, burned in sorted(self._converted.items()):
            if burned:
                yield "transfer", (transfer_id,), f"a row for {burned} points", "none"

    def _conversion(self, transfer: Transfer) -> Iterator[Difference]:
        """Yield how a transfer to a partner program differs from what was burned for it here."""
        burned = self._converted.pop(transfer.transfer_id, 0)
        expected = 0 if transfer.state is TransferState.UNDONE else transfer.points
        waits = transfer.state is TransferState.ASKED and not burned
        if burned != expected and not waits:
            yield "transfer", (transfer.transfer_id,), f"{expected} points burned", f"{burned}"
