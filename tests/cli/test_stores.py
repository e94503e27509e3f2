"""`tallystick store ...` against a server: what a manager does about tills, cashiers and vouchers."""

from __future__ import annotations

import json

import pytest

from tests.cli.shell import Shell


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("home"))


def test_a_manager_sees_and_sets_what_a_store_needs(shell: Shell) -> None:
    with shell.running("run") as server:
        member = json.loads(
            shell.succeed("enrol-member", "--json", "ann@example.org", "--server", server.address).out
        )
        there = ("--server", server.address, "--json")
        assert shell.succeed("store", "inbox", *there).json == {"items": []}
        made = shell.succeed("store", "cashier", "high-street", "ilze", "--label", "Ilze", *there).json
        assert made["cashiers"] == [{"cashier_id": "ilze", "label": "Ilze", "active": True}]
        off = shell.succeed("store", "cashier", "high-street", "ilze", "--inactive", *there).json
        assert not off["cashiers"][0]["active"]
        assert len(shell.succeed("store", "cashier", "high-street", *there).json["cashiers"]) == 1
        exposure = shell.succeed("store", "exposure", "high-street", "--server", server.address).out
        assert "Worst case now: 5,000 points" in exposure
        assert "heard of     never" in exposure
        poor = shell.run("store", "voucher", "high-street", member["member_id"], "--points", "100", *there)
        assert (poor.code, "INSUFFICIENT_POINTS" in poor.err) == (1, True)
        unknown = shell.run(
            "store", "resolve", "0190b000-0000-8000-8000-000000000000", "post", "--server", server.address
        )
        assert (unknown.code, "INBOX_ITEM_NOT_FOUND" in unknown.err) == (3, True)


def test_what_makes_no_sense_is_said_before_any_call(shell: Shell) -> None:
    assert "add --note" in shell.here("store", "resolve", "x", "dismiss").err
    assert "use post, dismiss, seen" in shell.here("store", "resolve", "x", "explode").err
    assert "use open, posted, dismissed, seen" in shell.here("store", "inbox", "--state", "lost").err
    assert "give --points or --reward" in shell.here("store", "voucher", "s", "m").err
