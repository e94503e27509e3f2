"""Transfers in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, tuple_, update

from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.service.transfer_store import Transfer, TransferState
from tallystick.storage import tables as t
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

_c = t.transfer.c
TRANSFER_COLUMNS = ", ".join(Transfer.__dataclass_fields__)
_TRANSFER = tuple(_c[name] for name in Transfer.__dataclass_fields__)


def transfer_from_row(row: Row) -> Transfer:
    """Return the transfer of a row."""
    values = dict(zip(Transfer.__dataclass_fields__, row, strict=True))
    return Transfer(**{**values, "state": TransferState(values["state"])})


class SqlTransfers(SqlSession):
    """Transfers; see ``service.transfer_store``."""

    def add_transfer(self, program_id: ProgramId, new: Transfer) -> Transfer:
        """Store a transfer that is asked for, or return the one that has its id."""

        def work(connection: Connection) -> Transfer:
            again = update(t.transfer).where(*_asked(program_id, new.transfer_id))
            connection.execute(again.values(asked_ms=new.asked_ms))
            stored = _stored(connection, program_id, new.transfer_id)
            if stored is not None:
                return stored
            values = {column.name: getattr(new, column.name) for column in _TRANSFER}
            values |= {"program_id": program_id, "state": int(new.state)}
            connection.execute(insert(t.transfer).values(values))
            return new

        return self._run(program_id, work, write=True)

    def transfer(self, program_id: ProgramId, transfer_id: CommandId) -> Transfer | None:
        """Return a transfer."""
        return self._run(program_id, lambda connection: _stored(connection, program_id, transfer_id))

    def transfers_of(
        self, program_id: ProgramId, member_ids: Sequence[MemberId], *, since: Ms, limit: int
    ) -> list[Transfer]:
        """Return transfers from or to members that were first asked for at or after an instant, newest first."""
        either = or_(_c.from_member_id.in_(member_ids), _c.to_member_id.in_(member_ids))
        query = select(*_TRANSFER).where(_c.program_id == program_id, _c.made_ms >= since, either)
        rows = self._all(program_id, query.order_by(_c.made_ms.desc(), _c.transfer_id), limit=limit)
        return [transfer_from_row(row) for row in rows]

    def end_transfer(
        self, program_id: ProgramId, transfer_id: CommandId, state: TransferState
    ) -> Transfer | None:
        """Note how a transfer that was ASKED has ended, and return it as it is then."""
        ended = update(t.transfer).where(*_asked(program_id, transfer_id)).values(state=int(state))

        def work(connection: Connection) -> Transfer | None:
            connection.execute(ended)
            return _stored(connection, program_id, transfer_id)

        return self._run(program_id, work, write=True)

    def forget_transfer(self, program_id: ProgramId, transfer_id: CommandId, *, asked_before: Ms) -> bool:
        """Delete a transfer that is ASKED and was last asked for before an instant."""
        gone = delete(t.transfer).where(*_asked(program_id, transfer_id), _c.asked_ms < asked_before)
        return self._run(program_id, lambda connection: connection.execute(gone).rowcount > 0, write=True)

    def transfers_asked(
        self, program_id: ProgramId, *, before: Ms, after: tuple[Ms, str] | None, limit: int
    ) -> list[Transfer]:
        """Return transfers that are ASKED since before an instant, by (asked_ms, transfer_id)."""
        query = select(*_TRANSFER).where(_c.program_id == program_id, _c.state == 1, _c.asked_ms < before)
        if after is not None:
            query = query.where(tuple_(_c.asked_ms, _c.transfer_id) > after)
        rows = self._all(program_id, query.order_by(_c.asked_ms, _c.transfer_id), limit=limit)
        return [transfer_from_row(row) for row in rows]


def _own(program_id: ProgramId, transfer_id: CommandId) -> tuple[ColumnElement[bool], ...]:
    return _c.transfer_id == transfer_id, _c.program_id == program_id


def _asked(program_id: ProgramId, transfer_id: CommandId) -> tuple[ColumnElement[bool], ...]:
    return *_own(program_id, transfer_id), _c.state == int(TransferState.ASKED)


def _stored(connection: Connection, program_id: ProgramId, transfer_id: CommandId) -> Transfer | None:
    row = connection.execute(select(*_TRANSFER).where(*_own(program_id, transfer_id))).first()
    return None if row is None else transfer_from_row(row)
