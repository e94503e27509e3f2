"""Checks the catalogue of why: every code and refusal of the core in every language, with the same places for values.

    python -m tools.words           # says what is missing, and fails if anything is

The codes are read out of the core's source: whatever stands as the code of an ``Explanation``. One that is made of
others (a parameter, a name, a part of an f-string) is followed within its module; what cannot be followed is reported,
so that no code escapes.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tallystick.core.entry import Refusal
from tallystick.core.rules.parse import RULE_KINDS
from tallystick.words.catalogue import COUNT, FORMS, LANGUAGES, PLAIN, catalogue
from tools.protos import ROOT

CORE = ROOT / "server" / "tallystick" / "core"
CODE_AT = 3
"""The place of the code among the arguments of an ``Explanation``."""

OWN_KEYS = frozenset({"multiply.two"})
GENERAL = "REFUSED"
FROM_STORAGE = "codec.py"
"""Reads explanations back as they were written: it makes none."""

_PLACE = re.compile(r"\{(\w+)\}")
_BY_ATTRIBUTE: Mapping[str, tuple[str, ...]] = {"kind": RULE_KINDS}


def main() -> int:
    """Print what is wrong with the catalogue; 0 when nothing is."""
    wrong = [*missing(), *uneven()]
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def missing() -> Iterator[str]:
    """Yield codes and refusals that the catalogue lacks, and those that nothing makes."""
    found, unclear = codes_of_core()
    yield from unclear
    codes, refusals = catalogue()["codes"], catalogue()["refusals"]
    for code in sorted(found - codes.keys()):
        yield f"why.json: codes has no '{code}': add it in {', '.join(LANGUAGES)}"
    known = {key for key in codes if not key.endswith(PLAIN)} - OWN_KEYS
    for code in sorted(known - found):
        yield f"why.json: nothing in the core makes the code '{code}': remove it"
    for reason in sorted({one.name for one in Refusal} - refusals.keys()):
        yield f"why.json: refusals has no '{reason}': add it in {', '.join(LANGUAGES)}"
    for reason in sorted(refusals.keys() - {one.name for one in Refusal} - {GENERAL}):
        yield f"why.json: the core has no refusal '{reason}': remove it"


def uneven() -> Iterator[str]:
    """Yield messages that lack a language or a plural form, or whose languages have other places for values."""
    for section, messages in catalogue().items():
        for key, message in messages.items():
            yield from _uneven(f"why.json: {section}.{key}", message)


def _uneven(where: str, message: Mapping[str, Any]) -> Iterator[str]:
    wanted = _places(message.get("en", ""))
    for language in LANGUAGES:
        text = message.get(language)
        if text is None:
            yield f"{where} is not there in {language}"
            continue
        counted = COUNT in message
        if counted != isinstance(text, dict):
            yield f"{where} in {language} must be {'counted' if counted else 'one text'} as its 'count' says"
        if counted and isinstance(text, dict) and tuple(text) != FORMS[language]:
            yield f"{where} in {language} must have the forms {', '.join(FORMS[language])}"
        for form in text.values() if isinstance(text, dict) else (text,):
            if _places(form) != wanted:
                yield f"{where} in {language} has other places for values than the English text"


def _places(text: Any) -> set[str]:
    return set(_PLACE.findall(next(iter(text.values())) if isinstance(text, dict) else text))


def codes_of_core(core: Path = CORE) -> tuple[set[str], list[str]]:
    """Return the codes that the core can make, and what could not be followed."""
    found: set[str] = set()
    unclear: list[str] = []
    for path in sorted(core.rglob("*.py")):
        if path.name == FROM_STORAGE:
            continue
        module = _Module(ast.parse(path.read_text(encoding="utf-8")))
        for call in module.calls("Explanation"):
            code = _argument(call, "code", CODE_AT)
            try:
                found |= module.texts(code, call)
            except _Unclear:
                place = f"{path.relative_to(core.parent)}:{call.lineno}"
                unclear.append(
                    f"{place}: the code of this Explanation cannot be followed: write it as a text"
                )
    return found, unclear


class _Unclear(Exception):
    """An expression is not made of texts that stand in the module."""


class _Module:
    """A module's source, in which an expression can be followed to the texts that it may be."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]

    def calls(self, name: str) -> list[ast.Call]:
        """Return the calls of a function."""
        calls = [node for node in ast.walk(self._tree) if isinstance(node, ast.Call)]
        return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == name]

    def texts(self, node: ast.expr | None, at: ast.AST) -> set[str]:
        """Return the texts that an expression may be. Raises ``_Unclear``."""
        match node:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.IfExp(body=body, orelse=other):
                return self.texts(body, at) | self.texts(other, at)
            case ast.Attribute(attr=name) if name in _BY_ATTRIBUTE:
                return set(_BY_ATTRIBUTE[name])
            case ast.Subscript(value=value):
                return self.texts(value, at)
            case ast.Dict(values=values):
                return {text for value in values for text in self.texts(value, at)}
            case ast.FormattedValue(value=value):
                return self.texts(value, at)
            case ast.JoinedStr(values=parts):
                joined = {""}
                for part in parts:
                    joined = {start + end for start in joined for end in self.texts(part, at)}
                return joined
            case ast.Name(id=name):
                return self._named(name, at)
        raise _Unclear

    def _named(self, name: str, at: ast.AST) -> set[str]:
        """Return what a name may be: what it is set to, or what callers give the parameter."""
        within = next((one for one in self._functions if at in ast.walk(one)), None)
        if within is not None:
            names = [arg.arg for arg in (*within.args.posonlyargs, *within.args.args)]
            if name in names:
                return self._given(within.name, name, names.index(name))
        for scope in (within, self._tree):
            values = [_value_set(node, name) for node in ast.walk(scope)] if scope is not None else []
            if found := [value for value in values if value is not None]:
                return {text for value in found for text in self.texts(value, at)}
        raise _Unclear

    def _given(self, function: str, name: str, place: int) -> set[str]:
        calls = self.calls(function)
        if not calls:
            raise _Unclear
        return {text for call in calls for text in self.texts(_argument(call, name, place), call)}


def _argument(call: ast.Call, name: str, place: int) -> ast.expr | None:
    if len(call.args) > place:
        return call.args[place]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _value_set(node: ast.AST, name: str) -> ast.expr | None:
    match node:
        case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
            return value
        case ast.AnnAssign(target=ast.Name(id=target), value=value) if target == name:
            return value
    return None


if __name__ == "__main__":
    sys.exit(main())
