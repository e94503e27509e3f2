"""The sentences of the application, read from its sources as Django's own tool does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from babel.messages.extract import extract
from django.utils.translation.template import templatize

from tests.e2e.support.processes import ROOT

APP = ROOT / "clients" / "webshop" / "oscar" / "tallystick_oscar"
KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "gettext_noop": None,
}

Message = str | tuple[str, str]


def messages() -> set[Message]:
    """Return every sentence, those with a plural as a pair."""
    return set(_all())


def _all() -> Iterator[Message]:
    for file in sorted(APP.rglob("*")):
        if file.suffix == ".py" and "migrations" not in file.parts:
            source = file.read_text()
        elif file.suffix in {".html", ".txt"}:
            source = templatize(file.read_text())
        else:
            continue
        for _line, found, _comments, _context in extract("python", io.BytesIO(source.encode()), KEYWORDS):
            yield (found[0], found[1]) if isinstance(found, tuple) else found


def catalogue(language: str) -> Path:
    """Return the file of a language's sentences."""
    return APP / "locale" / language / "LC_MESSAGES" / "django.po"
