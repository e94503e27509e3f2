"""TLS and mTLS on both transports, and certificates that are replaced under a running server."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from tallystick.rpc import tls
from tallystick.rpc.server import ServerSettings
from tallystick.rpc.tls import TlsFiles, TlsRefused, TlsSource
from tests.rpc.certificates import Authority, Pair
from tests.rpc.edge import GET_BALANCE, Edge, StartEdge, balance_request, call, failure_of


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def files(folder: Path, pair: Pair, client_ca: Authority | None = None) -> TlsFiles:
    certificate, key = pair.write(folder)
    ca_path = None
    if client_ca is not None:
        ca_path = folder / "client-ca.crt"
        ca_path.write_bytes(client_ca.certificate)
    return TlsFiles(certificate=certificate, key=key, client_ca=ca_path)


def secure_call(edge: Edge, authority: Authority, client: Pair | None = None) -> bytes:
    credentials = grpc.ssl_channel_credentials(
        authority.certificate,
        private_key=client.key if client else None,
        certificate_chain=client.certificate if client else None,
    )
    # A connection of its own, because only new connections see a new certificate.
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(edge.target.replace("127.0.0.1", "localhost"), credentials, options) as channel:
        return call(channel, GET_BALANCE, balance_request(), metadata=edge.issuer.bearer(), timeout_s=5)


def served_name(port: int) -> str:
    """The common name of the certificate that a port shows to a new connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as secured,
    ):
        der = secured.getpeercert(binary_form=True)
    assert der is not None
    return str(next(iter(x509.load_der_x509_certificate(der).subject)).value)


def test_calls_are_answered_over_tls_and_not_in_the_clear(
    serve: StartEdge, authority: Authority, tmp_path: Path
) -> None:
    edge = serve(settings=ServerSettings(tls=files(tmp_path, authority.issue("one"))))
    assert secure_call(edge, authority) == b""
    in_the_clear = failure_of(
        lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer())
    )
    assert in_the_clear.code is grpc.StatusCode.UNAVAILABLE


def test_with_mtls_only_clients_with_a_certificate_get_in(
    serve: StartEdge, authority: Authority, tmp_path: Path
) -> None:
    tills = Authority("tills")
    edge = serve(settings=ServerSettings(tls=files(tmp_path, authority.issue("one"), tills)))
    assert secure_call(edge, authority, tills.issue("till 1")) == b""
    assert failure_of(lambda: secure_call(edge, authority)).code is grpc.StatusCode.UNAVAILABLE
    stranger = Authority("tills").issue("till 1")
    assert failure_of(lambda: secure_call(edge, authority, stranger)).code is grpc.StatusCode.UNAVAILABLE


def test_http_can_ask_for_client_certificates_too(
    serve: StartEdge, authority: Authority, tmp_path: Path
) -> None:
    tills = Authority("tills")
    edge = serve(settings=ServerSettings(http_tls=files(tmp_path, authority.issue("one"), tills)))
    port = edge.server.bound.http_port

    def healthz(client: Pair | None) -> bytes:
        context = ssl.create_default_context(cadata=authority.certificate.decode())
        if client is not None:
            context.load_cert_chain(*client.write(tmp_path, "client"))
        # The server judges the certificate after the client believes that all is well.
        with (
            contextlib.suppress(ssl.SSLError, ConnectionError),
            socket.create_connection(("127.0.0.1", port), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as secured,
        ):
            secured.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            return secured.recv(100)
        return b""

    assert healthz(tills.issue("till 1")).startswith(b"HTTP/1.1 200")
    assert healthz(None) == b""
    assert healthz(Authority("tills").issue("till 1")) == b""


def test_new_certificate_files_are_taken_up_without_a_restart(
    serve: StartEdge, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "RECHECK_S", 0.0)
    pair = files(tmp_path, authority.issue("one"))
    edge = serve(settings=ServerSettings(tls=pair, http_tls=pair))
    ports = edge.server.bound.grpc_port, edge.server.bound.http_port
    assert [served_name(port) for port in ports] == ["one", "one"]
    with grpc.secure_channel(
        edge.target.replace("127.0.0.1", "localhost"), grpc.ssl_channel_credentials(authority.certificate)
    ) as open_channel:
        metadata = edge.issuer.bearer()
        assert call(open_channel, GET_BALANCE, balance_request(), metadata=metadata) == b""
        authority.issue("two").write(tmp_path)
        assert [served_name(port) for port in ports] == ["two", "two"]
        assert call(open_channel, GET_BALANCE, balance_request(), metadata=metadata) == b""
        assert secure_call(edge, authority) == b""


def test_files_that_do_not_fit_together_are_left_alone_until_they_do(
    serve: StartEdge, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "RECHECK_S", 0.0)
    pair = files(tmp_path, authority.issue("one"))
    edge = serve(settings=ServerSettings(tls=pair, http_tls=pair))

    def served() -> list[str]:
        return [served_name(port) for port in (edge.server.bound.grpc_port, edge.server.bound.http_port)]

    second = authority.issue("two")
    pair.key.write_bytes(second.key)
    assert served() == ["one", "one"]
    pair.certificate.write_bytes(b"")
    assert served() == ["one", "one"]
    pair.certificate.unlink()
    assert served() == ["one", "one"]
    pair.certificate.write_bytes(second.certificate)
    assert served() == ["two", "two"]


def test_files_are_looked_at_again_at_most_once_a_second(authority: Authority, tmp_path: Path) -> None:
    source = TlsSource(files(tmp_path, authority.issue("one")))
    before = source._current()
    authority.issue("two").write(tmp_path)
    assert source._current() is before
    source._checked_at = time.monotonic() - tls.RECHECK_S
    assert source._current() is not before


def test_a_start_with_an_expired_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(TlsRefused, match=r"server\.crt holds a certificate that expired on .*: renew it"):
        TlsSource(files(tmp_path, authority.issue("old", days=-1)))


def test_a_start_with_a_key_of_another_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    pair = files(tmp_path, authority.issue("one"))
    pair.key.write_bytes(authority.issue("two").key)
    with pytest.raises(TlsRefused, match=r"server\.key is not the key of"):
        TlsSource(pair)


@pytest.mark.parametrize(
    ("content", "text"), [(None, "cannot be read"), (b"", "is empty"), (b"x", "PEM form")]
)
def test_a_start_with_unusable_files_is_refused_by_name(
    authority: Authority, tmp_path: Path, content: bytes | None, text: str
) -> None:
    pair = files(tmp_path, authority.issue("one"))
    if content is None:
        pair.certificate.unlink()
    else:
        pair.certificate.write_bytes(content)
    with pytest.raises(TlsRefused, match=rf"server\.crt.*{text}"):
        TlsSource(pair)


def test_an_authority_file_without_certificates_is_refused(authority: Authority, tmp_path: Path) -> None:
    pair = files(tmp_path, authority.issue("one"), authority)
    assert pair.client_ca is not None
    pair.client_ca.write_bytes(b"nothing")
    with pytest.raises(TlsRefused, match=r"client-ca\.crt holds no certificates"):
        TlsSource(pair)
