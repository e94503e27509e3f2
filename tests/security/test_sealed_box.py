"""Texts that a till seals for the gateway: it cannot read them again, and nobody can move them."""

from __future__ import annotations

import json

import pytest

from tallystick.security.errors import SealBroken
from tallystick.security.keys import VerifyKey, generate_signing_key, verify_key_from_jwk
from tallystick.security.sealed_box import (
    SEALED_BYTES_MAX,
    TEXT_CHARS_MAX,
    BoxKey,
    derive_box_key,
    enrolment_context,
    open_sealed_text,
    seal_for_gateway,
)

BOX = derive_box_key(b"k" * 32)
ANN = enrolment_context(program_id="shop", member_id="ann")


def public_half(box: BoxKey = BOX) -> VerifyKey:
    """Return the key as a till reads it from the news."""
    return verify_key_from_jwk(json.loads(box.jwk))


def test_what_a_till_sealed_opens_at_the_gateway() -> None:
    sealed = seal_for_gateway(public_half(), "ann@exämple.org", ANN)
    assert open_sealed_text(BOX, sealed, ANN) == "ann@exämple.org"
    assert b"ann" not in sealed


def test_the_same_text_is_never_sealed_the_same_way() -> None:
    assert seal_for_gateway(public_half(), "x", ANN) != seal_for_gateway(public_half(), "x", ANN)


@pytest.mark.parametrize("at", [0, 1, 64, 65, -1])
def test_a_changed_byte_anywhere_does_not_open(at: int) -> None:
    sealed = bytearray(seal_for_gateway(public_half(), "ann@example.org", ANN))
    sealed[at] ^= 1
    with pytest.raises(SealBroken):
        open_sealed_text(BOX, bytes(sealed), ANN)


@pytest.mark.parametrize("sealed", [b"", b"\x04", b"\x00" * 81, b"\xff" * SEALED_BYTES_MAX])
def test_what_is_no_sealed_text_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        open_sealed_text(BOX, sealed, ANN)


@pytest.mark.parametrize(("program_id", "member_id"), [("shop", "ben"), ("other", "ann"), ("shopa", "nn")])
def test_a_text_sealed_for_one_member_opens_for_no_other(program_id: str, member_id: str) -> None:
    sealed = seal_for_gateway(public_half(), "ann@example.org", ANN)
    with pytest.raises(SealBroken):
        open_sealed_text(BOX, sealed, enrolment_context(program_id=program_id, member_id=member_id))


def test_another_gateways_key_does_not_open_it() -> None:
    sealed = seal_for_gateway(public_half(), "ann@example.org", ANN)
    with pytest.raises(SealBroken):
        open_sealed_text(derive_box_key(b"z" * 32), sealed, ANN)


def test_bytes_that_are_no_text_do_not_open_as_one() -> None:
    from tallystick.security import sealed_box

    sealed = sealed_box._SUITE.encrypt(b"\xff\xfe", public_half().public_key, info=ANN)
    with pytest.raises(SealBroken):
        open_sealed_text(BOX, bytes(sealed), ANN)


def test_a_text_has_a_limit_and_the_longest_one_opens() -> None:
    longest = "\U0001f600" * TEXT_CHARS_MAX
    assert open_sealed_text(BOX, seal_for_gateway(public_half(), longest, ANN), ANN) == longest
    with pytest.raises(SealBroken):
        seal_for_gateway(public_half(), longest + "x", ANN)
    with pytest.raises(SealBroken):
        open_sealed_text(BOX, b"\x00" * (SEALED_BYTES_MAX + 1), ANN)


def test_the_key_follows_from_the_secret_and_shows_only_its_public_half() -> None:
    again = derive_box_key(b"k" * 32)
    assert (again.kid, again.jwk) == (BOX.kid, BOX.jwk)
    assert again.kid != derive_box_key(b"z" * 32).kid
    assert set(json.loads(BOX.jwk)) == {"kty", "crv", "x", "y", "kid"}
    assert "private" not in repr(BOX)
    assert public_half().kid == BOX.kid != generate_signing_key().kid
