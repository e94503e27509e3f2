"""How a till gets a key that counts: it makes the key here, proves it with a one-time code, and waits for a manager.

The private key never leaves the directory. What is shown for comparison is computed from the key itself, not taken from
whoever answered: a gateway that is none cannot make the two agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tallystick.security.device_link import LinkLost, LinkRefused, register_key
from tallystick.security.enrolment import normalise_code
from tallystick.security.keys import SigningKey, fingerprint, generate_signing_key
from tallystick.v1 import store_pb2, till_pb2
from tallystick_till.config import (
    CA_BYTES_MAX,
    CA_FILE,
    DB_FILE,
    KEY_FILE,
    ConfigRefused,
    TillConfig,
    has_config,
    load_config,
    load_key,
    prepare_directory,
    save_config,
    save_key,
    split_address,
    write_private,
)
from tallystick_till.ports import GatewayAway, GatewayRefused
from tallystick_till.transport import GrpcGateway, Tls

ASK_EVERY_S: Final = 1.0
NOT_CONFIRMED: Final = "DEVICE_NOT_CONFIRMED"


class EnrolRefused(Exception):
    """The gateway does not take this till; ``mend`` says what to do about it."""

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


def enrol(
    directory: Path, *, gateway: str, program_id: str, code: str, issuer: str, ca: Path | None
) -> TillConfig:
    """Register a key of this till with a code; what is returned (and stored) waits for a manager's confirmation.

    Repeating it with the same code is safe: the key is made once. Raises ``ConfigRefused`` and ``EnrolRefused``.
    """
    if normalise_code(code) is None:
        raise EnrolRefused("that is no enrolment code", mend="it has 12 letters and digits: K7AB-9QRS-TVWX")
    split_address(gateway)
    prepare_directory(directory)
    if has_config(directory) and load_config(directory).confirmed:
        raise ConfigRefused(
            f"a till is enrolled in {directory} already",
            mend="name another directory with --dir, or give this one up with `tallystick-till reset`",
        )
    if not has_config(directory) and (directory / DB_FILE).exists():
        raise ConfigRefused(
            f"{directory} holds the sales of a till that was enrolled before",
            mend="put its till.json back, or remove what is left of it with `tallystick-till reset`",
        )
    authority = _authority(ca)
    if authority is not None:
        write_private(directory / CA_FILE, authority)
    if not (directory / KEY_FILE).exists():
        save_key(directory, generate_signing_key())
    key = load_key(directory)
    tls = None if authority is None else Tls(directory / CA_FILE)
    answer = _register(gateway, tls, key, code=code, program_id=program_id)
    if answer.fingerprint != fingerprint(key.kid):
        raise EnrolRefused("the gateway answered for another key", mend="check the address of --gateway")
    config = TillConfig(
        till_id=answer.device_id,
        program_id=program_id,
        gateway=gateway,
        issuer=issuer,
        encrypted=authority is not None,
    )
    save_config(directory, config)
    return config


def await_confirmation(
    directory: Path,
    config: TillConfig,
    *,
    wait_s: float,
    sleep: Callable[[float], None] = time.sleep,
    now_s: Callable[[], float] = time.monotonic,
) -> TillConfig:
    """Ask every second whether a manager has confirmed the till; return and store its configuration with the store.

    Raises ``EnrolRefused`` when it has not within ``wait_s`` seconds, or never will be.
    """
    tls = Tls(directory / CA_FILE) if config.encrypted else None
    gateway = GrpcGateway(config.identity, load_key(directory), now_s=lambda: int(time.time()), tls=tls)
    give_up_at = now_s() + wait_s
    try:
        while True:
            found, why = _confirmed(gateway)
            if found is not None:
                break
            if now_s() >= give_up_at:
                raise EnrolRefused(
                    why, mend="run `tallystick-till enrol` again; it goes on from here without a code"
                )
            sleep(ASK_EVERY_S)
    finally:
        gateway.close()
    label = next((till.label for till in found.tills if till.till_id == config.till_id), "")
    confirmed = TillConfig(
        till_id=config.till_id,
        program_id=config.program_id,
        gateway=config.gateway,
        issuer=config.issuer,
        store_id=found.store_id,
        label=label,
        encrypted=config.encrypted,
    )
    save_config(directory, confirmed)
    return confirmed


def _confirmed(gateway: GrpcGateway) -> tuple[store_pb2.GetExposureResponse | None, str]:
    """What the gateway says of the till's store, or why not yet."""
    try:
        return gateway.exposure(store_pb2.GetExposureRequest()), ""
    except GatewayAway:
        return None, "the gateway does not answer"
    except GatewayRefused as refused:
        if refused.reason == NOT_CONFIRMED:
            return None, "no manager has confirmed this till yet"
        mend = "revoke the till, run `tallystick-till reset`, and enrol it again"
        if refused.reason.startswith("ASSERTION"):
            mend = "set this machine's clock (proofs count for a minute), and compare --issuer with the gateway's"
        raise EnrolRefused(f"{refused} ({refused.reason})", mend=mend) from refused


def _register(
    gateway: str, tls: Tls | None, key: SigningKey, *, code: str, program_id: str
) -> till_pb2.EnrolDeviceResponse:
    try:
        return register_key(gateway, tls, key, code=code, program_id=program_id)
    except LinkLost as lost:
        raise EnrolRefused(
            f"no gateway answers at {gateway} ({lost})",
            mend="check the address and the line; if the gateway speaks TLS, name its authority with --ca",
        ) from lost
    except LinkRefused as refused:
        mend = ""
        if refused.reason.startswith("ENROLMENT"):
            mend = "have a manager make a new code with `tallystick device code`; it is good for ten minutes"
        raise EnrolRefused(f"{refused} ({refused.reason})", mend=mend) from refused


def _authority(ca: Path | None) -> bytes | None:
    if ca is None:
        return None
    try:
        text = ca.read_bytes()
    except OSError as error:
        raise ConfigRefused(
            f"{ca} cannot be read: {error.strerror}", mend="name a PEM file with --ca"
        ) from error
    if len(text) > CA_BYTES_MAX or b"-----BEGIN CERTIFICATE-----" not in text:
        raise ConfigRefused(f"{ca} holds no certificate", mend="name a PEM file of the gateway's authority")
    return text
