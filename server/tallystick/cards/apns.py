"""Telling phones that a pass has changed, through Apple's push service over HTTP/2 (RFC 9113).

A push for a pass is empty: the phone then asks the web service. The certificate of the pass type proves who pushes
(Apple: "Sending notification requests to APNs").
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError

from tallystick.cards.pushes import Became, Pushed, PushUnavailable
from tallystick.core.ids import Ms

TIMEOUT_S = 10.0
AT_ONCE_MAX = 100
ANSWER_BYTES_MAX = 4_096
READ_BYTES = 65_536

_TRY_LATER = frozenset({429, 500, 502, 503, 504})


@dataclass(slots=True)
class _Stream:
    push_token: str
    status: int = 0
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False


class Apns:
    """One connection to the push service, opened when it is needed. For one thread.

    ``context`` holds the client certificate; ``topic`` is the pass type identifier.
    """

    def __init__(self, host: str, port: int, *, context: ssl.SSLContext, topic: str) -> None:
        context.set_alpn_protocols(["h2"])
        self._address = (host, port)
        self._context = context
        self._topic = topic
        self._socket: ssl.SSLSocket | None = None
        self._h2 = H2Connection()

    def push(self, push_tokens: Sequence[str]) -> list[Pushed]:
        """Push to all tokens and return what became of each, in order.

        What got no answer before the service closed the connection is LATER. Raises ``PushUnavailable`` when it
        cannot be reached at all.
        """
        found: list[Pushed] = []
        while len(found) < len(push_tokens):
            stream = self._connected()
            most = max(1, min(AT_ONCE_MAX, self._h2.remote_settings.max_concurrent_streams))
            found += self._exchange(stream, push_tokens[len(found) : len(found) + most])
        return found

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> ssl.SSLSocket:
        if self._socket is not None:
            return self._socket
        try:
            plain = socket.create_connection(self._address, timeout=TIMEOUT_S)
        except OSError as error:
            raise PushUnavailable(f"{self._address[0]} cannot be reached: {error}") from error
        try:
            wrapped = self._context.wrap_socket(plain, server_hostname=self._address[0])
        except (OSError, ssl.SSLError) as error:
            plain.close()
            raise PushUnavailable(f"{self._address[0]} refused the connection: {error}") from error
        if wrapped.selected_alpn_protocol() != "h2":
            wrapped.close()
            raise PushUnavailable(f"{self._address[0]} does not speak HTTP/2")
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        # Sent along with the first push: a refused certificate shows itself only behind the handshake.
        self._h2.initiate_connection()
        self._socket = wrapped
        return wrapped

    def _exchange(self, connection: ssl.SSLSocket, push_tokens: Sequence[str]) -> list[Pushed]:
        streams: dict[int, _Stream] = {}
        try:
            for push_token in push_tokens:
                number = self._h2.get_next_available_stream_id()
                self._h2.send_headers(number, self._headers(push_token))
                self._h2.send_data(number, b"{}", end_stream=True)
                streams[number] = _Stream(push_token)
            connection.sendall(self._h2.data_to_send())
            while not all(stream.ended for stream in streams.values()):
                data = connection.recv(READ_BYTES)
                events = self._h2.receive_data(data) if data else []
                lost = not data or not self._take(events, streams)
                connection.sendall(self._h2.data_to_send())
                if lost:
                    self.close()
                    break
        except (OSError, ProtocolError):
            self.close()
        answered = [_answer(stream) for stream in streams.values()]
        return answered + [Pushed(token, Became.LATER) for token in push_tokens[len(answered) :]]

    def _take(self, events: Sequence[Event], streams: dict[int, _Stream]) -> bool:
        """Note what has come; False when the service has said good-bye and answers nothing more."""
        going_on = True
        for event in events:
            if isinstance(event, ConnectionTerminated):
                going_on = False
            elif isinstance(event, RemoteSettingsChanged):
                continue
            elif isinstance(event, ResponseReceived | DataReceived | StreamEnded | StreamReset):
                stream = streams.get(event.stream_id or 0)
                if stream is not None:
                    self._note(event, stream)
        return going_on

    def _note(
        self, event: ResponseReceived | DataReceived | StreamEnded | StreamReset, stream: _Stream
    ) -> None:
        if isinstance(event, ResponseReceived):
            headers = {str(name): str(value) for name, value in event.headers or ()}
            stream.status = int(headers.get(":status", "0"))
        elif isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            stream.body += (event.data or b"")[: ANSWER_BYTES_MAX - len(stream.body)]
        else:
            if isinstance(event, StreamReset) and event.error_code != ErrorCodes.NO_ERROR:
                stream.status = 0
            stream.ended = True

    def _headers(self, push_token: str) -> list[tuple[str, str]]:
        return [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", f"/3/device/{push_token}"),
            (":authority", self._address[0]),
            ("apns-topic", self._topic),
            ("content-length", "2"),
        ]


def _answer(stream: _Stream) -> Pushed:
    if stream.status == 200:
        return Pushed(stream.push_token, Became.SENT)
    try:
        said = json.loads(bytes(stream.body)) if stream.ended else {}
        reason, gone_ms = str(said.get("reason", "")), int(said.get("timestamp", 0))
    except (ValueError, TypeError, AttributeError):
        reason, gone_ms = "", 0
    if not stream.ended or not stream.status or stream.status in _TRY_LATER:
        return Pushed(stream.push_token, Became.LATER, reason)
    if stream.status == 410 or reason == "BadDeviceToken":
        return Pushed(stream.push_token, Became.GONE, reason, Ms(gone_ms))
    return Pushed(stream.push_token, Became.REFUSED, reason)
