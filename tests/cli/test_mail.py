"""Which way mails leave by, and what strangers are told, as the settings say."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tallystick.cli.mail import open_mailer, public_face
from tallystick.config.settings import Settings
from tallystick.config.sources import load
from tallystick.core.ids import Ms
from tallystick.mail.smtp import SmtpMailer
from tallystick.service.mailer import CodeMail
from tests.mail.servers import Inbox, mail_server


def settings(**overrides: Any) -> Settings:
    return load(environ={}, overrides=overrides)


def code_mail() -> CodeMail:
    return CodeMail("ada@example.org", "048213", "Nordvik", "", Ms(int(time.time() * 1000) + 60_000))


def test_without_a_mail_server_no_mail_is_sent() -> None:
    assert open_mailer(settings(), demo=False) is None


def test_a_demonstration_shows_its_mails_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    mailer = open_mailer(settings(), demo=True)
    assert mailer is not None
    mailer.post(code_mail())
    told = capsys.readouterr()
    assert "048213 is your code for Nordvik" in told.err
    assert told.out == ""


def test_a_mail_server_that_is_set_up_is_used_in_a_demonstration_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        chosen = settings(
            smtp_host="127.0.0.1", smtp_port=port, smtp_tls="none", smtp_from="card@example.org"
        )
        mailer = open_mailer(chosen, demo=True)
        assert isinstance(mailer, SmtpMailer)
        mailer.post(code_mail())
        (mail,) = inbox.wait_for()
        mailer.close()
    assert mail["From"] == "card@example.org"
    assert "048213" not in capsys.readouterr().err


def test_strangers_are_told_which_wallets_there_are() -> None:
    plain = public_face(settings(), demo=False)
    assert (plain.organization, plain.apple_wallet, plain.google_wallet) == ("Tallystick", False, False)
    assert public_face(settings(), demo=True).apple_wallet
    named = settings(
        organization="Nordvik",
        public_url="https://points.example.org",
        google_issuer_id="33",
        google_account="a.json",
    )
    face = public_face(named, demo=False)
    assert (face.organization, face.rp_id, face.google_wallet) == ("Nordvik", "points.example.org", True)
