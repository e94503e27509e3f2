"""Mails by SMTP, handed in at real servers: encrypted, logged in, tried again, given up, and never in anybody's way."""

from __future__ import annotations

import gc
import logging
import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.ids import Ms
from tallystick.mail import smtp
from tallystick.mail.smtp import SmtpMailer, SmtpSettings
from tallystick.service.mailer import CodeMail
from tests.mail.servers import PASSWORD, USER, Inbox, Tls, mail_server, until
from tests.support.ports import free_port

ADA = "ada@example.org"


def code_mail(address: str = ADA, *, code: str = "123456", lives_s: float = 600) -> CodeMail:
    return CodeMail(address, code, "Nordvik", "sv", Ms(int((time.time() + lives_s) * 1000)))


def settings(port: int, **more: Any) -> SmtpSettings:
    given = {"host": "localhost", "tls": "none", "sender": "Nordvik <card@example.org>", **more}
    return SmtpSettings(port=port, **given)


@pytest.fixture
def opened() -> Iterator[list[SmtpMailer]]:
    """Mailers to be closed at the end."""
    mailers: list[SmtpMailer] = []
    yield mailers
    for mailer in mailers:
        mailer.close()


def mailer_for(opened: list[SmtpMailer], port: int, **more: Any) -> SmtpMailer:
    quick = {name: more.pop(name) for name in ("retry_after_s", "waiting_max", "timeout_s") if name in more}
    opened.append(SmtpMailer(settings(port, **more), **{"retry_after_s": (0.05, 0.05), **quick}))
    return opened[-1]


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


def test_a_mail_arrives_as_it_was_written(opened: list[SmtpMailer]) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        mailer_for(opened, port).post(code_mail())
        (mail,) = inbox.wait_for()
    assert (mail["From"], mail["To"]) == ("Nordvik <card@example.org>", ADA)
    assert mail["Subject"] == "123456 är din kod till Nordvik"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "sv"
    assert mail["Message-ID"].endswith("@example.org>")
    assert mail["Date"] is not None
    assert mail.get_content_type() == "text/plain"
    assert "123456" in mail.get_content()
    assert "http" not in mail.get_content()


def test_starttls_encrypts_before_anything_is_said(opened: list[SmtpMailer], tls: Tls) -> None:
    inbox = Inbox()
    with mail_server(inbox, tls_context=tls.server, require_starttls=True, auth_required=True) as port:
        login = {"user": USER, "password": PASSWORD}
        mailer_for(opened, port, tls="starttls", context=tls.client, **login).post(code_mail())
        inbox.wait_for()
    assert inbox.encrypted == [True]
    assert inbox.logins == [(USER.encode(), PASSWORD.encode())]


def test_tls_from_the_first_byte(opened: list[SmtpMailer], tls: Tls) -> None:
    inbox = Inbox()
    with mail_server(inbox, ssl_context=tls.server) as port:
        mailer_for(opened, port, tls="tls", context=tls.client).post(code_mail())
        inbox.wait_for()
    assert inbox.encrypted == [True]


def test_a_server_that_offers_no_starttls_gets_nothing(
    opened: list[SmtpMailer], tls: Tls, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        mailer_for(opened, port, tls="starttls", context=tls.client).post(code_mail())
        until(lambda: "a mail could not be sent" in caplog.messages)
    assert inbox.mails == []


def test_a_server_with_a_strangers_certificate_gets_nothing_and_is_not_asked_again(
    opened: list[SmtpMailer], tls: Tls, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()
    with mail_server(inbox, tls_context=tls.server) as port:
        strict = ssl.create_default_context()
        mailer_for(opened, port, tls="starttls", context=strict).post(code_mail())
        until(lambda: "a mail could not be sent" in caplog.messages)
    assert inbox.mails == []
    assert "a mail could not be sent yet" not in caplog.messages


def test_a_server_that_is_busy_is_asked_again(opened: list[SmtpMailer]) -> None:
    inbox = Inbox("451 later", "452 later still")
    with mail_server(inbox) as port:
        mailer_for(opened, port).post(code_mail())
        assert len(inbox.wait_for()) == 1
    assert inbox.connections == 3


def test_a_server_that_is_away_is_asked_again(
    opened: list[SmtpMailer], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    mailer = mailer_for(opened, port, retry_after_s=(0.2,) * 20, host="127.0.0.1")
    mailer.post(code_mail())
    inbox = Inbox()
    until(lambda: "a mail could not be sent yet" in caplog.messages)
    with mail_server(inbox, port=port):
        assert len(inbox.wait_for()) == 1


@pytest.mark.parametrize("answer", ["550 no such mailbox <ada@example.org>", "554 spam"])
def test_an_address_that_is_refused_for_good_is_not_asked_again_and_not_logged(
    opened: list[SmtpMailer], caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="tallystick")
    inbox = Inbox(answer)
    with mail_server(inbox) as port:
        mailer = mailer_for(opened, port)
        mailer.post(code_mail())
        until(lambda: "a mail could not be sent" in caplog.messages)
        mailer.post(code_mail("bob@example.org"))
        inbox.wait_for()
    assert [mail["To"] for mail in inbox.mails] == ["bob@example.org"]
    assert inbox.connections == 2
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert answer[:3] in logged
    for secret in ("ada@", "bob@", "123456"):
        assert secret not in logged


def test_a_wrong_password_is_given_up_and_stays_out_of_the_log(
    opened: list[SmtpMailer], tls: Tls, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="tallystick")
    inbox = Inbox()
    with mail_server(inbox, tls_context=tls.server, auth_required=True) as port:
        login = {"user": USER, "password": "wrong-password"}
        mailer_for(opened, port, tls="starttls", context=tls.client, **login).post(code_mail())
        until(lambda: "a mail could not be sent" in caplog.messages)
    assert inbox.mails == []
    assert "a mail could not be sent yet" not in caplog.messages
    assert "wrong-password" not in " ".join(str(vars(record)) for record in caplog.records)
    assert "wrong-password" not in repr(settings(1, user=USER, password="wrong-password"))


def test_a_code_that_has_ended_is_not_sent_any_more(
    opened: list[SmtpMailer], caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox("451 later")
    with mail_server(inbox) as port:
        mailer_for(opened, port, retry_after_s=(1.0,)).post(code_mail(lives_s=0.5))
        until(lambda: "a mail could not be sent" in caplog.messages)
    assert (inbox.mails, inbox.connections) == ([], 1)


def test_posting_waits_for_nobody_and_what_is_too_much_is_dropped(
    opened: list[SmtpMailer], caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox(slow_s=1.0)
    with mail_server(inbox) as port:
        mailer = mailer_for(opened, port, waiting_max=3)
        began = time.perf_counter()
        for _ in range(8):
            mailer.post(code_mail())
        assert time.perf_counter() - began < 2.0
        assert len(inbox.wait_for(3)) == 3
    assert caplog.messages.count("a mail was dropped") == 5


def test_a_mail_that_is_under_way_is_finished_at_the_end(opened: list[SmtpMailer]) -> None:
    inbox = Inbox(slow_s=0.3)
    with mail_server(inbox) as port:
        mailer = mailer_for(opened, port)
        mailer.post(code_mail())
        mailer.close()
        assert len(inbox.mails) == 1
        mailer.post(code_mail())
    assert len(inbox.mails) == 1


def test_the_end_does_not_wait_for_a_server_that_says_nothing(
    opened: list[SmtpMailer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "CLOSING_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mailer = mailer_for(opened, silent.getsockname()[1], host="127.0.0.1")
        mailer.post(code_mail())
        began = time.perf_counter()
        mailer.close()
        assert time.perf_counter() - began < 2.0


def test_the_end_leaves_no_connection_behind(
    opened: list[SmtpMailer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "CLOSING_S", 0.1)
    with socket.socket() as silent, warnings.catch_warnings(record=True, category=ResourceWarning) as left:
        warnings.simplefilter("always")
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for _ in range(5):
            mailer_for(opened, silent.getsockname()[1], host="127.0.0.1").post(code_mail())
            opened.pop().close()
        gc.collect()
    # What else the collector finds then is not this test's.
    assert [text for one in left if "socket" in (text := str(one.message))] == []
