"""Writes the JSON Schema of rule sets, for editors that complete and check while one writes.

The parser itself says what may stand where: it reads a document that notes what is asked of it, once for each choice
that a rule set can make. So the schema knows every key, limit and default that the parser knows, and no other. What
keys mean comes from the tables of docs/reference/rules.md. `tools.docs` writes and checks the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tallystick.core.ids import Ms
from tallystick.core.rules.parse import read_rules
from tallystick.core.rules.reader import DECIMAL, LIST_MAX, TEXT_MAX, UNLIMITED, Node
from tools.protos import ROOT

SCHEMA = ROOT / "server" / "tallystick" / "programs" / "rules.schema.json"
PAGE = ROOT / "docs" / "reference" / "rules.md"
URI = "https://json-schema.org/draft/2020-12/schema"

Choices = Mapping[tuple[str, str], str]
"""What to answer when the parser asks for a choice, by the place of the mapping and the key; else the first one."""

_SAMPLE = "x"


class _Record(Node):
    """A mapping that has nothing in it and notes what is asked of it."""

    def __init__(self, path: str, choices: Choices) -> None:
        super().__init__({}, path, [])
        self.choices = choices
        self.properties: dict[str, dict[str, Any]] = {}
        self.required: list[str] = []
        self.looked_for: set[str] = set()
        self.decided: dict[str, Sequence[str]] = {}
        self.children: dict[str, _Record] = {}

    def _note(self, key: str, schema: dict[str, Any], *, required: bool = False) -> None:
        self.properties.setdefault(key, schema)
        # What the parser reads only after it has seen that it is there need not be there.
        if required and key not in self.required and key not in self.looked_for:
            self.required.append(key)

    def has(self, key: str) -> bool:
        self.looked_for.add(key)
        return True

    def integer(self, key: str, default: int | None = None, *, low: int = 0, high: int = 10**15) -> int:
        shown = {} if default is None else {"default": default}
        self._note(
            key, {"type": "integer", "minimum": low, "maximum": high, **shown}, required=default is None
        )
        return low if default is None else default

    def cap(self, key: str, default: int, *, high: int) -> int:
        schema = {
            "oneOf": [{"type": "integer", "minimum": 0, "maximum": high}, {"const": UNLIMITED}],
            "default": UNLIMITED if default < 0 else default,
        }
        self._note(key, schema)
        return default

    def text(self, key: str, default: str | None = None, *, longest: int = TEXT_MAX) -> str:
        self._note(key, {"type": "string", "minLength": 1, "maxLength": longest}, required=default is None)
        return _SAMPLE if default is None else default

    def choice(self, key: str, allowed: Sequence[str], default: str | None = None) -> str:
        shown = {} if default is None else {"default": default}
        self._note(key, {"enum": list(allowed), **shown}, required=default is None)
        self.decided[key] = allowed
        return self.choices.get((self.path, key), default or allowed[0])

    def flag(self, key: str, default: bool = False) -> bool:
        self._note(key, {"type": "boolean", "default": default})
        return default

    def ratio(self, key: str, *, low: Fraction, high: Fraction) -> Fraction:
        number = {"type": "number", "minimum": float(low), "maximum": float(high)}
        text = {"type": "string", "pattern": f"^{DECIMAL.pattern}$"}
        self._note(key, {"oneOf": [number, text]})
        return high

    def texts(self, key: str, allowed: Sequence[str] | None = None) -> tuple[str, ...]:
        one: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": TEXT_MAX}
        # The tiers of a rule set are its own: only their parser knows them.
        if allowed and _SAMPLE not in allowed:
            one = {"enum": list(allowed)}
        self._note(key, {"oneOf": [one, {"type": "array", "items": one, "maxItems": LIST_MAX}]})
        return ()

    def integers(
        self, key: str, default: tuple[int, ...], *, low: int, high: int, most: int
    ) -> tuple[int, ...]:
        one = {"type": "integer", "minimum": low, "maximum": high}
        many = {"type": "array", "items": one, "minItems": 1, "maxItems": most}
        self._note(key, {"oneOf": [one, many], "default": list(default)})
        return default

    def nodes(self, key: str, *, most: int) -> list[Node]:
        child = self.children.setdefault(key, _Record(f"{self.at(key)}[]", self.choices))
        self._note(key, {"type": "array", "maxItems": most})
        return [child]

    def node(self, key: str, *, needed: str = "") -> Node | None:
        self._note(key, {"type": "object"}, required=bool(needed))
        return self.children.setdefault(key, _Record(self.at(key), self.choices))

    def instant(self, key: str, zone: ZoneInfo, default: Ms) -> Ms:  # noqa: ARG002  every zone reads alike
        self._note(
            key, {"type": "string", "description": "A date, or a date and time, of the program's time zone."}
        )
        return default

    def done(self) -> None:
        """Nothing is left over in an empty mapping."""

    def walk(self) -> Iterator[_Record]:
        yield self
        for child in self.children.values():
            yield from child.walk()

    def find(self, path: str) -> _Record | None:
        return next((one for one in self.walk() if one.path == path), None)


def _record(choices: Choices) -> _Record:
    root = _Record("", choices)
    read_rules(root, version=1, sha256="")
    return root


def build() -> dict[str, Any]:
    """Return the schema."""
    first = _record({})
    return {
        "$schema": URI,
        "title": "Rule set of Tallystick",
        **_schema(first, _meanings(PAGE.read_text(encoding="utf-8"))),
    }


def render() -> str:
    """Return the schema as the file holds it."""
    return json.dumps(build(), indent=2, ensure_ascii=False) + "\n"


def _schema(record: _Record, meanings: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    variants: dict[tuple[str, str], _Record] = {}
    for key, allowed in record.decided.items():
        records = [_record({(record.path, key): value}).find(record.path) for value in allowed]
        kinds = {(frozenset(one.properties), frozenset(one.required)) for one in records if one}
        # A choice after which the same may and must follow, whatever was chosen, makes no difference to others.
        if len(kinds) > 1:
            variants |= {(key, value): one for value, one in zip(allowed, records, strict=True) if one}
    properties, children = dict(record.properties), dict(record.children)
    for other in variants.values():
        properties = other.properties | properties
        children = other.children | children
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": {}}
    for key, found in properties.items():
        told = meanings.get((_section(record.path), key), "")
        if not told and (not record.path or {"sku", "until"} & set(properties)):
            told = meanings.get(("", key), "")
        inside = _inside(children[key], found, meanings) if key in children else found
        schema["properties"][key] = {**inside, **({"description": told} if told else {})}
    always = [key for key in record.required if all(key in other.required for other in variants.values())]
    if always:
        schema["required"] = always
    conditions = [
        _condition(key, value, other, set(properties), always)
        for (key, value), other in variants.items()
        if set(other.properties) != set(properties) or set(other.required) != set(always)
    ]
    if conditions:
        schema["allOf"] = conditions
    return schema


def _inside(child: _Record, found: dict[str, Any], meanings: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    inner = _schema(child, meanings)
    return {**found, "items": inner} if found["type"] == "array" else inner


def _condition(
    key: str, value: str, other: _Record, known: set[str], always: Sequence[str]
) -> dict[str, Any]:
    """Say what a choice adds and what does not go with it."""
    then: dict[str, Any] = {}
    if missing := sorted(known - set(other.properties)):
        then["properties"] = dict.fromkeys(missing, False)
    if needed := [name for name in other.required if name not in always]:
        then["required"] = needed
    return {"if": {"properties": {key: {"const": value}}, "required": [key]}, "then": then}


def _section(path: str) -> str:
    """Return the heading below which the page explains the keys of a place."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _meanings(page: str) -> dict[tuple[str, str], str]:
    """Return what the page's tables say of keys, by section; those of selectors and conditions count everywhere."""
    found: dict[tuple[str, str], str] = {}
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title = part.split("\n", 1)[0].strip().lower()
        section = "" if title in ("selectors", "conditions", "the document") else title
        for row in re.findall(r"^\| `([a-z_]+)` \|(.*)\|$", part, flags=re.MULTILINE):
            meaning = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", row[1].split(" | ")[-1]).strip().replace("`", "")
            if meaning:
                found.setdefault(
                    (section, row[0]),
                    meaning[0].upper() + meaning[1:] + ("" if meaning.endswith(".") else "."),
                )
    return found
