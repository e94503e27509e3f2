"""Writes the golden codes: what a till of today must still take when the program has moved on.

``python -m tests.golden.codes`` makes them anew, with other signatures: only when the format was changed on purpose.
"""

from __future__ import annotations

import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.security.code import code_to_digits, issue_credential, issue_server_code, sign_code
from tallystick.security.keys import SigningKey, public_jwk, thumbprint

CODES = Path(__file__).parent / "codes"
PROGRAM = "corner"
PSEUDONYM = bytes.fromhex("0102030405060708")
ISSUED_S = 1_790_000_000
EXPIRES_S = ISSUED_S + 14 * 86_400
BURN_FROM_S = ISSUED_S + 86_400
CTI = bytes.fromhex("0a0b0c0d")


def key(number: int) -> SigningKey:
    """A key that everybody knows: the private number is the one given."""
    private = ec.derive_private_key(number, ec.SECP256R1())
    return SigningKey(thumbprint(private.public_key()), private)


SERVER, DEVICE = key(0x5EED), key(0xD0)


def credential(burn_from_s: int) -> bytes:
    return issue_credential(
        SERVER,
        program_id=PROGRAM,
        pseudonym=PSEUDONYM,
        device=DEVICE.verify_key,
        expires_s=EXPIRES_S,
        burn_from_s=burn_from_s,
    )


def made() -> dict[str, bytes]:
    """The codes, each with signatures of its own."""

    def shown(burn_from_s: int) -> bytes:
        inner = credential(burn_from_s)
        return sign_code(DEVICE, inner, program_id=PROGRAM, issued_s=ISSUED_S, cti=CTI)

    return {
        "device-signed": shown(0),
        "device-signed-first-day": shown(BURN_FROM_S),
        "server-signed": issue_server_code(
            SERVER, program_id=PROGRAM, pseudonym=PSEUDONYM, expires_s=EXPIRES_S
        ),
    }


def main() -> None:
    CODES.mkdir(exist_ok=True)
    for name, raw in made().items():
        vector = {
            "program_id": PROGRAM,
            "server_key": public_jwk(SERVER.verify_key.public_key),
            "device_key": public_jwk(DEVICE.verify_key.public_key),
            "hex": raw.hex(),
            "digits": code_to_digits(raw),
        }
        (CODES / f"{name}.json").write_text(json.dumps(vector, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
