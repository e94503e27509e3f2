"""Real mail servers (aiosmtpd) that take mails, ask for logins and refuse what they are told to refuse."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from tests.rpc.certificates import Authority
from tests.support.ports import free_port

USER, PASSWORD = "card", "geheim-geheim"


class Inbox:
    """Keeps what it takes. ``answers`` are given to RCPT, one each time, before it takes anybody."""

    def __init__(self, *answers: str, slow_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.slow_s = slow_s
        self.mails: list[EmailMessage] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.encrypted: list[bool] = []
        self.connections = 0
        self.came = threading.Condition()

    async def handle_EHLO(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(self.slow_s)
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        with self.came:
            self.mails.append(message_from_bytes(content, policy=policy.default))
            self.encrypted.append(
                session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None
            )
            self.came.notify_all()
        return "250 OK"

    def log_in(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        right = data.password == PASSWORD.encode()
        # What is not handled here is answered by the server itself: with 535.
        return AuthResult(success=right, handled=right)

    def wait_for(self, count: int = 1) -> list[EmailMessage]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.mails) >= count, 10), "the mail did not come"
            return self.mails


@contextmanager
def mail_server(inbox: Inbox, **more: Any) -> Iterator[int]:
    """Serve until the end of the block; gives the port."""
    port = more.pop("port", 0) or free_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port, authenticator=inbox.log_in, **more)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


class Tls:
    """A certificate for localhost, and the context that trusts it."""

    def __init__(self, folder: Path) -> None:
        authority = Authority()
        certificate, key = authority.issue("localhost").write(folder)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(certificate, key)
        self.client = ssl.create_default_context(cadata=authority.certificate.decode())


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    waiting = threading.Event()
    for _ in range(500):
        if condition():
            return
        waiting.wait(0.02)
    raise AssertionError("it did not come to that")
