"""What a transaction reads of scans, in SQL for PostgreSQL and SQLite; a part of ``sqlreads``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence

from tallystick.core.ids import MemberId
from tallystick.core.record import record
from tallystick.core.state import Account
from tallystick.service.card_ports import Card
from tallystick.service.directory import IdentifierRow
from tallystick.service.scan_ports import Key, Scanned
from tallystick.storage.cards import card_from_row
from tallystick.storage.directory import identifier_from_row
from tallystick.storage.segment_reads import SegmentStatements, SqlSegmentReads
from tallystick.storage.till_reads import PERSON


@record(frozen=True, slots=True)
class ScanStatements(SegmentStatements):
    """The statements in one dialect; ``$1`` is always the program."""

    identifiers: str
    cards: str
    households: str
    persons: str


def _by_key(table: str, columns: Iterable[str]) -> str:
    names = ", ".join(f"{table}.{name}" for name in columns)
    return (
        f"SELECT {names} FROM @keys2 CROSS JOIN {table} "
        f"WHERE program_id = $1 AND {table}.kind = wanted.kind AND {table}.token = wanted.token"
    )


SCAN_TEMPLATES = {
    "identifiers": _by_key("identifier", IdentifierRow.__dataclass_fields__),
    "cards": _by_key("card", Card.__dataclass_fields__),
    "households": f"SELECT h.member_id, h.household_id {PERSON} WHERE h.program_id = $1 AND h.member_id @any2",
    "persons": "SELECT member_id, sealed FROM person WHERE program_id = $1 AND member_id @any2",
}


class SqlScanReads(SqlSegmentReads):
    """The part of a transaction that is about scans."""

    statements: ScanStatements

    @abstractmethod
    def _keys(self, keys: Sequence[Key]) -> tuple[object, ...]:
        """Return the values that stand for keys, which are not none."""

    @abstractmethod
    def accounts(self, member_ids: Iterable[MemberId]) -> dict[MemberId, Account]: ...

    def identifiers(self, keys: Sequence[Key]) -> list[IdentifierRow]:
        """Return identifiers by key."""
        if not keys:
            return []
        rows = self._rows(self.statements.identifiers, *self._keys(keys))
        return [identifier_from_row(row) for row in rows]

    def scanned(self, keys: Sequence[Key], *, nobody: MemberId) -> Scanned:
        """Return what keys, one at least, lead to; ``nobody`` is looked up for one without a member."""
        named = self._keys(keys)
        found, blank = self._answers((self.statements.identifiers, named), (self.statements.cards, named))
        identifiers = {(row.kind, row.token): row for row in map(identifier_from_row, found)}
        cards = {(card.kind, card.token): card for card in map(card_from_row, blank)}
        members = [row.member_id for row in identifiers.values()]
        members += [nobody] * (len(identifiers) < len(set(keys)))
        of = self._any(sorted(set(members)))
        shared, persons = self._answers((self.statements.households, (of,)), (self.statements.persons, (of,)))
        households: dict[MemberId, MemberId] = dict(map(tuple, shared))
        return Scanned(
            identifiers,
            {key: card for key, card in cards.items() if key not in identifiers},
            households,
            self.accounts(households.get(one, one) for one in members),
            {row[0]: bytes(row[1]) for row in persons},
        )
