"""What the gateway signs for tills, and tills for the gateway: ES256 over a context and the bytes as they are.

The context says what kind of text it is, so that a signature under one kind never serves as another.
"""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.security.keys import SigningKey, VerifyKey

LEASE = "tallystick.lease.v1"
VOUCHER = "tallystick.voucher.v1"
ANCHOR = "tallystick.anchor.v1"
RULES = "tallystick.rules.v1"
RECEIPT = "tallystick.receipt.v1"
BATCH = "tallystick.batch.v1"
HUB = "tallystick.hub.v1"


def sign_body(key: SigningKey, context: str, body: bytes) -> bytes:
    """Return the signature (64 bytes, r then s) over the context, a zero byte, and the body."""
    return key.sign_raw(_message(context, body))


def body_holds(
    keys: Mapping[str, VerifyKey], context: str, body: bytes, *, key_id: str, signature: bytes
) -> bool:
    """Return whether one of the keys that count made the signature; an unknown ``key_id`` is a no."""
    key = keys.get(key_id)
    return key is not None and key.verify_raw(signature, _message(context, body))


def _message(context: str, body: bytes) -> bytes:
    return context.encode() + b"\x00" + body
