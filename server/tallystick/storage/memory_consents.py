"""Consents, in memory."""

from __future__ import annotations

from tallystick.core.ids import MemberId, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.consent_ports import CONSENTS_KEPT_MAX, SaidConsent
from tallystick.service.errors import NotFound
from tallystick.storage.memory_cards import Tables
from tallystick.storage.memory_tables import ProgramTables, Undo


class MemoryConsents:
    """What members have said yes or no to; ``service.consent_ports`` says what is meant."""

    def add_consent(
        self: Tables, program_id: ProgramId, member_id: MemberId, said: SaidConsent
    ) -> SaidConsent:
        with self._changes() as undo:
            tables = self._of(program_id)
            if not living(tables, member_id):
                raise NotFound("There is no such member.", member_id=member_id)
            held = tables.consents.get(member_id, ())
            pair = (said.purpose, said.channel)
            last = next((one for one in reversed(held) if (one.purpose, one.channel) == pair), None)
            if last is not None and last.granted is said.granted:
                return last
            undo.put(tables.consents, member_id, _kept((*held, said)))
            return said

    def consents(self: Tables, program_id: ProgramId, member_id: MemberId) -> list[SaidConsent]:
        return list(self._of(program_id).consents.get(member_id, ()))


def erase_records(undo: Undo, tables: ProgramTables, member_id: MemberId) -> None:
    """Delete what a member has said."""
    if member_id in tables.consents:
        undo.remove(tables.consents, member_id)


def living(tables: ProgramTables, member_id: MemberId) -> bool:
    """Return whether a member is there and not erased."""
    member = tables.members.get(member_id)
    return member is not None and member.status is not MemberStatus.ERASED


def _kept(said: tuple[SaidConsent, ...]) -> tuple[SaidConsent, ...]:
    """Return the newest, and of older ones those that nothing has replaced."""
    old, new = said[:-CONSENTS_KEPT_MAX], said[-CONSENTS_KEPT_MAX:]
    counting = {(one.purpose, one.channel): one for one in said}
    return (*(one for one in old if counting[one.purpose, one.channel] is one), *new)
