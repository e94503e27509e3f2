"""How the directory's calls come to a transaction, for PostgreSQL and SQLite alike.

Each call is one transaction. One that loses a race is run again, up to ``ATTEMPTS_MAX`` times, and then finds what the
winner wrote.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Select, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tallystick.core.ids import ProgramId
from tallystick.service.errors import StoreConflict, StoreUnavailable, TallystickError
from tallystick.storage import tables as t
from tallystick.storage.clock import Now
from tallystick.storage.reader import PAGE_MAX
from tallystick.storage.rows import Row

ATTEMPTS_MAX = 3

T = TypeVar("T")


def in_turn(program_id: ProgramId) -> Select[Any]:
    """Lock a program's row: transactions of one program that do so go one after the other."""
    return select(t.program.c.rule_set).where(t.program.c.program_id == program_id).with_for_update()


class SqlSession(ABC):
    """How the directory's calls come to a transaction; each database says how it begins and what its faults mean."""

    def __init__(self, engine: Engine, *, now_ms: Now) -> None:
        self._engine = engine
        self._now_ms = now_ms

    @abstractmethod
    def _begun(
        self, connection: Connection, program_id: ProgramId | None, *, write: bool
    ) -> AbstractContextManager[None]:
        """Begin a transaction (of one program, if any) on a connection; the block ends with its commit."""

    @abstractmethod
    def _fault_named(self, error: BaseException) -> TallystickError | None:
        """Return the operating error that a driver's error stands for."""

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Give a connection; faults of the driver come out as operating errors."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except PoolTimeoutError as error:
            raise StoreUnavailable("All connections were in use.") from error
        except DBAPIError as error:
            named = self._fault_named(error.orig) if error.orig is not None else None
            if named is None:
                raise
            raise named from error

    def _once(self, program_id: ProgramId | None, work: Callable[[Connection], T], *, write: bool) -> T:
        with self._connected() as connection, self._begun(connection, program_id, write=write):
            result = work(connection)
            connection.commit()
            return result

    def _run(
        self, program_id: ProgramId | None, work: Callable[[Connection], T], *, write: bool = False
    ) -> T:
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return self._once(program_id, work, write=write)
            except StoreConflict:
                continue
        return self._once(program_id, work, write=write)

    def _first(self, program_id: ProgramId | None, query: Select[Any]) -> Row | None:
        return self._run(program_id, lambda connection: connection.execute(query).first())

    def _all(
        self, program_id: ProgramId | None, query: Select[Any], *, limit: int = PAGE_MAX
    ) -> Sequence[Row]:
        limited = query.limit(min(limit, PAGE_MAX))
        return self._run(program_id, lambda connection: connection.execute(limited).all())
