"""Checks the catalogue of why: every code and refusal of the core in every language, with the same places for values.

    python -m tools.words           # says what is missing, and fails if anything is

The codes are read out of the core's source: whatever stands as the code of an ``Explanation``. One that is made of
others (a parameter, a name, a field, a part of an f-string) is followed through the source; what cannot be followed is
reported, so that no code escapes.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tallystick.core.entry import Refusal
from tallystick.core.rules.action import DAYS
from tallystick.core.rules.earning import RULE_KINDS
from tallystick.words.catalogue import COUNT, FORMS, LANGUAGES, PLAIN, catalogue
from tools.protos import ROOT

CORE = ROOT / "server" / "tallystick" / "core"
AROUND = (ROOT / "server" / "tallystick" / "service",)
MADE = "Explanation"
CODE_AT = 3
"""The place of the code among the arguments of an ``Explanation``."""

OWN_KEYS = frozenset({"multiply.two"})
GENERAL = "REFUSED"
FROM_STORAGE = "codec.py"
"""Reads explanations back as they were written: it makes none."""

_PLACE = re.compile(r"\{(\w+)\}")
_BY_ATTRIBUTE: Mapping[str, tuple[str, ...]] = {"kind": RULE_KINDS, "on": DAYS}


def main() -> int:
    """Print what is wrong with the catalogue; 0 when nothing is."""
    wrong = [*missing(), *unused(), *uneven()]
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def missing() -> Iterator[str]:
    """Yield codes and refusals that the catalogue lacks."""
    found, unclear = codes_of_core()
    yield from unclear
    codes, refusals = catalogue()["codes"], catalogue()["refusals"]
    for code in sorted(found - codes.keys()):
        yield f"why.json: codes has no '{code}': add it in {', '.join(LANGUAGES)}"
    for reason in sorted({one.name for one in Refusal} - refusals.keys()):
        yield f"why.json: refusals has no '{reason}': add it in {', '.join(LANGUAGES)}"


def unused() -> Iterator[str]:
    """Yield messages of the catalogue that nothing in the core leads to."""
    found, _ = codes_of_core()
    known = {key.removesuffix(PLAIN) for key in catalogue()["codes"]} - OWN_KEYS
    for code in sorted(known - found):
        yield f"why.json: nothing in the core makes the code '{code}': remove it"
    told = {key.removesuffix(PLAIN) for key in catalogue()["refusals"]} - {GENERAL}
    for reason in sorted(told - {one.name for one in Refusal}):
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


def codes_of_core(core: Path = CORE, around: Sequence[Path] = AROUND) -> tuple[set[str], list[str]]:
    """Return the codes that the core can make, and what could not be followed.

    ``around`` are folders whose modules make objects of the core, with codes in them.
    """
    found: set[str] = set()
    unclear: list[str] = []
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(core.rglob("*.py"))}
    outside = [ast.parse(path.read_text(encoding="utf-8")) for one in around for path in one.rglob("*.py")]
    source = _Source(list(trees.values()), outside)
    for path, tree in trees.items():
        if path.name == FROM_STORAGE:
            continue
        for call in _calls_in(tree):
            try:
                found |= source.texts(_code_of(call), call, frozenset())
            except _Unclear:
                place = f"{path.relative_to(core.parent)}:{call.lineno}"
                unclear.append(
                    f"{place}: the code of this Explanation cannot be followed: write it as a text"
                )
    return found, unclear


def _calls_in(tree: ast.Module) -> list[ast.Call]:
    """Return the calls that make an explanation, those included that save the detour over its own constructor."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and any(isinstance(one, ast.Name) and one.id == MADE for one in (node.func, *node.args[:1]))
    ]


def _code_of(call: ast.Call) -> ast.expr | None:
    if isinstance(call.func, ast.Name) and call.func.id == MADE:
        return _argument(call, "code", CODE_AT)
    values = call.args[1] if len(call.args) > 1 else None
    return values.elts[CODE_AT] if isinstance(values, ast.Tuple) and len(values.elts) > CODE_AT else None


class _Unclear(Exception):
    """An expression is not made of texts that stand in the source."""


class _Source:
    """All modules together, in which an expression can be followed to the texts that it may be."""

    def __init__(self, core: Sequence[ast.Module], around: Sequence[ast.Module]) -> None:
        trees = (*core, *around)
        nodes = [node for tree in trees for node in ast.walk(tree)]
        self._functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
        self._classes = [node for tree in core for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        self._calls = [node for node in nodes if isinstance(node, ast.Call)]
        self._globals = [node for tree in trees for node in tree.body]
        self._within = {id(node): one for one in self._functions for node in ast.walk(one)}
        self._module = {id(node): tree for tree in trees for node in ast.walk(tree)}

    def texts(self, node: ast.expr | None, at: ast.AST, seen: frozenset[str]) -> set[str]:
        """Return the texts that an expression may be. Raises ``_Unclear``."""
        match node:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.BoolOp(values=values):
                return {text for value in values for text in self.texts(value, at, seen)}
            case ast.IfExp(body=body, orelse=other):
                return self.texts(body, at, seen) | self.texts(other, at, seen)
            case ast.Attribute(attr=name):
                return set(_BY_ATTRIBUTE[name]) if name in _BY_ATTRIBUTE else self._field(name, seen)
            case ast.Subscript(value=value) | ast.FormattedValue(value=value):
                return self.texts(value, at, seen)
            case ast.Dict(values=values):
                return {text for value in values for text in self.texts(value, at, seen)}
            case ast.DictComp(value=value):
                return self.texts(value, at, seen)
            case ast.Call(func=ast.Name(id=name)):
                return self._returned(name, seen)
            case ast.JoinedStr(values=parts):
                joined = {""}
                for part in parts:
                    joined = {start + end for start in joined for end in self.texts(part, at, seen)}
                return joined
            case ast.Name(id=name):
                return self._named(name, at, seen)
        raise _Unclear

    def _named(self, name: str, at: ast.AST, seen: frozenset[str]) -> set[str]:
        """Return what a name may be: what it is set to, or what callers give the parameter."""
        within = self._within.get(id(at))
        mark = f"{name} in {id(within)}"
        if mark in seen:
            raise _Unclear
        seen |= {mark}
        if within is not None:
            names = [arg.arg for arg in (*within.args.posonlyargs, *within.args.args)]
            if name in names:
                return self._given(within.name, name, names.index(name), at, seen)
        for scope in (list(ast.walk(within)) if within else [], self._globals):
            if found := [value for node in scope if (value := _value_set(node, name)) is not None]:
                return {text for value in found for text in self.texts(value, at, seen)}
        raise _Unclear

    def _given(self, function: str, name: str, place: int, at: ast.AST, seen: frozenset[str]) -> set[str]:
        calls = self._calls_of(function, at)
        if not calls or function in seen:
            raise _Unclear
        deeper = seen | {function}
        return {text for call in calls for text in self.texts(_argument(call, name, place), call, deeper)}

    def _returned(self, function: str, seen: frozenset[str]) -> set[str]:
        """Return what a function gives back."""
        mark = f"{function}()"
        if mark in seen:
            raise _Unclear
        ends = [
            node.value
            for one in self._functions
            if one.name == function
            for node in ast.walk(one)
            if isinstance(node, ast.Return) and node.value is not None
        ]
        if not ends:
            raise _Unclear
        return {text for value in ends for text in self.texts(value, value, seen | {mark})}

    def _field(self, name: str, seen: frozenset[str]) -> set[str]:
        """Return what a field of whatever class may be: its default, and what the objects are made with."""
        found: set[str] = set()
        if f".{name}" in seen:
            raise _Unclear
        deeper = seen | {f".{name}"}
        for one in self._classes:
            fields = [node for node in one.body if isinstance(node, ast.AnnAssign)]
            names = [node.target.id for node in fields if isinstance(node.target, ast.Name)]
            if name not in names:
                continue
            place = names.index(name)
            given = [(_argument(call, name, place), call) for call in self._calls_of(one.name, one)]
            for value, at in ((fields[place].value, one), *given):
                if value is not None:
                    found |= self._some(value, at, deeper)
        if not found:
            raise _Unclear
        return found

    def _some(self, value: ast.expr, at: ast.AST, seen: frozenset[str]) -> set[str]:
        """Return the texts, none for what is handed on from an object of the same kind."""
        try:
            return self.texts(value, at, seen)
        except _Unclear:
            return set()

    def _calls_of(self, name: str, at: ast.AST) -> list[ast.Call]:
        """Return the calls of a function or class; of a private one those in its own module."""
        calls = [call for call in self._calls if isinstance(call.func, ast.Name) and call.func.id == name]
        if not name.startswith("_"):
            return calls
        return [call for call in calls if self._module[id(call)] is self._module[id(at)]]


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
