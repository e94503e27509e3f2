"""Messages as JSON, and what is refused of it."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from tallystick import v1
from tallystick.rpc.json_codec import message_from_json, message_to_json
from tallystick.rpc.service import RECURSION_MAX
from tallystick.v1 import ledger_pb2
from tests.rpc.edge import MEMBER_ID


def read(text: bytes) -> ledger_pb2.PostSaleRequest:
    message = message_from_json(ledger_pb2.PostSaleRequest, text)
    assert isinstance(message, ledger_pb2.PostSaleRequest)
    return message


def test_a_message_survives_the_way_there_and_back() -> None:
    message = ledger_pb2.PostSaleRequest(member_id=MEMBER_ID, reward_ids=["kaffe", "bulle ☕"], assurance=2)  # type: ignore[arg-type]
    message.basket.lines.add(sku="A", quantity_milli=1000, amount_minor=10**12)
    assert read(message_to_json(message)) == message


def test_both_spellings_of_a_field_and_numbers_as_text_are_read() -> None:
    assert read(b'{"memberId":"m"}') == read(b'{"member_id":"m"}')
    line = b'{"basket":{"lines":[{"amountMinor":%b}]}}'
    assert read(line % b'"12"').basket.lines[0].amount_minor == 12
    assert read(line % b"12").basket.lines[0].amount_minor == 12


def test_a_field_that_is_not_known_yet_is_ignored_and_an_empty_text_is_an_empty_message() -> None:
    assert read(b'{"memberId":"m","fromTheFuture":{"a":[1]}}').member_id == "m"
    assert read(b'{"assurance":"ASSURANCE_OF_THE_FUTURE"}').assurance == 0
    assert read(b"") == ledger_pb2.PostSaleRequest()


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b'{"memberId":1}',
        b'{"memberId":"a","memberId":"b"}',
        b'{"memberId":"a","member_id":"b"}',
        b'{"basket":{"lines":[{"amount_minor":1,"sku":"A","amountMinor":2}]}}',
        b'{"memberId":"\\ud800"}',
        b'{"basket":{"lines":[{"amountMinor":1.5}]}}',
        b'{"basket":{"lines":[{"amountMinor":NaN}]}}',
        b'{"basket":{"lines":[{"amountMinor":Infinity}]}}',
        b'{"basket":{"lines":[{"amountMinor":1e400}]}}',
        b'{"basket":{"lines":[{"amountMinor":9223372036854775808}]}}',
        b'{"basket":{"lines":[{"amountMinor":%s}]}}' % (b"9" * 60_000),
        b"\xff\xfe{}",
        b'{"memberId":"\xc3"}',
        b'{"x":' + b"[" * 30_000,
        b'{"x":' * 8000 + b"1" + b"}" * 8000,
        b'{"x":' * (2 * RECURSION_MAX + 1) + b"1" + b"}" * (2 * RECURSION_MAX + 1),
    ],
    ids=lambda text: text[:40].decode("latin-1").encode("unicode_escape").decode(),
)
def test_a_text_that_is_no_message_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read(text)


def test_many_small_objects_are_refused_before_they_keep_everybody_waiting() -> None:
    """A quarter of a mebibyte of them, which any member's page may send, took a second of the process."""
    lines = b'{"basket":{"lines":[%b]}}'
    with pytest.raises(ValueError, match="too many objects"):
        read(lines % b",".join([b"{}"] * 80_000))
    assert len(read(lines % b",".join([b'{"categories":["[{","]}"]}'] * 1_000)).basket.lines) == 1_000


def test_no_request_has_a_map_whose_keys_would_be_taken_for_names_of_fields() -> None:
    """Two keys of a map may differ in nothing but their spelling."""
    modules = [
        importlib.import_module(f"{v1.__name__}.{one.name}") for one in pkgutil.iter_modules(v1.__path__)
    ]
    files = [module.DESCRIPTOR for module in modules if module.__name__.endswith("_pb2")]
    services = [service for file in files for service in file.services_by_name.values()]
    waiting = [method.input_type for service in services for method in service.methods]
    assert waiting
    seen = set(waiting)
    while waiting:
        for one in waiting.pop().fields:
            inner = one.message_type
            assert inner is None or not inner.GetOptions().map_entry, one.full_name
            if inner is not None and inner not in seen:
                seen.add(inner)
                waiting.append(inner)


def test_brackets_inside_texts_do_not_count_as_nesting() -> None:
    text = b'{"memberId":"' + b"[{" * 200 + b'\\"","rewardIds":["' + b"{" * 50 + b'"]}'
    assert read(text).member_id.startswith("[{[{")


def test_a_large_basket_is_not_taken_for_deep_nesting() -> None:
    lines = b",".join(b'{"sku":"A","categories":["x"]}' for _ in range(500))
    assert len(read(b'{"basket":{"lines":[' + lines + b"]}}").basket.lines) == 500
