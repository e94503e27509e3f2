"""What the look-up of scans needs of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tallystick.core.ids import MemberId, ProgramId
from tallystick.core.record import record
from tallystick.core.state import Account
from tallystick.service.card_ports import Card
from tallystick.service.directory import IdentifierRow

Key = tuple[str, bytes]
"""Kind and blind token, as scans, identifiers and cards are known by."""


@record(frozen=True, slots=True)
class Scanned:
    """What keys lead to. ``cards`` are those that belong to nobody, or to nobody any more.

    ``households`` says for a person in one to whose account scans lead; ``accounts`` are those that they lead to in
    the end, ``sealed`` the personal data of the members themselves.
    """

    identifiers: Mapping[Key, IdentifierRow]
    cards: Mapping[Key, Card]
    households: Mapping[MemberId, MemberId]
    accounts: Mapping[MemberId, Account]
    sealed: Mapping[MemberId, bytes]


class ScanStore(Protocol):
    """Where scans are looked up."""

    def read_scanned(self, program_id: ProgramId, keys: Sequence[Key], *, nobody: MemberId) -> Scanned:
        """Return what keys lead to, set-based.

        For a key that leads to no member ``nobody``, who does not exist, is looked up to the end, so that it takes as
        long.
        """
        ...
