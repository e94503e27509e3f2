"""Households: several people whose cards all lead to one account.

The account is a member like any other, without a person behind it: so earning, burning, tiers, holds, leases and tills
without a line work on it as they are. Who the people are, what they have agreed to and how they are reached stays with
each of them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Protocol

from tallystick.core.basket import Channel
from tallystick.core.entry import Refusal, Refused, refused
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.state import Account, MemberStatus
from tallystick.service.balances import member_not_found
from tallystick.service.directory import Directory, Member
from tallystick.service.errors import (
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    TallystickError,
)
from tallystick.service.household_store import Belonging, HouseholdStore, Part, Pool
from tallystick.service.ports import LedgerReader

PEOPLE_MAX = 10
ASKING_SHOWN_MAX = 20
INVITATION_TTL_MS = 15 * 60_000
CODE_CHARS = 10
"""Of base 32: 50 bits that are good for a quarter of an hour and one person."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


class Store(HouseholdStore, LedgerReader, Directory, Protocol):
    """What households need of a store."""


@record(frozen=True, slots=True)
class Household:
    """A household as one of its people sees it; whoever asks to join is there for the head only."""

    household_id: MemberId
    people: tuple[Belonging, ...]
    viewer: Belonging


@record(frozen=True, slots=True)
class Invitation:
    """A code with which one person can ask to join."""

    code: str
    expires_ms: Ms


class Households:
    """The use cases around households. Safe to use from several threads."""

    def __init__(self, store: Store, *, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._now_ms = now_ms

    def create(self, program_id: ProgramId, household_id: MemberId, head_id: MemberId) -> Household:
        """Make a household. Raises ``NotFound``, ``AlreadyExists`` when the id is a person's, and
        ``FailedPrecondition`` when the member is in another household.
        """
        head = self._living(program_id, head_id)
        account = self._store.member(program_id, household_id)
        if account is not None and account.number:
            raise _reused()
        now_ms = self._now_ms()
        if account is None:
            made = Member(household_id, "", MemberStatus.OPEN, now_ms, int(Channel.APP), head.store_id)
            self._store.enrol(program_id, made, [])
        place = Belonging(head_id, household_id, Part.HEAD, now_ms)
        try:
            stored = self._store.add_household(program_id, household_id, place)
        except AlreadyExists as error:
            raise _reused() from error
        if stored.household_id != household_id:
            raise _conflict("The member is in a household already.", "Leave it first.", "in_household")
        return self._seen_by(program_id, stored)

    def of(self, program_id: ProgramId, member_id: MemberId) -> Household | None:
        """Return the household that a member is in or has asked to join. Raises ``NotFound``."""
        self._living(program_id, member_id)
        place = self._store.belonging(program_id, member_id)
        return None if place is None else self._seen_by(program_id, place)

    def invite(self, program_id: ProgramId, head_id: MemberId) -> Invitation:
        """Make an invitation, which replaces the one before. Raises ``FailedPrecondition`` for all but the head."""
        head = self._head(program_id, head_id)
        code = "".join(secrets.choice(_ALPHABET) for _ in range(CODE_CHARS))
        expires_ms = Ms(self._now_ms() + INVITATION_TTL_MS)
        self._store.invite(program_id, head.household_id, _hash_of(program_id, code), expires_ms=expires_ms)
        return Invitation(code, expires_ms)

    def ask(self, program_id: ProgramId, member_id: MemberId, code: str) -> Household:
        """Ask to join by an invitation. Raises ``PermissionDenied`` for one that is not good, ``NotFound``, and
        ``FailedPrecondition`` for somebody who is in a household.
        """
        self._living(program_id, member_id)
        place = self._store.ask_to_join(program_id, member_id, _hash_of(program_id, code), now=self._now_ms())
        if place is None:
            raise PermissionDenied(
                "The invitation is not known, used or over.",
                mend="Ask for a new one.",
                reason="INVITATION_INVALID",
            )
        if place.part is not Part.ASKING:
            raise _conflict("The member is in a household already.", "Leave it first.", "in_household")
        return self._seen_by(program_id, place)

    def take_in(self, program_id: ProgramId, head_id: MemberId, person_id: MemberId) -> Household:
        """Let somebody in who has asked. Raises ``FailedPrecondition`` when nobody has, and for all but the head, who
        must be open; a ``TallystickError`` of the reason LIMIT_REACHED when the household is full.
        """
        head = self._head(program_id, head_id)
        # Whoever is let in may spend what the head may not.
        if self._living(program_id, head_id).status is not MemberStatus.OPEN:
            raise _not_open()
        taken = self._store.take_in(
            program_id, head.household_id, person_id, most=PEOPLE_MAX, now=self._now_ms()
        )
        if taken is None:
            place = self._store.belonging(program_id, person_id)
            if place is None or place.household_id != head.household_id:
                raise _conflict("The person has not asked to join.", "Send an invitation.", "not_asked")
            # The head may have left meanwhile.
            self._head(program_id, head_id)
            raise TallystickError(
                "The household has as many people as are allowed.",
                mend="Somebody has to leave first.",
                reason="LIMIT_REACHED",
                limit="people_per_household",
                max=PEOPLE_MAX,
            )
        return self._seen_by(program_id, head)

    def take_out(self, program_id: ProgramId, member_id: MemberId, person_id: MemberId) -> Household | None:
        """Let a person go, or a head send one away; None for whoever has left.

        Raises ``NotFound`` and ``FailedPrecondition``.
        """
        self._living(program_id, member_id)
        own = self._store.belonging(program_id, member_id)
        if person_id == member_id:
            if own is not None and not self._store.take_out(program_id, own.household_id, member_id):
                raise _conflict("The head leaves last.", "Let the others leave first.", "head_of_others")
            return None
        head = self._head(program_id, member_id)
        self._store.take_out(program_id, head.household_id, person_id)
        return self._seen_by(program_id, head)

    def speaks_for(self, program_id: ProgramId, person_id: MemberId, account_id: MemberId) -> bool:
        """Return whether an account is a person's to see: one's own, or that of one's household."""
        if person_id == account_id:
            return True
        place = self._store.belonging(program_id, person_id)
        return place is not None and place.household_id == account_id and place.part is not Part.ASKING

    def bars(
        self, program_id: ProgramId, person_id: MemberId, account_id: MemberId, command_id: CommandId
    ) -> Refused | None:
        """Return why a person may not spend an account's points by a command; None for one who may.

        One's own account says so itself; a household's is open whatever has become of one of its people. A command that
        was decided before is for the ledger to answer again.
        """
        member = self._store.member(program_id, person_id)
        if person_id == account_id or member is None or member.status is MemberStatus.OPEN:
            return None
        if self._store.read_known(program_id, [command_id]):
            return None
        if member.status is MemberStatus.LOCKED:
            return refused(Refusal.MEMBER_LOCKED)
        return refused(Refusal.MEMBER_BLOCKED, status=member.status.name)

    def own_points(self, program_id: ProgramId, person_id: MemberId) -> Pool | None:
        """Return what a person in a household has on an account of his or her own; None when that is nothing, and as
        long as one of the two accounts is not open.
        """
        place = self._store.belonging(program_id, person_id)
        if place is None or place.part is Part.ASKING:
            return None
        accounts = self._store.read_accounts(program_id, [person_id, place.household_id])
        account = accounts[person_id]
        if not account.active or not _all_open(accounts):
            return None
        return Pool(person_id, place.household_id, account.active, account.seq)

    def last_in(self, program_id: ProgramId, member_id: MemberId) -> MemberId | None:
        """Return the household that a member is the last one in; None for a member of another, or of none."""
        place = self._store.belonging(program_id, member_id)
        if place is None or place.part is not Part.HEAD:
            return None
        people = self._store.people(program_id, place.household_id)
        return None if any(one.part is Part.PERSON for one in people) else place.household_id

    def last_points(self, program_id: ProgramId, household_id: MemberId, member_id: MemberId) -> Pool | None:
        """Return what a household has for the last one in it to take along; None when that is nothing.

        Raises ``FailedPrecondition`` while something would stay behind, with nobody to spend it.
        """
        accounts = self._store.read_accounts(program_id, [household_id, member_id])
        account = accounts[household_id]
        if account.pending or account.held:
            raise left_behind()
        if not account.active:
            return None
        if not _all_open(accounts):
            raise _not_open()
        return Pool(household_id, member_id, account.active, account.seq)

    def _living(self, program_id: ProgramId, member_id: MemberId) -> Member:
        member = self._store.member(program_id, member_id)
        if member is None or member.status is MemberStatus.ERASED:
            raise member_not_found(member_id)
        return member

    def _head(self, program_id: ProgramId, member_id: MemberId) -> Belonging:
        self._living(program_id, member_id)
        place = self._store.belonging(program_id, member_id)
        if place is None or place.part is not Part.HEAD:
            raise _conflict("The member is not the head of a household.", "Ask the head.", "not_head")
        return place

    def _seen_by(self, program_id: ProgramId, viewer: Belonging) -> Household:
        people = self._store.people(program_id, viewer.household_id)
        inside = [one for one in people if one.part is not Part.ASKING]
        if viewer.part is Part.HEAD:
            inside += [one for one in people if one.part is Part.ASKING][:ASKING_SHOWN_MAX]
        elif viewer.part is Part.ASKING:
            inside = [one for one in inside if one.part is Part.HEAD] + [viewer]
        return Household(viewer.household_id, tuple(inside), viewer)


def transfer_not_found(transfer_id: CommandId) -> NotFound:
    """Return the error for a transfer that is not there, or not for the caller to see."""
    return NotFound(
        "There is no such transfer.",
        mend="Nothing has left under this id: it may be sent.",
        reason="TRANSFER_NOT_FOUND",
        transfer_id=transfer_id,
    )


def _reused() -> AlreadyExists:
    return AlreadyExists(
        "The household_id was used before.",
        mend="Make a new household_id for a new household.",
        reason="REQUEST_ID_REUSED",
        field="household_id",
    )


def _hash_of(program_id: ProgramId, code: str) -> bytes:
    spelled = code.strip().upper().translate(_LOOKALIKES)
    return hashlib.sha256(f"{program_id}/{spelled}".encode()).digest()


def _conflict(message: str, mend: str, why: str) -> FailedPrecondition:
    return FailedPrecondition(message, mend=mend, reason="HOUSEHOLD_CONFLICT", why=why)


def _all_open(accounts: Mapping[MemberId, Account]) -> bool:
    return all(one.status is MemberStatus.OPEN for one in accounts.values())


def left_behind() -> FailedPrecondition:
    """Return the error for the last one in a household whose points did not come along."""
    return _conflict(
        "The household has points that cannot be taken along yet.",
        "Leave once nothing is pending or held: stores and checkouts give back what they do not need.",
        "points_waiting",
    )


def _not_open() -> FailedPrecondition:
    return _conflict(
        "The member is blocked or has locked the points.",
        "Unblock the member or unlock the points.",
        "not_open",
    )
