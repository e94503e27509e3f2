"""P-256 keys for ES256: making, reading, writing and naming them.

One curve and one algorithm everywhere (RFC 7518 section 3.4). A key is named by its RFC 7638 thumbprint, so
the name cannot be pointed at another key.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from tallystick.core.record import record
from tallystick.security.encoding import base64url_decode, base64url_encode
from tallystick.security.errors import KeyRefused

PEM_BYTES_MAX = 4096
SIGNATURE_BYTES = 64
THUMBPRINT_CHARS = 43
FINGERPRINT_GROUPS = 5
FINGERPRINT_GROUP_DIGITS = 5

POINTS_KEPT = 2_000
"""How many public keys stay read, the latest used."""

_COORDINATE_BYTES = 32
_COORDINATE_CHARS = 43
_JWK_REQUIRED = frozenset({"kty", "crv", "x", "y"})
_JWK_OPTIONAL = {"alg": "ES256", "use": "sig"}
_ECDSA = ec.ECDSA(hashes.SHA256())


@record(frozen=True, slots=True)
class VerifyKey:
    """A public P-256 key, its name, and whom it speaks for.

    `kid` is the RFC 7638 thumbprint (43 characters). `owner_id`, when set, is the only subject that a client
    assertion signed by this key may name.
    """

    kid: str
    public_key: ec.EllipticCurvePublicKey
    owner_id: str = ""

    def __post_init__(self) -> None:
        _require_p256(self.public_key.curve)

    def verify_raw(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` (r || s, 64 bytes, RFC 7518 section 3.4) over `message` is this key's."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        r = int.from_bytes(signature[:_COORDINATE_BYTES], "big")
        s = int.from_bytes(signature[_COORDINATE_BYTES:], "big")
        try:
            self.public_key.verify(encode_dss_signature(r, s), message, _ECDSA)
        except InvalidSignature:
            return False
        return True


@record(frozen=True, slots=True)
class SigningKey:
    """A private P-256 key and its name (the thumbprint of its public half)."""

    kid: str
    private_key: ec.EllipticCurvePrivateKey

    def __post_init__(self) -> None:
        _require_p256(self.private_key.curve)

    @property
    def verify_key(self) -> VerifyKey:
        """The public half, with no owner."""
        return VerifyKey(self.kid, self.private_key.public_key())

    def sign_raw(self, message: bytes) -> bytes:
        """Sign `message` with ES256; r || s, 64 bytes."""
        r, s = decode_dss_signature(self.private_key.sign(message, _ECDSA))
        return r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")


def generate_signing_key() -> SigningKey:
    """Make a new private key from the operating system's randomness."""
    return _signing_key(ec.generate_private_key(ec.SECP256R1()))


def thumbprint(public_key: ec.EllipticCurvePublicKey) -> str:
    """RFC 7638 SHA-256 thumbprint of a P-256 key: 43 characters of base64url."""
    canonical = json.dumps(public_jwk(public_key), separators=(",", ":"), sort_keys=True)
    return base64url_encode(hashlib.sha256(canonical.encode("ascii")).digest())


def fingerprint(kid: str) -> str:
    """The name of a key for human eyes: 5 groups of 5 digits (83 bits), read aloud to confirm a device.

    Digits, because they are the same in every language and font. `kid` is a thumbprint; KeyRefused if not.
    """
    if len(kid) != THUMBPRINT_CHARS:
        raise KeyRefused("a key name has 43 characters of base64url")
    try:
        digest = base64url_decode(kid)
    except ValueError as error:
        raise KeyRefused("a key name has 43 characters of base64url") from error
    digits_count = FINGERPRINT_GROUPS * FINGERPRINT_GROUP_DIGITS
    digits = str(int.from_bytes(digest, "big") % 10**digits_count).zfill(digits_count)
    return " ".join(
        digits[start : start + FINGERPRINT_GROUP_DIGITS]
        for start in range(0, digits_count, FINGERPRINT_GROUP_DIGITS)
    )


def public_jwk(public_key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """The public JWK (RFC 7517) with exactly kty, crv, x and y."""
    _require_p256(public_key.curve)
    numbers = public_key.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url_encode(numbers.x.to_bytes(_COORDINATE_BYTES, "big")),
        "y": base64url_encode(numbers.y.to_bytes(_COORDINATE_BYTES, "big")),
    }


def verify_key_from_jwk(jwk: Mapping[str, object], *, owner_id: str = "") -> VerifyKey:
    """Read a public JWK; KeyRefused unless it is exactly a P-256 public key whose point is on the curve.

    Beside kty, crv, x and y it may carry alg=ES256, use=sig and a kid equal to the thumbprint. A private
    part (`d`) is refused: a device that sends it has given its key away.
    """
    names = set(jwk)
    if "d" in names:
        raise KeyRefused("the JWK carries a private key: make a new key and send its public half only")
    if not names >= _JWK_REQUIRED or not names <= _JWK_REQUIRED | set(_JWK_OPTIONAL) | {"kid"}:
        raise KeyRefused("a public JWK has kty, crv, x, y and optionally alg, use, kid")
    if jwk["kty"] != "EC" or jwk["crv"] != "P-256":
        raise KeyRefused("the JWK is not of kty EC and crv P-256")
    if any(name in names and jwk[name] != value for name, value in _JWK_OPTIONAL.items()):
        raise KeyRefused("the JWK is not for alg ES256 and use sig")
    public_key, kid = _named_point(_coordinate(jwk["x"]), _coordinate(jwk["y"]))
    if jwk.get("kid", kid) != kid:
        raise KeyRefused("the kid of the JWK is not its RFC 7638 thumbprint")
    return VerifyKey(kid, public_key, owner_id)


@lru_cache(maxsize=POINTS_KEPT)
def _named_point(x: int, y: int) -> tuple[ec.EllipticCurvePublicKey, str]:
    """Read a point and name it once, not at each upload and sign-in of the device whose key it is."""
    try:
        public_key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError as error:
        raise KeyRefused("the point of the JWK is not on P-256") from error
    return public_key, thumbprint(public_key)


def verify_key_from_pem(pem: bytes, *, owner_id: str = "") -> VerifyKey:
    """Read a PEM SubjectPublicKeyInfo; KeyRefused unless it holds a P-256 key."""
    _require_pem_length(pem)
    try:
        public_key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyRefused("the PEM text holds no readable public key") from error
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise KeyRefused("the key is not an elliptic curve key")
    _require_p256(public_key.curve)
    return VerifyKey(thumbprint(public_key), public_key, owner_id)


def verify_key_to_pem(key: VerifyKey) -> bytes:
    """PEM SubjectPublicKeyInfo of a public key."""
    return key.public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def signing_key_from_pem(pem: bytes) -> SigningKey:
    """Read an unencrypted PEM private key; KeyRefused unless it holds a P-256 key."""
    _require_pem_length(pem)
    try:
        private_key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyRefused("the PEM text holds no readable, unencrypted private key") from error
    if not isinstance(private_key, ec.EllipticCurvePrivateKey):
        raise KeyRefused("the key is not an elliptic curve key")
    _require_p256(private_key.curve)
    return _signing_key(private_key)


def signing_key_to_pem(key: SigningKey) -> bytes:
    """Unencrypted PKCS #8 PEM of a private key; keep it in a file that only its owner can read."""
    return key.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _signing_key(private_key: ec.EllipticCurvePrivateKey) -> SigningKey:
    return SigningKey(thumbprint(private_key.public_key()), private_key)


def _require_p256(curve: ec.EllipticCurve) -> None:
    if not isinstance(curve, ec.SECP256R1):
        raise KeyRefused("the key is not on P-256")


def _require_pem_length(pem: bytes) -> None:
    if len(pem) > PEM_BYTES_MAX:
        raise KeyRefused(f"a PEM text has at most {PEM_BYTES_MAX} bytes")


def _coordinate(value: object) -> int:
    # RFC 7518 section 6.2.1.2: always the full 32 bytes, leading zeros kept.
    if not isinstance(value, str) or len(value) != _COORDINATE_CHARS:
        raise KeyRefused("a coordinate of the JWK is not 32 bytes of base64url")
    try:
        return int.from_bytes(base64url_decode(value), "big")
    except ValueError as error:
        raise KeyRefused("a coordinate of the JWK is not 32 bytes of base64url") from error
