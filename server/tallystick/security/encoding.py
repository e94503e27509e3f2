"""Encodings that have exactly one spelling for one value."""

import base64
import re
from collections.abc import Iterable

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


def base64url_encode(data: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def base64url_decode(text: str) -> bytes:
    """Decode base64url without padding.

    Padding, foreign characters and unused bits that are not zero raise ValueError: two spellings of one
    value would let a caller slip past every cache and blocklist that is keyed on the text.
    """
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64url_encode(data) != text:
        raise ValueError("base64url is not canonical")
    return data


def length_prefixed(parts: Iterable[bytes]) -> bytes:
    """Join `parts`, each behind its length as four bytes, so that no two lists give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
