"""`tallystick-till run` and `status`: the real program, with the gateway away from the first second to the last."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tallystick_till.config import DB_FILE, KEY_FILE
from tallystick_till.daemon.assembly import HubChoice, assembled
from tallystick_till.daemon.instance import held
from tallystick_till.daemon.machine import new_id
from tallystick_till.hub import own_of
from tests.daemon.shop import ANNA_POINTS, SALE, Program, TillHome
from tests.daemon.test_api import CUT_TEXT
from tests.till.premises import ANNA_CARD


@pytest.fixture
def home(tmp_path: Path) -> TillHome:
    return TillHome.enrolled(tmp_path / "till")


@dataclass(frozen=True, slots=True)
class Open:
    """A till that is open all the time that the tests here run."""

    home: TillHome
    program: Program


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    home = TillHome.enrolled(tmp_path_factory.mktemp("open") / "till")
    with home.running("--hub-listen", "127.0.0.1:0") as program:
        yield Open(home, program)


def test_a_till_sells_with_the_gateway_away_and_forgets_nothing_when_the_power_fails(home: TillHome) -> None:
    ask = {**SALE, "sale_id": new_id(), "spend": {"points": 500}, "basket_id": "b-1"}
    with home.running() as till:
        found = till.at.post("/identify", {"scan": ANNA_CARD}).json
        assert (found["kind"], found["member"]["points"]) == ("member", ANNA_POINTS)
        assert found["member"]["name"] == ""
        made = till.at.post("/sale", ask).json
        assert (made["burned_points"], made["payable_minor"], made["stand_in"]) == (500, 750, True)
        till.cut_power()
    with home.running() as again:
        assert again.at.get("/state").json["queued"] == 1
        assert again.at.post("/sale", ask).json == made
        assert again.at.get("/basket/result?basket_id=b-1&wait_s=0").json == made
        assert [sale["sale_id"] for sale in again.at.get("/sales").json["sales"]] == [ask["sale_id"]]
        points = again.at.post("/identify", {"scan": ANNA_CARD}).json["member"]["points"]
        assert points == ANNA_POINTS - 500 + made["earned_points"]


def test_a_sale_that_was_kept_with_half_a_character_can_be_read(home: TillHome) -> None:
    (made,) = home.sell(texts=(CUT_TEXT,))
    with home.running() as till:
        (listed,) = till.at.get("/sales").json["sales"]
        assert (listed["sale_id"], listed["lines"][0]["text"]) == (made.sale_id, "Birthday candles \ufffd")
        assert till.at.get(f"/sales/{made.sale_id}").json == listed
        assert till.at.post("/identify", {"scan": made.receipt.qr}).json["sale"] == listed


def test_what_is_sold_in_training_does_not_wait_for_the_gateway(shop: Open) -> None:
    at = shop.program.at
    before = at.get("/state").json["queued"]
    at.post("/training", {"on": True})
    assert at.post("/sale", SALE).status == 200
    assert at.get("/state").json["queued"] == 1
    assert at.post("/training", {"on": False}).json["queued"] == before


def test_a_second_process_for_one_till_is_refused(shop: Open) -> None:
    second = shop.home.here("run", "--listen", "127.0.0.1:0")
    assert second.code == 3
    assert f"process {shop.program.process.pid} runs this till already" in second.err
    assert "fork" in second.err


def test_a_till_stops_at_once_though_a_screen_listens(home: TillHome) -> None:
    with home.running() as till, till.at.events() as events:
        next(events)
        began = time.monotonic()
        till.process.send_signal(signal.SIGTERM)
        assert till.process.wait(10) == 0
        assert time.monotonic() - began < 4


def test_a_running_till_shows_how_the_others_reach_its_leases(shop: Open) -> None:
    assert "--hub 0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e22@HOST:" in shop.program.shown
    assert shop.program.at.get("/state").json["till"]["hub"] == "self"


def test_a_taken_port_is_named_with_a_mend(home: TillHome) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = home.here("run", "--listen", f"127.0.0.1:{port}")
        hub = home.here("run", "--listen", "127.0.0.1:0", "--hub-listen", f"127.0.0.1:{port}")
    assert (finished.code, hub.code) == (3, 3)
    assert f"port {port} of this machine is taken" in finished.err
    assert "--listen" in finished.err
    assert "the hub cannot listen" in hub.err


@pytest.mark.parametrize("address", ["0.0.0.0:8411", "192.168.1.5:8411", "127.0.0.1", "127.0.0.1:99999"])
def test_the_screen_is_never_served_to_other_machines(home: TillHome, address: str) -> None:
    finished = home.here("run", "--listen", address)
    assert finished.code == 2
    assert "127.0.0.1" in finished.err or "HOST:PORT" in finished.err


@pytest.mark.parametrize("choice", ["self", "none", "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e22@till-1.local:8412"])
def test_every_till_keeps_a_hub_in_its_file_which_stands_by_while_the_store_has_another(
    home: TillHome, choice: str
) -> None:
    with held(home.directory), assembled(home.directory, hub=HubChoice(choice)) as parts:
        own = own_of(parts.hub)
        assert own is not None
        assert own.stands_by is (choice != "self")


@pytest.mark.parametrize(
    "hub", ["till-1.local:8412", "me@till:1", "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e22@till"]
)
def test_a_hub_that_cannot_be_one_is_refused(home: TillHome, hub: str) -> None:
    finished = home.here("run", "--listen", "127.0.0.1:0", "--hub", hub)
    assert finished.code == 2
    assert "HOST:PORT" in finished.err


def test_only_the_till_with_the_leases_can_serve_them(home: TillHome) -> None:
    finished = home.here("run", "--listen", "127.0.0.1:0", "--hub", "none", "--hub-listen", "127.0.0.1:0")
    assert finished.code == 2
    assert "leases" in finished.err


def test_a_till_that_nobody_enrolled_says_how_to(tmp_path: Path) -> None:
    empty = TillHome(tmp_path, TillHome.enrolled(tmp_path / "other").key)
    finished = empty.here("run")
    assert finished.code == 2
    assert "tallystick-till enrol" in finished.err


def test_a_directory_that_cannot_be_written_is_said_to_be_so(home: TillHome) -> None:
    (home.directory / ".probe.new").mkdir()
    finished = home.here("run", "--listen", "127.0.0.1:0")
    assert finished.code == 2
    assert "cannot be written" in finished.err


def test_a_key_that_others_can_read_is_refused(home: TillHome) -> None:
    (home.directory / KEY_FILE).chmod(0o644)
    finished = home.here("run", "--listen", "127.0.0.1:0")
    assert finished.code == 2
    assert "chmod 600" in finished.err


def test_nobody_else_can_read_what_a_till_writes(shop: Open) -> None:
    shop.program.at.post("/sale", SALE)
    files = {file.name: file.stat().st_mode & 0o077 for file in shop.home.directory.rglob("*")}
    assert files["lock"] == files["key.pem"] == files["till.json"] == 0
    assert shop.home.directory.stat().st_mode & 0o077 == 0


def test_status_tells_the_same_while_the_till_runs_and_while_it_does_not(home: TillHome) -> None:
    with home.running() as till:
        till.at.post("/identify", {"scan": ANNA_CARD})
        assert till.at.post("/sale", {**SALE, "spend": {"points": 200}}).status == 200
        asked = home.here("status", "--json")
    read = home.here("status", "--json")
    assert (asked.json["runs"], read.json["runs"]) == (True, False)
    for name in ("till", "queued", "floor", "worst_case_points", "burn", "sell", "rules"):
        assert asked.json[name] == read.json[name], name
    assert read.json["queued"] == 1
    assert read.json["floor"] == {"used_points": 200, "cap_points": 1000}


def test_status_is_a_table_for_people(home: TillHome) -> None:
    finished = home.here("status")
    assert finished.code == 0, finished.err
    assert "Till 1 of store-1" in finished.out
    assert "0 of 1,000 points used" in finished.out


def test_a_till_whose_rules_are_past_their_date_says_so_and_still_earns(tmp_path: Path) -> None:
    home = TillHome.enrolled(tmp_path / "till", valid_days=-1)
    shown = home.here("status")
    assert shown.code == 1
    assert "rules of this till are past their date" in shown.out
    with home.running() as till:
        till.at.post("/identify", {"scan": ANNA_CARD})
        earned = till.at.post("/sale", SALE)
        burned = till.at.post("/sale", {**SALE, "spend": {"points": 100}})
    assert (earned.status, earned.json["earned_points"]) == (200, 12)
    assert burned.status == 409
    assert burned.json["error"]["message"]


def test_a_damaged_file_stops_sales_in_words_and_is_left_as_it_is(home: TillHome) -> None:
    home.sell()
    file = home.directory / DB_FILE
    file.write_bytes(b"not a database" + file.read_bytes()[14:])
    before = file.read_bytes()
    with home.running() as again:
        state, answer = again.at.get("/state").json, again.at.post("/sale", SALE)
        assert state["sell"] == {"allowed": False, "reason": "OUTBOX_CORRUPT"}
        assert answer.status == 503
    assert file.read_bytes() == before
    shown = home.here("status")
    assert shown.code == 1
    assert "damaged" in shown.out


def test_a_file_of_a_newer_program_is_not_touched(home: TillHome) -> None:
    with sqlite3.connect(home.directory / DB_FILE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    finished = home.here("run", "--listen", "127.0.0.1:0")
    assert finished.code == 3
    assert "newer program" in finished.err
