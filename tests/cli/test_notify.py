"""`tallystick notify ...` against a server, and which channels the settings make."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.cli.notice_wiring import notice_settings
from tallystick.config.settings import SettingsRefused
from tallystick.config.sources import load
from tallystick.service.notification_ports import Way
from tests.cli.shell import Shell
from tests.mail.servers import Inbox, mail_server

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("home"))


def test_an_operator_tries_a_message_out_and_sees_what_became_of_others(shell: Shell) -> None:
    inbox = Inbox("550 no such user")
    with mail_server(inbox) as port:
        config = shell.home / "tallystick.toml"
        config.write_text(
            f'smtp_host = "localhost"\nsmtp_port = {port}\nsmtp_tls = "none"\n'
            'smtp_from = "Nordvik <card@example.org>"\n'
        )
        with shell.running("run", "--config", str(config)) as server:
            there = ("--server", server.address)
            trial = ("notify", "test", "--to", "boss@example.org", "--occasion", "award", "--language", "lv")
            refused = shell.run(*trial, *there)
            assert (refused.code, "550" in refused.out) == (3, True)
            sent = shell.succeed(*trial, *there, "--json").json
            (got,) = inbox.wait_for()
            assert got["Subject"] == sent["title"] == "Punkti jums: 120"
            status = shell.succeed("notify", "status", *there, "--json").json
            assert (status["counts"], "email" in status["channels"]) == ([], True)
            assert shell.succeed("notify", "dead", *there, "--json").json == {"notifications": []}
            assert "0 messages wait again" in shell.succeed("notify", "retry", *there).out


def test_what_makes_no_sense_is_said_before_any_call(shell: Shell) -> None:
    wrong = shell.here("notify", "test", "--to", "a@b.example", "--occasion", "weather")
    assert (wrong.code, "use points_earned, points_expiring" in wrong.err) == (2, True)
    assert "use email, sms" in shell.here("notify", "retry", "--channel", "pigeon").err


@pytest.mark.parametrize(
    ("overrides", "demo", "ways"),
    [
        ({}, False, set()),
        ({}, True, {Way.EMAIL, Way.SMS}),
        ({"smtp_host": "mail", "smtp_from": "a@b.example"}, False, {Way.EMAIL}),
        ({"sms_url": "https://sms.example/send", "sms_secret": SECRET}, False, {Way.SMS}),
        ({"push_contact": "mailto:a@b.example"}, False, {Way.PUSH}),
    ],
)
def test_the_channels_are_those_that_are_set_up(
    overrides: dict[str, Any], demo: bool, ways: set[Way]
) -> None:
    found = notice_settings(load(environ={}, overrides=overrides), demo=demo)
    assert found.ways == {Way.WALLET, Way.WEBHOOK, *ways}


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"push_contact": "card@example.org"}, "write mailto:"),
        ({"sms_url": "https://sms.example"}, "belong together"),
        ({"sms_secret": SECRET}, "belong together"),
        ({"sms_url": "sms.example", "sms_secret": SECRET}, "write https://"),
        ({"sms_url": "https://", "sms_secret": SECRET}, "write https://"),
        (
            {"sms_url": "https://sms.example:port/send", "sms_secret": SECRET},
            "sms_url has a URL that cannot be read",
        ),
        ({"sms_url": "https://[::1/send", "sms_secret": SECRET}, "sms_url has a URL that cannot be read"),
        ({"sms_url": "https://sms.example/wyślij", "sms_secret": SECRET}, "write https://"),
        ({"sms_url": "https://card:geheim@sms.example/send", "sms_secret": SECRET}, "write https://"),
        ({"sms_url": "https://sms.example", "sms_secret": "whsec_c2hvcnQ="}, "24 bytes or more"),
        ({"sms_url": "https://sms.example", "sms_secret": "no base64!"}, "24 bytes or more"),
    ],
)
def test_a_channel_that_is_half_set_up_is_refused(overrides: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsRefused, match=says):
        load(environ={}, overrides=overrides)
