"""Which database a URL means."""

from __future__ import annotations

from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tallystick.core.record import record
from tallystick.service.errors import InvalidInput

MEMORY: Final = "memory"
SQLITE: Final = "sqlite"
POSTGRES: Final = "postgresql"

_FORMS = "sqlite:///path/to/file.db, postgresql://user@host/database or memory:"


@record(frozen=True, slots=True)
class StoreUrl:
    """A database: its kind, and the URL (PostgreSQL) or path (SQLite) that leads to it."""

    backend: str
    url: URL | None = None
    path: str = ""


def parse_url(text: str) -> StoreUrl:
    """Return what a database URL means. Raises ``InvalidInput``, which repeats no password, when it means nothing."""
    if text in ("memory:", "memory://"):
        return StoreUrl(MEMORY)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InvalidInput("The database URL cannot be read.", mend=f"Use {_FORMS}") from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if not url.database or url.database == ":memory:" or url.query:
            raise InvalidInput("A SQLite URL names a file.", mend="Use sqlite:///path/to/file.db, or memory:")
        return StoreUrl(SQLITE, path=url.database)
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        url = url.set(drivername="postgresql+psycopg")
        _require_known_options(url)
        return StoreUrl(POSTGRES, url=url)
    raise InvalidInput(f"There is no store for {url.drivername!r} databases.", mend=f"Use {_FORMS}")


def _require_known_options(url: URL) -> None:
    if not url.query:
        return
    from psycopg import ProgrammingError

    try:
        libpq_conninfo(url)
    except (ProgrammingError, ArgumentError):
        raise InvalidInput(
            "The database URL has options behind the '?' that PostgreSQL does not know.",
            mend="Write them as libpq does, for example ?sslmode=require, or leave them out.",
        ) from None


def sqlalchemy_url(parsed: StoreUrl) -> URL:
    """Return the URL for SQLAlchemy. Raises ``InvalidInput`` for memory, which has no schema."""
    if parsed.backend == MEMORY:
        raise InvalidInput(
            "A memory store has no schema and lives in one process only.", mend=f"Use {_FORMS}"
        )
    if parsed.url is not None:
        return parsed.url
    return URL.create("sqlite", database=parsed.path)


def libpq_conninfo(url: URL) -> str:
    """Return the libpq connection string of a PostgreSQL URL; ``psycopg.ProgrammingError`` when libpq takes it not."""
    from psycopg.conninfo import make_conninfo

    # What SQLAlchemy hands to the driver: as text, libpq reads neither its spaces nor its several hosts.
    _, options = url.get_dialect()().create_connect_args(url)
    return make_conninfo("", **options)
