"""`tallystick report`: from a ledger to the books, with the figures that the ledger itself has."""

from __future__ import annotations

import csv
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.books import the_program
from tallystick.core.basket import Assurance
from tallystick.core.command import ConvertOut
from tallystick.service.programs import Programs
from tallystick.service.rulebook import RuleBook
from tallystick.storage.open import open_store
from tests.cli.retail_files import invoices_file
from tests.cli.shell import Shell
from tests.core.world import at
from tests.service.desk import ANN, BEN, CLUB, Desk


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def imported(bench: Shell) -> Any:
    sales = invoices_file(bench.home / "sales.csv")
    return bench.succeed("import", "online-retail", sales, "--database", url(bench), "--json").json


def url(bench: Shell) -> str:
    return f"sqlite:///{bench.home / 'sales.db'}"


def report(bench: Shell, *arguments: str | Path) -> Any:
    return bench.prepare("report", *arguments, "--database", url(bench), "--json").json


def test_the_roll_forward_closes_at_what_the_program_owes(bench: Shell, imported: Any) -> None:
    months = report(bench, "liability")
    points, program = imported["points"], imported["program"]
    assert months[-1]["closing"] == program["active"] + program["pending"] - program["debt"]
    assert sum(month["earned"] for month in months) == points["issued"]
    assert -sum(month["burned"] for month in months) == points["burned"]
    assert -sum(month["taken_back"] for month in months) == points["taken_back"]
    assert sum(month["given_back"] for month in months) == points["given_back"]
    assert -sum(month["expired"] for month in months) == program["expired"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("settlement",), "Nothing was exchanged with a partner yet."),
        (("charity",), "Nothing was given to a project yet."),
        (
            ("campaigns", "--from", "2009-01-01", "--to", "2009-01-31"),
            "No campaign gave anything in the period.",
        ),
    ],
)
def test_a_report_with_nothing_in_it_does_not_say_that_the_ledger_is_empty(
    bench: Shell, imported: Any, arguments: tuple[str, ...], said: str
) -> None:
    assert bench.prepare("report", *arguments, "--database", url(bench)).out.strip() == said
    assert report(bench, *arguments) == []


def test_deferred_revenue_goes_by_the_estimate_and_a_file_of_estimates_by_month(
    bench: Shell, imported: Any, tmp_path: Path
) -> None:
    steady = report(bench, "revenue", "--breakage", "20%")
    estimates = tmp_path / "estimates.csv"
    estimates.write_text("from_month,percent\n2010-01,20\n2011-06,60\n")
    changed = report(bench, "revenue", "--breakage", estimates)
    before = [line for line in steady if line["month"] < "2011-06"]
    assert before == [line for line in changed if line["month"] < "2011-06"]
    assert steady != changed
    journal = report(bench, "journal", "--breakage", "20")
    assert sum(line["debit_minor"] for line in journal) == sum(line["credit_minor"] for line in journal) > 0
    closing = {line["points_of"]: line["closing_minor"] for line in steady}
    owed = sum(
        line["credit_minor"] - line["debit_minor"]
        for line in journal
        if line["account"] == "contract-liability"
    )
    assert owed == sum(closing.values())


def test_a_table_for_people_and_a_csv_for_the_books_say_the_same(
    bench: Shell, imported: Any, tmp_path: Path
) -> None:
    file = tmp_path / "liability.csv"
    told = bench.prepare("report", "liability", "--database", url(bench), "--csv", file).out
    assert "lines written to" in told
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    shown = bench.prepare("report", "liability", "--database", url(bench)).out.splitlines()
    assert len(shown) == len(rows) + 1
    assert f"{int(rows[-1]['closing']):,}" in shown[-1]
    again = bench.here("report", "liability", "--database", url(bench), "--csv", file)
    assert again.code == 2
    assert "nothing is overwritten" in again.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("month,percent\n2010-01,20\n", "lacks the column from_month"),
        ("from_month,percent\n2010-13,20\n", ":2 is no estimate"),
        ("from_month,percent\n2010-01,120\n", "120 is not from 0 to 100"),
        ("from_month,percent\n2011-06,20\n", "has no estimate for 20"),
    ],
)
def test_estimates_that_cannot_be_right_are_refused_with_their_line(
    bench: Shell, imported: Any, tmp_path: Path, text: str, said: str
) -> None:
    estimates = tmp_path / "estimates.csv"
    estimates.write_text(text)
    finished = bench.here("report", "revenue", "--breakage", estimates, "--database", url(bench))
    assert finished.code in (2, 3)
    assert said in finished.err


@pytest.mark.parametrize(
    ("percent", "code", "said"),
    [
        ("150%", 2, "150% is not from 0 to 100"),
        ("100.5", 2, "100.5 is not"),
        ("\N{SUPERSCRIPT TWO}", 3, "No such file"),
    ],
)
def test_a_share_above_all_points_is_refused_and_what_is_no_number_is_a_file(
    bench: Shell, imported: Any, percent: str, code: int, said: str
) -> None:
    finished = bench.here("report", "revenue", "--breakage", percent, "--database", url(bench))
    assert (finished.code, finished.out) == (code, "")
    assert said in finished.err


def test_all_points_may_be_expected_to_be_burned_or_none(bench: Shell, imported: Any) -> None:
    assert report(bench, "revenue", "--breakage", "0")[0]["deferred_minor"] > 0
    assert report(bench, "revenue", "--breakage", "100.0 %")[0]["deferred_minor"] == 0


def test_a_new_value_of_points_leaves_the_booked_months_as_they_were(
    bench: Shell, imported: Any, tmp_path: Path
) -> None:
    copy = tmp_path / "sales.db"
    with closing(sqlite3.connect(bench.home / "sales.db")) as whole, closing(sqlite3.connect(copy)) as to:
        whole.backup(to)
    door = ("--breakage", "20", "--database", f"sqlite:///{copy}", "--json")
    before = [bench.prepare("report", name, *door).json for name in ("revenue", "journal")]
    with closing(open_store(f"sqlite:///{copy}")) as store:
        program_id = the_program(store, "")
        programs = Programs(store, RuleBook(store), now_ms=lambda: at("2026-01-15T12:00"))
        text = re.sub(r"(?m)^  minor: \d+", "  minor: 200", programs.rule_set(program_id, 0).text)
        assert programs.publish(program_id, text, request_id="twice", published_by="test").version == 2
    assert [bench.prepare("report", name, *door).json for name in ("revenue", "journal")] == before


def test_points_exchanged_with_a_partner_have_the_worth_that_they_had_then(
    bench: Shell, tmp_path: Path
) -> None:
    partners = [{"program": "cinema", "name": "Cinema", "give_points": 10, "get_points": 1}]
    door = f"sqlite:///{tmp_path / 'club.db'}"
    bench.prepare("migrate", "--database", door)

    def give(desk: Desk, points: int) -> None:
        desk.posted(ConvertOut(desk.new_id(), ANN, desk.origin, "cinema", BEN, points, Assurance.STATIC_CARD))

    with closing(open_store(door)) as store, Desk(store, partners=partners) as desk:
        desk.posted(desk.earn(500))
        give(desk, 100)
        before = bench.prepare("report", "settlement", "--database", door, "--json").json
        worth_twice = {"points": 100, "minor": 200, "assurance_caps": {"typed": "unlimited"}}
        desk.publish(partners=partners, burning=worth_twice)
        desk.book.forget(CLUB)
        assert bench.prepare("report", "settlement", "--database", door, "--json").json == before
        give(desk, 50)
    (line,) = bench.prepare("report", "settlement", "--database", door, "--json").json
    assert (line["month"], line["partner"]) == ("2026-01", "cinema")
    assert (line["gave_points"], line["gave_minor"]) == (150, 100 + 2 * 50)
    assert (line["got_points"], line["got_minor"]) == (0, 0)
