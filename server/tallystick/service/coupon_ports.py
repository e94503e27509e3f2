"""What coupons need of a store: unique codes by their blind tokens, uses that are counted, reservations of holds.

A coupon's row of uses is its lock: whoever uses, reserves or frees one of its codes has it from before it looks until
it commits. So every number that a decision rests on is still true when the decision is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.record import record

COUPON_BATCHES_MAX = 10_000
"""Most batches of unique codes of a program."""

BATCH_COUPONS_MAX = 10_000
"""Most codes of a batch."""

NOBODY = MemberId("00000000-0000-0000-0000-000000000000")
"""Whose the codes are of a member who was erased: nobody's any more, so nobody can use them."""


class CodeState(IntEnum):
    """What became of a unique code. The numbers are those of the contract."""

    OPEN = 1
    RESERVED = 2
    USED = 3
    REVOKED = 4


@record(frozen=True, slots=True)
class CouponBatch:
    """Unique codes of one coupon that were made together. ``content`` tells a retry from another batch."""

    batch_id: str
    coupon_id: str
    count: int
    content: str
    created_ms: Ms
    created_by: str


@record(frozen=True, slots=True)
class CouponCode:
    """A unique code; the code itself is drawn anew from batch and ``position`` (from 1) when it is to be shown.

    ``member_id`` is whose it is, empty when it is whoever's. ``used_by`` is the hold or sale that has it (empty: none).
    One that is RESERVED is free again from ``reserved_until_ms`` on, by the server's clock. ``state`` is never REVOKED:
    that a code was ``revoked`` is kept apart, and holds when a hold gives it back or a sale is reversed.
    """

    token: str
    batch_id: str
    position: int
    coupon_id: str
    member_id: str
    state: CodeState
    used_by: str
    reserved_until_ms: Ms
    created_ms: Ms
    revoked: bool = False

    def held_at(self, now_ms: Ms) -> bool:
        """Return whether a hold has it at an instant."""
        return self.state is CodeState.RESERVED and self.reserved_until_ms > now_ms

    def state_at(self, now_ms: Ms) -> CodeState:
        """Return what became of it, as people are told."""
        if self.state is CodeState.USED or self.held_at(now_ms):
            return self.state
        return CodeState.REVOKED if self.revoked else CodeState.OPEN


@record(frozen=True, slots=True)
class Reservation:
    """One coupon that a hold keeps from others until ``until_ms`` by the server's clock; ``token`` of a unique code."""

    member_id: MemberId
    hold_id: CommandId
    coupon_id: str
    token: str
    until_ms: Ms


@dataclass(slots=True)
class CouponCounts:
    """How often coupons were used in all and by members, how often they are reserved, and the members' reservations."""

    used: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    by_member: dict[tuple[MemberId, str], int] = field(default_factory=dict)
    reservations: list[Reservation] = field(default_factory=list)


@dataclass(slots=True)
class CouponChanges:
    """Everything about coupons that one transaction writes; codes and counts as they are now, all of them locked."""

    codes: list[CouponCode] = field(default_factory=list)
    used: list[tuple[str, int]] = field(default_factory=list)
    by_member: list[tuple[MemberId, str, int]] = field(default_factory=list)
    reserved: list[Reservation] = field(default_factory=list)
    dropped: list[Reservation] = field(default_factory=list)


class CouponTransaction(Protocol):
    """The part of a transaction that is about coupons; nothing of it is called when no command names one."""

    def lock_codes(self, tokens: Iterable[str]) -> dict[str, CouponCode]:
        """Lock unique codes in the order of their tokens, behind all accounts; unknown ones are absent."""
        ...

    def lock_coupons(
        self, coupon_ids: Iterable[str], members: Iterable[MemberId], *, now_ms: Ms
    ) -> CouponCounts:
        """Lock coupons in the order of their ids, behind all codes, and return what is counted of them.

        One that was never used is locked all the same: its row is made. Reservations whose time is over are deleted, so
        that of two clocks the slower one cannot take what the faster one gave away. ``by_member`` and ``reservations``
        are those of the members, whose accounts the transaction has locked.
        """
        ...

    def write_coupons(self, changes: CouponChanges) -> None:
        """Write what has changed; behind ``write`` in the same transaction."""
        ...


class CouponReader(Protocol):
    """Reads of coupons that do not go through the lane."""

    def read_codes(self, program_id: ProgramId, tokens: Sequence[str]) -> dict[str, CouponCode]:
        """Return unique codes by token, without locks."""
        ...

    def read_coupon_counts(
        self, program_id: ProgramId, coupon_ids: Sequence[str], member_id: MemberId, *, now_ms: Ms
    ) -> CouponCounts:
        """Return what is counted of coupons; reservations whose time is over are not among them."""
        ...


class CouponDirectory(Protocol):
    """Batches of unique codes."""

    def add_coupon_batch(
        self, program_id: ProgramId, batch: CouponBatch, codes: Sequence[CouponCode]
    ) -> CouponBatch | None:
        """Store a batch with its codes in one transaction; one that is there already is returned as it is.

        None when the program has ``COUPON_BATCHES_MAX``. Raises ``AlreadyExists`` when one of the tokens is taken.
        """
        ...

    def coupon_batch(self, program_id: ProgramId, batch_id: str) -> CouponBatch | None: ...

    def batch_codes(
        self, program_id: ProgramId, batch_id: str, *, after: int, limit: int
    ) -> list[CouponCode]:
        """Return codes of a batch by position, behind one."""
        ...

    def member_codes(
        self, program_id: ProgramId, member_id: MemberId, *, after: tuple[Ms, str], limit: int
    ) -> list[CouponCode]:
        """Return a member's own codes by (created_ms, token), behind one."""
        ...

    def revoke_codes(self, program_id: ProgramId, batch_id: str, *, now_ms: Ms) -> int:
        """Revoke the codes of a batch; return how many ended by this call that nobody had used or reserved.

        One that a hold reserves can still be used by it.
        """
        ...
