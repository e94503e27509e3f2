"""`tallystick run` and the commands of another shell: what a newcomer does in the first hour."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.shell import Running, Shell


def test_run_shows_where_things_are_and_a_card_that_a_scanner_can_read(run: Running, shop: Shell) -> None:
    assert f"gRPC      {run.address}" in run.shown
    assert "Connect   http://127.0.0.1:" in run.shown
    assert str(shop.data_dir) in run.shown
    assert run.shown.count("█") > 100


def test_a_sale_from_another_shell_earns_and_the_balance_shows_it(
    run: Running, shop: Shell, member: str
) -> None:
    before = shop.succeed("balance", "--member", member, "--json").json["active"]
    sold = shop.succeed("sale", "--member", member, "12.50", "--json").json
    assert (sold["earned_points"], sold["payable_minor"], sold["currency"]) == (12, 1250, "EUR")
    assert shop.succeed("balance", "--member", member, "--json").json["active"] == before + 12


def test_the_same_sale_sent_twice_counts_once(run: Running, shop: Shell, member: str) -> None:
    sale_id = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e11"
    first = shop.succeed("sale", "--member", member, "--command-id", sale_id, "30", "--json").json
    again = shop.succeed("sale", "--member", member, "--command-id", sale_id, "30", "--json").json
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert first["balance"] == again["balance"]
    other = shop.run("sale", "--member", member, "--command-id", sale_id, "31")
    assert other.code == 1
    assert "COMMAND_ID_REUSED" in other.out


def test_a_typed_number_earns_only_and_a_shown_card_burns(run: Running, shop: Shell, member: str) -> None:
    shop.succeed("sale", "--member", member, "400")
    typed = shop.run("sale", "--member", member, "--burn", "100", "40")
    assert typed.code == 1
    assert "ABOVE_ASSURANCE_CAP" in typed.out
    shown = shop.succeed("sale", "--member", member, "--scanned", "--burn-up-to", "250", "40", "--json").json
    assert (shown["burned_points"], shown["discount_minor"], shown["payable_minor"]) == (200, 200, 3800)
    reward = shop.succeed(
        "sale", "--member", member, "--scanned", "--reward", "free-coffee", "espresso:1:2.80:coffee", "--json"
    ).json
    assert (reward["burned_points"], reward["payable_minor"]) == (50, 0)


def test_a_new_member_enrols_by_telephone_once_and_is_found_by_it(run: Running, shop: Shell) -> None:
    number = shop.succeed("enrol-member", "+46 70 123 45 67", "--json").json["number"]
    assert re.fullmatch(r"99\d{14}", number)
    assert shop.succeed("balance", "--member", "+46701234567", "--json").json["active"] == 0
    taken = shop.run("enrol-member", "0701234567", "--region", "SE")
    assert taken.code == 1
    assert "Another member has this" in taken.err


def test_a_wrong_command_ends_with_code_2_and_an_unreachable_server_with_code_3(
    run: Running, shop: Shell, member: str
) -> None:
    assert shop.run("sale", "--member", member, "12.555").code == 2
    assert shop.here("sale", "--member", member, "--burn", "1", "--burn-up-to", "1", "9").code == 2
    assert shop.here("sell").code == 2
    away = shop.run("balance", "--member", member, "--server", "127.0.0.1:1")
    assert away.code == 3
    assert "no server answers at 127.0.0.1:1" in away.err
    assert "tallystick run" in away.err
    assert "no profile 'nobody'" in shop.run("balance", "--member", member, "--profile", "nobody").err
    assert shop.run("balance", "--member", "1").code == 1


def test_new_rules_are_validated_published_and_shown(
    run: Running, shop: Shell, member: str, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    text = shop.succeed("program", "show").out
    rules.write_text(text.replace("points: 1\n", "point: 1\n"))
    wrong = shop.here("program", "validate", rules)
    assert wrong.code == 1
    assert re.search(r"rules\.yaml:\d+:\d+: earning\.rules\[0\]\.point: .*points", wrong.out)
    refused = shop.run("program", "publish", rules)
    assert refused.code != 0
    assert "was not published" in refused.err
    assert "earning.rules[0].point" in refused.err
    rules.write_text(text.replace("points: 1\n", "points: 3\n"))
    validated = shop.prepare("program", "validate", rules, "--json").json
    assert validated["findings"] == []
    request_id = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e12"
    published = [
        shop.succeed("program", "publish", rules, "--request-id", request_id, "--json").json for _ in "ab"
    ]
    assert published[0] == published[1]
    assert (published[0]["version"], published[0]["sha256"]) == (2, validated["sha256"])
    assert json.loads(shop.succeed("program", "show", "--json").out)["text"] == rules.read_text()
    shop.succeed("program", "publish", "simple")
    assert shop.succeed("program", "show").out.rstrip() == text.rstrip()


@pytest.mark.parametrize(
    "text",
    [
        "format: tallystick/1\nname: Club\ncurrency: EUR\ntime_zone: UTC\nearning: { rules: [] }\n",
        'format = "tallystick/1"\nname = "Club"\ncurrency = "EUR"\ntime_zone = "UTC"\nearning.rules = []\n',
    ],
    ids=["yaml", "toml"],
)
def test_rules_may_begin_with_the_mark_that_some_editors_write(shell: Shell, text: str) -> None:
    plain, marked = shell.home / "plain", shell.home / "marked"
    plain.write_text(text, encoding="utf-8")
    marked.write_text(text, encoding="utf-8-sig")
    good, same = (shell.prepare("program", "validate", file, "--json").json for file in (plain, marked))
    assert same == good
    marked.write_bytes(marked.read_bytes() + b"#\n\xe9\n")
    assert f"{marked}:7: is not UTF-8 text" in shell.here("program", "validate", marked).err


def test_a_till_enrols_with_a_code_and_sells_once_its_fingerprint_is_confirmed(
    run: Running, shop: Shell, member: str
) -> None:
    made = shop.succeed("device", "code", "--store", "market-square", "--label", "Till 2", "--json").json
    door = ("--program", "demo", "--server", run.address, "--profile", "till2")
    enrolled = shop.succeed("device", "enrol", made["code"], *door, "--json").json
    early = shop.run("sale", "--profile", "till2", "--member", member, "8")
    assert early.code == 3
    assert "DEVICE_NOT_CONFIRMED" in early.err
    another = shop.run("device", "confirm", enrolled["device_id"], "00000 00000 00000 00000 00000")
    assert another.code == 3
    assert "FINGERPRINT_MISMATCH" in another.err
    shop.succeed("device", "confirm", enrolled["device_id"], enrolled["fingerprint"])
    shop.succeed("sale", "--profile", "till2", "--member", member, "8")
    shop.succeed("device", "revoke", enrolled["device_id"])
    listed = {
        one["device_id"]: one["status"] for one in shop.succeed("device", "list", "--json").json["devices"]
    }
    assert listed[enrolled["device_id"]] == "revoked"
    late = shop.run("sale", "--profile", "till2", "--member", member, "8")
    assert late.code == 3
    assert "DEVICE_REVOKED" in late.err
    assert (shop.data_dir / "profiles" / "till2" / "key.pem").stat().st_mode & 0o777 == 0o600
    assert shop.run("device", "enrol", "not-a-code", *door).code == 3


def test_the_books_agree_and_leave_as_csv(run: Running, shop: Shell, member: str) -> None:
    shop.succeed("sale", "--member", member, "--reference", "=1+1", "5")
    assert shop.prepare("verify", "--json").json["ok"]
    entries = shop.prepare("export", "entries").out
    assert '"\'=1+1"' in entries
    lines = shop.prepare("export", "accounts", "--format", "jsonl").out.splitlines()
    assert {"member_id", "active", "tier"} <= json.loads(lines[0]).keys()


def test_the_nightly_work_can_be_run_and_run_again(run: Running, shop: Shell) -> None:
    assert shop.succeed("expire", "--json").json == {"members": 0, "entries": 0}
    ahead = shop.run("expire", "--as-of", "2099-01-01T00:00:00+00:00")
    assert ahead.code == 3
    assert "AS_OF_OUT_OF_RANGE" in ahead.err
    assert "write it with its offset" in shop.run("expire", "--as-of", "2026-01-31").err
    assert shop.run("expire", "--profile", "till").code == 3


def test_a_second_start_finds_everything_as_it_was(shell: Shell) -> None:
    shown = []
    for _ in "ab":
        with shell.running("run") as server:
            number = re.search(r"99\d{14}", server.shown)
            assert number is not None
            shown.append(number[0])
            shell.succeed("sale", "--member", number[0], "10")
    assert shown[0] == shown[1]
    assert shell.prepare("verify", "--json").json["entries"] == 2


def test_a_taken_port_is_named_with_a_mend(run: Running, shell: Shell) -> None:
    refused = shell.run("run", "--listen", run.address, "--http-listen", "")
    assert refused.code == 3
    assert run.address in refused.err
    assert "--listen" in refused.err


def test_the_demo_plays_a_day_verifies_it_and_leaves_nothing_behind(shell: Shell) -> None:
    played = shell.succeed("demo", "--json").json
    told = {step["step"]: step["outcome"] for step in played["steps"]}
    assert played["verified"]
    assert "400 burned for 4.00 EUR off" in told["Cy pays partly with points"]
    assert "silver" in told["Cy buys a coffee machine and reaches silver"]
    assert told["Ada's till lost the answer and sends it again"].startswith("nothing happens twice")
    assert told["Ada asks for more points than she has"].startswith("refused")
    assert "46 owed" in told["Bo brings the kettle back"]
    assert list(shell.home.iterdir()) == []
