"""Batches of cards and the state of each card, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from tallystick.core.ids import Ms, ProgramId
from tallystick.service.card_ports import BATCHES_MAX, Card, CardBatch, CardRevoked, CardState
from tallystick.service.errors import AlreadyExists
from tallystick.storage.memory_tables import ProgramTables, Undo

Key = tuple[str, bytes]


class Tables(Protocol):
    """What the cards need of the store that they are part of."""

    def _of(self, program_id: ProgramId) -> ProgramTables: ...

    def _changes(self) -> AbstractContextManager[Undo]: ...


class MemoryCards:
    """``service.card_ports`` says what each call means."""

    def add_card_batch(
        self: Tables, program_id: ProgramId, batch: CardBatch, cards: Sequence[Card]
    ) -> CardBatch:
        with self._changes() as undo:
            tables = self._of(program_id)
            stored = tables.card_batches.get(batch.batch_id)
            if stored is not None:
                return stored
            keys = [(card.kind, card.token) for card in cards]
            if any(key in tables.identifiers or key in tables.cards for key in keys):
                raise AlreadyExists("A number of the batch is taken.", batch_id=batch.batch_id)
            undo.put(tables.card_batches, batch.batch_id, batch)
            for card in cards:
                undo.put(tables.cards, (card.kind, card.token), card)
            return batch

    def card_batch(self: Tables, program_id: ProgramId, batch_id: str) -> CardBatch | None:
        return self._of(program_id).card_batches.get(batch_id)

    def card_batches(self: Tables, program_id: ProgramId) -> list[CardBatch]:
        batches = list(self._of(program_id).card_batches.values())
        return sorted(batches, key=lambda one: (-one.created_ms, one.batch_id))[:BATCHES_MAX]

    def card_counts(self: Tables, program_id: ProgramId) -> dict[tuple[str, CardState], int]:
        cards = list(self._of(program_id).cards.values())
        return dict(Counter((card.batch_id, card.state) for card in cards if card.batch_id))

    def batch_cards(
        self: Tables, program_id: ProgramId, batch_id: str, *, after: int, limit: int
    ) -> list[Card]:
        cards = list(self._of(program_id).cards.values())
        found = [card for card in cards if batch_id and card.batch_id == batch_id and card.position > after]
        return sorted(found, key=lambda card: card.position)[:limit]

    def cards(self: Tables, program_id: ProgramId, keys: Sequence[Key]) -> list[Card]:
        cards = self._of(program_id).cards
        return [cards[key] for key in dict.fromkeys(keys) if key in cards]


def claim_cards(undo: Undo, tables: ProgramTables, keys: Sequence[Key], *, now: Ms) -> None:
    """Make the cards among new identifiers a member's. Raises ``CardRevoked``."""
    found = [tables.cards[key] for key in keys if key in tables.cards]
    if any(card.state is not CardState.BLANK for card in found):
        raise CardRevoked
    for card in found:
        _set_state(undo, tables, card, CardState.CLAIMED, now)


def lose_cards(undo: Undo, tables: ProgramTables, keys: Sequence[Key], *, now: Ms) -> list[Key]:
    """Mark the cards among keys as lost, and return the keys that are none."""
    for key in keys:
        if key in tables.cards:
            _set_state(undo, tables, tables.cards[key], CardState.LOST, now)
    return [key for key in keys if key not in tables.cards]


def remember_lost(undo: Undo, tables: ProgramTables, key: Key, *, now: Ms) -> None:
    """Note that an identifier that was no card of a batch can belong to nobody any more."""
    undo.put(tables.cards, key, Card(*key, "", 0, 0, CardState.LOST, now))


def _set_state(undo: Undo, tables: ProgramTables, card: Card, state: CardState, now: Ms) -> None:
    undo.put(tables.cards, (card.kind, card.token), replace(card, state=state, changed_ms=now))
