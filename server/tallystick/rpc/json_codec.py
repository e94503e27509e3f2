"""Messages as JSON (the protobuf JSON mapping), with limits on what a stranger may send.

Unknown fields are ignored, as they are in binary: an older server must take what a newer client sends.
"""

from __future__ import annotations

import json
import re

from google.protobuf import json_format
from google.protobuf.message import Message

from tallystick.rpc.service import RECURSION_MAX

OBJECTS_MAX = 10_000
"""Most objects and arrays of one text, ten times what the largest request has: all that fit would keep a process busy
for a second."""

_OPENERS = re.compile(rb"[\[{]")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_UNDERSCORES = re.compile(r"_(.?)")
_BRACKETS = re.compile(rb"[\[{\]}]")
# What the parser says first, field by field from outside; behind it stands what the caller sent, which is not repeated.
_FIELD = re.compile(r"Failed to parse (\w+) field: ", re.ASCII)
_PARSED = re.compile(rf"(?:{_FIELD.pattern})+", re.ASCII)


class FieldMalformed(ValueError):
    """A field holds what is not of its type. ``field`` is its path as it was spelled: ``basket.lines.amountMinor``."""

    def __init__(self, field: str) -> None:
        super().__init__("not a message of this type")
        self.field = field


def message_from_json(message_class: type[Message], payload: bytes) -> Message:
    """Read a message; ValueError when the text is not one, holds too many objects, nests too deep or names a field
    twice (in any spelling).

    ``FieldMalformed`` when it is known which field is at fault.
    """
    _require_simple(payload)
    value = json.loads(payload.decode("utf-8") or "{}", object_pairs_hook=_no_doubles)
    if not isinstance(value, dict):
        raise ValueError("a message is a JSON object")
    try:
        return json_format.ParseDict(
            value, message_class(), ignore_unknown_fields=True, max_recursion_depth=RECURSION_MAX
        )
    except (json_format.Error, TypeError, OverflowError) as error:
        if path := _PARSED.match(str(error)):
            raise FieldMalformed(".".join(_FIELD.findall(path[0]))) from error
        raise ValueError("not a message of this type") from error


def message_to_json(message: Message) -> bytes:
    """Write a message with the field names of the JSON mapping, without fields that are unset."""
    value = json_format.MessageToDict(message)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _require_simple(payload: bytes) -> None:
    # Arrays count as well, so twice the limit; a text with fewer brackets cannot nest deeper than that.
    depth_max = 2 * RECURSION_MAX
    if len(_OPENERS.findall(payload)) <= depth_max:
        return
    brackets = _BRACKETS.findall(_STRINGS.sub(b"", payload))
    if len(brackets) > 2 * OBJECTS_MAX:
        raise ValueError("too many objects")
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in {b"{", b"["} else -1
        if depth > depth_max:
            raise ValueError("nested too deep")


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    # The parser takes both spellings and keeps the later. No request has a map, so all names are names of fields.
    if len({_UNDERSCORES.sub(_raised, name) if "_" in name else name for name in value}) != len(pairs):
        raise ValueError("a field is named twice")
    return value


def _raised(match: re.Match[str]) -> str:
    return match[1].upper()
