"""The tokens that a signed-in device buys by its key."""

from __future__ import annotations

import pytest

from tallystick.core.ids import MemberId, Ms
from tallystick.rpc.errors import DeviceRevoked
from tallystick.service.errors import Unauthenticated
from tallystick.service.gateway import open_gateway
from tallystick.service.sign_in import (
    SignedIn,
)
from tests.service.front_door import (
    BOB,
    HOUR_MS,
    MINUTE_MS,
    OTHER,
    SHOP,
    FrontDoor,
    authenticator,
    new_phone,
    phone_named,
    refused_reason,
)


def test_a_device_buys_token_after_token_by_its_key_alone(door: FrontDoor) -> None:
    # Thumbprints that begin with a hyphen or an underscore are names as any other.
    for begin in ("-", "_", "A"):
        phone = phone_named(begin)
        member_id = door.signed_in(phone=phone).member_id
        for _ in range(2):
            token = door.gateway.app_tokens.buy(SHOP, member_id, door.assertion(phone))
            principal = authenticator(door).principal(f"Bearer {token.text}")
            assert (principal.member_id, principal.device_id) == (member_id, phone.key.kid)
            assert token.expires_in_s == 300
            door.now_ms += HOUR_MS


def test_an_assertion_counts_once_and_only_where_and_for_whom_it_was_signed(door: FrontDoor) -> None:
    phone, bobs = new_phone(), new_phone()
    ada, bob = door.signed_in(phone=phone).member_id, door.signed_in(BOB, bobs).member_id
    assertion = door.assertion(phone)
    door.gateway.app_tokens.buy(SHOP, ada, assertion)
    assert refused_reason(door, ada, assertion) == "ASSERTION_REPLAYED"
    for member_id, program_id, other in (
        (bob, SHOP, door.assertion(phone)),
        (ada, OTHER, door.assertion(phone)),
        (ada, SHOP, door.assertion(phone, program_id=OTHER)),
        (ada, SHOP, door.assertion(phone, device_id=bobs.key.kid)),
        (ada, SHOP, door.assertion(phone, key=bobs.key)),
        (ada, SHOP, door.assertion(new_phone())),
        (MemberId("01940000-0000-7000-8000-00000000dead"), SHOP, door.assertion(phone)),
        (ada, SHOP, "a.b.c"),
        (ada, SHOP, ""),
    ):
        assert refused_reason(door, member_id, other, program_id) == "ASSERTION_INVALID"


def test_an_assertion_is_used_up_for_all_processes(door: FrontDoor) -> None:
    phone = new_phone()
    member_id = door.signed_in(phone=phone).member_id
    second = open_gateway(
        door.store,
        keys=lambda: door.keys,
        issuer="https://tallystick.test",
        database="memory",
        now_ms=lambda: Ms(door.now_ms),
    )
    assertion = door.assertion(phone)
    door.gateway.app_tokens.buy(SHOP, member_id, assertion)
    with pytest.raises(Unauthenticated, match="used before"):
        second.app_tokens.buy(SHOP, member_id, assertion)
    second.close()


def test_an_assertion_is_good_for_a_minute(door: FrontDoor) -> None:
    phone = new_phone()
    member_id = door.signed_in(phone=phone).member_id
    assertion = door.assertion(phone)
    door.now_ms += 2 * MINUTE_MS
    assert refused_reason(door, member_id, assertion) == "ASSERTION_INVALID"


def test_a_revoked_device_buys_no_token_and_its_last_one_stops_at_once(door: FrontDoor) -> None:
    phone, other = new_phone(), new_phone()
    answer = door.signed_in(phone=phone)
    kept = door.signed_in(phone=other)
    guard = authenticator(door)
    guard.principal(f"Bearer {answer.token.text}")
    door.gateway.codes.revoke(SHOP, answer.member_id, phone.key.kid)
    with pytest.raises(DeviceRevoked):
        guard.principal(f"Bearer {answer.token.text}")
    assert guard.principal(f"Bearer {kept.token.text}").device_id == other.key.kid
    assert refused_reason(door, answer.member_id, door.assertion(phone)) == "DEVICE_REVOKED"


def test_another_replica_hears_of_a_revoked_device_from_the_store(door: FrontDoor) -> None:
    phone = new_phone()
    answer = door.signed_in(phone=phone)
    second = open_gateway(
        door.store,
        keys=lambda: door.keys,
        issuer="https://tallystick.test",
        database="memory",
        now_ms=lambda: Ms(door.now_ms),
    )
    second.codes.revoke(SHOP, answer.member_id, phone.key.kid)
    guard = authenticator(door)
    guard.principal(f"Bearer {answer.token.text}")
    door.gateway.revocations.refresh()
    with pytest.raises(DeviceRevoked):
        guard.principal(f"Bearer {answer.token.text}")
    second.close()


def test_revoking_a_copied_key_in_another_program_shuts_nobody_out_here(door: FrontDoor) -> None:
    phone = new_phone()
    answer = door.signed_in(phone=phone)
    started = door.start(BOB, program_id=OTHER)
    thief = door.sign_in.finish_email_code(OTHER, started.session_id, door.code, phone.device)
    assert isinstance(thief, SignedIn)
    door.gateway.codes.revoke(OTHER, thief.member_id, phone.key.kid)
    door.gateway.revocations.refresh()
    assert authenticator(door).principal(f"Bearer {answer.token.text}").member_id == answer.member_id
    door.gateway.app_tokens.buy(SHOP, answer.member_id, door.assertion(phone))


def test_a_blocked_member_may_still_look(door: FrontDoor) -> None:
    phone = new_phone()
    member_id = door.signed_in(phone=phone).member_id
    door.gateway.members.set_blocked(SHOP, member_id, blocked=True)
    assert door.gateway.app_tokens.buy(SHOP, member_id, door.assertion(phone)).text
    assert door.signed_in().member_id == member_id
