"""TLS for both transports, from files that may be replaced under a running server.

New connections get the new certificate at once; those that are open keep the one that they began with. Files that
do not fit together (a key was replaced before its certificate, say) are left alone until they do.
"""

from __future__ import annotations

import datetime as dt
import logging
import ssl
import time
from pathlib import Path

import grpc
from cryptography import x509

from tallystick.core.record import record

FILE_BYTES_MAX = 262_144
RECHECK_S = 1.0
ALPN_HTTP1 = ("http/1.1",)

log = logging.getLogger("tallystick.tls")


class TlsRefused(Exception):
    """The certificate files cannot be used; the message names the file and the mend."""


@record(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files: the certificate chain and its key; with ``client_ca`` every client must show a certificate that
    one of those authorities signed (mTLS).
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


@record(frozen=True, slots=True)
class _Loaded:
    certificate: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext


class TlsSource:
    """The files as they are now. Raises TlsRefused when made from files that cannot be used."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamp = self._stamps()
        self._loaded = self._load()
        self._checked_at = time.monotonic()
        self._front = self._front_context()

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Credentials of a gRPC server; it asks again for every new connection."""
        return grpc.dynamic_ssl_server_credentials(
            self._grpc_configuration(),
            self._grpc_configuration,
            require_client_authentication=self._files.client_ca is not None,
        )

    def ssl_context(self) -> ssl.SSLContext:
        """A context for an asyncio server; each handshake is handed over to the newest files."""
        return self._front

    def _grpc_configuration(self) -> grpc.ServerCertificateConfiguration:
        loaded = self._current()
        return grpc.ssl_server_certificate_configuration(
            [(loaded.key, loaded.certificate)], root_certificates=loaded.client_ca
        )

    def _front_context(self) -> ssl.SSLContext:
        front = _server_context()
        front.load_cert_chain(self._files.certificate, self._files.key)
        self._require_client(front, self._loaded.client_ca)

        def hand_over(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = self._current().context

        front.sni_callback = hand_over
        return front

    def _current(self) -> _Loaded:
        # gRPC calls this from a thread of its own; at worst two threads load the same files.
        now = time.monotonic()
        if now - self._checked_at >= RECHECK_S:
            self._checked_at = now
            self._reload()
        return self._loaded

    def _reload(self) -> None:
        try:
            stamp = self._stamps()
            if stamp != self._stamp:
                self._loaded = self._load()
                self._stamp = stamp
                log.info("new certificate taken up")
        except TlsRefused as error:
            log.warning("new certificate files are not usable yet: %s", error)

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        files = [self._files.certificate, self._files.key]
        if self._files.client_ca is not None:
            files.append(self._files.client_ca)
        stamps = []
        for file in files:
            try:
                status = file.stat()
            except OSError as error:
                raise TlsRefused(f"{file} cannot be read: {error.strerror}") from None
            stamps.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(stamps)

    def _load(self) -> _Loaded:
        files = self._files
        certificate = _read(files.certificate)
        _require_valid(files.certificate, certificate)
        client_ca = _read(files.client_ca) if files.client_ca is not None else None
        context = _server_context()
        try:
            context.load_cert_chain(files.certificate, files.key)
        except (ssl.SSLError, OSError):
            raise TlsRefused(
                f"{files.key} is not the key of {files.certificate}: give the pair that was issued together"
            ) from None
        self._require_client(context, client_ca)
        return _Loaded(certificate, _read(files.key), client_ca, context)

    def _require_client(self, context: ssl.SSLContext, client_ca: bytes | None) -> None:
        if client_ca is None:
            return
        try:
            context.load_verify_locations(cadata=client_ca.decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise TlsRefused(f"{self._files.client_ca} holds no certificates in PEM form") from None
        context.verify_mode = ssl.CERT_REQUIRED


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(ALPN_HTTP1))
    return context


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise TlsRefused(f"{file} cannot be read: {error.strerror}") from None
    if not 0 < len(data) <= FILE_BYTES_MAX:
        raise TlsRefused(f"{file} is empty or larger than {FILE_BYTES_MAX} bytes: give a PEM file")
    return data


def _require_valid(file: Path, data: bytes) -> None:
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError:
        raise TlsRefused(f"{file} holds no certificate in PEM form") from None
    now = dt.datetime.now(dt.UTC)
    for certificate in certificates:
        if now > certificate.not_valid_after_utc:
            ended = certificate.not_valid_after_utc.date()
            raise TlsRefused(f"{file} holds a certificate that expired on {ended}: renew it")
