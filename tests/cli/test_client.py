"""The client helper against a server that misbehaves in every way that a network allows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from tallystick.cli import client as client_module
from tallystick.cli.client import CallFailed, Client
from tallystick.cli.profile import Profile
from tallystick.security.device_link import TOKEN_MARGIN_S
from tallystick.security.keys import generate_signing_key
from tallystick.security.tokens import assertion_profile, verify
from tallystick.v1 import ledger_pb2, till_pb2
from tests.rpc.certificates import Authority

KEY = generate_signing_key()
SALE_ID = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e11"

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Fault:
    """A status that the fake answers once."""

    code: grpc.StatusCode
    reason: str = ""
    retry_after_s: float = 0.0


@dataclass
class FakeServer:
    """Answers with the faults in their order, then with a balance; remembers what it was asked."""

    faults: list[Fault] = field(default_factory=list)
    token_faults: list[Fault] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    assertions: list[str] = field(default_factory=list)
    token_life_s: int = 300

    async def get_balance(self, request: bytes, context: Context) -> bytes:
        self.requests.append(request)
        metadata = dict(context.invocation_metadata() or ())
        self.tokens.append(str(metadata.get("authorization")))
        assert context.time_remaining() is not None, "every call has a deadline"
        if self.faults:
            await fail(context, self.faults.pop(0))
        return ledger_pb2.GetBalanceResponse().SerializeToString()

    async def issue_token(self, request: bytes, context: Context) -> bytes:
        self.assertions.append(till_pb2.IssueTokenRequest.FromString(request).client_assertion)
        if self.token_faults:
            await fail(context, self.token_faults.pop(0))
        token = f"token-{len(self.assertions)}"
        answer = till_pb2.IssueTokenResponse(access_token=token, expires_in_s=self.token_life_s)
        return answer.SerializeToString()


async def fail(context: Context, fault: Fault) -> None:
    status = status_pb2.Status(code=fault.code.value[0], message="fault")
    details: list[Any] = []
    if fault.reason:
        details.append(error_details_pb2.ErrorInfo(reason=fault.reason, domain="tallystick"))
    if fault.retry_after_s:
        delay = duration_pb2.Duration(nanos=int(fault.retry_after_s * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    trailers = (("grpc-status-details-bin", status.SerializeToString()),) if details else ()
    await context.abort(fault.code, "fault", trailers)


def profile_of(server: str, **files: Path) -> Profile:
    return Profile(
        server=server,
        program_id="demo",
        device_id="device-1",
        role="till",
        issuer="tallystick",
        **{name: str(path) for name, path in files.items()},
    )


def talk(
    fake: FakeServer, conversation: Callable[[Client], Awaitable[None]], *, patience_s: float = 5.0
) -> None:
    """Serve the fake on a free port and let a client talk to it."""

    async def run() -> None:
        server = grpc.aio.server()
        ledger: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "GetBalance": grpc.unary_unary_rpc_method_handler(fake.get_balance)
        }
        till: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "IssueToken": grpc.unary_unary_rpc_method_handler(fake.issue_token)
        }
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("tallystick.v1.LedgerService", ledger),
                grpc.method_handlers_generic_handler("tallystick.v1.TillService", till),
            )
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with Client(profile_of(f"127.0.0.1:{port}"), KEY, patience_s=patience_s) as client:
            await conversation(client)
        await server.stop(None)

    asyncio.run(asyncio.wait_for(run(), 30))


async def ask(client: Client) -> None:
    await client.call(client.ledger.GetBalance, ledger_pb2.GetBalanceRequest(member_id=SALE_ID))


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "BACKOFF_FIRST_S", 0.001)


def test_what_the_server_could_not_take_is_sent_again_unchanged() -> None:
    codes = [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ]
    fake = FakeServer(faults=[Fault(code) for code in codes])
    talk(fake, ask)
    assert len(fake.requests) == 5
    assert len(set(fake.requests)) == 1


def test_the_pause_that_the_server_asks_for_is_kept() -> None:
    fake = FakeServer(faults=[Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", 0.4)])
    began = time.monotonic()
    talk(fake, ask)
    assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT"), "INVALID_INPUT"),
        (Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"), "MESSAGE_TOO_LARGE"),
        (Fault(grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED"), "ROLE_NOT_ALLOWED"),
        (Fault(grpc.StatusCode.INTERNAL), ""),
    ],
)
def test_what_trying_again_cannot_mend_is_told_at_once(fault: Fault, reason: str) -> None:
    fake = FakeServer(faults=[fault])

    async def conversation(client: Client) -> None:
        with pytest.raises(CallFailed) as failed:
            await ask(client)
        assert (failed.value.status, failed.value.reason) == (fault.code, reason)

    talk(fake, conversation)
    assert len(fake.requests) == 1


def test_patience_ends() -> None:
    fake = FakeServer(faults=[Fault(grpc.StatusCode.UNAVAILABLE) for _ in range(10_000)])

    async def conversation(client: Client) -> None:
        with pytest.raises(CallFailed, match="no server answers"):
            await ask(client)

    talk(fake, conversation, patience_s=0.3)
    assert len(fake.requests) > 2


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def told_of_no_connection(
    folder: Path,
    server: grpc.ServerCredentials | None,
    files: Mapping[str, bytes],
    *,
    host: str = "localhost",
    port: int = 0,
) -> str:
    """What the command line says to a profile with these TLS files, of a server that never gets to answer."""
    paths = {name: folder / name for name in files}
    for name, path in paths.items():
        path.write_bytes(files[name])

    async def run() -> str:
        fake = grpc.aio.server()
        bound = fake.add_secure_port("0.0.0.0:0", server) if server else fake.add_insecure_port("0.0.0.0:0")
        await fake.start()
        profile = profile_of(f"{host}:{port or bound}", **paths)
        async with Client(profile, KEY, patience_s=0.3) as client:
            with pytest.raises(CallFailed) as failed:
                await ask(client)
        await fake.stop(None)
        return f"{failed.value} {failed.value.mend}"

    return asyncio.run(asyncio.wait_for(run(), 30))


def test_a_missing_client_certificate_is_not_told_as_a_server_that_is_away(
    authority: Authority, tmp_path: Path
) -> None:
    pair, tills = authority.issue("gateway"), Authority("tills")
    demanding = grpc.ssl_server_credentials(
        [(pair.key, pair.certificate)], tills.certificate, require_client_auth=True
    )
    stranger = Authority("tills").issue("till 1")
    own = {"tls_cert": stranger.certificate, "tls_key": stranger.key}
    trusted = {"tls_ca": authority.certificate}
    for files in (trusted, trusted | own, {}):
        told = told_of_no_connection(tmp_path, demanding, files)
        assert "closed it at once" in told
        assert "client certificate (`tls_cert` and `tls_key` in the profile) or TLS (`tls_ca`)" in told


def test_a_server_whose_certificate_is_not_trusted_is_told_as_that(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.issue("gateway")
    credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)])
    told = told_of_no_connection(tmp_path, credentials, {"tls_ca": Authority("other").certificate})
    assert "is not trusted" in told
    assert "`tls_ca`" in told
    # The certificate is for localhost and 127.0.0.1.
    trusted = {"tls_ca": authority.certificate}
    assert "is not trusted" in told_of_no_connection(tmp_path, credentials, trusted, host="127.0.0.2")


def test_tls_to_a_server_without_it_is_told_as_that(authority: Authority, tmp_path: Path) -> None:
    told = told_of_no_connection(tmp_path, None, {"tls_ca": authority.certificate})
    assert "does not speak TLS as this profile does" in told


def test_tls_to_nobody_is_told_as_a_server_that_is_away(authority: Authority, tmp_path: Path) -> None:
    told = told_of_no_connection(tmp_path, None, {"tls_ca": authority.certificate}, port=1)
    assert "no server answers at localhost:1" in told


def test_a_token_is_bought_once_for_many_calls_and_again_before_it_ends() -> None:
    fake = FakeServer()

    async def many(client: Client) -> None:
        await asyncio.gather(*(ask(client) for _ in range(20)))

    talk(fake, many)
    assert len(fake.assertions) == 1
    assert set(fake.tokens) == {"Bearer token-1"}
    short_lived = FakeServer(token_life_s=int(TOKEN_MARGIN_S))

    async def slowly(client: Client) -> None:
        await ask(client)
        await asyncio.sleep(1.05)
        await ask(client)

    talk(short_lived, slowly)
    assert short_lived.tokens == ["Bearer token-1", "Bearer token-2"]


def test_a_token_that_ended_early_is_replaced_once() -> None:
    fake = FakeServer(faults=[Fault(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")])
    talk(fake, ask)
    assert fake.tokens == ["Bearer token-1", "Bearer token-2"]
    stubborn = FakeServer(faults=[Fault(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED") for _ in range(3)])

    async def conversation(client: Client) -> None:
        with pytest.raises(CallFailed, match="TOKEN_EXPIRED"):
            await ask(client)

    talk(stubborn, conversation)
    assert len(stubborn.requests) == 2


def test_each_try_to_buy_a_token_is_signed_anew_and_holds_what_the_server_checks() -> None:
    fake = FakeServer(token_faults=[Fault(grpc.StatusCode.UNAVAILABLE), Fault(grpc.StatusCode.UNAVAILABLE)])
    talk(fake, ask)
    keys = {KEY.kid: KEY.verify_key}
    claims = [
        verify(one, assertion_profile(issuer="tallystick"), keys, int(time.time())) for one in fake.assertions
    ]
    assert len({one.token_id for one in claims}) == 3
    assert {one.subject for one in claims} == {"device-1"}
