"""`tallystick program simulate|diff|rollback`: before a rule set is published, and when it was a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.retail_files import invoices_file
from tests.cli.shell import Shell


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("simulate"))


@pytest.fixture(scope="module")
def sales_file(bench: Shell) -> Path:
    return invoices_file(bench.home / "sales.csv")


@pytest.fixture(scope="module")
def imported(bench: Shell, sales_file: Path) -> Any:
    url = f"sqlite:///{bench.home / 'sales.db'}"
    return bench.succeed("import", "online-retail", sales_file, "--database", url, "--json").json


def test_a_simulation_foresees_to_the_point_what_the_ledger_then_holds(
    bench: Shell, sales_file: Path, imported: Any
) -> None:
    told = bench.prepare("program", "simulate", "online_retail", "--sales", sales_file, "--json").json[
        "rules"
    ]
    points, program = imported["points"], imported["program"]
    assert told["issued"] == points["issued"] - points["taken_back"]
    assert told["burned"] == points["burned"] - points["given_back"]
    assert told["expired"] == program["expired"]
    assert told["outstanding"] == program["active"] + program["pending"] - program["debt"]
    assert {tier: count for tier, count in told["tiers"].items() if count} == imported["tiers"]
    assert told["refused"] == imported["commands"]["refused"]


def test_the_ledgers_own_sales_lead_to_the_ledger_again(bench: Shell, imported: Any) -> None:
    url = f"sqlite:///{bench.home / 'sales.db'}"
    told = bench.prepare(
        "program", "simulate", "online_retail", "--sales", "ledger", "--database", url, "--json"
    ).json
    points, program = imported["points"], imported["program"]
    assert told["rules"]["issued"] == points["issued"] - points["taken_back"]
    assert told["rules"]["burned"] == points["burned"] - points["given_back"]
    assert told["rules"]["expired"] == program["expired"]
    assert told["rules"]["refused"] == {}
    for left_out in ("no article numbers", "Coupons"):
        assert any(left_out in note for note in told["notes"])


def test_the_page_and_the_text_tell_who_wins(bench: Shell, sales_file: Path, tmp_path: Path) -> None:
    richer = tmp_path / "richer.yaml"
    text = bench.prepare("program", "show", "--shipped", "online_retail").out
    richer.write_text(text.replace("points: 1\n", "points: 3\n"))
    html = tmp_path / "page.html"
    shown = bench.prepare(
        "program", "simulate", richer, "--sales", sales_file, "--against", "online_retail", "--html", html
    ).out
    assert "who wins and who loses" in shown
    assert "top 10 %" in shown
    assert str(html) in shown
    assert "Who wins, who loses" in html.read_text()


def test_a_page_that_cannot_be_written_is_said_before_the_sales_are_read(
    bench: Shell, tmp_path: Path
) -> None:
    for page in (tmp_path, tmp_path / "missing" / "page.html"):
        finished = bench.here(
            "program", "simulate", "online_retail", "--sales", tmp_path / "none", "--html", page
        )
        assert (finished.code, finished.out) == (2, "")
        assert f"{page} cannot be written" in finished.err


def test_a_broken_rule_set_is_named_with_its_place(bench: Shell, sales_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    text = bench.prepare("program", "show", "--shipped", "online_retail").out
    broken.write_text(text.replace("per_minor: 100", "per_minor: -1"))
    finished = bench.here("program", "simulate", broken, "--sales", sales_file)
    assert finished.code == 3
    assert f"{broken}:14:7: earning.rules[0].per_minor" in finished.err


def test_rule_sets_of_two_currencies_are_not_compared(bench: Shell, sales_file: Path) -> None:
    finished = bench.here(
        "program", "simulate", "online_retail", "--sales", sales_file, "--against", "simple"
    )
    assert finished.code == 2
    assert "GBP" in finished.err
    assert "EUR" in finished.err


def test_a_rule_set_is_not_tried_on_a_ledger_of_another_currency(bench: Shell, imported: Any) -> None:
    url = f"sqlite:///{bench.home / 'sales.db'}"
    finished = bench.here("program", "simulate", "simple", "--sales", "ledger", "--database", url)
    assert finished.code == 2
    assert "simple is in EUR, the ledger of " in finished.err
    assert " in GBP" in finished.err
    assert "sold to members" not in finished.out


def test_a_file_without_a_members_sale_is_no_history(bench: Shell, tmp_path: Path) -> None:
    nobody = tmp_path / "nobody.csv"
    nobody.write_text(
        "InvoiceNo,InvoiceDate,CustomerID,Country,Quantity,UnitPrice\n1,1/1/2011 9:00,,UK,1,2\n"
    )
    finished = bench.here("program", "simulate", "online_retail", "--sales", nobody)
    assert finished.code == 3
    assert "nothing to simulate" in finished.err


def test_a_diff_names_places_and_finds_items_again_by_their_id(bench: Shell, tmp_path: Path) -> None:
    changed = tmp_path / "changed.yaml"
    text = bench.prepare("program", "show", "--shipped", "simple").out
    text = text.replace("by: 2", "by: 3").replace("    - { id: silver, from: 50000 }\n", "")
    first, second = text.index("  - { id: free-coffee"), text.index("  - { id: ten-percent")
    end = text.index("\nreturns:")
    text = text[:first] + text[second:end] + text[first:second].rstrip() + "\n" + text[end:]
    changed.write_text(text + "\nholds: { ttl_max_s: 600 }\n")
    finished = bench.here("program", "diff", changed, "--against", "simple")
    assert finished.code == 1
    assert finished.out.splitlines() == [
        "~ earning.rules[coffee-double].by: 2 -> 3",
        '- tiers.levels[silver]: {"id": "silver", "from": 50000}',
        '~ rewards (order): ["free-coffee", "ten-percent"] -> ["ten-percent", "free-coffee"]',
        '+ holds: {"ttl_max_s": 600}',
    ]
    same = bench.here("program", "diff", "simple", "--against", "simple")
    assert (same.code, same.out) == (0, "simple says the same as simple.\n")


def test_a_rollback_publishes_the_old_text_as_a_new_version(bench: Shell, tmp_path: Path) -> None:
    changed = tmp_path / "changed.yaml"
    text = bench.prepare("program", "show", "--shipped", "simple").out
    changed.write_text(text.replace("by: 2", "by: 3"))
    with bench.running("run") as server:
        door = ("--server", server.address)
        assert bench.succeed("program", "publish", changed, "--json", *door).json["version"] == 2
        assert "by: 2 -> 3" in bench.run("program", "diff", changed, "--against", "simple", *door).out
        assert (
            bench.run("program", "diff", "simple", *door).out == "~ earning.rules[coffee-double].by: 3 -> 2\n"
        )
        back = bench.succeed("program", "rollback", "--to", "1", *door).out
        assert back == "Rule set 3 is in force; it says what rule set 1 said. Rule set 2 was before.\n"
        assert bench.succeed("program", "show", *door).out.strip() == text.strip()
        again = bench.run("program", "rollback", "--to", "1", *door)
        assert again.code == 3
        assert "says what rule set 1 says" in again.err
