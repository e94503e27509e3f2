"""A passkey provider in software: makes credentials and signs as browsers and authenticators do (WebAuthn Level 3).

It obeys whatever the test asks of it, so that it can also answer wrongly.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.security.encoding import base64url_decode, base64url_encode

USER_PRESENT, USER_VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass(slots=True)
class Authenticator:
    """One credential and its key. ``count`` is what it says next; a synced passkey counts nothing (``counts``)."""

    origin: str
    rp_id: str
    counts: bool = True
    count: int = 0
    flags: int = USER_PRESENT | USER_VERIFIED
    algorithm: int = -7
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    user_handle: bytes = b""
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options_json: str, **changes: Any) -> str:
        """Answer creation options with RegistrationResponseJSON; ``changes`` replace parts of the client data."""
        options = json.loads(options_json)
        self.user_handle = base64url_decode(options["user"]["id"])
        client_data = self._client_data("webauthn.create", options["challenge"], changes)
        numbers = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        cose = cbor2.dumps({1: 2, 3: self.algorithm, -1: 1, -2: x, -3: y})
        credential = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cose
        statement = {"fmt": "none", "attStmt": {}, "authData": self._data(ATTESTED) + credential}
        response = {
            "clientDataJSON": base64url_encode(client_data),
            "attestationObject": base64url_encode(cbor2.dumps(statement)),
            "transports": ["internal"],
        }
        return self._credential(response)

    def get(self, options_json: str, *, with_handle: bool = True, **changes: Any) -> str:
        """Answer request options with AuthenticationResponseJSON."""
        options = json.loads(options_json)
        client_data = self._client_data("webauthn.get", options["challenge"], changes)
        data = self._data(0)
        signed = data + hashlib.sha256(client_data).digest()
        response = {
            "clientDataJSON": base64url_encode(client_data),
            "authenticatorData": base64url_encode(data),
            "signature": base64url_encode(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
        }
        if with_handle:
            response["userHandle"] = base64url_encode(self.user_handle)
        return self._credential(response)

    def _client_data(self, kind: str, challenge: str, changes: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False, **changes}
        return json.dumps(said).encode()

    def _data(self, more_flags: int) -> bytes:
        self.count += self.counts
        count = self.count.to_bytes(4, "big")
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([self.flags | more_flags]) + count

    def _credential(self, response: dict[str, Any]) -> str:
        name = base64url_encode(self.credential_id)
        return json.dumps(
            {
                "id": name,
                "rawId": name,
                "type": "public-key",
                "authenticatorAttachment": "platform",
                "clientExtensionResults": {},
                "response": response,
            }
        )
