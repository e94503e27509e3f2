"""Codes and sessions of signing in: keyed, bound to one session of one program, and sealed with its id."""

from __future__ import annotations

import pytest

from tallystick.security.errors import SealBroken
from tallystick.security.sign_in import (
    CODE_DIGITS,
    SESSION_ID_CHARS,
    client_tag,
    hash_session,
    hash_session_code,
    new_code,
    new_session_id,
    open_for_session,
    seal_for_session,
)

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def test_codes_have_six_digits_and_all_of_them_occur() -> None:
    codes = [new_code() for _ in range(3_000)]
    assert {len(code) for code in codes} == {CODE_DIGITS}
    assert all(code.isascii() and code.isdigit() for code in codes)
    assert {code[0] for code in codes} == set("0123456789")
    assert len(set(codes)) > 2_900


def test_session_ids_are_long_and_never_the_same() -> None:
    ids = {new_session_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert {len(one) for one in ids} == {SESSION_ID_CHARS}


def test_a_code_is_another_one_in_another_session_program_or_installation() -> None:
    hashes = {
        hash_session_code(KEY, "123456", session_id="a", program_id="p"),
        hash_session_code(KEY, "123457", session_id="a", program_id="p"),
        hash_session_code(KEY, "123456", session_id="b", program_id="p"),
        hash_session_code(KEY, "123456", session_id="a", program_id="q"),
        hash_session_code(OTHER_KEY, "123456", session_id="a", program_id="p"),
    }
    assert len(hashes) == 5
    assert {len(one) for one in hashes} == {32}


def test_a_session_is_another_one_in_another_program_or_installation() -> None:
    hashes = {
        hash_session(KEY, "a", program_id="p"),
        hash_session(KEY, "b", program_id="p"),
        hash_session(KEY, "a", program_id="q"),
        hash_session(OTHER_KEY, "a", program_id="p"),
    }
    assert len(hashes) == 4


def test_what_was_sealed_for_a_session_opens_with_its_id_alone() -> None:
    sealed = seal_for_session(KEY, "ada@example.org", session_id="a", program_id="p")
    assert b"ada" not in sealed
    assert open_for_session(KEY, sealed, session_id="a", program_id="p") == "ada@example.org"
    for key, session_id, program_id in ((KEY, "b", "p"), (KEY, "a", "q"), (OTHER_KEY, "a", "p")):
        with pytest.raises(SealBroken):
            open_for_session(key, sealed, session_id=session_id, program_id=program_id)


@pytest.mark.parametrize("damaged", [b"", b"\x00" * 3, b"\xff" * 40])
def test_what_is_damaged_does_not_open(damaged: bytes) -> None:
    with pytest.raises(SealBroken):
        open_for_session(KEY, damaged, session_id="a", program_id="p")


def test_a_client_is_a_keyed_hash_and_nobody_is_none() -> None:
    assert client_tag(KEY, "") == b""
    assert len(client_tag(KEY, "ipv4:192.0.2.1")) == 16
    tags = {client_tag(KEY, "a"), client_tag(KEY, "b"), client_tag(OTHER_KEY, "a")}
    assert len(tags) == 3
