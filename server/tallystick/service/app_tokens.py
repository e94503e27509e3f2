"""Access tokens of a member's app: sold to a card device for an assertion that it signed (RFC 7523).

The device's key is all that the app holds. A token names the member and the device, so that it ends with the device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.security.key_dir import KeyDir
from tallystick.security.keys import VerifyKey
from tallystick.security.replay import ReplayGuard, Use
from tallystick.security.tokens import (
    ACCESS_LIFETIME_MAX_S,
    Claims,
    TokenProfile,
    TokenRefused,
    assertion_profile,
    new_token_id,
    sign_access_token,
    unverified_kid,
    verify,
)
from tallystick.service.directory import CardDevice, Directory
from tallystick.service.enrolment import read_public_jwk
from tallystick.service.errors import Overloaded, Unauthenticated
from tallystick.service.tokens import IssuedToken, assertion_invalid

AUDIENCE_PREFIX = "tallystick-app/"


def app_assertion_profile(program_id: str) -> TokenProfile:
    """Return what an app's assertion must look like: made for one program, by a device for itself."""
    return assertion_profile(issuer=AUDIENCE_PREFIX + program_id)


class AppTokens:
    """Checks assertions of card devices and signs tokens of ``profile`` with the role ``role_name``.

    Safe to use from several threads.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        keys: Callable[[], KeyDir],
        now_ms: Callable[[], Ms],
        profile: TokenProfile,
        role_name: str,
    ) -> None:
        self._directory = directory
        self._keys = keys
        self._now_ms = now_ms
        self._access = profile
        self._role_name = role_name
        self._rate = ReplayGuard()
        self._rate_lock = threading.Lock()

    def buy(self, program_id: ProgramId, member_id: MemberId, assertion: str) -> IssuedToken:
        """Return a token for an assertion, which is used up by that; a blocked member may still look.

        Raises ``Unauthenticated`` for an assertion that is not accepted or was used before, for a device that was
        revoked and for a member that is not there; ``Overloaded`` when the device asks too often.
        """
        profile = app_assertion_profile(program_id)
        try:
            device = self._device(program_id, member_id, unverified_kid(assertion, profile))
            key = read_public_jwk(device.public_jwk)
            owned = {key.kid: VerifyKey(key.kid, key.public_key, owner_id=device.kid)}
            claims = verify(assertion, profile, owned, self._now_ms() // 1000)
        except (TokenRefused, LookupError) as error:
            raise assertion_invalid(self._now_ms()) from error
        if device.revoked_ms:
            raise Unauthenticated(
                "The device was revoked.",
                mend="Sign in again.",
                reason="DEVICE_REVOKED",
                device_id=device.kid,
            )
        self._use_up(program_id, device.kid, claims)
        return self.issue(program_id, device)

    def issue(self, program_id: ProgramId, device: CardDevice) -> IssuedToken:
        """Sign a token for a device that has proven itself just now."""
        now_s = self._now_ms() // 1000
        token = sign_access_token(
            self._keys().signing.signing_key(now_s),
            self._access,
            subject=device.member_id,
            program_id=program_id,
            roles=(self._role_name,),
            token_id=new_token_id(),
            now_s=now_s,
            device_id=device.kid,
        )
        return IssuedToken(token, ACCESS_LIFETIME_MAX_S)

    def _device(self, program_id: ProgramId, member_id: MemberId, kid: str) -> CardDevice:
        """Return a device of a member; one who is erased has none. Raises ``LookupError``."""
        for device in self._directory.card_devices(program_id, member_id):
            if device.kid == kid:
                return device
        raise LookupError("no such device")

    def _use_up(self, program_id: ProgramId, kid: str, claims: Claims) -> None:
        # Of the app, apart from the codes that the same device shows: neither can use up what is the other's.
        owner, now_ms = f"app:{kid}", self._now_ms()
        with self._rate_lock:
            use = self._rate.use(
                f"{program_id}/{owner}",
                claims.token_id,
                usable_until_s=claims.usable_until_s,
                now_s=now_ms // 1000,
            )
        if use is Use.FULL:
            raise Overloaded(
                "This device asks for too many tokens.", retry_after_s=30.0, reason="RATE_LIMITED"
            )
        usable_until = Ms(claims.usable_until_s * 1000)
        if not self._directory.use_assertion(
            program_id, owner, claims.token_id, usable_until=usable_until, now=now_ms
        ):
            raise Unauthenticated(
                "The assertion was used before.", mend="Sign a new one.", reason="ASSERTION_REPLAYED"
            )
