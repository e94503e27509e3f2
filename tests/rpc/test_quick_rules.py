"""The quick look at a request never passes what protovalidate would refuse."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import protovalidate
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tallystick.rpc.quick_rules import quick_check
from tallystick.v1 import admin_pb2, identity_pb2, ledger_pb2, member_pb2, till_pb2, types_pb2
from tallystick.v1.buf.validate import validate_pb2
from tests.rpc.edge import MEMBER_ID

FILES: tuple[FileDescriptor, ...] = (
    ledger_pb2.DESCRIPTOR,
    identity_pb2.DESCRIPTOR,
    till_pb2.DESCRIPTOR,
    member_pb2.DESCRIPTOR,
    admin_pb2.DESCRIPTOR,
)
REQUESTS: dict[str, type[Message]] = {
    method.input_type.name: GetMessageClass(method.input_type)
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
}
ROUNDS = 250
SPOILED = 0.02

TEXTS = (
    *(
        "",
        "a",
        "A",
        "EUR",
        "eur",
        "EURO",
        "ÄÖÅ",
        "SE",
        "sv-SE",
        "sv",
        "]C1",
        "]c",
        "demo-1",
        "1demo",
        "x_y",
        "A.b-c_1",
    ),
    *(MEMBER_ID, MEMBER_ID.upper(), MEMBER_ID + "\n", MEMBER_ID.replace("-", ""), "{" + MEMBER_ID + "}"),
    *(
        "EUR\n",
        "a\n",
        "a b",
        "\x00",
        "a\x85",
        "\x9f",
        "\x7f",
        "\x1f",
        "\t",
        "\u2028",
        "é" * 40,
        "☕",
        "𝟙" * 64,
    ),
    *(
        "+4670123456",
        "+0123456789",
        "+1",
        "2024-02-29",
        "2024-13-01",
        "1999-12-31",
        "2024-1-1",
        "a@b.se",
        "@",
    ),
    *("é" * 30_000, "x" * 49_152, "x" * 49_153),
    *(
        "x" * length
        for length in (2, 31, 32, 33, 40, 41, 63, 64, 65, 100, 101, 128, 129, 512, 513, 1024, 1025)
    ),
)
NUMBERS = (0, 1, -1, 2, 1000, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
SECONDS = (0, 946684799, 946684800, 1_700_000_000, 4102444799, 4102444800, 253402300799, -62135596800)
NANOS = (0, 1, 999_999_999, 1_000_000_000, -1)


class Maker:
    """Makes random messages; most of their fields keep their rules, and some do not."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def message(self, descriptor: Descriptor, message: Message) -> None:
        if descriptor.full_name == "google.protobuf.Timestamp":
            filled: Any = message
            good = self._good()
            filled.seconds = 1_700_000_000 if good else self._random.choice(SECONDS)
            filled.nanos = 5 if good else self._random.choice(NANOS)
            return
        for field in descriptor.fields:
            rules = field.GetOptions().Extensions[validate_pb2.field]
            if field.has_presence and not (rules.required and self._good()) and self._random.random() < 0.4:
                continue
            if field.is_repeated:
                self._fill(field, rules.repeated, getattr(message, field.name))
            elif field.message_type is not None:
                inner = getattr(message, field.name)
                inner.SetInParent()
                self.message(field.message_type, inner)
            else:
                setattr(message, field.name, self._value(field, rules))

    def _good(self) -> bool:
        return self._random.random() >= SPOILED

    def _fill(self, field: FieldDescriptor, rules: validate_pb2.RepeatedRules, values: Any) -> None:
        high = rules.max_items if rules.HasField("max_items") else 3
        count = self._random.randint(rules.min_items, min(high, rules.min_items + 2))
        if not self._good():
            count = self._random.choice((0, high, min(high + 1, 30)))
        for _ in range(count):
            if field.message_type is not None:
                self.message(field.message_type, values.add())
            else:
                values.append(self._value(field, rules.items))

    def _value(self, field: FieldDescriptor, rules: validate_pb2.FieldRules) -> Any:
        choices, good = _CHOICES.get(field.full_name) or _CHOICES.setdefault(
            field.full_name, _sorted_choices(field, rules)
        )
        return self._random.choice(good if good and self._good() else choices)


_CHOICES: dict[str, tuple[list[Any], list[Any]]] = {}
"""By field: the values for it, and those of them that probably keep its rules."""


def _sorted_choices(field: FieldDescriptor, rules: validate_pb2.FieldRules) -> tuple[list[Any], list[Any]]:
    choices, keeps = _choices(field, rules)
    return choices, [choice for choice in choices if keeps(choice)]


def _choices(
    field: FieldDescriptor, rules: validate_pb2.FieldRules
) -> tuple[list[Any], Callable[[Any], bool]]:
    """Values for a field, and which of them probably keep its rules."""
    if field.enum_type is not None:
        numbers = [value.number for value in field.enum_type.values]
        return [*numbers, max(numbers) + 1, -1], lambda number: number in numbers and number > 0
    if field.type == FieldDescriptor.TYPE_BOOL:
        return [False, True], lambda _value: True
    if field.type == FieldDescriptor.TYPE_BYTES:
        return [b"", b"x" * 63, b"x" * 64, b"x" * 65], lambda value: len(value) == rules.bytes.len
    if field.type == FieldDescriptor.TYPE_STRING:
        text = rules.string
        pattern = text.pattern.replace(r"\p{Cc}", "\x00-\x1f\x7f-\x9f")
        fits = re.compile(rf"^{MEMBER_ID}$" if text.uuid else pattern)
        high = text.max_len if text.HasField("max_len") else 10**6
        return (
            list(TEXTS),
            lambda value: (
                fits.search(value) is not None and value[-1:] != "\n" and text.min_len <= len(value) <= high
            ),
        )
    number = rules.int32 if field.type == FieldDescriptor.TYPE_INT32 else rules.int64
    largest = 2**31 if field.type == FieldDescriptor.TYPE_INT32 else 2**63
    low = number.gte if number.HasField("gte") else -largest
    top = number.lte if number.HasField("lte") else largest - 1
    numbers = [*NUMBERS, low, top, low - 1, top + 1]
    fitting = [value for value in numbers if -largest <= value < largest]
    return fitting, lambda value: low <= value <= top and value not in number.not_in


def random_messages(message_class: type[Message]) -> Iterator[Message]:
    for seed in range(ROUNDS):
        message = message_class()
        Maker(seed).message(message_class.DESCRIPTOR, message)  # type: ignore[arg-type]
        yield message


@pytest.mark.parametrize("name", REQUESTS)
def test_what_is_quickly_passed_keeps_all_rules(name: str) -> None:
    check = quick_check(REQUESTS[name])
    assert check is not None, "the contract has a rule that quick_rules does not know"
    valid = passed = 0
    for message in random_messages(REQUESTS[name]):
        violations = protovalidate.collect_violations(message)
        if check(message):
            passed += 1
            assert not violations, message
        valid += not violations
    assert valid > 0
    assert passed >= 0.7 * valid


def test_a_sale_as_tills_send_it_is_passed_quickly() -> None:
    sale = ledger_pb2.PostSaleRequest(
        command_id=MEMBER_ID, member_id=MEMBER_ID, assurance=types_pb2.ASSURANCE_STATIC_CARD
    )
    sale.basket.currency_code = "EUR"
    for code in ("A", "B"):
        sale.basket.tax_groups.add(code=code, rate_ppm=250_000)
        sale.basket.lines.add(sku="A-1", quantity_milli=1000, amount_minor=199, tax_code=code)
    sale.spend.points_max = 100
    sale.origin.channel = types_pb2.CHANNEL_STORE
    sale.origin.store_id = "S1"
    sale.origin.occurred_at.seconds = 1_700_000_000
    check = quick_check(ledger_pb2.PostSaleRequest)
    assert check is not None
    assert check(sale)
    sale.basket.tax_groups.add(code="A")
    assert not check(sale)


FIELD = descriptor_pb2.FieldDescriptorProto


def message_with(rules: dict[str, Any], kind: int, *, repeated: bool = False) -> type[Message]:
    """A message with one field ``value`` that has the given rules."""
    file = descriptor_pb2.FileDescriptorProto(name="one.proto", package="one", syntax="proto3")
    file.dependency.append("buf/validate/validate.proto")
    field = file.message_type.add(name="One").field.add(
        name="value",
        number=1,
        type=kind,
        label=FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL,
    )
    if kind == FIELD.TYPE_ENUM:
        file.enum_type.add(name="E").value.add(name="E_ZERO", number=0)
        field.type_name = ".one.E"
    if kind == FIELD.TYPE_MESSAGE:
        file.dependency.append("google/protobuf/timestamp.proto")
        field.type_name = ".google.protobuf.Timestamp"
    field.options.Extensions[validate_pb2.field].CopyFrom(validate_pb2.FieldRules(**rules))
    pool = descriptor_pool.DescriptorPool()
    seen: set[str] = set()

    def add(name: str) -> None:
        if name not in seen:
            seen.add(name)
            found = descriptor_pool.Default().FindFileByName(name)
            for dependency in found.dependencies:
                add(dependency.name)
            copy = descriptor_pb2.FileDescriptorProto()
            found.CopyToProto(copy)
            pool.Add(copy)

    for dependency in file.dependency:
        add(dependency)
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("one.One"))


@pytest.mark.parametrize(
    ("rules", "kind"),
    [
        ({"string": {"pattern": "^[a-z]+|x$"}}, FIELD.TYPE_STRING),
        ({"string": {"pattern": "^\\d+$"}}, FIELD.TYPE_STRING),
        ({"string": {"pattern": "^.$"}}, FIELD.TYPE_STRING),
        ({"string": {"pattern": "[a-z]"}}, FIELD.TYPE_STRING),
        ({"string": {"pattern": "^(?i)a$"}}, FIELD.TYPE_STRING),
        ({"string": {"pattern": "^a++$"}}, FIELD.TYPE_STRING),
        ({"string": {"email": True}}, FIELD.TYPE_STRING),
        ({"string": {"prefix": "a"}}, FIELD.TYPE_STRING),
        ({"required": True}, FIELD.TYPE_STRING),
        ({"ignore": validate_pb2.IGNORE_ALWAYS}, FIELD.TYPE_STRING),
        ({"cel": [{"id": "x", "message": "x", "expression": "this != 'x'"}]}, FIELD.TYPE_STRING),
        ({"cel_expression": ["this != 'x'"]}, FIELD.TYPE_STRING),
        ({"int32": {"gt": 1}}, FIELD.TYPE_INT32),
        ({"uint32": {"gte": 1}}, FIELD.TYPE_UINT32),
        ({"bytes": {"max_len": 1}}, FIELD.TYPE_BYTES),
        ({"enum": {"not_in": [0]}}, FIELD.TYPE_ENUM),
        ({"enum": {"const": 0}}, FIELD.TYPE_ENUM),
    ],
)
def test_a_rule_that_is_not_known_is_left_to_protovalidate(rules: dict[str, Any], kind: int) -> None:
    assert quick_check(message_with(rules, kind)) is None


@pytest.mark.parametrize(
    "items",
    [{"required": True}, {"cel_expression": ["this != 'x'"]}, {"ignore": validate_pb2.IGNORE_IF_ZERO_VALUE}],
)
def test_a_rule_of_items_that_is_not_known_is_left_to_protovalidate(items: dict[str, Any]) -> None:
    rules = {"repeated": {"items": {**items, "string": {"min_len": 1}}}}
    assert quick_check(message_with(rules, FIELD.TYPE_STRING, repeated=True)) is None


def test_a_required_message_that_is_missing_is_not_passed_even_if_its_zero_value_would_be() -> None:
    rules = {"required": True, "timestamp": {"gte": {}, "lt": {"seconds": 10}}}
    message_class = message_with(rules, FIELD.TYPE_MESSAGE)
    check = quick_check(message_class)
    assert check is not None
    message: Any = message_class()
    assert not check(message)
    message.value.seconds = 10
    assert not check(message)
    message.value.seconds = 9
    assert check(message)


def test_a_text_is_measured_in_bytes_where_the_rule_says_so() -> None:
    check = quick_check(admin_pb2.PublishRuleSetRequest)
    assert check is not None
    assert check(admin_pb2.PublishRuleSetRequest(request_id=MEMBER_ID, text="é" * 24_576))
    assert not check(admin_pb2.PublishRuleSetRequest(request_id=MEMBER_ID, text="é" * 24_577))


def test_a_message_without_rules_is_always_passed() -> None:
    check = quick_check(admin_pb2.GetTotalsRequest)
    assert check is not None
    assert check(admin_pb2.GetTotalsRequest())
