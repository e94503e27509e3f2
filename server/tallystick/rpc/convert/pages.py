"""Page tokens: where a list goes on, sealed so that only the list that made one takes it."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Sequence

from tallystick.security.encoding import base64url_decode, base64url_encode, length_prefixed
from tallystick.service.errors import InvalidInput

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1_000
TOKEN_CHARS_MAX = 512

_PURPOSE = b"tallystick page token v1"
_FORMAT = 1
_TAG_BYTES = 16

Mark = str | int


def page_size(asked: int) -> int:
    """Return how many rows to answer at most."""
    return min(asked, PAGE_SIZE_MAX) if asked > 0 else PAGE_SIZE_DEFAULT


class PageTokens:
    """Makes and reads tokens. ``scope`` is what a list is of: its method, its program, its member.

    A token is a format byte, a tag, and the marks where the list goes on. The tag (HMAC-SHA256, 16 bytes) covers the
    scope too: a token of another list, program or installation is refused before its marks are looked at.
    """

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = key

    def make(self, scope: Sequence[str], marks: Sequence[Mark]) -> str:
        """Return the token of the next page."""
        payload = json.dumps(list(marks), separators=(",", ":")).encode()
        token = base64url_encode(bytes([_FORMAT]) + self._tag(scope, payload) + payload)
        assert len(token) <= TOKEN_CHARS_MAX, "marks are ids and numbers"
        return token

    def read(self, scope: Sequence[str], token: str) -> tuple[Mark, ...]:
        """Return the marks of a token, none for the empty one. Raises ``InvalidInput``."""
        if not token:
            return ()
        try:
            raw = base64url_decode(token) if len(token) <= TOKEN_CHARS_MAX else b""
        except ValueError:
            raise page_token_invalid() from None
        tag, payload = raw[1 : 1 + _TAG_BYTES], raw[1 + _TAG_BYTES :]
        if raw[:1] != bytes([_FORMAT]) or not hmac.compare_digest(tag, self._tag(scope, payload)):
            raise page_token_invalid()
        return tuple(json.loads(payload))

    def _tag(self, scope: Sequence[str], payload: bytes) -> bytes:
        message = length_prefixed((_PURPOSE, *(part.encode() for part in scope), payload))
        return hmac.digest(self._key(), message, "sha256")[:_TAG_BYTES]


def page_token_invalid() -> InvalidInput:
    """Return the error for a token that was not made for the call it came with."""
    return InvalidInput(
        "The page token was not made for this call.",
        mend="Start again without one.",
        violations=(("page_token", "must be the next_page_token of the page before"),),
        reason="PAGE_TOKEN_INVALID",
        field="page_token",
    )
