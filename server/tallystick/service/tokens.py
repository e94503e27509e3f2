"""Access tokens: sold to a device for an assertion that it signed (RFC 7523), for five minutes each."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from tallystick.core.ids import Ms, ProgramId
from tallystick.core.record import record
from tallystick.security.encoding import base64url_decode
from tallystick.security.errors import KeyRefused
from tallystick.security.key_dir import KeyDir
from tallystick.security.keys import verify_key_from_jwk
from tallystick.security.replay import ReplayGuard, Use
from tallystick.security.tokens import (
    ACCESS_LIFETIME_MAX_S,
    TOKEN_CHARS_MAX,
    Claims,
    TokenProfile,
    TokenRefused,
    assertion_profile,
    new_token_id,
    sign_access_token,
    verify,
)
from tallystick.service.directory import Device, DeviceStatus, Directory
from tallystick.service.errors import FailedPrecondition, Overloaded, Unauthenticated

DEVICE_ID_CHARS_MAX = 64


@record(frozen=True, slots=True)
class IssuedToken:
    """An access token, and for how long it works from now."""

    text: str
    expires_in_s: int


@record(frozen=True, slots=True)
class Proven:
    """The device that made an assertion which was checked and used up, and its program."""

    program_id: ProgramId
    device: Device


class Tokens:
    """Checks assertions and signs tokens of ``profile``. ``role_name`` gives the name in them of a role.

    Safe to use from several threads. ``prove`` asks the store; ``issue`` only signs.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        keys: Callable[[], KeyDir],
        now_ms: Callable[[], Ms],
        issuer: str,
        profile: TokenProfile,
        role_name: Callable[[int], str],
    ) -> None:
        self._directory = directory
        self._keys = keys
        self._now_ms = now_ms
        self._assertions = assertion_profile(issuer=issuer)
        self._access = profile
        self._role_name = role_name
        # How many assertions a device uses up; whether one was used before is the store's to say, which all share.
        self._rate = ReplayGuard()
        self._rate_lock = threading.Lock()

    def prove(self, assertion: str) -> Proven:
        """Check an assertion and use it up.

        Raises ``Unauthenticated`` for one that is not accepted or was used before, in whichever process, and
        ``Overloaded`` when the device uses up too many.
        """
        device_id = _unverified_subject(assertion)
        program_id = self._directory.device_program(device_id) if device_id else None
        device = self._directory.device(program_id, device_id) if program_id else None
        if program_id is None or device is None:
            raise assertion_invalid(self._now_ms())
        try:
            key = verify_key_from_jwk(json.loads(device.public_jwk), owner_id=device.device_id)
            claims = verify(assertion, self._assertions, {key.kid: key}, self._now_ms() // 1000)
        except (TokenRefused, KeyRefused) as error:
            raise assertion_invalid(self._now_ms()) from error
        self._use_up(program_id, device.device_id, claims)
        return Proven(program_id, device)

    def _use_up(self, program_id: ProgramId, device_id: str, claims: Claims) -> None:
        now = self._now_ms()
        usable_until_s = claims.usable_until_s
        with self._rate_lock:
            use = self._rate.use(device_id, claims.token_id, usable_until_s=usable_until_s, now_s=now // 1000)
        if use is Use.FULL:
            raise Overloaded(
                "This device asks for too many tokens.", retry_after_s=30.0, reason="RATE_LIMITED"
            )
        usable_until = Ms(usable_until_s * 1000)
        if not self._directory.use_assertion(
            program_id, device_id, claims.token_id, usable_until=usable_until, now=now
        ):
            raise Unauthenticated(
                "The assertion was used before.", mend="Sign a new one.", reason="ASSERTION_REPLAYED"
            )

    def issue(self, proven: Proven) -> IssuedToken:
        """Sign a token for a device that was proven just now.

        Raises ``Unauthenticated`` for a revoked device, ``FailedPrecondition`` for one that nobody has confirmed.
        """
        device = proven.device
        now_s = self._now_ms() // 1000
        if device.status is DeviceStatus.REVOKED:
            raise Unauthenticated(
                "The device was revoked.",
                mend="A person must enrol it again.",
                reason="DEVICE_REVOKED",
                device_id=device.device_id,
            )
        if device.status is DeviceStatus.PENDING:
            raise FailedPrecondition(
                "Nobody has confirmed the device yet.",
                mend="Let a manager compare the fingerprint and confirm it.",
                reason="DEVICE_NOT_CONFIRMED",
                device_id=device.device_id,
            )
        token = sign_access_token(
            self._keys().signing.signing_key(now_s),
            self._access,
            subject=device.device_id,
            program_id=proven.program_id,
            roles=(self._role_name(device.role),),
            token_id=new_token_id(),
            now_s=now_s,
            store_id=device.store_id,
            device_id=device.device_id,
        )
        return IssuedToken(token, ACCESS_LIFETIME_MAX_S)


def _unverified_subject(assertion: str) -> str:
    """Return whom an assertion says it is from, so that the key can be found; empty when it cannot be read.

    Nothing is believed by this: the signature is checked with that device's key, and then the claims.
    """
    parts = assertion.split(".") if len(assertion) <= TOKEN_CHARS_MAX else []
    if len(parts) != 3:
        return ""
    try:
        claims = json.loads(base64url_decode(parts[1]))
    except (ValueError, RecursionError):
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    if not isinstance(subject, str) or len(subject) > DEVICE_ID_CHARS_MAX:
        return ""
    return subject if subject.isascii() and subject.isprintable() else ""


def assertion_invalid(now_ms: Ms) -> Unauthenticated:
    """Return the error; the server's time in it lets a device whose clock is wrong sign again by that."""
    return Unauthenticated(
        "The assertion is not accepted.",
        mend="Sign it with the enrolled key, for this server, for at most 60 seconds; check the clock.",
        reason="ASSERTION_INVALID",
        server_ms=now_ms,
    )
