"""Compact JSON: one text for one value, without spaces, in ASCII; what is stored, sealed and fingerprinted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

_Chunks = Callable[[object, int], Iterable[str]]

_plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, check_circular=False)


def _chunks() -> _Chunks:
    """Return the encoder's inner function, made once.

    ``JSONEncoder.encode`` makes it anew for each text, which costs as much as a small text itself. An interpreter
    without the accelerator gives the same texts by the public way.
    """
    make: Callable[..., _Chunks] | None = getattr(json.encoder, "c_make_encoder", None)
    quote: Callable[[str], str] | None = getattr(json.encoder, "encode_basestring_ascii", None)
    if make is None or quote is None:
        return lambda value, _level: _plain.iterencode(value)
    return make(None, _plain.default, quote, None, ":", ",", False, False, True)


_encode_chunks = _chunks()


def to_compact(value: object) -> str:
    """Return the text of lists, tuples, dicts, texts and whole numbers. Raises TypeError for anything else."""
    return "".join(_encode_chunks(value, 0))


def from_compact(text: str) -> Any:
    """Return the value of a text of ``to_compact``. Raises ValueError when it is none."""
    value, end = _decode(text)
    if end != len(text):
        raise ValueError(f"{len(text) - end} characters follow the value")
    return value


_decode = json.JSONDecoder().raw_decode
