"""SignInService behind the real pipeline: letting in, buying tokens, limits, and what members do with passkeys."""

from __future__ import annotations

import json
import logging
import uuid
from typing import Any

import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo

from tallystick.core.ids import Ms
from tallystick.rpc.handlers.services import services
from tallystick.rpc.limits import Limits, Rate
from tallystick.rpc.pipeline import Arrival, CallFailed, Pipeline
from tallystick.security.encoding import base64url_encode
from tallystick.service.gateway import open_gateway
from tallystick.service.public_face import PublicFace
from tallystick.v1 import app_pb2, member_code_pb2, member_pb2, options_pb2
from tests.rpc.handlers.world import ISSUER, OTHER, SHOP, Refused, World
from tests.service.authenticator import Authenticator
from tests.service.front_door import ADA, Phone, Postbox, new_phone

URL = "https://points.example.org"
BOB = "bob@example.org"
SERVICES = {
    method.name: f"/{service.full_name}/{method.name}"
    for service in (
        *app_pb2.DESCRIPTOR.services_by_name.values(),
        *member_code_pb2.DESCRIPTOR.services_by_name.values(),
        *member_pb2.DESCRIPTOR.services_by_name.values(),
    )
    for method in service.methods
}
Refusal = app_pb2.SignInRefusal


class Street:
    """Phones before a gateway that sends mail; a call carries the token that is given and no other."""

    def __init__(self, world: World, limits: Limits | None = None) -> None:
        self.world = world
        self.post = Postbox()
        world.gateway.close()
        world.gateway = open_gateway(
            world.store,
            keys=lambda: world.keys,
            issuer=ISSUER,
            database="memory",
            now_ms=lambda: Ms(world.now_ms),
            mailer=self.post,
            face=PublicFace(organization="Nordvik", public_url=URL, apple_wallet=True),
        )
        world.pipeline = Pipeline(
            services(world.gateway), authenticator=world.pipeline.authenticator, limits=limits
        )
        # The authenticator asks the gateway that serves now.
        world.pipeline.authenticator._is_revoked = world.gateway.revocations.is_revoked

    def send(self, request: Message, *, token: str = "", peer: str = "ipv4:192.0.2.1:50000") -> Any:
        name = type(request).__name__.removesuffix("Request")
        arrival = Arrival(
            request.SerializeToString(),
            lambda message_class, payload: message_class.FromString(payload),
            peer,
            (("authorization", f"Bearer {token}"),) if token else (),
            remaining_s=30.0,
            enforces_deadline=True,
        )
        endpoint = self.world.pipeline.endpoints[SERVICES[name]]
        try:
            answer = self.world.loop.run_until_complete(endpoint.answer(arrival))
        except CallFailed as failed:
            self.failed = failed
            raise Refused(failed.status) from None
        return type(answer).FromString(answer.SerializeToString())

    def refused(self, request: Message, **more: str) -> Refused:
        with pytest.raises(Refused) as refused:
            self.send(request, **more)
        return refused.value

    def start(self, email: str = ADA, *, peer: str = "ipv4:192.0.2.1:50000", language: str = "") -> Any:
        request = app_pb2.StartEmailCodeRequest(program_id=SHOP, email=email, language=language)
        return self.send(request, peer=peer)

    def finish(self, started: Any, phone: Phone, code: str = "") -> Any:
        return self.send(
            app_pb2.FinishEmailCodeRequest(
                program_id=SHOP,
                session_id=started.session_id,
                code=code or self.post.mails[-1].code,
                device=device_of(phone),
            )
        )

    def signed_in(self, email: str = ADA, phone: Phone | None = None) -> Any:
        answer = self.finish(self.start(email), phone or new_phone())
        assert answer.WhichOneof("outcome") == "signed_in"
        return answer.signed_in


def device_of(phone: Phone) -> app_pb2.DeviceKey:
    return app_pb2.DeviceKey(public_jwk=phone.device.public_jwk, label=phone.label)


@pytest.fixture
def street(world: World) -> Street:
    return Street(world)


def test_a_stranger_learns_of_a_program_what_its_card_shows(street: Street) -> None:
    answer = street.send(app_pb2.GetCardProgramRequest(program_id=SHOP))
    assert (answer.program_id, answer.display_name, answer.organization) == (SHOP, "Shop", "Nordvik")
    assert (answer.apple_wallet, answer.google_wallet) == (True, False)
    refused = street.refused(app_pb2.GetCardProgramRequest(program_id="nowhere"))
    assert refused.reason == "PROGRAM_NOT_FOUND"


def test_a_person_signs_in_and_the_token_shows_the_card_of_that_person_only(street: Street) -> None:
    phone = new_phone("Ada's phone")
    started = street.start()
    assert started.expires_at.ToMilliseconds() == street.world.now_ms + 600_000
    answer = street.finish(started, phone).signed_in
    assert (answer.enrolled, answer.expires_in_s) == (True, 300)
    assert (answer.device.device_id, answer.device.label) == (phone.key.kid, "Ada's phone")
    assert answer.credential.program_id == SHOP
    assert answer.credential.credential
    card = street.send(app_pb2.GetCardRequest(member_id=answer.member_id), token=answer.access_token).card
    assert card.member_id == answer.member_id
    bob = street.signed_in(BOB)
    refused = street.refused(app_pb2.GetCardRequest(member_id=bob.member_id), token=answer.access_token)
    assert refused.reason == "MEMBER_NOT_FOUND"


def test_a_wrong_code_and_a_session_that_is_over_are_answers_and_not_errors(street: Street) -> None:
    started = street.start()
    wrong = str((int(street.post.mails[-1].code) + 1) % 10**6).zfill(6)
    refused = street.finish(started, new_phone(), wrong).refused
    assert (refused.reason, refused.tries_left) == (Refusal.SIGN_IN_REFUSAL_CODE_WRONG, 4)
    street.world.now_ms += 600_000
    refused = street.finish(started, new_phone()).refused
    assert (refused.reason, refused.tries_left) == (Refusal.SIGN_IN_REFUSAL_SESSION_OVER, 0)


def test_an_app_buys_the_next_token_and_a_revoked_one_buys_none(street: Street) -> None:
    phone = new_phone()
    answer = street.signed_in(phone=phone)
    street.world.now_ms += 600_000

    def request() -> app_pb2.IssueAppTokenRequest:
        from tallystick.security.tokens import new_token_id, sign_client_assertion
        from tallystick.service.app_tokens import app_assertion_profile

        assertion = sign_client_assertion(
            phone.key,
            app_assertion_profile(SHOP),
            device_id=phone.key.kid,
            token_id=new_token_id(),
            now_s=street.world.now_ms // 1000,
        )
        return app_pb2.IssueAppTokenRequest(program_id=SHOP, member_id=answer.member_id, assertion=assertion)

    get = app_pb2.GetCardRequest(member_id=answer.member_id)
    assert street.refused(get, token=answer.access_token).reason == "TOKEN_EXPIRED"
    token = street.send(request()).access_token
    assert street.send(get, token=token).card.member_id == answer.member_id
    revoke = member_code_pb2.RevokeCardDeviceRequest(member_id=answer.member_id, device_id=phone.key.kid)
    street.send(revoke, token=token)
    assert street.refused(get, token=token).reason == "DEVICE_REVOKED"
    assert street.refused(request()).reason == "DEVICE_REVOKED"
    unknown = request()
    unknown.member_id = str(uuid.uuid4())
    refused = street.refused(unknown)
    assert (refused.reason, refused.metadata["server_ms"]) == ("ASSERTION_INVALID", str(street.world.now_ms))


def test_a_new_device_is_told_that_it_looks_and_does_not_burn_for_a_day(street: Street) -> None:
    device = street.signed_in().device
    assert device.burn_from.ToMilliseconds() - device.registered_at.ToMilliseconds() == 86_400_000


@pytest.mark.parametrize("email", ["ada", "ada@", "ada@example.org\r\nBcc: eve@example.org"])
def test_what_is_no_address_is_refused_by_its_field(street: Street, email: str) -> None:
    refused = street.refused(app_pb2.StartEmailCodeRequest(program_id=SHOP, email=email))
    assert [field for field, _ in refused.violations] == ["email"]
    assert street.post.mails == []


def test_a_server_that_sends_no_mail_says_so(world: World) -> None:
    street = Street(world)
    world.gateway.sign_in._mailer = None
    refused = street.refused(app_pb2.StartEmailCodeRequest(program_id=SHOP, email=ADA))
    assert refused.reason == "MAIL_OFF"
    assert "smtp_host" in refused.message


def test_one_client_asks_for_mails_at_a_bounded_rate_and_is_told_when_to_come_back(world: World) -> None:
    method = "tallystick.v1.SignInService/StartEmailCode"
    street = Street(world, Limits(rates_by_method={method: Rate(0.5, 3)}))
    for number in range(3):
        street.start(f"m{number}@example.org", peer=f"ipv4:192.0.2.1:{5000 + number}")
    refused = street.refused(app_pb2.StartEmailCodeRequest(program_id=SHOP, email=ADA))
    assert refused.reason == "RATE_LIMITED"
    retry = RetryInfo()
    assert any(detail.Unpack(retry) for detail in street.failed.status.details)
    assert 1.5 < retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9 <= 2.0
    assert street.failed.retry_after_s is not None
    street.start(peer="ipv4:192.0.2.2:5000")
    street.send(app_pb2.StartPasskeyRequest(program_id=SHOP))
    assert len(street.post.mails) == 4


def test_the_methods_that_mail_or_guess_have_rates_of_their_own() -> None:
    assert {name.rpartition("/")[2] for name in Limits().rates_by_method} == {
        "StartEmailCode",
        "FinishEmailCode",
        "StartPasskey",
    }


def test_mails_of_one_client_are_counted_without_its_port(street: Street) -> None:
    for number in range(8):
        street.start(peer=f"ipv4:192.0.2.1:{5000 + number}")
    assert len(street.post.mails) == 5


# Passkeys, and erasing oneself.


def add_passkey(street: Street, signed_in: Any, key: Authenticator) -> Any:
    member_id, token = signed_in.member_id, signed_in.access_token
    challenge = street.send(app_pb2.StartAddPasskeyRequest(member_id=member_id), token=token)
    finish = app_pb2.FinishAddPasskeyRequest(
        member_id=member_id,
        session_id=challenge.session_id,
        credential_json=key.create(challenge.options_json),
        label="Laptop",
    )
    return street.send(finish, token=token)


def test_a_member_adds_a_passkey_signs_in_with_it_and_removes_it(street: Street) -> None:
    ada, key = street.signed_in(), Authenticator(URL, "points.example.org")
    token, member_id = ada.access_token, ada.member_id
    added = add_passkey(street, ada, key).passkey
    assert (added.passkey_id, added.label) == (base64url_encode(key.credential_id), "Laptop")
    assert not added.HasField("used_at")

    def enter() -> Any:
        challenge = street.send(app_pb2.StartPasskeyRequest(program_id=SHOP))
        finish = app_pb2.FinishPasskeyRequest(
            program_id=SHOP,
            session_id=challenge.session_id,
            credential_json=key.get(challenge.options_json),
            device=device_of(new_phone()),
        )
        return street.send(finish)

    assert enter().signed_in.member_id == member_id
    exported = street.send(app_pb2.ExportMemberRequest(member_id=member_id), token=token)
    (kept,) = json.loads(exported.json)["passkeys"]
    assert (kept["passkey_id"], kept["label"]) == (added.passkey_id, "Laptop")
    assert kept["added_at"] == kept["used_at"] == "2026-03-01T12:00:00.000Z"
    (listed,) = street.send(app_pb2.ListPasskeysRequest(member_id=member_id), token=token).passkeys
    assert listed.used_at.ToMilliseconds() == street.world.now_ms
    remove = app_pb2.RemovePasskeyRequest(member_id=member_id, passkey_id=added.passkey_id)
    for _ in range(2):
        street.send(remove, token=token)
    assert not street.send(app_pb2.ListPasskeysRequest(member_id=member_id), token=token).passkeys
    assert enter().refused.reason == Refusal.SIGN_IN_REFUSAL_PASSKEY


def test_a_passkey_of_another_page_is_not_kept(street: Street) -> None:
    refused = add_passkey(street, street.signed_in(), Authenticator("https://evil.example", "evil.example"))
    assert refused.refused.reason == Refusal.SIGN_IN_REFUSAL_PASSKEY


def test_a_member_erases_oneself_and_the_last_answer_may_be_lost(street: Street) -> None:
    phone = new_phone()
    ada = street.signed_in(phone=phone)
    started = street.start()
    request = app_pb2.EraseMeRequest(
        member_id=ada.member_id, session_id=started.session_id, code=street.post.mails[-1].code
    )
    for _ in range(2):
        erased = street.send(request, token=ada.access_token)
        assert erased.member.status == member_pb2.MEMBER_STATUS_ERASED
    refused = street.refused(app_pb2.GetCardRequest(member_id=ada.member_id), token=ada.access_token)
    assert refused.reason == "MEMBER_NOT_FOUND"


def test_a_code_of_another_address_erases_nobody(street: Street) -> None:
    ada = street.signed_in()
    started = street.start(BOB)
    request = app_pb2.EraseMeRequest(
        member_id=ada.member_id, session_id=started.session_id, code=street.post.mails[-1].code
    )
    answer = street.send(request, token=ada.access_token)
    assert answer.refused.reason == Refusal.SIGN_IN_REFUSAL_SESSION_OVER


def of_member(member_id: str) -> list[Message]:
    return [
        app_pb2.StartAddPasskeyRequest(member_id=member_id),
        app_pb2.FinishAddPasskeyRequest(member_id=member_id, session_id="s", credential_json="{}"),
        app_pb2.ListPasskeysRequest(member_id=member_id),
        app_pb2.RemovePasskeyRequest(member_id=member_id, passkey_id="AA"),
        app_pb2.EraseMeRequest(member_id=member_id, session_id="s", code="000000"),
    ]


@pytest.mark.parametrize("number", range(5))
def test_what_belongs_to_another_member_is_not_there(street: Street, number: int) -> None:
    ada, bob = street.signed_in(), street.signed_in(BOB)
    request = of_member(bob.member_id)[number]
    assert street.refused(request, token=ada.access_token).reason == "MEMBER_NOT_FOUND"
    assert street.refused(request).reason == "TOKEN_MISSING"
    own = of_member(ada.member_id)[number]
    street.send(own, token=ada.access_token)


def test_neither_address_code_nor_session_reaches_a_log(
    street: Street, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    started = street.start()
    street.finish(started, new_phone(), "000000")
    street.finish(started, new_phone())
    street.refused(app_pb2.StartEmailCodeRequest(program_id="nowhere", email=ADA))
    street.refused(app_pb2.StartEmailCodeRequest(program_id=SHOP, email="ada@example"))
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "StartEmailCode" in logged
    for secret in (ADA, "ada@", street.post.mails[0].code, started.session_id):
        assert secret not in logged


def test_a_public_method_reaches_into_no_other_program(street: Street) -> None:
    started, phone = street.start(), new_phone()
    request = app_pb2.FinishEmailCodeRequest(
        program_id=OTHER,
        session_id=started.session_id,
        code=street.post.mails[-1].code,
        device=device_of(phone),
    )
    assert street.send(request).refused.reason == Refusal.SIGN_IN_REFUSAL_SESSION_OVER


def test_all_methods_of_the_service_are_public_and_no_others() -> None:
    for service in app_pb2.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            roles = method.GetOptions().Extensions[options_pb2.allow].roles
            assert (options_pb2.ROLE_PUBLIC in roles) is (service.name == "SignInService")
