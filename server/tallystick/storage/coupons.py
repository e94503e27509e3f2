"""Batches of unique codes in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, tuple_, update

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.coupon_ports import (
    COUPON_BATCHES_MAX,
    NOBODY,
    CodeState,
    CouponBatch,
    CouponCode,
)
from tallystick.service.errors import AlreadyExists
from tallystick.storage import tables as t
from tallystick.storage.coupon_rows import CODE_COLUMNS, code_from_row
from tallystick.storage.sessions import SqlSession

_BATCH = tuple(t.coupon_batch.c[name] for name in CouponBatch.__dataclass_fields__)
_code = t.coupon_code.c
_CODE = tuple(_code[name] for name in CODE_COLUMNS.split(", "))

TOKENS_AT_A_TIME = 500
"""Tokens of one look-up; SQLite takes some thousand values in a statement."""


class SqlCoupons(SqlSession):
    """Batches of unique codes; ``service.coupon_ports`` says what each call means."""

    def add_coupon_batch(
        self, program_id: ProgramId, batch: CouponBatch, codes: Sequence[CouponCode]
    ) -> CouponBatch | None:
        """Store a batch with its codes; one that is there already is returned as it is."""

        def work(connection: Connection) -> CouponBatch | None:
            row = connection.execute(select(*_BATCH).where(*_own(program_id, batch.batch_id))).first()
            if row is not None:
                return CouponBatch(*row)
            of_program = t.coupon_batch.c.program_id == program_id
            count = select(func.count()).select_from(t.coupon_batch).where(of_program)
            if int(connection.scalar(count) or 0) >= COUPON_BATCHES_MAX:
                return None
            _require_free(connection, program_id, [code.token for code in codes])
            values = {name: getattr(batch, name) for name in CouponBatch.__dataclass_fields__}
            connection.execute(insert(t.coupon_batch).values(program_id=program_id, **values))
            connection.execute(insert(t.coupon_code), [_values(program_id, code) for code in codes])
            return batch

        return self._run(program_id, work, write=True)

    def coupon_batch(self, program_id: ProgramId, batch_id: str) -> CouponBatch | None:
        """Return a batch."""
        row = self._first(program_id, select(*_BATCH).where(*_own(program_id, batch_id)))
        return None if row is None else CouponBatch(*row)

    def batch_codes(
        self, program_id: ProgramId, batch_id: str, *, after: int, limit: int
    ) -> list[CouponCode]:
        """Return codes of a batch by position, behind one."""
        own = (*_of_batch(program_id, batch_id), _code.position > after)
        rows = self._all(program_id, select(*_CODE).where(*own).order_by(_code.position), limit=limit)
        return [code_from_row(row) for row in rows]

    def member_codes(
        self, program_id: ProgramId, member_id: MemberId, *, after: tuple[Ms, str], limit: int
    ) -> list[CouponCode]:
        """Return a member's own codes by (created_ms, token), behind one."""
        query = select(*_CODE).where(
            _code.program_id == program_id,
            _code.member_id == member_id,
            tuple_(_code.created_ms, _code.token) > after,
        )
        rows = self._all(program_id, query.order_by(_code.created_ms, _code.token), limit=limit)
        return [code_from_row(row) for row in rows]

    def revoke_codes(self, program_id: ProgramId, batch_id: str, *, now_ms: Ms) -> int:
        """Revoke the codes of a batch; return how many ended by this call that nobody had used or reserved."""
        free = or_(
            _code.state == int(CodeState.OPEN),
            and_(_code.state == int(CodeState.RESERVED), _code.reserved_until_ms <= now_ms),
        )
        own = (*_of_batch(program_id, batch_id), _code.revoked == 0)

        def work(connection: Connection) -> int:
            # In the order in which sales lock them: of two who meet, one waits.
            locked = select(_code.token).where(*own).order_by(_code.token).with_for_update()
            connection.execute(locked).all()
            ended = connection.scalar(select(func.count()).select_from(t.coupon_code).where(*own, free))
            connection.execute(update(t.coupon_code).where(*own).values(revoked=1))
            return int(ended or 0)

        return self._run(program_id, work, write=True)


def unlink_codes(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    """Make the codes of an erased member nobody's; behind the account, and in the order in which sales lock them."""
    own = (_code.program_id == program_id, _code.member_id == member_id)
    locked = select(_code.token).where(*own).order_by(_code.token).with_for_update()
    if connection.execute(locked).all():
        connection.execute(update(t.coupon_code).where(*own).values(member_id=NOBODY))


def _require_free(connection: Connection, program_id: ProgramId, tokens: Sequence[str]) -> None:
    for start in range(0, len(tokens), TOKENS_AT_A_TIME):
        part = tokens[start : start + TOKENS_AT_A_TIME]
        taken = select(_code.token).where(_code.program_id == program_id, _code.token.in_(part)).limit(1)
        if connection.execute(taken).first() is not None:
            raise AlreadyExists("A code of the batch is taken.", mend="Make a new batch_id for it.")


def _own(program_id: ProgramId, batch_id: str) -> tuple[ColumnElement[bool], ...]:
    return (t.coupon_batch.c.program_id == program_id, t.coupon_batch.c.batch_id == batch_id)


def _of_batch(program_id: ProgramId, batch_id: str) -> tuple[ColumnElement[bool], ...]:
    return (_code.program_id == program_id, _code.batch_id == batch_id, _code.batch_id != "")


def _values(program_id: ProgramId, code: CouponCode) -> dict[str, Any]:
    values = {column.name: getattr(code, column.name) for column in _CODE}
    changed = {"member_id": code.member_id or None, "state": int(code.state), "revoked": int(code.revoked)}
    return {"program_id": program_id, **values, **changed}
