"""Which challenges sales have met: read from the awards that were posted behind them, so a retry hears it as well."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.core.challenge import awards_sought, met_by
from tallystick.core.entry import Entry, Explanation
from tallystick.core.ids import CommandId, ProgramId
from tallystick.service.ports import LedgerReader

READ_MAX = 1_000
"""So many awards are looked for by one query."""

MetBySale = dict[CommandId, tuple[Explanation, ...]]


def challenges_met(reader: LedgerReader, program_id: ProgramId, sales: Sequence[Entry]) -> MetBySale:
    """Return for each sale that met a challenge why its awards were given, in the order in which it counted."""
    sought = {award_id: sale.command_id for sale in sales for award_id in awards_sought(sale)}
    ids = list(sought)
    found: MetBySale = {}
    for start in range(0, len(ids), READ_MAX):
        part = ids[start : start + READ_MAX]
        known = reader.read_known(program_id, part)
        for award_id in part:
            award = known[award_id].answer if award_id in known else None
            if isinstance(award, Entry):
                sale_id = sought[award_id]
                found[sale_id] = (*found.get(sale_id, ()), *met_by(award))
    return found
