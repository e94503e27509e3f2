"""A story: a member's life under one rule set, told as commands and what became of each, in plain JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import IntEnum
from typing import Any

from tallystick.core.command import Command
from tallystick.core.entry import Decision, Moves, Posted
from tallystick.core.ids import NEVER_MS, CommandId
from tests.core.world import World, document_of, rules_of

JSON_WIDTH_MAX = 110


@dataclass(frozen=True, slots=True)
class Case:
    """One vector: ``why`` says in a sentence what must come out, ``tell`` plays it."""

    name: str
    why: str
    tell: Callable[[World], object]
    rules: dict[str, Any] = field(default_factory=dict)


@dataclass
class Teller(World):
    """A world that writes down what happens in it."""

    steps: list[dict[str, Any]] = field(default_factory=list)

    def do(self, command: Command) -> Decision:
        written = len(self.entries)
        decision = World.do(self, command)
        step: dict[str, Any] = {"command": {"kind": type(command).__name__, **plain(command)}}
        if not isinstance(decision, Posted):
            step["decision"] = {"kind": type(decision).__name__, **plain(decision)}
        step["entries"] = [plain(entry) for entry in self.entries[written:]]
        self.steps.append(step)
        return decision


def plain(value: Any) -> Any:
    """Return plain JSON values; what has its default is left out."""
    if isinstance(value, Moves):
        return {name: points for name, points in value._asdict().items() if points}
    if isinstance(value, tuple) and hasattr(value, "_field_defaults"):
        defaults = value._field_defaults
        pairs = zip(value._fields, value, strict=True)  # type: ignore[attr-defined]
        return {name: plain(item) for name, item in pairs if name not in defaults or item != defaults[name]}
    if is_dataclass(value) and not isinstance(value, type):
        return {
            one.name: plain(getattr(value, one.name))
            for one in fields(value)
            if one.default is MISSING or getattr(value, one.name) != one.default
        }
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if value == NEVER_MS:
        return "never"
    return value


def told(case: Case) -> dict[str, Any]:
    """Return the vector of a case."""
    count = itertools.count(1)
    world = Teller(
        rules_of(**case.rules), mint=lambda: CommandId(f"00000000-0000-4000-8000-{next(count):012d}")
    )
    case.tell(world)
    return {
        "name": case.name,
        "why": case.why,
        "rules": document_of(**case.rules),
        "enrolled_ms": world.account.enrolled_ms,
        "steps": world.steps,
        "account": plain(world.account),
        "lots": [plain(lot) for lot in world.state.lots],
    }


def rendered(case: Case) -> str:
    """Return the text of a vector: indented, but with what fits on one line left on it."""
    return _lines(told(case), 0) + "\n"


def _lines(value: Any, depth: int) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or (depth > 0 and len(flat) + 2 * depth <= JSON_WIDTH_MAX):
        return flat
    inner = "  " * (depth + 1)
    if isinstance(value, dict):
        rows = [f"{inner}{json.dumps(key)}: {_lines(item, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + "  " * depth + "}"
    rows = [f"{inner}{_lines(item, depth + 1)}" for item in value]
    return "[\n" + ",\n".join(rows) + "\n" + "  " * depth + "]"
