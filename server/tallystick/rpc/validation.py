"""The rules that the contract states of every field, checked before a handler sees a request."""

from __future__ import annotations

from collections.abc import Iterable

import protovalidate
from google.protobuf.message import Message

from tallystick.rpc.quick_rules import Check, quick_check
from tallystick.rpc.service import Method, ServicesRefused
from tallystick.service.errors import InvalidInput

_validator = protovalidate.Validator()
_quick_checks: dict[type[Message], Check | None] = {}


class InvalidFields(InvalidInput):
    """Fields break their rules; BadRequest lists each of them."""


def compile_rules(methods: Iterable[Method], *, whole: bool = False) -> None:
    """Compile the rules of requests now, so that no call waits for it; ServicesRefused for a wrong rule.

    Where a quick look answers for nearly every request, protovalidate compiles with the first that it does not answer
    for, within a millisecond; compiled for all at the start that takes 8 MB. ``whole`` compiles them all the same.
    """
    for method in methods:
        if method.request_class not in _quick_checks:
            _quick_checks[method.request_class] = quick_check(method.request_class)
        if _quick_checks[method.request_class] is not None and not whole:
            continue
        try:
            _validator.collect_violations(method.request_class())
        except (protovalidate.CompilationError, protovalidate.EvaluationError) as error:
            raise ServicesRefused(f"{method.name}: {error}") from error


def check(request: Message) -> None:
    """Raise InvalidFields with every violation when a request breaks a rule."""
    quick = _quick_checks.get(type(request))
    if quick is not None and quick(request):
        return
    violations = _validator.collect_violations(request)
    if violations:
        raise InvalidFields(violations=tuple(_described(violation) for violation in violations))


def _described(violation: protovalidate.Violation) -> tuple[str, str]:
    """The path of a field as people write it ("basket.lines[2].sku") and what is wrong with it."""
    proto = violation.proto
    path = ""
    for element in proto.field.elements if proto.field else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
    return path, proto.message or proto.rule_id
