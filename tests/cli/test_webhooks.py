"""`tallystick webhook ...` against a server: an operator tells another system of events."""

from __future__ import annotations

import pytest
from standardwebhooks.webhooks import Webhook

from tests.cli.shell import Shell
from tests.webhooks.receiver import Receiver


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("home"))


def test_an_operator_tells_another_system_of_events(shell: Shell) -> None:
    with Receiver() as receiver, shell.running("run") as server:
        there = ("--server", server.address, "--json")
        made = shell.succeed("webhook", "set", "mail", receiver.url, *there).json
        assert (made["state"], made["signing"], made["waiting"]) == ("active", "hmac", 0)
        shell.succeed("enrol-member", "ann@example.org", "--server", server.address)
        receiver.wait_for(1)
        (got,) = receiver.taken
        assert Webhook(made["verification_key"]).verify(got.body, got.headers)["type"] == "member.enrolled"
        shown = shell.succeed("webhook", "deliveries", "mail", "--server", server.address).out
        assert "member.enrolled  delivered" in shown
        assert "tried 1 times, last answer 204" in shown
        again = ("webhook", "replay", "mail", "--since", "2026-01-01T00:00:00Z")
        assert shell.succeed(*again, *there).json == {"replayed": 1}
        receiver.wait_for(2)
        assert receiver.taken[1].id == got.id
        (listed,) = shell.succeed("webhook", "list", *there).json["webhooks"]
        assert (listed["webhook_id"], listed["verification_key"]) == ("mail", "")
        assert "mail, active" in shell.succeed("webhook", "list", "--server", server.address).out
        shell.succeed("webhook", "delete", "mail", *there)
        assert shell.succeed("webhook", "list", *there).json == {"webhooks": []}
        gone = shell.run("webhook", "replay", "mail", *there)
        assert (gone.code, "WEBHOOK_NOT_FOUND" in gone.err) == (3, True)


def test_what_makes_no_sense_is_said_before_any_call(shell: Shell) -> None:
    there = ("webhook", "set", "mail", "https://hooks.example")
    assert "use hmac, ed25519" in shell.here(*there, "--signing", "rot13").err
    assert "use all, waiting" in shell.here("webhook", "deliveries", "mail", "--state", "lost").err
    assert "like 2026-03-01T12:00:00Z" in shell.here("webhook", "replay", "mail", "--since", "monday").err
