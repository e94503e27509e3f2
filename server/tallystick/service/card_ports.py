"""What the use cases around pre-printed and lost cards need of a store.

A card is known by kind and blind token, as an identifier is; neither its number nor its holder is kept here.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import Ms, ProgramId
from tallystick.core.record import record
from tallystick.service.errors import AlreadyExists

BATCHES_MAX = 1_000
"""Most batches of a program."""

BATCH_CARDS_MAX = 10_000
"""Most cards of a batch."""


class CardState(IntEnum):
    """The life of a card: belonging to nobody yet, an identifier of a member, or never again of anybody."""

    BLANK = 1
    CLAIMED = 2
    LOST = 3


@record(frozen=True, slots=True)
class CardBatch:
    """Cards that are printed together. ``prefix`` is what their numbers begin with, as far as that was chosen."""

    batch_id: str
    kind: str
    prefix: str
    count: int
    label: str
    created_ms: Ms
    created_by: str


@record(frozen=True, slots=True)
class Card:
    """A card of a batch, or one that was reported lost; ``batch_id`` is empty for a lost one that had no batch.

    ``position`` is from 1 within the batch; with ``attempt`` it says which number was drawn for the card.
    """

    kind: str
    token: bytes
    batch_id: str
    position: int
    attempt: int
    state: CardState
    changed_ms: Ms


class CardRevoked(AlreadyExists):
    """The card was reported lost or replaced, or its member is gone: it can belong to nobody."""


class CardDirectory(Protocol):
    """Batches and cards. Enrolling, adding, removing and erasing move the cards that they meet along."""

    def add_card_batch(self, program_id: ProgramId, batch: CardBatch, cards: Sequence[Card]) -> CardBatch:
        """Store a batch with its cards in one transaction; one that is there already is returned as it is.

        Raises ``AlreadyExists`` when one of the numbers is a card's or a member's.
        """
        ...

    def card_batch(self, program_id: ProgramId, batch_id: str) -> CardBatch | None: ...

    def card_batches(self, program_id: ProgramId) -> list[CardBatch]:
        """Return the batches, newest first, at most ``BATCHES_MAX``."""
        ...

    def card_counts(self, program_id: ProgramId) -> dict[tuple[str, CardState], int]:
        """Return how many cards of each batch are in each state; what there is none of is absent."""
        ...

    def batch_cards(self, program_id: ProgramId, batch_id: str, *, after: int, limit: int) -> list[Card]:
        """Return cards of a batch by position, behind one."""
        ...

    def cards(self, program_id: ProgramId, keys: Sequence[tuple[str, bytes]]) -> list[Card]:
        """Return the cards of (kind, token), set-based."""
        ...
