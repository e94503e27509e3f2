"""A gateway on a memory store, with a postbox whose mails the test reads, and phones that sign in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.rpc.auth import Authenticator
from tallystick.security.key_dir import create_key_dir
from tallystick.security.keys import SigningKey, generate_signing_key
from tallystick.security.tokens import new_token_id, sign_client_assertion
from tallystick.service.app_tokens import app_assertion_profile
from tallystick.service.directory import Clock
from tallystick.service.enrolment import canonical_jwk
from tallystick.service.errors import Unauthenticated
from tallystick.service.gateway import open_gateway
from tallystick.service.mailer import CodeMail
from tallystick.service.public_face import PublicFace
from tallystick.service.sign_in import DeviceKey, NotSignedIn, SignedIn, SignInReason, Started
from tallystick.storage.memory import MemoryStore

SHOP, OTHER = ProgramId("shop"), ProgramId("other")
START_MS = Ms(1_772_366_400_000)
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
ADA = "ada@example.org"
BOB = "bob@example.org"
URL = "https://points.example.org"
OVER = NotSignedIn(SignInReason.SESSION_OVER)


class Postbox:
    """Takes mails and keeps them."""

    def __init__(self) -> None:
        self.mails: list[CodeMail] = []

    def post(self, mail: CodeMail) -> None:
        self.mails.append(mail)


@dataclass(slots=True)
class Phone:
    """A device with its own key."""

    key: SigningKey
    label: str = "Phone"

    @property
    def device(self) -> DeviceKey:
        return DeviceKey(canonical_jwk(self.key.verify_key), self.label)


class FrontDoor:
    """The use cases of signing in, in two programs, on a clock that the test moves."""

    def __init__(
        self,
        path: Path,
        *,
        public_url: str = URL,
    ) -> None:
        self.now_ms: int = START_MS
        self.post = Postbox()
        self.keys = create_key_dir(path / "keys", now_s=START_MS // 1000 - 60)
        self.store = MemoryStore(now_ms=lambda: Ms(self.now_ms))
        self.gateway = open_gateway(
            self.store,
            keys=lambda: self.keys,
            issuer="https://tallystick.test",
            database="memory",
            now_ms=lambda: Ms(self.now_ms),
            mailer=self.post,
            face=PublicFace(organization="Nordvik", public_url=public_url),
        )
        for program_id in (SHOP, OTHER):
            self.gateway.programs.create(program_id, program_id.title(), Clock.LIVE)
        self.sign_in = self.gateway.sign_in

    def start(
        self,
        email: str = ADA,
        *,
        client: str = "ipv4:192.0.2.1",
        language: str = "",
        program_id: ProgramId = SHOP,
    ) -> Started:
        return self.sign_in.start_email_code(program_id, email, client=client, language=language)

    @property
    def code(self) -> str:
        """The code of the newest mail."""
        return self.post.mails[-1].code

    def finish(self, started: Started, phone: Phone, code: str = "", **more: str) -> SignedIn | NotSignedIn:
        return self.sign_in.finish_email_code(
            SHOP, started.session_id, code or self.code, phone.device, **more
        )

    def signed_in(self, email: str = ADA, phone: Phone | None = None, **more: str) -> SignedIn:
        answer = self.finish(self.start(email), phone or new_phone(), **more)
        assert isinstance(answer, SignedIn), answer
        return answer

    def assertion(
        self,
        phone: Phone,
        *,
        program_id: str = SHOP,
        device_id: str = "",
        key: SigningKey | None = None,
        token_id: str = "",
    ) -> str:
        return sign_client_assertion(
            key or phone.key,
            app_assertion_profile(program_id),
            device_id=device_id or phone.key.kid,
            token_id=token_id or new_token_id(),
            now_s=self.now_ms // 1000,
        )

    def wrong(self, code: str = "") -> str:
        """A code that is not the newest mail's."""
        return str((int(code or self.code) + 1) % 10**6).zfill(6)


def new_phone(label: str = "Phone") -> Phone:
    return Phone(generate_signing_key(), label)


def phone_named(begin: str) -> Phone:
    """A phone whose key's thumbprint begins with a character: one in 64 does."""
    for _ in range(2_000):
        phone = new_phone()
        if phone.key.kid.startswith(begin):
            return phone
    raise AssertionError("no key was found")


def members_of(door: FrontDoor) -> list[MemberId]:
    return [one.member_id for one in door.store.members(SHOP, after="", limit=99)]


def authenticator(door: FrontDoor) -> Authenticator:
    return Authenticator(
        profile=door.gateway.token_profile,
        keys=door.keys.signing.verify_keys,
        is_revoked=door.gateway.revocations.is_revoked,
        clock=lambda: door.now_ms / 1000,
    )


def refused_reason(door: FrontDoor, member_id: MemberId, assertion: str, program_id: str = SHOP) -> str:
    """Return why an assertion buys no token."""
    with pytest.raises(Unauthenticated) as refused:
        door.gateway.app_tokens.buy(ProgramId(program_id), member_id, assertion)
    return refused.value.reason


def payload_of(challenge_json: str) -> dict[str, object]:
    value = json.loads(challenge_json)
    assert isinstance(value, dict)
    return value
