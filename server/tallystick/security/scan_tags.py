"""How a till finds a member without holding who it is: a scan becomes a keyed tag, and the tag the store's own.

The first step has a key of the program, so that the gateway can keep its outcome instead of the identifier; the second
one of the store, so that the disks of two stores cannot be compared. Who steals a till has both keys and can test
guesses of telephone numbers against its tags; there is nothing else on it to find.
"""

from __future__ import annotations

import hmac
from typing import NewType

from tallystick.security.encoding import length_prefixed

ScanTag = NewType("ScanTag", bytes)
"""16 bytes; what the gateway keeps beside an identifier's blind token."""

StoreTag = NewType("StoreTag", bytes)
"""7 bytes; what a till of one store keeps. Two of a million members share one once in 100,000 programs."""

SCAN_TAG_BYTES = 16
STORE_TAG_BYTES = 7
KEY_BYTES = 32

_SCAN = b"tallystick scan tag v1"
_STORE = b"tallystick store tag v1"


def scan_tag(scan_key: bytes, *, kind: str, value: str) -> ScanTag:
    """Return the program's tag of a normalised identifier (the form of ``parse_identifier``)."""
    assert len(scan_key) == KEY_BYTES, "a scan key has 32 bytes"
    message = length_prefixed((_SCAN, kind.encode(), value.encode()))
    return ScanTag(hmac.digest(scan_key, message, "sha256")[:SCAN_TAG_BYTES])


def store_tag(store_key: bytes, tag: bytes) -> StoreTag:
    """Return the store's own form of a tag."""
    assert len(store_key) == KEY_BYTES, "a store key has 32 bytes"
    return StoreTag(hmac.digest(store_key, _STORE + tag, "sha256")[:STORE_TAG_BYTES])
