"""Blind index tokens."""

import hmac
import os

import pytest

from tallystick.security.blind_index import blind_token

KEY = os.urandom(32)


def token(program_id: str = "aurora", kind: str = "phone", value: str = "+4915112345678") -> bytes:
    return blind_token(KEY, program_id=program_id, kind=kind, value=value)


def test_the_same_identifier_gives_the_same_token_of_16_bytes() -> None:
    assert token() == token()
    assert len(token()) == 16


def test_program_kind_value_and_key_all_count() -> None:
    tokens = {
        token(),
        token(program_id="borealis"),
        token(kind="email"),
        token(value="+4915112345679"),
        blind_token(os.urandom(32), program_id="aurora", kind="phone", value="+4915112345678"),
    }
    assert len(tokens) == 5


def test_parts_cannot_be_moved_over_their_borders() -> None:
    assert token("aurora", "phone", "x") != token("auroraphone", "", "x")
    assert token("a", "b", "c") != token("a", "bc", "")


def test_the_form_of_the_token_never_changes_as_stored_ones_would_be_lost() -> None:
    # Composed by hand from the documented form: each part behind its length, in four bytes.
    message = (
        b"\x00\x00\x00\x19tallystick blind index v1"
        b"\x00\x00\x00\x06aurora\x00\x00\x00\x05email\x00\x00\x00\x06a@b.de"
    )
    expected = hmac.new(bytes(range(32)), message, "sha256").digest()[:16]
    assert blind_token(bytes(range(32)), program_id="aurora", kind="email", value="a@b.de") == expected


@pytest.mark.parametrize("key", [b"", b"secret", bytes(31), bytes(33)])
def test_a_key_of_another_size_is_a_programmers_error(key: bytes) -> None:
    with pytest.raises(AssertionError):
        blind_token(key, program_id="aurora", kind="phone", value="+49")
