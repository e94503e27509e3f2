"""Passkeys: adding, signing in, and all the ways in which an answer is not the one that was asked for."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from tallystick.core.ids import MemberId, ProgramId
from tallystick.security.encoding import base64url_encode
from tallystick.service.errors import NotFound, TallystickError
from tallystick.service.passkeys import CHALLENGE_TTL_S
from tallystick.service.public_face import PublicFace
from tallystick.service.sign_in import DeviceKey, NotSignedIn, SignedIn, SignInReason
from tallystick.service.sign_in_ports import PASSKEYS_MAX, Passkey
from tests.service.authenticator import USER_PRESENT, USER_VERIFIED, Authenticator
from tests.service.front_door import OTHER, SHOP, URL, FrontDoor, new_phone

RP_ID = "points.example.org"
OVER = NotSignedIn(SignInReason.SESSION_OVER)
REFUSED = NotSignedIn(SignInReason.PASSKEY)
BOB = "bob@example.org"


@pytest.fixture
def ada(door: FrontDoor) -> MemberId:
    return door.signed_in().member_id


def authenticator(**more: Any) -> Authenticator:
    return Authenticator(**{"origin": URL, "rp_id": RP_ID, **more})


def add(
    door: FrontDoor, member_id: MemberId, key: Authenticator, label: str = "Laptop", **changes: Any
) -> Passkey | NotSignedIn:
    passkeys = door.gateway.passkeys
    challenge = passkeys.start_add(SHOP, member_id)
    return passkeys.finish_add(
        SHOP,
        member_id,
        session_id=challenge.session_id,
        credential_json=key.create(challenge.options_json, **changes),
        label=label,
    )


def added(door: FrontDoor, member_id: MemberId, **more: Any) -> Authenticator:
    key = authenticator(**more)
    assert isinstance(add(door, member_id, key), Passkey)
    return key


def enter(
    door: FrontDoor, key: Authenticator, *, device: DeviceKey | None = None, **changes: Any
) -> SignedIn | NotSignedIn:
    challenge = door.gateway.passkeys.start(SHOP)
    answer = key.get(challenge.options_json, **changes)
    return door.gateway.passkeys.finish(SHOP, challenge.session_id, answer, device or new_phone().device)


def test_a_passkey_lets_a_new_device_in_as_its_member(door: FrontDoor, ada: MemberId) -> None:
    key = authenticator()
    stored = add(door, ada, key, "Ada's laptop")
    assert isinstance(stored, Passkey)
    assert door.gateway.passkeys.label_of(SHOP, stored) == "Ada's laptop"
    door.now_ms += 1_000
    phone = new_phone()
    answer = enter(door, key, device=phone.device)
    assert isinstance(answer, SignedIn)
    assert (answer.member_id, answer.enrolled) == (ada, False)
    assert answer.credential.device.kid == phone.key.kid
    (now,) = door.gateway.passkeys.all_of(SHOP, ada)
    assert (now.sign_count, now.used_ms) == (2, door.now_ms)


def test_the_options_ask_for_a_discoverable_verified_es256_credential(door: FrontDoor, ada: MemberId) -> None:
    first = added(door, ada)
    options = json.loads(door.gateway.passkeys.start_add(SHOP, ada).options_json)
    assert options["rp"] == {"name": "Shop", "id": RP_ID}
    assert [one["alg"] for one in options["pubKeyCredParams"]] == [-7]
    chosen = options["authenticatorSelection"]
    assert (chosen["residentKey"], chosen["userVerification"]) == ("required", "required")
    assert [one["id"] for one in options["excludeCredentials"]] == [base64url_encode(first.credential_id)]
    assert options["user"]["name"] == "ada@example.org"
    assert ada.encode() not in first.user_handle
    asked = json.loads(door.gateway.passkeys.start(SHOP).options_json)
    assert (asked["rpId"], asked["userVerification"]) == (RP_ID, "required")
    assert asked.get("allowCredentials", []) == []


def test_a_synced_passkey_that_counts_nothing_works_again_and_again(door: FrontDoor, ada: MemberId) -> None:
    key = added(door, ada, counts=False)
    assert [isinstance(enter(door, key), SignedIn) for _ in range(3)] == [True] * 3


def test_a_passkey_without_user_handle_in_its_answer_is_known_by_its_id(
    door: FrontDoor, ada: MemberId
) -> None:
    assert isinstance(enter(door, added(door, ada), with_handle=False), SignedIn)


def test_a_count_that_goes_back_or_stands_is_refused(door: FrontDoor, ada: MemberId) -> None:
    key = added(door, ada)
    assert isinstance(enter(door, key), SignedIn)
    for count in (0, 1):
        key.count = count
        assert enter(door, key) == REFUSED
    key.counts, key.count = False, 0
    assert enter(door, key) == REFUSED
    key.counts, key.count = True, 2
    assert isinstance(enter(door, key), SignedIn)


def test_a_count_that_somebody_else_has_used_meanwhile_is_refused(
    door: FrontDoor, ada: MemberId, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = added(door, ada)
    stored = door.store.passkey(SHOP, key.credential_id)
    assert isinstance(enter(door, key), SignedIn)
    key.count = 1
    monkeypatch.setattr(door.store, "passkey", lambda *_: stored)
    assert enter(door, key) == REFUSED


def test_an_answer_counts_once_in_its_own_session(door: FrontDoor, ada: MemberId) -> None:
    key = added(door, ada, counts=False)
    passkeys, phone = door.gateway.passkeys, new_phone()
    first, second = passkeys.start(SHOP), passkeys.start(SHOP)
    answer = key.get(first.options_json)
    assert passkeys.finish(SHOP, second.session_id, answer, phone.device) == REFUSED
    assert isinstance(passkeys.finish(SHOP, first.session_id, answer, phone.device), SignedIn)
    assert passkeys.finish(SHOP, first.session_id, answer, phone.device) == OVER
    assert passkeys.finish(SHOP, second.session_id, key.get(second.options_json), phone.device) == OVER


def test_a_challenge_counts_for_five_minutes_and_in_its_program(door: FrontDoor, ada: MemberId) -> None:
    key, passkeys, device = added(door, ada), door.gateway.passkeys, new_phone().device
    challenge = passkeys.start(SHOP)
    answer = key.get(challenge.options_json)
    assert passkeys.finish(OTHER, challenge.session_id, answer, device) == OVER
    door.now_ms += CHALLENGE_TTL_S * 1000
    assert passkeys.finish(SHOP, challenge.session_id, answer, device) == OVER


def test_sessions_of_one_purpose_are_of_no_use_for_another(door: FrontDoor, ada: MemberId) -> None:
    key, passkeys, phone = added(door, ada), door.gateway.passkeys, new_phone()
    to_add = passkeys.start_add(SHOP, ada)
    answer = key.get(json.dumps({"challenge": json.loads(to_add.options_json)["challenge"]}))
    assert passkeys.finish(SHOP, to_add.session_id, answer, phone.device) == OVER
    mailed = door.start()
    assert passkeys.finish(SHOP, mailed.session_id, answer, phone.device) == OVER
    asked = passkeys.start(SHOP)
    assert door.sign_in.finish_email_code(SHOP, asked.session_id, "000000", phone.device) == OVER
    assert isinstance(door.finish(mailed, phone), SignedIn)


def test_a_passkey_of_another_program_is_not_known_here(door: FrontDoor, ada: MemberId) -> None:
    key, passkeys = added(door, ada), door.gateway.passkeys
    challenge = passkeys.start(OTHER)
    answer = key.get(challenge.options_json)
    assert passkeys.finish(OTHER, challenge.session_id, answer, new_phone().device) == REFUSED


WRONG_ANSWERS = {
    "another origin": {"origin": "https://evil.example.org"},
    "our name over http": {"origin": "http://points.example.org"},
    "our name on another port": {"origin": "https://points.example.org:8443"},
    "our name within another": {"origin": "https://points.example.org.evil.example"},
    "no origin": {"origin": ""},
    "another challenge": {"challenge": base64url_encode(b"x" * 64)},
    "another kind of answer": {"type": "webauthn.create"},
    "a payment": {"type": "payment.get"},
}


@pytest.mark.parametrize("changes", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_an_answer_to_another_question_is_refused(
    door: FrontDoor, ada: MemberId, changes: dict[str, Any]
) -> None:
    assert enter(door, added(door, ada), **changes) == REFUSED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rp_id", "example.org"),
        ("flags", USER_PRESENT),
        ("flags", USER_VERIFIED),
        ("user_handle", b"another"),
        ("credential_id", b"unknown"),
        ("key", Authenticator(URL, RP_ID).key),
    ],
)
def test_an_authenticator_that_is_another_or_has_verified_nobody_is_refused(
    door: FrontDoor, ada: MemberId, name: str, value: object
) -> None:
    key = added(door, ada)
    setattr(key, name, value)
    assert enter(door, key) == REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[" * 8_000,
        '{"id":"AA","rawId":"AA","type":"public-key","response":{}}',
        "\ud800",
        "1e999",
    ],
)
def test_an_answer_that_is_none_is_refused(door: FrontDoor, ada: MemberId, text: str) -> None:
    passkeys = door.gateway.passkeys
    asked = passkeys.start(SHOP)
    assert passkeys.finish(SHOP, asked.session_id, text, new_phone().device) == REFUSED
    to_add = passkeys.start_add(SHOP, ada)
    refused = passkeys.finish_add(SHOP, ada, session_id=to_add.session_id, credential_json=text, label="")
    assert refused == REFUSED


@pytest.mark.parametrize("part", ["clientDataJSON", "authenticatorData", "signature"])
def test_an_answer_of_which_a_bit_was_changed_is_refused(door: FrontDoor, ada: MemberId, part: str) -> None:
    key, passkeys = added(door, ada), door.gateway.passkeys
    challenge = passkeys.start(SHOP)
    answer = json.loads(key.get(challenge.options_json))
    text = answer["response"][part]
    answer["response"][part] = text[:-5] + ("A" if text[-5] != "A" else "B") + text[-4:]
    refused = passkeys.finish(SHOP, challenge.session_id, json.dumps(answer), new_phone().device)
    assert refused == REFUSED


@pytest.mark.parametrize(
    "made",
    [{"algorithm": -257}, {"rp_id": "example.org"}, {"flags": USER_PRESENT}, {"origin": "https://e.org"}],
)
def test_a_new_passkey_that_is_not_as_asked_for_is_not_kept(
    door: FrontDoor, ada: MemberId, made: dict[str, Any]
) -> None:
    assert add(door, ada, authenticator(**made)) == REFUSED
    assert door.gateway.passkeys.all_of(SHOP, ada) == []


def test_a_member_cannot_finish_what_another_has_begun_nor_take_a_known_passkey(
    door: FrontDoor, ada: MemberId
) -> None:
    bob, passkeys, key = door.signed_in(BOB).member_id, door.gateway.passkeys, authenticator()
    challenge = passkeys.start_add(SHOP, ada)
    made = key.create(challenge.options_json)
    taken = passkeys.finish_add(SHOP, bob, session_id=challenge.session_id, credential_json=made, label="")
    assert taken == OVER
    assert isinstance(add(door, ada, key), Passkey)
    assert add(door, bob, key) == REFUSED
    assert isinstance(add(door, ada, key), Passkey)
    assert len(passkeys.all_of(SHOP, ada)) == 1
    assert passkeys.all_of(SHOP, bob) == []


def test_a_member_has_ten_passkeys_and_no_more(door: FrontDoor, ada: MemberId) -> None:
    challenge = door.gateway.passkeys.start_add(SHOP, ada)
    keys = [added(door, ada) for _ in range(PASSKEYS_MAX)]
    with pytest.raises(TallystickError) as refused:
        door.gateway.passkeys.start_add(SHOP, ada)
    assert (refused.value.reason, refused.value.details["limit"]) == ("LIMIT_REACHED", "passkeys_per_member")
    with pytest.raises(TallystickError, match="as many"):
        door.gateway.passkeys.finish_add(
            SHOP,
            ada,
            session_id=challenge.session_id,
            credential_json=authenticator().create(challenge.options_json),
            label="",
        )
    door.gateway.passkeys.remove(SHOP, ada, base64url_encode(keys[0].credential_id))
    added(door, ada)


def test_a_removed_passkey_lets_nobody_in_and_is_removed_once(door: FrontDoor, ada: MemberId) -> None:
    key, other = added(door, ada), added(door, ada)
    bob = door.signed_in(BOB).member_id
    name = base64url_encode(key.credential_id)
    door.gateway.passkeys.remove(SHOP, bob, name)
    assert isinstance(enter(door, key), SignedIn)
    for text in (name, name, "no base64url!", base64url_encode(b"unknown")):
        door.gateway.passkeys.remove(SHOP, ada, text)
    assert enter(door, key) == REFUSED
    (left,) = door.gateway.passkeys.all_of(SHOP, ada)
    assert left.credential_id == other.credential_id


def test_the_passkeys_of_an_erased_member_are_gone(door: FrontDoor, ada: MemberId) -> None:
    key = added(door, ada)
    door.gateway.members.erase(SHOP, ada)
    assert enter(door, key) == REFUSED
    assert door.gateway.passkeys.all_of(SHOP, ada) == []
    with pytest.raises(NotFound):
        door.gateway.passkeys.start_add(SHOP, ada)


def test_a_device_that_may_not_be_let_in_is_refused_behind_the_passkey(
    door: FrontDoor, ada: MemberId
) -> None:
    key, bobs = added(door, ada), new_phone()
    door.signed_in(BOB, bobs)
    for device in (bobs.device, DeviceKey("{}")):
        assert enter(door, key, device=device) == NotSignedIn(SignInReason.DEVICE)
    assert isinstance(enter(door, key), SignedIn)


def test_what_a_stranger_sent_is_not_logged(
    door: FrontDoor, ada: MemberId, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert enter(door, added(door, ada), origin="https://evil.example.org") == REFUSED
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "InvalidAuthenticationResponse" in logged
    assert "evil.example.org" not in logged


def test_an_unknown_program_asks_for_no_passkey(door: FrontDoor) -> None:
    with pytest.raises(NotFound):
        door.gateway.passkeys.start(ProgramId("nowhere"))


@pytest.mark.parametrize(
    ("public_url", "rp_id", "accepted", "refused"),
    [
        ("", "localhost", "http://localhost:8080", "http://127.0.0.1:8080"),
        ("http://localhost:9000", "localhost", "https://localhost", "http://localhost.example.org"),
        ("http://127.0.0.1:8080", "localhost", "http://localhost:1", "http://evil.example.org"),
        ("https://Points.example.org/", "points.example.org", URL, "https://example.org"),
        ("https://points.example.org:8443", RP_ID, "https://points.example.org:8443", URL),
        ("", "localhost", "http://localhost", "ftp://localhost"),
        ("", "localhost", "http://localhost", "http://[localhost"),
    ],
)
def test_passkeys_belong_to_the_public_name_or_to_this_machine(
    public_url: str, rp_id: str, accepted: str, refused: str
) -> None:
    face = PublicFace(public_url=public_url)
    assert face.rp_id == rp_id
    assert face.accepts_origin(accepted)
    assert not face.accepts_origin(refused)
