"""Deadlines and callers that go away: they end the waiting, never what was handed over to be committed."""

from __future__ import annotations

import asyncio
import threading
import time

import grpc
from google.protobuf.message import Message

from tallystick.rpc.call import Call
from tallystick.rpc.limits import Limits
from tallystick.v1 import ledger_pb2
from tests.rpc.edge import GET_BALANCE, Edge, StartEdge, balance_request, call, failure_of, services_with


def count_of(edge: Edge, code: str) -> int:
    rows = edge.pipeline.metrics.exposition().decode().splitlines()
    labels = f'{{code="{code}",method="{GET_BALANCE.lstrip("/")}"}}'
    counts = [row.rpartition(" ")[2] for row in rows if row.startswith(f"tallystick_rpc_calls_total{labels}")]
    return round(float(counts[0])) if counts else 0


def wait_for_count(edge: Edge, *codes: str) -> None:
    """Wait until one call has ended at the server, with one of these codes."""
    give_up_at = time.monotonic() + 5
    while sum(count_of(edge, code) for code in codes) != 1 and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert sum(count_of(edge, code) for code in codes) == 1


class Commits:
    """A handler that hands work to another task, as a lane does, and waits for its result."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.committed = threading.Event()
        self.release = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def get_balance(self, _request: Message, _call: Call) -> Message:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._commit(waiter))
        self._tasks.add(task)
        self.entered.set()
        await waiter
        return ledger_pb2.GetBalanceResponse()

    async def _commit(self, waiter: asyncio.Future[None]) -> None:
        await self.release.wait()
        self.committed.set()
        if not waiter.done():
            waiter.set_result(None)


def test_a_client_that_cancels_does_not_cut_a_commit(serve: StartEdge) -> None:
    commits = Commits()
    edge = serve(services_with(get_balance=commits.get_balance))
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = edge.channel().unary_unary(GET_BALANCE)
    future = method.future(balance_request().SerializeToString(), timeout=10, metadata=edge.issuer.bearer())
    assert commits.entered.wait(5)
    assert future.cancel()
    wait_for_count(edge, "CANCELLED")
    assert not commits.committed.is_set()
    edge.loop.loop.call_soon_threadsafe(commits.release.set)
    assert commits.committed.wait(5)
    assert edge.pipeline.metrics.in_flight == 0


def test_a_deadline_that_passes_does_not_cut_a_commit(serve: StartEdge) -> None:
    commits = Commits()
    edge = serve(services_with(get_balance=commits.get_balance))
    channel = edge.channel()
    # The time goes to the call, not to connecting.
    grpc.channel_ready_future(channel).result(10)
    failure = failure_of(
        lambda: call(channel, GET_BALANCE, balance_request(), metadata=edge.issuer.bearer(), timeout_s=1.0)
    )
    assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
    # Of the deadline here and the caller who goes away at the same instant either may come first.
    wait_for_count(edge, "DEADLINE_EXCEEDED", "CANCELLED")
    edge.loop.loop.call_soon_threadsafe(commits.release.set)
    assert commits.committed.wait(5)


def test_the_handler_gets_the_callers_deadline(serve: StartEdge) -> None:
    remaining: list[float] = []

    async def get_balance(_request: Message, call: Call) -> Message:
        remaining.append(call.deadline - time.monotonic())
        return ledger_pb2.GetBalanceResponse()

    edge = serve(services_with(get_balance=get_balance))
    call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer(), timeout_s=7)
    # gRPC sends it rounded up.
    assert 6 < remaining[0] < 7.1


def test_a_deadline_beyond_the_maximum_is_cut_to_it_and_enforced(serve: StartEdge) -> None:
    async def get_balance(_request: Message, _call: Call) -> Message:
        await asyncio.sleep(30)
        return ledger_pb2.GetBalanceResponse()

    edge = serve(services_with(get_balance=get_balance), limits=Limits(deadline_max_s=0.2))
    began = time.monotonic()
    failure = failure_of(
        lambda: call(
            edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer(), timeout_s=20
        )
    )
    assert (failure.code, failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED")
    assert time.monotonic() - began < 5


def test_a_timeout_inside_a_handler_is_a_fault_of_the_server_not_the_callers_deadline(
    serve: StartEdge,
) -> None:
    async def get_balance(_request: Message, _call: Call) -> Message:
        raise TimeoutError("the database took too long")

    edge = serve(services_with(get_balance=get_balance), limits=Limits(deadline_max_s=1.0))
    failure = failure_of(
        lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer())
    )
    assert failure.reason == "INTERNAL"


def test_a_handler_whose_future_is_cancelled_still_answers_its_caller(serve: StartEdge) -> None:
    async def get_balance(_request: Message, _call: Call) -> Message:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future
        return ledger_pb2.GetBalanceResponse()

    edge = serve(services_with(get_balance=get_balance))
    began = time.monotonic()
    failure = failure_of(
        lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer())
    )
    assert (failure.code, failure.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert time.monotonic() - began < 5
