"""Calls from web pages: those of an allowed origin may read answers, a widget calls from its own alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.rpc.connect_client import CARD, Answer, as_json, ask, balance_edge
from tests.rpc.edge import GET_BALANCE, MEMBER_ID, Edge, LoopThread, StartEdge, call, failure_of

QUOTE = "/tallystick.v1.LedgerService/Quote"


@pytest.fixture(scope="module")
def edge(loop: LoopThread) -> Iterator[Edge]:
    yield from balance_edge(loop)


def widget_call(edge: Edge, **headers: str) -> Answer:
    bearer = f"Bearer {edge.issuer.token('WIDGET', subject=MEMBER_ID, origin=CARD)}"
    body = {
        "memberId": MEMBER_ID,
        "basket": {"currencyCode": "EUR", "lines": [{"sku": "A", "quantityMilli": 1000, "amountMinor": 1}]},
        "origin": {"channel": "CHANNEL_WEBSHOP"},
        "assurance": "ASSURANCE_TYPED",
    }
    sent = {"authorization": bearer, **headers}
    return ask(edge, QUOTE, json.dumps(body).encode(), token=False, headers=sent)


def test_a_widget_calls_from_the_pages_of_its_own_origin(edge: Edge) -> None:
    answer = widget_call(edge, origin=CARD)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == CARD


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_a_widget_of_another_page_or_of_none_is_refused(edge: Edge, origin: str) -> None:
    answer = widget_call(edge, origin=origin) if origin else widget_call(edge)
    assert (answer.status, answer.reason) == (403, "WEB_ORIGIN_MISMATCH")


def test_grpc_takes_no_token_of_a_widget_whatever_it_says_of_its_origin(edge: Edge) -> None:
    token = edge.issuer.token("WIDGET", subject=MEMBER_ID, origin=CARD)
    metadata = (("authorization", f"Bearer {token}"), ("origin", CARD))
    failure = failure_of(lambda: call(edge.channel(), QUOTE, b"", metadata=metadata))
    assert failure.reason == "WEB_ORIGIN_MISMATCH"


def preflight(edge: Edge, origin: str, path: str = GET_BALANCE) -> Answer:
    headers = {"origin": origin, "access-control-request-method": "POST"}
    return ask(edge, path, method="OPTIONS", headers=headers, token=False)


def test_pages_of_an_allowed_origin_may_call(edge: Edge) -> None:
    answer = preflight(edge, CARD)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == CARD
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert "authorization" in answer.headers["access-control-allow-headers"]
    called = ask(edge, body=as_json(), headers={"origin": CARD})
    assert called.headers["access-control-allow-origin"] == CARD
    assert "Origin" in called.headers["vary"]


def test_pages_of_any_other_origin_may_not(edge: Edge, serve: StartEdge) -> None:
    for origin in ("https://evil.example", "https://card.example.evil", "null", CARD.upper()):
        assert "access-control-allow-origin" not in preflight(edge, origin).headers
    closed = serve()
    assert preflight(closed, CARD).status == 405
    assert "access-control-allow-origin" not in ask(closed, body=as_json(), headers={"origin": CARD}).headers
