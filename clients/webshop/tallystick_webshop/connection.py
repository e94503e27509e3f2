"""A shop's connection: each call is tried again with the same bytes until its deadline, and ends as an answer or in
one of `errors`; and how the shop's key gets known.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import grpc
from google.protobuf.message import Message

from tallystick.security.device_link import DeviceLink, LinkLost, LinkRefused, Tls, register_key
from tallystick.security.device_profile import KEY_FILE, Profile, read_key, write_key, write_profile
from tallystick.security.enrolment import normalise_code
from tallystick.security.errors import KeyRefused
from tallystick.security.keys import SigningKey, fingerprint, generate_signing_key
from tallystick_webshop.errors import Away, BadRequest, NotAllowed, Refused, ShopError
from tallystick_webshop.results import Enrolment

DEADLINE_S: Final = 5.0
"""How long a call may take with all its tries: a buyer waits for it."""
ATTEMPT_S: Final = 2.5
BACKOFF_FIRST_S: Final = 0.05
BACKOFF_MAX_S: Final = 1.0

# With the first two the gateway does not let the shop in; with the third somebody has to set something up first.
_NOT_ALLOWED = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)

# For a shop these are decisions about a member or an order, whichever method finds them.
_DECISIONS: Final = {
    "MEMBER_NOT_FOUND": "MEMBER_UNKNOWN",
    "CLAIM_NOT_FOUND": "CLAIM_UNKNOWN",
    "REQUEST_ID_REUSED": "REQUEST_ID_REUSED",
}

Response = TypeVar("Response", bound=Message)


class Connection:
    """One connection of one shop; safe to use from several threads."""

    def __init__(self, profile: Profile, key: SigningKey, *, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        try:
            self._link = DeviceLink(
                profile.server,
                issuer=profile.issuer,
                device_id=profile.device_id,
                key=key,
                now_s=lambda: int(time.time()),
                tls=_tls_of(profile),
            )
        except OSError as error:
            raise BadRequest(
                f"{error.filename} cannot be read: {error.strerror}", mend="correct the tls_* of the profile"
            ) from error
        self.channel = self._link.channel

    def close(self) -> None:
        """End the connection."""
        self._link.close()

    def call(self, method: Callable[..., Response], request: Message, *, once: bool = False) -> Response:
        """Call until there is an answer, within the shop's deadline. Raises what `errors` lists."""
        give_up_at = time.monotonic() + self._deadline_s
        backoff_s = BACKOFF_FIRST_S
        while True:
            left_s = give_up_at - time.monotonic()
            try:
                return self._link.call(method, request, left_s if once else min(left_s, ATTEMPT_S))
            except LinkRefused as refused:
                raise _error_of(refused) from refused
            except LinkLost as lost:
                pause_s = max(lost.retry_after_s, random.uniform(backoff_s / 2, backoff_s))  # noqa: S311
                if once or time.monotonic() + pause_s >= give_up_at:
                    raise _error_of(lost) from lost
            time.sleep(pause_s)
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)


def enrol(folder: Path, *, server: str, program_id: str, code: str, issuer: str, tls_ca: str) -> Enrolment:
    """Make a shop's key in a folder and register it; see ``Shop.enrol``."""
    if normalise_code(code) is None:
        raise BadRequest("that is no enrolment code", mend="it has 12 letters and digits: K7AB-9QRS-TVWX")
    key = _own_key(folder)
    profile = Profile(
        server=server, program_id=program_id, device_id="", role="webshop", issuer=issuer, tls_ca=tls_ca
    )
    try:
        made = register_key(server, _tls_of(profile), key, code=code, program_id=program_id)
    except OSError as error:
        raise BadRequest(f"{tls_ca} cannot be read", mend="name a PEM file with tls_ca") from error
    except (LinkLost, LinkRefused) as error:
        raise _error_of(error) from error
    if made.fingerprint != fingerprint(key.kid):
        raise NotAllowed("FINGERPRINT_MISMATCH", "the gateway answered for another key")
    write_profile(folder, replace(profile, device_id=made.device_id), key)
    return Enrolment(made.device_id, made.fingerprint)


def _error_of(failure: LinkLost | LinkRefused) -> ShopError:
    if isinstance(failure, LinkLost):
        return Away(f"the gateway does not answer ({failure})")
    message, reason = str(failure), failure.reason
    if failure.status in _NOT_ALLOWED:
        return NotAllowed(reason, message)
    if reason in _DECISIONS:
        return Refused(_DECISIONS[reason], message, failure.details)
    older = failure.status is grpc.StatusCode.UNIMPLEMENTED
    mend = "the gateway is older than this package: update it" if older else "correct what the message names"
    mend = "; ".join(failure.violations) or mend
    return BadRequest(f"{message} ({reason})", mend=mend, violations=failure.violations)


def _tls_of(profile: Profile) -> Tls | None:
    if not profile.tls_ca:
        return None
    cert, key = profile.tls_cert, profile.tls_key
    return Tls(Path(profile.tls_ca), Path(cert) if cert else None, Path(key) if key else None)


def _own_key(directory: Path) -> SigningKey:
    try:
        if not (directory / KEY_FILE).exists():
            write_key(directory, generate_signing_key())
        return read_key(directory)
    except (OSError, KeyRefused) as error:
        raise BadRequest(
            f"the key in {directory} cannot be used: {error}", mend="name a directory that the shop may write"
        ) from error
