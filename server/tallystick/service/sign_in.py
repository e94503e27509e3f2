"""Signing in by a code that a mail brings: whoever reads the address's mail becomes, or is, its member.

A device that is let in registers its key, and with that key alone it speaks for the member from then on. Nothing that
is answered before the right code tells whether an address is known.
"""

from __future__ import annotations

import hmac
import json
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import field
from enum import IntEnum
from typing import Protocol

from tallystick.core.basket import Channel
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.state import MemberStatus
from tallystick.security.errors import SealBroken
from tallystick.security.identifiers import IdentifierKind
from tallystick.security.key_dir import KeyDir
from tallystick.security.sign_in import (
    CODE_TTL_S,
    TRIES_MAX,
    client_tag,
    hash_session,
    hash_session_code,
    new_code,
    new_session_id,
    open_for_session,
    seal_for_session,
)
from tallystick.service.app_tokens import AppTokens
from tallystick.service.codes import CARD_DEVICES_MAX, Codes, Credential
from tallystick.service.directory import Directory, Member
from tallystick.service.enrolment import read_public_jwk
from tallystick.service.errors import FailedPrecondition, InvalidInput, NotFound, TallystickError
from tallystick.service.identity import Identity, IdentityRefused, Scan, Text
from tallystick.service.mailer import CodeMail, Mailer
from tallystick.service.members import Members
from tallystick.service.sign_in_ports import Mailed, SignInPurpose, SignInSession, SignInStore
from tallystick.service.tokens import IssuedToken

HOUR_MS = 3_600_000
DAY_MS = 86_400_000

MAILS_OF_CLIENT_HOUR_MAX = 5
MAILS_OF_CLIENT_DAY_MAX = 10
MAILS_DAY_MAX = 30
"""Most mails to one address that a client, or all of them, can ask for.

All of a day's codes give whoever cannot read them 150 guesses at a million. No single client can use them up, and so
keep the owner of the address from getting one.
"""

LANGUAGE_CHARS_MAX = 35


class SignInReason(IntEnum):
    """Why nobody was let in. The numbers are those of the contract."""

    CODE_WRONG = 1
    SESSION_OVER = 2
    PASSKEY = 3
    DEVICES_TOO_MANY = 4
    DEVICE = 5


@record(frozen=True, slots=True)
class NotSignedIn:
    """A no: why, and how often the code may still be tried."""

    reason: SignInReason
    tries_left: int = 0


SESSION_OVER = NotSignedIn(SignInReason.SESSION_OVER)
DEVICE = NotSignedIn(SignInReason.DEVICE)


@record(frozen=True, slots=True)
class DeviceKey:
    """The key that will speak for the member, and what its owner calls the device."""

    public_jwk: str
    label: str = field(default="", repr=False)


@record(frozen=True, slots=True)
class Started:
    """A session that has begun; its id is shown once and stored nowhere."""

    session_id: str = field(repr=False)
    expires_ms: Ms


@record(frozen=True, slots=True)
class SignedIn:
    """A device that speaks for a member. ``enrolled`` is whether this session has made the member."""

    member_id: MemberId
    credential: Credential
    token: IssuedToken
    enrolled: bool


class AccountStore(Directory, SignInStore, Protocol):
    """What signing in needs of a store."""


class Door:
    """Lets a device in that somebody has vouched for. Safe to use from several threads."""

    def __init__(self, store: AccountStore, codes: Codes, tokens: AppTokens) -> None:
        self._store = store
        self._codes = codes
        self._tokens = tokens

    def refusal(self, program_id: ProgramId, member_id: MemberId | None, kid: str) -> NotSignedIn | None:
        """Return why a key could not become a device of a member (None: of a new one)."""
        if any(holder != member_id for holder in self._store.card_device_holders(program_id, kid)):
            return DEVICE
        held = self._store.card_devices(program_id, member_id) if member_id else []
        own = next((one for one in held if one.kid == kid), None)
        if own is not None:
            return DEVICE if own.revoked_ms else None
        full = sum(not one.revoked_ms for one in held) >= CARD_DEVICES_MAX
        return NotSignedIn(SignInReason.DEVICES_TOO_MANY) if full else None

    def let_in(
        self, program_id: ProgramId, member_id: MemberId, device: DeviceKey, *, enrolled: bool = False
    ) -> SignedIn | NotSignedIn:
        """Register the device's key and sell it a first token."""
        try:
            credential = self._codes.register(program_id, member_id, device.public_jwk, label=device.label)
        except InvalidInput:
            return DEVICE
        except NotFound:
            # Erased meanwhile.
            return SESSION_OVER
        except TallystickError as error:
            if error.reason != "LIMIT_REACHED":
                raise
            return NotSignedIn(SignInReason.DEVICES_TOO_MANY)
        token = self._tokens.issue(program_id, credential.device)
        return SignedIn(member_id, credential, token, enrolled)


class SignIn:
    """The use cases around codes by mail. Safe to use from several threads.

    Without a ``mailer`` nobody can be sent a code. ``note_referral`` is told of every member who was enrolled here and
    named a referral code, once more when that was cut off: whether it counts is for it to say.
    """

    def __init__(
        self,
        store: AccountStore,
        identity: Identity,
        members: Members,
        door: Door,
        *,
        keys: Callable[[], KeyDir],
        now_ms: Callable[[], Ms],
        mailer: Mailer | None,
        note_referral: Callable[[ProgramId, MemberId, str], object] | None = None,
    ) -> None:
        self._store = store
        self._identity = identity
        self._members = members
        self._door = door
        self._keys = keys
        self._now_ms = now_ms
        self._mailer = mailer
        self._note_referral = note_referral

    def start_email_code(
        self, program_id: ProgramId, email: str, *, language: str = "", client: str = ""
    ) -> Started:
        """Begin a session and send a code to an address. The answer is the same whoever has the address, and also
        when so many mails were sent that this one is not.

        ``client`` says where the call came from. Raises ``NotFound`` for the program, ``InvalidInput`` for a text that
        is no address, ``FailedPrecondition`` when no mail can be sent.
        """
        name = program_of(self._store, program_id)
        if self._mailer is None:
            raise FailedPrecondition(
                "This server sends no mail.", mend="Set smtp_host and smtp_from.", reason="MAIL_OFF"
            )
        scan = self._address(program_id, email)
        address, key, now_ms = scan.identifier.value, self._keys().sign_in_key, self._now_ms()
        session_id, code = new_session_id(), new_code()
        client_hash = client_tag(key, client)
        before = self._store.mailed(program_id, scan.token, since=Ms(now_ms - DAY_MS))
        mailed = may_mail(before, client_hash, now_ms)
        kept = json.dumps({"email": address, "language": language[:LANGUAGE_CHARS_MAX]})
        session = SignInSession(
            session_hash=hash_session(key, session_id, program_id=program_id),
            purpose=SignInPurpose.EMAIL_CODE,
            # A code that nobody was sent is one that nobody can give.
            secret=(
                hash_session_code(key, code, session_id=session_id, program_id=program_id)
                if mailed
                else secrets.token_bytes(32)
            ),
            started_ms=now_ms,
            expires_ms=Ms(now_ms + CODE_TTL_S * 1000),
            forget_ms=Ms(now_ms + (DAY_MS if mailed else CODE_TTL_S * 1000)),
            tries_left=TRIES_MAX,
            member_id=MemberId(str(uuid.uuid4())),
            address_token=scan.token,
            client_tag=client_hash,
            sealed=seal_for_session(key, kept, session_id=session_id, program_id=program_id),
            mailed=mailed,
        )
        self._store.start_sign_in(program_id, session)
        if mailed:
            self._mailer.post(CodeMail(address, code, name, language, session.expires_ms))
        return Started(session_id, session.expires_ms)

    def finish_email_code(
        self,
        program_id: ProgramId,
        session_id: str,
        code: str,
        device: DeviceKey,
        *,
        referral_code: str = "",
    ) -> SignedIn | NotSignedIn:
        """Check a code and let the device in, as the member of the address or as a new one.

        The same call once more answers the same member while the session lives: a lost answer costs nothing.
        """
        try:
            kid = read_public_jwk(device.public_jwk).kid
        except InvalidInput:
            return DEVICE
        session = self._proven(program_id, session_id, code)
        if isinstance(session, NotSignedIn):
            return session
        owner = self._owner(program_id, session.address_token)
        refused = self._door.refusal(program_id, owner, kid)
        if refused is not None:
            # The code still counts: the app makes another key, or its owner removes another device.
            return refused
        if not self._use(program_id, session, used_by=kid):
            return SESSION_OVER
        try:
            kept = self._kept(program_id, session, session_id)
        except SealBroken:
            return SESSION_OVER
        member_id = owner or self._enrol(program_id, session, kept)
        if member_id is None:
            return SESSION_OVER
        enrolled = member_id == session.member_id
        if enrolled:
            self._settle_in(program_id, member_id, kept, referral_code)
        return self._door.let_in(program_id, member_id, device, enrolled=enrolled)

    def erase(
        self, program_id: ProgramId, member_id: MemberId, *, session_id: str, code: str
    ) -> Member | NotSignedIn:
        """Erase a member for a code that was sent to an address of that member; one that is erased stays so.

        Raises ``NotFound``.
        """
        member = self._members.get(program_id, member_id)
        if member.status is MemberStatus.ERASED:
            return member
        session = self._proven(program_id, session_id, code)
        if isinstance(session, NotSignedIn):
            return session
        if self._owner(program_id, session.address_token) != member_id:
            return SESSION_OVER
        if not self._use(program_id, session, used_by=f"erase:{member_id}"):
            return SESSION_OVER
        return self._members.erase(program_id, member_id)

    def _address(self, program_id: ProgramId, email: str) -> Scan:
        scan = self._identity.read(program_id, _address_text(email), channel=Channel.APP)
        if isinstance(scan, IdentityRefused):
            raise InvalidInput(
                "That is no address that a code can be sent to.",
                mend="Write it as name@example.org.",
                violations=(("email", "must be an e-mail address"),),
            )
        return scan

    def _proven(self, program_id: ProgramId, session_id: str, code: str) -> SignInSession | NotSignedIn:
        """Return the session whose code was given; each asking takes a try."""
        key = self._keys().sign_in_key
        session_hash = hash_session(key, session_id, program_id=program_id)
        session = self._store.spend_sign_in_try(
            program_id, session_hash, SignInPurpose.EMAIL_CODE, now=self._now_ms()
        )
        if session is None:
            return SESSION_OVER
        given = hash_session_code(key, code, session_id=session_id, program_id=program_id)
        if hmac.compare_digest(given, session.secret):
            return session
        return SESSION_OVER if session.used_by else NotSignedIn(SignInReason.CODE_WRONG, session.tries_left)

    def _use(self, program_id: ProgramId, session: SignInSession, *, used_by: str) -> bool:
        return self._store.use_sign_in(
            program_id, session.session_hash, used_by=used_by, tries=TRIES_MAX, now=self._now_ms()
        )

    def _owner(self, program_id: ProgramId, address_token: bytes) -> MemberId | None:
        rows = self._store.find(program_id, [(IdentifierKind.EMAIL.value, address_token)])
        return rows[0].member_id if rows else None

    def _kept(self, program_id: ProgramId, session: SignInSession, session_id: str) -> dict[str, str]:
        key = self._keys().sign_in_key
        text = open_for_session(key, session.sealed, session_id=session_id, program_id=program_id)
        kept: dict[str, str] = json.loads(text)
        return kept

    def _enrol(self, program_id: ProgramId, session: SignInSession, kept: dict[str, str]) -> MemberId | None:
        """Make the member of an address that nobody has, and return whose it is then; None when it cannot be."""
        assert session.member_id is not None, "a code's session names whom it would enrol"
        answer = self._identity.enrol(
            program_id,
            session.member_id,
            _address_text(kept["email"]),
            enrolled_ms=self._now_ms(),
            channel=Channel.APP,
            store_id="",
        )
        if isinstance(answer, IdentityRefused):
            # Somebody was quicker with the same address: another of its owner's devices.
            return self._owner(program_id, session.address_token)
        return session.member_id

    def _settle_in(
        self, program_id: ProgramId, member_id: MemberId, kept: dict[str, str], referral_code: str
    ) -> None:
        """Keep what a new member has told; the profile comes last, and says that all of it is kept."""
        if self._members.profile(program_id, member_id).updated_ms:
            return
        if referral_code and self._note_referral is not None:
            self._note_referral(program_id, member_id, referral_code)
        self._members.update_profile(program_id, member_id, kept)


def _address_text(email: str) -> Text:
    return Text(email, IdentifierKind.EMAIL, plain=True)


def may_mail(before: Sequence[Mailed], client_hash: bytes, now_ms: Ms) -> bool:
    """Return whether one more mail may go to an address, after those of the last day (``before``)."""
    of_client = [one for one in before if one.client_tag == client_hash]
    lately = sum(one.at_ms > now_ms - HOUR_MS for one in of_client)
    return (
        lately < MAILS_OF_CLIENT_HOUR_MAX
        and len(of_client) < MAILS_OF_CLIENT_DAY_MAX
        and len(before) < MAILS_DAY_MAX
    )


def program_of(directory: Directory, program_id: ProgramId) -> str:
    """Return a program's name for people. Raises ``NotFound``."""
    program = directory.program(program_id)
    if program is None:
        raise NotFound("There is no such program.", reason="PROGRAM_NOT_FOUND", program_id=program_id)
    return program.display_name or program_id
