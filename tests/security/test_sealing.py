"""Sealed personal data: opens for its member and purpose, and for nothing else."""

import os

import pytest

from tallystick.security import sealing
from tallystick.security.errors import SealBroken

ONE = sealing.MasterKeys(1, {1: os.urandom(32)})
WHO = {"program_id": "aurora", "member_id": "member-1"}
TEXT = "Zoë Ångström".encode()


def sealed_for_member() -> tuple[bytes, bytes]:
    wrapped = sealing.new_wrapped_key(ONE, **WHO)
    return wrapped, sealing.seal(ONE, wrapped, TEXT, **WHO, purpose="profile")


def test_what_was_sealed_opens_for_the_same_member_and_purpose() -> None:
    wrapped, sealed = sealed_for_member()
    assert sealing.open_sealed(ONE, wrapped, sealed, **WHO, purpose="profile") == TEXT


@pytest.mark.parametrize("size", [0, 1, sealing.PLAINTEXT_BYTES_MAX])
def test_any_length_up_to_the_limit_can_be_sealed(size: int) -> None:
    wrapped = sealing.new_wrapped_key(ONE, **WHO)
    sealed = sealing.seal(ONE, wrapped, b"x" * size, **WHO, purpose="profile")
    assert sealing.open_sealed(ONE, wrapped, sealed, **WHO, purpose="profile") == b"x" * size


def test_more_than_the_limit_is_refused() -> None:
    wrapped = sealing.new_wrapped_key(ONE, **WHO)
    with pytest.raises(SealBroken, match="16384"):
        sealing.seal(ONE, wrapped, b"x" * (sealing.PLAINTEXT_BYTES_MAX + 1), **WHO, purpose="profile")


@pytest.mark.parametrize(
    ("program_id", "member_id", "purpose"),
    [
        ("aurora", "member-2", "profile"),
        ("borealis", "member-1", "profile"),
        ("aurora", "member-1", "identifier"),
        ("auroram", "ember-1", "profile"),
        ("", "", ""),
    ],
)
def test_sealed_data_does_not_open_in_another_row_or_column(
    program_id: str, member_id: str, purpose: str
) -> None:
    wrapped, sealed = sealed_for_member()
    with pytest.raises(SealBroken):
        sealing.open_sealed(ONE, wrapped, sealed, program_id=program_id, member_id=member_id, purpose=purpose)


def test_every_changed_byte_is_noticed() -> None:
    wrapped, sealed = sealed_for_member()
    for position in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[position] ^= 1
        with pytest.raises(SealBroken):
            sealing.open_sealed(ONE, wrapped, bytes(damaged), **WHO, purpose="profile")
    for position in range(len(wrapped)):
        damaged = bytearray(wrapped)
        damaged[position] ^= 1
        with pytest.raises(SealBroken):
            sealing.open_sealed(ONE, bytes(damaged), sealed, **WHO, purpose="profile")


@pytest.mark.parametrize("data", [b"", b"\x01", bytes(29), b"\x01" + bytes(27), b"\x01" + bytes(20_000)])
def test_data_of_no_form_is_refused(data: bytes) -> None:
    wrapped, sealed = sealed_for_member()
    with pytest.raises(SealBroken):
        sealing.open_sealed(ONE, wrapped, data, **WHO, purpose="profile")
    with pytest.raises(SealBroken):
        sealing.open_sealed(ONE, data, sealed, **WHO, purpose="profile")


def test_the_data_of_an_erased_member_does_not_open_under_a_new_key() -> None:
    _, sealed = sealed_for_member()
    new_wrapped = sealing.new_wrapped_key(ONE, **WHO)
    with pytest.raises(SealBroken):
        sealing.open_sealed(ONE, new_wrapped, sealed, **WHO, purpose="profile")


def test_the_same_text_is_sealed_differently_each_time() -> None:
    wrapped = sealing.new_wrapped_key(ONE, **WHO)
    sealed = {sealing.seal(ONE, wrapped, TEXT, **WHO, purpose="profile") for _ in range(100)}
    assert len({one[1:13] for one in sealed}) == 100
    assert not any(TEXT in one for one in sealed)


def test_the_master_key_is_rotated_without_touching_the_data() -> None:
    wrapped, sealed = sealed_for_member()
    both = sealing.MasterKeys(2, {**ONE.by_version, 2: os.urandom(32)})
    assert sealing.open_sealed(both, wrapped, sealed, **WHO, purpose="profile") == TEXT
    rewrapped = sealing.rewrap(both, wrapped, **WHO)
    assert (sealing.wrapped_version(wrapped), sealing.wrapped_version(rewrapped)) == (1, 2)
    new_alone = sealing.MasterKeys(2, {2: both.by_version[2]})
    assert sealing.open_sealed(new_alone, rewrapped, sealed, **WHO, purpose="profile") == TEXT
    with pytest.raises(SealBroken, match="sealing key 1 is not in the key directory"):
        sealing.open_sealed(new_alone, wrapped, sealed, **WHO, purpose="profile")


def test_a_wrapped_key_cannot_be_wrapped_again_for_another_member() -> None:
    wrapped, _ = sealed_for_member()
    with pytest.raises(SealBroken):
        sealing.rewrap(ONE, wrapped, program_id="aurora", member_id="member-2")


def test_master_keys_of_wrong_size_or_number_are_a_programmers_error() -> None:
    for current, by_version in (
        (2, {1: bytes(32)}),
        (0, {0: bytes(32)}),
        (256, {256: bytes(32)}),
        (1, {1: b"x"}),
    ):
        with pytest.raises(AssertionError):
            sealing.MasterKeys(current, by_version)
