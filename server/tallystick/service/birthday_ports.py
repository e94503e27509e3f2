"""What days that come round every year need of a store: birthdays, and who joined when."""

from __future__ import annotations

from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record

FIXED_MS = 365 * 86_400_000
"""For how long a birthday stays as it was set: else whoever likes would have one every day."""

NO_DAY = 0
"""The day of whoever has taken the birthday back: the row stays, so that it is not set anew at once."""


@record(frozen=True, slots=True)
class Birthday:
    """The day and month of a member's birthday, ``month * 100 + day``; the year is sealed with the profile."""

    member_id: MemberId
    month_day: int
    set_ms: Ms

    @property
    def changeable_ms(self) -> Ms:
        """When it can be changed."""
        return Ms(self.set_ms + FIXED_MS)


class BirthdayDirectory(Protocol):
    """Birthdays, and members by when they joined. A birthday goes when its member is erased."""

    def set_birthday(self, program_id: ProgramId, birthday: Birthday, *, by_staff: bool) -> Birthday:
        """Set a birthday, or take it back; return what is kept then.

        One that was set less than ``FIXED_MS`` before ``birthday.set_ms`` stays, unless it is the staff who correct it.
        The same day once more changes nothing. Raises ``NotFound`` when the member is unknown or erased.
        """
        ...

    def birthday(self, program_id: ProgramId, member_id: MemberId) -> Birthday | None: ...

    def born_on(self, program_id: ProgramId, month_day: int, *, after: str, limit: int) -> list[MemberId]:
        """Return living members with that birthday, in the order of their ids, behind one."""
        ...

    def first_enrolled_ms(self, program_id: ProgramId) -> Ms | None:
        """Return when the first member has joined, None when nobody has."""
        ...

    def enrolled_between(
        self, program_id: ProgramId, from_ms: Ms, until_ms: Ms, *, after: str, limit: int
    ) -> list[MemberId]:
        """Return living members who joined in [from, until), in the order of their ids, behind one."""
        ...


def kept(stored: Birthday | None, wanted: Birthday, *, by_staff: bool) -> Birthday | None:
    """Return what is to be written, None when what is stored stays."""
    if stored is None:
        return wanted if wanted.month_day != NO_DAY else None
    if stored.month_day == wanted.month_day:
        return None
    if wanted.month_day == NO_DAY:
        # Whoever takes it back is forgotten at once; from when it was set counts on.
        return Birthday(stored.member_id, NO_DAY, stored.set_ms)
    return wanted if by_staff or wanted.set_ms >= stored.changeable_ms else None
