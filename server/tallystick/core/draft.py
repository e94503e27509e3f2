"""A member's state while one command is decided: the only mutable thing in the core, never seen outside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tallystick.core.basket import Assurance, Origin
from tallystick.core.entry import Detail, Entry, EntryKind, Moves
from tallystick.core.ids import EPOCH_ORDINAL, POINTS_MAX, CommandId, MemberId, Ms
from tallystick.core.lots import take
from tallystick.core.state import (
    TALLIES_MAX,
    TALLY_KEY_CHARS_MAX,
    Account,
    Alloc,
    Hold,
    HoldStatus,
    Lot,
    MemberState,
    Tally,
    TierState,
)

DAY_MS = 86_400_000

PERIOD_KEPT_DAYS = 1_200
"""A period that began longer ago is over, and so is every time in which something might be counted up in it.

The longest is that of rolling tiers, 1,096 days.
"""


class Overflow(Exception):
    """A balance would leave the range of points, or an account its tallies; a refusal once ``decide`` has it."""


class Draft:
    """Balances, lots and holds being changed by one command, and the entries made so far."""

    __slots__ = (
        "_counts",
        "_deltas",
        "account",
        "account",
        "active",
        "debt",
        "entries",
        "held",
        "holds",
        "lots",
        "pending",
        "seq",
        "state",
        "tier",
    )

    def __init__(self, state: MemberState) -> None:
        account = state.account
        self.state = state
        self.account = account
        self.active = account.active
        self.pending = account.pending
        self.held = account.held
        self.debt = account.debt
        self.seq = account.seq
        self.tier = account.tier
        self.lots = {lot.lot_seq: lot for lot in state.lots}
        self.holds = {hold.hold_id: hold for hold in state.holds}
        self.entries: list[Entry] = []
        # Most commands count nothing and look nothing up: the tallies are only spread out for those that do.
        self._counts: dict[tuple[str, int], int] | None = None
        self._deltas: list[Tally] = []

    @property
    def member_id(self) -> MemberId:
        """The member whose state this is."""
        return self.account.member_id

    def take_active(self, points: int) -> tuple[Alloc, ...]:
        """Take points from the matured lots, soonest expiry first. The caller has checked the balance."""
        changed, allocs = take(self.lots.values(), points)
        for lot in changed:
            self.lots[lot.lot_seq] = lot
        return allocs

    def give_back(self, allocs: tuple[Alloc, ...], at_ms: Ms, grace_expires_ms: Ms) -> None:
        """Put points back into the lots they came from, with their old expiry, or the grace when that is past."""
        for alloc in allocs:
            lot = self.lots[alloc.lot_seq]
            remaining = lot.remaining + alloc.points
            assert remaining <= lot.points, "a lot never exceeds what it was"
            expires = lot.expires_ms if lot.expires_ms > at_ms else max(lot.expires_ms, grace_expires_ms)
            self.lots[alloc.lot_seq] = replace(lot, remaining=remaining, expires_ms=expires)

    def tally(self, key: str, period: int = 0) -> int:
        """Return how much has been counted under a key in a period; 0 where nothing was, or where it is dropped."""
        return self._tallies().get((key, period), 0)

    def tallies_of(self, key: str) -> dict[int, int]:
        """Return the counts that are kept under a key, by period."""
        return {period: count for (name, period), count in self._tallies().items() if name == key}

    def has_room(self, key: str, period: int = 0) -> bool:
        """Return whether a tally can be counted: it is there, or the account is not full of others."""
        return self.room_for([(key, period)])

    def room_for(self, places: Iterable[tuple[str, int]]) -> bool:
        """Return the same of several tallies at once, each a key and a period."""
        counts = self._tallies()
        return len(counts) + sum(1 for place in places if place not in counts) <= TALLIES_MAX

    def count(self, key: str, period: int, delta: int, *, keep_from: int | None = None) -> None:
        """Count up or down; the next entry that is posted keeps what was counted.

        Counting up makes room: of periods of the same key that began before ``keep_from`` (the ordinal of a day; when
        left out: before this period) nothing is kept on, nor of any that is long over. Raises ``Overflow`` when the
        account is full: nothing else is forgotten.
        """
        assert 0 < len(key) <= TALLY_KEY_CHARS_MAX, "a key that fits its column"
        if not delta:
            return
        counts = self._tallies()
        # What is counted down was just looked up, as were the other tallies of the same prize.
        if delta > 0:
            self._drop_ended(key, period if keep_from is None else keep_from)
        if (key, period) not in counts and len(counts) >= TALLIES_MAX:
            raise Overflow
        count = counts.pop((key, period), 0) + delta
        assert count >= 0, "nothing is reckoned down below nothing"
        if count:
            counts[key, period] = count
        self._deltas.append(Tally(key, period, delta))

    def _drop_ended(self, key: str, first: int) -> None:
        counts = self._tallies()
        oldest = max(self.account.as_of_ms, 0) // DAY_MS + EPOCH_ORDINAL - PERIOD_KEPT_DAYS
        for other in [other for other in counts if other[1]]:
            if other[1] < oldest or (other[0] == key and other[1] < first):
                del counts[other]

    def forget(self, prefix: str, before: int) -> None:
        """Keep nothing on under keys that begin so, of periods that began before the ordinal of a day."""
        counts = self._tallies()
        for other in [other for other in counts if 0 < other[1] < before and other[0].startswith(prefix)]:
            del counts[other]

    def _tallies(self) -> dict[tuple[str, int], int]:
        if self._counts is None:
            self._counts = {(key, period): count for key, period, count in self.account.tallies}
        return self._counts

    def post(
        self,
        *,
        command_id: CommandId,
        kind: EntryKind,
        moves: Moves,
        origin: Origin,
        rule_set: int,
        assurance: Assurance = Assurance.TYPED,
        detail: Detail,
        reverses_seq: int = 0,
        hold_id: str = "",
        shortfall: int = 0,
        claimed_points: int = -1,
    ) -> Entry:
        """Apply the moves and append the entry. Raises ``Overflow`` when a balance leaves its range."""
        assert sum(moves) == 0, "every entry balances"
        if self._deltas:
            detail = replace(detail, tallies=detail.tallies + tuple(self._deltas))
            self._deltas.clear()
        self.active += moves.active
        self.pending += moves.pending
        self.held += moves.held
        self.debt -= moves.debt
        self.seq += 1
        if max(self.active, self.pending, self.held, self.debt) > POINTS_MAX:
            raise Overflow
        assert min(self.active, self.pending, self.held, self.debt) >= 0, "no balance is negative"
        entry = Entry(
            command_id,
            self.account.member_id,
            self.seq,
            kind,
            moves,
            self.active,
            self.pending,
            self.held,
            self.debt,
            self.tier.tier_id,
            rule_set,
            assurance,
            origin,
            reverses_seq,
            hold_id,
            shortfall,
            claimed_points,
            detail,
        )
        self.entries.append(entry)
        return entry

    def finish(self, at_ms: Ms) -> MemberState:
        """Return the state after the command."""
        assert not self._deltas, "what was counted is in an entry"
        account = self.account
        now = Account(
            account.member_id,
            account.status,
            account.enrolled_ms,
            self.active,
            self.pending,
            self.held,
            self.debt,
            self.seq,
            max(at_ms, account.as_of_ms),
            self._due_ms(),
            self.tier,
            account.tallies if self._counts is None else self._kept(),
        )
        state = self.state
        lots, holds = tuple(self.lots.values()), tuple(self.holds.values())
        return MemberState(now, lots, holds, state.complete, state.rest_due_ms)

    def _kept(self) -> tuple[Tally, ...]:
        return tuple(Tally(*key, count) for key, count in sorted(self._tallies().items()))

    def _due_ms(self) -> Ms:
        """Return when time next changes something, or something earlier: a look too many does no harm."""
        due = self.state.rest_due_ms
        for lot in self.lots.values():
            if lot.pending:
                due = min(due, lot.matures_ms)
            elif lot.remaining:
                due = min(due, lot.expires_ms)
        for hold in self.holds.values():
            if hold.status is HoldStatus.OPEN and hold.points:
                due = min(due, hold.expires_ms)
        return min(due, self.tier.review_ms)

    def set_tier(self, tier: TierState) -> None:
        """Replace the tier's state; the next entry carries its name."""
        self.tier = tier

    def add_lot(self, lot: Lot) -> None:
        """Add the lot that the next entry makes."""
        assert lot.lot_seq == self.seq + 1, "a lot is named after the entry that makes it"
        self.lots[lot.lot_seq] = lot

    def set_hold(self, hold: Hold) -> None:
        """Add or replace a hold."""
        self.holds[hold.hold_id] = hold
