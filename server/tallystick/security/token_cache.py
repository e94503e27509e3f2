"""Verified tokens, remembered until they expire: a hit costs one SHA-256 in place of an ECDSA verification.

Used from the event loop alone, so it has no lock. Revocation is not its business: the caller looks that up
for every call, hit or miss.
"""

from hashlib import sha256
from typing import Generic, TypeVar

from tallystick.security.tokens import TOKEN_CHARS_MAX

ENTRIES_MAX = 10_000

V = TypeVar("V")


class TokenCache(Generic[V]):
    """A bounded map from token to what was made of it when it was verified.

    Keyed by the token's SHA-256: entries have one size, and a memory dump shows no bearer token. Only
    verified tokens get in, so a stranger cannot push others out; when full, the oldest entry goes, which
    with lifetimes of 5 minutes is nearly the next one to expire.
    """

    __slots__ = ("_entries", "_entries_max")

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        assert entries_max > 0, "a cache holds at least one entry"
        self._entries: dict[bytes, tuple[int, V]] = {}
        self._entries_max = entries_max

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, token: str, now_s: int) -> V | None:
        """What was put for `token`, or None when it is unknown or no longer usable at `now_s`."""
        if len(token) > TOKEN_CHARS_MAX:
            return None
        key = sha256(token.encode("utf-8", "surrogatepass")).digest()
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now_s >= entry[0]:
            del self._entries[key]
            return None
        return entry[1]

    def put(self, token: str, value: V, *, usable_until_s: int, now_s: int) -> None:
        """Remember `value` for a verified `token` until `usable_until_s` (`Claims.usable_until_s`)."""
        assert len(token) <= TOKEN_CHARS_MAX, "only verified tokens are cached"
        if now_s >= usable_until_s:
            return
        key = sha256(token.encode("ascii")).digest()
        self._entries.pop(key, None)
        if len(self._entries) >= self._entries_max:
            self._drop_expired_or_oldest(now_s)
        self._entries[key] = (usable_until_s, value)

    def clear(self) -> None:
        """Forget everything, so that each token is verified again (after keys changed)."""
        self._entries.clear()

    def _drop_expired_or_oldest(self, now_s: int) -> None:
        oldest = next(iter(self._entries))
        # Clear a run of expired entries from the old end; one at least, so that there is room.
        del self._entries[oldest]
        while self._entries:
            oldest = next(iter(self._entries))
            if self._entries[oldest][0] > now_s:
                return
            del self._entries[oldest]
