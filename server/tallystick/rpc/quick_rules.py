"""A quick way to see that a request keeps the contract's rules, in front of protovalidate.

In a server, where its code is never warm, protovalidate takes a quarter of what a whole sale costs. Nearly every
request is valid, and for the rules that the contract uses that can be seen with a few comparisons. So each request
type gets a function, written from the same descriptors when the server starts (as dataclasses write theirs), that
answers "certainly valid" or "ask protovalidate". It never refuses anything: every violation is found and worded by
protovalidate alone. Whatever this module does not know makes it ask; a test compares both over random messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.v1.buf.validate import validate_pb2

Check = Callable[[Any], bool]
"""Whether a message is certainly valid."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# Character classes, literals, groups, choices and counts mean the same to RE2 and to Python; nothing else is tried.
_PLAIN_PATTERN = re.compile(
    r"\^((?:\[[A-Za-z0-9._-]+\]|\\[\]+]|[A-Za-z0-9-]|[()|?+*]|\{[0-9]+(?:,[0-9]+)?\})+)\$"
)
_INNERMOST_GROUP = re.compile(r"\([^()]*\)")
_DOUBLED_COUNT = re.compile(r"[?+*}][?+*{]")

PATTERNS: Mapping[str, str] = {r"^[^\p{Cc}]*$": r"[^\x00-\x1f\x7f-\x9f]*"}
"""The contract's patterns that Python spells otherwise: what the whole of a text must match."""

EXPRESSIONS: Mapping[str, str] = {
    "this.map(group, group.code).unique()": "differ([group.code for group in {0}])",
    "this.map(line, line.line_no).unique()": "differ([line.line_no for line in {0}])",
    "has(this.spend) || size(this.reward_ids) > 0 || size(this.coupon_codes) > 0": (
        "{0}.HasField('spend') or {0}.reward_ids or {0}.coupon_codes"
    ),
    "has(this.basket) || (has(this.spend.points) && size(this.reward_ids) == 0 && size(this.coupon_codes) == 0)": (
        "{0}.HasField('basket') or ({0}.spend.HasField('points') and not {0}.reward_ids and not {0}.coupon_codes)"
    ),
    "this.expires_on == '' || this.points > 0": "{0}.expires_on == '' or {0}.points > 0",
    "this.kind != 1 || this.store_id != ''": "{0}.kind != 1 or {0}.store_id != ''",
    "this == '' || this.isEmail()": "{0} == ''",
}
"""The contract's CEL expressions in Python. One may be stricter than its original, never laxer."""


class _Unknown(Exception):
    """A rule that this module does not know."""


def quick_check(message_class: type[Message]) -> Check | None:
    """The check of a message type; None when one of its rules is not known here.

    The type must not hold itself, however deep.
    """
    writer = _Writer()
    try:
        name = writer.message(cast(Descriptor, message_class.DESCRIPTOR))
    except _Unknown:
        return None
    if not name:
        return _anything
    names = dict(writer.names)
    exec("\n".join(writer.lines), names)  # noqa: S102  its text is made of our own contract
    return cast(Check, names[name])


def _anything(_message: object) -> bool:
    return True


def _differ(values: Iterable[Any]) -> bool:
    found = list(values)
    return len(found) < 2 or len(set(found)) == len(found)


class _Writer:
    """Writes one function for each message type, which answers False as soon as anything is in doubt."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, object] = {"differ": _differ}
        self._functions: dict[str, str] = {}

    def message(self, message: Descriptor) -> str:
        """Write the function of a message type and those that it calls; its name, empty when it has no rules."""
        if message.full_name in self._functions:
            return self._functions[message.full_name]
        body: list[str] = []
        for field in message.fields:
            body += self._field(field)
        for oneof in message.oneofs:
            choice = oneof.GetOptions().Extensions[validate_pb2.oneof]
            _require_known(choice, {"required"})
            if choice.required:
                body += _unless(f"m.WhichOneof({oneof.name!r}) is not None")
        rules = message.GetOptions().Extensions[validate_pb2.message]
        _require_known(rules, {"cel"})
        for rule in rules.cel:
            body += _unless(_expression(rule.expression, "m"))
        name = f"check_{len(self._functions)}" if body else ""
        self._functions[message.full_name] = name
        if body:
            self.lines += [f"def {name}(m):", *(f" {line}" for line in body), " return True"]
        return name

    def _field(self, field: FieldDescriptor) -> list[str]:
        rules = field.GetOptions().Extensions[validate_pb2.field]
        kind = rules.WhichOneof("type")
        _require_known(rules, {"required", "ignore", "cel", kind})
        if rules.ignore == validate_pb2.IGNORE_ALWAYS or (rules.required and not field.has_presence):
            raise _Unknown(field.full_name)
        checks: list[str] = []
        for rule in rules.cel:
            checks += _unless(_expression(rule.expression, "v"))
        checks += self._repeated(field, rules) if field.is_repeated else self._value(field, rules, "v")
        if not checks:
            return _unless(f"m.HasField({field.name!r})") if rules.required else []
        checks = [f"v = m.{field.name}", *checks]
        if rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE:
            checks = [checks[0], "if v:", *(f" {line}" for line in checks[1:])]
        if rules.required:
            return [*_unless(f"m.HasField({field.name!r})"), *checks]
        if field.has_presence:
            return [f"if m.HasField({field.name!r}):", *(f" {line}" for line in checks)]
        return checks

    def _repeated(self, field: FieldDescriptor, rules: validate_pb2.FieldRules) -> list[str]:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            raise _Unknown(field.full_name)
        repeated = rules.repeated
        _require_known(repeated, {"min_items", "max_items", "unique", "items"})
        items = repeated.items
        _require_known(items, {items.WhichOneof("type")})
        checks: list[str] = []
        if repeated.min_items or repeated.HasField("max_items"):
            high = repeated.max_items if repeated.HasField("max_items") else INT64_MAX
            checks += _unless(f"{repeated.min_items} <= len(v) <= {high}")
        if repeated.unique:
            checks += _unless("differ(v)")
        each = self._value(field, items, "x")
        if each:
            checks += ["for x in v:", *(f" {line}" for line in each)]
        return checks

    def _value(self, field: FieldDescriptor, rules: validate_pb2.FieldRules, name: str) -> list[str]:
        """The checks of one value: of the field, or of one of its items."""
        if field.message_type is not None:
            function = self.message(field.message_type)
            nested = _unless(f"{function}({name})") if function else []
        else:
            nested = []
        match rules.WhichOneof("type"):
            case None | "repeated":
                return nested
            case "string":
                return self._string(rules.string, name)
            case "int32":
                return _number(rules.int32, name)
            case "int64":
                return _number(rules.int64, name)
            case "bytes":
                _require_known(rules.bytes, {"len"})
                return _unless(f"len({name}) == {rules.bytes.len}")
            case "enum":
                return self._enum(field, rules.enum, name)
            case "timestamp":
                return [*nested, *_timestamp(rules.timestamp, name)]
            case other:
                raise _Unknown(other)

    def _string(self, rules: validate_pb2.StringRules, name: str) -> list[str]:
        _require_known(rules, {"min_len", "max_len", "max_bytes", "pattern", "uuid"})
        checks: list[str] = []
        if rules.min_len or rules.HasField("max_len"):
            high = rules.max_len if rules.HasField("max_len") else INT64_MAX
            checks += _unless(f"{rules.min_len} <= len({name}) <= {high}")
        if rules.HasField("max_bytes"):
            checks += _unless(f"len({name}.encode()) <= {rules.max_bytes}")
        if rules.pattern:
            checks += self._matches(_pattern(rules.pattern), name)
        if rules.uuid:
            checks += self._matches(_UUID, name)
        return checks

    def _matches(self, pattern: str, name: str) -> list[str]:
        return _unless(f"{self._named(re.compile(pattern).fullmatch)}({name})")

    def _enum(self, field: FieldDescriptor, rules: validate_pb2.EnumRules, name: str) -> list[str]:
        _require_known(rules, {"defined_only", "not_in"})
        assert field.enum_type is not None, "enum rules stand on enum fields only"
        if not rules.defined_only:
            raise _Unknown(field.full_name)
        allowed = frozenset(value.number for value in field.enum_type.values) - frozenset(rules.not_in)
        return _unless(f"{name} in {self._named(allowed)}")

    def _named(self, value: object) -> str:
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name


def _unless(condition: str) -> list[str]:
    return [f"if not ({condition}): return False"]


def _pattern(text: str) -> str:
    if text in PATTERNS:
        return PATTERNS[text]
    plain = _PLAIN_PATTERN.fullmatch(text)
    if plain is None:
        raise _Unknown(text)
    outside = text
    while _INNERMOST_GROUP.search(outside):
        outside = _INNERMOST_GROUP.sub("", outside)
    # In "^a|b$" each anchor belongs to one choice only; "(?" and doubled counts begin what the two spell differently.
    if "|" in outside or "(?" in text or _DOUBLED_COUNT.search(text):
        raise _Unknown(text)
    return plain[1]


def _number(rules: validate_pb2.Int32Rules | validate_pb2.Int64Rules, name: str) -> list[str]:
    _require_known(rules, {"gte", "lte", "not_in"})
    checks: list[str] = []
    if rules.HasField("gte") or rules.HasField("lte"):
        low = rules.gte if rules.HasField("gte") else INT64_MIN
        high = rules.lte if rules.HasField("lte") else INT64_MAX
        checks += _unless(f"{low} <= {name} <= {high}")
    if rules.not_in:
        checks += _unless(f"{name} not in {tuple(rules.not_in)}")
    return checks


def _timestamp(rules: validate_pb2.TimestampRules, name: str) -> list[str]:
    _require_known(rules, {"gte", "lt"})
    if not rules.HasField("gte") or not rules.HasField("lt"):
        raise _Unknown("an open range of time")
    return _unless(f"{_instant(rules.gte)} <= ({name}.seconds, {name}.nanos) < {_instant(rules.lt)}")


def _instant(timestamp: Timestamp) -> tuple[int, int]:
    return timestamp.seconds, timestamp.nanos


def _expression(text: str, name: str) -> str:
    known = EXPRESSIONS.get(text)
    if known is None:
        raise _Unknown(text)
    return known.format(name)


def _require_known(rules: Message, known: set[str | None]) -> None:
    for option, _ in rules.ListFields():
        if option.name not in known:
            raise _Unknown(option.name)
