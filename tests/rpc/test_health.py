"""Probes and balancers learn whether to send calls here."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from tallystick.rpc.health import WATCHERS_MAX, Health
from tests.rpc.edge import Edge, LoopThread, StartEdge, failure_of

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def check(edge: Edge, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(edge.channel())
    return int(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status)


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("service", ["", "tallystick.v1.LedgerService", "tallystick.v1.AdminService"])
def test_the_process_and_each_service_are_serving(edge: Edge, service: str) -> None:
    assert check(edge, service) == SERVING


def test_a_service_that_is_not_served_is_not_found(edge: Edge) -> None:
    assert failure_of(lambda: check(edge, "tallystick.v1.Nothing")).code is grpc.StatusCode.NOT_FOUND


def test_a_health_request_that_is_no_message_is_an_invalid_argument(edge: Edge) -> None:
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = edge.channel().unary_unary(
        "/grpc.health.v1.Health/Check"
    )
    assert failure_of(lambda: method(b"\xff", timeout=5)).code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_process_that_cannot_work_says_so_and_recovers(serve: StartEdge) -> None:
    edge = serve()
    edge.loop.loop.call_soon_threadsafe(edge.server.health.set_serving, False)
    assert check(edge, "tallystick.v1.LedgerService") == NOT_SERVING
    assert get(f"{edge.http}/readyz")[0] == 503
    edge.loop.loop.call_soon_threadsafe(edge.server.health.set_serving, True)
    assert check(edge) == SERVING
    assert get(f"{edge.http}/readyz") == (200, b"ready\n")


def test_a_drain_tells_the_watchers_and_lets_them_go(serve: StartEdge) -> None:
    edge = serve()
    stub = health_pb2_grpc.HealthStub(edge.channel())
    seen: list[int] = []
    first = threading.Event()

    def watch() -> None:
        for answer in stub.Watch(health_pb2.HealthCheckRequest(), timeout=20):
            seen.append(answer.status)
            first.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert first.wait(5)
    edge.loop.loop.call_soon_threadsafe(edge.server.health.drain)
    watcher.join(5)
    assert not watcher.is_alive()
    assert seen == [SERVING, NOT_SERVING]
    edge.loop.loop.call_soon_threadsafe(edge.server.health.set_serving, True)
    assert check(edge) == NOT_SERVING


def test_a_drain_in_the_middle_of_an_answer_is_told_as_well(loop: LoopThread) -> None:
    async def watch() -> list[int]:
        health = Health(["a.B"])
        health.set_serving(True)
        answers = health._watch(health_pb2.HealthCheckRequest(service="a.B").SerializeToString(), None)  # type: ignore[arg-type]
        seen = [await anext(answers)]
        health.drain()
        seen += [answer async for answer in answers]
        return [health_pb2.HealthCheckResponse.FromString(answer).status for answer in seen]

    assert loop.run(watch()) == [SERVING, NOT_SERVING]


def test_watchers_are_limited_because_they_need_no_token(serve: StartEdge) -> None:
    edge = serve()
    stub = health_pb2_grpc.HealthStub(edge.channel())
    watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=20) for _ in range(WATCHERS_MAX)]
    for watch in watches:
        next(watch)
    failure = failure_of(lambda: next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=5)))
    assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert check(edge) == SERVING
    for watch in watches:
        watch.cancel()


def test_metrics_and_probes_have_a_door_of_their_own(edge: Edge) -> None:
    check(edge)
    ops = f"http://127.0.0.1:{edge.server.bound.ops_port}"
    status, text = get(f"{ops}/metrics")
    assert status == 200
    assert b"tallystick_rpc_in_flight 0.0" in text
    assert get(f"{ops}/healthz") == (200, b"ok\n")
    assert get(f"{ops}/readyz") == (200, b"ready\n")
    assert get(f"{ops}/other")[0] == 404
    assert get(f"{edge.http}/healthz") == (200, b"ok\n")
    assert get(f"{edge.http}/metrics")[0] == 404
