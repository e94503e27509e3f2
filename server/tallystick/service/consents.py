"""Consents: what messages a member wants, by purpose and channel. Whatever was not said counts as a no."""

from __future__ import annotations

from collections.abc import Callable

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.service.balances import member_not_found
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose, SaidConsent
from tallystick.service.directory import Directory
from tallystick.service.errors import NotFound
from tallystick.service.members import Members


@record(frozen=True, slots=True)
class ConsentNow:
    """How one consent stands; ``changed_ms`` is 0 as long as nothing was said."""

    purpose: ConsentPurpose
    channel: ConsentChannel
    granted: bool
    changed_ms: Ms


class Consents:
    """The use cases around consents. Safe to use from several threads."""

    def __init__(
        self,
        directory: Directory,
        members: Members,
        *,
        now_ms: Callable[[], Ms],
        on_withdrawn: Callable[[ProgramId, MemberId, ConsentPurpose], None] | None = None,
    ) -> None:
        self._directory = directory
        self._members = members
        self._now_ms = now_ms
        self._on_withdrawn = on_withdrawn

    def all_of(self, program_id: ProgramId, member_id: MemberId) -> list[ConsentNow]:
        """Return one for every purpose and channel, in the order of their numbers. Raises ``NotFound``."""
        self._members.living(program_id, member_id)
        last = {(one.purpose, one.channel): one for one in self._directory.consents(program_id, member_id)}
        return [
            _now(last[purpose, channel])
            if (purpose, channel) in last
            else ConsentNow(purpose, channel, granted=False, changed_ms=Ms(0))
            for purpose in ConsentPurpose
            for channel in ConsentChannel
        ]

    def history(self, program_id: ProgramId, member_id: MemberId) -> list[SaidConsent]:
        """Return what was said, in its order. Raises ``NotFound``."""
        self._members.living(program_id, member_id)
        return self._directory.consents(program_id, member_id)

    def say(
        self,
        program_id: ProgramId,
        member_id: MemberId,
        purpose: ConsentPurpose,
        channel: ConsentChannel,
        *,
        granted: bool,
        by_role: int,
        by_device: str,
    ) -> ConsentNow:
        """Note a yes or a no and return how it stands; what changes nothing is not noted. Raises ``NotFound``.

        A no where nothing was said before is noted: somebody was asked.
        """
        said = SaidConsent(purpose, channel, granted, self._now_ms(), by_role, by_device)
        try:
            now = _now(self._directory.add_consent(program_id, member_id, said))
        except NotFound:
            raise member_not_found(member_id) from None
        if not granted and self._on_withdrawn is not None:
            self._on_withdrawn(program_id, member_id, purpose)
        return now


def _now(said: SaidConsent) -> ConsentNow:
    return ConsentNow(said.purpose, said.channel, said.granted, said.said_ms)
