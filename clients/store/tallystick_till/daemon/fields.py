"""Reading JSON bodies strictly: whole numbers only, known names only, a limit on everything.

A mistyped name is refused rather than ignored: a till program that writes ``spent`` for ``spend`` must hear of it
before a customer does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from tallystick_till.daemon.errors import BAD_REQUEST, ApiError, FieldWrong
from tallystick_till.daemon.wording import is_whole, made_whole

Read = TypeVar("Read")

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SHOWN_MAX: Final = 40
_NOT_WHOLE: Final = "must not end or begin in the middle of a character"


def object_of(body: bytes) -> Fields:
    """Return the fields of a JSON object. Raises ``ApiError``."""
    try:
        document = json.loads(
            body, parse_float=_no_fraction, parse_constant=_no_fraction, object_pairs_hook=_distinct
        )
    except (ValueError, RecursionError):
        raise ApiError(
            BAD_REQUEST, "NOT_JSON", "The body must be a JSON object; numbers are whole, names appear once."
        ) from None
    if not isinstance(document, dict):
        raise ApiError(BAD_REQUEST, "NOT_JSON", "The body must be a JSON object.")
    return Fields(document, "")


class Fields:
    """The fields of one JSON object. Take each that is known, then call ``done``; ``place`` leads to the object."""

    def __init__(self, values: dict[str, Any], place: str) -> None:
        self._values = dict(values)
        self._place = place

    def place(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name

    def has(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self._values.get(name) is not None

    def text(self, name: str, *, longest: int, default: str | None = None) -> str:
        """A text of at most ``longest`` characters; it is required and not empty when there is no default."""
        value = self._values.pop(name, None)
        if value is None:
            if default is None:
                raise FieldWrong(self.place(name), "is missing")
            return default
        if not isinstance(value, str) or len(value) > longest or (not value and default is None):
            raise FieldWrong(self.place(name), f"must be a text of at most {longest} characters")
        if not is_whole(value):
            raise FieldWrong(self.place(name), _NOT_WHOLE)
        return value

    def shown(self, name: str, *, longest: int) -> str:
        """A text that is only shown, empty when absent: half a character becomes U+FFFD and refuses nothing."""
        value = self._values.get(name)
        if isinstance(value, str):
            self._values[name] = made_whole(value)
        return self.text(name, longest=longest, default="")

    def identifier(self, name: str, *, default: str | None = None) -> str:
        """A UUID in its canonical text."""
        value = self.text(name, longest=36, default=default)
        if value != default and not _UUID.fullmatch(value):
            raise FieldWrong(self.place(name), "must be a UUID in lower case, such as `uuidgen` makes")
        return value

    def one_of(self, name: str, choices: Sequence[str], *, default: str | None = None) -> str:
        value = self.text(name, longest=_SHOWN_MAX, default=default)
        if value not in choices:
            raise FieldWrong(self.place(name), f"must be one of {', '.join(choices)}")
        return value

    def whole(self, name: str, *, low: int, high: int, default: int | None = None) -> int:
        """A whole number from ``low`` to ``high``."""
        value = self._values.pop(name, None)
        if value is None and default is not None:
            return default
        if type(value) is not int or not low <= value <= high:
            raise FieldWrong(self.place(name), f"must be a whole number from {low} to {high}")
        return value

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        value = self._values.pop(name, None)
        if value is None and default is not None:
            return default
        if not isinstance(value, bool):
            raise FieldWrong(self.place(name), "must be true or false")
        return value

    def peek(self, name: str) -> dict[str, Any] | None:
        """An object as it came, without taking it; None when it is none."""
        value = self._values.get(name)
        return value if isinstance(value, dict) else None

    def object(self, name: str) -> Fields:
        value = self._values.pop(name, None)
        if not isinstance(value, dict):
            raise FieldWrong(self.place(name), "must be an object")
        return Fields(value, self.place(name))

    def objects(
        self, name: str, read: Callable[[Fields], Read], *, most: int, least: int
    ) -> tuple[Read, ...]:
        """A list of objects, each read by ``read``; absent counts as empty."""
        values = self._list(name, most=most, least=least)
        found = []
        for number, value in enumerate(values):
            place = f"{self.place(name)}[{number}]"
            if not isinstance(value, dict):
                raise FieldWrong(place, "must be an object")
            fields = Fields(value, place)
            found.append(read(fields))
            fields.done()
        return tuple(found)

    def texts(self, name: str, *, most: int, longest: int) -> tuple[str, ...]:
        """A list of texts that are not empty; absent counts as empty."""
        values = self._list(name, most=most, least=0)
        for number, value in enumerate(values):
            if not isinstance(value, str) or not 0 < len(value) <= longest:
                raise FieldWrong(
                    f"{self.place(name)}[{number}]", f"must be a text of 1 to {longest} characters"
                )
            if not is_whole(value):
                raise FieldWrong(f"{self.place(name)}[{number}]", _NOT_WHOLE)
        return tuple(values)

    def done(self) -> None:
        """Refuse what was not taken; null says that there is none, whatever the name."""
        for name, value in self._values.items():
            if value is not None:
                raise FieldWrong(self.place(name[:_SHOWN_MAX]), "is not a field of this request")

    def _list(self, name: str, *, most: int, least: int) -> list[Any]:
        values = self._values.pop(name, None)
        if values is None:
            values = []
        if not isinstance(values, list) or not least <= len(values) <= most:
            raise FieldWrong(self.place(name), f"must be a list of {least} to {most}")
        return values


def _no_fraction(_text: str) -> Any:
    raise ValueError("amounts and quantities are whole numbers")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name appears twice")
    return values
