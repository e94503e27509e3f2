"""The section `scanning` of a rule set: what is read, and what is said about a rule that cannot work."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.core.rules.scanning import STANDARD_KINDS, Scanning, ScanRule, rest_of_scan

PLAIN: dict[str, Any] = {
    "format": "tallystick/1",
    "name": "Plain",
    "currency": "SEK",
    "time_zone": "Europe/Stockholm",
    "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 1000}]},
}


def read(scanning: object) -> RuleSet | list[str]:
    found = parse_rules({**PLAIN, "scanning": scanning}, version=1, sha256="")
    return found if isinstance(found, RuleSet) else [one.path for one in found]


def rule(**more: object) -> dict[str, Any]:
    return {"rules": [{"name": "card", "kind": "code128", "prefix": "A", **more}]}


def test_a_rule_set_without_the_section_reads_as_ever() -> None:
    found = parse_rules(PLAIN, version=1, sha256="")
    assert isinstance(found, RuleSet)
    assert found.scanning == Scanning(rules=(), standard=STANDARD_KINDS)


def test_a_rule_is_read_with_the_check_of_its_kind() -> None:
    kinds = ("number", "ean13", "gsrn", "code128", "digital_link", "phone", "email")
    rules = [{"name": kind, "kind": kind, "prefix": "9"} for kind in kinds]
    found = read({"rules": rules})
    assert isinstance(found, RuleSet)
    checks = [one.check for one in found.scanning.rules]
    assert checks == ["luhn", "gs1", "gs1", "none", "none", "none", "none"]


def test_all_keys_of_a_rule_are_read() -> None:
    found = read(
        {**rule(aim="]C0", length=12, prefix="CLUB", strip=4, check="mod11"), "standard": ["email", "gsrn"]}
    )
    assert isinstance(found, RuleSet)
    one = ScanRule("card", "code128", frozenset({"]C0"}), 12, "CLUB", "mod11", 4)
    assert found.scanning == Scanning((one,), ("gsrn", "email"))


@pytest.mark.parametrize(
    ("scanning", "path"),
    [
        (rule(prefix="A B"), "scanning.rules[0].prefix"),
        (rule(prefix="É"), "scanning.rules[0].prefix"),
        ({"rules": [{"name": "card", "kind": "code128"}]}, "scanning.rules[0]"),
        (rule(aim=["C0"]), "scanning.rules[0].aim"),
        (rule(aim=["]C0"] * 21), "scanning.rules[0].aim"),
        (rule(length=4, strip=4), "scanning.rules[0].strip"),
        (rule(kind="ean13", prefix="20", length=12), "scanning.rules[0].length"),
        (rule(kind="gsrn", prefix="73", check="luhn"), "scanning.rules[0].check"),
        (rule(kind="phone", prefix="tel:", check="gs1"), "scanning.rules[0].check"),
        (rule(kind="qr"), "scanning.rules[0].kind"),
        (rule(lenght=4), "scanning.rules[0].lenght"),
        ({"rules": [*rule()["rules"], *rule()["rules"]]}, "scanning.rules[1].name"),
        ({"standard": ["number"]}, "scanning.standard[0]"),
        ({"rules": [{"name": str(n), "kind": "email", "prefix": "a"} for n in range(51)]}, "scanning.rules"),
        ({"rule": []}, "scanning.rule"),
    ],
)
def test_a_rule_that_cannot_work_is_found(scanning: object, path: str) -> None:
    assert read(scanning) == [path]


@pytest.mark.parametrize(
    ("text", "aim_id", "rest"),
    [
        ("CLUB1234", "]C0", "1234"),
        ("CLUB1234", "", "1234"),
        ("CLUB1234", "]E0", None),
        ("CLUB12345", "]C0", None),
        ("club1234", "]C0", None),
    ],
)
def test_a_scan_fits_by_symbol_length_and_prefix(text: str, aim_id: str, rest: str | None) -> None:
    one = ScanRule("card", "code128", frozenset({"]C0"}), length=8, prefix="CLUB", strip=4)
    assert rest_of_scan(one, text, aim_id=aim_id) == rest
