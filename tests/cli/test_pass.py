"""`tallystick pass`: an operator makes a pass and looks at it, and a running server answers its phone."""

from __future__ import annotations

import io
import json
import re
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import Running, Shell

HERE = {"TALLYSTICK_PUBLIC_URL": "http://localhost:1"}


def made(shop: Shell, member: str, file: Path) -> dict[str, Any]:
    finished = shop.succeed("pass", "apple", member, "--out", file, env=HERE)
    assert "no phone accepts it" in finished.out
    with zipfile.ZipFile(file) as archive:
        shown: dict[str, Any] = json.loads(archive.read("pass.json"))
    return shown


def fetched(run: Running, shown: dict[str, Any], token: str) -> bytes:
    found = re.search(r"Connect +(http://\S+)", run.shown)
    assert found is not None
    path = f"/wallet/apple/demo/v1/passes/{shown['passTypeIdentifier']}/{shown['serialNumber']}"
    request = urllib.request.Request(found[1] + path, headers={"authorization": f"ApplePass {token}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.headers["content-type"] == "application/vnd.apple.pkpass"
        return bytes(answer.read())


def test_a_pass_made_beside_a_running_server_is_fetched_from_it(
    run: Running, shop: Shell, member: str, tmp_path: Path
) -> None:
    before = shop.succeed("balance", "--member", member, "--json").json["active"]
    shown = made(shop, member, tmp_path / "card.pkpass")
    assert shown["storeCard"]["primaryFields"][0]["value"] == before
    assert shown["webServiceURL"] == "http://localhost:1/wallet/apple/demo"
    shop.succeed("sale", "--member", member, "12.50")
    newer = fetched(run, shown, shown["authenticationToken"])
    with zipfile.ZipFile(io.BytesIO(newer)) as archive:
        assert json.loads(archive.read("pass.json"))["storeCard"]["primaryFields"][0]["value"] == before + 12
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetched(run, shown, "another")
    # The error is the answer, with its connection.
    with refused.value as answer:
        assert answer.code == 401


def test_the_passes_of_a_member_are_listed(run: Running, shop: Shell, member: str, tmp_path: Path) -> None:
    before = len(shop.succeed("pass", "show", member, "--json").json)
    made(shop, member, tmp_path / "card.pkpass")
    listed = shop.succeed("pass", "show", member, "--json").json
    assert [(one["wallet"], one["devices"]) for one in listed[before:]] == [("apple", 0)]
    assert "apple: made 20" in shop.succeed("pass", "show", member).out


def test_a_member_that_is_not_there_gets_no_pass(run: Running, shop: Shell, tmp_path: Path) -> None:
    for nobody in ("0190a000-0000-7000-8000-0000000000ff", "9900000000000004", "no number"):
        refused = shop.run("pass", "apple", nobody, "--out", tmp_path / "none.pkpass")
        assert refused.code == 3
        assert refused.err.startswith("tallystick: ")
    assert not (tmp_path / "none.pkpass").exists()


def test_a_pass_in_google_wallet_needs_an_account_there(
    shop: Shell, run: Running, member: str, tmp_path: Path
) -> None:
    refused = shop.run("pass", "google", member)
    assert refused.code == 3
    assert "set google_issuer_id, google_account and public_url" in refused.err
    account = tmp_path / "account.json"
    account.write_text("{}")
    account.chmod(0o600)
    settings = {
        "TALLYSTICK_GOOGLE_ISSUER_ID": "3388000000022",
        "TALLYSTICK_GOOGLE_ACCOUNT": str(account),
        "TALLYSTICK_PUBLIC_URL": "https://points.example.org",
    }
    refused = shop.run("pass", "google", member, env=settings)
    assert refused.code == 3
    assert "is no key file of a service account" in refused.err
