"""Texts that a till takes in and must not be able to read again: sealed to a public key of the gateway.

HPKE in base mode (RFC 9180) with DHKEM(P-256), HKDF-SHA256 and AES-128-GCM: 81 bytes more than the text. Whoever has
the public key can seal; that a till did so says the signature of the advice around it.
"""

import hashlib
import hmac
import json
from dataclasses import field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tallystick.core.record import record
from tallystick.security.encoding import length_prefixed
from tallystick.security.errors import SealBroken
from tallystick.security.keys import VerifyKey, public_jwk, thumbprint

TEXT_CHARS_MAX = 256
SEALED_BYTES_MAX = 2_048
"""More than the longest text in UTF-8 with all that HPKE adds."""

_SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
_ENROLMENT = b"tallystick enrolment text v1"
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@record(frozen=True, slots=True)
class BoxKey:
    """The gateway's private key for sealed texts; ``kid`` is the RFC 7638 thumbprint of its public half."""

    kid: str
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def jwk(self) -> str:
        """The public half as the text of a JSON Web Key with its kid, as tills get it."""
        public = {**public_jwk(self.private_key.public_key()), "kid": self.kid}
        return json.dumps(public, sort_keys=True, separators=(",", ":"))


def derive_box_key(secret: bytes) -> BoxKey:
    """Return the key that follows from a secret of 32 random bytes, always the same one."""
    # 64 bytes before the reduction: what it favours is then out of reach (FIPS 186-5, A.2.1).
    wide = hmac.digest(secret, b"1", hashlib.sha512)
    private_key = ec.derive_private_key(int.from_bytes(wide, "big") % (_P256_ORDER - 1) + 1, ec.SECP256R1())
    return BoxKey(thumbprint(private_key.public_key()), private_key)


def enrolment_context(*, program_id: str, member_id: str) -> bytes:
    """Return what the text of an enrolment is bound to: sealed for one member, it opens for no other."""
    return length_prefixed((_ENROLMENT, program_id.encode(), member_id.encode()))


def seal_for_gateway(public: VerifyKey, text: str, context: bytes) -> bytes:
    """Seal a text of at most 256 characters. ``SealBroken`` for a longer one."""
    if len(text) > TEXT_CHARS_MAX:
        raise SealBroken(f"a text of more than {TEXT_CHARS_MAX} characters is not sealed")
    return bytes(_SUITE.encrypt(text.encode(), public.public_key, info=context))


def open_sealed_text(key: BoxKey, sealed: bytes, context: bytes) -> str:
    """Open what ``seal_for_gateway`` made. ``SealBroken`` when a byte, the key or the context differs."""
    if len(sealed) > SEALED_BYTES_MAX:
        raise SealBroken("the sealed text is too long")
    try:
        return bytes(_SUITE.decrypt(sealed, key.private_key, info=context)).decode()
    except (InvalidTag, ValueError):
        raise SealBroken("the sealed text does not open") from None
