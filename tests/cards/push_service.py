"""A push service on this machine: HTTP/2 over TLS, which demands a client certificate as Apple's does."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.settings import SettingCodes

from tallystick.cards.apple_signing import PassSigner

WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """A push as it arrived."""

    headers: dict[str, str]
    body: bytes
    subject: str

    @property
    def push_token(self) -> str:
        return self.headers[":path"].rpartition("/")[2]


Say = Callable[[Request], tuple[int, dict[str, object]] | None]


@dataclass(slots=True)
class PushService:
    """Answers pushes as it is told to: ``say`` gives a status and a body, None closes the connection at once."""

    folder: Path
    signer: PassSigner
    say: Say = lambda _: (200, {})
    at_once: int = 3
    protocol: str = "h2"
    taken: list[Request] = field(default_factory=list)
    connections: int = 0
    _listener: socket.socket = field(init=False)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        server = self._certificate()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server)
        context.load_verify_locations(cadata=self.signer.authority.public_bytes(Encoding.PEM).decode())
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols([self.protocol])
        self._listener = context.wrap_socket(self._listener, server_side=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone would leave the accept that is under way.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(WAIT_S)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def client_context(self, signer: PassSigner | None = None) -> ssl.SSLContext:
        """The context of somebody who pushes with a certificate."""
        signer = signer or self.signer
        file = self.folder / f"client-{signer.certificate.serial_number}.pem"
        key = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(signer.certificate.public_bytes(Encoding.PEM) + key)
        context = ssl.create_default_context(cafile=str(self.folder / "server.pem"))
        context.load_cert_chain(file)
        return context

    def _certificate(self) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "push")])
        now = dt.datetime.now(dt.UTC)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(key, hashes.SHA256())
        )
        file = self.folder / "server.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(made.public_bytes(Encoding.PEM) + secret)
        return file

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            assert isinstance(connection, ssl.SSLSocket)
            connection.settimeout(WAIT_S)
            self.connections += 1
            with connection:
                try:
                    self._talk(connection)
                except OSError:
                    continue

    def _talk(self, connection: ssl.SSLSocket) -> None:
        h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        h2.initiate_connection()
        h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self.at_once})
        certificate = connection.getpeercert() or {}
        subject = str(certificate.get("subject", ""))
        headers: dict[int, dict[str, str]] = {}
        bodies: dict[int, bytes] = {}
        while True:
            connection.sendall(h2.data_to_send())
            data = connection.recv(65_536)
            if not data:
                return
            for event in h2.receive_data(data):
                if isinstance(event, RequestReceived):
                    headers[event.stream_id] = {str(n): str(v) for n, v in event.headers}
                    bodies[event.stream_id] = b""
                elif isinstance(event, DataReceived):
                    bodies[event.stream_id] += event.data
                elif isinstance(event, StreamEnded):
                    request = Request(headers[event.stream_id], bodies[event.stream_id], subject)
                    self.taken.append(request)
                    answer = self.say(request)
                    if answer is None:
                        return
                    status, body = answer
                    h2.send_headers(event.stream_id, [(":status", str(status))], end_stream=not body)
                    if body:
                        h2.send_data(event.stream_id, json.dumps(body).encode(), end_stream=True)
