"""Members' codes at the gateway: which devices may show them, and whom a code that is scanned belongs to.

A device's credential says whom it speaks for, by a pseudonym that leads nowhere without the program's keys. The
pseudonym is an identifier of the member, so that tills find it as they find a card; a device that was revoked becomes
one as well, under its own kind, so that tills hear of it the same way.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from typing import Protocol

from tallystick.core.basket import Assurance
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.security.blind_index import blind_token
from tallystick.security.code import (
    CREDENTIAL_TTL_MAX_S,
    PSEUDONYM_BYTES,
    PSEUDONYM_KIND,
    REVOKED_KIND,
    Code,
    CodeReason,
    Scanned,
    Stamp,
    code_to_digits,
    issue_credential,
    issue_server_code,
    open_code,
)
from tallystick.security.encoding import length_prefixed
from tallystick.security.key_dir import KeyDir, KeyRing
from tallystick.security.keys import SigningKey
from tallystick.security.scan_tags import scan_tag
from tallystick.security.totp import totp
from tallystick.service.balances import member_not_found
from tallystick.service.directory import CardDevice, Directory, IdentifierRow, Member
from tallystick.service.enrolment import canonical_jwk, device_not_found, read_public_jwk
from tallystick.service.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    TallystickError,
)
from tallystick.service.identity import IdentityReason, IdentityRefused
from tallystick.service.labels import Labels
from tallystick.service.members import Members
from tallystick.service.wallet_store import Wallet, WalletStore

log = logging.getLogger(__name__)

CARD_DEVICES_MAX = 10
"""Most devices of a member that count at a time."""

CARD_DEVICES_KEPT_MAX = 30
"""Most devices with those that were revoked in the last 14 days: tills hear of each."""

LOOK_ONLY_MS = 86_400_000
"""How long a new device looks and does not burn: time for its owner to hear of it and to revoke it."""

JOINED_WITH_MS = 600_000
"""A device that was registered so soon after its member joined is the one that the member joined with."""

RENEW_BEFORE_MS = CREDENTIAL_TTL_MAX_S * 500
"""How long before its end a credential should be renewed: half its life."""

KEY_KNOWN_S = 72_000
"""A key signs credentials and codes only after so long: a till that was away until then knows it by now.

Until then the key before it goes on signing them; what it signs still ends before it retires.
"""

PSEUDONYMS_TRIED_MAX = 4
LABEL_PURPOSE = "card device label"

_PSEUDONYM_PURPOSE = b"tallystick pseudonym v1"
_REFUSALS = {
    CodeReason.FORMAT: (IdentityReason.FORMAT, "This is no code of this program. Scan the code in the app."),
    CodeReason.BAD_SIGNATURE: (
        IdentityReason.BAD_SIGNATURE,
        "The code is not genuine, or of another program. Ask for the app, the card or a phone number.",
    ),
    CodeReason.EXPIRED: (
        IdentityReason.EXPIRED,
        "The code is too old. Ask for the code as the app shows it now; a picture of it does not count.",
    ),
    CodeReason.CLOCK: (
        IdentityReason.CLOCK,
        "The code is dated in the future. The clock of the phone is wrong: set it to automatic.",
    ),
}
REVOKED = IdentityRefused(
    IdentityReason.REVOKED, "This phone was removed from the member. Ask for the card or a phone number."
)
INCOMPLETE = IdentityRefused(
    IdentityReason.FORMAT, "Part of the code is missing. Scan the pass as the phone shows it now."
)
REPLAYED = IdentityRefused(
    IdentityReason.REPLAYED, "This code was scanned before. Wait for the app to show the next one."
)


@record(frozen=True, slots=True)
class CodeScan:
    """A code that counts: what looks its member up, and how sure it is."""

    kind: str
    token: bytes
    assurance: Assurance


@record(frozen=True, slots=True)
class Credential:
    """A device with a new credential. ``renew_ms`` is when the device should ask for the next one."""

    device: CardDevice
    credential: bytes
    renew_ms: Ms


@record(frozen=True, slots=True)
class ServerCode:
    """A code for a pass that cannot sign: the digits to draw, and when it ends."""

    digits: str
    expires_ms: Ms


class CodeStore(Directory, WalletStore, Protocol):
    """What codes need of a store."""


class Codes:
    """The use cases around members' codes. Safe to use from several threads."""

    def __init__(
        self,
        directory: CodeStore,
        members: Members,
        *,
        keys: Callable[[], KeyDir],
        now_ms: Callable[[], Ms],
        on_revoked: Callable[[ProgramId, str], None],
        on_another: Callable[[ProgramId, MemberId, str], None] = lambda *_: None,
    ) -> None:
        self._directory = directory
        self._members = members
        self._keys = keys
        self._now_ms = now_ms
        self._labels = Labels(lambda: keys().masters(now_ms() // 1000), purpose=LABEL_PURPOSE)
        self._on_revoked = on_revoked
        self._on_another = on_another

    def register(
        self, program_id: ProgramId, member_id: MemberId, public_jwk: str, *, label: str
    ) -> Credential:
        """Let a device speak for a member; a device that does already gets a new credential and no new start.

        Raises ``NotFound``, ``InvalidInput`` for a key that is none or was revoked, and LIMIT_REACHED.
        """
        key = read_public_jwk(public_jwk)
        self._members.living(program_id, member_id)
        self._forget_ended(program_id, member_id)
        now_ms = self._now_ms()
        new = CardDevice(
            member_id,
            key.kid,
            canonical_jwk(key),
            self._labels.seal(program_id, member_id, label),
            now_ms,
            Ms(now_ms + LOOK_ONLY_MS),
            Ms(0),
        )
        held = self._directory.card_devices(program_id, member_id)
        full = len(held) >= CARD_DEVICES_KEPT_MAX and key.kid not in {one.kid for one in held}
        try:
            device = self._directory.add_card_device(program_id, new, most=0 if full else CARD_DEVICES_MAX)
        except NotFound:
            raise member_not_found(member_id) from None
        if device is None:
            raise TallystickError(
                "The member has as many devices as are allowed.",
                mend="Revoked ones are forgotten after 14 days." if full else "Revoke one first.",
                reason="LIMIT_REACHED",
                limit="card_devices_kept" if full else "card_devices_per_member",
                max=CARD_DEVICES_KEPT_MAX if full else CARD_DEVICES_MAX,
            )
        if device.revoked_ms:
            raise InvalidInput(
                "The key was revoked.",
                mend="Make a new key on the device.",
                violations=(("public_jwk", "was revoked"),),
                reason="PUBLIC_KEY_INVALID",
                field="public_jwk",
            )
        if any(one.kid != key.kid for one in held):
            # Before the answer: whoever gets none asks again, and the member is told then.
            self._on_another(program_id, member_id, key.kid)
        return self._issue(program_id, device)

    def renew(self, program_id: ProgramId, member_id: MemberId, device_id: str) -> Credential:
        """Give a device its next credential. Raises ``NotFound``, also for a device that was revoked."""
        self._members.living(program_id, member_id)
        device = self._device(program_id, member_id, device_id)
        if device is None or device.revoked_ms:
            raise device_not_found(device_id)
        return self._issue(program_id, device)

    def revoke(self, program_id: ProgramId, member_id: MemberId, device_id: str) -> CardDevice:
        """End a device for ever, also for tills that are offline as soon as they hear of it. Raises ``NotFound``."""
        self._members.living(program_id, member_id)
        if self._device(program_id, member_id, device_id) is None:
            raise device_not_found(device_id)
        # Before the device itself: when this is cut off in between, doing it again does the rest.
        self._add_identifier(program_id, member_id, REVOKED_KIND, device_id)
        revoked = self._directory.revoke_card_device(program_id, member_id, device_id, now=self._now_ms())
        if revoked is None:
            raise device_not_found(device_id)
        self._on_revoked(program_id, device_id)
        return revoked

    def devices(self, program_id: ProgramId, member_id: MemberId) -> list[CardDevice]:
        """Return a member's devices, the oldest first. Raises ``NotFound``."""
        self._members.get(program_id, member_id)
        return self._directory.card_devices(program_id, member_id)

    def assurance_of(self, program_id: ProgramId, member_id: MemberId, device_id: str) -> Assurance:
        """Return how sure a device makes one that its member asks: as its codes do, so a new one burns nothing."""
        device = self._device(program_id, member_id, device_id)
        counts = device is not None and not device.revoked_ms and self._now_ms() >= device.burn_from_ms
        return Assurance.DEVICE_CODE if counts else Assurance.TYPED

    def check_old_enough(self, program_id: ProgramId, member: Member, device_id: str) -> None:
        """Refuse what would let a new device burn after all, such as a pass. Raises ``FailedPrecondition``.

        The device with which a member has joined may do it at once: nobody has had points before it.
        """
        device = self._device(program_id, member.member_id, device_id)
        if device is None or self._now_ms() >= device.burn_from_ms:
            return
        if device.registered_ms - member.enrolled_ms <= JOINED_WITH_MS:
            return
        raise FailedPrecondition(
            "This device is new: what lets points be burned waits until it is a day old.",
            mend="Use a device that is older, or wait.",
            reason="DEVICE_NEW",
            burn_from_ms=device.burn_from_ms,
        )

    def label_of(self, program_id: ProgramId, device: CardDevice) -> str:
        """Return what a device's owner calls it; a damaged one costs the label, not the list."""
        return self._labels.open(program_id, device.member_id, device.sealed_label)

    def server_code(
        self, program_id: ProgramId, member_id: MemberId, *, rotating: bool = False
    ) -> ServerCode:
        """Return a code for a pass, good for 14 days; a ``rotating`` one for a wallet that adds the password of
        ``totp_key``. Raises ``NotFound``.
        """
        self._members.living(program_id, member_id)
        expires_s = self._expires_s()
        raw = issue_server_code(
            self._signing_key(expires_s),
            program_id=program_id,
            pseudonym=self._pseudonym(program_id, member_id),
            expires_s=expires_s,
            rotating=rotating,
        )
        return ServerCode(code_to_digits(raw), Ms(expires_s * 1000))

    def totp_key(self, program_id: ProgramId, serial: str) -> bytes:
        """Return the key of the password that a pass shows."""
        return self._keys().totp_key(program_id, serial)

    def read(self, program_id: ProgramId, scanned: Scanned) -> CodeScan | IdentityRefused:
        """Check a code and count its use: a device's code counts once, whichever process is asked, and a password
        that rotates once in its period.
        """
        now_ms, keys = self._now_ms(), self._keys()
        code = open_code(
            scanned.raw, program_id=program_id, server_keys=keys.signing.verify_keys(now_ms // 1000)
        )
        if isinstance(code, CodeReason):
            return IdentityRefused(*_REFUSALS[code])
        late = code.out_of_time(now_ms)
        if late is not None:
            return IdentityRefused(*_REFUSALS[late])
        token = self._token(program_id, PSEUDONYM_KIND, code.pseudonym.hex())
        if code.rotating or scanned.stamp is not None:
            return self._rotating(program_id, code, scanned.stamp, token, now_ms)
        refused = self._used(program_id, code, token, now_ms)
        if refused is not None:
            return refused
        return CodeScan(PSEUDONYM_KIND, token, Assurance(code.level(now_ms)))

    def _rotating(
        self, program_id: ProgramId, code: Code, stamp: Stamp | None, token: bytes, now_ms: Ms
    ) -> CodeScan | IdentityRefused:
        """Check the password of a pass; the signed part alone is on every picture of it and does not count."""
        if stamp is None or not code.rotating:
            return INCOMPLETE
        late = stamp.out_of_time(now_ms)
        if late is not None:
            return IdentityRefused(*_REFUSALS[late])
        scan = CodeScan(PSEUDONYM_KIND, token, Assurance.ROTATING_CODE)
        owners = self._directory.find(program_id, [(PSEUDONYM_KIND, token)])
        if not owners:
            return scan
        serial = self._serial_of(program_id, owners[0].member_id, stamp)
        if serial is None:
            return IdentityRefused(*_REFUSALS[CodeReason.BAD_SIGNATURE])
        first = self._directory.use_assertion(
            program_id,
            f"pass:{serial}",
            str(stamp.step),
            usable_until=Ms(stamp.usable_until_ms),
            now=now_ms,
        )
        return scan if first else REPLAYED

    def _serial_of(self, program_id: ProgramId, member_id: MemberId, stamp: Stamp) -> str | None:
        """Return the member's pass that shows this password now; all are compared, whichever it is."""
        found = None
        for one in self._directory.wallet_passes(program_id, member_id):
            if one.wallet is Wallet.GOOGLE:
                password = totp(self.totp_key(program_id, one.serial), stamp.at_s)
                if hmac.compare_digest(password, stamp.password):
                    found = one.serial
        return found

    def _used(self, program_id: ProgramId, code: Code, token: bytes, now_ms: Ms) -> IdentityRefused | None:
        """Note the use of a device's code; return why it does not count."""
        owners = self._directory.find(program_id, [(PSEUDONYM_KIND, token)])
        if code.device is None or not owners:
            return None
        kid = code.device.kid
        device = self._device(program_id, owners[0].member_id, kid)
        if device is None or device.revoked_ms:
            return REVOKED
        first = self._directory.use_assertion(
            program_id, f"card:{kid}", code.use, usable_until=Ms(code.usable_until_ms), now=now_ms
        )
        return None if first else REPLAYED

    def _issue(self, program_id: ProgramId, device: CardDevice) -> Credential:
        now_ms, expires_s = self._now_ms(), self._expires_s()
        new = device.burn_from_ms > now_ms
        credential = issue_credential(
            self._signing_key(expires_s),
            program_id=program_id,
            pseudonym=self._pseudonym(program_id, device.member_id),
            device=read_public_jwk(device.public_jwk),
            expires_s=expires_s,
            burn_from_s=-(-device.burn_from_ms // 1000) if new else 0,
        )
        renewed = self._directory.renew_card_device(
            program_id, device.member_id, device.kid, expires=Ms(expires_s * 1000)
        )
        if renewed is None:
            raise device_not_found(device.kid)
        return Credential(renewed, credential, Ms(expires_s * 1000 - RENEW_BEFORE_MS))

    def _expires_s(self) -> int:
        return self._now_ms() // 1000 + CREDENTIAL_TTL_MAX_S

    def _signing_key(self, expires_s: int) -> SigningKey:
        return credential_key(self._keys().signing, now_s=self._now_ms() // 1000, expires_s=expires_s)

    def _device(self, program_id: ProgramId, member_id: MemberId, kid: str) -> CardDevice | None:
        held = self._directory.card_devices(program_id, member_id)
        return next((one for one in held if one.kid == kid), None)

    def _forget_ended(self, program_id: ProgramId, member_id: MemberId) -> None:
        """Let go of revoked devices whose last credential is over: nothing of theirs is taken any more."""
        now_ms = self._now_ms()
        for device in self._directory.card_devices(program_id, member_id):
            if device.revoked_ms and device.expires_ms <= now_ms:
                token = self._token(program_id, REVOKED_KIND, device.kid)
                self._directory.remove_identifier(program_id, member_id, REVOKED_KIND, token)
                self._directory.forget_card_device(program_id, member_id, device.kid)

    def _pseudonym(self, program_id: ProgramId, member_id: MemberId) -> bytes:
        """Return the member's pseudonym, which becomes an identifier when it is used first. Raises ``NotFound``."""
        for attempt in range(PSEUDONYMS_TRIED_MAX):
            pseudonym = member_pseudonym(
                self._keys().blind_index_key, program_id=program_id, member_id=member_id, attempt=attempt
            )
            try:
                self._add_identifier(program_id, member_id, PSEUDONYM_KIND, pseudonym.hex())
            except AlreadyExists:
                continue
            return pseudonym
        raise TallystickError("No free pseudonym was found.", member_id=member_id)

    def _add_identifier(self, program_id: ProgramId, member_id: MemberId, kind: str, value: str) -> None:
        tag = scan_tag(self._keys().scan_key(program_id), kind=kind, value=value)
        token = self._token(program_id, kind, value)
        row = IdentifierRow(kind, token, member_id, "", self._now_ms(), tag)
        if not self._directory.add_identifier(program_id, row):
            raise member_not_found(member_id)

    def _token(self, program_id: ProgramId, kind: str, value: str) -> bytes:
        return blind_token(self._keys().blind_index_key, program_id=program_id, kind=kind, value=value)


def member_pseudonym(key: bytes, *, program_id: str, member_id: str, attempt: int) -> bytes:
    """Return a member's pseudonym (8 bytes): always the same, and without the key related to nothing."""
    message = length_prefixed((_PSEUDONYM_PURPOSE, program_id.encode(), member_id.encode(), bytes([attempt])))
    return hmac.digest(key, message, "sha256")[:PSEUDONYM_BYTES]


def credential_key(ring: KeyRing, *, now_s: int, expires_s: int) -> SigningKey:
    """Return the key that signs what tills must be able to check offline: the newest that all can know by now.

    The first key of all is used at once, and a newer one early when an older one would not verify until ``expires_s``.
    """
    usable = [
        one
        for one in ring.ring_keys
        if one.activates_at_s <= now_s and (one.retires_at_s == 0 or expires_s <= one.retires_at_s)
    ]
    known = [one for one in usable if one.activates_at_s <= now_s - KEY_KNOWN_S]
    if known:
        return known[-1].key
    return usable[0].key if usable else ring.signing_key(now_s)
