"""The schema of rule sets: as strict as the parser where it can be, never stricter. A foreign validator reads it."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tallystick.cli.programs import shipped_names, shipped_rules
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.service.rule_text import read_document
from tests.core.language import FULL
from tests.core.test_rule_reference import EXAMPLES
from tools import schema


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    built = json.loads(schema.render())
    Draft202012Validator.check_schema(built)
    return Draft202012Validator(built)


def test_the_file_in_the_package_is_what_the_parser_says() -> None:
    assert schema.SCHEMA.read_text(encoding="utf-8") == schema.render()


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_program_follows_it(validator: Draft202012Validator, name: str) -> None:
    assert list(validator.iter_errors(read_document(shipped_rules(name)).value)) == []


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.splitlines()[1])
def test_every_example_of_the_reference_follows_it(validator: Draft202012Validator, text: str) -> None:
    assert list(validator.iter_errors(read_document(text).value)) == []


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where every mapping of a document is."""
    found = [path] if isinstance(value, dict) else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, item in items for place in places(item, (*path, key))]


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def test_a_rule_set_that_uses_everything_follows_it(validator: Draft202012Validator) -> None:
    assert list(validator.iter_errors(FULL)) == []


@pytest.mark.parametrize("path", places(FULL), ids=str)
def test_it_knows_no_other_keys_than_the_parser_at_any_place(
    validator: Draft202012Validator, path: tuple[Any, ...]
) -> None:
    changed = deepcopy(FULL)
    at(changed, path)["nonsense"] = 1
    assert not isinstance(parse_rules(changed, version=1, sha256=""), RuleSet)
    assert not validator.is_valid(changed)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("earning", "rules", 0, "per_minor"), 0),
        (("earning", "rules", 0, "points"), "many"),
        (("earning", "rounding"), "sideways"),
        (("earning", "rules", 0, "by"), 2),
        (("expiry",), {"kind": "months"}),
        (("burning", "assurance_caps", "static_card"), -1),
        (("format",), "tallystick/2"),
    ],
)
def test_what_the_parser_refuses_by_its_shape_the_schema_refuses_too(
    validator: Draft202012Validator, path: tuple[Any, ...], value: Any
) -> None:
    changed = deepcopy(FULL)
    at(changed, path[:-1])[path[-1]] = value
    assert not isinstance(parse_rules(changed, version=1, sha256=""), RuleSet)
    assert not validator.is_valid(changed)


@pytest.mark.parametrize("key", ["format", "name", "currency", "time_zone", "earning"])
def test_what_must_be_there_must_be_there(validator: Draft202012Validator, key: str) -> None:
    changed = {name: value for name, value in FULL.items() if name != key}
    assert not isinstance(parse_rules(changed, version=1, sha256=""), RuleSet)
    assert not validator.is_valid(changed)


def test_an_editor_is_told_what_most_keys_mean(validator: Draft202012Validator) -> None:
    text = json.dumps(validator.schema)
    assert text.count('"description"') > 50
    assert "[" not in "".join(
        found["description"] for found in walk(validator.schema) if isinstance(found.get("description"), str)
    )


def walk(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in walk(item))]
    return [found for item in value for found in walk(item)] if isinstance(value, list) else []
