"""Passkeys (WebAuthn Level 3): discoverable, with the user verified, ES256 only.

Their public keys are all that is kept. Whose passkey signs is said by its credential id alone, within the program.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.security.encoding import base64url_decode, length_prefixed
from tallystick.security.key_dir import KeyDir
from tallystick.security.sign_in import hash_session, new_session_id
from tallystick.service.enrolment import read_public_jwk
from tallystick.service.errors import AlreadyExists, InvalidInput, TallystickError
from tallystick.service.labels import Labels
from tallystick.service.members import Members
from tallystick.service.public_face import PublicFace
from tallystick.service.sign_in import (
    DEVICE,
    SESSION_OVER,
    AccountStore,
    DeviceKey,
    Door,
    NotSignedIn,
    SignedIn,
    SignInReason,
    program_of,
)
from tallystick.service.sign_in_ports import PASSKEYS_MAX, Passkey, SignInPurpose, SignInSession

if TYPE_CHECKING:
    from tallystick.service.passkey_protocol import MadePasskey

log = logging.getLogger(__name__)

CHALLENGE_TTL_S = 300
CREDENTIAL_ID_BYTES_MAX = 1023
"""WebAuthn Level 3, 4: a credential id has at most 1023 bytes."""

LABEL_PURPOSE = "passkey label"
REFUSED = NotSignedIn(SignInReason.PASSKEY)

_USER_PURPOSE = b"tallystick passkey user v1"


@record(frozen=True, slots=True)
class Challenge:
    """What a browser needs to ask for a passkey, and the session in which the answer counts."""

    session_id: str = field(repr=False)
    options_json: str = field(repr=False)


class Passkeys:
    """The use cases around passkeys. Safe to use from several threads."""

    def __init__(
        self,
        store: AccountStore,
        members: Members,
        door: Door,
        face: PublicFace,
        *,
        keys: Callable[[], KeyDir],
        now_ms: Callable[[], Ms],
    ) -> None:
        self._store = store
        self._members = members
        self._door = door
        self._face = face
        self._keys = keys
        self._now_ms = now_ms
        self._labels = Labels(lambda: keys().masters(now_ms() // 1000), purpose=LABEL_PURPOSE)

    def start(self, program_id: ProgramId) -> Challenge:
        """Ask for a passkey of the program, whoever's it is. Raises ``NotFound`` for the program."""
        program_of(self._store, program_id)
        from tallystick.service.passkey_protocol import ask_for_passkey

        question = ask_for_passkey(self._face.rp_id, ttl_s=CHALLENGE_TTL_S)
        session_id = self._begin(program_id, SignInPurpose.PASSKEY, question.challenge)
        return Challenge(session_id, question.options_json)

    def finish(
        self, program_id: ProgramId, session_id: str, credential_json: str, device: DeviceKey
    ) -> SignedIn | NotSignedIn:
        """Check what a passkey signed, once, and let the device in."""
        try:
            kid = read_public_jwk(device.public_jwk).kid
        except InvalidInput:
            return DEVICE
        session = self._spent(program_id, session_id, SignInPurpose.PASSKEY)
        if session is None:
            return SESSION_OVER
        found = self._signed(program_id, credential_json, session.secret)
        if found is None:
            return REFUSED
        passkey, sign_count = found
        refused = self._door.refusal(program_id, passkey.member_id, kid)
        if refused is not None:
            return refused
        if not self._store.use_passkey(
            program_id, passkey.credential_id, sign_count=sign_count, now=self._now_ms()
        ):
            return REFUSED
        return self._door.let_in(program_id, passkey.member_id, device)

    def start_add(self, program_id: ProgramId, member_id: MemberId) -> Challenge:
        """Begin to make a passkey of a member. Raises ``NotFound``, and LIMIT_REACHED."""
        member = self._members.living(program_id, member_id)
        held = self._store.passkeys(program_id, member_id)
        if len(held) >= PASSKEYS_MAX:
            raise _too_many()
        profile = self._members.profile(program_id, member_id)
        shown = profile.email or member.number
        from tallystick.service.passkey_protocol import ask_for_new

        question = ask_for_new(
            self._face.rp_id,
            program_of(self._store, program_id),
            user_handle=self._user_handle(program_id, member_id),
            user_name=shown,
            display_name=profile.given_name or shown,
            held=[one.credential_id for one in held],
            ttl_s=CHALLENGE_TTL_S,
        )
        session_id = self._begin(
            program_id, SignInPurpose.ADD_PASSKEY, question.challenge, member_id=member_id
        )
        return Challenge(session_id, question.options_json)

    def finish_add(
        self, program_id: ProgramId, member_id: MemberId, *, session_id: str, credential_json: str, label: str
    ) -> Passkey | NotSignedIn:
        """Keep the passkey that a browser has made. Raises ``NotFound``, and LIMIT_REACHED."""
        self._members.living(program_id, member_id)
        session = self._spent(program_id, session_id, SignInPurpose.ADD_PASSKEY)
        if session is None or session.member_id != member_id:
            return SESSION_OVER
        made = self._made(credential_json, session.secret)
        if made is None:
            return REFUSED
        credential_id, public_key, sign_count = made
        new = Passkey(
            member_id,
            credential_id,
            public_key,
            sign_count,
            self._labels.seal(program_id, member_id, label),
            self._now_ms(),
        )
        try:
            stored = self._store.add_passkey(program_id, new)
        except AlreadyExists:
            return REFUSED
        if stored is None:
            raise _too_many()
        return stored

    def all_of(self, program_id: ProgramId, member_id: MemberId) -> list[Passkey]:
        """Return a member's passkeys, the oldest first. Raises ``NotFound``."""
        self._members.get(program_id, member_id)
        return self._store.passkeys(program_id, member_id)

    def remove(self, program_id: ProgramId, member_id: MemberId, passkey_id: str) -> None:
        """Forget a passkey, given by its credential id as base64url. Raises ``NotFound`` for the member."""
        self._members.get(program_id, member_id)
        try:
            credential_id = base64url_decode(passkey_id)
        except ValueError:
            return
        self._store.remove_passkey(program_id, member_id, credential_id)

    def label_of(self, program_id: ProgramId, passkey: Passkey) -> str:
        """Return what a passkey's owner calls it; a damaged one costs the label, not the list."""
        return self._labels.open(program_id, passkey.member_id, passkey.sealed_label)

    def _begin(
        self,
        program_id: ProgramId,
        purpose: SignInPurpose,
        challenge: bytes,
        *,
        member_id: MemberId | None = None,
    ) -> str:
        session_id, now_ms = new_session_id(), self._now_ms()
        expires_ms = Ms(now_ms + CHALLENGE_TTL_S * 1000)
        session = SignInSession(
            session_hash=hash_session(self._keys().sign_in_key, session_id, program_id=program_id),
            purpose=purpose,
            secret=challenge,
            started_ms=now_ms,
            expires_ms=expires_ms,
            forget_ms=expires_ms,
            # A challenge is answered once, rightly or not.
            tries_left=1,
            member_id=member_id,
        )
        self._store.start_sign_in(program_id, session)
        return session_id

    def _spent(self, program_id: ProgramId, session_id: str, purpose: SignInPurpose) -> SignInSession | None:
        session_hash = hash_session(self._keys().sign_in_key, session_id, program_id=program_id)
        return self._store.spend_sign_in_try(program_id, session_hash, purpose, now=self._now_ms())

    def _signed(
        self, program_id: ProgramId, credential_json: str, challenge: bytes
    ) -> tuple[Passkey, int] | None:
        """Return the passkey that signed a challenge and its new count; None when none of the program has."""
        from tallystick.service.passkey_protocol import read_answer, signed_count

        try:
            answer = read_answer(credential_json)
            passkey = self._store.passkey(program_id, answer.raw_id)
            if passkey is None:
                return None
            sign_count = signed_count(
                answer,
                challenge,
                rp_id=self._face.rp_id,
                accepts_origin=self._face.accepts_origin,
                public_key=passkey.public_key,
                sign_count=passkey.sign_count,
            )
        except TallystickError:
            raise
        except Exception as error:  # noqa: BLE001  whatever a stranger's bytes make of a parser is a no
            _note("a passkey's answer was refused", error)
            return None
        handle = answer.response.user_handle
        if handle is not None and handle != self._user_handle(program_id, passkey.member_id):
            return None
        return passkey, sign_count

    def _made(self, credential_json: str, challenge: bytes) -> MadePasskey | None:
        """Return what is kept of a new passkey; None when it is not what was asked for."""
        from tallystick.service.passkey_protocol import read_new

        try:
            made = read_new(
                credential_json,
                challenge,
                rp_id=self._face.rp_id,
                accepts_origin=self._face.accepts_origin,
            )
        except Exception as error:  # noqa: BLE001  as above
            _note("a new passkey was refused", error)
            return None
        return None if len(made.credential_id) > CREDENTIAL_ID_BYTES_MAX else made

    def _user_handle(self, program_id: ProgramId, member_id: MemberId) -> bytes:
        """Return what a passkey calls the member: the same for all of a member's, and related to nothing else."""
        message = length_prefixed((_USER_PURPOSE, program_id.encode(), member_id.encode()))
        return hmac.digest(self._keys().sign_in_key, message, "sha256")


def _note(what: str, error: Exception) -> None:
    # Only the kind: the text of the error repeats what the stranger sent.
    log.info(what, extra={"error": type(error).__name__})


def _too_many() -> TallystickError:
    return TallystickError(
        "The member has as many passkeys as are allowed.",
        mend="Remove one first.",
        reason="LIMIT_REACHED",
        limit="passkeys_per_member",
        max=PASSKEYS_MAX,
    )
