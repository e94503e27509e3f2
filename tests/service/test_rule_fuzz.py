"""Whatever becomes of a rule file on its way, it is refused with what is wrong, or it decides sales; never a crash."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.core.entry import Posted, Refused
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.service.programs import CheckedText, check_text
from tallystick.service.rule_text import read_document
from tests.core.world import World, basket, line

PROGRAMS = sorted((Path(__file__).parents[2] / "server" / "tallystick" / "programs").glob("*.yaml"))
MUTATIONS = 300
ONE_TEXT_S_MAX = 1.0
HOSTILE = (
    *("NaN", ".nan", ".inf", "-.inf", "1e400", "1e999999999", "1.0000000001", "0x7fffffff", "1_000", "0o17"),
    *(
        "-1",
        "0",
        "999999999999999999",
        "9" * 40,
        "00",
        "+5",
        "1,5",
        "½",
        "٣",
        "'5'",
        '"1.5"',
        "true",
        "no",
        "~",
    ),
    *(
        "[]",
        "{}",
        "[[]]",
        "{a: 1}",
        "[1, x]",
        "''",
        "'" + "x" * 300 + "'",
        '"\\u0000"',
        '"\\ud800"',
        "\ufeff",
    ),
    *(
        "&a 1",
        "*a",
        "!!python/object:os.system ls",
        "<<",
        "? x",
        "|",
        ">",
        "---",
        "...",
        "%YAML 1.1",
        "\t",
        "#",
    ),
    *("2026-02-30", "2026-12-24T25:00", "9999-12-31", "0001-01-01", "24:00-00:00", "Europe/Nowhere", "../x"),
    *("gold", "highest", "per_amount", "multiply", "unlimited", "tallystick/2", "🙂", "\u202e", "é", "\x85"),
)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _line_twice(dice: random.Random, text: str) -> str:
    lines = _lines(text)
    at = dice.randrange(len(lines))
    return "".join([*lines[: at + 1], *lines[at:]])


def _line_lost(dice: random.Random, text: str) -> str:
    lines = _lines(text)
    del lines[dice.randrange(len(lines))]
    return "".join(lines)


def _lines_moved(dice: random.Random, text: str) -> str:
    lines = _lines(text)
    start = dice.randrange(len(lines))
    block = lines[start : start + dice.randrange(1, 5)]
    at = dice.randrange(len(lines))
    return "".join([*lines[:at], *block, *lines[at:]])


def _indented(dice: random.Random, text: str) -> str:
    lines = _lines(text)
    at = dice.randrange(len(lines))
    lines[at] = dice.choice((" ", "  ", "\t", "      ")) + lines[at].lstrip()
    return "".join(lines)


def _value_replaced(dice: random.Random, text: str) -> str:
    lines = _lines(text)
    at = dice.choice([at for at, one in enumerate(lines) if ":" in one] or [0])
    key = lines[at].split(":", 1)[0]
    lines[at] = f"{key}: {dice.choice(HOSTILE)}\n"
    return "".join(lines)


def _word_replaced(dice: random.Random, text: str) -> str:
    words = text.split(" ")
    words[dice.randrange(len(words))] = dice.choice(HOSTILE)
    return " ".join(words)


def _character_changed(dice: random.Random, text: str) -> str:
    at = dice.randrange(len(text))
    return text[:at] + dice.choice("\x00\t\n\r:-[]{}'\"&*!|>%@`#,? 9é\ud800\uffff") + text[at + 1 :]


def _cut_short(dice: random.Random, text: str) -> str:
    return text[: dice.randrange(len(text))]


def _read_as_something_else(dice: random.Random, text: str) -> str:
    encoded = text.encode(dice.choice(("utf-16", "utf-8-sig", "utf-32", "utf-8")), "replace")
    return encoded.decode(dice.choice(("latin-1", "utf-8", "cp1252")), "replace")


MUTATE: tuple[Callable[[random.Random, str], str], ...] = (
    _line_twice,
    _line_lost,
    _lines_moved,
    _indented,
    _value_replaced,
    _value_replaced,
    _word_replaced,
    _character_changed,
    _cut_short,
    _read_as_something_else,
)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_ready_program_that_was_spoilt_is_refused_or_decides_sales(program: Path) -> None:
    good = program.read_text(encoding="utf-8")
    seen = set()
    for seed in range(MUTATIONS):
        dice = random.Random(f"{program.stem}/{seed}")
        text = good
        for _ in range(dice.randrange(1, 4)):
            text = dice.choice(MUTATE)(dice, text) if text else good
        began = time.process_time()
        checked = check_text(text)
        assert time.process_time() - began < ONE_TEXT_S_MAX, seed
        seen.add(type(checked))
        if isinstance(checked, CheckedText):
            _decides_sales(text, seed)
        else:
            assert checked, seed
            assert all(found.finding.message for found in checked), seed
    assert seen == {list, CheckedText}, "some spoilt texts are still rule sets, and most are not"


def _decides_sales(text: str, seed: int) -> None:
    rules = parse_rules(read_document(text).value, version=1, sha256="")
    assert isinstance(rules, RuleSet), seed
    world = World(rules)
    lines = [line(999, quantity=3, sku="A", categories=("coffee",)), line(1), line(250_000, brand="acme")]
    decision = world.do(world.sale_of(basket(*lines, currency=rules.currency)))
    assert isinstance(decision, (Posted, Refused)), seed
