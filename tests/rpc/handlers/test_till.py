"""TillService: a device comes in with a code, a key and a person's eyes, and buys tokens with signed assertions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tallystick.core.ids import Ms
from tallystick.security.enrolment import prove_possession
from tallystick.security.keys import SigningKey, generate_signing_key, public_jwk
from tallystick.security.tokens import assertion_profile, new_token_id, sign_client_assertion
from tallystick.service.enrolment import rotation_message
from tallystick.service.errors import Unauthenticated
from tallystick.service.gateway import Gateway, open_gateway
from tallystick.v1 import admin_pb2
from tallystick.v1 import till_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    DAY_MS,
    IMPORTER,
    ISSUER,
    MANAGER,
    OTHER,
    SHOP,
    TILL,
    WEBSHOP,
    Caller,
    World,
    everything_stored,
    sale_request,
)

manager, admin = Caller(MANAGER), Caller(ADMIN, store_id="")


def jwk_of(key: SigningKey) -> str:
    return json.dumps(public_jwk(key.private_key.public_key()))


@dataclass(slots=True)
class NewDevice:
    """A device with its own key, as it is built outside of the server."""

    world: World
    key: SigningKey
    device_id: str = ""
    fingerprint: str = ""

    def enrol(
        self, code: str, *, program_id: str = SHOP, key: SigningKey | None = None
    ) -> pb.EnrolDeviceResponse:
        signer = key or self.key
        request = pb.EnrolDeviceRequest(
            code=code,
            program_id=program_id,
            public_jwk=jwk_of(self.key),
            proof=prove_possession(signer, code=code, program_id=program_id),
        )
        answer: pb.EnrolDeviceResponse = self.world.send(request)
        self.device_id, self.fingerprint = answer.device_id, answer.fingerprint
        return answer

    def confirm(self, caller: Caller = manager) -> None:
        request = pb.ConfirmDeviceRequest(device_id=self.device_id, fingerprint=self.fingerprint)
        self.world.send(request, caller)

    def assertion(self, *, issuer: str = ISSUER, token_id: str = "", age_s: int = 0) -> pb.IssueTokenRequest:
        text = sign_client_assertion(
            self.key,
            assertion_profile(issuer=issuer),
            device_id=self.device_id,
            token_id=token_id or new_token_id(),
            now_s=self.world.now_ms // 1000 - age_s,
        )
        return pb.IssueTokenRequest(client_assertion=text)

    def token(self) -> str:
        return str(self.world.send(self.assertion()).access_token)


@contextmanager
def another_gateway(world: World) -> Iterator[Gateway]:
    """Open a second gateway on the same store, as a second worker process has one."""
    gateway = open_gateway(
        world.store,
        keys=lambda: world.keys,
        issuer=ISSUER,
        database="memory",
        now_ms=lambda: Ms(world.now_ms),
    )
    yield gateway
    gateway.close()


def new_device(world: World) -> NewDevice:
    return NewDevice(world, generate_signing_key())


def code_for(
    world: World,
    caller: Caller = manager,
    *,
    kind: int = pb.DEVICE_KIND_TILL,
    role: int = TILL,
    store_id: str = "s1",
) -> str:
    request = pb.CreateEnrolmentCodeRequest(kind=kind, role=role, store_id=store_id, label="Till 2")  # type: ignore[arg-type]
    return str(world.send(request, caller).code)


def wrong_guess_at(code: str) -> str:
    """Return another code with the same first two characters, which say whose try it costs."""
    return code[:2] + ("00-0000-0000" if code[-1] != "0" else "00-0000-0001")


def guess_code(world: World, text: str) -> None:
    """Send a text in place of a code, with a proof of the right form."""
    world.send(
        pb.EnrolDeviceRequest(
            code=text, program_id=SHOP, public_jwk=jwk_of(generate_signing_key()), proof=bytes(64)
        )
    )


def enrolled_device(world: World) -> NewDevice:
    device = new_device(world)
    device.enrol(code_for(world))
    device.confirm()
    return device


def test_a_till_enrols_is_confirmed_and_its_token_opens_its_program_and_store(world: World) -> None:
    device = new_device(world)
    answer = device.enrol(code_for(world))
    assert answer.status == pb.DEVICE_STATUS_PENDING
    device.confirm()
    issued = world.send(device.assertion())
    assert issued.expires_in_s == 300
    assert issued.server_time.ToMilliseconds() == world.now_ms
    info = world.send(admin_pb2.GetServerInfoRequest(), token=issued.access_token)
    assert (info.program_id, info.database) == (SHOP, "memory")
    sale = world.send(sale_request(world.enrol(), 1000), token=issued.access_token).decision.posted.entry
    assert (sale.origin.store_id, sale.origin.till_id) == ("s1", device.device_id)
    listed = world.send(pb.ListDevicesRequest(), manager).devices
    assert [(one.device_id, one.label, one.store_id, one.role, one.status) for one in listed] == [
        (device.device_id, "Till 2", "s1", TILL, pb.DEVICE_STATUS_ACTIVE)
    ]
    assert listed[0].confirmed_at.ToMilliseconds() == world.now_ms
    assert not listed[0].HasField("revoked_at")


def test_a_repeated_enrolment_with_the_same_key_answers_the_same_device(world: World) -> None:
    device, code = new_device(world), code_for(world)
    first = device.enrol(code)
    assert device.enrol(code.lower().replace("-", " ")) == first
    assert len(world.send(pb.ListDevicesRequest(), manager).devices) == 1


def test_a_code_lets_in_one_key_and_no_other(world: World) -> None:
    code = code_for(world)
    new_device(world).enrol(code)
    with pytest.raises(Exception, match="ENROLMENT_CODE_INVALID"):
        new_device(world).enrol(code)


def test_a_code_works_for_ten_minutes(world: World) -> None:
    request = pb.CreateEnrolmentCodeRequest(kind=pb.DEVICE_KIND_TILL, role=TILL, store_id="s1", label="Till")
    made = world.send(request, manager)
    assert made.expires_at.ToMilliseconds() == world.now_ms + 600_000
    world.now_ms += 599_999
    new_device(world).enrol(made.code)
    late = code_for(world)
    world.now_ms += 600_000
    with pytest.raises(Exception, match="ENROLMENT_CODE_INVALID"):
        new_device(world).enrol(late)


def test_a_device_that_asks_again_after_its_code_ended_is_refused(world: World) -> None:
    device, code = new_device(world), code_for(world)
    device.enrol(code)
    world.now_ms += 600_000
    with pytest.raises(Exception, match="ENROLMENT_CODE_INVALID"):
        device.enrol(code)


def test_five_wrong_guesses_close_a_code_and_four_do_not(world: World) -> None:
    for guesses, closed in ((4, False), (5, True)):
        code = code_for(world)
        for _ in range(guesses):
            with pytest.raises(Exception, match="ENROLMENT_CODE_INVALID"):
                new_device(world).enrol(wrong_guess_at(code))
        if closed:
            with pytest.raises(Exception, match="ENROLMENT_CODE_INVALID"):
                new_device(world).enrol(code)
        else:
            assert new_device(world).enrol(code).status == pb.DEVICE_STATUS_PENDING


def test_guesses_at_one_code_leave_the_others_open(world: World) -> None:
    code, other = code_for(world), code_for(world)
    for _ in range(5):
        for guess in (wrong_guess_at(code), "no code at all"):
            with pytest.raises(Exception, match="ENROLMENT_CODE_INVALID"):
                guess_code(world, guess)
    with pytest.raises(Exception, match="ENROLMENT_CODE_INVALID"):
        new_device(world).enrol(code)
    assert new_device(world).enrol(other).status == pb.DEVICE_STATUS_PENDING


def test_an_open_code_shares_its_selector_with_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    minted = iter(["K7AB-9QRS-TVWX", "K7CD-9QRS-TVWX", "K7EF-9QRS-TVWX", "K8AB-9QRS-TVWX", "K7GH-9QRS-TVWX"])
    monkeypatch.setattr("tallystick.service.enrolment.new_code", lambda: next(minted))
    assert [code_for(world), code_for(world)] == ["K7AB-9QRS-TVWX", "K8AB-9QRS-TVWX"]
    world.now_ms += 600_000
    assert code_for(world) == "K7GH-9QRS-TVWX", "the code that had this selector has ended"


def test_a_code_of_one_program_is_nothing_in_another(world: World) -> None:
    code = code_for(world)
    with pytest.raises(Exception, match="ENROLMENT_CODE_INVALID"):
        new_device(world).enrol(code, program_id=OTHER)


def test_a_key_that_the_device_does_not_hold_is_refused_and_the_code_stays_good(world: World) -> None:
    device, code = new_device(world), code_for(world)
    with pytest.raises(Exception, match="PROOF_INVALID"):
        device.enrol(code, key=generate_signing_key())
    assert device.enrol(code).status == pb.DEVICE_STATUS_PENDING


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"kty":"RSA"}',
        "[" * 500,
        '{"kty":"EC","crv":"P-256","x":"A","y":"B"}',
        "x" * 512,
    ],
)
def test_what_is_no_public_key_is_refused(world: World, text: str) -> None:
    code = code_for(world)
    request = pb.EnrolDeviceRequest(code=code, program_id=SHOP, public_jwk=text, proof=bytes(64))
    assert world.refused(request).violations[0][0] == "public_jwk"


def test_a_private_key_in_place_of_a_public_one_is_refused_and_not_repeated(world: World) -> None:
    key = generate_signing_key()
    text = json.dumps({**json.loads(jwk_of(key)), "d": "AAAA" * 10 + "AAA"})
    request = pb.EnrolDeviceRequest(code=code_for(world), program_id=SHOP, public_jwk=text, proof=bytes(64))
    refused = world.refused(request)
    assert refused.reason == "PUBLIC_KEY_INVALID"
    assert "AAAA" not in refused.message + str(refused.violations)


def test_codes_are_kept_as_hashes_only(world: World) -> None:
    code = code_for(world)
    stored = everything_stored(world.store)
    assert code not in stored
    assert code.replace("-", "") not in stored
    assert "Till 2" in stored, "the label is there, so the search looked in the right place"


def test_a_wrong_fingerprint_confirms_nothing(world: World) -> None:
    device = new_device(world)
    device.enrol(code_for(world))
    request = pb.ConfirmDeviceRequest(device_id=device.device_id, fingerprint="00000 00000 00000 00000 00000")
    assert world.refused(request, manager).reason == "FINGERPRINT_MISMATCH"
    assert world.refused(device.assertion()).reason == "DEVICE_NOT_CONFIRMED"


def test_a_fingerprint_may_be_typed_without_its_spaces_and_confirmed_twice(world: World) -> None:
    device = new_device(world)
    device.enrol(code_for(world))
    device.fingerprint = device.fingerprint.replace(" ", "")
    device.confirm()
    device.confirm()
    assert device.token()


def test_an_assertion_buys_one_token(world: World) -> None:
    assertion = enrolled_device(world).assertion()
    assert world.send(assertion).access_token
    assert world.refused(assertion).reason == "ASSERTION_REPLAYED"
    world.now_ms += 89_000
    assert world.refused(assertion).reason == "ASSERTION_REPLAYED"
    world.now_ms += 2_000
    error = world.refused(assertion)
    assert (error.reason, error.metadata["server_ms"]) == ("ASSERTION_INVALID", str(world.now_ms))


def test_an_assertion_that_one_gateway_took_is_refused_by_every_other_on_the_store(world: World) -> None:
    device = enrolled_device(world)
    first, second = device.assertion(), device.assertion()
    assert world.send(first).access_token
    with another_gateway(world) as elsewhere:
        assert elsewhere.tokens.issue(elsewhere.tokens.prove(second.client_assertion)).text
        with pytest.raises(Unauthenticated) as refused:
            elsewhere.tokens.prove(first.client_assertion)
    assert refused.value.reason == "ASSERTION_REPLAYED"
    assert world.refused(second).reason == "ASSERTION_REPLAYED"


def test_a_device_that_asks_for_tokens_without_end_is_slowed_down_and_no_other_is(world: World) -> None:
    greedy, other = enrolled_device(world), enrolled_device(world)
    for _ in range(256):
        world.gateway.tokens.prove(greedy.assertion().client_assertion)
    assert world.refused(greedy.assertion()).reason == "RATE_LIMITED"
    assert other.token()
    world.now_ms += 91_000
    assert greedy.token()


def test_an_assertion_for_another_server_of_another_key_or_of_nobody_buys_nothing(world: World) -> None:
    device = enrolled_device(world)
    stranger = new_device(world)
    stranger.device_id = device.device_id
    nobody = new_device(world)
    nobody.device_id = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e99"
    wrong = [device.assertion(issuer="https://elsewhere.test"), stranger.assertion(), nobody.assertion()]
    wrong += [device.assertion(age_s=120), device.assertion(age_s=-120)]
    for request in wrong:
        assert world.refused(request).reason == "ASSERTION_INVALID"


@pytest.mark.parametrize(
    "text", ["x", "a.b.c", "..", "é.é.é", "e30.e30.e30", "e30." + "W10" + ".e30", "." * 4096]
)
def test_what_is_no_assertion_buys_nothing(world: World, text: str) -> None:
    assert world.refused(pb.IssueTokenRequest(client_assertion=text)).reason == "ASSERTION_INVALID"


def test_a_revoked_device_is_out_at_its_next_call_whatever_token_it_holds(world: World) -> None:
    device = enrolled_device(world)
    token = device.token()
    assert world.send(admin_pb2.GetServerInfoRequest(), token=token)
    for _ in range(2):
        revoked = world.send(pb.RevokeDeviceRequest(device_id=device.device_id), manager).device
        assert revoked.status == pb.DEVICE_STATUS_REVOKED
    assert world.refused(admin_pb2.GetServerInfoRequest(), token=token).reason == "DEVICE_REVOKED"
    assert world.refused(device.assertion()).reason == "DEVICE_REVOKED"
    confirm = pb.ConfirmDeviceRequest(device_id=device.device_id, fingerprint=device.fingerprint)
    assert world.refused(confirm, manager).reason == "DEVICE_NOT_FOUND"


def test_a_key_is_rotated_and_the_old_one_buys_no_more_tokens(world: World) -> None:
    device = enrolled_device(world)
    token, old = device.token(), device.key
    new = generate_signing_key()
    message = rotation_message(program_id=SHOP, device_id=device.device_id, kid=new.kid)
    request = pb.RotateDeviceKeyRequest(public_jwk=jwk_of(new), proof=new.sign_raw(message))
    changed = world.send(request, token=token).device
    assert changed.fingerprint != device.fingerprint
    assert changed.status == pb.DEVICE_STATUS_ACTIVE
    assert world.send(request, token=token).device == changed
    assert world.refused(device.assertion()).reason == "ASSERTION_INVALID"
    device.key = new
    assert device.token()
    assert old.kid != new.kid


def test_a_rotation_proof_names_its_device(world: World) -> None:
    one, two = enrolled_device(world), enrolled_device(world)
    new = generate_signing_key()
    message = rotation_message(program_id=SHOP, device_id=one.device_id, kid=new.kid)
    request = pb.RotateDeviceKeyRequest(public_jwk=jwk_of(new), proof=new.sign_raw(message))
    assert world.refused(request, token=two.token()).reason == "PROOF_INVALID"


@pytest.mark.parametrize(("kind", "role"), [(1, WEBSHOP), (2, TILL), (3, TILL), (1, ADMIN), (2, MANAGER)])
def test_the_role_must_fit_the_kind(world: World, kind: int, role: int) -> None:
    request = pb.CreateEnrolmentCodeRequest(kind=kind, role=role, store_id="s1", label="x")  # type: ignore[arg-type]
    assert world.refused(request, admin).violations == [("role", "must fit the kind")]


@pytest.mark.parametrize("role", [ADMIN, IMPORTER])
def test_a_manager_lets_nobody_in_who_may_do_more(world: World, role: int) -> None:
    request = pb.CreateEnrolmentCodeRequest(
        kind=pb.DEVICE_KIND_BACKOFFICE,
        role=role,  # type: ignore[arg-type]
        store_id="s1",
        label="x",
    )
    refused = world.refused(request, manager)
    assert (refused.reason, refused.metadata["role"]) == ("ROLE_NOT_ALLOWED", "MANAGER")
    code = code_for(world, admin, kind=pb.DEVICE_KIND_BACKOFFICE, role=role)
    device = new_device(world)
    device.enrol(code)
    confirm = pb.ConfirmDeviceRequest(device_id=device.device_id, fingerprint=device.fingerprint)
    revoke = pb.RevokeDeviceRequest(device_id=device.device_id)
    assert (
        world.refused(confirm, manager).reason == world.refused(revoke, manager).reason == "ROLE_NOT_ALLOWED"
    )


def test_the_manager_of_one_store_sees_and_names_that_store_only(world: World) -> None:
    foreign = new_device(world)
    foreign.enrol(code_for(world, admin, store_id="s2"))
    own = enrolled_device(world)
    listed = world.send(pb.ListDevicesRequest(), manager).devices
    assert [device.device_id for device in listed] == [own.device_id]
    assert len(world.send(pb.ListDevicesRequest(), admin).devices) == 2
    confirm = pb.ConfirmDeviceRequest(device_id=foreign.device_id, fingerprint=foreign.fingerprint)
    assert world.refused(confirm, manager).reason == "DEVICE_NOT_FOUND"
    revoke = pb.RevokeDeviceRequest(device_id=foreign.device_id)
    assert world.refused(revoke, manager).reason == "DEVICE_NOT_FOUND"
    code = pb.CreateEnrolmentCodeRequest(kind=pb.DEVICE_KIND_TILL, role=TILL, store_id="s2", label="x")
    assert world.refused(code, manager).reason == "ORIGIN_MISMATCH"
    chain = Caller(MANAGER, store_id="")
    assert len(world.send(pb.ListDevicesRequest(), chain).devices) == 2


def test_devices_are_listed_in_pages(world: World) -> None:
    ids = sorted(enrolled_device(world).device_id for _ in range(3))
    found, token, pages = [], "", 0
    while pages == 0 or token:
        page = world.send(pb.ListDevicesRequest(page_size=2, page_token=token), admin)
        found += [device.device_id for device in page.devices]
        token, pages = page.next_page_token, pages + 1
    assert (found, pages) == (ids, 2)


def test_there_are_at_most_a_hundred_open_codes(world: World) -> None:
    for _ in range(100):
        code_for(world)
    request = pb.CreateEnrolmentCodeRequest(kind=pb.DEVICE_KIND_TILL, role=TILL, store_id="s1", label="x")
    refused = world.refused(request, manager)
    assert (refused.reason, refused.metadata["max"]) == ("LIMIT_REACHED", "100")
    world.now_ms += 600_000
    assert code_for(world)


def test_another_replica_learns_of_a_revocation_by_looking(world: World) -> None:
    from tallystick.service.revocations import Revocations

    device = enrolled_device(world)
    elsewhere = Revocations(world.store, now_ms=lambda: Ms(world.now_ms))
    world.send(pb.RevokeDeviceRequest(device_id=device.device_id), manager)
    assert not elsewhere.is_revoked(device.device_id)
    elsewhere.refresh()
    assert elsewhere.is_revoked(device.device_id)
    world.now_ms += DAY_MS
    elsewhere.refresh()
    assert not elsewhere.is_revoked(device.device_id), "no token of it can be alive any more"
    assert world.refused(device.assertion()).reason == "DEVICE_REVOKED"
