"""Checks documents against the description of the Google Wallet API that Google ships with its own client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_RANGES = {"int32": range(-(2**31), 2**31), "uint32": range(2**32)}


@cache
def schemas() -> dict[str, Any]:
    """The types of the API by name."""
    package = find_spec("googleapiclient")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).parent / "discovery_cache" / "documents" / "walletobjects.v1.json"
    found: dict[str, Any] = json.loads(file.read_text())["schemas"]
    return found


def faults(kind: str, document: dict[str, Any]) -> list[str]:
    """What the API would not understand of a document of a kind: unknown fields, wrong types, unknown words."""
    return list(_faults({"$ref": kind}, document, kind))


def _faults(schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = schemas()[schema["$ref"]]
    # Nothing is what a PATCH says to take a field away.
    if value is not None:
        yield from _OF_KIND[schema["type"]](schema, value, where)


def _of_object(schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where} is no object"
        return
    known = schema.get("properties", {})
    for name, one in value.items():
        if name in known:
            yield from _faults(known[name], one, f"{where}.{name}")
        else:
            yield f"{where} has no {name}"


def _of_list(schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{where} is no list"
        return
    for at, one in enumerate(value):
        yield from _faults(schema["items"], one, f"{where}[{at}]")


def _of_whole(schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    if type(value) is not int or value not in _RANGES[schema["format"]]:
        yield f"{where} is no {schema['format']}"


def _of_number(_schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    if type(value) not in (int, float):
        yield f"{where} is no number"


def _of_flag(_schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    if type(value) is not bool:
        yield f"{where} is neither true nor false"


def _of_text(schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{where} is no text"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{where} may not be {value}"
    elif schema.get("format") == "int64" and not value.lstrip("-").isdecimal():
        yield f"{where} is no int64"


_OF_KIND: dict[str, Callable[[dict[str, Any], Any, str], Iterator[str]]] = {
    "object": _of_object,
    "array": _of_list,
    "integer": _of_whole,
    "number": _of_number,
    "boolean": _of_flag,
    "string": _of_text,
}
