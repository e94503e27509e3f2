"""An answer in a form that processes can hand on and compare."""

from __future__ import annotations

from typing import NamedTuple

from tallystick.core.chain import entry_digest
from tallystick.core.codec import detail_to_text
from tallystick.core.entry import Posted, Refused
from tallystick.service.submission import Answer


class Given(NamedTuple):
    """One answer: to which command, whether it was stored before, and everything in it."""

    number: int
    replayed: bool
    reason: str
    """Why it was refused; empty for a posted entry."""
    content: bytes
    """Equal for equal answers."""


def given(number: int, answer: Answer) -> Given:
    """Return the record of an answer."""
    match answer.decision:
        case Posted(entry):
            content = entry_digest(entry, b"", detail_to_text(entry.detail))
            return Given(number, answer.replayed, "", content)
        case Refused(reason, details):
            return Given(number, answer.replayed, reason.name, repr(details).encode())
        case other:
            raise AssertionError(f"no command of these tests is answered with {other}")
