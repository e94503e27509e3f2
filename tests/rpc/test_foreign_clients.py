"""Clients that others wrote get the same answers over every transport."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from connectrpc.client import ConnectClientSync
from connectrpc.code import Code
from connectrpc.codec import Codec
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]
from pyqwest import HTTPVersion, SyncClient, SyncHTTPTransport

from tallystick.rpc.call import Call
from tallystick.rpc.server import ServerSettings
from tallystick.service.errors import NotFound
from tallystick.v1 import ledger_pb2, types_pb2
from tests.rpc.edge import (
    GET_BALANCE,
    MEMBER_ID,
    Edge,
    LoopThread,
    StartEdge,
    balance_request,
    failure_of,
    grpc_settings,
    services_with,
    start_edge,
)

BUF = Path(sys.executable).with_name("buf")
BALANCE = ledger_pb2.GetBalanceResponse(balance=types_pb2.Balance(active=42))
OTHER_ID = MEMBER_ID.replace("1", "2")


class MemberUnknown(NotFound):
    """No such member."""

    reason = "MEMBER_NOT_FOUND"


async def get_balance(request: ledger_pb2.GetBalanceRequest, _call: Call) -> Message:
    if request.member_id != MEMBER_ID:
        raise MemberUnknown(member_id=request.member_id)
    return BALANCE


@pytest.fixture(scope="module")
def edge(loop: LoopThread) -> Iterator[Edge]:
    shared = start_edge(loop, services_with(get_balance=get_balance), settings=ServerSettings())
    yield shared
    shared.stop()


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contract as a descriptor image."""
    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in files:
            for dependency in file.dependencies:
                add(dependency)
            files[file.name] = file

    add(ledger_pb2.DESCRIPTOR)
    image = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(image.file.add())
    path = tmp_path_factory.mktemp("schema") / "image.binpb"
    path.write_bytes(image.SerializeToString())
    return path


def buf_curl(edge: Edge, schema: Path, protocol: str) -> dict[str, Any]:
    """What ``buf curl`` makes of the error that it gets: it cannot set a deadline."""
    base, extra = (
        (edge.http, []) if protocol == "connect" else (f"http://{edge.target}", ["--http2-prior-knowledge"])
    )
    command = [str(BUF), "curl", "--schema", str(schema), "--protocol", protocol, *extra]
    command += ["-H", f"authorization: Bearer {edge.issuer.token()}"]
    command += ["-d", json.dumps({"memberId": MEMBER_ID}), f"{base}{GET_BALANCE}"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode != 0
    return dict(json.loads(answer.stderr))


@pytest.mark.parametrize("protocol", ["grpc", "connect"])
def test_buf_curl_reads_the_details_of_an_error(edge: Edge, schema: Path, protocol: str) -> None:
    error = buf_curl(edge, schema, protocol)
    assert error["code"] == "invalid_argument"
    assert "set a timeout" in error["message"]
    [info] = [detail for detail in error["details"] if detail["type"] == "google.rpc.ErrorInfo"]
    encoded = info["value"] + "=" * (-len(info["value"]) % 4)
    assert ErrorInfo.FromString(base64.b64decode(encoded)).reason == "DEADLINE_MISSING"


METHOD = MethodInfo(
    name="GetBalance",
    service_name="tallystick.v1.LedgerService",
    input=ledger_pb2.GetBalanceRequest,
    output=ledger_pb2.GetBalanceResponse,
    idempotency_level=IdempotencyLevel.NO_SIDE_EFFECTS,
    stream_type=StreamType.UNARY,
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way in which the Connect client can speak."""

    protocol: ProtocolType
    codec: Codec
    use_get: bool = False


DIALECTS = {
    "gRPC": Dialect(ProtocolType.GRPC, google_protobuf_binary_codec()),
    "Connect, binary": Dialect(ProtocolType.CONNECT, google_protobuf_binary_codec()),
    "Connect, JSON": Dialect(ProtocolType.CONNECT, google_protobuf_json_codec()),
    "Connect, binary, GET": Dialect(ProtocolType.CONNECT, google_protobuf_binary_codec(), use_get=True),
    "Connect, JSON, GET": Dialect(ProtocolType.CONNECT, google_protobuf_json_codec(), use_get=True),
}


def connect_call(edge: Edge, member_id: str, dialect: Dialect) -> Message:
    is_grpc = dialect.protocol is ProtocolType.GRPC
    version = HTTPVersion.HTTP2 if is_grpc else HTTPVersion.HTTP1
    # gRPC is served without compression.
    packing: Any = {"send_compression": None} if is_grpc else {}
    with (
        SyncHTTPTransport(http_version=version) as transport,
        ConnectClientSync(
            f"http://{edge.target}" if is_grpc else edge.http,
            codec=dialect.codec,
            protocol=dialect.protocol,
            timeout_ms=5000,
            http_client=SyncClient(transport),
            **packing,
        ) as client,
    ):
        answer: Message = client.execute_unary(
            request=ledger_pb2.GetBalanceRequest(member_id=member_id),
            method=METHOD,
            headers={"authorization": f"Bearer {edge.issuer.token()}"},
            use_get=dialect.use_get,
        )
        return answer


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
def test_the_connect_client_gets_answers_and_errors(edge: Edge, dialect: Dialect) -> None:
    assert connect_call(edge, MEMBER_ID, dialect) == BALANCE
    with pytest.raises(ConnectError) as raised:
        connect_call(edge, OTHER_ID, dialect)
    assert (raised.value.code, raised.value.message) == (Code.NOT_FOUND, "No such member.")
    [detail] = raised.value.details
    assert detail.type_name == "google.rpc.ErrorInfo"
    assert ErrorInfo.FromString(detail.message_bytes).metadata["member_id"] == OTHER_ID


def listed_services(edge: Edge) -> set[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(edge.channel())
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answers = stub.ServerReflectionInfo(iter([request]), timeout=5)
    return {service.name for service in next(answers).list_services_response.service}


def test_reflection_is_off_unless_asked_for(edge: Edge, serve: StartEdge) -> None:
    assert failure_of(lambda: listed_services(edge)).code is grpc.StatusCode.UNIMPLEMENTED
    open_edge = serve(settings=grpc_settings(reflection=True))
    assert {"tallystick.v1.LedgerService", "grpc.health.v1.Health"} <= listed_services(open_edge)


def test_reflection_leaves_the_methods_as_they_are(serve: StartEdge) -> None:
    edge = serve(services_with(get_balance=get_balance), settings=grpc_settings(reflection=True))
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = edge.channel().unary_unary(GET_BALANCE)
    answer = method(balance_request().SerializeToString(), timeout=5, metadata=edge.issuer.bearer())
    assert answer == BALANCE.SerializeToString()
