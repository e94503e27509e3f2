"""Codes are taken and made as the golden ones say, byte by byte but for the signatures, which are random."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tallystick.security.code import Code, code_from_digits, code_to_digits, open_code
from tallystick.security.keys import verify_key_from_jwk
from tests.golden.codes import (
    BURN_FROM_S,
    CODES,
    CTI,
    DEVICE,
    EXPIRES_S,
    ISSUED_S,
    PROGRAM,
    PSEUDONYM,
    SERVER,
    made,
)

WANTED = {
    "device-signed": (DEVICE.kid, 0, ISSUED_S, CTI),
    "device-signed-first-day": (DEVICE.kid, BURN_FROM_S, ISSUED_S, CTI),
    "server-signed": ("", 0, 0, b""),
}


def vector(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((CODES / f"{name}.json").read_text(encoding="utf-8"))
    return read


def without_signatures(raw: bytes, *, layers: int) -> bytes:
    """The bytes with zeros for the signature at the end, and for that of the credential inside."""
    found = bytearray(raw)
    found[-64:] = bytes(64)
    if layers == 2:
        end = raw.index(b"\x06\x1a" + ISSUED_S.to_bytes(4, "big")) - 3
        found[end - 64 : end] = bytes(64)
    return bytes(found)


@pytest.mark.parametrize("name", WANTED)
def test_a_golden_code_is_taken(name: str) -> None:
    golden = vector(name)
    server = verify_key_from_jwk(golden["server_key"])
    raw = code_from_digits(golden["digits"])
    assert raw == bytes.fromhex(golden["hex"])
    code = open_code(raw, program_id=golden["program_id"], server_keys={server.kid: server})
    assert isinstance(code, Code)
    assert (code.pseudonym, code.expires_s) == (PSEUDONYM, EXPIRES_S)
    kid = code.device.kid if code.device else ""
    assert (kid, code.burn_from_s, code.issued_s, code.cti) == WANTED[name]


@pytest.mark.parametrize("name", WANTED)
def test_a_code_is_made_byte_by_byte_as_the_golden_one(name: str) -> None:
    layers = 1 if name == "server-signed" else 2
    golden = bytes.fromhex(vector(name)["hex"])
    now = made()[name]
    assert golden != now
    assert without_signatures(now, layers=layers) == without_signatures(golden, layers=layers)
    assert len(code_to_digits(now)) == len(vector(name)["digits"])


def test_the_golden_codes_are_those_that_are_made() -> None:
    assert {path.stem for path in CODES.glob("*.json")} == set(made()) == set(WANTED)
    assert (SERVER.kid, PROGRAM) == (
        verify_key_from_jwk(vector("server-signed")["server_key"]).kid,
        "corner",
    )
