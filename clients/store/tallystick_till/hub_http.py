"""One till of a store serves the store's leases to the others: small signed messages over the shop's own network.

Every request and every answer is signed by the till that sends it, with the keys that the gateway told the store's
tills. A request is bound to its method, path, body, time and a number used once; an answer to its request. Nothing in
them is secret: member ids are random and say nothing about a person.
"""

from __future__ import annotations

import http.client
import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any, cast

from tallystick.core.ids import CommandId, MemberId
from tallystick.core.record import record
from tallystick.security.encoding import base64url_decode, base64url_encode, length_prefixed
from tallystick.security.envelope import HUB, body_holds, sign_body
from tallystick.security.keys import SigningKey, VerifyKey
from tallystick_till.errors import CannotSell
from tallystick_till.hub import LocalHub
from tallystick_till.ports import Granted, HubAway, Return

LIMIT, TAKE, VOUCHER = "/hub/v1/limit", "/hub/v1/take", "/hub/v1/voucher"
RELEASE = "/hub/v1/release"
BODY_BYTES_MAX = 4_096
ASK_S = 1.0
"""A cashier waits at most that long for the hub before only the floor limit is left."""
CONNECTION_S = 5.0
CONNECTIONS_MAX = 32
POLL_S = 0.1
SKEW_MS = 120_000
NONCES_MAX = 100_000
POINTS_MAX = 10**15

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_NONCE = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TILL, _TIME, _ONCE, _SIGNATURE = "tally-till", "tally-time", "tally-nonce", "tally-signature"

Keys = Callable[[], Mapping[str, VerifyKey]]
"""The public keys of the store's tills by till id."""


class HttpHub:
    """The store's hub at another till's address (host:port). ``state`` is reachable or away, as last found.

    ``own`` is the hub in this till's file, which stands by.
    """

    def __init__(
        self,
        address: str,
        *,
        hub_till_id: str,
        till_id: str,
        key: SigningKey,
        till_keys: Keys,
        now_ms: Callable[[], int],
        own: LocalHub | None = None,
    ) -> None:
        host, _, port = address.rpartition(":")
        self.own = own
        self._host, self._port = host.strip("[]"), int(port)
        self._hub_till_id = hub_till_id
        self._till_id = till_id
        self._key = key
        self._till_keys = till_keys
        self._now_ms = now_ms
        self.state = "away"

    def limit(self, member_id: MemberId) -> int:
        return _number(self._ask(LIMIT, {"member_id": member_id}), "points")

    def take(self, member_id: MemberId, advice_id: CommandId, points: int) -> list[Granted]:
        answer = self._ask(TAKE, {"member_id": member_id, "advice_id": advice_id, "points": points})
        granted = [
            Granted(CommandId(str(one["lease_id"])), _number(one, "points"))
            for one in answer.get("granted", [])
        ]
        if granted and sum(one.points for one in granted) != points:
            raise HubAway("the hub gave another amount than was asked for")
        return granted

    def use_voucher(self, voucher_id: CommandId, advice_id: CommandId) -> bool:
        return self._ask(VOUCHER, {"voucher_id": voucher_id, "advice_id": advice_id}).get("free") is True

    def release(self, member_id: MemberId) -> list[Return]:
        answer = self._ask(RELEASE, {"member_id": member_id})
        try:
            return [
                Return(CommandId(_uuid(one, "return_id")), member_id, CommandId(_uuid(one, "lease_id")))
                for one in answer.get("leases", [])
            ]
        except (AttributeError, TypeError, ValueError) as error:
            raise HubAway("the hub names no leases") from error

    def _ask(self, path: str, fields: dict[str, object]) -> dict[str, Any]:
        try:
            answer = self._exchange(path, json.dumps(fields).encode())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.state = "away"
            raise HubAway(f"the hub at {self._host}:{self._port} does not answer: {error}") from error
        except HubAway:
            self.state = "away"
            raise
        self.state = "reachable"
        return answer

    def _exchange(self, path: str, body: bytes) -> dict[str, Any]:
        nonce, time_ms = secrets.token_hex(16), str(self._now_ms())
        text = _request_text(path, self._till_id, time_ms, nonce, body)
        headers = {
            "content-type": "application/json",
            _TILL: self._till_id,
            _TIME: time_ms,
            _ONCE: nonce,
            _SIGNATURE: base64url_encode(sign_body(self._key, HUB, text)),
        }
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ASK_S)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            answer = response.read(BODY_BYTES_MAX + 1)
        finally:
            connection.close()
        signature = response.getheader(_SIGNATURE, "")
        text = _answer_text(self._hub_till_id, nonce, response.status, answer)
        if not _signed_by(self._till_keys(), self._hub_till_id, text, signature):
            raise HubAway(f"what answered at {self._host}:{self._port} is not the store's hub")
        fields = json.loads(answer)
        if response.status != 200 or not isinstance(fields, dict):
            raise HubAway(f"the hub refused: {answer[:200].decode(errors='replace')}")
        return fields


class HubServer:
    """Serves a local hub to the other tills; ``port`` is where. Starts with ``start``, ends with ``stop``."""

    def __init__(
        self,
        hub: LocalHub,
        address: str,
        *,
        till_id: str,
        key: SigningKey,
        till_keys: Keys,
        now_ms: Callable[[], int],
    ) -> None:
        host, _, port = address.rpartition(":")
        self._desk = _Desk(hub, till_id, key, till_keys, now_ms, _Nonces())
        self._server = _Server((host.strip("[]"), int(port)), self._desk)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="till-hub", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Nonces:
    """The numbers that were used lately. One that is forgotten belongs to a request that is too old by its time."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}
        self._lock = threading.Lock()

    def use(self, nonce: str, *, time_ms: int, now_ms: int) -> bool:
        with self._lock:
            while self._used and next(iter(self._used.values())) < now_ms - 2 * SKEW_MS:
                del self._used[next(iter(self._used))]
            if nonce in self._used or len(self._used) >= NONCES_MAX:
                return False
            self._used[nonce] = max(time_ms, now_ms)
            return True


@record(frozen=True, slots=True)
class _Desk:
    """What the server answers, apart from HTTP."""

    hub: LocalHub
    till_id: str
    key: SigningKey
    till_keys: Keys
    now_ms: Callable[[], int]
    nonces: _Nonces

    def refusal(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """Return why a request is not listened to; empty when it is."""
        till_id, time_text, nonce = (headers.get(name, "") for name in (_TILL, _TIME, _ONCE))
        if not (_NONCE.fullmatch(nonce) and time_text.isdecimal() and len(time_text) < 16):
            return "MALFORMED"
        text = _request_text(path, till_id, time_text, nonce, body)
        if not _signed_by(self.till_keys(), till_id, text, headers.get(_SIGNATURE, "")):
            return "NOT_A_TILL_OF_THE_STORE"
        now_ms, time_ms = self.now_ms(), int(time_text)
        if abs(now_ms - time_ms) > SKEW_MS:
            return "CLOCK"
        return "" if self.nonces.use(nonce, time_ms=time_ms, now_ms=now_ms) else "REPLAYED"

    def answer(self, path: str, body: bytes) -> dict[str, object]:
        """Do what was asked. Raises ``ValueError`` for what is no request of this protocol."""
        fields = json.loads(body)
        if not isinstance(fields, dict):
            raise ValueError("not an object")
        if path == LIMIT:
            member_id = MemberId(_uuid(fields, "member_id"))
            self.hub.visited(member_id)
            return {"points": self.hub.limit(member_id)}
        if path == RELEASE:
            found = self.hub.release(MemberId(_uuid(fields, "member_id")))
            return {"leases": [{"lease_id": one.lease_id, "return_id": one.command_id} for one in found]}
        advice_id = CommandId(_uuid(fields, "advice_id"))
        if path == TAKE:
            points = _number(fields, "points")
            granted = self.hub.take(MemberId(_uuid(fields, "member_id")), advice_id, points)
            return {"granted": [{"lease_id": one.hold_id, "points": one.points} for one in granted]}
        if path == VOUCHER:
            return {"free": self.hub.use_voucher(CommandId(_uuid(fields, "voucher_id")), advice_id)}
        raise ValueError("no such path")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], desk: _Desk) -> None:
        self.desk = desk
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(address, _Handler)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        # Beyond its tills nobody has business here: what floods the port is dropped, and takes no thread.
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """A connection that broke is the other till's to notice."""


class _Handler(BaseHTTPRequestHandler):
    timeout = CONNECTION_S

    def do_POST(self) -> None:
        desk = cast("_Server", self.server).desk
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            self._send(413, {"error": "MALFORMED"})
            return
        body = self.rfile.read(int(length))
        refused = desk.refusal(self.path, {name.lower(): text for name, text in self.headers.items()}, body)
        if refused:
            self._send(403, {"error": refused, "now_ms": desk.now_ms()})
            return
        try:
            self._send(200, desk.answer(self.path, body))
        except (ValueError, RecursionError):
            self._send(400, {"error": "MALFORMED"})
        except CannotSell as error:
            self._send(503, {"error": error.reason})

    def _send(self, status: int, fields: dict[str, object]) -> None:
        desk = cast("_Server", self.server).desk
        body = json.dumps(fields).encode()
        text = _answer_text(desk.till_id, self.headers.get(_ONCE, ""), status, body)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header(_SIGNATURE, base64url_encode(sign_body(desk.key, HUB, text)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Members are not written to any log."""


def _request_text(path: str, till_id: str, time_ms: str, nonce: str, body: bytes) -> bytes:
    return length_prefixed(
        (b"request", b"POST", path.encode(), till_id.encode(), time_ms.encode(), nonce.encode(), body)
    )


def _answer_text(till_id: str, nonce: str, status: int, body: bytes) -> bytes:
    return length_prefixed((b"answer", till_id.encode(), nonce.encode(), str(status).encode(), body))


def _signed_by(keys: Mapping[str, VerifyKey], till_id: str, text: bytes, signature: str) -> bool:
    try:
        raw = base64url_decode(signature)
    except ValueError:
        return False
    return body_holds(keys, HUB, text, key_id=till_id, signature=raw)


def _uuid(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError(f"{name} is no id")
    return value


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= POINTS_MAX:
        raise ValueError(f"{name} is no number of points")
    return value
