"""Access tokens and client assertions: what PyJWT leaves open, closed.

PyJWT checks the signature; on its own it takes tokens without exp, iat or jti, doubled keys, any typ,
audience lists and texts of any length. Here every part has one accepted form, and anything else is refused
with a reason:

1. at most 4096 ASCII characters, three canonical base64url segments, a signature of 64 bytes;
2. a header of exactly alg, typ, kid: ES256, the profile's typ, a kid that names a key at hand;
3. the signature, by PyJWT, over that one key and that one algorithm;
4. flat claims: all required, none unknown, none twice, whole numbers as times, a bounded lifetime.

Sources: RFC 7515, 7519, 8725 (best practices), 9068 (access tokens), 7523 (client assertions).
"""

import json
import re
import secrets
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NoReturn

from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from tallystick.core.record import record
from tallystick.security.encoding import base64url_decode
from tallystick.security.errors import SecurityError
from tallystick.security.keys import SIGNATURE_BYTES, SigningKey, VerifyKey

TOKEN_CHARS_MAX = 4096
ACCESS_LIFETIME_MAX_S = 300
ACCESS_SKEW_S = 5
ASSERTION_LIFETIME_MAX_S = 60
ASSERTION_SKEW_S = 30
ROLES_MAX = 8
TIME_MAX_S = 253_402_300_799  # the last second of the year 9999

_ALGORITHM = "ES256"
_HEADER_KEYS = frozenset({"alg", "typ", "kid"})
_BRACKETS_MAX = 4
_NUMBER_CHARS_MAX = 12
_KID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
# A thumbprint names a member's device, and one in 32 begins with a hyphen or an underscore.
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._:-]{0,127}", re.ASCII)
_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}", re.ASCII)
_ORIGIN = re.compile(r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?", re.ASCII)
_JWS = PyJWS(algorithms=[_ALGORITHM])


class TokenReason(StrEnum):
    """Why a token was refused; stable, safe to log and to count."""

    TOO_LONG = "TOO_LONG"
    MALFORMED = "MALFORMED"
    HEADER = "HEADER"
    ALGORITHM = "ALGORITHM"
    TYPE = "TYPE"
    KEY_UNKNOWN = "KEY_UNKNOWN"
    SIGNATURE = "SIGNATURE"
    CLAIM_MISSING = "CLAIM_MISSING"
    CLAIM_UNKNOWN = "CLAIM_UNKNOWN"
    CLAIM_INVALID = "CLAIM_INVALID"
    ISSUER = "ISSUER"
    AUDIENCE = "AUDIENCE"
    SUBJECT = "SUBJECT"
    LIFETIME = "LIFETIME"
    NOT_YET_VALID = "NOT_YET_VALID"
    EXPIRED = "EXPIRED"


class TokenRefused(SecurityError):
    """A token cannot be trusted; `reason` says why. Answer every reason the same way to the caller."""

    def __init__(self, reason: TokenReason) -> None:
        super().__init__(f"token refused: {reason}")
        self.reason = reason


@record(frozen=True, slots=True, kw_only=True)
class TokenProfile:
    """What one kind of token must look like.

    `issuer` is the exact `iss`; empty means that the issuer is the subject itself (a client assertion).
    `lifetime_max_s` bounds exp - iat; `skew_s` is how far the issuer's clock may be off.
    """

    typ: str
    audience: str
    issuer: str
    lifetime_max_s: int
    skew_s: int
    required: frozenset[str]
    optional: frozenset[str] = frozenset()


@record(frozen=True, slots=True, kw_only=True)
class Claims:
    """The claims of a token that passed every check. Times are whole seconds since 1970.

    `usable_until_s` is when the token stops being accepted (expiry and skew): the first second at which it is
    refused, so caches and replay guards keep it until then.
    """

    kid: str
    issuer: str
    subject: str
    audience: str
    token_id: str
    issued_at_s: int
    expires_at_s: int
    usable_until_s: int
    program_id: str = ""
    roles: tuple[str, ...] = ()
    store_id: str = ""
    device_id: str = ""
    origin: str = ""


_REGISTERED = frozenset({"iss", "sub", "aud", "exp", "iat", "jti"})


def access_profile(*, issuer: str, audience: str) -> TokenProfile:
    """Tokens for calling the server (RFC 9068 `at+jwt`): at most 5 minutes, bound to one program.

    `store` and `device` are absent for callers that have none; `origin` (RFC 6454) binds a token to the pages of one
    web origin and is absent for all others.
    """
    return TokenProfile(
        typ="at+jwt",
        audience=audience,
        issuer=issuer,
        lifetime_max_s=ACCESS_LIFETIME_MAX_S,
        skew_s=ACCESS_SKEW_S,
        required=_REGISTERED | {"program", "roles"},
        optional=frozenset({"store", "device", "origin"}),
    )


def assertion_profile(*, issuer: str) -> TokenProfile:
    """Assertions by which a device proves its key (RFC 7523): at most 60 seconds, made for this server alone.

    The audience is the server's issuer name; iss and sub are both the device.
    """
    return TokenProfile(
        typ="client-authentication+jwt",
        audience=issuer,
        issuer="",
        lifetime_max_s=ASSERTION_LIFETIME_MAX_S,
        skew_s=ASSERTION_SKEW_S,
        required=_REGISTERED,
    )


def new_token_id() -> str:
    """A random `jti` of 128 bits."""
    return secrets.token_hex(16)


def sign_access_token(
    key: SigningKey,
    profile: TokenProfile,
    *,
    subject: str,
    program_id: str,
    roles: tuple[str, ...],
    token_id: str,
    now_s: int,
    lifetime_s: int = ACCESS_LIFETIME_MAX_S,
    store_id: str = "",
    device_id: str = "",
    origin: str = "",
) -> str:
    """Sign an access token that is valid from `now_s` for `lifetime_s` (at most the profile's maximum)."""
    assert 0 < lifetime_s <= profile.lifetime_max_s, "lifetime_s beyond the profile"
    claims: dict[str, object] = {
        "iss": profile.issuer,
        "sub": subject,
        "aud": profile.audience,
        "iat": now_s,
        "exp": now_s + lifetime_s,
        "jti": token_id,
        "program": program_id,
        "roles": list(roles),
    }
    if store_id:
        claims["store"] = store_id
    if device_id:
        claims["device"] = device_id
    if origin:
        assert _ORIGIN.fullmatch(origin), "an origin as browsers write it"
        claims["origin"] = origin
    return _sign(key, profile, claims)


def sign_client_assertion(
    key: SigningKey,
    profile: TokenProfile,
    *,
    device_id: str,
    token_id: str,
    now_s: int,
    lifetime_s: int = ASSERTION_LIFETIME_MAX_S,
) -> str:
    """Sign a device's assertion that is valid from `now_s` for `lifetime_s` (within the profile)."""
    assert 0 < lifetime_s <= profile.lifetime_max_s, "lifetime_s beyond the profile"
    return _sign(
        key,
        profile,
        {
            "iss": device_id,
            "sub": device_id,
            "aud": profile.audience,
            "iat": now_s,
            "exp": now_s + lifetime_s,
            "jti": token_id,
        },
    )


def unverified_kid(token: str, profile: TokenProfile) -> str:
    """The key name in a token's header, so that the key can be fetched. Nothing is verified by this.

    Raises TokenRefused for every fault that `verify` would find in the header.
    """
    return _header_kid(_segments(token)[0], profile)


def verify(token: str, profile: TokenProfile, keys: Mapping[str, VerifyKey], now_s: int) -> Claims:
    """Check a token completely and return its claims, or raise TokenRefused.

    `keys` maps a key name (the header's kid) to the one key that it stands for. A key with an owner may only
    sign for that subject. The caller still looks up revocation, and for assertions the replay of `token_id`.
    """
    header_text, _, signature_text = _segments(token)
    kid = _header_kid(header_text, profile)
    key = keys.get(kid)
    if key is None:
        raise TokenRefused(TokenReason.KEY_UNKNOWN)
    if len(_decoded(signature_text)) != SIGNATURE_BYTES:
        raise TokenRefused(TokenReason.SIGNATURE)
    try:
        payload = _JWS.decode(token, key.public_key, algorithms=[_ALGORITHM])
    except PyJWTError:
        raise TokenRefused(TokenReason.SIGNATURE) from None
    claims = _read_claims(_flat_json(payload), profile, kid)
    if claims.subject != (key.owner_id or claims.subject):
        raise TokenRefused(TokenReason.SUBJECT)
    _check_times(claims, profile, now_s)
    return claims


def _sign(key: SigningKey, profile: TokenProfile, claims: dict[str, object]) -> str:
    payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    header = {"typ": profile.typ, "kid": key.kid}
    token = _JWS.encode(payload, key.private_key, algorithm=_ALGORITHM, headers=header)
    assert len(token) <= TOKEN_CHARS_MAX, "a signed token exceeds the limit of its own verifier"
    return token


def _segments(token: str) -> tuple[str, str, str]:
    # The length first: nothing below may run over a text of a megabyte.
    if len(token) > TOKEN_CHARS_MAX:
        raise TokenRefused(TokenReason.TOO_LONG)
    parts = token.split(".")
    if len(parts) != 3 or not all(parts):
        raise TokenRefused(TokenReason.MALFORMED)
    return parts[0], parts[1], parts[2]


def _decoded(segment: str) -> bytes:
    try:
        return base64url_decode(segment)
    except ValueError:
        raise TokenRefused(TokenReason.MALFORMED) from None


def _header_kid(segment: str, profile: TokenProfile) -> str:
    header = _flat_json(_decoded(segment))
    if set(header) != _HEADER_KEYS:
        raise TokenRefused(TokenReason.HEADER)
    if header["alg"] != _ALGORITHM:
        raise TokenRefused(TokenReason.ALGORITHM)
    if header["typ"] != profile.typ:
        raise TokenRefused(TokenReason.TYPE)
    kid = header["kid"]
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise TokenRefused(TokenReason.KEY_UNKNOWN)
    return kid


def _flat_json(data: bytes) -> dict[str, Any]:
    # Decoded as UTF-8 here, because json.loads would guess UTF-16 and UTF-32 from bytes.
    try:
        text = data.decode("utf-8")
        _require_flat(text)
        value = json.loads(
            text,
            object_pairs_hook=_no_doubles,
            parse_int=_short_int,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except ValueError:
        raise TokenRefused(TokenReason.MALFORMED) from None
    if not isinstance(value, dict):
        raise TokenRefused(TokenReason.MALFORMED)
    return value


def _require_flat(text: str) -> None:
    # Counted before parsing, so that the parser never recurses over what a stranger sent.
    if text.count("{") + text.count("[") > _BRACKETS_MAX:
        raise ValueError("nested")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key appears twice")
    return value


def _short_int(digits: str) -> int:
    if len(digits) > _NUMBER_CHARS_MAX:
        raise ValueError("number too long")
    return int(digits)


def _no_number(_text: str) -> NoReturn:
    raise ValueError("only whole numbers are accepted")


def _read_claims(claims: dict[str, Any], profile: TokenProfile, kid: str) -> Claims:
    names = set(claims)
    if not names >= profile.required:
        raise TokenRefused(TokenReason.CLAIM_MISSING)
    if not names <= profile.required | profile.optional:
        raise TokenRefused(TokenReason.CLAIM_UNKNOWN)
    subject = _id(claims["sub"])
    # Both compared as they are: a list that holds the right audience is not the right audience.
    if claims["iss"] != (profile.issuer or subject):
        raise TokenRefused(TokenReason.ISSUER)
    if claims["aud"] != profile.audience:
        raise TokenRefused(TokenReason.AUDIENCE)
    expires_at_s = _time_s(claims["exp"])
    return Claims(
        kid=kid,
        issuer=claims["iss"],
        subject=subject,
        audience=claims["aud"],
        token_id=_id(claims["jti"]),
        issued_at_s=_time_s(claims["iat"]),
        expires_at_s=expires_at_s,
        usable_until_s=expires_at_s + profile.skew_s,
        program_id=_optional_id(claims, "program"),
        roles=_roles(claims["roles"]) if "roles" in claims else (),
        store_id=_optional_id(claims, "store"),
        device_id=_optional_id(claims, "device"),
        origin=_origin(claims["origin"]) if "origin" in claims else "",
    )


def _id(value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise TokenRefused(TokenReason.CLAIM_INVALID)
    return value


def _optional_id(claims: dict[str, Any], name: str) -> str:
    return _id(claims[name]) if name in claims else ""


def _origin(value: object) -> str:
    if not isinstance(value, str) or not _ORIGIN.fullmatch(value):
        raise TokenRefused(TokenReason.CLAIM_INVALID)
    return value


def _time_s(value: object) -> int:
    # `type`, not `isinstance`: true is an int in Python and not a time.
    if type(value) is not int or not 0 <= value <= TIME_MAX_S:
        raise TokenRefused(TokenReason.CLAIM_INVALID)
    return value


def _roles(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= ROLES_MAX:
        raise TokenRefused(TokenReason.CLAIM_INVALID)
    if not all(isinstance(role, str) and _ROLE.fullmatch(role) for role in value):
        raise TokenRefused(TokenReason.CLAIM_INVALID)
    if len(set(value)) != len(value):
        raise TokenRefused(TokenReason.CLAIM_INVALID)
    return tuple(value)


def _check_times(claims: Claims, profile: TokenProfile, now_s: int) -> None:
    if not 0 < claims.expires_at_s - claims.issued_at_s <= profile.lifetime_max_s:
        raise TokenRefused(TokenReason.LIFETIME)
    if claims.issued_at_s > now_s + profile.skew_s:
        raise TokenRefused(TokenReason.NOT_YET_VALID)
    if now_s >= claims.usable_until_s:
        raise TokenRefused(TokenReason.EXPIRED)
