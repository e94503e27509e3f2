"""Messages as JSON: what is told of a wrong type, and how much room there is."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from tallystick.rpc.limits import MESSAGE_BYTES_MAX
from tests.rpc.connect_client import ask, balance_edge
from tests.rpc.edge import MEMBER_ID, Edge, LoopThread

SALE = "/tallystick.v1.LedgerService/PostSale"
START = "/tallystick.v1.TillService/IssueToken"


@pytest.fixture(scope="module")
def edge(loop: LoopThread) -> Iterator[Edge]:
    yield from balance_edge(loop)


def a_sale(lines: int, **more: object) -> bytes:
    """A sale as Python and PHP write JSON: every letter beyond ASCII is six bytes."""
    line = {
        "sku": "7310865004703",
        "categories": ["молоко", "продукты"],
        "quantityMilli": "1000",
        "amountMinor": "1999",
        "taxCode": "A",
    }
    origin = {"channel": "CHANNEL_STORE"}
    basket = {"currencyCode": "SEK", "taxGroups": [{"code": "A"}], "lines": [line] * lines}
    ids = {"commandId": MEMBER_ID, "memberId": MEMBER_ID, "assurance": "ASSURANCE_TYPED"}
    return json.dumps(ids | {"origin": origin, "basket": basket} | more).encode()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (a_sale(2).replace(b'"1999"', b"19.99", 1), "basket.lines.amountMinor"),
        (a_sale(1).replace(b'"1000"', b'"1,5"'), "basket.lines.quantityMilli"),
        (a_sale(1, origin={"occurredAt": "2026-11-23T23:50:00"}), "origin.occurredAt"),
        (a_sale(1, origin={"occurred_at": 1795478000}), "origin.occurred_at"),
        (a_sale(1, rewardIds="free-coffee"), "rewardIds"),
    ],
)
def test_json_that_is_not_of_a_fields_type_is_told_the_field_and_not_what_it_held(
    edge: Edge, body: bytes, field: str
) -> None:
    answer = ask(edge, SALE, body)
    assert (answer.status, answer.reason) == (400, "MESSAGE_MALFORMED")
    assert [one.field for one in answer.detail(BadRequest).field_violations] == [field]
    assert field in answer.error["message"]
    held = [b"19.99", b"1,5", b"23:50", b"1795478000", b"free-coffee"]
    assert [text for text in held if text in answer.body] == []


def test_json_has_room_for_all_the_lines_of_the_contract(edge: Edge) -> None:
    body = a_sale(500)
    assert len(body) > MESSAGE_BYTES_MAX
    assert ask(edge, SALE, body).status == 200
    answer = ask(edge, SALE, a_sale(501))
    assert (answer.status, answer.reason) == (400, "INVALID_INPUT")


def test_a_message_in_json_is_no_larger_than_in_binary(edge: Edge) -> None:
    answer = ask(edge, SALE, a_sale(1, rewardIds=["r" * MESSAGE_BYTES_MAX]))
    assert (answer.status, answer.reason) == (429, "MESSAGE_TOO_LARGE")
    assert answer.detail(ErrorInfo).metadata["max_bytes"] == str(MESSAGE_BYTES_MAX)


def test_strangers_have_no_more_room_in_json_than_in_binary(edge: Edge) -> None:
    answer = ask(edge, START, b"{" + b" " * MESSAGE_BYTES_MAX + b"}", token=False)
    assert (answer.status, answer.reason) == (429, "MESSAGE_TOO_LARGE")
