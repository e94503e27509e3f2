"""`tallystick report kpis|campaigns|experiment` and `tallystick segment`: from a ledger to what a retailer asks."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.ids import ProgramId
from tallystick.service.rulebook import RuleBook
from tallystick.storage.open import open_store
from tests.cli.retail_files import invoices_file
from tests.cli.shell import Shell

YEAR = ("--from", "2010-12-01", "--to", "2011-11-30")
PARTS: dict[str, Any] = {
    "segments": [{"id": "regulars", "name": "Regulars", "visits": {"min": 2}}],
    "experiments": [
        {
            "id": "try",
            "variants": [{"id": "a", "percent": 50}, {"id": "b", "percent": 50}],
        }
    ],
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("insight"))


@pytest.fixture(scope="module")
def imported(bench: Shell) -> Any:
    sales = invoices_file(bench.home / "sales.csv")
    told = bench.succeed("import", "online-retail", sales, "--database", url(bench), "--json").json
    store = open_store(url(bench))
    try:
        program_id = ProgramId("online-retail")
        stored = store.rule_set(program_id, 1)
        assert stored is not None
        document = {**json.loads(stored.canonical), **PARTS}
        document["earning"]["rules"][0]["budget"] = {"points": 10**9, "per": "month"}
        text = json.dumps(document)
        publish(store, program_id, text)
        assert RuleBook(store).current(program_id) is not None
    finally:
        store.close()
    return told


def publish(store: Any, program_id: ProgramId, text: str) -> None:
    from tallystick.service.programs import Programs

    Programs(store, RuleBook(store), now_ms=lambda: 0).publish(  # type: ignore[arg-type,return-value]
        program_id, text, request_id="0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e18", published_by="test"
    )


def url(bench: Shell) -> str:
    return f"sqlite:///{bench.home / 'sales.db'}"


def asked(bench: Shell, *arguments: str | Path) -> Any:
    return bench.prepare(*arguments, "--database", url(bench), "--json").json


def test_key_figures_agree_with_what_was_imported(bench: Shell, imported: Any) -> None:
    found = asked(bench, "report", "kpis", *YEAR)
    liability = asked(bench, "report", "liability")
    assert found["currency"] == "GBP"
    assert found["members"] == 6, "one of them only brought things back"
    assert found["expired"] == -sum(
        line["expired"] for line in liability if "2010-12" <= line["month"] <= "2011-11"
    )
    assert found["revenue_minor"] == sum(month["revenue_minor"] for month in found["months"])
    assert found["average_sale_minor"] == found["revenue_minor"] // found["sales"]
    (campaign,) = [one for one in found["campaigns"] if one["kind"] == "rule"]
    assert campaign["points"] >= found["issued"] > 0


def test_a_page_with_plots_says_what_the_table_says(bench: Shell, imported: Any, tmp_path: Path) -> None:
    page = tmp_path / "kpis.html"
    told = bench.prepare("report", "kpis", *YEAR, "--html", page, "--database", url(bench)).out
    text = page.read_text(encoding="utf-8")
    assert "repeat rate" in told
    assert text.count("<svg") == 2
    for figure in ("lifetime value", "breakage expected", "What campaigns cost", "2011-05"):
        assert figure in text
    revenue = next(line for line in told.splitlines() if "revenue of members" in line).split()[3]
    assert revenue in text


def test_segments_are_worked_out_listed_and_exported(bench: Shell, imported: Any, tmp_path: Path) -> None:
    assert asked(bench, "segment", "list")[0]["worked_out"] == "never"
    (regulars,) = asked(bench, "segment", "refresh")
    assert (regulars["segment"], regulars["members"]) == ("regulars", 5)
    assert asked(bench, "segment", "list") == [regulars]
    file = tmp_path / "regulars.csv"
    bench.prepare("segment", "export", "regulars", "--csv", file, "--database", url(bench))
    with file.open(newline="") as stream:
        assert len({row["member_id"] for row in csv.DictReader(stream)}) == 5


def test_an_experiment_is_reported_by_variant_with_a_finding_in_words(bench: Shell, imported: Any) -> None:
    rows = asked(bench, "report", "experiment", "try")
    assert [row["variant"] for row in rows] == ["a", "b"]
    assert rows[0]["finding"] == "measured against"
    assert sum(row["members"] for row in rows) == 6
    assert rows[1]["finding"].startswith(("better", "worse", "not yet known", "too few"))


def test_campaigns_are_a_table_of_their_own(bench: Shell, imported: Any) -> None:
    rows = asked(bench, "report", "campaigns", *YEAR)
    assert rows == asked(bench, "report", "kpis", *YEAR)["campaigns"]


def test_budgets_are_told_with_what_they_may_give(bench: Shell, imported: Any) -> None:
    assert asked(bench, "report", "budgets") == [
        {
            "campaign": "base",
            "store": "",
            "per": "month",
            "given_points": 0,
            "given_minor": 0,
            "budget_points": 10**9,
            "budget_minor": "",
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report", "experiment", "none"), "there are: try"),
        (("segment", "export", "none"), "there are: regulars"),
        (("report", "kpis", "--from", "2011-02-01", "--to", "2011-01-01"), "is no period"),
        (
            ("report", "kpis", "--from", "9999-12-31", "--to", "9999-12-31"),
            "--from must be a day from 2000-01-01 to 2099-12-31",
        ),
        (
            ("report", "kpis", "--from", "2099-12-31", "--to", "2100-01-01"),
            "--to must be a day from 2000-01-01 to 2099-12-31",
        ),
        (("report", "kpis", "--from", "yesterday", "--to", "2011-01-01"), "yesterday"),
    ],
)
def test_what_is_asked_for_wrongly_is_said_with_the_mend(
    bench: Shell, imported: Any, arguments: tuple[str, ...], said: str
) -> None:
    finished = bench.here(*arguments, "--database", url(bench))
    assert finished.code == 2
    assert said in finished.err
