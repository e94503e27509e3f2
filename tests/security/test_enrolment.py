"""One-time enrolment codes and the proof that comes with them."""

import os
import re

import pytest

from tallystick.security import enrolment, keys

NOW_S = 1_800_000_000
KEY = os.urandom(32)
DEVICE = keys.generate_signing_key()


def hash_of(code: str, *, key: bytes = KEY, program_id: str = "aurora") -> bytes:
    normalised = enrolment.normalise_code(code)
    assert normalised is not None
    return enrolment.hash_code(key, normalised, program_id=program_id)


def other_than(code: str) -> str:
    return code[:-1] + ("0" if code[-1] != "0" else "1")


def test_a_code_is_three_groups_of_four_and_all_its_letters_vary() -> None:
    codes = {enrolment.new_code() for _ in range(1000)}
    assert len(codes) == 1000
    assert all(re.fullmatch(r"(?:[0-9A-HJKMNP-TV-Z]{4}-?){3}", code) for code in codes)
    for position in (0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13):
        assert len({code[position] for code in codes}) == 32


def test_the_secret_part_has_fifty_bits() -> None:
    assert enrolment.SECRET_CHARS * 5 == 50
    assert len(enrolment.new_code().replace("-", "")) == enrolment.SELECTOR_CHARS + enrolment.SECRET_CHARS


@pytest.mark.parametrize(
    "typed", ["K10B-9QRS-TVWX", "k10b9qrstvwx", " KlOB 9QRS TVWX ", "KIoB-9QRS-TVWX", "k1-0b 9q-rs tv-wx"]
)
def test_case_separators_and_lookalikes_do_not_matter(typed: str) -> None:
    assert enrolment.normalise_code(typed) == "K10B9QRSTVWX"
    assert enrolment.selector(typed) == "K1"
    assert hash_of(typed) == hash_of("K10B-9QRS-TVWX")


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "K10B-9QRS-TVW",
        "K10B-9QRS-TVWXY",
        "K10B-9QRS-TVWU",
        "K10B-9QRS-TVW!",
        "\uff2b10B-9QRS-TVWX",
        "0" * 41,
        "' OR 1=1--ab",
    ],
)
def test_what_cannot_be_a_code_finds_none(typed: str) -> None:
    assert enrolment.normalise_code(typed) is None
    assert enrolment.selector(typed) is None


def test_another_code_program_or_key_has_another_hash() -> None:
    code = enrolment.new_code()
    hashes = {
        hash_of(code),
        hash_of(other_than(code)),
        hash_of(code, program_id="borealis"),
        hash_of(code, key=os.urandom(32)),
    }
    assert len(hashes) == 4
    assert {len(each) for each in hashes} == {32}


def test_the_hash_does_not_show_the_code() -> None:
    code = enrolment.new_code()
    assert code.replace("-", "")[2:].encode() not in hash_of(code)


def test_the_device_proves_its_key_for_this_code_and_program() -> None:
    proof = enrolment.prove_possession(DEVICE, code="K10B-9QRS-TVWX", program_id="aurora")
    assert len(proof) == 64
    assert enrolment.possession_holds(DEVICE.verify_key, proof, code="kl0b9qrstvwx", program_id="aurora")


def test_a_proof_does_not_hold_for_another_key_code_or_program() -> None:
    proof = enrolment.prove_possession(DEVICE, code="K10B-9QRS-TVWX", program_id="aurora")
    other = keys.generate_signing_key().verify_key

    def holds(key: keys.VerifyKey, code: str, program_id: str) -> bool:
        return enrolment.possession_holds(key, proof, code=code, program_id=program_id)

    assert holds(DEVICE.verify_key, "K10B-9QRS-TVWX", "aurora")
    assert not holds(other, "K10B-9QRS-TVWX", "aurora")
    assert not holds(DEVICE.verify_key, "K10B-9QRS-TVWY", "aurora")
    assert not holds(DEVICE.verify_key, "K10B-9QRS-TVWX", "borealis")
    assert not holds(DEVICE.verify_key, "no code", "aurora")


def test_a_key_cannot_be_enrolled_under_the_name_of_another() -> None:
    # The same public key under a forged name: the thumbprint is part of what was signed.
    proof = enrolment.prove_possession(DEVICE, code="K10B-9QRS-TVWX", program_id="aurora")
    forged = keys.VerifyKey(keys.generate_signing_key().kid, DEVICE.private_key.public_key())
    assert not enrolment.possession_holds(forged, proof, code="K10B-9QRS-TVWX", program_id="aurora")


@pytest.mark.parametrize("proof", [b"", bytes(64), b"\xff" * 64, bytes(72)])
def test_a_proof_of_no_form_does_not_hold(proof: bytes) -> None:
    assert not enrolment.possession_holds(
        DEVICE.verify_key, proof, code="K10B-9QRS-TVWX", program_id="aurora"
    )


def test_a_proof_is_no_signature_over_anything_else_that_the_device_signs() -> None:
    plain = DEVICE.sign_raw(b"K10B9QRSTVWX" + DEVICE.kid.encode() + b"aurora")
    assert not enrolment.possession_holds(
        DEVICE.verify_key, plain, code="K10B-9QRS-TVWX", program_id="aurora"
    )
