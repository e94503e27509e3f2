"""Signing in by a code that a mail brings: who is let in, and with which device."""

from __future__ import annotations

import pytest

from tallystick.core.basket import Channel
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.security.identifiers import IdentifierKind
from tallystick.security.sign_in import TRIES_MAX
from tallystick.service.codes import CARD_DEVICES_MAX, LOOK_ONLY_MS
from tallystick.service.enrolment import canonical_jwk
from tallystick.service.errors import FailedPrecondition, InvalidInput, NotFound
from tallystick.service.gateway import open_gateway
from tallystick.service.identity import Text
from tallystick.service.sign_in import (
    DeviceKey,
    NotSignedIn,
    SignedIn,
    SignInReason,
)
from tests.service.front_door import (
    ADA,
    BOB,
    DAY_MS,
    SHOP,
    FrontDoor,
    Phone,
    authenticator,
    members_of,
    new_phone,
)


def test_a_new_address_becomes_a_member_whose_device_speaks_for_it(door: FrontDoor) -> None:
    phone = new_phone("Ada's phone")
    answer = door.finish(door.start(language="sv-SE"), phone)
    assert isinstance(answer, SignedIn)
    assert answer.enrolled
    member = door.gateway.members.get(SHOP, answer.member_id)
    assert (member.channel, member.status) == (Channel.APP, MemberStatus.OPEN)
    shown = {(row.kind, row.hint) for row in door.gateway.identity.all_of(SHOP, answer.member_id)}
    assert (IdentifierKind.EMAIL.value, "a…@example.org") in shown
    profile = door.gateway.members.profile(SHOP, answer.member_id)
    assert (profile.email, profile.language) == (ADA, "sv-SE")
    (device,) = door.gateway.codes.devices(SHOP, answer.member_id)
    assert (device.kid, device.burn_from_ms) == (phone.key.kid, door.now_ms + LOOK_ONLY_MS)
    assert door.gateway.codes.label_of(SHOP, device) == "Ada's phone"
    principal = authenticator(door).principal(f"Bearer {answer.token.text}")
    assert (principal.member_id, principal.device_id) == (answer.member_id, phone.key.kid)


def test_a_known_address_is_let_in_as_its_member_with_every_device(door: FrontDoor) -> None:
    first = door.signed_in()
    second = door.signed_in(" ADA@Example.org ")
    assert (second.member_id, second.enrolled) == (first.member_id, False)
    assert len(door.gateway.codes.devices(SHOP, first.member_id)) == 2
    assert members_of(door) == [first.member_id]


def test_somebody_whom_a_till_has_enrolled_signs_in_as_that_member(door: FrontDoor) -> None:
    member_id = MemberId("01940000-0000-7000-8000-000000000001")
    door.gateway.identity.enrol(
        SHOP, member_id, Text(ADA), enrolled_ms=Ms(door.now_ms), channel=Channel.STORE, store_id="s1"
    )
    answer = door.signed_in()
    assert (answer.member_id, answer.enrolled) == (member_id, False)
    assert door.gateway.members.profile(SHOP, member_id).email == ""


def test_the_mail_names_the_program_and_the_language(door: FrontDoor) -> None:
    door.start(language="pl")
    (mail,) = door.post.mails
    assert (mail.address, mail.program_name, mail.language) == (ADA, "Shop", "pl")
    assert len(mail.code) == 6
    assert mail.code.isdigit()
    assert ADA not in repr(mail)
    assert mail.code not in repr(mail)


def test_two_new_devices_of_one_address_become_one_member(door: FrontDoor) -> None:
    first, first_code = door.start(), door.code
    second, second_code = door.start(), door.code
    one, other = door.finish(first, new_phone(), first_code), door.finish(second, new_phone(), second_code)
    assert isinstance(one, SignedIn)
    assert isinstance(other, SignedIn)
    assert (one.member_id, one.enrolled) == (other.member_id, True)
    assert not other.enrolled


def test_whoever_loses_the_race_to_enrol_an_address_is_let_in_as_its_member(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = door.start()
    code = door.code
    real = door.store.find
    nobody: list[object] = []
    answers = iter([nobody])

    def find(program_id: ProgramId, keys: list[tuple[str, bytes]]) -> object:
        quick = next(answers, None)
        if quick is None:
            return real(program_id, keys)
        with monkeypatch.context() as patch:
            patch.setattr(door.store, "find", real)
            winners.append(door.signed_in().member_id)
        return quick

    winners: list[MemberId] = []
    monkeypatch.setattr(door.store, "find", find)
    answer = door.finish(started, new_phone(), code)
    assert isinstance(answer, SignedIn)
    assert ([answer.member_id], answer.enrolled) == (winners, False)


def test_a_referral_code_is_noted_for_new_members_and_once(door: FrontDoor) -> None:
    friend, other = door.signed_in("friend@example.org").member_id, door.signed_in(BOB).member_id
    codes = [door.gateway.referrals.code_of(SHOP, one) for one in (friend, other)]
    door.now_ms += 1_000
    phone, started = new_phone(), door.start()
    door.finish(started, phone, referral_code=codes[0])
    answer = door.finish(started, phone, referral_code=codes[0])
    assert isinstance(answer, SignedIn)
    door.signed_in(referral_code=codes[1])
    noted = door.store.referral(SHOP, answer.member_id)
    assert noted is not None
    assert noted.referrer_id == friend
    assert door.store.referral(SHOP, other) is None


def test_a_referral_code_that_leads_nowhere_keeps_nobody_out(door: FrontDoor) -> None:
    assert door.signed_in(referral_code="NOBODYS").enrolled


def private_jwk(phone: Phone) -> str:
    return canonical_jwk(phone.key.verify_key).replace("{", '{"d":"AAAA",', 1)


@pytest.mark.parametrize("jwk", ["", "{}", "nonsense", '{"kty":"oct","k":"AAAA"}', "[" * 500, "PRIVATE"])
def test_a_key_that_is_none_is_refused_and_costs_no_try(door: FrontDoor, jwk: str) -> None:
    started, phone = door.start(), new_phone()
    device = DeviceKey(private_jwk(phone) if jwk == "PRIVATE" else jwk)
    for _ in range(TRIES_MAX):
        refused = door.sign_in.finish_email_code(SHOP, started.session_id, door.code, device)
        assert refused == NotSignedIn(SignInReason.DEVICE)
    assert isinstance(door.finish(started, phone), SignedIn)


def test_a_key_that_was_revoked_or_is_another_members_is_refused_and_the_code_counts_on(
    door: FrontDoor,
) -> None:
    bobs, revoked = new_phone(), new_phone()
    door.signed_in(BOB, bobs)
    ada = door.signed_in(phone=revoked).member_id
    door.gateway.codes.revoke(SHOP, ada, revoked.key.kid)
    started = door.start()
    for phone in (bobs, revoked):
        assert door.finish(started, phone) == NotSignedIn(SignInReason.DEVICE)
    answer = door.finish(started, new_phone())
    assert isinstance(answer, SignedIn)
    assert answer.member_id == ada


def test_a_new_member_cannot_take_another_members_key(door: FrontDoor) -> None:
    adas = new_phone()
    door.signed_in(phone=adas)
    assert door.finish(door.start(BOB), adas) == NotSignedIn(SignInReason.DEVICE)
    assert len(members_of(door)) == 1


def test_a_member_with_ten_devices_revokes_one_first(door: FrontDoor) -> None:
    phones = [new_phone() for _ in range(CARD_DEVICES_MAX)]
    for phone in phones:
        door.signed_in(phone=phone)
        door.now_ms += DAY_MS
    (member_id,) = members_of(door)
    started = door.start()
    assert door.finish(started, new_phone()) == NotSignedIn(SignInReason.DEVICES_TOO_MANY)
    assert isinstance(door.finish(started, phones[3]), SignedIn)
    door.gateway.codes.revoke(SHOP, member_id, phones[0].key.kid)
    assert isinstance(door.finish(door.start(), new_phone()), SignedIn)


SCAN_RULES = """\
format: tallystick/1
name: Shop
currency: EUR
time_zone: Europe/Stockholm
earning:
  rules:
    - {id: base, kind: per_amount, points: 1, per_minor: 100}
scanning:
  standard: [phone]
  rules:
    - {name: cut, kind: email, prefix: a, strip: 1}
"""


def test_what_a_program_lets_tills_scan_changes_no_address(door: FrontDoor) -> None:
    door.gateway.programs.publish(SHOP, SCAN_RULES, request_id="r-1", published_by="test")
    first, again = door.signed_in(), door.signed_in()
    assert [mail.address for mail in door.post.mails] == [ADA, ADA]
    assert (first.enrolled, again.enrolled, again.member_id) == (True, False, first.member_id)


@pytest.mark.parametrize(
    "email", ["", "ada", "0701234567", "9949943635187475", 'a"b@example.org', "a@b\nc.org"]
)
def test_a_text_that_is_no_address_is_refused_by_its_field(door: FrontDoor, email: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        door.start(email)
    assert refused.value.violations[0][0] == "email"
    assert door.post.mails == []


def test_an_unknown_program_is_not_found(door: FrontDoor) -> None:
    with pytest.raises(NotFound) as refused:
        door.start(program_id=ProgramId("nowhere"))
    assert refused.value.reason == "PROGRAM_NOT_FOUND"


def test_a_server_without_mail_says_so(door: FrontDoor) -> None:
    silent = open_gateway(door.store, keys=lambda: door.keys, issuer="x", database="memory")
    with pytest.raises(FailedPrecondition) as refused:
        silent.sign_in.start_email_code(SHOP, ADA)
    assert refused.value.reason == "MAIL_OFF"
    silent.close()
