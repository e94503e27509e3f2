"""A process that is told to stop loses no call."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.message import Message

from tallystick.rpc.call import Call
from tallystick.rpc.server import ServerSettings
from tallystick.v1 import ledger_pb2
from tests.rpc.edge import GET_BALANCE, StartEdge, balance_request, call, services_with


def service_config(*retried: str, watches_health: bool) -> str:
    retries = {
        "maxAttempts": 5,
        "initialBackoff": "0.01s",
        "maxBackoff": "0.1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": retried,
    }
    config: dict[str, object] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": [{}], "retryPolicy": retries}],
    }
    if watches_health:
        config["healthCheckConfig"] = {"serviceName": ""}
    return json.dumps(config)


WATCHING = service_config("UNAVAILABLE", watches_health=True)
# gRPC itself gives CANCELLED to a call that was sent in the moment in which its connection ends.
RETRYING = service_config("UNAVAILABLE", "CANCELLED", watches_health=False)


async def slow_balance(_request: Message, _call: Call) -> Message:
    await asyncio.sleep(0.05)
    return ledger_pb2.GetBalanceResponse()


@pytest.mark.parametrize("config", [WATCHING, RETRYING], ids=["watching health", "retrying"])
def test_a_drain_under_load_loses_no_call(serve: StartEdge, config: str) -> None:
    one = serve(services_with(get_balance=slow_balance), settings=ServerSettings(drain_wait_s=0.2))
    two = serve(services_with(get_balance=slow_balance))
    two.pipeline.authenticator._keys = one.pipeline.authenticator._keys
    stop = threading.Event()

    with (
        grpc.insecure_channel(
            f"ipv4:{one.target},{two.target}", [("grpc.service_config", config)]
        ) as channel,
        ThreadPoolExecutor(16) as pool,
    ):
        # An importer has no rate limit; a till would be held back here.
        metadata = one.issuer.bearer("IMPORTER")

        def load() -> int:
            answered = 0
            while not stop.is_set():
                assert call(channel, GET_BALANCE, balance_request(), metadata=metadata) == b""
                answered += 1
            return answered

        loads = [pool.submit(load) for _ in range(16)]
        time.sleep(0.5)
        one.loop.run(one.server.drain())
        time.sleep(0.5)
        stop.set()
        assert sum(future.result(20) for future in loads) > 100


def test_a_call_that_runs_when_the_drain_begins_is_answered(serve: StartEdge) -> None:
    entered, release = threading.Event(), asyncio.Event()

    async def get_balance(_request: Message, _call: Call) -> Message:
        entered.set()
        await release.wait()
        return ledger_pb2.GetBalanceResponse()

    edge = serve(services_with(get_balance=get_balance))
    channel = edge.channel()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(call, channel, GET_BALANCE, balance_request(), metadata=edge.issuer.bearer())
        assert entered.wait(5)
        drained = edge.loop.submit(edge.server.drain())
        time.sleep(0.3)
        assert not drained.done()
        edge.loop.loop.call_soon_threadsafe(release.set)
        assert held.result(5) == b""
        drained.result(10)


def test_a_browsers_call_that_runs_when_the_drain_begins_is_answered(serve: StartEdge) -> None:
    entered, release = threading.Event(), asyncio.Event()

    async def get_balance(_request: Message, _call: Call) -> Message:
        entered.set()
        await release.wait()
        return ledger_pb2.GetBalanceResponse()

    edge = serve(services_with(get_balance=get_balance))
    headers = {
        "authorization": f"Bearer {edge.issuer.token()}",
        "content-type": "application/proto",
        "connect-timeout-ms": "5000",
    }
    request = urllib.request.Request(
        f"{edge.http}{GET_BALANCE}", balance_request().SerializeToString(), headers
    )
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(urllib.request.urlopen, request, timeout=10)
        assert entered.wait(5)
        drained = edge.loop.submit(edge.server.drain())
        time.sleep(0.5)
        edge.loop.loop.call_soon_threadsafe(release.set)
        with held.result(10) as answer:
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        drained.result(10)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{edge.http}/healthz", timeout=5)


def test_calls_wait_at_the_door_while_it_is_held(serve: StartEdge) -> None:
    entered = threading.Event()

    async def get_balance(_request: Message, _call: Call) -> Message:
        entered.set()
        return ledger_pb2.GetBalanceResponse()

    edge = serve(services_with(get_balance=get_balance))
    with ThreadPoolExecutor(1) as pool:
        edge.loop.loop.call_soon_threadsafe(edge.pipeline.hold)
        held = pool.submit(
            call, edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer()
        )
        assert not entered.wait(0.3)
        assert not held.done()
        edge.loop.loop.call_soon_threadsafe(edge.pipeline.release)
        assert held.result(5) == b""


def test_a_call_that_arrives_just_before_the_goodbye_is_answered_after_it(serve: StartEdge) -> None:
    edge = serve()
    channel, metadata = edge.channel(), edge.issuer.bearer()
    call(channel, GET_BALANCE, balance_request(), metadata=metadata)
    drained = edge.loop.submit(edge.server.drain())
    give_up_at = time.monotonic() + 5
    while edge.pipeline.gate is None and time.monotonic() < give_up_at:
        time.sleep(0.001)
    assert edge.pipeline.gate is not None
    assert call(channel, GET_BALANCE, balance_request(), metadata=metadata) == b""
    drained.result(10)


def test_while_it_waits_a_draining_process_still_answers(serve: StartEdge) -> None:
    edge = serve(settings=ServerSettings(drain_wait_s=0.5))
    channel, metadata = edge.channel(), edge.issuer.bearer()
    drained = edge.loop.submit(edge.server.drain())
    time.sleep(0.1)
    assert not edge.server.health.serving
    assert call(channel, GET_BALANCE, balance_request(), metadata=metadata) == b""
    drained.result(10)


def test_a_call_that_does_not_end_is_cut_after_the_grace(serve: StartEdge) -> None:
    async def get_balance(_request: Message, _call: Call) -> Message:
        await asyncio.sleep(30)
        return ledger_pb2.GetBalanceResponse()

    edge = serve(services_with(get_balance=get_balance), settings=ServerSettings(drain_grace_s=0.3))
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = edge.channel().unary_unary(GET_BALANCE)
    future = method.future(balance_request().SerializeToString(), timeout=20, metadata=edge.issuer.bearer())
    time.sleep(0.2)
    began = time.monotonic()
    edge.loop.run(edge.server.drain())
    assert time.monotonic() - began < 5
    assert future.code() is not grpc.StatusCode.OK
