"""Past sales and returns, as a rule set is tried on them: from a file of sales, or from the ledger itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tallystick.core.basket import Assurance, Basket, Line, Origin
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.core.record import record

MEMBERS_MAX = 2_000_000
LINES_MAX = 20_000_000
"""Most lines of a history: it is held in memory, at about 300 bytes a line."""


class HistoryTooLarge(Exception):
    """The sales do not fit; the message says how many may be simulated at once."""


@record(frozen=True, slots=True)
class PastSale:
    """A sale that happened. ``spend`` is what the member then asked to burn, None for nothing."""

    command_id: CommandId
    origin: Origin
    basket: Basket
    spend: Spend | None = None
    reward_ids: tuple[str, ...] = ()
    assurance: Assurance = Assurance.TYPED


@record(frozen=True, slots=True)
class PastReturn:
    """Goods of an earlier sale of the same member that came back."""

    command_id: CommandId
    origin: Origin
    sale_id: CommandId
    lines: tuple[ReturnLine, ...]


Past = PastSale | PastReturn


@dataclass(slots=True)
class History:
    """What happened, by member, each member's in the order of business time.

    ``notes`` say what the source could not tell. ``first_ms`` and ``last_ms`` are the earliest and the latest business
    time; both 0 when there is nothing.
    """

    source: str
    notes: tuple[str, ...] = ()
    members: dict[MemberId, list[Past]] = field(default_factory=dict)
    sales: int = 0
    returns: int = 0
    lines: int = 0
    first_ms: Ms = Ms(0)
    last_ms: Ms = Ms(0)

    def add(self, member_id: MemberId, past: Past) -> None:
        """Append one member's next event. Raises ``HistoryTooLarge``."""
        if member_id not in self.members and len(self.members) >= MEMBERS_MAX:
            raise HistoryTooLarge(f"more than {MEMBERS_MAX:,} members: simulate a part of them")
        self.members.setdefault(member_id, []).append(past)
        at_ms = past.origin.occurred_ms
        self.first_ms = min(self.first_ms, at_ms) if self.sales or self.returns else at_ms
        self.last_ms = max(self.last_ms, at_ms)
        if isinstance(past, PastSale):
            self.sales += 1
            self.lines += len(past.basket.lines)
        else:
            self.returns += 1
        if self.lines > LINES_MAX:
            raise HistoryTooLarge(f"more than {LINES_MAX:,} lines: simulate fewer months at once")


LEDGER_NOTES = (
    "The ledger keeps amounts and no article numbers: rules by article, category or brand find nothing.",
    "Amounts are taken with tax.",
    "Coupons that were used are left out.",
)


def add_entries(history: History, member_id: MemberId, entries: Iterable[Entry], *, currency: str) -> None:
    """Add a member's sales and returns from the ledger's entries, given oldest first.

    A sale that was undone never was. Other entries (adjustments, points for actions) follow from no basket, and no rule
    set decides them.
    """
    entries = list(entries)
    undone = {entry.reverses_seq for entry in entries if entry.kind is EntryKind.REVERSE}
    sales: dict[int, CommandId] = {}
    for entry in entries:
        detail = entry.detail
        if entry.seq in undone:
            continue
        if entry.kind in (EntryKind.SALE, EntryKind.CAPTURE) and detail.lines:
            lines = tuple(Line("", part.quantity_milli, part.amount_minor) for part in detail.lines)
            rewards = tuple(reward.reward_id for reward in detail.rewards)
            spent = entry.moves.burned - sum(reward.points for reward in detail.rewards)
            sales[entry.seq] = entry.command_id
            history.add(
                member_id,
                PastSale(
                    entry.command_id,
                    entry.origin,
                    Basket(currency, lines),
                    Spend(spent, up_to=True) if spent > 0 else None,
                    rewards,
                    entry.assurance,
                ),
            )
        elif entry.kind is EntryKind.RETURN and entry.reverses_seq in sales:
            back = tuple(
                ReturnLine(
                    part.line_no, part.quantity_milli, Minor(0 if part.quantity_milli else part.amount_minor)
                )
                for part in detail.returned
            )
            history.add(
                member_id,
                PastReturn(entry.command_id, entry.origin, sales[entry.reverses_seq], back),
            )
