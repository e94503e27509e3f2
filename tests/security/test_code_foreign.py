"""Codes as programs see them that are not ours: a COSE library, and a reader of symbols."""

from __future__ import annotations

import random
from typing import Any

import cbor2
import numpy as np
import pytest
import qrcode
import zxingcpp
from PIL import Image, ImageFilter
from pycose.algorithms import Es256
from pycose.headers import KID, Algorithm
from pycose.keys.ec2 import EC2Key
from pycose.messages.sign1message import Sign1Message

from tallystick.security.code import (
    CREDENTIAL,
    DEVICE_CODE,
    SERVER_CODE,
    Code,
    code_to_digits,
    issue_credential,
    issue_server_code,
    open_code,
    scanned_code,
    sign_code,
)
from tallystick.security.keys import SigningKey, generate_signing_key

PROGRAM = "corner"
NOW_S = 1_790_000_000
PSEUDONYM = b"\x80" * 8
SERVER, DEVICE = generate_signing_key(), generate_signing_key()
KEYS = {SERVER.kid: SERVER.verify_key}
CREDENTIAL_BYTES = issue_credential(
    SERVER,
    program_id=PROGRAM,
    pseudonym=PSEUDONYM,
    device=DEVICE.verify_key,
    expires_s=NOW_S + 1000,
    burn_from_s=NOW_S,
)
DEVICE_BYTES = sign_code(DEVICE, CREDENTIAL_BYTES, program_id=PROGRAM, issued_s=NOW_S, cti=b"abcd")
SERVER_BYTES = issue_server_code(SERVER, program_id=PROGRAM, pseudonym=PSEUDONYM, expires_s=NOW_S + 1000)


def foreign_key(key: SigningKey) -> EC2Key:
    numbers = key.private_key.private_numbers()
    x, y, d = numbers.public_numbers.x, numbers.public_numbers.y, numbers.private_value
    parts = [part.to_bytes(32, "big") for part in (x, y, d)]
    return EC2Key(crv="P_256", x=parts[0], y=parts[1], d=parts[2])


def external(context: bytes) -> bytes:
    return context + b"\x00" + PROGRAM.encode()


@pytest.mark.parametrize(
    ("raw", "key", "context"),
    [
        (SERVER_BYTES, SERVER, SERVER_CODE),
        (CREDENTIAL_BYTES, SERVER, CREDENTIAL),
        (DEVICE_BYTES, DEVICE, DEVICE_CODE),
    ],
    ids=["server code", "credential", "device code"],
)
def test_another_cose_library_believes_our_signatures_and_no_changed_ones(
    raw: bytes, key: SigningKey, context: bytes
) -> None:
    message: Any = Sign1Message.from_cose_obj(cbor2.loads(raw), allow_unknown_attributes=True)
    message.key = foreign_key(key)
    message.external_aad = external(context)
    assert message.verify_signature()
    message.external_aad = external(b"tallystick.other.v1")
    assert not message.verify_signature()
    message.external_aad = external(context)
    message.payload = message.payload[:-1] + bytes([message.payload[-1] ^ 1])
    assert not message.verify_signature()


def foreign(key: SigningKey, header: dict[object, object], payload: object, context: bytes) -> bytes:
    message: Any = Sign1Message(phdr=header, payload=cbor2.dumps(payload))
    message.key = foreign_key(key)
    message.external_aad = external(context)
    encoded: bytes = message.encode(tag=False)
    return encoded


def test_we_believe_what_another_cose_library_signed() -> None:
    kid = cbor2.loads(cbor2.loads(SERVER_BYTES)[0])[4]
    by_server: dict[object, object] = {Algorithm: Es256, KID: kid}
    claims = {2: PSEUDONYM, 4: NOW_S}
    alone = foreign(SERVER, by_server, claims, SERVER_CODE)
    assert open_code(alone, program_id=PROGRAM, server_keys=KEYS) == Code(PSEUDONYM, NOW_S)

    point = DEVICE.private_key.public_key().public_numbers()
    device = {1: 2, -1: 1, -2: point.x.to_bytes(32, "big"), -3: bool(point.y & 1)}
    inner = foreign(SERVER, by_server, {**claims, 8: {1: device}}, CREDENTIAL)
    outer = foreign(DEVICE, {Algorithm: Es256, 13: cbor2.loads(inner)}, {6: NOW_S, 7: b"abcd"}, DEVICE_CODE)
    found = open_code(outer, program_id=PROGRAM, server_keys=KEYS)
    assert isinstance(found, Code)
    assert found.device is not None
    assert (found.device.kid, found.issued_s) == (DEVICE.kid, NOW_S)


def symbol(raw: bytes, *, pixels: int) -> tuple[Image.Image, int]:
    """The QR of a code, dark on light with a quiet zone, and its version."""
    drawn = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, box_size=pixels, border=4)
    drawn.add_data(code_to_digits(raw))
    drawn.make(fit=True)
    return drawn.make_image().get_image().convert("L"), drawn.version


def read(image: Image.Image) -> bytes | None:
    found = zxingcpp.read_barcodes(
        np.asarray(image), formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    )
    scanned = scanned_code(found[0].text) if found else None
    return scanned.raw if scanned else None


@pytest.mark.parametrize(
    ("raw", "version"), [(DEVICE_BYTES, 11), (SERVER_BYTES, 6)], ids=["device code", "server code"]
)
def test_a_reader_reads_what_we_draw_at_the_promised_size(raw: bytes, version: int) -> None:
    image, drawn = symbol(raw, pixels=4)
    assert drawn == version
    assert image.size == ((17 + 4 * version + 8) * 4,) * 2
    assert read(image) == raw


@pytest.mark.parametrize("raw", [DEVICE_BYTES, SERVER_BYTES], ids=["device code", "server code"])
@pytest.mark.parametrize(
    "seen",
    ["blurred", "turned", "upside down", "small", "large", "slanted", "grey", "noisy", "all of it"],
)
def test_a_reader_reads_it_from_a_poor_picture(raw: bytes, seen: str) -> None:
    image, _ = symbol(raw, pixels=6)
    assert read(taken(image, seen)) == raw


def taken(image: Image.Image, seen: str) -> Image.Image:
    """The symbol as a camera might see it."""
    width, height = image.size
    match seen:
        case "blurred":
            return image.filter(ImageFilter.GaussianBlur(1.8))
        case "turned":
            return image.rotate(17, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
        case "upside down":
            return image.rotate(180)
        case "small":
            return image.resize((width * 5 // 12, height * 5 // 12), Image.Resampling.LANCZOS)
        case "large":
            return image.resize((width * 5 // 2, height * 5 // 2), Image.Resampling.BICUBIC)
        case "slanted":
            corners = (-20.0, -10.0, 0.0, height + 25.0, width + 10.0, float(height), float(width), -30.0)
            return image.transform(image.size, Image.Transform.QUAD, corners, fillcolor=255)
        case "grey":
            return image.point(lambda value: 90 + value // 4)
        case "noisy":
            speckles = random.Random(1)
            grain = bytes(speckles.randrange(110) for _ in range(width * height))
            return Image.blend(image, Image.frombytes("L", image.size, grain), 0.5)
        case _:
            turned = taken(taken(image, "grey"), "turned")
            return turned.filter(ImageFilter.GaussianBlur(1.2))
