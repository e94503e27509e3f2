"""Push messages as RFC 8291 has them: its own example, and what a browser on the other side makes of ours."""

from __future__ import annotations

import hashlib
import hmac

import jwt
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.security.encoding import base64url_decode
from tallystick.security.web_push import (
    PAYLOAD_BYTES_MAX,
    application_key,
    authorization,
    encrypt,
    is_public_key,
    public_bytes,
)

# RFC 8291, 5 and appendix A.
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
BROWSER = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
P256DH = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A"
    "_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(base64url_decode(text)), ec.SECP256R1())


def test_the_example_of_the_rfc_comes_out_byte_for_byte() -> None:
    body = encrypt(
        b"When I grow up, I want to be a watermelon",
        p256dh=base64url_decode(P256DH),
        auth=base64url_decode(AUTH),
        sender=private(SENDER),
        salt=base64url_decode(SALT),
    )
    assert body == base64url_decode(BODY)


def read_as_a_browser(body: bytes, browser: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """Undo it by the steps of RFC 8188, 2.1 and RFC 8291, 3.4, written from there."""
    salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
    sender, record = body[21 : 21 + length], body[21 + length :]
    assert len(record) <= size
    shared = browser.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))

    def keyed(key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, hashlib.sha256).digest()

    info = b"WebPush: info\x00" + public_bytes(browser) + sender + b"\x01"
    secret = keyed(salt, keyed(keyed(auth, shared), info))
    key = keyed(secret, b"Content-Encoding: aes128gcm\x00\x01")[:16]
    nonce = keyed(secret, b"Content-Encoding: nonce\x00\x01")[:12]
    plain = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\x00")
    assert plain[-1:] == b"\x02"
    return plain[:-1]


@pytest.mark.parametrize("payload", [b"", "Zażółć".encode(), b"x" * PAYLOAD_BYTES_MAX])
def test_only_the_browser_that_has_subscribed_can_read_a_message(payload: bytes) -> None:
    browser, other = private(BROWSER), application_key(b"other" * 8)
    auth, salt = b"a" * 16, b"s" * 16
    sender = application_key(b"once" * 8)
    body = encrypt(payload, p256dh=public_bytes(browser), auth=auth, sender=sender, salt=salt)
    assert len(body) <= 4096
    assert read_as_a_browser(body, browser, auth) == payload
    with pytest.raises(InvalidTag):
        read_as_a_browser(body, browser, b"b" * 16)
    with pytest.raises(InvalidTag):
        read_as_a_browser(body, other, auth)


def test_a_secret_has_one_key_for_ever() -> None:
    key = application_key(bytes(range(32)))
    assert public_bytes(key).hex() == public_bytes(application_key(bytes(range(32)))).hex()
    assert public_bytes(key) != public_bytes(application_key(bytes(range(1, 33))))
    assert public_bytes(key).hex()[:16] == "046917cd9f6b3bc1"


def test_a_push_service_finds_who_sends_and_for_whom_the_token_is() -> None:
    key = application_key(b"k" * 32)
    said = authorization(
        key, "https://push.example:8443/a/b?c", contact="mailto:a@b.example", now_s=1_000_000
    )
    scheme, _, rest = said.partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert scheme == "vapid"
    assert base64url_decode(parts["k"]) == public_bytes(key)
    claims = jwt.decode(
        parts["t"],
        key.public_key(),
        algorithms=["ES256"],
        audience="https://push.example:8443",
        options={"verify_exp": False},
    )
    assert claims == {
        "aud": "https://push.example:8443",
        "exp": 1_000_000 + 12 * 3600,
        "sub": "mailto:a@b.example",
    }


@pytest.mark.parametrize(
    "data",
    [b"", b"\x04" + b"\x01" * 64, base64url_decode(P256DH)[:-1], base64url_decode(P256DH) + b"\x00", b"\x00"],
)
def test_what_is_no_point_of_the_curve_is_no_key(data: bytes) -> None:
    assert is_public_key(base64url_decode(P256DH))
    assert not is_public_key(data)
