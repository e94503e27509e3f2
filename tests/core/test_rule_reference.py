"""The page about rule sets says what the parser does: examples parse, keys, limits and defaults are the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.rules import earning, parse, scanning
from tallystick.core.rules.challenge import CHALLENGES_MAX
from tallystick.core.rules.membership import MEMBERSHIPS_MAX
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.core.rules.reward import REWARDS_MAX
from tallystick.service.rule_text import read_document
from tests.core.language import FULL

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "rules.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(?:yaml|toml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.splitlines()[1])
def test_an_example_of_the_page_is_a_rule_set(text: str) -> None:
    rules = parse_rules(read_document(text).value, version=1, sha256="")
    assert isinstance(rules, RuleSet), rules


def test_the_page_has_examples_in_both_languages() -> None:
    assert len(EXAMPLES) >= 8
    assert any(text.startswith("format =") for text in EXAMPLES)


def test_the_toml_example_says_the_same_as_the_yaml_before_it() -> None:
    yaml, toml = (read_document(text).value for text in EXAMPLES[-2:])
    assert isinstance(yaml, dict)
    assert isinstance(toml, dict)
    assert {key: yaml[key] for key in toml} == toml


def keys(value: Any) -> set[str]:
    """Return every key of a document."""
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in keys(item)}
    return {key for item in value for key in keys(item)} if isinstance(value, list) else set()


def test_every_key_of_the_language_is_on_the_page_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE)
    kinds = {*earning.RULE_KINDS, "typed", "static_card", "server_code", "rotating_code", "device_code"}
    kinds |= set(scanning.SCAN_KINDS)
    known = keys(FULL) | {"by", "per_minor", "years", "id", "from", "kind"}
    in_cells = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert known <= in_cells
    assert set(rows) <= known | kinds


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("list of at most 200", f"list of at most {earning.RULES_MAX}"),
        ("list of at most 200 |", f"list of at most {REWARDS_MAX} |"),
        ("list of at most 50", f"list of at most {scanning.SCAN_RULES_MAX}"),
        ("list of at most 50 | none | [targets", f"list of at most {CHALLENGES_MAX} | none | [targets"),
        (
            "list of at most 20 | none | [what is paid",
            f"list of at most {MEMBERSHIPS_MAX} | none | [what is paid",
        ),
        ("list of 1 to 20", f"list of 1 to {parse.LEVELS_MAX}"),
        ("finer than 10^-12", f"finer than 10^-{len(str(earning.DENOMINATOR_MAX)) - 1}"),
    ],
)
def test_limits_on_the_page_are_those_of_the_parser(said: str, found: str) -> None:
    assert said in PAGE
    assert said == found
