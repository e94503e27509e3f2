"""Members and their personal data: reading, changing, blocking, erasing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from datetime import date

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.rules.yearly import month_day_of
from tallystick.core.state import MemberStatus
from tallystick.security.sealing import MasterKeys, new_wrapped_key, open_sealed, rewrap, seal
from tallystick.service.balances import member_not_found
from tallystick.service.birthday_ports import NO_DAY, Birthday
from tallystick.service.directory import Directory, Member
from tallystick.service.errors import FailedPrecondition, NotFound

PURPOSE = "profile"
_LENGTH_BYTES = 2
_LOCKS = 64


@record(frozen=True, slots=True)
class Profile:
    """A member's personal data; every field may be empty. ``updated_ms`` is 0 when nothing was ever written."""

    given_name: str = ""
    family_name: str = ""
    email: str = ""
    phone: str = ""
    birthday: str = ""
    language: str = ""
    updated_ms: Ms = Ms(0)


NO_PROFILE = Profile()
_FIELDS = frozenset(field.name for field in fields(Profile))


def open_profile(masters: MasterKeys, blob: bytes | None, *, program_id: str, member_id: str) -> Profile:
    """Return the profile in a stored blob. Raises ``SealBroken`` when it was changed or belongs to another member."""
    if blob is None:
        return NO_PROFILE
    wrapped, sealed = split_blob(blob)
    text = open_sealed(masters, wrapped, sealed, program_id=program_id, member_id=member_id, purpose=PURPOSE)
    return Profile(**{name: value for name, value in json.loads(text).items() if name in _FIELDS})


def split_blob(blob: bytes) -> tuple[bytes, bytes]:
    """Take a stored blob apart: the length of the wrapped key, the wrapped key, the sealed data."""
    end = _LENGTH_BYTES + int.from_bytes(blob[:_LENGTH_BYTES], "big")
    return blob[_LENGTH_BYTES:end], blob[end:]


def join_blob(wrapped: bytes, sealed: bytes) -> bytes:
    """Return the blob that ``split_blob`` takes apart."""
    return len(wrapped).to_bytes(_LENGTH_BYTES, "big") + wrapped + sealed


class Members:
    """The use cases around one member. Safe to use from several threads."""

    def __init__(
        self, directory: Directory, *, masters: Callable[[], MasterKeys], now_ms: Callable[[], Ms]
    ) -> None:
        self._directory = directory
        self._masters = masters
        self._now_ms = now_ms
        # Two changes of one profile are read, merged and written: one after the other, or the first is lost.
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def get(self, program_id: ProgramId, member_id: MemberId) -> Member:
        """Return a member, erased ones too. Raises ``NotFound``."""
        member = self._directory.member(program_id, member_id)
        if member is None:
            raise member_not_found(member_id)
        return member

    def living(self, program_id: ProgramId, member_id: MemberId) -> Member:
        """Return a member that has not been erased. Raises ``NotFound``."""
        member = self.get(program_id, member_id)
        if member.status is MemberStatus.ERASED:
            raise member_not_found(member_id)
        return member

    def page(self, program_id: ProgramId, *, after: str, limit: int) -> list[Member]:
        """Return members in the order of their ids, after one."""
        return self._directory.members(program_id, after=after, limit=limit)

    def profile(self, program_id: ProgramId, member_id: MemberId) -> Profile:
        """Return a member's personal data; of an erased member there is none. Raises ``NotFound``."""
        self.get(program_id, member_id)
        blob = self._directory.persons(program_id, [member_id]).get(member_id)
        return open_profile(self._masters(), blob, program_id=program_id, member_id=member_id)

    def update_profile(
        self,
        program_id: ProgramId,
        member_id: MemberId,
        changes: dict[str, str],
        *,
        by_staff: bool = False,
    ) -> Profile:
        """Set the fields that are named and leave the others; what changes nothing writes nothing.

        Raises ``NotFound``, also for an erased member: nothing may be known about one again; and ``FailedPrecondition``
        for a birthday on another day than the one that was set in the last year, unless the staff correct it.
        """
        assert changes.keys() <= _FIELDS - {"updated_ms"}, "only fields of a profile can be changed"
        with self._locks[hash((program_id, member_id)) % _LOCKS]:
            self.living(program_id, member_id)
            if "birthday" in changes:
                self._set_birthday(program_id, member_id, changes["birthday"], by_staff=by_staff)
            masters = self._masters()
            blob = self._directory.persons(program_id, [member_id]).get(member_id)
            old = open_profile(masters, blob, program_id=program_id, member_id=member_id)
            new = Profile(**{**asdict(old), **changes})
            if new == old:
                return old
            new = replace(new, updated_ms=self._now_ms())
            sealed = self._seal(masters, blob, new, program_id=program_id, member_id=member_id)
            try:
                self._directory.put_person(program_id, member_id, sealed)
            except NotFound:
                raise member_not_found(member_id) from None
        return new

    def birthday_changeable_ms(self, program_id: ProgramId, member_id: MemberId) -> Ms:
        """Return when the day of the birthday can be changed, 0 when it can be now."""
        stored = self._directory.birthday(program_id, member_id)
        return stored.changeable_ms if stored and stored.changeable_ms > self._now_ms() else Ms(0)

    def _set_birthday(self, program_id: ProgramId, member_id: MemberId, text: str, *, by_staff: bool) -> None:
        """Keep the day of a birthday (YYYY-MM-DD, empty for none) where it is found by."""
        month_day = month_day_of(date.fromisoformat(text)) if text else NO_DAY
        wanted = Birthday(member_id, month_day, self._now_ms())
        try:
            stored = self._directory.set_birthday(program_id, wanted, by_staff=by_staff)
        except NotFound:
            raise member_not_found(member_id) from None
        if stored.month_day != month_day:
            raise FailedPrecondition(
                "The birthday was set less than a year ago and stays as it is.",
                mend="Wait, or let the staff correct it.",
                reason="BIRTHDAY_FIXED",
                changeable_ms=stored.changeable_ms,
            )

    def set_blocked(self, program_id: ProgramId, member_id: MemberId, *, blocked: bool) -> Member:
        """Block or unblock a member; points that were locked before are locked again. Raises ``NotFound``, also for an
        erased one.
        """
        wanted = MemberStatus.BLOCKED if blocked else MemberStatus.OPEN
        member = self.living(program_id, member_id)
        if (member.status is MemberStatus.BLOCKED) is blocked:
            return member
        if not self._directory.set_status(program_id, member_id, wanted):
            raise member_not_found(member_id)
        return self.living(program_id, member_id)

    def set_spend_lock(self, program_id: ProgramId, member_id: MemberId, *, locked: bool) -> Member:
        """Lock a member's points or let them be burned again; a blocked member stays blocked, and it is kept.

        Raises ``NotFound``, also for an erased one.
        """
        member = self._directory.set_spend_lock(program_id, member_id, locked=locked)
        if member is None:
            raise member_not_found(member_id)
        return member

    def erase(self, program_id: ProgramId, member_id: MemberId) -> Member:
        """Delete all that leads to a person; the entries stay. Raises ``NotFound``."""
        member = self.get(program_id, member_id)
        if member.status is MemberStatus.ERASED:
            return member
        self._directory.erase(program_id, member_id)
        return self.get(program_id, member_id)

    def _seal(
        self, masters: MasterKeys, blob: bytes | None, profile: Profile, *, program_id: str, member_id: str
    ) -> bytes:
        if blob is None:
            wrapped = new_wrapped_key(masters, program_id=program_id, member_id=member_id)
        else:
            wrapped = rewrap(masters, split_blob(blob)[0], program_id=program_id, member_id=member_id)
        text = json.dumps(asdict(profile), separators=(",", ":")).encode()
        sealed = seal(masters, wrapped, text, program_id=program_id, member_id=member_id, purpose=PURPOSE)
        return join_blob(wrapped, sealed)
