"""Web push: messages that only the browser can read (RFC 8291), signed by this installation (VAPID, RFC 8292)."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tallystick.security.encoding import base64url_encode

PUBLIC_BYTES = 65
AUTH_BYTES = 16
SALT_BYTES = 16
RECORD_BYTES = 4096
PAYLOAD_BYTES_MAX = 3_000
"""Push services take 4096 bytes at least, with all that is around the payload (RFC 8030, 7.2)."""

TOKEN_TTL_S = 12 * 3600
"""How long a token for a push service is good; RFC 8292 allows 24 hours."""

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_LAST_RECORD = b"\x02"


def application_key(secret: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the key pair that follows from a secret of 32 bytes: subscriptions are bound to it for ever."""
    # 512 bits, so that the remainder is as good as uniform.
    number = int.from_bytes(hmac.digest(secret, b"tallystick web push key v1", hashlib.sha512))
    return ec.derive_private_key(number % (_P256_ORDER - 1) + 1, ec.SECP256R1())


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key as an uncompressed point."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def is_public_key(data: bytes) -> bool:
    """Return whether bytes are an uncompressed point of P-256."""
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)
    except ValueError:
        return False
    return len(data) == PUBLIC_BYTES


def authorization(key: ec.EllipticCurvePrivateKey, endpoint: str, *, contact: str, now_s: int) -> str:
    """Return the Authorization header for the push service of an endpoint. ``contact`` is a mailto: or https: URI."""
    parts = urlsplit(endpoint)
    claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": now_s + TOKEN_TTL_S, "sub": contact}
    token = jwt.encode(claims, key, algorithm="ES256")
    return f"vapid t={token}, k={base64url_encode(public_bytes(key))}"


def encrypt(
    payload: bytes, *, p256dh: bytes, auth: bytes, sender: ec.EllipticCurvePrivateKey, salt: bytes
) -> bytes:
    """Return the body of a push message, content encoding aes128gcm (RFC 8188), as one record.

    ``sender`` and ``salt`` are made anew for each message.
    """
    assert len(payload) <= PAYLOAD_BYTES_MAX
    receiver = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), p256dh)
    own = public_bytes(sender)
    shared = sender.exchange(ec.ECDH(), receiver)
    secret = _hkdf(auth, shared, b"WebPush: info\0" + p256dh + own, 32)
    content_key = _hkdf(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(salt, secret, b"Content-Encoding: nonce\0", 12)
    header = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(own)]) + own
    return header + AESGCM(content_key).encrypt(nonce, payload + _LAST_RECORD, None)


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    # HKDF of RFC 5869 for one block: neither key nor nonce is longer.
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")[:length]
