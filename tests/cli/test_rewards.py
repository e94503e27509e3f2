"""`tallystick rewards` against a server that runs: a reward bought, seen, handed out once."""

from __future__ import annotations

import pytest

from tests.cli.shell import Running, Shell

RULES = """\
format: tallystick/1
name: Rewards
currency: SEK
time_zone: Europe/Stockholm
earning:
  rules:
    - { id: base, kind: per_amount, points: 1, per_minor: 100 }
burning: { points: 1, minor: 1, assurance_caps: { typed: unlimited } }
rewards:
  - { id: evening, kind: experience, name: An evening, points: 10, stock: 1 }
  - { id: off, kind: money_off, points: 1, amount_minor: 100 }
"""


@pytest.fixture(scope="module")
def rules(shop: Shell, run: Running, member: str) -> None:
    """Rules with an evening are in force, and the member has points."""
    assert run.port
    file = shop.home / "rewards.yaml"
    file.write_text(RULES)
    shop.succeed("program", "publish", file)
    shop.succeed("sale", "100.00", "--member", member)


@pytest.mark.usefixtures("rules")
def test_an_evening_is_bought_seen_and_handed_out_once(shop: Shell, member: str) -> None:
    bought = shop.succeed("rewards", "buy", member, "evening", "--json").json["redemption"]
    assert (bought["reward_name"], bought["points"], bought["state"]) == ("An evening", 10, "open")
    code = bought["code"]
    shown = shop.succeed("rewards", "list", member).out
    assert shown.startswith(f"{code}  An evening  10 points  open")
    assert shop.succeed("rewards", "check", member, code.lower(), "--json").json == {"redemption": bought}

    used = shop.succeed("rewards", "use", member, code, "--json").json["redemption"]
    assert used["state"] == "used"
    again = shop.run("rewards", "use", member, code)
    assert again.code == 1
    assert "handed out before" in again.err
    sold_out = shop.run("rewards", "buy", member, "evening")
    assert "Nothing is left of the reward evening" in sold_out.err


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("buy", "off"), "Nothing in the basket fits the reward off"),
        (("buy", "boat"), "no reward boat"),
        (("check", "2-2222-2222"), "no such redemption"),
    ],
)
def test_what_cannot_be_done_is_said(shop: Shell, member: str, arguments: tuple[str, str], said: str) -> None:
    done = shop.run("rewards", arguments[0], member, arguments[1])
    assert said in done.err
    assert done.code != 0
