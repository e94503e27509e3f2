"""Batches of cards and the state of each card in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, func, insert, select, tuple_, update

from tallystick.core.ids import Ms, ProgramId
from tallystick.service.card_ports import BATCHES_MAX, Card, CardBatch, CardRevoked, CardState
from tallystick.service.errors import AlreadyExists
from tallystick.storage import tables as t
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

KEYS_AT_A_TIME = 300
"""Keys of one look-up; SQLite takes some thousand values in a statement."""

Key = tuple[str, bytes]

_BATCH = tuple(t.card_batch.c[name] for name in CardBatch.__dataclass_fields__)
_CARD = tuple(t.card.c[name] for name in Card.__dataclass_fields__)


def card_from_row(row: Row) -> Card:
    """Return the card of a row."""
    kind, token, batch_id, position, attempt, state, changed_ms = row
    return Card(kind, bytes(token), batch_id, position, attempt, CardState(state), changed_ms)


class SqlCards(SqlSession):
    """Batches and cards."""

    def add_card_batch(self, program_id: ProgramId, batch: CardBatch, cards: Sequence[Card]) -> CardBatch:
        """Store a batch with its cards; one that is there already is returned as it is.

        Raises ``AlreadyExists`` when one of the numbers is a card's or a member's.
        """
        keys = [(card.kind, card.token) for card in cards]

        def work(connection: Connection) -> CardBatch:
            query = select(*_BATCH).where(*_own_batch(program_id, batch.batch_id))
            row = connection.execute(query).first()
            if row is not None:
                return CardBatch(*row)
            for start in range(0, len(keys), KEYS_AT_A_TIME):
                part = keys[start : start + KEYS_AT_A_TIME]
                if _members_have(connection, program_id, part) or cards_found(connection, program_id, part):
                    raise AlreadyExists("A number of the batch is taken.", batch_id=batch.batch_id)
            connection.execute(insert(t.card_batch).values(program_id=program_id, **_values(batch, _BATCH)))
            rows = [{"program_id": program_id, **_values(card, _CARD)} for card in cards]
            connection.execute(insert(t.card), rows)
            return batch

        return self._run(program_id, work, write=True)

    def card_batch(self, program_id: ProgramId, batch_id: str) -> CardBatch | None:
        """Return a batch."""
        row = self._first(program_id, select(*_BATCH).where(*_own_batch(program_id, batch_id)))
        return None if row is None else CardBatch(*row)

    def card_batches(self, program_id: ProgramId) -> list[CardBatch]:
        """Return the batches, newest first, at most ``BATCHES_MAX``."""
        query = select(*_BATCH).where(t.card_batch.c.program_id == program_id)
        ordered = query.order_by(t.card_batch.c.created_ms.desc(), t.card_batch.c.batch_id)
        return [CardBatch(*row) for row in self._all(program_id, ordered, limit=BATCHES_MAX)]

    def card_counts(self, program_id: ProgramId) -> dict[tuple[str, CardState], int]:
        """Return how many cards of each batch are in each state."""
        query = (
            select(t.card.c.batch_id, t.card.c.state, func.count())
            .where(t.card.c.program_id == program_id, t.card.c.batch_id != "")
            .group_by(t.card.c.batch_id, t.card.c.state)
        )
        rows = self._all(program_id, query)
        return {(batch_id, CardState(state)): count for batch_id, state, count in rows}

    def batch_cards(self, program_id: ProgramId, batch_id: str, *, after: int, limit: int) -> list[Card]:
        """Return cards of a batch by position, behind one."""
        query = select(*_CARD).where(
            t.card.c.program_id == program_id,
            t.card.c.batch_id == batch_id,
            t.card.c.batch_id != "",
            t.card.c.position > after,
        )
        rows = self._all(program_id, query.order_by(t.card.c.position), limit=limit)
        return [card_from_row(row) for row in rows]

    def cards(self, program_id: ProgramId, keys: Sequence[Key]) -> list[Card]:
        """Return the cards of (kind, token), set-based."""
        if not keys:
            return []
        return self._run(program_id, lambda connection: cards_found(connection, program_id, keys))


def cards_found(
    connection: Connection, program_id: ProgramId, keys: Sequence[Key], *, lock: bool = False
) -> list[Card]:
    """Return the cards of keys; locked in the order of their keys when they are to change."""
    if not keys:
        return []
    wanted = tuple_(t.card.c.kind, t.card.c.token).in_(list(keys))
    query = select(*_CARD).where(t.card.c.program_id == program_id, wanted)
    if lock:
        query = query.order_by(t.card.c.kind, t.card.c.token).with_for_update()
    return [card_from_row(row) for row in connection.execute(query)]


def claim_cards(connection: Connection, program_id: ProgramId, keys: Sequence[Key], *, now: Ms) -> None:
    """Make the cards among new identifiers a member's. Raises ``CardRevoked``."""
    found = cards_found(connection, program_id, keys, lock=True)
    if any(card.state is not CardState.BLANK for card in found):
        raise CardRevoked
    _set_state(connection, program_id, found, CardState.CLAIMED, now)


def lose_cards(connection: Connection, program_id: ProgramId, keys: Sequence[Key], *, now: Ms) -> list[Key]:
    """Mark the cards among keys as lost, and return the keys that are none."""
    found = cards_found(connection, program_id, keys, lock=True)
    _set_state(connection, program_id, found, CardState.LOST, now)
    known = {(card.kind, card.token) for card in found}
    return [key for key in keys if key not in known]


def remember_lost(connection: Connection, program_id: ProgramId, key: Key, *, now: Ms) -> None:
    """Note that an identifier that was no card of a batch can belong to nobody any more."""
    kind, token = key
    lost = Card(kind, token, "", 0, 0, CardState.LOST, now)
    connection.execute(insert(t.card).values(program_id=program_id, **_values(lost, _CARD)))


def _set_state(
    connection: Connection, program_id: ProgramId, cards: Sequence[Card], state: CardState, now: Ms
) -> None:
    if not cards:
        return
    wanted = tuple_(t.card.c.kind, t.card.c.token).in_([(card.kind, card.token) for card in cards])
    change = update(t.card).where(t.card.c.program_id == program_id, wanted)
    connection.execute(change.values(state=int(state), changed_ms=now))


def _members_have(connection: Connection, program_id: ProgramId, keys: Sequence[Key]) -> bool:
    wanted = tuple_(t.identifier.c.kind, t.identifier.c.token).in_(list(keys))
    query = select(t.identifier.c.kind).where(t.identifier.c.program_id == program_id, wanted).limit(1)
    return connection.execute(query).first() is not None


def _own_batch(program_id: ProgramId, batch_id: str) -> tuple[ColumnElement[bool], ...]:
    return (t.card_batch.c.program_id == program_id, t.card_batch.c.batch_id == batch_id)


def _values(record: Card | CardBatch, columns: Sequence[Column[Any]]) -> dict[str, Any]:
    return {column.name: getattr(record, column.name) for column in columns}
