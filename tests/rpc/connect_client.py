"""A client of the Connect protocol as a browser is one, and the edge that its tests ask."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo

from tallystick.rpc.call import Call
from tallystick.rpc.server import ServerSettings
from tallystick.service.errors import NotFound
from tallystick.v1 import ledger_pb2, types_pb2
from tests.rpc.edge import GET_BALANCE, MEMBER_ID, Edge, LoopThread, services_with, start_edge

JSON = "application/json"
PROTO = "application/proto"
CARD = "https://card.example"
BALANCE = ledger_pb2.GetBalanceResponse(balance=types_pb2.Balance(active=42, tier_id="guld"))


class MemberUnknown(NotFound):
    """No such member."""

    reason = "MEMBER_NOT_FOUND"


async def get_balance(request: ledger_pb2.GetBalanceRequest, _call: Call) -> Message:
    if request.member_id != MEMBER_ID:
        raise MemberUnknown(member_id=request.member_id)
    return BALANCE


async def list_lots(_request: Message, _call: Call) -> Message:
    return ledger_pb2.ListLotsResponse(next_page_token="t" * 5000)


def balance_edge(loop: LoopThread) -> Iterator[Edge]:
    """An edge that knows the balance of one member, has a long page of lots, and lets the pages of CARD call."""
    services = services_with(get_balance=get_balance, list_lots=list_lots)
    shared = start_edge(loop, services, settings=ServerSettings(origins=(CARD,)))
    yield shared
    shared.stop()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        assert self.headers["content-type"] == JSON
        return dict(json.loads(self.body))

    def detail(self, kind: type[Message]) -> Any:
        for detail in self.error["details"]:
            if detail["type"] == kind.DESCRIPTOR.full_name:
                return kind.FromString(base64.b64decode(detail["value"] + "==="))
        raise AssertionError("no such detail")

    @property
    def reason(self) -> str:
        return str(self.detail(ErrorInfo).reason)


def ask(
    edge: Edge,
    path: str = GET_BALANCE,
    body: bytes | Message = b"",
    *,
    method: str = "POST",
    content_type: str = JSON,
    timeout_ms: str | None = "5000",
    token: bool = True,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    sent = {"content-type": content_type, "connect-protocol-version": "1"}
    if timeout_ms is not None:
        sent["connect-timeout-ms"] = timeout_ms
    if token:
        sent["authorization"] = f"Bearer {edge.issuer.token()}"
    connection = http.client.HTTPConnection("127.0.0.1", edge.server.bound.http_port, timeout=10)
    payload = body if isinstance(body, bytes) else body.SerializeToString()
    connection.request(method, path, payload or None, sent | dict(headers or {}))
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, read)


def as_json(member_id: str = MEMBER_ID) -> bytes:
    return json.dumps({"memberId": member_id}).encode()
