"""Keys and signatures of webhooks: Standard Webhooks 1.0, "v1" (HMAC-SHA256) and "v1a" (Ed25519).

What is signed is ``id.timestamp.body``, so that no part can be exchanged. A receiver takes a message when one of the
signatures in its header is right: while a key is exchanged there are two.
"""

import base64
import hmac
import secrets
from dataclasses import field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick.core.record import record

KEY_BYTES = 32
SECRET_PREFIX = "whsec_"  # noqa: S105 - what a secret begins with
PUBLIC_PREFIX = "whpk_"


def new_webhook_key() -> bytes:
    """Return 32 random bytes: the secret of HMAC, or the private key of Ed25519."""
    return secrets.token_bytes(KEY_BYTES)


@record(frozen=True, slots=True)
class WebhookKey:
    """One key of an endpoint."""

    secret: bytes = field(repr=False)
    is_ed25519: bool

    @property
    def verification_key(self) -> str:
        """What the receiver verifies with: the secret itself for HMAC, the public key for Ed25519."""
        if self.is_ed25519:
            public = Ed25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()
            return PUBLIC_PREFIX + base64.b64encode(public).decode()
        return SECRET_PREFIX + base64.b64encode(self.secret).decode()

    def sign(self, message_id: str, timestamp_s: int, body: bytes) -> str:
        """Return the signature as one word of the header."""
        message = f"{message_id}.{timestamp_s}.".encode() + body
        if self.is_ed25519:
            signature = Ed25519PrivateKey.from_private_bytes(self.secret).sign(message)
            return "v1a," + base64.b64encode(signature).decode()
        return "v1," + base64.b64encode(hmac.digest(self.secret, message, "sha256")).decode()
