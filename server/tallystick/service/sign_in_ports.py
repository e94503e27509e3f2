"""What signing in needs of a store: sessions of codes and challenges, passkeys, and who holds a device's key.

A session is known by a keyed hash of its id. What it must remember of the person is sealed under a key that follows
from the id: whoever has the database and all keys, and not the id, cannot read it.
"""

from __future__ import annotations

from dataclasses import field
from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record

PASSKEYS_MAX = 10
"""Most passkeys of a member."""

SWEPT_MAX = 100
"""Most sessions that are forgotten when one begins: a flood is swept away as fast as it came in."""

MAILS_READ_MAX = 200
"""Most mails to one address that are looked at to decide about the next one."""


class SignInPurpose(IntEnum):
    """What a session is for; one begun for a purpose is of no use for another."""

    EMAIL_CODE = 1
    PASSKEY = 2
    ADD_PASSKEY = 3


@record(frozen=True, slots=True)
class SignInSession:
    """One attempt to sign in, or to add a passkey.

    ``secret`` is the keyed hash of a code, or a challenge. ``member_id`` is who would be enrolled, or who adds a
    passkey; empty where nobody is known. ``address_token`` is the blind index of an address and ``client_tag`` the
    keyed hash of where the call came from, empty where there is none. ``sealed`` holds the address. ``mailed`` is
    whether a mail was sent: such a session is kept until ``forget_ms``, so that mails can be counted. ``used_by`` is
    the device that it let in.
    """

    session_hash: bytes
    purpose: SignInPurpose
    secret: bytes = field(repr=False)
    started_ms: Ms
    expires_ms: Ms
    forget_ms: Ms
    tries_left: int
    member_id: MemberId | None = None
    address_token: bytes = b""
    client_tag: bytes = b""
    sealed: bytes = field(default=b"", repr=False)
    mailed: bool = False
    used_by: str = ""


@record(frozen=True, slots=True)
class Mailed:
    """A mail that was sent to an address: when, and by which client it was asked for."""

    at_ms: Ms
    client_tag: bytes


@record(frozen=True, slots=True)
class Passkey:
    """A passkey of a member: ``public_key`` is its COSE key (WebAuthn Level 3, 6.5.1), ``sign_count`` its last count.

    ``used_ms`` is 0 until it signs in. ``sealed_label`` may name a person.
    """

    member_id: MemberId
    credential_id: bytes
    public_key: bytes
    sign_count: int
    sealed_label: bytes
    added_ms: Ms
    used_ms: Ms = Ms(0)


class SignInStore(Protocol):
    """Sessions, passkeys and devices' keys. Erasing a member deletes the passkeys and the sessions of its addresses."""

    def mailed(self, program_id: ProgramId, address_token: bytes, *, since: Ms) -> list[Mailed]:
        """Return the mails sent to an address after an instant, newest first, at most ``MAILS_READ_MAX``."""
        ...

    def start_sign_in(self, program_id: ProgramId, session: SignInSession) -> None:
        """Store a session; at most ``SWEPT_MAX`` of those that are to be forgotten by now go in the same breath."""
        ...

    def spend_sign_in_try(
        self, program_id: ProgramId, session_hash: bytes, purpose: SignInPurpose, *, now: Ms
    ) -> SignInSession | None:
        """Take one try from a live session and return it as it is afterwards; None when there is none with a try left.

        Counted before anybody compares, and in one step: guesses side by side get no more tries than in a row.
        """
        ...

    def use_sign_in(
        self, program_id: ProgramId, session_hash: bytes, *, used_by: str, tries: int, now: Ms
    ) -> bool:
        """Mark a live session used by a device and set its tries; False when another one has used it or it is over.

        The same device again is a retry: True, and the tries stay.
        """
        ...

    def add_passkey(
        self, program_id: ProgramId, passkey: Passkey, *, most: int = PASSKEYS_MAX
    ) -> Passkey | None:
        """Store a passkey, or return it as it is stored; None when the member has ``most`` others.

        Raises ``NotFound`` when the member is unknown or erased, ``AlreadyExists`` when it is another member's.
        """
        ...

    def passkey(self, program_id: ProgramId, credential_id: bytes) -> Passkey | None: ...

    def passkeys(self, program_id: ProgramId, member_id: MemberId) -> list[Passkey]:
        """Return a member's passkeys, the oldest first."""
        ...

    def use_passkey(self, program_id: ProgramId, credential_id: bytes, *, sign_count: int, now: Ms) -> bool:
        """Note a sign-in; False when the passkey is gone or its count is not above the last one (0 counts nothing)."""
        ...

    def remove_passkey(self, program_id: ProgramId, member_id: MemberId, credential_id: bytes) -> bool:
        """Delete it; False when this member has no such one."""
        ...

    def card_device_holders(self, program_id: ProgramId, kid: str) -> list[MemberId]:
        """Return the members of a program who have registered a key, at most 10."""
        ...

    def revoked_card_devices(self, *, since: Ms) -> list[tuple[ProgramId, str]]:
        """Return (program, kid) of members' devices revoked after an instant, latest first, at most 10,000."""
        ...
