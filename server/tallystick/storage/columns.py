"""The kinds of columns that tables are made of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    TextClause,
    text,
)
from sqlalchemy.dialects import postgresql

PROGRAM_ID_CHARS = 32

NAMING = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}

metadata = MetaData(naming_convention=NAMING)


def of_program() -> Column[str]:
    """The program that a row belongs to."""
    return Column("program_id", String(PROGRAM_ID_CHARS), nullable=False)


def uuid(name: str, *, nullable: bool = False) -> Column[str]:
    """A canonical lower-case UUID: 16 bytes on PostgreSQL, its text on SQLite; both sort alike."""
    kind = String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
    return Column(name, kind, nullable=nullable)


def big(name: str, *, nullable: bool = False, default: str | None = None) -> Column[int]:
    """A whole number of 64 bits: points, minor units, instants."""
    return Column(name, BigInteger, nullable=nullable, server_default=_written(default))


def integer(name: str, *, nullable: bool = False, default: str | None = None) -> Column[int]:
    """A whole number of 32 bits."""
    return Column(name, Integer, nullable=nullable, server_default=_written(default))


def small(name: str, *, nullable: bool = False, default: str | None = None) -> Column[int]:
    """A whole number of 16 bits: the members of an enumeration, a flag."""
    return Column(name, SmallInteger, nullable=nullable, server_default=_written(default))


def words(name: str, *, default: str | None = None) -> Column[str]:
    """A text."""
    return Column(name, Text, nullable=False, server_default=_written(default))


def octets(name: str, *, nullable: bool = False) -> Column[bytes]:
    """Bytes."""
    return Column(name, LargeBinary, nullable=nullable)


def _written(default: str | None) -> TextClause | None:
    """Columns that came later have a default: what was there before them has a value too."""
    return None if default is None else text(default)


def where(condition: str) -> dict[str, Any]:
    """The condition of a partial index, for both databases."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}
