"""Devices: how a till, a webshop or a back office gets a key that counts, changes it, and loses it."""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import replace

from tallystick.core.ids import Ms, ProgramId
from tallystick.core.record import record
from tallystick.security.encoding import length_prefixed
from tallystick.security.enrolment import (
    CODE_TTL_S,
    TRIES_MAX,
    hash_code,
    new_code,
    normalise_code,
    possession_holds,
    selector,
)
from tallystick.security.errors import KeyRefused
from tallystick.security.keys import VerifyKey, fingerprint, public_jwk, verify_key_from_jwk
from tallystick.service.directory import Device, DeviceStatus, Directory, EnrolmentCode
from tallystick.service.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    PermissionDenied,
    TallystickError,
)

OPEN_CODES_MAX = 100
JWK_CHARS_MAX = 512

_DEVICE_PURPOSE = b"tallystick device id v1"
_ROTATION_PURPOSE = b"tallystick key rotation v1"


@record(frozen=True, slots=True)
class NewCode:
    """An enrolment code, to be shown once, and when it stops working."""

    code: str
    expires_ms: Ms


def rotation_message(*, program_id: str, device_id: str, kid: str) -> bytes:
    """Return what a new key signs to replace a device's key: it names the device, so it fits no other."""
    return length_prefixed((_ROTATION_PURPOSE, program_id.encode(), device_id.encode(), kid.encode()))


def read_public_jwk(text: str) -> VerifyKey:
    """Return the key of a public JWK's text. Raises ``InvalidInput`` for anything but a P-256 public key."""
    try:
        value = json.loads(text) if len(text) <= JWK_CHARS_MAX else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _key_invalid(f"a public JWK is a JSON object of at most {JWK_CHARS_MAX} characters")
    try:
        return verify_key_from_jwk(value)
    except KeyRefused as error:
        raise _key_invalid(str(error)) from None


def _key_invalid(why: str) -> InvalidInput:
    return InvalidInput(
        "The public key is not accepted.",
        violations=(("public_jwk", why),),
        reason="PUBLIC_KEY_INVALID",
        field="public_jwk",
    )


class Enrolment:
    """The use cases around devices. Safe to use from several threads. ``code_key`` is the key of enrolment codes."""

    def __init__(
        self,
        directory: Directory,
        *,
        code_key: Callable[[], bytes],
        now_ms: Callable[[], Ms],
        on_revoked: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._code_key = code_key
        self._now_ms = now_ms
        self._on_revoked = on_revoked

    def create_code(
        self, program_id: ProgramId, *, kind: int, role: int, store_id: str, label: str
    ) -> NewCode:
        """Make a one-time code for a device. Whether the caller may give that role is the caller's to check."""
        now = self._now_ms()
        open_codes = self._directory.codes(program_id, live_at=now)
        if len(open_codes) >= OPEN_CODES_MAX:
            raise TallystickError(
                "There are as many open enrolment codes as are allowed.",
                mend="Use them, or wait ten minutes until they end.",
                reason="LIMIT_REACHED",
                limit="open_enrolment_codes",
                max=OPEN_CODES_MAX,
            )
        code = _new_code({one.selector for one in open_codes})
        record = EnrolmentCode(
            selector=_selector(code),
            code_hash=self._hash(program_id, code),
            kind=kind,
            role=role,
            store_id=store_id,
            label=label,
            expires_ms=Ms(now + CODE_TTL_S * 1000),
            tries_left=TRIES_MAX,
            used_by="",
        )
        self._directory.add_code(program_id, record)
        return NewCode(code, record.expires_ms)

    def enrol(self, program_id: ProgramId, *, code: str, public_jwk_text: str, proof: bytes) -> Device:
        """Register a device's key with a code; it waits for its confirmation.

        The same code and key answer the same device while the code would live. Every other attempt takes a try from
        the open code with the typed selector, and from no other.
        Raises ``PermissionDenied`` for a code that does not count and for a proof that proves nothing.
        """
        key = read_public_jwk(public_jwk_text)
        now = self._now_ms()
        code_hash = self._hash(program_id, code)
        device_id = self._device_id(program_id, code_hash, key.kid)
        before = self._directory.device(program_id, device_id)
        if before is not None and now < before.enrolled_ms + CODE_TTL_S * 1000:
            self._require_proof(program_id, key, code=code, proof=proof)
            return before
        found = self._find_code(program_id, code, code_hash, now)
        self._require_proof(program_id, key, code=code, proof=proof)
        device = Device(
            device_id=device_id,
            kind=found.kind,
            role=found.role,
            store_id=found.store_id,
            label=found.label,
            public_jwk=canonical_jwk(key),
            kid=key.kid,
            fingerprint=fingerprint(key.kid),
            status=DeviceStatus.PENDING,
            enrolled_ms=now,
            confirmed_ms=Ms(0),
            revoked_ms=Ms(0),
        )
        if not self._directory.use_code(program_id, code_hash, device, now=now):
            raise _code_invalid()
        return self._directory.device(program_id, device_id) or device

    def confirm(self, program_id: ProgramId, device_id: str, shown: str) -> Device:
        """Let a device in whose fingerprint a person has compared. Raises ``NotFound``, ``FailedPrecondition``."""
        device = self.get(program_id, device_id)
        if "".join(shown.split()) != "".join(device.fingerprint.split()):
            raise FailedPrecondition(
                "That is not the device's fingerprint.",
                mend="Do not confirm it: compare again, then enrol anew.",
                reason="FINGERPRINT_MISMATCH",
                device_id=device_id,
            )
        if not self._directory.set_device_status(
            program_id, device_id, DeviceStatus.ACTIVE, now=self._now_ms()
        ):
            # Revoked is final; a device that nobody may let in again is one that is not there.
            raise device_not_found(device_id)
        return self.get(program_id, device_id)

    def revoke(self, program_id: ProgramId, device_id: str) -> Device:
        """Shut a device out for ever. Raises ``NotFound``."""
        self.get(program_id, device_id)
        self._directory.set_device_status(program_id, device_id, DeviceStatus.REVOKED, now=self._now_ms())
        self._on_revoked(device_id)
        return self.get(program_id, device_id)

    def get(self, program_id: ProgramId, device_id: str) -> Device:
        """Return a device. Raises ``NotFound``."""
        device = self._directory.device(program_id, device_id)
        if device is None:
            raise device_not_found(device_id)
        return device

    def page(self, program_id: ProgramId, *, after: str, limit: int) -> list[Device]:
        """Return devices in the order of their ids, after one."""
        return self._directory.devices(program_id, after=after, limit=limit)

    def rotate_key(
        self, program_id: ProgramId, device_id: str, *, public_jwk_text: str, proof: bytes
    ) -> Device:
        """Replace a device's key by one that it proves to hold; the key that it has already changes nothing."""
        key = read_public_jwk(public_jwk_text)
        device = self.get(program_id, device_id)
        message = rotation_message(program_id=program_id, device_id=device_id, kid=key.kid)
        if not key.verify_raw(proof, message):
            raise _proof_invalid()
        if device.kid == key.kid:
            return device
        new = replace(device, public_jwk=canonical_jwk(key), kid=key.kid, fingerprint=fingerprint(key.kid))
        if not self._directory.set_device_key(
            program_id, device_id, public_jwk=new.public_jwk, kid=new.kid, fingerprint=new.fingerprint
        ):
            raise device_not_found(device_id)
        return new

    def add_confirmed(
        self, program_id: ProgramId, *, kind: int, role: int, store_id: str, label: str, key: VerifyKey
    ) -> Device:
        """Add a device that needs no code, because whoever does it sits at the server's own shell.

        The same key answers the same device.
        """
        now = self._now_ms()
        device = Device(
            device_id=self._device_id(program_id, b"", key.kid),
            kind=kind,
            role=role,
            store_id=store_id,
            label=label,
            public_jwk=canonical_jwk(key),
            kid=key.kid,
            fingerprint=fingerprint(key.kid),
            status=DeviceStatus.ACTIVE,
            enrolled_ms=now,
            confirmed_ms=now,
            revoked_ms=Ms(0),
        )
        try:
            self._directory.add_device(program_id, device)
        except AlreadyExists:
            return self.get(program_id, device.device_id)
        return device

    def _hash(self, program_id: ProgramId, code: str) -> bytes:
        # A text that can be no code is hashed all the same: it must cost the same time.
        return hash_code(self._code_key(), normalise_code(code) or "", program_id=program_id)

    def _find_code(self, program_id: ProgramId, code: str, code_hash: bytes, now: Ms) -> EnrolmentCode:
        tried = self._directory.spend_try(program_id, _selector(code), live_at=now)
        for one in tried:
            if hmac.compare_digest(one.code_hash, code_hash):
                return one
        raise _code_invalid()

    def _require_proof(self, program_id: ProgramId, key: VerifyKey, *, code: str, proof: bytes) -> None:
        if not possession_holds(key, proof, code=code, program_id=program_id):
            raise _proof_invalid()

    def _device_id(self, program_id: ProgramId, code_hash: bytes, kid: str) -> str:
        """Return the id that a code and a key lead to: a retry finds its own device, nobody else can tell it."""
        message = length_prefixed((_DEVICE_PURPOSE, program_id.encode(), code_hash, kid.encode()))
        raw = bytearray(hmac.digest(self._code_key(), message, "sha256")[:16])
        raw[6] = (raw[6] & 0x0F) | 0x80
        raw[8] = (raw[8] & 0x3F) | 0x80
        return str(uuid.UUID(bytes=bytes(raw)))


def _selector(code: str) -> str:
    """Return the open part of a typed code; empty, and so nobody's, for a text that can be no code."""
    return selector(code) or ""


def _new_code(taken: set[str]) -> str:
    """Return a new code with a selector of its own, so that a wrong guess at one code costs no other a try.

    Two made at the same moment may still share one; a guess then counts against both.
    """
    assert len(taken) <= OPEN_CODES_MAX, "most of the 1,024 selectors are free, so that the search is short"
    while _selector(code := new_code()) in taken:
        pass
    return code


def canonical_jwk(key: VerifyKey) -> str:
    """Return the one spelling of a public key that is stored (RFC 7638)."""
    return json.dumps(public_jwk(key.public_key), sort_keys=True, separators=(",", ":"))


def device_not_found(device_id: str) -> NotFound:
    """Return the error for a device that is not there or not to be seen: the two are not told apart."""
    return NotFound("There is no such device.", reason="DEVICE_NOT_FOUND", device_id=device_id)


def _code_invalid() -> PermissionDenied:
    return PermissionDenied(
        "The enrolment code does not count: it is unknown, used, too old, or was tried too often.",
        mend="Ask for a new one.",
        reason="ENROLMENT_CODE_INVALID",
    )


def _proof_invalid() -> PermissionDenied:
    return PermissionDenied(
        "The signature does not prove that the device holds the key.",
        mend="Sign the message that the contract describes with the key that is sent.",
        reason="PROOF_INVALID",
    )
