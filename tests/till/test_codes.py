"""Members' codes at a till that asks nobody: who it is, how sure that is, and each refusal with its own name."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.security.code import (
    code_to_digits,
    issue_credential,
    issue_server_code,
    sign_code,
)
from tallystick.security.keys import SigningKey, generate_signing_key
from tallystick.v1 import identity_pb2, types_pb2
from tallystick_till.db import CODE_USE, FORMAT, TillDb
from tallystick_till.ports import Known
from tallystick_till.types import Identified, NotIdentified
from tests.till.premises import ANNA, BOB, PROGRAM, START_MS
from tests.till.test_disk import fill_disk, sell_until_full
from tests.till.world import World, jwk, tag

ANNAS = bytes(range(8))
"""Anna's pseudonym."""


class Phone:
    """Anna's phone, which agrees with the true time unless it is told otherwise."""

    def __init__(self, world: World, *, burn_from_s: int = 0, by: SigningKey | None = None) -> None:
        self.world, self.key, self.codes = world, generate_signing_key(), 0
        self.credential = issue_credential(
            by or world.server_key,
            program_id=PROGRAM,
            pseudonym=ANNAS,
            device=self.key.verify_key,
            expires_s=START_MS // 1000 + 86_400,
            burn_from_s=burn_from_s,
        )

    def code(self, *, late_s: int = 0, key: SigningKey | None = None, program_id: str = PROGRAM) -> str:
        self.codes += 1
        raw = sign_code(
            key or self.key,
            self.credential,
            program_id=program_id,
            issued_s=self.world.now_ms() // 1000 - late_s,
            cti=self.codes.to_bytes(4, "big"),
        )
        return code_to_digits(raw)


@pytest.fixture
def phone(world: World) -> Phone:
    world.snapshot.put(Known(ANNA, 10, 1000, "", 0), tag("pseudonym", ANNAS.hex()))
    return Phone(world)


def level(world: World, scan: str) -> int:
    found = world.till.identify(scan)
    assert isinstance(found, Identified), found
    assert found.member.member_ref == ANNA
    return found.member.assurance


def refusal(world: World, scan: str) -> str:
    found = world.till.identify(scan)
    assert isinstance(found, NotIdentified), found
    return found.reason


def test_a_code_is_known_offline_by_public_keys_alone(world: World, phone: Phone) -> None:
    found = world.till.identify(f"\x02]Q1{phone.code()}\r\n", source="wedge")
    assert isinstance(found, Identified)
    member = found.member
    assert (member.member_ref, member.points, member.assurance, member.source) == (ANNA, 1000, 4, "snapshot")
    assert world.till.sale(world.ask(burn=300)).burned_points == 300


def test_each_refusal_has_its_own_name(world: World, phone: Phone) -> None:
    used = phone.code()
    assert level(world, used) == 4
    stranger = Phone(world, by=generate_signing_key())
    changed = phone.code()
    wrong = {
        "a picture that is 46 seconds old": (phone.code(late_s=46), "EXPIRED"),
        "a second scan": (used, "REPLAYED"),
        "another device's key": (phone.code(key=generate_signing_key()), "BAD_SIGNATURE"),
        "another gateway": (stranger.code(), "BAD_SIGNATURE"),
        "another program": (phone.code(program_id="other"), "BAD_SIGNATURE"),
        "a code from the future": (phone.code(late_s=-16), "CLOCK"),
        "a truncated code": (phone.code()[:300], "FORMAT"),
        "a longer code": (changed + "0" * 39, "FORMAT"),
        "an oversized code": (changed + "7" * 4_000, "FORMAT"),
        "a code and something": (changed + "x", "FORMAT"),
    }
    assert {name: refusal(world, scan) for name, (scan, _) in wrong.items()} == {
        name: reason for name, (_, reason) in wrong.items()
    }


def test_changed_digits_are_refused(world: World, phone: Phone) -> None:
    digits = phone.code()
    for place in range(0, len(digits), 7):
        other = str((int(digits[place]) + 1) % 10)
        scan = digits[:place] + other + digits[place + 1 :]
        assert refusal(world, scan) in {"BAD_SIGNATURE", "FORMAT"}
    assert level(world, digits) == 4


def test_the_edges_of_a_codes_time(world: World, phone: Phone) -> None:
    assert level(world, phone.code(late_s=45)) == 4
    assert level(world, phone.code(late_s=-15)) == 4


def test_a_used_code_stays_used_when_the_till_starts_again(world: World, phone: Phone) -> None:
    digits = phone.code()
    assert level(world, digits) == 4
    world.restart()
    assert refusal(world, digits) == "REPLAYED"


def test_only_the_use_of_a_code_is_not_synced(world: World, phone: Phone) -> None:
    db = world.till.db
    with db.write_unsynced():
        assert db.number("PRAGMA synchronous") == 1
    assert db.number("PRAGMA synchronous") == 2
    with pytest.raises(ZeroDivisionError), db.write_unsynced():
        assert 1 // db.number("SELECT 0")
    assert db.number("PRAGMA synchronous") == 2
    assert level(world, phone.code()) == 4
    assert db.number("PRAGMA synchronous") == 2
    with db.write():
        assert db.number("PRAGMA synchronous") == 2


def test_uses_are_forgotten_when_their_codes_are_too_old(world: World, phone: Phone) -> None:
    for _ in range(5):
        assert level(world, phone.code()) == 4
        world.clock.go(30)
    assert world.till.db.number("SELECT count(*) FROM code_use") == 2
    world.clock.go(120)
    assert level(world, phone.code()) == 4
    assert world.till.db.number("SELECT count(*) FROM code_use") == 1


def test_a_phone_in_its_first_day_looks_and_does_not_burn(world: World, phone: Phone) -> None:
    new = Phone(world, burn_from_s=START_MS // 1000 + 3_600)
    found = world.till.identify(new.code())
    assert isinstance(found, Identified)
    member = found.member
    assert (member.assurance, member.points, member.burn_limit_points) == (0, 1000, 0)
    assert member.burn_limit_reason == "ABOVE_ASSURANCE_CAP"
    assert world.till.sale(world.ask()).earned_points == 50
    world.clock.go(3_600)
    assert level(world, new.code()) == 4


def test_a_revoked_phone_is_refused_once_the_till_has_heard_of_it(world: World, phone: Phone) -> None:
    second = Phone(world)
    assert level(world, phone.code()) == 4
    world.snapshot.put(Known(ANNA, 11, 1000, "", 0), tag("revoked_device", phone.key.kid))
    assert refusal(world, phone.code()) == "REVOKED"
    assert level(world, second.code()) == 4


def test_a_phone_that_another_member_had_to_give_up_is_not_refused_for_this_one(
    world: World, phone: Phone
) -> None:
    world.snapshot.put(Known(BOB, 11, 300, "", 0), tag("revoked_device", phone.key.kid))
    assert level(world, phone.code()) == 4


def test_an_erased_member_is_unknown_by_code(world: World, phone: Phone) -> None:
    world.snapshot.put(Known(ANNA, 11, 0, "", 2))
    assert refusal(world, phone.code()) == "UNKNOWN"


def test_a_member_whom_the_till_has_not_heard_of_is_unknown_and_may_show_the_code_again(world: World) -> None:
    phone = Phone(world)
    digits = phone.code()
    assert refusal(world, digits) == "UNKNOWN"
    world.snapshot.put(Known(ANNA, 10, 1000, "", 0), tag("pseudonym", ANNAS.hex()))
    assert level(world, digits) == 4


def test_two_members_with_one_tag_are_not_told_apart_by_guessing(world: World, phone: Phone) -> None:
    world.snapshot.put(Known(BOB, 10, 300, "", 0), tag("pseudonym", ANNAS.hex()))
    assert refusal(world, phone.code()) == "AMBIGUOUS"


def test_a_till_without_the_time_identifies_and_burns_nothing(world: World, phone: Phone) -> None:
    world.clock.reboot()
    world.restart()
    assert level(world, phone.code(late_s=-5)) == 0
    world.clock.wall += 3 * 86_400_000
    assert refusal(world, phone.code()) == "CLOCK"


def test_a_pass_is_known_offline_as_often_as_it_is_shown(world: World, phone: Phone) -> None:
    assert phone.codes == 0
    digits = code_to_digits(
        issue_server_code(
            world.server_key, program_id=PROGRAM, pseudonym=ANNAS, expires_s=START_MS // 1000 + 60
        )
    )
    assert [level(world, digits), level(world, digits)] == [2, 2]
    world.clock.go(60)
    assert refusal(world, digits) == "EXPIRED"


def test_a_pass_with_a_password_is_known_offline_while_its_time_is_now(world: World, phone: Phone) -> None:
    """The till cannot check the password, so it is no surer than of a pass that stands still."""
    assert phone.codes == 0
    now_s = START_MS // 1000
    code = code_to_digits(
        issue_server_code(
            world.server_key,
            program_id=PROGRAM,
            pseudonym=ANNAS,
            expires_s=now_s + 1_000,
            rotating=True,
        )
    )
    assert level(world, f"{code}{now_s}12345678") == 2
    assert refusal(world, code) == "FORMAT", "a picture's signed part without its time"
    assert refusal(world, f"{code}{now_s + 90}12345678") == "CLOCK"
    world.clock.go(90)
    assert refusal(world, f"{code}{now_s}12345678") == "EXPIRED"


def test_a_time_behind_a_pass_that_has_none_is_no_code(world: World) -> None:
    now_s = START_MS // 1000
    still = code_to_digits(
        issue_server_code(world.server_key, program_id=PROGRAM, pseudonym=ANNAS, expires_s=now_s + 60)
    )
    assert refusal(world, f"{still}{now_s}12345678") == "FORMAT"


def test_keys_of_the_gateway_are_exchanged_as_the_news_say(world: World, phone: Phone) -> None:
    new = generate_signing_key()
    later = Phone(world, by=new)
    assert refusal(world, later.code()) == "BAD_SIGNATURE"
    news = world.news()
    news.server_keys.append(jwk(new))
    world.till.take_store_news(news)
    assert level(world, phone.code()) == 4
    assert level(world, later.code()) == 4
    del news.server_keys[0]
    world.till.take_store_news(news)
    assert refusal(world, phone.code()) == "BAD_SIGNATURE"
    assert level(world, later.code()) == 4


def test_what_cannot_be_written_down_does_not_burn(world: World, phone: Phone) -> None:
    assert level(world, phone.code()) == 4
    fill_disk(world)
    sell_until_full(world)
    levels = [level(world, phone.code()) for _ in range(100)]
    assert set(levels) == {0, 4}
    assert levels[-1] == 0


def test_no_more_uses_are_kept_than_there_is_room_for(
    world: World, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick_till.codes.CODE_USES_MAX", 2)
    assert [level(world, phone.code()) for _ in range(3)] == [4, 4, 0]
    world.clock.go(121)
    assert level(world, phone.code()) == 4


def test_the_gateway_has_the_last_word_and_is_told_nothing_but_the_code(world: World, phone: Phone) -> None:
    digits = phone.code()
    world.gateway.scans[digits] = ANNA
    world.gateway.balances[ANNA] = 77
    world.line_up()
    found = world.till.identify(f"]Q1{digits}\r")
    assert isinstance(found, Identified)
    assert (found.member.points, found.member.source, found.member.assurance) == (77, "server", 1)
    assert world.gateway.asked == ["identify"]
    assert refusal(world, digits) == "REPLAYED"
    assert world.gateway.asked == ["identify"]
    assert refusal(world, phone.code()) == "UNKNOWN"


def test_a_gateway_that_does_not_answer_leaves_the_code_to_the_till(world: World, phone: Phone) -> None:
    world.line_up()
    world.gateway.away = True
    assert level(world, phone.code()) == 4


def test_the_gateways_reason_is_the_one_that_is_shown(
    world: World, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identify(request: identity_pb2.IdentifyRequest) -> identity_pb2.IdentifyResponse:
        assert request.channel == types_pb2.CHANNEL_STORE
        reason = identity_pb2.IDENTITY_REFUSAL_REASON_REVOKED
        return identity_pb2.IdentifyResponse(not_identified=identity_pb2.NotIdentified(reason=reason))

    monkeypatch.setattr(world.gateway, "identify", identify)
    world.line_up()
    assert refusal(world, phone.code()) == "REVOKED"


def test_a_file_of_the_format_before_codes_is_taken_over(world: World, phone: Phone) -> None:
    world.meet()
    world.till.sale(world.ask())
    world.till.db.close()
    with sqlite3.connect(world.path) as old:
        old.executescript(
            "DROP TABLE code_use; DROP INDEX advice_seen; DROP INDEX lease_state; "
            "ALTER TABLE lease DROP COLUMN till_id; PRAGMA user_version = 1;"
        )
    old.close()
    world.start()
    assert world.till.db.number("PRAGMA user_version") == FORMAT
    assert world.till.status().queued == 1
    assert level(world, phone.code()) == 4
    assert "code_use" in CODE_USE


def test_no_code_is_in_the_files_of_a_till(world: World, phone: Phone) -> None:
    digits = phone.code()
    assert level(world, digits) == 4
    world.till.db.close()
    on_disk = b"".join(path.read_bytes() for path in world.path.parent.iterdir())
    raw = int(digits).to_bytes(300, "big").lstrip(b"\x00")
    assert phone.key.kid.encode() in on_disk
    assert digits.encode() not in on_disk
    assert raw[-64:] not in on_disk
    assert ANNAS not in on_disk


@settings(max_examples=100, deadline=None)
@given(digits=st.text("0123456789", min_size=190, max_size=700))
def test_no_digits_at_all_make_the_till_fail(lasting_world: World, digits: str) -> None:
    assert lasting_world.till.identify(digits) == NotIdentified("FORMAT")


def test_an_empty_file_has_room_for_uses(tmp_path: Path) -> None:
    db = TillDb.open(tmp_path / "new.db")
    assert db.number("SELECT count(*) FROM code_use") == 0
    assert db.number("PRAGMA user_version") == FORMAT
    db.close()
