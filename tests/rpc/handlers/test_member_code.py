"""CodeService, and codes that are identified at the gateway."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.ids import MemberId
from tallystick.rpc.convert.member_codes import credential_to_pb
from tallystick.security.code import (
    CREDENTIAL_TTL_MAX_S,
    Code,
    Scanned,
    code_from_digits,
    code_to_digits,
    issue_credential,
    open_code,
    sign_code,
)
from tallystick.security.key_dir import (
    VERIFY_FOR_S,
    KeyRing,
    RingKey,
    load_key_dir,
    rotate_signing_key,
)
from tallystick.security.keys import SigningKey, VerifyKey, generate_signing_key, verify_key_from_jwk
from tallystick.service.codes import (
    CARD_DEVICES_KEPT_MAX,
    CARD_DEVICES_MAX,
    KEY_KNOWN_S,
    CodeScan,
    credential_key,
    member_pseudonym,
)
from tallystick.service.enrolment import canonical_jwk
from tallystick.v1 import identity_pb2, member_code_pb2, member_pb2, store_pb2, types_pb2
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    DAY_MS,
    HOUR_MS,
    OTHER,
    SHOP,
    START_MS,
    Caller,
    World,
    everything_stored,
    new_id,
)

Reason = identity_pb2.IdentityRefusalReason
STAFF = Caller(ADMIN)


class Phone:
    """A member's phone: a key, the credential that it was given, and a count of its codes."""

    def __init__(self, world: World, member: str, *, label: str = "Phone") -> None:
        self.world, self.member, self.label = world, member, label
        self.key = generate_signing_key()
        self.codes = 0
        self.answer: Any = None

    def register(self, caller: Caller | None = None) -> Phone:
        request = member_code_pb2.RegisterCardDeviceRequest(
            member_id=self.member, public_jwk=canonical_jwk(self.key.verify_key), label=self.label
        )
        self.answer = self.world.send(request, caller or Caller(APP, store_id="", member_id=self.member))
        return self

    def renew(self) -> None:
        request = member_code_pb2.RenewCredentialRequest(member_id=self.member, device_id=self.key.kid)
        self.answer = self.world.send(request, STAFF)

    def renew_here(self) -> None:
        """Renew without a call: tokens have keys of their own to follow."""
        issued = self.world.gateway.codes.renew(SHOP, MemberId(self.member), self.key.kid)
        self.answer = member_code_pb2.RenewCredentialResponse(credential=credential_to_pb(SHOP, issued))

    def code(self, *, late_s: int = 0, key: SigningKey | None = None) -> str:
        self.codes += 1
        given = self.answer.credential
        raw = sign_code(
            key or self.key,
            given.credential,
            program_id=given.program_id,
            issued_s=self.world.now_ms // 1000 - late_s,
            cti=self.codes.to_bytes(4, "big"),
        )
        return code_to_digits(raw)


def scan(world: World, text: str, caller: Caller | None = None) -> Any:
    request = identity_pb2.IdentifyRequest(text=text, channel=types_pb2.CHANNEL_STORE)
    return world.send(request, caller)


def refusal(world: World, text: str, caller: Caller | None = None) -> str:
    answer = scan(world, text, caller)
    assert answer.WhichOneof("outcome") == "not_identified"
    assert text not in str(answer)
    return Reason.Name(answer.not_identified.reason).removeprefix("IDENTITY_REFUSAL_REASON_")


def assurance(world: World, text: str) -> str:
    answer = scan(world, text)
    assert answer.WhichOneof("outcome") == "identified", answer
    return types_pb2.Assurance.Name(answer.identified.assurance).removeprefix("ASSURANCE_")


@pytest.fixture
def phone(world: World) -> Phone:
    """A phone whose first day is over."""
    made = Phone(world, world.enrol()).register()
    world.now_ms += 2 * DAY_MS
    return made


def revoke(phone: Phone) -> Any:
    request = member_code_pb2.RevokeCardDeviceRequest(member_id=phone.member, device_id=phone.key.kid)
    return phone.world.send(request, STAFF).device


def devices(world: World, member: str) -> list[Any]:
    return list(world.send(member_code_pb2.ListCardDevicesRequest(member_id=member), STAFF).devices)


def test_a_code_identifies_its_member_and_is_as_sure_as_it_gets(world: World, phone: Phone) -> None:
    world.sell(phone.member, 5_000)
    found = scan(world, f"\x02]Q1{phone.code()}\r\n").identified
    assert (found.member_id, found.balance.active) == (phone.member, 50)
    assert found.assurance == types_pb2.ASSURANCE_DEVICE_CODE


def test_a_code_counts_once(world: World, phone: Phone) -> None:
    digits = phone.code()
    assert assurance(world, digits) == "DEVICE_CODE"
    assert refusal(world, digits) == "REPLAYED"
    assert assurance(world, phone.code()) == "DEVICE_CODE"


def test_a_picture_of_a_code_is_too_old_and_a_future_one_has_a_wrong_clock(
    world: World, phone: Phone
) -> None:
    assert refusal(world, phone.code(late_s=46)) == "EXPIRED"
    assert assurance(world, phone.code(late_s=45)) == "DEVICE_CODE"
    assert refusal(world, phone.code(late_s=-16)) == "CLOCK"
    assert assurance(world, phone.code(late_s=-15)) == "DEVICE_CODE"


def test_a_code_that_was_used_stays_used_until_it_is_too_old(world: World, phone: Phone) -> None:
    digits = phone.code(late_s=-15)
    assert assurance(world, digits) == "DEVICE_CODE"
    world.now_ms += 60_000
    assert refusal(world, digits) == "REPLAYED"
    world.now_ms += 1
    assert refusal(world, digits) == "EXPIRED"


def test_another_phones_key_does_not_do(world: World, phone: Phone) -> None:
    other = Phone(world, world.enrol()).register()
    assert refusal(world, phone.code(key=other.key)) == "BAD_SIGNATURE"


def test_a_credential_of_nobody_we_know_does_not_do(world: World, phone: Phone) -> None:
    forged = issue_credential(
        generate_signing_key(),
        program_id=SHOP,
        pseudonym=bytes(8),
        device=phone.key.verify_key,
        expires_s=world.now_ms // 1000 + 99,
        burn_from_s=0,
    )
    phone.answer.credential.credential = forged
    assert refusal(world, phone.code()) == "BAD_SIGNATURE"


def test_a_code_means_nothing_in_another_program(world: World, phone: Phone) -> None:
    assert refusal(world, phone.code(), Caller(program_id=OTHER)) == "BAD_SIGNATURE"
    phone.answer.credential.program_id = OTHER
    assert refusal(world, phone.code(), Caller(program_id=OTHER)) == "BAD_SIGNATURE"


def test_digits_that_only_begin_like_a_code_are_no_format(world: World, phone: Phone) -> None:
    assert refusal(world, phone.code()[:-3]) == "FORMAT"
    assert refusal(world, phone.code() + "0" * 39) == "FORMAT"
    assert refusal(world, "9" * 1_024) == "FORMAT"


def test_a_new_phone_looks_and_burns_a_day_later_without_asking_again(world: World) -> None:
    member = world.enrol()
    world.sell(member, 10_000)
    phone = Phone(world, member).register()
    assert phone.answer.device.burn_from.ToMilliseconds() == START_MS + DAY_MS
    assert assurance(world, phone.code()) == "TYPED"
    world.now_ms += DAY_MS - 1_000
    phone.renew()
    assert assurance(world, phone.code()) == "TYPED"
    world.now_ms += 1_000
    assert assurance(world, phone.code()) == "DEVICE_CODE"
    phone.renew()
    assert assurance(world, phone.code()) == "DEVICE_CODE"


def test_registering_again_gives_no_new_start_and_no_second_device(world: World, phone: Phone) -> None:
    before = phone.answer
    phone.register()
    assert phone.answer.device.burn_from == before.device.burn_from
    assert phone.answer.device.registered_at == before.device.registered_at
    assert phone.answer.credential.expires_at.ToMilliseconds() == world.now_ms + 14 * DAY_MS
    assert phone.answer.credential.renew_at.ToMilliseconds() == world.now_ms + 7 * DAY_MS
    assert [one.label for one in devices(world, phone.member)] == ["Phone"]


def test_a_credential_ends_after_two_weeks_and_a_new_one_goes_on(world: World, phone: Phone) -> None:
    world.now_ms += 12 * DAY_MS - 1
    assert assurance(world, phone.code()) == "DEVICE_CODE"
    world.now_ms += 1
    assert refusal(world, phone.code()) == "EXPIRED"
    phone.renew()
    assert assurance(world, phone.code()) == "DEVICE_CODE"


def test_a_revoked_phone_is_refused_and_stays_revoked(world: World, phone: Phone) -> None:
    unseen = phone.code()
    revoked = revoke(phone)
    assert revoked.revoked_at.ToMilliseconds() == world.now_ms
    assert refusal(world, unseen) == "REVOKED"
    assert refusal(world, phone.code()) == "REVOKED"
    world.now_ms += 1_000
    assert revoke(phone) == revoked
    renewal = member_code_pb2.RenewCredentialRequest(member_id=phone.member, device_id=phone.key.kid)
    assert world.refused(renewal, STAFF).reason == "DEVICE_NOT_FOUND"
    again = member_code_pb2.RegisterCardDeviceRequest(
        member_id=phone.member, public_jwk=canonical_jwk(phone.key.verify_key)
    )
    assert world.refused(again, STAFF).reason == "PUBLIC_KEY_INVALID"


def test_a_new_phone_makes_no_voucher_for_its_first_day_whatever_it_says_of_itself(world: World) -> None:
    phone = Phone(world, world.enrol()).register()
    world.sell(phone.member, 60_000)
    app = Caller(APP, store_id="", member_id=phone.member, device_id=phone.key.kid)

    def made() -> store_pb2.IssueVoucherResponse:
        request = store_pb2.IssueVoucherRequest(
            voucher_id=new_id(),
            member_id=phone.member,
            store_id="s1",
            points=100,
            assurance=types_pb2.ASSURANCE_DEVICE_CODE,
        )
        answer: store_pb2.IssueVoucherResponse = world.send(request, app)
        return answer

    assert made().refusal == "ABOVE_ASSURANCE_CAP"
    world.now_ms += DAY_MS
    assert made().voucher.digits


def test_a_second_phone_of_the_member_goes_on_when_the_first_is_revoked(world: World, phone: Phone) -> None:
    second = Phone(world, phone.member, label="Tablet").register()
    revoke(phone)
    assert assurance(world, second.code()) == "TYPED"
    assert [(one.label, one.HasField("revoked_at")) for one in devices(world, phone.member)] == [
        ("Phone", True),
        ("Tablet", False),
    ]


def test_what_was_revoked_is_forgotten_when_its_last_credential_is_over(world: World, phone: Phone) -> None:
    revoke(phone)
    member = MemberId(phone.member)
    kinds = sorted(row.kind for row in world.store.identifiers(SHOP, member))
    assert kinds == ["number", "pseudonym", "revoked_device"]
    world.now_ms += 12 * DAY_MS - 1
    Phone(world, phone.member).register()
    assert len(devices(world, phone.member)) == 2
    world.now_ms += 1
    Phone(world, phone.member).register()
    assert not any(one.HasField("revoked_at") for one in devices(world, phone.member))
    assert sorted(row.kind for row in world.store.identifiers(SHOP, member)) == ["number", "pseudonym"]
    assert refusal(world, phone.code()) == "EXPIRED"


def test_a_member_has_ten_phones_at_most(world: World) -> None:
    member = world.enrol()
    phones = [Phone(world, member).register() for _ in range(CARD_DEVICES_MAX)]
    more = member_code_pb2.RegisterCardDeviceRequest(
        member_id=member, public_jwk=canonical_jwk(generate_signing_key().verify_key)
    )
    refused = world.refused(more, STAFF)
    assert (refused.reason, refused.metadata["max"]) == ("LIMIT_REACHED", "10")
    revoke(phones[3])
    assert world.send(more, STAFF).HasField("credential")
    phones[0].register()


@pytest.mark.parametrize(
    "jwk", ["x", "{}", "[]", '{"kty":"RSA"}', '{"kty":"EC","crv":"P-256","x":"A","y":"A"}']
)
def test_what_is_no_key_registers_nothing(world: World, jwk: str) -> None:
    member = world.enrol()
    request = member_code_pb2.RegisterCardDeviceRequest(member_id=member, public_jwk=jwk)
    assert world.refused(request, STAFF).reason == "PUBLIC_KEY_INVALID"
    assert devices(world, member) == []


def test_phones_that_come_and_go_are_bounded_as_well(world: World) -> None:
    member = world.enrol()
    for _ in range(CARD_DEVICES_KEPT_MAX - 1):
        revoke(Phone(world, member).register())
    last = Phone(world, member).register()
    more = member_code_pb2.RegisterCardDeviceRequest(
        member_id=member, public_jwk=canonical_jwk(generate_signing_key().verify_key)
    )
    assert world.refused(more, STAFF).metadata["max"] == "30"
    last.register()
    world.now_ms += 14 * DAY_MS
    assert world.send(more, STAFF).HasField("credential")
    assert len(devices(world, member)) == 2


def test_the_identifiers_of_codes_are_not_shown_and_cannot_be_removed(world: World, phone: Phone) -> None:
    revoke(phone)
    listed = world.send(identity_pb2.ListIdentifiersRequest(member_id=phone.member), STAFF).identifiers
    assert [one.kind for one in listed] == [identity_pb2.IDENTIFIER_KIND_NUMBER]
    world.enrol(member_id=phone.member)


def test_what_a_phone_is_called_is_stored_sealed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    member = world.enrol()
    Phone(world, member, label="Annabella's phone").register()
    (stored,) = world.store.card_devices(SHOP, MemberId(member))
    assert "Annabella" not in everything_stored(world.store)
    assert [one.label for one in devices(world, member)] == ["Annabella's phone"]
    broken = replace(stored, sealed_label=stored.sealed_label[:-1] + b"?")
    assert world.gateway.codes.label_of(SHOP, broken) == ""
    assert "does not open" in caplog.text
    assert "Annabella" not in caplog.text


def test_an_erased_member_has_neither_phones_nor_codes(world: World, phone: Phone) -> None:
    digits = phone.code()
    world.send(member_pb2.EraseMemberRequest(member_id=phone.member), STAFF)
    assert devices(world, phone.member) == []
    assert refusal(world, digits) == "UNKNOWN"
    again = member_code_pb2.RegisterCardDeviceRequest(
        member_id=phone.member, public_jwk=canonical_jwk(phone.key.verify_key)
    )
    assert world.refused(again, STAFF).reason == "MEMBER_NOT_FOUND"


def test_a_pass_shows_a_code_of_the_gateway_alone(world: World) -> None:
    member = world.enrol()
    code = world.send(member_code_pb2.IssueServerCodeRequest(member_id=member), STAFF)
    assert code.expires_at.ToMilliseconds() == world.now_ms + 14 * DAY_MS
    assert [assurance(world, code.digits) for _ in range(2)] == ["SERVER_CODE"] * 2
    world.now_ms += 14 * DAY_MS
    assert refusal(world, code.digits) == "EXPIRED"


def test_two_members_never_share_a_pseudonym(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(key: bytes, *, program_id: str, member_id: str, attempt: int) -> bytes:
        return attempt.to_bytes(8, "big")

    monkeypatch.setattr("tallystick.service.codes.member_pseudonym", crowded)
    members = [world.enrol() for _ in range(3)]
    issued = [
        member_code_pb2.IssueServerCodeRequest(member_id=member) for member in members for _ in range(2)
    ]
    digits = [world.send(request, STAFF).digits for request in issued]
    found = [scan(world, one).identified.member_id for one in digits]
    assert found == [member for member in members for _ in range(2)]


def test_a_pseudonym_says_nothing_and_is_another_in_another_program() -> None:
    def made(**changes: Any) -> bytes:
        asked = {"program_id": "shop", "member_id": "m", "attempt": 0, **changes}
        return member_pseudonym(asked.pop("key", b"k" * 32), **asked)

    others = [made(key=b"l" * 32), made(program_id="other"), made(member_id="n"), made(attempt=1)]
    assert len({made(), *others}) == 5
    assert made() == made()


def test_keys_are_exchanged_without_a_day_on_which_codes_fail(world: World, tmp_path: Path) -> None:
    path = tmp_path / "keys-LIVE"
    phone = Phone(world, world.enrol()).register()
    first = world.keys.signing.signing_key(world.now_ms // 1000).kid
    new = rotate_signing_key(path, now_s=world.now_ms // 1000)
    signers, told = set(), {}
    for hour in range(0, 40 * 24, 3):
        world.now_ms = START_MS + hour * HOUR_MS
        world.keys = load_key_dir(path, now_s=world.now_ms // 1000)
        if hour % (13 * 24) == 0:
            phone.renew_here()
            signers.add(credential_key_of(world))
        raw = code_from_digits(phone.code())
        assert raw is not None
        told = told_keys(world)
        assert isinstance(open_code(raw, program_id=SHOP, server_keys=told), Code), hour
        assert isinstance(world.gateway.codes.read(SHOP, Scanned(raw)), CodeScan), hour
    assert signers == {first, new}
    assert set(told) == {new}


def told_keys(world: World) -> dict[str, VerifyKey]:
    """The keys that tills are told now."""
    jwks = [json.loads(text) for text in world.gateway.signer.public_keys()]
    return {jwk["kid"]: verify_key_from_jwk(jwk) for jwk in jwks}


def credential_key_of(world: World) -> str:
    now_s = world.now_ms // 1000
    return credential_key(world.keys.signing, now_s=now_s, expires_s=now_s + CREDENTIAL_TTL_MAX_S).kid


def test_a_new_key_signs_credentials_only_when_every_till_can_have_it() -> None:
    old, new = generate_signing_key(), generate_signing_key()
    begins_s = 1_000_000
    ring = KeyRing((RingKey(old, 0, begins_s + VERIFY_FOR_S), RingKey(new, begins_s, 0)))

    def signer(at_s: int) -> SigningKey:
        return credential_key(ring, now_s=at_s, expires_s=at_s + CREDENTIAL_TTL_MAX_S)

    assert signer(begins_s - 1) is old
    assert signer(begins_s) is old
    assert signer(begins_s + KEY_KNOWN_S - 1) is old
    assert signer(begins_s + KEY_KNOWN_S) is new
    hurried = KeyRing((replace(ring.ring_keys[0], retires_at_s=begins_s + 10), ring.ring_keys[1]))
    at_s = begins_s
    assert credential_key(hurried, now_s=at_s, expires_s=at_s + CREDENTIAL_TTL_MAX_S) is new
    only = KeyRing((RingKey(new, begins_s, 0),))
    assert credential_key(only, now_s=begins_s, expires_s=begins_s + 1) is new
