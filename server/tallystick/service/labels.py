"""What owners call their devices and passkeys: it may name a person, so it is sealed with a key of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tallystick.core.ids import MemberId, ProgramId
from tallystick.security.errors import SealBroken
from tallystick.security.sealing import MasterKeys, new_wrapped_key, open_sealed, seal
from tallystick.service.members import join_blob, split_blob

log = logging.getLogger(__name__)


class Labels:
    """Seals labels of one kind; what was sealed for another ``purpose``, member or program does not open."""

    def __init__(self, masters: Callable[[], MasterKeys], *, purpose: str) -> None:
        self._masters = masters
        self._purpose = purpose

    def seal(self, program_id: ProgramId, member_id: MemberId, label: str) -> bytes:
        """Return a label as it is stored."""
        masters = self._masters()
        wrapped = new_wrapped_key(masters, program_id=program_id, member_id=member_id)
        sealed = seal(
            masters,
            wrapped,
            label.encode(),
            program_id=program_id,
            member_id=member_id,
            purpose=self._purpose,
        )
        return join_blob(wrapped, sealed)

    def open(self, program_id: ProgramId, member_id: MemberId, stored: bytes) -> str:
        """Return the label; a damaged one is empty and costs nothing else."""
        wrapped, sealed = split_blob(stored)
        try:
            text = open_sealed(
                self._masters(),
                wrapped,
                sealed,
                program_id=program_id,
                member_id=member_id,
                purpose=self._purpose,
            )
        except SealBroken:
            log.exception("a label does not open", extra={"program_id": program_id, "what": self._purpose})
            return ""
        return text.decode()
