"""The member's code: what is taken, and that nothing else is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.security.code import (
    AGE_MAX_MS,
    AHEAD_MAX_MS,
    CODE_BYTES_MAX,
    CREDENTIAL,
    DEVICE_CODE,
    SERVER_CODE,
    SERVER_CODE_DIGITS,
    Code,
    CodeReason,
    Scanned,
    Stamp,
    code_from_digits,
    code_to_digits,
    issue_credential,
    issue_server_code,
    open_code,
    scanned_code,
    sign_code,
)
from tallystick.security.keys import SigningKey, generate_signing_key, public_jwk
from tallystick.wire.advices import from_digits, to_digits

NOW_S = 1_790_000_000
NOW_MS = NOW_S * 1000
PROGRAM = "corner"
PSEUDONYM = bytes(range(8))
CTI = b"\x00\x01\x02\x03"
SERVER, OTHER_SERVER, DEVICE, OTHER_DEVICE = (generate_signing_key() for _ in range(4))
KEYS = {key.kid: key.verify_key for key in (SERVER, generate_signing_key())}
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256 (SEC 2, section 2.4.2): s and ORDER - s are both good."""


def credential(key: SigningKey = SERVER, *, device: SigningKey = DEVICE, burn_from_s: int = 0) -> bytes:
    return issue_credential(
        key,
        program_id=PROGRAM,
        pseudonym=PSEUDONYM,
        device=device.verify_key,
        expires_s=NOW_S + 1000,
        burn_from_s=burn_from_s,
    )


def device_code(**more: Any) -> bytes:
    given_credential = more.pop("credential", None) or credential()
    asked = {"program_id": PROGRAM, "issued_s": NOW_S, "cti": CTI, **more}
    return sign_code(asked.pop("key", DEVICE), given_credential, **asked)


def server_code() -> bytes:
    return issue_server_code(SERVER, program_id=PROGRAM, pseudonym=PSEUDONYM, expires_s=NOW_S + 1000)


def opened(raw: bytes) -> Code | CodeReason:
    return open_code(raw, program_id=PROGRAM, server_keys=KEYS)


def test_a_device_code_says_whose_it_is_and_when_it_was_made() -> None:
    found = opened(device_code())
    assert isinstance(found, Code)
    assert found.device is not None
    assert public_jwk(found.device.public_key) == public_jwk(DEVICE.verify_key.public_key)
    assert found.device.kid == DEVICE.kid
    assert (found.pseudonym, found.expires_s, found.issued_s, found.cti) == (
        PSEUDONYM,
        NOW_S + 1000,
        NOW_S,
        CTI,
    )
    assert found.use == f"{NOW_S}:00010203"
    assert (found.level(NOW_MS), found.out_of_time(NOW_MS)) == (4, None)


def test_a_server_code_says_whose_it_is() -> None:
    assert opened(server_code()) == Code(PSEUDONYM, NOW_S + 1000)
    assert Code(PSEUDONYM, NOW_S + 1000).level(NOW_MS) == 2


@pytest.mark.parametrize(("key", "odd"), [(key, odd) for key in range(4) for odd in (False, True)])
def test_any_device_key_comes_back_from_its_short_form(key: int, odd: bool) -> None:
    device = generate_signing_key()
    while bool(device.private_key.public_key().public_numbers().y & 1) is not odd:
        device = generate_signing_key()
    found = opened(device_code(key=device, credential=credential(device=device), issued_s=NOW_S + key))
    assert isinstance(found, Code)
    assert found.device is not None
    assert found.device.kid == device.kid


def test_a_new_device_looks_and_does_not_burn() -> None:
    found = opened(device_code(credential=credential(burn_from_s=NOW_S + 60)))
    assert isinstance(found, Code)
    assert [found.level(NOW_MS + ms) for ms in (0, 59_999, 60_000)] == [0, 0, 4]


@pytest.mark.parametrize(
    ("age_ms", "reason"),
    [
        (0, None),
        (AGE_MAX_MS, None),
        (AGE_MAX_MS + 1, CodeReason.EXPIRED),
        (46_000, CodeReason.EXPIRED),
        (-AHEAD_MAX_MS, None),
        (-AHEAD_MAX_MS - 1, CodeReason.CLOCK),
        (-86_400_000, CodeReason.CLOCK),
        (1_000_000, CodeReason.EXPIRED),
    ],
)
def test_a_code_counts_for_a_minute_and_a_half(age_ms: int, reason: CodeReason | None) -> None:
    found = opened(device_code())
    assert isinstance(found, Code)
    assert found.out_of_time(NOW_MS + age_ms) is reason


def test_a_code_of_an_expired_credential_has_expired_however_new_it_is() -> None:
    found = opened(device_code(issued_s=NOW_S + 1000))
    assert isinstance(found, Code)
    assert found.out_of_time(NOW_MS + 1_000_000) is CodeReason.EXPIRED
    assert found.out_of_time(NOW_MS + 999_999) is None
    late = opened(server_code())
    assert isinstance(late, Code)
    assert [late.out_of_time(NOW_MS + ms) for ms in (999_999, 1_000_000)] == [None, CodeReason.EXPIRED]


BAD_SIGNATURES: dict[str, Callable[[], bytes]] = {
    "another device's key": lambda: device_code(key=OTHER_DEVICE),
    "another server's credential": lambda: device_code(credential=credential(OTHER_SERVER)),
    "another server's code": lambda: issue_server_code(
        OTHER_SERVER, program_id=PROGRAM, pseudonym=PSEUDONYM, expires_s=NOW_S
    ),
    "another program's device": lambda: device_code(program_id="corner2"),
    "another program's credential": lambda: device_code(
        credential=issue_credential(
            SERVER,
            program_id="other",
            pseudonym=PSEUDONYM,
            device=DEVICE.verify_key,
            expires_s=NOW_S + 1000,
            burn_from_s=0,
        )
    ),
    "no signature at all": lambda: _changed(device_code(), lambda code: code.__setitem__(3, bytes(64))),
}


@pytest.mark.parametrize("make", BAD_SIGNATURES.values(), ids=BAD_SIGNATURES)
def test_a_signature_that_does_not_hold_is_called_that(make: Callable[[], bytes]) -> None:
    assert opened(make()) is CodeReason.BAD_SIGNATURE


def test_a_signature_of_one_kind_does_not_serve_as_another() -> None:
    for wrong, raw in (
        (SERVER_CODE, server_code()),
        (CREDENTIAL, credential()),
        (DEVICE_CODE, device_code()),
    ):
        protected, _, payload, signature = cbor2.loads(raw)
        key = DEVICE if wrong is DEVICE_CODE else SERVER
        for context in (SERVER_CODE, CREDENTIAL, DEVICE_CODE):
            external = context + b"\x00" + PROGRAM.encode()
            message = cbor2.dumps(["Signature1", protected, external, payload])
            assert key.verify_key.verify_raw(signature, message) is (context is wrong)


def test_a_changed_signature_that_still_holds_is_the_same_use() -> None:
    raw = device_code()
    s = ORDER - int.from_bytes(raw[-32:], "big")
    other = raw[:-32] + s.to_bytes(32, "big")
    first, second = opened(raw), opened(other)
    assert isinstance(first, Code)
    assert isinstance(second, Code)
    assert raw != other
    assert first.use == second.use


def test_one_changed_byte_anywhere_is_refused() -> None:
    for raw in (device_code(credential=credential(burn_from_s=NOW_S + 9)), server_code()):
        for place in range(len(raw)):
            for bits in (1, 0x80):
                changed = bytearray(raw)
                changed[place] ^= bits
                assert isinstance(opened(bytes(changed)), CodeReason), (place, bits)


def test_a_truncated_or_continued_code_is_refused() -> None:
    for raw in (device_code(), server_code()):
        assert {opened(raw[:size]) for size in range(len(raw))} == {CodeReason.FORMAT}
        assert opened(raw + b"\x00") is CodeReason.FORMAT


def _changed(raw: bytes, change: Callable[[list[Any]], object]) -> bytes:
    value = cbor2.loads(raw)
    change(value)
    return cbor2.dumps(value, canonical=True)


def _resigned(
    header: object, payload: object, key: SigningKey = SERVER, context: bytes = SERVER_CODE
) -> bytes:
    protected, body = cbor2.dumps(header), cbor2.dumps(payload)
    message = cbor2.dumps(["Signature1", protected, context + b"\x00" + PROGRAM.encode(), body])
    return cbor2.dumps([protected, {}, body, key.sign_raw(message)])


CLAIMS: dict[Any, Any] = {2: PSEUDONYM, 4: NOW_S}
TRUE: Any = True
KID = cbor2.loads(cbor2.loads(server_code())[0])[4]
HEADER = {1: -7, 4: KID}
MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "a number": b"\x01",
    "a credential": credential(),
    "a map": cbor2.dumps({1: 2}),
    "tagged as COSE_Sign1": cbor2.dumps(cbor2.CBORTag(18, cbor2.loads(server_code()))),
    "a date": cbor2.dumps(cbor2.CBORTag(1, 0)),
    "a pattern": b"\xd8\x23\x64((((",
    "five parts": _changed(server_code(), lambda code: code.append(0)),
    "three parts": _changed(server_code(), lambda code: code.pop()),
    "an unprotected header": _changed(server_code(), lambda code: code.__setitem__(1, {1: -7})),
    "a text as signature": _changed(server_code(), lambda code: code.__setitem__(3, "x" * 64)),
    "a short signature": _changed(server_code(), lambda code: code.__setitem__(3, bytes(63))),
    "a text as payload": _changed(server_code(), lambda code: code.__setitem__(2, "x")),
    "indefinite length": b"\x9f" + server_code()[1:] + b"\xff",
    "another algorithm": _resigned({1: -8, 4: KID}, CLAIMS),
    "true as label": _resigned({4: KID, TRUE: -7}, CLAIMS),
    "no algorithm": _resigned({4: KID}, CLAIMS),
    "no kid": _resigned({1: -7}, CLAIMS),
    "a critical header": _resigned({1: -7, 2: [4], 4: KID}, CLAIMS),
    "a text as kid": _resigned({1: -7, 4: "x" * 8}, CLAIMS),
    "a long kid": _resigned({1: -7, 4: KID + b"0"}, CLAIMS),
    "an unknown claim": _resigned(HEADER, {**CLAIMS, 3: 1}),
    "a claim with a text as name": _resigned(HEADER, {**CLAIMS, "x": 1}),
    "no pseudonym": _resigned(HEADER, {4: NOW_S}),
    "a long pseudonym": _resigned(HEADER, {2: PSEUDONYM + b"0", 4: NOW_S}),
    "a text as pseudonym": _resigned(HEADER, {2: "12345678", 4: NOW_S}),
    "an end as fraction": _resigned(HEADER, {2: PSEUDONYM, 4: float(NOW_S)}),
    "an end as truth": _resigned(HEADER, {2: PSEUDONYM, 4: True}),
    "an end in 1970": _resigned(HEADER, {2: PSEUDONYM, 4: 1}),
    "an end after 2106": _resigned(HEADER, {2: PSEUDONYM, 4: 2**32}),
    "an end before time": _resigned(HEADER, {2: PSEUDONYM, 4: -1}),
    "an end beyond all numbers": _resigned(HEADER, {2: PSEUDONYM, 4: 2**70}),
    "claims out of order": _resigned(HEADER, {4: NOW_S, 2: PSEUDONYM}),
    "a list of claims": _resigned(HEADER, [2, PSEUDONYM]),
    "a credential in a server's code": _resigned({1: -7, 13: cbor2.loads(credential())}, CLAIMS),
    "deep nesting": b"\x81" * (CODE_BYTES_MAX - 1) + b"\x00",
    "a promise of much": b"\x9b" + b"\xff" * 8,
    "a promise of many bytes": b"\x5b" + b"\x7f" * 8,
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_code_is_refused_as_a_format(raw: bytes) -> None:
    assert opened(raw) is CodeReason.FORMAT


@pytest.mark.parametrize(
    "cose_key",
    [
        {1: 2, -1: 1, -2: bytes(32), -3: bytes(32)},
        {1: 2, -1: 1, -2: b"\xff" * 32, -3: True},
        {1: 2, -1: 2, -2: bytes(32), -3: True},
        {1: 1, -1: 1, -2: bytes(32), -3: True},
        {1: 2, -1: 1, -2: bytes(31), -3: True},
        {1: 2, -1: 1, -2: bytes(32), -3: 1},
        {1: 2, 3: -7, -1: 1, -2: bytes(32), -3: True},
        {1: 2, -1: 1, -2: bytes(32), -3: True, -4: bytes(32)},
        b"key",
    ],
    ids=range(9),
)
def test_a_key_that_is_none_is_refused_even_when_the_server_signed_it(cose_key: object) -> None:
    claims = {2: PSEUDONYM, 4: NOW_S + 1000, 8: {1: cose_key}}
    inner = cbor2.dumps(cbor2.loads(_resigned(HEADER, claims, context=CREDENTIAL)), canonical=True)
    assert opened(sign_code(DEVICE, inner, program_id=PROGRAM, issued_s=NOW_S, cti=CTI)) is CodeReason.FORMAT


def octets(data: bytes) -> bytes:
    """A byte string in CBOR, its length in one byte or two."""
    return (bytes([0x40 + len(data)]) if len(data) < 24 else bytes([0x58, len(data)])) + data


def test_a_device_without_a_cbor_library_makes_the_same_code() -> None:
    inner = credential()
    header = bytes.fromhex("a201260d") + inner
    payload = bytes.fromhex("a2061a") + NOW_S.to_bytes(4, "big") + bytes.fromhex("0744") + CTI
    external = DEVICE_CODE + b"\x00" + PROGRAM.encode()
    message = b"\x84\x6aSignature1" + octets(header) + octets(external) + octets(payload)
    raw = b"\x84" + octets(header) + b"\xa0" + octets(payload) + b"\x58\x40" + DEVICE.sign_raw(message)
    assert raw[:-64] == device_code(credential=inner)[:-64]
    assert isinstance(opened(raw), Code)


def test_the_same_claim_twice_is_refused() -> None:
    twice = (
        b"\xa3" + b"\x02\x48" + PSEUDONYM + b"\x02\x48" + PSEUDONYM + b"\x04\x1a" + NOW_S.to_bytes(4, "big")
    )
    protected = cbor2.dumps(HEADER)
    message = cbor2.dumps(["Signature1", protected, SERVER_CODE + b"\x00" + PROGRAM.encode(), twice])
    raw = cbor2.dumps([protected, {}, twice, SERVER.sign_raw(message)])
    assert opened(raw) is CodeReason.FORMAT


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_it_fail(raw: bytes) -> None:
    assert isinstance(opened(raw), CodeReason)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary(max_size=70) | st.text(max_size=9) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-3, 13), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(header=VALUES, payload=VALUES, unprotected=VALUES, bytes_inside=st.booleans())
def test_no_four_parts_make_it_fail(
    header: object, payload: object, unprotected: object, bytes_inside: bool
) -> None:
    inner = [cbor2.dumps(header), unprotected, cbor2.dumps(payload), bytes(64)]
    raw = cbor2.dumps(inner if bytes_inside else [header, {}, payload, bytes(64)])
    assert isinstance(opened(raw), CodeReason)


@settings(max_examples=200, deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, 230), st.integers(1, 255)), min_size=1, max_size=4))
def test_no_edit_of_a_genuine_code_is_believed(places: list[tuple[int, int]]) -> None:
    genuine = _GENUINE[0]
    changed = bytearray(genuine)
    for place, bits in places:
        changed[place] ^= bits
    assert isinstance(opened(bytes(changed)), CodeReason) is (bytes(changed) != genuine)


_GENUINE = (device_code(),)


def test_digits_lead_back_to_the_code_and_to_no_voucher() -> None:
    for raw in (device_code(), server_code()):
        digits = code_to_digits(raw)
        assert code_from_digits(digits) == raw
        assert from_digits(digits) is None
        assert code_from_digits(to_digits(raw)) is None
        assert code_from_digits("0" + digits) is None
        assert code_from_digits(digits[:-1]) != raw


def test_codes_are_as_short_as_their_promised_symbols_need() -> None:
    longest = b"\xff" * CODE_BYTES_MAX
    assert len(device_code(credential=credential(burn_from_s=NOW_S))) == CODE_BYTES_MAX
    assert len(device_code()) == CODE_BYTES_MAX - 10
    assert len(server_code()) == 100
    assert len(code_to_digits(longest)) <= 604
    assert len(code_to_digits(longest[:100])) <= 255


def test_far_too_many_digits_are_never_made_a_number() -> None:
    began = time.perf_counter()
    assert code_from_digits("9" * 5_000_000) is None
    assert scanned_code("9" * 5_000_000) is None
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize(
    "noise",
    ["{}", "{}\r\n", "\x02{}\x03", " {}\t", "\ufeff{}\x1d", "]Q1{}", "\x02]Q3{}\r", "\u202a{}\u202c"],
)
def test_what_a_wedge_puts_around_a_code_is_taken_off(noise: str) -> None:
    raw = device_code()
    assert scanned_code(noise.format(code_to_digits(raw))) == Scanned(raw)


def test_the_time_and_the_password_behind_a_servers_code_are_told_from_it() -> None:
    raw = server_code()
    digits = code_to_digits(raw)
    assert len(digits) == SERVER_CODE_DIGITS
    scanned = scanned_code(f"\x02{digits}177236640000000042\r")
    assert scanned == Scanned(raw, Stamp(1_772_366_400, "00000042"))
    assert scanned.digits == f"{digits}177236640000000042"
    assert Scanned(raw).digits == digits


@pytest.mark.parametrize("added", ["1", "0" * 17, "0" * 19])
def test_a_stamp_of_another_length_makes_no_code(added: str) -> None:
    scanned = scanned_code(code_to_digits(server_code()) + added)
    assert scanned is None or opened(scanned.raw) is CodeReason.FORMAT


def test_a_servers_code_has_the_same_length_whatever_is_in_it() -> None:
    numbers = random.Random(7)
    for _ in range(20):
        key = generate_signing_key()
        raw = issue_server_code(
            key,
            program_id=PROGRAM,
            pseudonym=numbers.randbytes(8),
            expires_s=numbers.choice([2**24, NOW_S, 2**32 - 1]),
            rotating=numbers.random() < 0.5,
        )
        assert len(code_to_digits(raw)) == SERVER_CODE_DIGITS


def test_a_rotating_code_is_told_from_one_that_stands_still() -> None:
    rotating = issue_server_code(
        SERVER, program_id=PROGRAM, pseudonym=PSEUDONYM, expires_s=NOW_S, rotating=True
    )
    found, still = opened(rotating), opened(server_code())
    assert isinstance(found, Code)
    assert isinstance(still, Code)
    assert (found.rotating, still.rotating) == (True, False)
    other = open_code(rotating, program_id="another", server_keys=KEYS)
    assert other is CodeReason.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("off_s", "reason"),
    [
        (-31, CodeReason.EXPIRED),
        (-30, None),
        (0, None),
        (59, None),
        (60, CodeReason.CLOCK),
    ],
)
def test_a_password_counts_in_its_period_the_one_before_and_the_one_after(
    off_s: int, reason: CodeReason | None
) -> None:
    now_ms = 1_772_366_400_000
    assert Stamp(now_ms // 1000 + off_s, "").out_of_time(now_ms) is reason


def test_a_stamp_is_usable_until_it_is_too_old() -> None:
    stamp = Stamp(1_772_366_400, "")
    assert stamp.out_of_time(stamp.usable_until_ms - 1) is None
    assert stamp.out_of_time(stamp.usable_until_ms) is CodeReason.EXPIRED


@pytest.mark.parametrize(
    "scan",
    [
        "",
        "9900000000000010",
        "{}x",
        "x{}",
        "{} {}",
        "]Q1]Q1{}",
        "-{}",
        "+{}",
        "1_{}",
        "{}.0",
    ],
)
def test_any_other_scan_is_no_code(scan: str) -> None:
    assert scanned_code(scan.replace("{}", code_to_digits(server_code()))) is None


def test_digits_of_another_script_are_no_code() -> None:
    digits = code_to_digits(server_code())
    assert scanned_code("".join(chr(0x0660 + int(digit)) for digit in digits)) is None


def test_random_digits_are_no_code() -> None:
    numbers = random.Random(4)
    for size in (200, 242, 300, 565, 589, 604):
        raw = code_from_digits("2" + "".join(numbers.choices("0123456789", k=size - 1)))
        assert raw is None or opened(raw) is CodeReason.FORMAT
