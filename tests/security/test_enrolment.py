"""One-time enrolment codes and the proof that comes with them."""

import os
import re
from dataclasses import replace

import pytest

from tallystick.security import enrolment, keys
from tallystick.security.enrolment import CodeCheck

NOW_S = 1_800_000_000
KEY = os.urandom(32)
DEVICE = keys.generate_signing_key()


def record_of(code: str) -> enrolment.EnrolmentCode:
    return enrolment.code_record(KEY, code, program_id="aurora", now_s=NOW_S)


def check(record: enrolment.EnrolmentCode, text: str, *, at_s: int = 0) -> CodeCheck:
    return enrolment.check_code(record, text, key=KEY, now_s=NOW_S + at_s)


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


def test_a_code_opens_once_typed_as_shown() -> None:
    code = enrolment.new_code()
    record = record_of(code)
    assert check(record, code) is CodeCheck.ACCEPTED
    assert check(replace(record, used=True), code) is CodeCheck.USED


@pytest.mark.parametrize(
    "typed", ["K10B-9QRS-TVWX", "k10b9qrstvwx", " KlOB 9QRS TVWX ", "KIoB-9QRS-TVWX", "k1-0b 9q-rs tv-wx"]
)
def test_case_separators_and_lookalikes_do_not_matter(typed: str) -> None:
    assert enrolment.normalise_code(typed) == "K10B9QRSTVWX"
    assert enrolment.selector(typed) == "K1"
    assert check(record_of("K10B-9QRS-TVWX"), typed) is CodeCheck.ACCEPTED


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
def test_what_cannot_be_a_code_is_wrong_and_finds_no_record(typed: str) -> None:
    assert enrolment.normalise_code(typed) is None
    assert enrolment.selector(typed) is None
    assert check(record_of("K10B-9QRS-TVWX"), typed) is CodeCheck.WRONG


def test_a_wrong_code_is_wrong() -> None:
    code = enrolment.new_code()
    assert check(record_of(code), other_than(code)) is CodeCheck.WRONG


def test_a_code_is_good_for_ten_minutes() -> None:
    code = enrolment.new_code()
    assert check(record_of(code), code, at_s=599) is CodeCheck.ACCEPTED
    assert check(record_of(code), code, at_s=600) is CodeCheck.EXPIRED


def test_the_fifth_try_still_counts_and_the_sixth_is_refused_even_if_right() -> None:
    code = enrolment.new_code()
    record = record_of(code)
    assert check(replace(record, tries=4), code) is CodeCheck.ACCEPTED
    assert check(replace(record, tries=5), code) is CodeCheck.TRIES_SPENT
    assert check(replace(record, tries=5), other_than(code)) is CodeCheck.TRIES_SPENT


def test_a_code_of_one_program_is_wrong_in_another() -> None:
    code = enrolment.new_code()
    elsewhere = replace(record_of(code), program_id="borealis")
    assert check(elsewhere, code) is CodeCheck.WRONG


def test_the_record_holds_the_code_only_as_a_keyed_hash() -> None:
    code = enrolment.new_code()
    record = record_of(code)
    assert code.replace("-", "")[2:] not in repr(record)
    assert record.selector == code[:2]
    with_other_key = enrolment.code_record(os.urandom(32), code, program_id="aurora", now_s=NOW_S)
    assert with_other_key.code_hash != record.code_hash
    assert len(record.code_hash) == 32


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
