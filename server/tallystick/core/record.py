"""Values: immutable to the type checker, plain to the interpreter, and cheap to define.

A frozen dataclass sets each field through ``object.__setattr__``, three times as slow as an assignment, and a settled
sale fills some hundred fields. Its comparison, hash and text are each compiled when its module is loaded, which for the
hundreds of records of a gateway was a third of its start; here they are the same few functions for all. mypy refuses to
assign to a field of a record just the same, so nothing is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from collections.abc import Callable
    from dataclasses import dataclass, fields
    from operator import attrgetter
    from reprlib import recursive_repr

    T = TypeVar("T")

    def record(*, frozen: bool, slots: bool, kw_only: bool = False) -> Any:
        """Make a dataclass that is compared and hashed by its fields; used as ``dataclass`` is."""
        assert frozen, "a record is not changed"
        assert slots, "a record has its fields and no others"

        def made(cls: type[T]) -> type[T]:
            own = set(cls.__dict__)
            cls = dataclass(slots=True, eq=False, repr=False, kw_only=kw_only)(cls)
            for name, function in _functions(cls).items():
                if name not in own:
                    setattr(cls, name, function)
            return cls

        return made

    def _functions(cls: type[Any]) -> dict[str, Callable[..., Any]]:
        compared = [field.name for field in fields(cls) if field.compare]
        shown = [field.name for field in fields(cls) if field.repr]
        values = attrgetter(*compared) if compared else _nothing

        def equals(self: Any, other: object) -> Any:
            if other.__class__ is not self.__class__:
                return NotImplemented
            return values(self) == values(other)

        def hashed(self: Any) -> int:
            return hash(values(self))

        @recursive_repr()
        def told(self: Any) -> str:
            said = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
            return f"{self.__class__.__qualname__}({said})"

        return {"__eq__": equals, "__hash__": hashed, "__repr__": told}

    def _nothing(_: object) -> tuple[()]:
        return ()


__all__ = ["record"]
