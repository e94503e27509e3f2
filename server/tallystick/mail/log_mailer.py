"""Mails that do not leave: they are written where whoever tries things out can read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tallystick.mail.words import subject_and_text

if TYPE_CHECKING:
    from tallystick.service.mailer import CodeMail


class LogMailer:
    """Writes mails, codes and all, with ``write``: for trying out on one's own machine, and for nothing else."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def post(self, mail: CodeMail) -> None:
        """Write the mail."""
        subject, text = subject_and_text(mail)
        body = "".join(f"  {line}\n" if line else "\n" for line in text.splitlines())
        self._write(f"\nMail to {mail.address} (not sent: smtp_host is not set)\n  {subject}\n\n{body}")

    def close(self) -> None:
        """Nothing waits."""
