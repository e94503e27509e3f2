"""What passes in phone wallets need of a store: the passes, who wants to hear of them, and how far we have followed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import NEVER_MS, MemberId, Ms, ProgramId
from tallystick.core.record import record

PASSES_MAX = 10
"""Most passes of one member in one kind of wallet; another one takes the place of the oldest."""

REGISTRATIONS_MAX = 20
"""Most phones and watches that hear of one pass."""


class Wallet(IntEnum):
    """Whose wallet a pass lies in."""

    APPLE = 1
    GOOGLE = 2


@record(frozen=True, slots=True)
class WalletPass:
    """A pass of a member.

    ``tag`` is the number of the last change that the pass has to show: numbers of a program only grow.
    ``delivered_tag`` is the last one of which the wallet was told, ``served_tag`` the last one that a phone fetched.
    ``changed_s`` (seconds) is when the pass changed, later than any change before it although two may fall in one
    second. ``token_hash`` is the SHA-256 of the secret that the phone shows (empty: none). ``renew_ms`` is when its
    code must be replaced. ``told`` notifications were shown on ``told_day`` (days since 1970).
    """

    serial: str
    member_id: MemberId
    wallet: Wallet
    token_hash: bytes
    made_ms: Ms
    changed_s: int
    tag: int = 0
    served_tag: int = 0
    delivered_tag: int = 0
    deliver_ms: Ms = Ms(0)
    tries: int = 0
    renew_ms: Ms = NEVER_MS
    told_day: int = 0
    told: int = 0


@record(frozen=True, slots=True)
class Registration:
    """A phone or watch that wants to hear of a pass; ``push_token`` is its address at the push service."""

    device_id: str
    push_token: str
    registered_ms: Ms


class Registered(IntEnum):
    """What became of a registration."""

    NEW = 1
    KNOWN = 2
    TOO_MANY = 3


@record(frozen=True, slots=True)
class WalletPlace:
    """How far a program's journal and its members' own changes have been followed for passes.

    ``tag`` numbers the changes found so far, ``moves`` how often the place has moved.
    """

    lanes: Mapping[int, int]
    changed_ms: Ms
    tag: int = 0
    moves: int = 0


class WalletStore(Protocol):
    """Passes, registrations and the place. Every call is one short transaction of one program."""

    def add_pass(self, program_id: ProgramId, new: WalletPass, *, here: WalletPlace) -> WalletPass:
        """Store a pass and return it with the program's present tag; ``here`` is the place if there is none yet.

        Beyond ``PASSES_MAX`` of a member in this wallet the oldest are removed with their registrations.
        """
        ...

    def wallet_pass(self, program_id: ProgramId, serial: str) -> WalletPass | None: ...

    def wallet_passes(self, program_id: ProgramId, member_id: MemberId) -> list[WalletPass]:
        """Return a member's passes, the oldest first."""
        ...

    def add_registration(
        self, program_id: ProgramId, serial: str, registration: Registration, *, most: int = REGISTRATIONS_MAX
    ) -> Registered:
        """Store a registration; a known one gets the push token of this one.

        A pass that has changed since it was fetched becomes due: its phone could not be told before.
        """
        ...

    def remove_registration(self, program_id: ProgramId, serial: str, device_id: str) -> bool:
        """Remove a registration; False when there is none."""
        ...

    def registrations(self, program_id: ProgramId, serial: str) -> list[Registration]:
        """Return who wants to hear of a pass, by device."""
        ...

    def passes_of_device(self, program_id: ProgramId, device_id: str, *, after_tag: int) -> list[WalletPass]:
        """Return passes that a device is registered for and whose tag is greater, by (tag, serial)."""
        ...

    def forget_push_token(self, program_id: ProgramId, push_token: str, *, until: Ms) -> int:
        """Remove registrations with a push token made up to an instant; return how many."""
        ...

    def forget_devices(self, program_id: ProgramId, serial: str) -> None:
        """Remove all registrations of a pass."""
        ...

    def wallet_place(self, program_id: ProgramId) -> WalletPlace | None:
        """Return the place; None for a program that never had a pass."""
        ...

    def move_place(
        self, program_id: ProgramId, to: WalletPlace, members: Collection[MemberId], *, now: Ms
    ) -> bool:
        """Move the place and number the passes of the changed members anew, and those whose code is due, together.

        ``to.moves`` is that of the place that was read: False when another process has moved it since. Tags are seen
        in the order in which they are given.
        """
        ...

    def claim_due(self, program_id: ProgramId, *, now: Ms, until: Ms, limit: int) -> list[WalletPass]:
        """Return passes whose wallets have to be told, and keep them from others until an instant."""
        ...

    def note_delivered(
        self, program_id: ProgramId, serial: str, *, tag: int, told_day: int, told: int
    ) -> None:
        """Note that a wallet was told of a tag; one that has changed again meanwhile is due at once."""
        ...

    def note_failed(self, program_id: ProgramId, serial: str, *, retry_at: Ms) -> None:
        """Note that a wallet could not be told, and when to try again."""
        ...

    def note_served(self, program_id: ProgramId, serial: str, *, tag: int, renew_ms: Ms) -> None:
        """Note what a phone fetched, and when the code in it must be replaced."""
        ...
