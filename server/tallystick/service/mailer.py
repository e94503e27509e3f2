"""The port by which mails leave."""

from __future__ import annotations

from dataclasses import field
from typing import Protocol

from tallystick.core.ids import Ms
from tallystick.core.record import record


@record(frozen=True, slots=True)
class CodeMail:
    """A code on its way to a person. ``language`` is a BCP 47 tag, perhaps empty. Its repr hides address and code.

    After ``expires_ms`` nobody has to send it any more.
    """

    address: str = field(repr=False)
    code: str = field(repr=False)
    program_name: str
    language: str
    expires_ms: Ms


class Mailer(Protocol):
    """Takes mails on their way."""

    def post(self, mail: CodeMail) -> None:
        """Take a mail and return at once, whatever becomes of it; from any thread."""
        ...
