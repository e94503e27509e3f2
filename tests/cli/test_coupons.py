"""`tallystick coupons` against a server that runs: codes made, seen, ended."""

from __future__ import annotations

import re

import pytest

from tests.cli.shell import Running, Shell

RULES = """\
format: tallystick/1
name: Coupons
currency: SEK
time_zone: Europe/Stockholm
earning:
  rules:
    - { id: base, kind: per_amount, points: 1, per_minor: 1000 }
coupons:
  - { id: birthday, kind: money_off, amount_minor: 5000 }
  - { id: summer, kind: percent_off, percent: 10, code: SUMMER-25 }
"""


@pytest.fixture(scope="module")
def rules(shop: Shell, run: Running) -> None:
    """Rules with coupons are in force."""
    assert run.port
    file = shop.home / "coupons.yaml"
    file.write_text(RULES)
    shop.succeed("program", "publish", file)


@pytest.mark.usefixtures("rules")
def test_codes_are_made_seen_and_ended(shop: Shell) -> None:
    shown = shop.succeed("coupons", "create", "birthday", "--count", "3").out
    batch = re.findall(r"Batch (\S+): 3 codes of birthday", shown)[0]
    codes = re.findall(r"^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$", shown, re.MULTILINE)
    assert len(set(codes)) == 3
    again = shop.succeed("coupons", "create", "birthday", "--count", "3", "--batch-id", batch, "--json").json
    assert [one["code"] for one in again["coupons"]] == codes
    assert shop.succeed("coupons", "list", batch).out.count("open") == 3
    assert shop.succeed("coupons", "revoke", batch, "--json").json == {"revoked": 3}
    listed = shop.succeed("coupons", "list", batch, "--json").json["coupons"]
    assert {one["state"] for one in listed} == {"revoked"}


@pytest.mark.usefixtures("rules")
def test_a_member_gets_a_code_of_their_own(shop: Shell, member: str) -> None:
    assert "There are no codes." in shop.succeed("coupons", "list", "--member", member).out
    made = shop.succeed("coupons", "create", "birthday", "--for", member, "--json").json["coupons"]
    assert len(made) == 1
    assert shop.succeed("coupons", "list", "--member", member, "--json").json["coupons"] == made


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("create", "birthday"), 2, "--count N, or --for MEMBER"),
        (("list",), 2, "BATCH, or --member"),
        (("create", "summer", "--count", "1"), 1, "shared code"),
        (("create", "none", "--count", "1"), 1, "coupon of the rule set"),
        (("revoke", "0190a000-0000-7000-8000-000000000001"), 1, "no such batch"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_mend(
    shop: Shell, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = shop.run("coupons", *arguments)
    assert said in done.err
    assert done.code in (code, 3)
