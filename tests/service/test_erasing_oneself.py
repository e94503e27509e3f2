"""Being erased for a code to the own address; and what a sign-in keeps and logs."""

from __future__ import annotations

import logging

import pytest

from tallystick.core.ids import Ms
from tallystick.core.state import MemberStatus
from tallystick.service.sign_in import (
    MAILS_DAY_MAX,
    MAILS_OF_CLIENT_DAY_MAX,
    MAILS_OF_CLIENT_HOUR_MAX,
    NotSignedIn,
    SignedIn,
    SignInReason,
)
from tallystick.service.sign_in_ports import Mailed
from tests.service.front_door import (
    ADA,
    BOB,
    DAY_MS,
    HOUR_MS,
    OVER,
    SHOP,
    FrontDoor,
    new_phone,
    refused_reason,
)


def test_a_member_is_erased_for_a_code_to_the_members_own_address(door: FrontDoor) -> None:
    phone = new_phone()
    member_id = door.signed_in(phone=phone).member_id
    started = door.start()
    wrong = door.sign_in.erase(SHOP, member_id, session_id=started.session_id, code=door.wrong())
    assert wrong == NotSignedIn(SignInReason.CODE_WRONG, 4)
    erased = door.sign_in.erase(SHOP, member_id, session_id=started.session_id, code=door.code)
    assert not isinstance(erased, NotSignedIn)
    assert erased.status is MemberStatus.ERASED
    assert refused_reason(door, member_id, door.assertion(phone)) == "ASSERTION_INVALID"
    again = door.sign_in.erase(SHOP, member_id, session_id=started.session_id, code=door.code)
    assert again == erased
    anew = door.signed_in()
    assert anew.enrolled
    assert anew.member_id != member_id


def test_a_code_to_anybody_elses_address_erases_nobody(door: FrontDoor) -> None:
    ada, bob = door.signed_in().member_id, door.signed_in(BOB).member_id
    for email in (BOB, "nobody@example.org"):
        started = door.start(email)
        refused = door.sign_in.erase(SHOP, ada, session_id=started.session_id, code=door.code)
        assert refused == OVER
    for member_id in (ada, bob):
        assert door.gateway.members.get(SHOP, member_id).status is MemberStatus.OPEN


def test_a_code_that_has_let_a_device_in_erases_nobody(door: FrontDoor) -> None:
    started = door.start()
    answer = door.finish(started, new_phone())
    assert isinstance(answer, SignedIn)
    refused = door.sign_in.erase(SHOP, answer.member_id, session_id=started.session_id, code=door.code)
    assert refused == OVER


def test_nothing_of_the_address_is_left_behind_an_erasure(door: FrontDoor) -> None:
    member_id = door.signed_in().member_id
    door.start()
    started = door.start()
    door.sign_in.erase(SHOP, member_id, session_id=started.session_id, code=door.code)
    tables = door.store._of(SHOP)
    assert (tables.sign_ins, tables.card_devices, tables.identifiers) == ({}, {}, {})


# What is kept, and what is logged.


def test_sessions_keep_neither_code_nor_address_nor_id_in_the_clear(door: FrontDoor) -> None:
    started = door.start()
    (session,) = door.store._of(SHOP).sign_ins.values()
    stored = b"".join([session.session_hash, session.secret, session.sealed, session.address_token])
    for told in (started.session_id, door.code, ADA, "ada"):
        assert told.encode() not in stored
        assert told not in repr(session)


def test_old_sessions_are_swept_away_as_new_ones_begin(door: FrontDoor) -> None:
    for _ in range(MAILS_OF_CLIENT_HOUR_MAX + 3):
        door.start()
    sessions = door.store._of(SHOP).sign_ins
    assert len(sessions) == MAILS_OF_CLIENT_HOUR_MAX + 3
    door.now_ms += HOUR_MS
    door.start()
    assert len(sessions) == MAILS_OF_CLIENT_HOUR_MAX + 1
    door.now_ms += DAY_MS
    door.start()
    assert len(sessions) == 1


def test_neither_address_nor_code_is_logged(door: FrontDoor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    member_id = door.signed_in().member_id
    started = door.start()
    door.finish(started, new_phone(), door.wrong())
    door.sign_in.erase(SHOP, member_id, session_id=started.session_id, code=door.code)
    logging.getLogger("tallystick.service.sign_in").warning("heard")
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "heard" in logged
    for secret in (ADA, "ada@", started.session_id, *(mail.code for mail in door.post.mails)):
        assert secret not in logged


def test_may_mail_counts_by_the_hour_by_the_day_and_over_all_clients() -> None:
    from tallystick.service.sign_in import may_mail

    now = Ms(10 * DAY_MS)
    mine = [Mailed(Ms(now - 2 * HOUR_MS), b"me")] * (MAILS_OF_CLIENT_DAY_MAX - 1)
    assert may_mail(mine, b"me", now)
    assert not may_mail([*mine, mine[0]], b"me", now)
    assert may_mail([*mine, mine[0]], b"you", now)
    lately = [Mailed(Ms(now - HOUR_MS + 1), b"me")] * MAILS_OF_CLIENT_HOUR_MAX
    assert not may_mail(lately, b"me", now)
    assert not may_mail([Mailed(now, bytes([n])) for n in range(MAILS_DAY_MAX)], b"you", now)
