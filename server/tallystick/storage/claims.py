"""Sales of guests in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.service.claim_store import FORGET_PAGE, NOBODY, Claim, ClaimState
from tallystick.storage import tables as t
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

NEEDED = frozenset({ClaimState.OPEN, ClaimState.TAKEN})
"""The states in which the sale may still have to be posted."""

_CLAIM = tuple(t.claim.c[name] for name in Claim.__dataclass_fields__)
_c = t.claim.c


def _claim_from_row(row: Row) -> Claim:
    values = dict(zip(Claim.__dataclass_fields__, row, strict=True))
    for name in ("code_hash", "fingerprint", "basket"):
        values[name] = bytes(values[name])
    return Claim(
        **{**values, "state": ClaimState(values["state"]), "member_id": MemberId(values["member_id"] or "")}
    )


class SqlClaims(SqlSession):
    """Claims; see ``service.claim_store``."""

    def add_claim(self, program_id: ProgramId, new: Claim, *, forget_before: Ms) -> Claim:
        """Store a claim, or return the one that has its id."""
        over = (
            select(_c.claim_id)
            .where(
                _c.program_id == program_id,
                _c.state == int(ClaimState.OPEN),
                _c.expires_ms < forget_before,
            )
            .limit(FORGET_PAGE)
        )
        values = {column.name: getattr(new, column.name) for column in _CLAIM}
        values |= {"program_id": program_id, "state": int(new.state), "member_id": new.member_id or None}

        def work(connection: Connection) -> Claim:
            stored = _stored(connection, program_id, new.claim_id)
            if stored is not None:
                return stored
            gone = [row[0] for row in connection.execute(over)]
            if gone:
                connection.execute(
                    delete(t.claim).where(
                        _c.program_id == program_id,
                        _c.claim_id.in_(gone),
                        _c.state == int(ClaimState.OPEN),
                    )
                )
            connection.execute(insert(t.claim).values(values))
            return new

        return self._run(program_id, work, write=True)

    def claim(self, program_id: ProgramId, claim_id: CommandId) -> Claim | None:
        """Return a claim."""
        return self._run(program_id, lambda connection: _stored(connection, program_id, claim_id))

    def claim_of_code(self, program_id: ProgramId, code_hash: bytes) -> Claim | None:
        """Return the claim of a code."""
        row = self._first(
            program_id, select(*_CLAIM).where(_c.code_hash == code_hash, _c.program_id == program_id)
        )
        return None if row is None else _claim_from_row(row)

    def move_claim(
        self,
        program_id: ProgramId,
        claim_id: CommandId,
        to: ClaimState,
        *,
        before: ClaimState,
        member_id: MemberId = NOBODY,
    ) -> Claim | None:
        """Change the state where it is ``before``, and return the claim as it is then."""
        values: dict[str, Any] = {"state": int(to)}
        if member_id:
            values["member_id"] = member_id
        if to not in NEEDED:
            values |= {"basket": b"", "origin": ""}
        moved = update(t.claim).where(*_own(program_id, claim_id), _c.state == int(before)).values(values)

        def work(connection: Connection) -> Claim | None:
            connection.execute(moved)
            return _stored(connection, program_id, claim_id)

        return self._run(program_id, work, write=True)


def forget_baskets(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    """End what a member who is being erased has taken and was not posted: it says what was bought."""
    taken = (_c.member_id == member_id, _c.program_id == program_id, _c.state == int(ClaimState.TAKEN))
    connection.execute(
        update(t.claim).where(*taken).values(basket=b"", origin="", state=int(ClaimState.CANCELLED))
    )


def _own(program_id: ProgramId, claim_id: CommandId) -> tuple[ColumnElement[bool], ...]:
    return _c.claim_id == claim_id, _c.program_id == program_id


def _stored(connection: Connection, program_id: ProgramId, claim_id: CommandId) -> Claim | None:
    row = connection.execute(select(*_CLAIM).where(*_own(program_id, claim_id))).first()
    return None if row is None else _claim_from_row(row)
