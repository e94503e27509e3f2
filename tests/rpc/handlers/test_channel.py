"""The handlers behind real gRPC: what the other tests call in process, over a socket with a real client."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from tallystick.rpc.grpc_server import GrpcSettings
from tallystick.rpc.server import Server, ServerSettings
from tallystick.v1 import identity_pb2, ledger_pb2
from tests.rpc.edge import LoopThread, call, failure_of
from tests.rpc.handlers.world import Caller, World, enrol_request, message_of, sale_request

LEDGER = "/tallystick.v1.LedgerService/"


class Served:
    """A world whose pipeline listens on a free port."""

    def __init__(self, world: World, loop: LoopThread) -> None:
        self.world = world
        settings = ServerSettings(
            grpc=GrpcSettings(address="127.0.0.1:0"),
            http_address="",
            ops_address="",
            drain_wait_s=0.0,
            drain_grace_s=5.0,
        )

        async def start() -> Server:
            server = Server(settings, world.pipeline)
            await server.start()
            return server

        self.server = loop.run(start())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.bound.grpc_port}")

    def send(self, path: str, request: Any, response_class: Any, caller: Caller | None = None) -> Any:
        metadata = (("authorization", f"Bearer {self.world.token(caller or Caller())}"),)
        return response_class.FromString(call(self.channel, path, request, metadata=metadata))


@pytest.fixture(scope="module")
def loop() -> LoopThread:
    return LoopThread()


@pytest.fixture
def served(tmp_path: Path, loop: LoopThread) -> Iterator[Served]:
    made = Served(World(tmp_path), loop)
    yield made
    made.channel.close()
    loop.run(made.server.drain())
    made.world.close()


def enrolled(served: Served) -> str:
    request = enrol_request(text="+46701740605")
    path = "/tallystick.v1.IdentityService/Enrol"
    assert served.send(path, request, identity_pb2.EnrolResponse).HasField("enrolled")
    return request.member_id


def test_a_member_enrols_is_identified_and_earns_over_a_socket(served: Served) -> None:
    member = enrolled(served)
    sale = served.send(f"{LEDGER}PostSale", sale_request(member, 1999), ledger_pb2.PostSaleResponse)
    assert sale.decision.posted.benefits.earned_points == 19
    scan = message_of("Identify", {"text": "070-174 06 05", "channel": "CHANNEL_STORE"})
    path = "/tallystick.v1.IdentityService/Identify"
    found = served.send(path, scan, identity_pb2.IdentifyResponse).identified
    assert (found.member_id, found.balance.active) == (member, 19)


def test_of_many_parallel_burns_of_one_balance_one_wins(served: Served) -> None:
    member = enrolled(served)
    served.send(f"{LEDGER}PostSale", sale_request(member, 10_000), ledger_pb2.PostSaleResponse)

    def burn(_: int) -> bool:
        request = sale_request(member, 100, spend={"points": 100})
        answer = served.send(f"{LEDGER}PostSale", request, ledger_pb2.PostSaleResponse)
        return bool(answer.decision.HasField("posted"))

    with ThreadPoolExecutor(10) as threads:
        assert sum(threads.map(burn, range(50))) == 1
    request = ledger_pb2.GetBalanceRequest(member_id=member)
    assert served.send(f"{LEDGER}GetBalance", request, ledger_pb2.GetBalanceResponse).balance.active == 0


def test_one_sale_sent_from_many_clients_at_once_is_posted_once(served: Served) -> None:
    member = enrolled(served)
    request = sale_request(member, 10_000)

    def post(_: int) -> ledger_pb2.Decision:
        answer = served.send(f"{LEDGER}PostSale", request, ledger_pb2.PostSaleResponse)
        decision: ledger_pb2.Decision = answer.decision
        return decision

    with ThreadPoolExecutor(10) as threads:
        decisions = list(threads.map(post, range(40)))
    assert sum(not decision.replayed for decision in decisions) == 1
    assert len({decision.posted.SerializeToString(deterministic=True) for decision in decisions}) == 1


def test_an_error_of_a_use_case_reaches_the_client_with_reason_and_metadata(served: Served) -> None:
    member = enrolled(served)
    request = sale_request(member, 1000, store_id="elsewhere")
    failure = failure_of(lambda: served.send(f"{LEDGER}PostSale", request, ledger_pb2.PostSaleResponse))
    assert failure.code is grpc.StatusCode.PERMISSION_DENIED
    assert (failure.reason, failure.info.metadata["field"]) == ("ORIGIN_MISMATCH", "origin.store_id")
