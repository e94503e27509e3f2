"""The text of a rule set, read into plain values without trusting it, with the place of everything in it.

YAML is read from its events, one after the other: nothing is built that the text does not spell out, so anchors,
aliases, tags and merge keys, by which a few lines become gigabytes or objects, are refused where they stand. Plain
scalars follow the core schema of YAML 1.2 (`no` is a text, not false), and a number with a decimal point stays text:
nothing here becomes a float.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

import yaml

from tallystick.core.record import record
from tallystick.core.rules.reader import Finding

TEXT_BYTES_MAX = 262_144
DEPTH_MAX = 16
NODES_MAX = 20_000
DIGITS_MAX = 18

Value = dict[str, Any] | list[Any] | str | int | bool | None


@record(frozen=True, slots=True)
class Place:
    """Where something stands in the text, both from 1; 0 is the whole text or the whole line."""

    line: int = 0
    column: int = 0


WHOLE_TEXT = Place()


class TextRefused(Exception):
    """The text cannot be read as a document of plain values; ``place`` and ``finding`` say where and why."""

    def __init__(self, place: Place, message: str, mend: str = "", *, path: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.finding = Finding(path, message, mend)


@record(frozen=True, slots=True)
class Document:
    """What a text says, and where it says it; ``places`` knows every path (empty for TOML, which does not tell)."""

    value: Value
    places: dict[str, Place]

    def place_of(self, path: str) -> Place:
        """Return where a path stands, or else where the nearest thing around it stands."""
        while path:
            if found := self.places.get(path):
                return found
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.places.get("", WHOLE_TEXT)


def read_document(text: str) -> Document:
    """Read a rule set's text, YAML or TOML. Raises ``TextRefused`` for the first thing that is wrong with it."""
    # Some editors put a mark in front, which TOML does not know.
    text = text.removeprefix("\ufeff")
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
        raise TextRefused(WHOLE_TEXT, f"is longer than {TEXT_BYTES_MAX} bytes", "leave out what is not used")
    if _TOML_LINE.match(text):
        return Document(_read_toml(text), {})
    return _YamlReader(text).read()


def canonical_json(value: Value) -> str:
    """Return the one spelling of the values that is hashed and parsed: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


# The first line that is neither empty nor a comment decides: `[table]` or `key =` begins a TOML document.
_TOML_LINE = re.compile(
    r"\A(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t]*(?:\[\[?[A-Za-z0-9_.\"' -]+\]|[A-Za-z0-9_.\"'-]+[ \t]*=)"
)
# Texts and comments whole, so that dots in them are none; then the parts of names, dots, and anything else.
_TOML_TOKEN = re.compile(
    r'''"""(?s:.*?)"""|\'\'\'(?s:.*?)\'\'\'|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[A-Za-z0-9_-]+|[ \t]+|\.|.|\n'''
)
_TOML_PLACE = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)\Z")
# What no text of a rule set holds, and what some databases do not store.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


def _read_toml(text: str) -> Value:
    _check_dots(text)
    try:
        return _plain(tomllib.loads(text, parse_float=str), 0)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _TOML_PLACE.search(message)
        end = Place(text.count("\n") + 1, len(text) - text.rfind("\n"))
        place = Place(int(found[1]), int(found[2])) if found and found[1] else end
        raise TextRefused(place, f"is not TOML: {_TOML_PLACE.sub('', message)}") from None
    except RecursionError:
        raise _too_deep(WHOLE_TEXT) from None
    except ValueError:
        # A number so long that Python itself refuses to read it; it does not say where.
        raise _too_many_digits(WHOLE_TEXT) from None


def _check_dots(text: str) -> None:
    """Refuse a name of more parts than a rule set is deep: the library keeps every beginning of every such name."""
    dots = 0
    for token in _TOML_TOKEN.finditer(text):
        first = token[0][0]
        if first == ".":
            dots += 1
            if dots > DEPTH_MAX:
                line_start = text.rfind("\n", 0, token.start()) + 1
                raise _too_deep(Place(text.count("\n", 0, line_start) + 1, token.start() - line_start + 1))
        elif first not in " \t\"'" and not (first.isascii() and (first.isalnum() or first in "_-")):
            dots = 0


def _plain(value: Any, depth: int) -> Value:
    """Turn TOML's dates into the text that they were written as; everything else is plain already."""
    if depth > DEPTH_MAX:
        raise _too_deep(WHOLE_TEXT)
    if isinstance(value, dict):
        return {_clean(key, WHOLE_TEXT): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, str):
        return _clean(value, WHOLE_TEXT)
    assert isinstance(value, int), "TOML has no other values"
    if abs(value) >= 10**DIGITS_MAX:
        raise _too_many_digits(WHOLE_TEXT)
    return value


def _clean(text: str, place: Place) -> str:
    """Return a text that can be stored; escapes can write what the reader of the characters has not seen.

    Two halves of a character that were escaped apart, as JSON does it, become one.
    """
    if _CONTROL.search(text):
        raise TextRefused(place, "holds a control character", "write it without escapes")
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise TextRefused(place, "holds half a character", "write the character itself") from None


def _too_deep(place: Place) -> TextRefused:
    return TextRefused(place, f"is nested more than {DEPTH_MAX} deep", "no part of a rule set lies so deep")


def _too_many_digits(place: Place, path: str = "") -> TextRefused:
    return TextRefused(
        place, f"has more than {DIGITS_MAX} digits", "no number of a rule set is that long", path=path
    )


@dataclass(slots=True)
class _Open:
    """A mapping or a list that has begun; ``key`` is the mapping's key whose value comes next."""

    path: str
    value: dict[str, Any] | list[Any]
    key: str | None = None
    seen: dict[str, Place] = field(default_factory=dict)


class _YamlReader:
    """Builds plain values from YAML's events, without recursion, and notes where each stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._stack: list[_Open] = []
        self._places: dict[str, Place] = {}
        self._root: Value = None
        self._documents = 0

    def read(self) -> Document:
        try:
            for event in self._events():
                self._take(event)
        except yaml.MarkedYAMLError as error:
            raise self._broken(error) from None
        except yaml.reader.ReaderError as error:
            raise TextRefused(self._place_at(error.position), "holds a character that YAML forbids") from None
        except RecursionError:
            raise _too_deep(WHOLE_TEXT) from None
        if self._documents == 0:
            raise TextRefused(WHOLE_TEXT, "is empty", "write at least 'format: tallystick/1'")
        return Document(self._root, self._places)

    def _events(self) -> Iterator[yaml.Event]:
        for count, event in enumerate(yaml.parse(self._text, Loader=yaml.SafeLoader)):
            if count > NODES_MAX:
                raise TextRefused(
                    _place(event), f"has more than {NODES_MAX} parts", "leave out what is not used"
                )
            yield event

    def _take(self, event: yaml.Event) -> None:
        place = _place(event)
        if isinstance(event, yaml.AliasEvent):
            raise TextRefused(place, "aliases are not part of a rule set", "write the value out")
        if isinstance(event, yaml.DocumentStartEvent):
            self._start_document(event, place)
        elif isinstance(event, yaml.NodeEvent):
            self._take_node(event, place)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._stack.pop()

    def _start_document(self, event: yaml.DocumentStartEvent, place: Place) -> None:
        self._documents += 1
        if self._documents > 1:
            raise TextRefused(place, "there is a second document", "keep one document, without '---' in it")
        if event.version is not None or event.tags:
            raise TextRefused(place, "directives are not part of a rule set", "remove the lines with '%'")

    def _take_node(self, event: yaml.NodeEvent, place: Place) -> None:
        if event.anchor is not None:
            raise TextRefused(
                place, "anchors are not part of a rule set", "write the value out where it is used"
            )
        if getattr(event, "tag", None) is not None:
            raise TextRefused(
                place, "tags are not part of a rule set", "remove the word that begins with '!'"
            )
        if self._expects_key():
            self._take_key(event, place)
            return
        path = self._path()
        self._places.setdefault(path, place)
        value = self._value_of(event, place)
        self._put(value)
        if isinstance(value, (dict, list)):
            if len(self._stack) >= DEPTH_MAX:
                raise _too_deep(place)
            self._stack.append(_Open(path, value))

    def _expects_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def _take_key(self, event: yaml.NodeEvent, place: Place) -> None:
        top = self._stack[-1]
        if not isinstance(event, yaml.ScalarEvent):
            raise TextRefused(place, "a name must be a plain word", "write 'name: value'", path=top.path)
        key = _clean(event.value, place)
        path = f"{top.path}.{key}" if top.path else key
        if key in top.seen:
            raise TextRefused(
                place, f"is there already, in line {top.seen[key].line}", "keep one of the two", path=path
            )
        top.seen[key] = place
        top.key = key
        self._places[path] = place

    def _path(self) -> str:
        if not self._stack:
            return ""
        top = self._stack[-1]
        if isinstance(top.value, list):
            return f"{top.path}[{len(top.value)}]"
        return f"{top.path}.{top.key}" if top.path else str(top.key)

    def _put(self, value: Value) -> None:
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        else:
            assert top.key is not None, "a value follows its key"
            top.value[top.key] = value
            top.key = None

    def _value_of(self, event: yaml.NodeEvent, place: Place) -> Value:
        if isinstance(event, yaml.MappingStartEvent):
            return {}
        if isinstance(event, yaml.SequenceStartEvent):
            return []
        assert isinstance(event, yaml.ScalarEvent), "YAML has no other nodes"
        return _scalar(event, place, self._path())

    def _broken(self, error: yaml.MarkedYAMLError) -> TextRefused:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else WHOLE_TEXT
        return TextRefused(place, f"is not YAML: {error.problem or error.context or 'it cannot be read'}")

    def _place_at(self, position: int) -> Place:
        before = self._text[:position]
        return Place(before.count("\n") + 1, position - before.rfind("\n"))


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else WHOLE_TEXT


def _scalar(event: yaml.ScalarEvent, place: Place, path: str) -> Value:
    text = _clean(event.value, place)
    if event.style is not None:
        return text
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INTEGER.fullmatch(text):
        if len(text.lstrip("+-")) > DIGITS_MAX:
            raise _too_many_digits(place, path)
        return int(text)
    return text
