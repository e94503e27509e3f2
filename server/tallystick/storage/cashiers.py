"""Cashiers of stores in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, case, func, insert, select, update

from tallystick.core.ids import Ms, ProgramId
from tallystick.service.directory import CASHIERS_MAX, Cashier
from tallystick.storage import tables as t
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession, in_turn

_CASHIER = tuple(t.cashier.c[name] for name in Cashier.__dataclass_fields__)


def _from_row(row: Row) -> Cashier:
    store_id, cashier_id, label, active, pin_hash, wrong_pins, locked_until_ms = row
    return Cashier(store_id, cashier_id, label, bool(active), pin_hash, wrong_pins, locked_until_ms)


class SqlCashiers(SqlSession):
    """Who works at a store's tills."""

    def put_cashier(self, program_id: ProgramId, cashier: Cashier) -> bool:
        """Store or replace a cashier; False when the store has ``CASHIERS_MAX`` and this one is new."""
        own = _own(program_id, cashier.store_id, cashier.cashier_id)
        values = {column.name: getattr(cashier, column.name) for column in _CASHIER}
        values |= {"program_id": program_id, "active": int(cashier.active)}
        count = select(func.count()).select_from(t.cashier).where(*_own(program_id, cashier.store_id))

        def work(connection: Connection) -> bool:
            if connection.execute(update(t.cashier).where(*own).values(values)).rowcount:
                return True
            connection.execute(in_turn(program_id))
            if (connection.scalar(count) or 0) >= CASHIERS_MAX:
                return False
            connection.execute(insert(t.cashier).values(values))
            return True

        return self._run(program_id, work, write=True)

    def cashier(self, program_id: ProgramId, store_id: str, cashier_id: str) -> Cashier | None:
        """Return a cashier of a store."""
        row = self._first(program_id, select(*_CASHIER).where(*_own(program_id, store_id, cashier_id)))
        return None if row is None else _from_row(row)

    def cashiers(self, program_id: ProgramId, store_id: str) -> list[Cashier]:
        """Return a store's cashiers by id, at most ``CASHIERS_MAX``."""
        query = select(*_CASHIER).where(*_own(program_id, store_id)).order_by(t.cashier.c.cashier_id)
        return [_from_row(row) for row in self._all(program_id, query, limit=CASHIERS_MAX)]

    def count_wrong_pin(
        self,
        program_id: ProgramId,
        store_id: str,
        cashier_id: str,
        *,
        tries_max: int,
        lock_until: Ms,
        now: Ms,
    ) -> Cashier | None:
        """Count a wrong PIN by one statement, locking at ``tries_max``; return the cashier afterwards."""
        wrong, locked_ms = t.cashier.c.wrong_pins, t.cashier.c.locked_until_ms
        too_many = wrong + 1 >= tries_max
        count = (
            update(t.cashier)
            .where(*_own(program_id, store_id, cashier_id))
            .values(
                wrong_pins=case((too_many, 0), else_=wrong + 1),
                locked_until_ms=case((too_many, lock_until), (locked_ms > now, locked_ms), else_=0),
            )
            .returning(*_CASHIER)
        )
        row = self._run(program_id, lambda connection: connection.execute(count).first(), write=True)
        return None if row is None else _from_row(row)

    def clear_wrong_pins(self, program_id: ProgramId, store_id: str, cashier_id: str) -> None:
        """Forget wrong PINs and the lock that they led to."""
        clear = update(t.cashier).where(*_own(program_id, store_id, cashier_id))
        cleared = clear.values(wrong_pins=0, locked_until_ms=0)
        self._run(program_id, lambda connection: connection.execute(cleared), write=True)


def _own(program_id: ProgramId, store_id: str, cashier_id: str | None = None) -> list[ColumnElement[bool]]:
    own = [t.cashier.c.program_id == program_id, t.cashier.c.store_id == store_id]
    return own if cashier_id is None else [*own, t.cashier.c.cashier_id == cashier_id]
