"""Who calls: from the bearer token to the principal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tallystick.core.ids import MemberId, ProgramId
from tallystick.rpc.call import Principal
from tallystick.rpc.errors import DeviceRevoked, TokenExpired, TokenInvalid, TokenMissing
from tallystick.security.keys import VerifyKey
from tallystick.security.token_cache import TokenCache
from tallystick.security.tokens import Claims, TokenProfile, TokenReason, TokenRefused, verify
from tallystick.v1 import options_pb2

_PREFIX = "ROLE_"

_SCHEME = "bearer "
_ROLES: dict[str, int] = {
    name.removeprefix(_PREFIX): number
    for name, number in options_pb2.Role.items()
    if number not in {options_pb2.ROLE_UNSPECIFIED, options_pb2.ROLE_PUBLIC}
}


_OF_ONE_MEMBER = (options_pb2.ROLE_APP, options_pb2.ROLE_WIDGET)
_ROLE_NAMES = {number: name for name, number in _ROLES.items()}


def role_name(role: int) -> str:
    """A Role as tokens, errors and logs spell it: "TILL"."""
    return _ROLE_NAMES[role]


class Authenticator:
    """Verifies access tokens, each of them once, and looks up revocation for every call.

    ``keys`` answers the keys that count at a time (seconds since 1970), as ``KeyRing.verify_keys`` does.
    ``is_revoked`` must be quick: it is asked for every call. Used from the event loop alone.

    A token names one role, spelled as in the contract without its prefix ("TILL"). Its device is the claim
    ``device``, or else the subject; the subject of a member's app or of a webshop's widget is the member.
    """

    def __init__(
        self,
        *,
        profile: TokenProfile,
        keys: Callable[[int], Mapping[str, VerifyKey]],
        is_revoked: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._profile = profile
        self._keys = keys
        self._is_revoked = is_revoked
        self._clock = clock
        self._cache: TokenCache[Principal] = TokenCache()

    def principal(self, authorization: str | None) -> Principal:
        """The caller that the ``authorization`` metadata names.

        Raises TokenMissing, TokenInvalid, TokenExpired or DeviceRevoked. What exactly is wrong with a token is in
        the cause of TokenInvalid, for the log only.
        """
        if not authorization:
            raise TokenMissing
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise TokenInvalid
        token = authorization[len(_SCHEME) :]
        now_s = int(self._clock())
        principal = self._cache.get(token, now_s) or self._verified(token, now_s)
        if self._is_revoked(principal.device_id):
            raise DeviceRevoked(device_id=principal.device_id)
        return principal

    def is_revoked(self, device_id: str) -> bool:
        """Whether a device was shut out meanwhile: streams ask this again and again."""
        return self._is_revoked(device_id)

    def forget_tokens(self) -> None:
        """Verify every token again, after a key was taken away."""
        self._cache.clear()

    def _verified(self, token: str, now_s: int) -> Principal:
        try:
            claims = verify(token, self._profile, self._keys(now_s), now_s)
        except TokenRefused as refused:
            if refused.reason is TokenReason.EXPIRED:
                raise TokenExpired from refused
            raise TokenInvalid from refused
        principal = _principal(claims)
        self._cache.put(token, principal, usable_until_s=claims.usable_until_s, now_s=now_s)
        return principal


def _principal(claims: Claims) -> Principal:
    role = _ROLES.get(claims.roles[0]) if len(claims.roles) == 1 else None
    if role is None or not claims.program_id:
        raise TokenInvalid
    return Principal(
        program_id=ProgramId(claims.program_id),
        device_id=claims.device_id or claims.subject,
        role=role,
        store_id=claims.store_id,
        member_id=MemberId(claims.subject) if role in _OF_ONE_MEMBER else None,
    )
