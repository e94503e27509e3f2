"""Tokens with which the pages of a webshop show one member's points."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.security.key_dir import KeyDir
from tallystick.security.tokens import ACCESS_LIFETIME_MAX_S, TokenProfile, new_token_id, sign_access_token
from tallystick.service.errors import FailedPrecondition
from tallystick.service.members import Members
from tallystick.service.tokens import IssuedToken

_LEFT_OUT = {"https": ":443", "http": ":80"}


def canonical_origin(text: str) -> str:
    """Return an origin as browsers write it: in lower case, without its scheme's own port (RFC 6454, 6.2)."""
    origin = text.lower()
    return origin.removesuffix(_LEFT_OUT[origin.partition(":")[0]])


class WidgetTokens:
    """Signs widgets' tokens. ``origins`` are those whose pages may call at all; ``role`` is a widget's in tokens.

    Safe to use from several threads.
    """

    def __init__(
        self,
        members: Members,
        *,
        keys: Callable[[], KeyDir],
        now_ms: Callable[[], Ms],
        profile: TokenProfile,
        origins: Collection[str],
        role: str,
    ) -> None:
        self._members = members
        self._keys = keys
        self._now_ms = now_ms
        self._profile = profile
        self._origins = frozenset(origins)
        self._role = role

    def issue(
        self, program_id: ProgramId, member_id: MemberId, *, origin: str, device_id: str, store_id: str
    ) -> IssuedToken:
        """Sign a token for a living member; it bears the shop's device, so that revoking that ends it too.

        Raises ``NotFound``, and ``FailedPrecondition`` for an origin whose pages could not call: a browser would tell
        nobody why.
        """
        page = canonical_origin(origin)
        if page not in self._origins:
            raise FailedPrecondition(
                "Pages of that origin may not call this gateway.",
                mend=f"Add {page} to the setting cors_origins (TALLYSTICK_CORS_ORIGINS) and restart.",
                reason="WEB_ORIGIN_NOT_ALLOWED",
                origin=page,
            )
        self._members.living(program_id, member_id)
        now_s = self._now_ms() // 1000
        token = sign_access_token(
            self._keys().signing.signing_key(now_s),
            self._profile,
            subject=member_id,
            program_id=program_id,
            roles=(self._role,),
            token_id=new_token_id(),
            now_s=now_s,
            store_id=store_id,
            device_id=device_id,
            origin=page,
        )
        return IssuedToken(token, ACCESS_LIFETIME_MAX_S)
