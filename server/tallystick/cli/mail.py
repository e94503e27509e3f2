"""Wires the way that mails leave by: SMTP when it is set up, the terminal in a demonstration, none otherwise."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tallystick.config.settings import Settings

if TYPE_CHECKING:
    from tallystick.mail.log_mailer import LogMailer
    from tallystick.mail.smtp import SmtpMailer
    from tallystick.service.public_face import PublicFace


def open_mailer(settings: Settings, *, demo: bool) -> SmtpMailer | LogMailer | None:
    """Return the mailer of a process; None when mails can go nowhere. Close it at the end."""
    if settings.smtp_host:
        from tallystick.cli.notice_wiring import smtp_settings
        from tallystick.mail.smtp import SmtpMailer

        return SmtpMailer(smtp_settings(settings))
    if demo:
        from tallystick.mail.log_mailer import LogMailer

        return LogMailer(_to_terminal)
    return None


def public_face(settings: Settings, *, demo: bool) -> PublicFace:
    """Return what strangers may know of this installation."""
    from tallystick.service.public_face import PublicFace

    return PublicFace(
        organization=settings.organization,
        public_url=settings.public_url,
        apple_wallet=bool(settings.apple_pass_type) or demo,
        google_wallet=bool(settings.google_issuer_id),
    )


def _to_terminal(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
