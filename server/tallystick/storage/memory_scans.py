"""Scans, in memory; ``service.scan_ports`` says what the call means."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.core.ids import MemberId
from tallystick.service.scan_ports import Key, Scanned
from tallystick.storage.memory_sharing import leads_to
from tallystick.storage.memory_tables import ProgramTables


class MemoryScanReads:
    """The part of a transaction that is about scans."""

    _tables: ProgramTables

    def scanned(self, keys: Sequence[Key], *, nobody: MemberId) -> Scanned:
        """Return what keys lead to."""
        tables = self._tables
        identifiers = {key: tables.identifiers[key] for key in keys if key in tables.identifiers}
        members = {row.member_id for row in identifiers.values()}
        if not identifiers.keys() >= set(keys):
            members.add(nobody)
        accounts = {one: leads_to(tables, one) for one in members}
        return Scanned(
            identifiers,
            {key: tables.cards[key] for key in keys if key in tables.cards and key not in identifiers},
            {one: account for one, account in accounts.items() if account != one},
            {one: tables.accounts[one] for one in accounts.values() if one in tables.accounts},
            {one: tables.persons[one] for one in members if one in tables.persons},
        )
