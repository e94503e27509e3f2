"""People who joined at a till while the gateway was away: the member is made before the lane sees the advice."""

from __future__ import annotations

from collections.abc import Callable

from tallystick.core.advice import VerdictReason
from tallystick.core.basket import Channel
from tallystick.core.command import SettleEnrolment
from tallystick.core.ids import Ms, ProgramId
from tallystick.security.errors import SealBroken
from tallystick.security.key_dir import KeyDir
from tallystick.security.sealed_box import enrolment_context, open_sealed_text
from tallystick.service.directory import Device
from tallystick.service.errors import AlreadyExists
from tallystick.service.identity import Identity, IdentityReason, IdentityRefused, Text
from tallystick.wire.advices import ReadAdvice


class SignUps:
    """Opens what a till has sealed and enrols the person. Safe to use from several threads."""

    def __init__(
        self,
        identity: Identity,
        *,
        keys: Callable[[], KeyDir],
        now_ms: Callable[[], Ms],
        on_enrolled: Callable[[ProgramId, str, Ms], None],
    ) -> None:
        self._identity = identity
        self._on_enrolled = on_enrolled
        self._keys = keys
        self._now_ms = now_ms

    def enrol(self, program_id: ProgramId, till: Device, read: ReadAdvice) -> tuple[VerdictReason, ...]:
        """Make the member of an enrolment, and say what was noticed. The same advice makes the same member once.

        The member is made whatever is wrong with the text: sales to the new member are in the same queue.
        """
        if not isinstance(read.command, SettleEnrolment):
            return ()
        text = self._opened(program_id, read)
        noted = () if text is not None else (VerdictReason.INVALID,)
        enrolled_ms = Ms(min(max(read.told_ms, till.enrolled_ms), self._now_ms()))
        for given in ("",) if text is None else (text, ""):
            try:
                answer = self._identity.enrol(
                    program_id,
                    read.command.member_id,
                    Text(given),
                    enrolled_ms=enrolled_ms,
                    channel=Channel.STORE,
                    store_id=till.store_id,
                )
            except AlreadyExists:
                # An earlier try has made the member without the text.
                return (VerdictReason.IDENTIFIER_TAKEN,)
            if not isinstance(answer, IdentityRefused):
                if not answer.replayed:
                    self._on_enrolled(program_id, till.device_id, enrolled_ms)
                break
            taken = answer.reason is IdentityReason.TAKEN
            noted = (VerdictReason.IDENTIFIER_TAKEN if taken else VerdictReason.INVALID,)
        return noted

    def _opened(self, program_id: ProgramId, read: ReadAdvice) -> str | None:
        """Return the text of an enrolment, None when it does not open."""
        fact, box = read.message.enrolment, self._keys().box
        context = enrolment_context(program_id=program_id, member_id=read.command.member_id)
        try:
            return open_sealed_text(box, fact.sealed, context) if fact.key_id == box.kid else None
        except SealBroken:
            return None
