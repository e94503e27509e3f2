"""The member's code: what a phone shows and a till believes with public keys alone, without asking anybody.

Two layers of COSE_Sign1 (RFC 9052), ES256, both CWT (RFC 8392):

    credential   by the server, at most 14 days   protected {1: -7, 4: kid}    payload {2: pseudonym, 4: exp,
                                                   8: {1: device COSE_Key}, and -65537: burn_from for a new device}
    code         by the device, every 30 seconds   protected {1: -7, 13: credential}   payload {6: iat, 7: cti}

A wallet pass cannot sign; it shows a code of the server's alone: protected {1: -7, 4: kid}, payload {2: pseudonym,
4: exp}. Where the wallet adds a password that rotates (RFC 6238), the code has a context of its own, and behind its 242
digits stand the time (10) and the password (8): it does not count without them.

Header 13 is ``kcwt`` (RFC 9528): a CWT with the key that verifies. The external data of each signature is a context, a
zero byte and the program, so that no layer serves as another, nor in another program. The kid is the first 8 bytes of
the RFC 7638 thumbprint; the device's key is a point with its y as a sign (RFC 9053 section 7.1.1).

On the screen the bytes are the decimal digits of ``0x02 || bytes``: vouchers and receipts begin with 0x01. A code that
a device signed has 589 digits at most and fits QR version 11-M, one of the server alone 242 and version 6-M.

Exactly one encoding is taken (RFC 8949 section 4.2.1). ECDSA signatures can be changed and still hold, so whoever
remembers used codes remembers ``Code.use``, never the signature or the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, NoReturn

import cbor2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.core.record import record
from tallystick.security.encoding import base64url_decode
from tallystick.security.keys import SIGNATURE_BYTES, SigningKey, VerifyKey, thumbprint
from tallystick.security.totp import DIGITS, PERIOD_S

PSEUDONYM_BYTES = 8
KID_BYTES = 8
CTI_BYTES = 4
CREDENTIAL_TTL_MAX_S = 14 * 86_400
AGE_MAX_MS = 45_000
"""How old a code may be: it is drawn anew every 30 seconds, and clocks may differ by 15."""
AHEAD_MAX_MS = 15_000
"""How far in the future a code may be dated. Both together are a minute: a picture of a code that counts is worth
nothing 60 seconds later, however far ahead the phone's clock is.
"""

CODE_BYTES_MAX = 244
CODE_DIGITS_MIN = 200
CODE_DIGITS_MAX = 604
"""What QR version 11-M holds; nothing longer is turned into a number."""

SERVER_CODE_DIGITS = 242
"""A server's code has no parts of variable length, so the digits behind it can be told from it."""

STAMP_DIGITS = 10
PASSWORD_DIGITS = DIGITS
STEPS_OFF_MAX = 1
"""How many periods of the password a phone may be behind or ahead."""

PSEUDONYM_KIND = "pseudonym"
REVOKED_KIND = "revoked_device"
"""Two kinds of identifiers that no scan gives: a member's pseudonym, and a device of the member that counts no more.

Both reach tills as tags among the member's, so that a till refuses what was revoked without keeping a list of keys.
"""

CREDENTIAL = b"tallystick.credential.v1"
SERVER_CODE = b"tallystick.server-code.v1"
ROTATING_CODE = b"tallystick.rotating-code.v1"
DEVICE_CODE = b"tallystick.device-code.v1"

_TYPE = 2
_DEPTH_MAX = 6
_ES256 = -7
_ALG, _KID, _KCWT = 1, 4, 13
_SUB, _EXP, _IAT, _CTI, _CNF, _BURN_FROM = 2, 4, 6, 7, 8, -65537
_COORDINATE_BYTES = 32
_TIME_S_MIN, _TIME_S_MAX = 2**24, 2**32 - 1
"""Instants take five bytes, which they have done since 1970 and do until 2106."""

_NOISE = r"[\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u2066-\u2069\ufeff]*"
_SCAN = re.compile(
    rf"{_NOISE}(?:\][A-Za-z][0-9A-Za-z])?([0-9]{{{CODE_DIGITS_MIN},{CODE_DIGITS_MAX}}}){_NOISE}"
)

# What a decoder would make dates, patterns or fractions of; no code holds any.
_TAGS = (*range(6), 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799)


class CodeReason(StrEnum):
    """Why a code is not believed; stable."""

    FORMAT = "FORMAT"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    EXPIRED = "EXPIRED"
    CLOCK = "CLOCK"


@record(frozen=True, slots=True)
class Code:
    """A code whose signatures hold. ``device`` is None for one that the server alone signed.

    ``expires_s`` ends the credential, or the server's code. Until ``burn_from_s`` the device may look and not burn
    (0: from the beginning). ``issued_s`` and ``cti`` are the device's. A ``rotating`` one counts with a password only.
    """

    pseudonym: bytes
    expires_s: int
    device: VerifyKey | None = None
    burn_from_s: int = 0
    issued_s: int = 0
    cti: bytes = b""
    rotating: bool = False

    @property
    def use(self) -> str:
        """What may be seen once from the device: instant and number."""
        return f"{self.issued_s}:{self.cti.hex()}"

    @property
    def usable_until_ms(self) -> int:
        """From when on its age alone has it refused."""
        return self.issued_s * 1000 + AGE_MAX_MS + 1

    def level(self, now_ms: int) -> int:
        """How sure the code makes one (0 to 4): a new device looks, so its code counts like a typed number."""
        if self.device is None:
            return 2
        return 4 if now_ms >= self.burn_from_s * 1000 else 0

    def out_of_time(self, now_ms: int) -> CodeReason | None:
        """Return why the code does not count at an instant, None when it does."""
        if now_ms >= self.expires_s * 1000:
            return CodeReason.EXPIRED
        if self.device is None:
            return None
        ahead_ms = self.issued_s * 1000 - now_ms
        if ahead_ms > AHEAD_MAX_MS:
            return CodeReason.CLOCK
        return CodeReason.EXPIRED if ahead_ms < -AGE_MAX_MS else None


class Stamp(NamedTuple):
    """What a wallet adds to a rotating code: seconds since 1970, and the password of their period."""

    at_s: int
    password: str

    @property
    def step(self) -> int:
        """The number of the period."""
        return self.at_s // PERIOD_S

    @property
    def usable_until_ms(self) -> int:
        """From when on its age alone has it refused."""
        return (self.step + STEPS_OFF_MAX + 1) * PERIOD_S * 1000

    def out_of_time(self, now_ms: int) -> CodeReason | None:
        """Return why the password does not count at an instant, None when it does."""
        ahead = self.step - now_ms // 1000 // PERIOD_S
        if ahead > STEPS_OFF_MAX:
            return CodeReason.CLOCK
        return CodeReason.EXPIRED if ahead < -STEPS_OFF_MAX else None


class Scanned(NamedTuple):
    """The bytes of a code that was scanned, and what a wallet has added to them."""

    raw: bytes
    stamp: Stamp | None = None

    @property
    def digits(self) -> str:
        """The text that was scanned, without what scanners add."""
        added = f"{self.stamp.at_s:0{STAMP_DIGITS}d}{self.stamp.password}" if self.stamp else ""
        return code_to_digits(self.raw) + added


class _Malformed(Exception):
    """The bytes are no code."""


def issue_credential(
    key: SigningKey, *, program_id: str, pseudonym: bytes, device: VerifyKey, expires_s: int, burn_from_s: int
) -> bytes:
    """Return what lets a device speak for a member until ``expires_s``; ``burn_from_s`` is 0 when it may burn now."""
    payload: dict[int, object] = {_SUB: pseudonym, _EXP: expires_s, _CNF: {1: _cose_key(device)}}
    if burn_from_s:
        payload[_BURN_FROM] = burn_from_s
    return _dumps(_signed(key, {_ALG: _ES256, _KID: _kid(key.kid)}, payload, CREDENTIAL, program_id))


def issue_server_code(
    key: SigningKey, *, program_id: str, pseudonym: bytes, expires_s: int, rotating: bool = False
) -> bytes:
    """Return a code for a pass, which cannot sign; a ``rotating`` one for a wallet that adds a password to it."""
    payload: dict[int, object] = {_SUB: pseudonym, _EXP: expires_s}
    context = ROTATING_CODE if rotating else SERVER_CODE
    return _dumps(_signed(key, {_ALG: _ES256, _KID: _kid(key.kid)}, payload, context, program_id))


def sign_code(device: SigningKey, credential: bytes, *, program_id: str, issued_s: int, cti: bytes) -> bytes:
    """Return the code of an instant, as a device makes it of its credential. ``cti`` is 4 random bytes."""
    header = {_ALG: _ES256, _KCWT: cbor2.loads(credential)}
    return _dumps(_signed(device, header, {_IAT: issued_s, _CTI: cti}, DEVICE_CODE, program_id))


def code_to_digits(raw: bytes) -> str:
    """Return what the QR of a code shows."""
    return str(int.from_bytes(bytes([_TYPE]) + raw, "big"))


def code_from_digits(text: str) -> bytes | None:
    """Return the bytes of a code; None when the text is not the digits of one."""
    if not CODE_DIGITS_MIN <= len(text) <= CODE_DIGITS_MAX or not (text.isascii() and text.isdigit()):
        return None
    if text[0] == "0":
        return None
    number = int(text)
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return raw[1:] if raw[0] == _TYPE else None


def scanned_code(scan: str) -> Scanned | None:
    """Return the code in a scan, None for any other scan: scanners put signs around what they read."""
    found = _SCAN.fullmatch(scan)
    if found is None:
        return None
    digits, stamp = found[1], None
    if len(digits) == SERVER_CODE_DIGITS + STAMP_DIGITS + PASSWORD_DIGITS:
        added, digits = digits[SERVER_CODE_DIGITS:], digits[:SERVER_CODE_DIGITS]
        stamp = Stamp(int(added[:STAMP_DIGITS]), added[STAMP_DIGITS:])
    raw = code_from_digits(digits)
    return None if raw is None else Scanned(raw, stamp)


def open_code(raw: bytes, *, program_id: str, server_keys: Mapping[str, VerifyKey]) -> Code | CodeReason:
    """Read a code and check its signatures, not its time. ``server_keys`` are those that count, by thumbprint.

    FORMAT for bytes that are no code, however nearly; BAD_SIGNATURE for any signature that does not hold, also of a
    server's key that is not among those.
    """
    if len(raw) > CODE_BYTES_MAX:
        return CodeReason.FORMAT
    try:
        outer = _Signed1(_loads(raw))
        if _KCWT not in outer.header:
            return _server_code(outer, program_id, server_keys)
        return _device_code(outer, program_id, server_keys)
    except _Malformed:
        return CodeReason.FORMAT


def _server_code(sign1: _Signed1, program_id: str, server_keys: Mapping[str, VerifyKey]) -> Code | CodeReason:
    # Exactly these claims: a credential is public wherever its code is shown, and must not do as a code itself.
    _require_map(sign1.payload, _SUB, _EXP)
    rotating = False
    if not sign1.by_server(server_keys, SERVER_CODE, program_id):
        rotating = sign1.by_server(server_keys, ROTATING_CODE, program_id)
        if not rotating:
            return CodeReason.BAD_SIGNATURE
    pseudonym = _octets(sign1.payload[_SUB], PSEUDONYM_BYTES)
    return Code(pseudonym, _instant(sign1.payload[_EXP]), rotating=rotating)


def _device_code(outer: _Signed1, program_id: str, server_keys: Mapping[str, VerifyKey]) -> Code | CodeReason:
    _require_map(outer.header, _ALG, _KCWT)
    _require_map(outer.payload, _IAT, _CTI)
    inner = _Signed1(outer.header[_KCWT])
    claims = (_SUB, _EXP, _CNF, _BURN_FROM) if _BURN_FROM in inner.payload else (_SUB, _EXP, _CNF)
    _require_map(inner.payload, *claims)
    if not inner.by_server(server_keys, CREDENTIAL, program_id):
        return CodeReason.BAD_SIGNATURE
    device = _device_key(_require_map(inner.payload[_CNF], 1)[1])
    code = Code(
        _octets(inner.payload[_SUB], PSEUDONYM_BYTES),
        _instant(inner.payload[_EXP]),
        device,
        _instant(inner.payload[_BURN_FROM]) if _BURN_FROM in inner.payload else 0,
        _instant(outer.payload[_IAT]),
        _octets(outer.payload[_CTI], CTI_BYTES),
    )
    return code if outer.by(device, DEVICE_CODE, program_id) else CodeReason.BAD_SIGNATURE


class _Signed1:
    """A COSE_Sign1 taken apart. Raises ``_Malformed``."""

    __slots__ = ("_payload", "_protected", "_signature", "header", "payload")

    def __init__(self, value: object) -> None:
        if type(value) is not list or len(value) != 4:
            raise _Malformed
        protected, unprotected, payload, signature = value
        _require_map(unprotected)
        if type(protected) is not bytes or type(payload) is not bytes:
            raise _Malformed
        self._protected, self._payload = protected, payload
        self._signature = _octets(signature, SIGNATURE_BYTES)
        self.header, self.payload = _map(_loads(protected)), _map(_loads(payload))
        if type(self.header.get(_ALG)) is not int or self.header[_ALG] != _ES256:
            raise _Malformed

    def by(self, key: VerifyKey, context: bytes, program_id: str) -> bool:
        """Return whether a key made the signature."""
        message = _to_be_signed(self._protected, self._payload, context, program_id)
        return key.verify_raw(self._signature, message)

    def by_server(self, keys: Mapping[str, VerifyKey], context: bytes, program_id: str) -> bool:
        """Return whether the server's key that the header names made the signature."""
        kid = _octets(_require_map(self.header, _ALG, _KID)[_KID], KID_BYTES)
        return any(self.by(key, context, program_id) for name, key in keys.items() if _kid(name) == kid)


def _signed(
    key: SigningKey, header: dict[int, Any], payload: dict[int, Any], context: bytes, program_id: str
) -> list[object]:
    protected, body = _dumps(header), _dumps(payload)
    return [protected, {}, body, key.sign_raw(_to_be_signed(protected, body, context, program_id))]


def _to_be_signed(protected: bytes, payload: bytes, context: bytes, program_id: str) -> bytes:
    external = context + b"\x00" + program_id.encode()
    return _dumps(["Signature1", protected, external, payload])


def _kid(name: str) -> bytes:
    return base64url_decode(name)[:KID_BYTES]


def _cose_key(key: VerifyKey) -> dict[int, object]:
    point = key.public_key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    return {1: 2, -1: 1, -2: point[1:], -3: point[0] == 3}


def _device_key(value: object) -> VerifyKey:
    parts = _require_map(value, 1, -1, -2, -3)
    kty, curve, odd = parts[1], parts[-1], parts[-3]
    if type(kty) is not int or type(curve) is not int or (kty, curve) != (2, 1) or type(odd) is not bool:
        raise _Malformed
    point = bytes([3 if odd else 2]) + _octets(parts[-2], _COORDINATE_BYTES)
    try:
        public_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise _Malformed from None
    return VerifyKey(thumbprint(public_key), public_key)


def _dumps(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)


def _no_tag(*_: object) -> NoReturn:
    raise _Malformed


_NO_TAGS = dict.fromkeys(_TAGS, _no_tag)


def _loads(raw: bytes) -> object:
    try:
        value = cbor2.loads(
            raw,
            tag_hook=_no_tag,
            semantic_decoders=_NO_TAGS,
            max_depth=_DEPTH_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
        canonical = _dumps(value)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError):
        raise _Malformed from None
    # What can be read and is spelled otherwise, or is followed by something, is a second form of the same code.
    if canonical != raw:
        raise _Malformed
    return value


def _map(value: object) -> dict[int, Any]:
    # True is 1 to a dictionary; only numbers are keys here.
    if type(value) is not dict or not all(type(key) is int for key in value):
        raise _Malformed
    return value


def _require_map(value: object, *keys: int) -> dict[int, Any]:
    found = _map(value)
    if set(found) != set(keys):
        raise _Malformed
    return found


def _octets(value: object, size: int) -> bytes:
    if type(value) is not bytes or len(value) != size:
        raise _Malformed
    return value


def _instant(value: object) -> int:
    if type(value) is not int or not _TIME_S_MIN <= value <= _TIME_S_MAX:
        raise _Malformed
    return value
