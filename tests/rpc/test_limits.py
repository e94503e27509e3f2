"""Nobody gets more than a share: calls of one caller, and calls at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.message import Message

from tallystick.rpc.call import Call
from tallystick.rpc.limits import Limits, Rate, RateLimiter, address_of
from tallystick.v1 import ledger_pb2, options_pb2, till_pb2
from tests.rpc.edge import (
    GET_BALANCE,
    MEMBER_ID,
    Edge,
    Failure,
    StartEdge,
    balance_request,
    call,
    failure_of,
    services_with,
)

LIST_LOTS = "/tallystick.v1.LedgerService/ListLots"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.7:51234", "ipv4:10.0.0.7"),
        ("http:10.0.0.7:51234", "http:10.0.0.7"),
        ("ipv6:[2001:db8:1:2:3:4:5:6]:443", "ipv6:2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2::9%5D:443", "ipv6:2001:db8:1:2::/64"),
        ("http:2001:db8:1:2:ffff::1:443", "http:2001:db8:1:2::/64"),
        ("http:::1:443", "http:::/64"),
        ("ipv6:[fe80::1%25eth0]:443", "ipv6:fe80::/64"),
        ("http:::ffff:10.0.0.7:443", "http:10.0.0.7"),
        ("unix:", "unix"),
        ("", ""),
    ],
)
def test_a_caller_is_an_address_or_a_network_of_ipv6_whatever_the_port(peer: str, address: str) -> None:
    assert address_of(peer) == address


def test_a_burst_is_allowed_and_then_the_rate_holds() -> None:
    limiter = RateLimiter(Rate(per_s=10, burst=3), callers_max=10)
    assert [limiter.wait_s("a", 100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert round(limiter.wait_s("a", 100.0), 3) == 0.1
    assert limiter.wait_s("a", 100.11) == 0.0
    assert limiter.wait_s("a", 100.11) > 0.0


def test_waiting_costs_nothing_and_a_pause_fills_the_bucket_no_further_than_the_burst() -> None:
    limiter = RateLimiter(Rate(per_s=10, burst=2), callers_max=10)
    for _ in range(50):
        limiter.wait_s("a", 0.0)
    assert limiter.wait_s("a", 0.25) == 0.0
    assert [limiter.wait_s("a", 1000.0) > 0 for _ in range(3)] == [False, False, True]


def test_callers_have_a_bucket_each() -> None:
    limiter = RateLimiter(Rate(per_s=1, burst=1), callers_max=10)
    assert limiter.wait_s("a", 0.0) == 0.0
    assert limiter.wait_s("b", 0.0) == 0.0
    assert limiter.wait_s("a", 0.0) > 0.0


def test_a_flood_of_new_callers_takes_no_more_memory() -> None:
    limiter = RateLimiter(Rate(per_s=1, burst=2), callers_max=100)
    for number in range(5000):
        limiter.wait_s(f"stranger-{number}", 10.0 + number * 0.001)
    assert len(limiter) <= 100


def test_strangers_who_come_and_go_do_not_push_out_who_was_busy() -> None:
    limiter = RateLimiter(Rate(per_s=1, burst=100), callers_max=100)
    assert [limiter.wait_s("busy", 0.0) for _ in range(100)] == [0.0] * 100
    for number in range(2500):
        limiter.wait_s(f"stranger-{number}", number * 0.02)
    # In 50 seconds it has regained 50 calls and not the 100 of a newcomer.
    assert [limiter.wait_s("busy", 50.0) == 0.0 for _ in range(100)].count(True) == 50


def test_a_caller_above_its_rate_is_told_when_to_come_back(serve: StartEdge) -> None:
    edge = serve(limits=Limits(rates={options_pb2.ROLE_TILL: Rate(per_s=2, burst=3)}))
    channel, metadata = edge.channel(), edge.issuer.bearer()
    for _ in range(3):
        call(channel, GET_BALANCE, balance_request(), metadata=metadata)
    failure = failure_of(lambda: call(channel, GET_BALANCE, balance_request(), metadata=metadata))
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    assert dict(failure.info.metadata) == {"limit": "calls_per_s", "max": "2"}
    assert 0.0 < failure.retry_s <= 0.5
    assert 1 <= int(failure.trailers["grpc-retry-pushback-ms"]) <= 500
    other = edge.issuer.bearer(device_id=MEMBER_ID)
    assert call(channel, GET_BALANCE, balance_request(), metadata=other) == b""


def test_public_methods_are_counted_by_address(serve: StartEdge) -> None:
    edge = serve(limits=Limits(rates={options_pb2.ROLE_PUBLIC: Rate(per_s=1, burst=2)}))
    request = till_pb2.IssueTokenRequest(client_assertion="x")
    path = "/tallystick.v1.TillService/IssueToken"
    # Two connections, so two ports of one address.
    one, two = edge.channel(use_local_subchannel_pool=1), edge.channel(use_local_subchannel_pool=1)
    call(one, path, request)
    call(two, path, request)
    assert failure_of(lambda: call(two, path, request)).reason == "RATE_LIMITED"


def test_beyond_the_calls_at_once_the_server_sheds_at_once_and_says_when_to_retry(serve: StartEdge) -> None:
    entered, release = threading.Semaphore(0), asyncio.Event()

    async def get_balance(_request: Message, _call: Call) -> Message:
        entered.release()
        await release.wait()
        return ledger_pb2.GetBalanceResponse()

    edge = serve(services_with(get_balance=get_balance), limits=Limits(rates={}, in_flight_max=2))
    channel, metadata = edge.channel(), edge.issuer.bearer()
    with ThreadPoolExecutor(4) as pool:
        held = [
            pool.submit(call, channel, GET_BALANCE, balance_request(), metadata=metadata) for _ in range(2)
        ]
        assert all(entered.acquire(timeout=5) for _ in range(2))
        failure = failure_of(lambda: call(channel, GET_BALANCE, balance_request(), metadata=metadata))
        edge.loop.loop.call_soon_threadsafe(release.set)
        assert [future.result(5) for future in held] == [b"", b""]
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert failure.retry_s > 0
    assert int(failure.trailers["grpc-retry-pushback-ms"]) > 0
    assert call(channel, GET_BALANCE, balance_request(), metadata=metadata) == b""


def test_a_method_that_carries_batches_takes_larger_messages(serve: StartEdge) -> None:
    table = {GET_BALANCE.lstrip("/"): 100}
    edge = serve(limits=Limits(message_bytes_max=50, bytes_max_by_method=table))
    channel, metadata = edge.channel(), edge.issuer.bearer()
    unknown_field = b"\xfa\x7f\x14" + b"x" * 20

    def refused(path: str, payload: bytes) -> Failure:
        return failure_of(lambda: call(channel, path, payload, metadata=metadata))

    request = balance_request().SerializeToString()
    assert call(channel, GET_BALANCE, request + unknown_field, metadata=metadata) == b""
    assert refused(GET_BALANCE, request + unknown_field * 3).info.metadata["max_bytes"] == "100"
    assert refused(LIST_LOTS, request + unknown_field).info.metadata["max_bytes"] == "50"


def test_nothing_is_left_counted_when_calls_are_over(edge: Edge) -> None:
    for _ in range(5):
        failure_of(lambda: call(edge.channel(), GET_BALANCE, b"\xff", metadata=edge.issuer.bearer()))
    assert edge.pipeline.metrics.in_flight == 0
