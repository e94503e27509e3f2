"""Every sentence in Swedish, and the compiled file as its source is."""

from __future__ import annotations

import io
import re

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from tests.oscar.support.django_shop import set_up_django

set_up_django()

from tests.oscar.support.messages import catalogue, messages  # noqa: E402

LANGUAGES = ("sv",)
PLACE = re.compile(r"%\(\w+\)[sd]")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_translated_with_the_same_places(language: str) -> None:
    with catalogue(language).open("rb") as file:
        found = {one.id: one.string for one in read_po(file, locale=language) if one.id}
    assert set(found) == messages()
    for source, translated in found.items():
        for one, other in zip(forms(source), forms(translated), strict=True):
            assert other
            assert sorted(PLACE.findall(one)) == sorted(PLACE.findall(other)), one


def forms(message: object) -> list[str]:
    """The singular and the plural of a sentence, or the sentence alone."""
    return [str(one) for one in message] if isinstance(message, list | tuple) else [str(message)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_file_is_that_of_its_source(language: str) -> None:
    compiled = io.BytesIO()
    with catalogue(language).open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    assert catalogue(language).with_suffix(".mo").read_bytes() == compiled.getvalue()
