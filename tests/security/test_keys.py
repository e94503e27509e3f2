"""P-256 keys: what is accepted, what is refused, how they are named."""

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tallystick.security import keys
from tallystick.security.encoding import base64url_decode, base64url_encode, length_prefixed
from tallystick.security.errors import KeyRefused

# Published with its thumbprint in the documentation of the `jose` library for JavaScript.
KNOWN_JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "jJ6Flys3zK9jUhnOHf6G49Dyp5hah6CNP84-gY-n9eo",
    "y": "nhI6iD5eFXgBTLt_1p3aip-5VbZeMhxeFSpjfEAf7Ww",
}
KNOWN_THUMBPRINT = "w9eYdC6_s_tLQ8lH6PUpc0mddazaqtPgeC2IgWDiqY8"
KEY = keys.generate_signing_key()
JWK: dict[str, Any] = dict(keys.public_jwk(KEY.private_key.public_key()))


def test_the_name_of_a_key_is_its_rfc_7638_thumbprint() -> None:
    assert keys.verify_key_from_jwk(KNOWN_JWK).kid == KNOWN_THUMBPRINT


def test_a_public_key_survives_jwk_and_pem() -> None:
    from_jwk = keys.verify_key_from_jwk(JWK, owner_id="till-1")
    from_pem = keys.verify_key_from_pem(keys.verify_key_to_pem(KEY.verify_key), owner_id="till-1")
    assert from_jwk.kid == from_pem.kid == KEY.kid
    assert from_jwk.owner_id == from_pem.owner_id == "till-1"
    assert keys.public_jwk(from_pem.public_key) == JWK


def test_a_private_key_survives_pem() -> None:
    again = keys.signing_key_from_pem(keys.signing_key_to_pem(KEY))
    assert again.kid == KEY.kid
    assert KEY.verify_key.verify_raw(again.sign_raw(b"message"), b"message")


def test_a_jwk_may_say_what_it_is_for() -> None:
    assert keys.verify_key_from_jwk({**JWK, "alg": "ES256", "use": "sig", "kid": KEY.kid}).kid == KEY.kid


@pytest.mark.parametrize(("secret", "coordinate"), [(379, "x"), (43, "y")])
def test_coordinates_with_leading_zeros_keep_their_32_bytes(secret: int, coordinate: str) -> None:
    public_key = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
    jwk = keys.public_jwk(public_key)
    assert base64url_decode(jwk[coordinate])[0] == 0
    assert len(jwk["x"]) == len(jwk["y"]) == 43
    assert keys.verify_key_from_jwk(jwk).public_key.public_numbers() == public_key.public_numbers()


def test_a_device_that_sends_its_private_key_is_told_to_make_a_new_one() -> None:
    with pytest.raises(KeyRefused, match="make a new key"):
        keys.verify_key_from_jwk({**JWK, "d": "c2VjcmV0"})


def not_on_curve() -> str:
    y = bytearray(base64url_decode(JWK["y"]))
    y[31] ^= 1
    return base64url_encode(bytes(y))


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {name: value for name, value in JWK.items() if name != "y"},
        {**JWK, "d": "c2VjcmV0"},
        {**JWK, "kty": "RSA"},
        {**JWK, "kty": "oct", "k": "c2VjcmV0"},
        {**JWK, "crv": "P-384"},
        {**JWK, "crv": "secp256k1"},
        {**JWK, "crv": ["P-256"]},
        {**JWK, "alg": "HS256"},
        {**JWK, "alg": None},
        {**JWK, "use": "enc"},
        {**JWK, "key_ops": ["sign"]},
        {**JWK, "x5u": "https://evil.example/"},
        {**JWK, "kid": KNOWN_THUMBPRINT},
        {**JWK, "kid": None},
        {**JWK, "y": not_on_curve()},
        {**JWK, "x": JWK["y"], "y": JWK["x"]},
        {**JWK, "x": "A" * 43, "y": "A" * 43},
        {**JWK, "x": base64url_encode(b"\xff" * 32)},
        {**JWK, "x": JWK["x"] + "="},
        {**JWK, "x": JWK["x"][:-1]},
        {**JWK, "x": "AA" + JWK["x"]},
        {**JWK, "x": JWK["x"][:-1] + "+"},
        {**JWK, "x": JWK["x"][:-1] + "é"},
        {**JWK, "x": 12345},
        {**JWK, "x": base64url_decode(JWK["x"])},
        {**JWK, "x": None},
    ],
)
def test_a_jwk_that_is_not_exactly_a_public_p256_key_is_refused(jwk: dict[str, Any]) -> None:
    with pytest.raises(KeyRefused):
        keys.verify_key_from_jwk(jwk)


OTHER_PRIVATE_KEYS = [
    ec.generate_private_key(ec.SECP384R1()),
    ec.generate_private_key(ec.SECP256K1()),
    ed25519.Ed25519PrivateKey.generate(),
    rsa.generate_private_key(public_exponent=65537, key_size=2048),
]


@pytest.mark.parametrize("key", OTHER_PRIVATE_KEYS, ids=lambda key: type(key).__name__)
def test_keys_of_other_kinds_are_refused(key: Any) -> None:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(KeyRefused):
        keys.signing_key_from_pem(private)
    with pytest.raises(KeyRefused):
        keys.verify_key_from_pem(public)


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(keys.verify_key_to_pem(KEY.verify_key) + b"\n" * 5000, id="a public key and much space"),
        pytest.param(keys.signing_key_to_pem(KEY) + b"\n" * 5000, id="a private key and much space"),
        b"",
        b"secret",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"A" * 5000,
    ],
)
def test_text_that_is_no_key_is_refused(pem: bytes) -> None:
    with pytest.raises(KeyRefused):
        keys.signing_key_from_pem(pem)
    with pytest.raises(KeyRefused):
        keys.verify_key_from_pem(pem)


def test_an_encrypted_private_key_and_a_public_one_in_its_place_are_refused() -> None:
    encrypted = KEY.private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pass")
    )
    for pem in (encrypted, keys.verify_key_to_pem(KEY.verify_key)):
        with pytest.raises(KeyRefused):
            keys.signing_key_from_pem(pem)


def test_a_key_on_another_curve_cannot_be_wrapped_by_hand() -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(KeyRefused):
        keys.VerifyKey("kid", other.public_key())
    with pytest.raises(KeyRefused):
        keys.SigningKey("kid", other)


def test_a_signature_holds_for_its_message_and_key_alone() -> None:
    signature = KEY.sign_raw(b"message")
    assert len(signature) == 64
    assert KEY.verify_key.verify_raw(signature, b"message")
    assert not KEY.verify_key.verify_raw(signature, b"massage")
    assert not keys.generate_signing_key().verify_key.verify_raw(signature, b"message")


@pytest.mark.parametrize("signature", [b"", bytes(64), b"\xff" * 64, bytes(63), bytes(65), bytes(1000)])
def test_a_signature_of_no_form_is_not_valid(signature: bytes) -> None:
    assert not KEY.verify_key.verify_raw(signature, b"message")


def test_a_signature_has_one_length_only() -> None:
    signature = KEY.sign_raw(b"message")
    assert not KEY.verify_key.verify_raw(signature[:32] + b"\x00" + signature[32:], b"message")


def test_the_fingerprint_is_five_groups_of_five_digits_and_stays_the_same() -> None:
    assert keys.fingerprint(KNOWN_THUMBPRINT) == "17298 32828 54056 25913 61423"
    assert keys.fingerprint(KEY.kid) != keys.fingerprint(KNOWN_THUMBPRINT)


@pytest.mark.parametrize("kid", ["", "short", "A" * 44, "é" * 43, "=" * 43])
def test_a_fingerprint_is_made_of_key_names_only(kid: str) -> None:
    with pytest.raises(KeyRefused):
        keys.fingerprint(kid)


def test_two_lists_of_parts_never_give_the_same_bytes() -> None:
    lists = [(b"ab", b"c"), (b"a", b"bc"), (b"abc",), (b"abc", b""), (b"", b"abc"), ()]
    assert len({length_prefixed(parts) for parts in lists}) == len(lists)


@pytest.mark.parametrize("text", ["AB", "A", "AA==", "A A", "AA\n", "+/AA", "ÄA"])
def test_base64url_has_one_spelling(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        base64url_decode(text)
