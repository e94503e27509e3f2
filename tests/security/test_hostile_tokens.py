"""Tokens as an attacker would send them. Each is refused, for the reason that it was made for."""

import base64
import hmac
import json
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tallystick.security import keys, tokens
from tallystick.security.tokens import TokenReason, TokenRefused

NOW_S = 1_800_000_000
KEY = keys.generate_signing_key()
OTHER_KEY = keys.generate_signing_key()
KEYS = {KEY.kid: KEY.verify_key}
PROFILE = tokens.access_profile(issuer="https://points.example", audience="tallystick")
ASSERTION = tokens.assertion_profile(issuer="https://points.example")

HEADER: dict[str, Any] = {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}
CLAIMS: dict[str, Any] = {
    "iss": "https://points.example",
    "aud": "tallystick",
    "sub": "till-1",
    "iat": NOW_S - 10,
    "exp": NOW_S + 200,
    "jti": "0123456789abcdef",
    "program": "aurora",
    "roles": ["TILL"],
    "store": "store-1",
    "device": "till-1",
}
GONE = object()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def changed(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**base, **changes}.items() if value is not GONE}


def signed_text(header: bytes, payload: bytes, key: keys.SigningKey = KEY) -> str:
    """A token whose signature is right, whatever its parts hold."""
    signing_input = f"{b64(header)}.{b64(payload)}"
    return f"{signing_input}.{b64(key.sign_raw(signing_input.encode()))}"


def signed(
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    key: keys.SigningKey = KEY,
) -> str:
    return signed_text(
        json.dumps(changed(HEADER, **(header or {}))).encode(),
        json.dumps(changed(CLAIMS, **(claims or {}))).encode(),
        key,
    )


def with_hmac(secret: bytes) -> str:
    """The classic confusion: the public key, which everyone has, taken as the secret of HS256."""
    header = json.dumps(changed(HEADER, alg="HS256")).encode()
    signing_input = f"{b64(header)}.{b64(json.dumps(CLAIMS).encode())}"
    return f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), sha256))}"


def with_signature(make: Callable[[str], bytes]) -> str:
    signing_input = signed().rpartition(".")[0]
    return f"{signing_input}.{b64(make(signing_input))}"


def der_signature(signing_input: str) -> bytes:
    return KEY.private_key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256()))


def p384_signature(signing_input: str) -> bytes:
    return ec.generate_private_key(ec.SECP384R1()).sign(signing_input.encode(), ec.ECDSA(hashes.SHA384()))[
        :64
    ]


def good_raw(signing_input: str) -> bytes:
    return KEY.sign_raw(signing_input.encode())


def flipped_last_bits(token: str) -> str:
    """Another spelling of the same signature: 64 bytes leave four unused bits in the last character."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


PUBLIC = KEY.private_key.public_key()
PUBLIC_PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PUBLIC_DER = PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PUBLIC_RAW = PUBLIC.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
PUBLIC_JWK = json.dumps(keys.public_jwk(PUBLIC)).encode()
PLAIN_HEADER = json.dumps(HEADER).encode()
PLAIN_CLAIMS = json.dumps(CLAIMS).encode()
HEADER_SEGMENT, CLAIMS_SEGMENT, SIGNATURE_SEGMENT = signed().split(".")
NONE_HEADER = b64(json.dumps(changed(HEADER, alg="none")).encode())

HOSTILE: dict[str, tuple[str, TokenReason]] = {
    # The algorithm
    "alg none without signature": (f"{NONE_HEADER}.{CLAIMS_SEGMENT}.", TokenReason.MALFORMED),
    "alg none with a signature": (
        f"{NONE_HEADER}.{CLAIMS_SEGMENT}.{SIGNATURE_SEGMENT}",
        TokenReason.ALGORITHM,
    ),
    "alg NoNe": (signed({"alg": "NoNe"}), TokenReason.ALGORITHM),
    "alg es256 in lower case": (signed({"alg": "es256"}), TokenReason.ALGORITHM),
    "alg ES384": (signed({"alg": "ES384"}), TokenReason.ALGORITHM),
    "alg RS256": (signed({"alg": "RS256"}), TokenReason.ALGORITHM),
    "alg a list": (signed({"alg": ["ES256"]}), TokenReason.ALGORITHM),
    "alg missing": (signed({"alg": GONE}), TokenReason.HEADER),
    "HS256 with the public key as PEM": (with_hmac(PUBLIC_PEM), TokenReason.ALGORITHM),
    "HS256 with the public key as DER": (with_hmac(PUBLIC_DER), TokenReason.ALGORITHM),
    "HS256 with the public key as a raw point": (with_hmac(PUBLIC_RAW), TokenReason.ALGORITHM),
    "HS256 with the public key as JWK": (with_hmac(PUBLIC_JWK), TokenReason.ALGORITHM),
    # The header
    "crit": (signed({"crit": ["exp"]}), TokenReason.HEADER),
    "b64 false": (signed({"b64": False, "crit": ["b64"]}), TokenReason.HEADER),
    "jwk brought along": (
        signed({"jwk": "mine"}, key=OTHER_KEY),
        TokenReason.HEADER,
    ),
    "jwk object brought along": (
        signed({"jwk": keys.public_jwk(OTHER_KEY.private_key.public_key())}, key=OTHER_KEY),
        TokenReason.HEADER,
    ),
    "jku": (signed({"jku": "https://evil.example/keys"}, key=OTHER_KEY), TokenReason.HEADER),
    "x5u": (signed({"x5u": "https://evil.example/cert"}, key=OTHER_KEY), TokenReason.HEADER),
    "x5c": (signed({"x5c": ["MIIB"]}, key=OTHER_KEY), TokenReason.HEADER),
    "zip": (signed({"zip": "DEF"}), TokenReason.HEADER),
    "cty for a nested token": (signed({"cty": "JWT"}), TokenReason.HEADER),
    "enc as if it were encrypted": (signed({"enc": "A256GCM"}), TokenReason.HEADER),
    "typ of a client assertion": (signed({"typ": "client-authentication+jwt"}), TokenReason.TYPE),
    "typ JWT": (signed({"typ": "JWT"}), TokenReason.TYPE),
    "typ in other case": (signed({"typ": "AT+JWT"}), TokenReason.TYPE),
    "typ with the media type in front": (signed({"typ": "application/at+jwt"}), TokenReason.TYPE),
    "typ missing": (signed({"typ": GONE}), TokenReason.HEADER),
    "header twice alg": (
        signed_text(PLAIN_HEADER[:-1] + b',"alg":"none"}', PLAIN_CLAIMS),
        TokenReason.MALFORMED,
    ),
    "header in UTF-16": (
        signed_text(json.dumps(HEADER).encode("utf-16"), PLAIN_CLAIMS),
        TokenReason.MALFORMED,
    ),
    "header a list": (signed_text(b'["alg","typ","kid"]', PLAIN_CLAIMS), TokenReason.MALFORMED),
    "header a string": (signed_text(b'"alg"', PLAIN_CLAIMS), TokenReason.MALFORMED),
    "header not JSON": (signed_text(b"alg=ES256", PLAIN_CLAIMS), TokenReason.MALFORMED),
    "header with text behind": (signed_text(PLAIN_HEADER + b"{}", PLAIN_CLAIMS), TokenReason.MALFORMED),
    # The key
    "kid missing": (signed({"kid": GONE}), TokenReason.HEADER),
    "kid empty": (signed({"kid": ""}), TokenReason.KEY_UNKNOWN),
    "kid a path": (signed({"kid": "../../../../dev/null"}), TokenReason.KEY_UNKNOWN),
    "kid a query": (signed({"kid": "x' UNION SELECT 'secret"}), TokenReason.KEY_UNKNOWN),
    "kid a command": (signed({"kid": "key|curl evil.example"}), TokenReason.KEY_UNKNOWN),
    "kid with a newline behind": (signed({"kid": KEY.kid + "\n"}), TokenReason.KEY_UNKNOWN),
    "kid with a zero byte": (signed({"kid": KEY.kid + "\x00"}), TokenReason.KEY_UNKNOWN),
    "kid a number": (signed({"kid": 1}), TokenReason.KEY_UNKNOWN),
    "kid a list": (signed({"kid": [KEY.kid]}), TokenReason.KEY_UNKNOWN),
    "kid very long": (signed({"kid": "A" * 1000}), TokenReason.KEY_UNKNOWN),
    "kid of a key that is not at hand": (
        signed({"kid": OTHER_KEY.kid}, key=OTHER_KEY),
        TokenReason.KEY_UNKNOWN,
    ),
    # The signature
    "signed by another key": (signed(key=OTHER_KEY), TokenReason.SIGNATURE),
    "claims exchanged under the signature": (
        f"{HEADER_SEGMENT}.{b64(json.dumps(changed(CLAIMS, roles=['ADMIN'])).encode())}.{SIGNATURE_SEGMENT}",
        TokenReason.SIGNATURE,
    ),
    "signature as DER": (with_signature(der_signature), TokenReason.SIGNATURE),
    "signature of a P-384 key": (with_signature(p384_signature), TokenReason.SIGNATURE),
    "signature all zeros": (with_signature(lambda _: bytes(64)), TokenReason.SIGNATURE),
    "signature r and s of the order": (
        with_signature(
            lambda _: bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551") * 2
        ),
        TokenReason.SIGNATURE,
    ),
    "signature all ones": (with_signature(lambda _: b"\xff" * 64), TokenReason.SIGNATURE),
    "signature a byte short": (with_signature(lambda text: good_raw(text)[:-1]), TokenReason.SIGNATURE),
    "signature with a byte behind": (
        with_signature(lambda text: good_raw(text) + b"\x00"),
        TokenReason.SIGNATURE,
    ),
    "signature with a zero in front": (
        with_signature(lambda text: b"\x00" + good_raw(text)[:32] + b"\x00" + good_raw(text)[32:]),
        TokenReason.SIGNATURE,
    ),
    "signature r and s exchanged": (
        with_signature(lambda text: good_raw(text)[32:] + good_raw(text)[:32]),
        TokenReason.SIGNATURE,
    ),
    # The form
    "empty": ("", TokenReason.MALFORMED),
    "one segment": (HEADER_SEGMENT, TokenReason.MALFORMED),
    "two segments": (f"{HEADER_SEGMENT}.{CLAIMS_SEGMENT}", TokenReason.MALFORMED),
    "four segments": (signed() + "." + SIGNATURE_SEGMENT, TokenReason.MALFORMED),
    "five segments of an encrypted token": (".".join([HEADER_SEGMENT] * 5), TokenReason.MALFORMED),
    "empty claims segment": (f"{HEADER_SEGMENT}..{SIGNATURE_SEGMENT}", TokenReason.MALFORMED),
    "empty signature": (f"{HEADER_SEGMENT}.{CLAIMS_SEGMENT}.", TokenReason.MALFORMED),
    "padded": (signed() + "==", TokenReason.MALFORMED),
    "padded header": (f"{HEADER_SEGMENT}=.{CLAIMS_SEGMENT}.{SIGNATURE_SEGMENT}", TokenReason.MALFORMED),
    "unused bits of the last character set": (flipped_last_bits(signed()), TokenReason.MALFORMED),
    "plain base64 alphabet": (f"{HEADER_SEGMENT}.{CLAIMS_SEGMENT}.{'+/' * 43}", TokenReason.MALFORMED),
    "space in front": (" " + signed(), TokenReason.MALFORMED),
    "newline behind": (signed() + "\n", TokenReason.MALFORMED),
    "newline inside": (f"{HEADER_SEGMENT}\n.{CLAIMS_SEGMENT}.{SIGNATURE_SEGMENT}", TokenReason.MALFORMED),
    "Bearer in front": ("Bearer " + signed(), TokenReason.MALFORMED),
    "zero byte inside": (HEADER_SEGMENT + "\x00" + signed()[len(HEADER_SEGMENT) :], TokenReason.MALFORMED),
    "letters beyond ASCII": ("é" + signed(), TokenReason.MALFORMED),
    "full-width letters": ("\uff45" + signed()[1:], TokenReason.MALFORMED),
    "half a surrogate pair": ("\ud800" + signed()[1:], TokenReason.MALFORMED),
    "a megabyte": ("A" * 1_000_000, TokenReason.TOO_LONG),
    "a megabyte of dots": ("." * 1_000_000, TokenReason.TOO_LONG),
    "a megabyte in one claim": (signed(claims={"sub": "a" * 1_000_000}), TokenReason.TOO_LONG),
    # The claims as JSON
    "claims not JSON": (signed_text(PLAIN_HEADER, b"sub=till-1"), TokenReason.MALFORMED),
    "claims a list": (signed_text(PLAIN_HEADER, b"[]"), TokenReason.MALFORMED),
    "claims null": (signed_text(PLAIN_HEADER, b"null"), TokenReason.MALFORMED),
    "claims not UTF-8": (signed_text(PLAIN_HEADER, b'{"sub":"\xff"}'), TokenReason.MALFORMED),
    "claims with a byte order mark": (
        signed_text(PLAIN_HEADER, b"\xef\xbb\xbf" + PLAIN_CLAIMS),
        TokenReason.MALFORMED,
    ),
    "claims twice program": (
        signed_text(PLAIN_HEADER, PLAIN_CLAIMS[:-1] + b',"program":"other"}'),
        TokenReason.MALFORMED,
    ),
    "claims twice program, once escaped": (
        signed_text(PLAIN_HEADER, PLAIN_CLAIMS[:-1] + b',"\\u0070rogram":"other"}'),
        TokenReason.MALFORMED,
    ),
    "claims nested deep": (
        signed_text(PLAIN_HEADER, b'{"sub":' + b"[" * 1400 + b"]" * 1400 + b"}"),
        TokenReason.MALFORMED,
    ),
    "claims with a comment": (signed_text(PLAIN_HEADER, b"/**/" + PLAIN_CLAIMS), TokenReason.MALFORMED),
    "claim that nobody knows": (signed(claims={"admin": True}), TokenReason.CLAIM_UNKNOWN),
    "claim nbf in the future": (signed(claims={"nbf": NOW_S + 100}), TokenReason.CLAIM_UNKNOWN),
    "claim scope beside the roles": (signed(claims={"scope": "ADMIN"}), TokenReason.CLAIM_UNKNOWN),
    # Who and for whom
    "iss of another server": (signed(claims={"iss": "https://evil.example"}), TokenReason.ISSUER),
    "iss with a slash behind": (signed(claims={"iss": "https://points.example/"}), TokenReason.ISSUER),
    "iss a list": (signed(claims={"iss": ["https://points.example"]}), TokenReason.ISSUER),
    "aud of another service": (signed(claims={"aud": "other"}), TokenReason.AUDIENCE),
    "aud a list with the right one": (signed(claims={"aud": ["tallystick"]}), TokenReason.AUDIENCE),
    "aud a list of two": (signed(claims={"aud": ["tallystick", "other"]}), TokenReason.AUDIENCE),
    "aud null": (signed(claims={"aud": None}), TokenReason.AUDIENCE),
    "sub empty": (signed(claims={"sub": ""}), TokenReason.CLAIM_INVALID),
    "sub a number": (signed(claims={"sub": 7}), TokenReason.CLAIM_INVALID),
    "sub null": (signed(claims={"sub": None}), TokenReason.CLAIM_INVALID),
    "sub with a newline behind": (signed(claims={"sub": "till-1\n"}), TokenReason.CLAIM_INVALID),
    "sub with letters that look alike": (signed(claims={"sub": "t\u0456ll-1"}), TokenReason.CLAIM_INVALID),
    "sub half a surrogate pair": (signed(claims={"sub": "\ud800"}), TokenReason.CLAIM_INVALID),
    "program a path": (signed(claims={"program": "../other"}), TokenReason.CLAIM_INVALID),
    "program a wildcard": (signed(claims={"program": "*"}), TokenReason.CLAIM_INVALID),
    "program empty": (signed(claims={"program": ""}), TokenReason.CLAIM_INVALID),
    "program a list": (signed(claims={"program": ["aurora", "other"]}), TokenReason.CLAIM_INVALID),
    "origin empty": (signed(claims={"origin": ""}), TokenReason.CLAIM_INVALID),
    "origin with a path": (signed(claims={"origin": "https://shop.example/"}), TokenReason.CLAIM_INVALID),
    "origin in capitals": (signed(claims={"origin": "https://Shop.example"}), TokenReason.CLAIM_INVALID),
    "origin of a file": (signed(claims={"origin": "null"}), TokenReason.CLAIM_INVALID),
    "origins": (signed(claims={"origin": ["https://shop.example"]}), TokenReason.CLAIM_INVALID),
    "store null": (signed(claims={"store": None}), TokenReason.CLAIM_INVALID),
    "roles a string": (signed(claims={"roles": "ADMIN"}), TokenReason.CLAIM_INVALID),
    "roles empty": (signed(claims={"roles": []}), TokenReason.CLAIM_INVALID),
    "roles null": (signed(claims={"roles": None}), TokenReason.CLAIM_INVALID),
    "roles of numbers": (signed(claims={"roles": [5]}), TokenReason.CLAIM_INVALID),
    "roles twice the same": (signed(claims={"roles": ["TILL", "TILL"]}), TokenReason.CLAIM_INVALID),
    "roles too many": (signed(claims={"roles": [f"R{n}" for n in range(9)]}), TokenReason.CLAIM_INVALID),
    "roles with a space": (signed(claims={"roles": ["TILL ADMIN"]}), TokenReason.CLAIM_INVALID),
    "jti with spaces": (signed(claims={"jti": "a b"}), TokenReason.CLAIM_INVALID),
    "jti too long": (signed(claims={"jti": "a" * 129}), TokenReason.CLAIM_INVALID),
    # When
    "exp in the past": (signed(claims={"iat": NOW_S - 200, "exp": NOW_S - 5}), TokenReason.EXPIRED),
    "exp before iat": (signed(claims={"exp": NOW_S - 11}), TokenReason.LIFETIME),
    "exp equal to iat": (signed(claims={"exp": NOW_S - 10}), TokenReason.LIFETIME),
    "iat in the future": (signed(claims={"iat": NOW_S + 6, "exp": NOW_S + 60}), TokenReason.NOT_YET_VALID),
    "lifetime a second too long": (signed(claims={"iat": NOW_S, "exp": NOW_S + 301}), TokenReason.LIFETIME),
    "exp in the year 9999": (signed(claims={"exp": tokens.TIME_MAX_S}), TokenReason.LIFETIME),
    "exp after the year 9999": (signed(claims={"exp": tokens.TIME_MAX_S + 1}), TokenReason.CLAIM_INVALID),
    "exp a float": (signed(claims={"exp": NOW_S + 200.5}), TokenReason.MALFORMED),
    "exp with an exponent": (
        signed_text(PLAIN_HEADER, re.sub(rb'"exp": \d+', b'"exp": 18e8', PLAIN_CLAIMS)),
        TokenReason.MALFORMED,
    ),
    "exp Infinity": (signed(claims={"exp": float("inf")}), TokenReason.MALFORMED),
    "exp NaN": (signed(claims={"exp": float("nan")}), TokenReason.MALFORMED),
    "exp a number of 2000 digits": (signed(claims={"exp": 10**1999}), TokenReason.MALFORMED),
    "exp a text": (signed(claims={"exp": str(NOW_S + 200)}), TokenReason.CLAIM_INVALID),
    "exp true": (signed(claims={"exp": True}), TokenReason.CLAIM_INVALID),
    "exp null": (signed(claims={"exp": None}), TokenReason.CLAIM_INVALID),
    "iat negative": (signed(claims={"iat": -1}), TokenReason.CLAIM_INVALID),
    "iat a list": (signed(claims={"iat": [NOW_S]}), TokenReason.CLAIM_INVALID),
    **{
        f"{name} missing": (signed(claims={name: GONE}), TokenReason.CLAIM_MISSING)
        for name in ("iss", "aud", "sub", "iat", "exp", "jti", "program", "roles")
    },
}


def test_the_token_that_the_hostile_ones_are_made_of_is_accepted() -> None:
    claims = tokens.verify(signed(), PROFILE, KEYS, NOW_S)
    assert (claims.subject, claims.program_id, claims.roles) == ("till-1", "aurora", ("TILL",))


@pytest.mark.parametrize(("token", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_token_is_refused_for_its_own_reason(token: str, reason: TokenReason) -> None:
    with pytest.raises(TokenRefused) as refused:
        tokens.verify(token, PROFILE, KEYS, NOW_S)
    assert refused.value.reason is reason


def test_the_refusal_repeats_nothing_of_the_token() -> None:
    for token, reason in HOSTILE.values():
        with pytest.raises(TokenRefused) as refused:
            tokens.verify(token, PROFILE, KEYS, NOW_S)
        assert str(refused.value) == f"token refused: {reason}"
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "till-2"}, TokenReason.ISSUER),
        ({"sub": "till-2", "iss": "till-2"}, TokenReason.SUBJECT),
        ({"aud": "https://other.example"}, TokenReason.AUDIENCE),
        ({"aud": "https://points.example/token"}, TokenReason.AUDIENCE),
        ({"exp": NOW_S + 61}, TokenReason.LIFETIME),
        ({"iat": NOW_S + 31, "exp": NOW_S + 61}, TokenReason.NOT_YET_VALID),
        ({"iat": NOW_S - 90, "exp": NOW_S - 30}, TokenReason.EXPIRED),
        ({"jti": GONE}, TokenReason.CLAIM_MISSING),
        ({"roles": ["ADMIN"]}, TokenReason.CLAIM_UNKNOWN),
        ({"program": "aurora"}, TokenReason.CLAIM_UNKNOWN),
    ],
)
def test_a_hostile_client_assertion_is_refused(claims: dict[str, Any], reason: TokenReason) -> None:
    good = {
        "iss": "till-1",
        "sub": "till-1",
        "aud": "https://points.example",
        "iat": NOW_S,
        "exp": NOW_S + 60,
        "jti": "0123456789abcdef",
    }
    header = json.dumps(changed(HEADER, typ="client-authentication+jwt")).encode()
    owned = {KEY.kid: keys.VerifyKey(KEY.kid, KEY.private_key.public_key(), "till-1")}
    accepted = tokens.verify(signed_text(header, json.dumps(good).encode()), ASSERTION, owned, NOW_S)
    assert accepted.subject == "till-1"
    with pytest.raises(TokenRefused) as refused:
        tokens.verify(
            signed_text(header, json.dumps(changed(good, **claims)).encode()), ASSERTION, owned, NOW_S
        )
    assert refused.value.reason is reason


def test_an_access_token_does_not_buy_another_access_token() -> None:
    token = tokens.sign_access_token(
        KEY, PROFILE, subject="till-1", program_id="aurora", roles=("TILL",), token_id="t1", now_s=NOW_S
    )
    with pytest.raises(TokenRefused) as refused:
        tokens.verify(token, ASSERTION, KEYS, NOW_S)
    assert refused.value.reason is TokenReason.TYPE


@given(text=st.one_of(st.text(), st.text(alphabet="eyJ0.-_=", max_size=200)))
def test_any_text_is_refused_without_another_error(text: str) -> None:
    with pytest.raises(TokenRefused):
        tokens.verify(text, PROFILE, KEYS, NOW_S)


@given(header=st.binary(max_size=300), payload=st.binary(max_size=300))
def test_any_bytes_in_a_signed_token_are_refused_without_another_error(header: bytes, payload: bytes) -> None:
    for token in (signed_text(header, PLAIN_CLAIMS), signed_text(PLAIN_HEADER, payload)):
        with pytest.raises(TokenRefused):
            tokens.verify(token, PROFILE, KEYS, NOW_S)
