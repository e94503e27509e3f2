"""`tallystick-till enrol`: a key made here, proved, compared, confirmed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.security.keys import fingerprint
from tallystick_till import enrol as enrolment
from tallystick_till.config import DB_FILE, KEY_FILE, load_config, load_key, write_private
from tests.daemon.fake_gateway import CODE, DEVICE_ID, PROGRAM, STORE, FakeGateway, gateway
from tests.daemon.shop import Finished, TillHome


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    with gateway() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TillHome:
    monkeypatch.setattr(enrolment, "ASK_EVERY_S", 0.01)
    return TillHome(tmp_path / "till", TillHome.enrolled(tmp_path / "other").key)


def enrol(home: TillHome, fake: FakeGateway, *more: str) -> Finished:
    return home.here("enrol", "--gateway", fake.address, "--program", PROGRAM, "--code", CODE, *more)


def test_a_till_shows_its_fingerprint_and_waits_until_a_manager_has_compared_it(
    home: TillHome, fake: FakeGateway
) -> None:
    fake.confirmed_after = 3
    finished = enrol(home, fake)
    assert finished.code == 0, finished.err
    assert f"Fingerprint  {fingerprint(fake.kid)}" in finished.out
    assert f"tallystick device confirm {DEVICE_ID} '{fingerprint(fake.kid)}'" in finished.out
    assert "Till 2 of store high-street is enrolled" in finished.out
    assert fake.confirmed_after == 0


def test_what_was_enrolled_is_kept_for_its_owner_alone(home: TillHome, fake: FakeGateway) -> None:
    made = enrol(home, fake, "--json").json
    config = load_config(home.directory)
    assert (config.till_id, config.store_id, config.label) == (DEVICE_ID, STORE, "Till 2")
    assert made["fingerprint"] == fingerprint(load_key(home.directory).kid)
    for file in (*home.directory.iterdir(), home.directory):
        assert not file.stat().st_mode & 0o077, file


def test_a_till_that_nobody_confirms_goes_on_later_with_the_same_key(
    home: TillHome, fake: FakeGateway
) -> None:
    fake.confirmed_after = 10_000
    waiting = enrol(home, fake, "--wait", "0")
    assert waiting.code == 3
    assert "no manager has confirmed this till yet" in waiting.err
    assert home.here("run").code == 2
    key = (home.directory / KEY_FILE).read_bytes()
    fake.confirmed_after = 1
    assert home.here("enrol").code == 0
    assert (home.directory / KEY_FILE).read_bytes() == key
    assert load_config(home.directory).store_id == STORE


def test_the_same_code_again_keeps_the_key(home: TillHome, fake: FakeGateway) -> None:
    fake.confirmed_after = 10_000
    enrol(home, fake, "--wait", "0")
    key = (home.directory / KEY_FILE).read_bytes()
    fake.confirmed_after = 0
    assert enrol(home, fake).code == 0
    assert (home.directory / KEY_FILE).read_bytes() == key


def test_a_wrong_code_is_refused_with_a_mend(home: TillHome, fake: FakeGateway) -> None:
    finished = home.here("enrol", "--gateway", fake.address, "--program", PROGRAM, "--code", "AAAA-AAAA-AAAA")
    assert finished.code == 3
    assert "ENROLMENT_CODE_INVALID" in finished.err
    assert "tallystick device code" in finished.err


def test_a_text_that_is_no_code_is_not_sent_anywhere(home: TillHome) -> None:
    finished = home.here("enrol", "--gateway", "127.0.0.1:1", "--program", PROGRAM, "--code", "hello")
    assert finished.code == 3
    assert "12 letters" in finished.err
    assert not (home.directory / KEY_FILE).exists()


def test_a_gateway_that_answers_for_another_key_is_not_believed(home: TillHome, fake: FakeGateway) -> None:
    fake.lies = True
    finished = enrol(home, fake)
    assert finished.code == 3
    assert "another key" in finished.err
    assert home.here("enrol").code == 2


def test_an_address_where_no_gateway_is_is_named(home: TillHome) -> None:
    finished = home.here("enrol", "--gateway", "127.0.0.1:1", "--program", PROGRAM, "--code", CODE)
    assert finished.code == 3
    assert "no gateway answers at 127.0.0.1:1" in finished.err
    assert "--ca" in finished.err


def test_a_machine_with_a_wrong_clock_is_told_to_set_it(home: TillHome, fake: FakeGateway) -> None:
    fake.reason = "ASSERTION_INVALID"
    finished = enrol(home, fake)
    assert finished.code == 3
    assert "set this machine's clock" in finished.err


def test_a_till_that_is_enrolled_is_not_enrolled_over(home: TillHome, fake: FakeGateway) -> None:
    assert enrol(home, fake).code == 0
    key = (home.directory / KEY_FILE).read_bytes()
    again = enrol(home, fake)
    assert again.code == 2
    assert "tallystick-till reset" in again.err
    assert (home.directory / KEY_FILE).read_bytes() == key


def test_sales_of_another_till_are_not_taken_over(home: TillHome, fake: FakeGateway) -> None:
    home.directory.mkdir()
    (home.directory / DB_FILE).touch()
    finished = enrol(home, fake)
    assert finished.code == 2
    assert "tallystick-till reset" in finished.err


@pytest.mark.parametrize("text", ["", "no certificate here"])
def test_an_authority_that_is_none_is_refused(
    home: TillHome, fake: FakeGateway, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "ca.pem"
    if text:
        file.write_text(text)
    finished = enrol(home, fake, "--ca", str(file))
    assert finished.code == 2
    assert "PEM file" in finished.err


def test_without_a_code_the_command_says_how_to_get_one(home: TillHome) -> None:
    finished = home.here("enrol")
    assert finished.code == 2
    assert "tallystick device code" in finished.err


def test_a_private_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "key.pem", b"secret")
    finally:
        os.umask(before)
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
