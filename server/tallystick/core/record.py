"""Records that every sale makes by the dozen: immutable to the type checker, plain to the interpreter.

A frozen dataclass sets each field through ``object.__setattr__``, three times as slow as an assignment, and a settled
sale fills some hundred fields. mypy refuses to assign to a field of a record just the same, so nothing is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    T = TypeVar("T")

    def record(*, frozen: bool, slots: bool) -> Any:
        """Make a dataclass that is compared and hashed by its fields; used as ``dataclass`` is."""
        assert frozen, "a record is not changed"
        assert slots, "a record has its fields and no others"

        def made(cls: type[T]) -> type[T]:
            return dataclass(slots=True, eq=True, unsafe_hash=True)(cls)

        return made


__all__ = ["record"]
