"""`export`, `recover` and `reset`: nothing that was sold is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.v1 import advice_pb2
from tallystick.wire.advices import id_text
from tallystick_till.config import CONFIG_FILE, DB_FILE, KEY_FILE, SNAPSHOT_DIR
from tallystick_till.daemon.assembly import HubChoice, assembled
from tallystick_till.daemon.instance import held
from tallystick_till.db import TillDb
from tests.daemon.fake_gateway import FakeGateway, gateway
from tests.daemon.shop import TillHome


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    with gateway() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, fake: FakeGateway) -> TillHome:
    return TillHome.enrolled(tmp_path / "till", gateway=fake.address)


def sell(home: TillHome, count: int = 3) -> list[str]:
    """Sell and end; the ids, then the digits of the receipts."""
    made = home.sell(count)
    return [one.sale_id for one in made] + [one.receipt.qr for one in made]


def handed_in(fake: FakeGateway) -> list[str]:
    return [id_text(fact.advice_id) for fact in fake.facts]


def test_what_waits_is_exported_and_handed_in_through_another_till(
    home: TillHome, fake: FakeGateway, tmp_path: Path
) -> None:
    sold = sell(home)[:3]
    file = tmp_path / "sales.txt"
    written = home.here("export", file, "--json")
    assert written.json == {"file": str(file), "advices": 3, "remark": ""}
    other = TillHome.enrolled(tmp_path / "other", gateway=fake.address)
    finished = other.here("recover", file, "--json")
    assert finished.code == 0, finished.err
    assert handed_in(fake) == sold
    assert finished.json["advices"] == [
        {"advice_id": sale_id, "verdict": "posted", "reasons": []} for sale_id in sold
    ]


def test_an_export_is_for_its_owner_alone_and_never_written_over(home: TillHome, tmp_path: Path) -> None:
    file = tmp_path / "sales.txt"
    assert home.here("export", file).code == 0
    assert not file.stat().st_mode & 0o077
    again = home.here("export", file)
    assert again.code == 2
    assert "there already" in again.err


def test_a_till_that_runs_can_be_exported_and_says_that_it_goes_on(home: TillHome, tmp_path: Path) -> None:
    home.sell()
    with held(home.directory), assembled(home.directory, hub=HubChoice()):
        finished = home.here("export", tmp_path / "sales.txt", "--json")
    assert finished.code == 1
    assert finished.json["advices"] == 1
    assert "running" in finished.json["remark"]


def test_what_can_be_read_of_a_damaged_file_is_exported(
    home: TillHome, fake: FakeGateway, tmp_path: Path
) -> None:
    sold = sell(home)[:3]
    _damage(home.directory / DB_FILE)
    finished = home.here("export", tmp_path / "sales.txt", "--json")
    assert finished.code == 1
    assert "damaged" in finished.json["remark"]
    assert finished.json["advices"] == 3
    assert home.here("recover", tmp_path / "sales.txt").code == 0
    assert handed_in(fake) == sold


def _damage(file: Path) -> None:
    """Spoil the page of a table that is none of the outbox's."""
    db = TillDb.open(file)
    (root,) = db.read("SELECT rootpage FROM sqlite_schema WHERE name = 'rules'")[0]
    size = db.number("PRAGMA page_size")
    db.read("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    raw = bytearray(file.read_bytes())
    raw[(root - 1) * size : root * size] = b"\xff" * size
    file.write_bytes(raw)


def test_sales_are_recovered_from_the_codes_of_their_receipts(home: TillHome, fake: FakeGateway) -> None:
    first, second, digits, more = sell(home, 2)
    finished = home.here("recover", digits, more)
    assert finished.code == 0, finished.err
    assert handed_in(fake) == [first, second]
    assert finished.out.splitlines() == [f"{first}  posted", f"{second}  posted"]


def test_a_verdict_that_needs_a_person_is_said_with_its_reason(home: TillHome, fake: FakeGateway) -> None:
    sale_id, digits = sell(home, 1)
    fake.verdict = advice_pb2.Verdict(
        kind=advice_pb2.VERDICT_KIND_QUARANTINED, reasons=[advice_pb2.VERDICT_REASON_TILL_REVOKED]
    )
    finished = home.here("recover", digits)
    assert finished.code == 1
    assert finished.out == f"{sale_id}  quarantined (TILL_REVOKED)\n"


def test_digits_that_are_no_receipt_hand_nothing_in(home: TillHome, fake: FakeGateway) -> None:
    finished = home.here("recover", "12345678901234567890")
    assert finished.code == 3
    assert "Line 1" in finished.err
    assert fake.recovered == []


def test_a_missing_file_is_named(home: TillHome) -> None:
    finished = home.here("recover", "/nowhere/sales.txt")
    assert finished.code == 3
    assert "/nowhere/sales.txt" in finished.err


def test_a_till_with_sales_that_wait_is_not_given_up(home: TillHome) -> None:
    sell(home, 2)
    finished = home.here("reset", "--yes")
    assert finished.code == 3
    assert "2 sales wait" in finished.err
    assert (home.directory / KEY_FILE).exists()


def test_a_till_whose_file_cannot_be_read_is_not_given_up(home: TillHome) -> None:
    (home.directory / DB_FILE).write_bytes(b"x" * 8192)
    finished = home.here("reset", "--yes")
    assert finished.code == 3
    assert "tallystick-till export" in finished.err


def test_a_till_that_runs_is_not_given_up(home: TillHome) -> None:
    with held(home.directory):
        finished = home.here("reset", "--yes")
    assert finished.code == 3
    assert "runs this till already" in finished.err


def test_a_till_that_is_given_up_leaves_nothing_behind(home: TillHome) -> None:
    finished = home.here("reset", "--yes", "--json")
    assert finished.code == 0, finished.err
    assert finished.json["till_id"]
    left = {file.name for file in home.directory.iterdir()}
    assert left == {"lock"}
    assert home.here("reset", "--yes").code == 2


def test_giving_up_asks_first(home: TillHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.confirm", lambda text: False)
    assert home.here("reset").code == 3
    for name in (CONFIG_FILE, KEY_FILE, DB_FILE, SNAPSHOT_DIR):
        assert (home.directory / name).exists(), name
