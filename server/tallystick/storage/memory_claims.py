"""Sales of guests, in memory."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.service.claim_store import FORGET_PAGE, NOBODY, Claim, ClaimState
from tallystick.storage.claims import NEEDED
from tallystick.storage.memory_tables import ProgramTables, Undo


class Tables(Protocol):
    """What the claims need of the store that they are part of."""

    def _of(self, program_id: ProgramId) -> ProgramTables: ...

    def _changes(self) -> AbstractContextManager[Undo]: ...


class MemoryClaims:
    """``service.claim_store`` says what each call means."""

    def add_claim(self: Tables, program_id: ProgramId, new: Claim, *, forget_before: Ms) -> Claim:
        with self._changes() as undo:
            claims = self._of(program_id).claims
            if new.claim_id in claims:
                return claims[new.claim_id]
            over = [
                one.claim_id
                for one in claims.values()
                if one.state is ClaimState.OPEN and one.expires_ms < forget_before
            ]
            for claim_id in over[:FORGET_PAGE]:
                undo.remove(claims, claim_id)
            undo.put(claims, new.claim_id, new)
            return new

    def claim(self: Tables, program_id: ProgramId, claim_id: CommandId) -> Claim | None:
        return self._of(program_id).claims.get(claim_id)

    def claim_of_code(self: Tables, program_id: ProgramId, code_hash: bytes) -> Claim | None:
        claims = list(self._of(program_id).claims.values())
        return next((one for one in claims if one.code_hash == code_hash), None)

    def move_claim(
        self: Tables,
        program_id: ProgramId,
        claim_id: CommandId,
        to: ClaimState,
        *,
        before: ClaimState,
        member_id: MemberId = NOBODY,
    ) -> Claim | None:
        with self._changes() as undo:
            claims = self._of(program_id).claims
            claim = claims.get(claim_id)
            if claim is None or claim.state is not before:
                return claim
            moved = replace(claim, state=to, member_id=member_id or claim.member_id)
            if to not in NEEDED:
                moved = replace(moved, basket=b"", origin="")
            undo.put(claims, claim_id, moved)
            return moved


def forget_baskets(undo: Undo, tables: ProgramTables, member_id: MemberId) -> None:
    """End what a member who is being erased has taken and was not posted."""
    for claim in list(tables.claims.values()):
        if claim.member_id == member_id and claim.state is ClaimState.TAKEN:
            ended = replace(claim, state=ClaimState.CANCELLED, basket=b"", origin="")
            undo.put(tables.claims, claim.claim_id, ended)
