"""What the use cases around the ledger need of a store: programs, rule sets, members, identifiers, devices.

Every call is one short transaction of one program (on PostgreSQL under row level security).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.state import MemberStatus
from tallystick.service.birthday_ports import BirthdayDirectory
from tallystick.service.card_ports import CardDirectory
from tallystick.service.consent_ports import ConsentDirectory
from tallystick.service.coupon_ports import CouponDirectory
from tallystick.service.referral_ports import ReferralDirectory
from tallystick.service.segment_ports import SegmentDirectory
from tallystick.service.wish_ports import WishDirectory


class Clock(IntEnum):
    """Whose time a program keeps: LIVE follows the server's clock, REPLAY the sales that are replayed into it."""

    LIVE = 1
    REPLAY = 2


@record(frozen=True, slots=True)
class Program:
    """One loyalty scheme. ``rule_set`` is the current version (0: none published)."""

    program_id: ProgramId
    display_name: str
    clock: Clock
    rule_set: int
    created_ms: Ms


@record(frozen=True, slots=True)
class StoredRuleSet:
    """A published rule set as it was written, and its canonical JSON that the core parses."""

    version: int
    sha256: str
    text: str
    canonical: str
    request_id: str
    published_ms: Ms
    published_by: str


@record(frozen=True, slots=True)
class Member:
    """A person enrolled in a program, without anything that says who. ``number`` is the member number on the card.

    ``spend_locked`` is what the member wants; ``status`` says LOCKED for it unless something weightier holds.
    """

    member_id: MemberId
    number: str
    status: MemberStatus
    enrolled_ms: Ms
    channel: int
    store_id: str
    spend_locked: bool = False


@record(frozen=True, slots=True)
class IdentifierRow:
    """A blind-indexed identifier. ``hint`` is the masked form that may be shown ("•••• 1234").

    ``scan_tag`` (16 bytes) is what tills find it by; empty for one that was added before there were tags.
    """

    kind: str
    token: bytes
    member_id: MemberId
    hint: str
    added_ms: Ms
    scan_tag: bytes = b""


CASHIERS_MAX = 500
"""Most cashiers of one store."""


@record(frozen=True, slots=True)
class Cashier:
    """A person who works at a store's tills. ``pin_hash`` is an argon2id text; empty: cannot sign in yet."""

    store_id: str
    cashier_id: str
    label: str
    active: bool
    pin_hash: str
    wrong_pins: int = 0
    locked_until_ms: Ms = Ms(0)


@record(frozen=True, slots=True)
class CardDevice:
    """A phone or browser that shows a member's code; ``kid`` is the RFC 7638 thumbprint of ``public_jwk``.

    ``sealed_label`` is what its owner calls it, which may name a person: sealed with a key of its own.
    Until ``burn_from_ms`` it may look and not burn. ``expires_ms`` is when its last credential ends. ``revoked_ms`` is
    0 while it counts.
    """

    member_id: MemberId
    kid: str
    public_jwk: str
    sealed_label: bytes
    registered_ms: Ms
    burn_from_ms: Ms
    expires_ms: Ms
    revoked_ms: Ms = Ms(0)


ASSERTION_KEPT_MS = 300_000
"""How long past its end the use of an assertion is remembered: the clocks of several gateways differ by less."""


class DeviceStatus(IntEnum):
    """The life of a device's key."""

    PENDING = 1
    ACTIVE = 2
    REVOKED = 3


@record(frozen=True, slots=True)
class Device:
    """A till, webshop or back office with its own key; ``kid`` is the RFC 7638 thumbprint of ``public_jwk``."""

    device_id: str
    kind: int
    role: int
    store_id: str
    label: str
    public_jwk: str
    kid: str
    fingerprint: str
    status: DeviceStatus
    enrolled_ms: Ms
    confirmed_ms: Ms
    revoked_ms: Ms


@record(frozen=True, slots=True)
class EnrolmentCode:
    """A one-time code, stored only as a keyed hash; ``selector`` is its open part, by which a typed code finds it."""

    selector: str
    code_hash: bytes
    kind: int
    role: int
    store_id: str
    label: str
    expires_ms: Ms
    tries_left: int
    used_by: str


class Directory(
    CardDirectory,
    BirthdayDirectory,
    ConsentDirectory,
    ReferralDirectory,
    CouponDirectory,
    WishDirectory,
    SegmentDirectory,
    Protocol,
):
    """Programs and rule sets, members and identifiers, cards, devices and codes."""

    def create_program(self, program: Program) -> bool:
        """Create it; False when the id is taken."""
        ...

    def program(self, program_id: ProgramId) -> Program | None: ...

    def programs(self, *, after: str, limit: int) -> list[Program]: ...

    def publish_rule_set(self, program_id: ProgramId, rules: StoredRuleSet) -> StoredRuleSet:
        """Store the next version and make it current, in one transaction; ``version`` is given by the store.

        The same ``request_id`` again returns what it published then. Raises ``NotFound`` without a program.
        """
        ...

    def rule_set(self, program_id: ProgramId, version: int) -> StoredRuleSet | None: ...

    def rule_sets(self, program_id: ProgramId, *, before: int | None, limit: int) -> list[StoredRuleSet]: ...

    def enrol(self, program_id: ProgramId, member: Member, identifiers: Sequence[IdentifierRow]) -> Member:
        """Create member, account and identifiers in one transaction.

        A known ``member_id`` with the same number or any same identifier returns the stored member (a retry). Cards
        among the identifiers become the member's. Raises ``AlreadyExists`` when an identifier belongs to another
        member, ``CardRevoked`` when one can belong to nobody any more.
        """
        ...

    def member(self, program_id: ProgramId, member_id: MemberId) -> Member | None: ...

    def members(self, program_id: ProgramId, *, after: str, limit: int) -> list[Member]: ...

    def set_status(self, program_id: ProgramId, member_id: MemberId, status: MemberStatus) -> bool:
        """Change the status of member and account together; False when unknown.

        A member who has locked the points becomes LOCKED where OPEN is asked for.
        """
        ...

    def set_spend_lock(self, program_id: ProgramId, member_id: MemberId, *, locked: bool) -> Member | None:
        """Note whether the member's points are locked, and return the member; None when unknown or erased.

        A blocked member stays BLOCKED. What changes nothing writes nothing.
        """
        ...

    def find(self, program_id: ProgramId, keys: Sequence[tuple[str, bytes]]) -> list[IdentifierRow]:
        """Return the rows of (kind, token), set-based."""
        ...

    def identifiers(self, program_id: ProgramId, member_id: MemberId) -> list[IdentifierRow]: ...

    def add_identifier(self, program_id: ProgramId, row: IdentifierRow) -> bool:
        """Add it; True also when this member had it. Raises as ``enrol`` does."""
        ...

    def remove_identifier(self, program_id: ProgramId, member_id: MemberId, kind: str, token: bytes) -> bool:
        """Remove it; a card of a batch is LOST from then on. False when this member does not have it."""
        ...

    def replace_card(
        self,
        program_id: ProgramId,
        member_id: MemberId,
        *,
        old: IdentifierRow | None,
        new: Sequence[IdentifierRow],
        number: str,
    ) -> bool:
        """Take a card away for good and add others, in one transaction; ``number`` becomes the member's when given.

        False when the member is unknown or erased, or does not have ``old`` any more: then nothing has changed.
        Raises as ``enrol`` does.
        """
        ...

    def put_person(self, program_id: ProgramId, member_id: MemberId, sealed: bytes) -> None:
        """Store the sealed personal data of a member, replacing what was there."""
        ...

    def persons(self, program_id: ProgramId, member_ids: Sequence[MemberId]) -> dict[MemberId, bytes]:
        """Return the sealed personal data of those members that have any, set-based."""
        ...

    def erase(self, program_id: ProgramId, member_id: MemberId) -> bool:
        """Delete person and identifiers, set the status to ERASED; the ledger stays. False when unknown.

        Coupons of the member are nobody's from then on.
        """
        ...

    def add_code(self, program_id: ProgramId, code: EnrolmentCode) -> None: ...

    def codes(self, program_id: ProgramId, *, live_at: Ms) -> list[EnrolmentCode]:
        """Return codes that are unused, unexpired and have tries left (at most 100)."""
        ...

    def spend_try(self, program_id: ProgramId, selector: str, *, live_at: Ms) -> list[EnrolmentCode]:
        """Take one try from each live code with a selector and return these codes; empty when none has a try left.

        Counted before anybody compares, and in one step: guesses side by side get no more tries than in a row.
        """
        ...

    def use_code(self, program_id: ProgramId, code_hash: bytes, device: Device, *, now: Ms) -> bool:
        """Mark the code used and store the device, PENDING; False when the code was used meanwhile.

        Tries are not asked about: ``spend_try`` came before and may have taken the last one for this very use.
        """
        ...

    def add_device(self, program_id: ProgramId, device: Device) -> None: ...

    def device(self, program_id: ProgramId, device_id: str) -> Device | None: ...

    def device_program(self, device_id: str) -> ProgramId | None:
        """Return the program of a device (device ids are unique over programs), for the token endpoint only."""
        ...

    def devices(self, program_id: ProgramId, *, after: str, limit: int) -> list[Device]: ...

    def set_device_status(
        self, program_id: ProgramId, device_id: str, status: DeviceStatus, *, now: Ms
    ) -> bool: ...

    def set_device_key(
        self, program_id: ProgramId, device_id: str, *, public_jwk: str, kid: str, fingerprint: str
    ) -> bool: ...

    def use_assertion(
        self, program_id: ProgramId, device_id: str, token_id: str, *, usable_until: Ms, now: Ms
    ) -> bool:
        """Record the use of a device's signed assertion: True once, False ever after, whichever process asks.

        What the device used is forgotten ``ASSERTION_KEPT_MS`` after ``usable_until``.
        """
        ...

    def put_cashier(self, program_id: ProgramId, cashier: Cashier) -> bool:
        """Store or replace a cashier; False when the store has ``CASHIERS_MAX`` and this one is new."""
        ...

    def cashier(self, program_id: ProgramId, store_id: str, cashier_id: str) -> Cashier | None: ...

    def cashiers(self, program_id: ProgramId, store_id: str) -> list[Cashier]:
        """Return a store's cashiers by id, at most ``CASHIERS_MAX``."""
        ...

    def count_wrong_pin(
        self,
        program_id: ProgramId,
        store_id: str,
        cashier_id: str,
        *,
        tries_max: int,
        lock_until: Ms,
        now: Ms,
    ) -> Cashier | None:
        """Count a wrong PIN in one step, locking (and counting anew) at ``tries_max``; return the cashier afterwards.

        A lock that has run out is cleared first. None when unknown.
        """
        ...

    def clear_wrong_pins(self, program_id: ProgramId, store_id: str, cashier_id: str) -> None: ...

    def add_card_device(self, program_id: ProgramId, device: CardDevice, *, most: int) -> CardDevice | None:
        """Store a device of a member, or return it as it is stored; None when ``most`` others count already.

        Raises ``NotFound`` when the member is unknown or erased.
        """
        ...

    def card_devices(self, program_id: ProgramId, member_id: MemberId) -> list[CardDevice]:
        """Return a member's devices, revoked ones too, the oldest first."""
        ...

    def renew_card_device(
        self, program_id: ProgramId, member_id: MemberId, kid: str, *, expires: Ms
    ) -> CardDevice | None:
        """Note that a credential was renewed; never to an earlier instant. None when unknown or revoked."""
        ...

    def revoke_card_device(
        self, program_id: ProgramId, member_id: MemberId, kid: str, *, now: Ms
    ) -> CardDevice | None:
        """Revoke a device for ever; one that is revoked stays as it is. None when unknown."""
        ...

    def forget_card_device(self, program_id: ProgramId, member_id: MemberId, kid: str) -> bool:
        """Delete a revoked device; False when there is no such one."""
        ...

    def revoked_devices(self, *, since: Ms) -> list[str]:
        """Return the devices of all programs revoked after an instant (at most 10,000): their tokens are refused."""
        ...
