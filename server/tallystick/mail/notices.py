"""Notifications as mails: plain text and simple HTML, with the link that ends them (RFC 2369, RFC 8058)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Final

from tallystick.core.rules.notifications import Sense
from tallystick.mail.smtp import TIMEOUT_S, SmtpSettings, hand_in
from tallystick.service.consent_ports import ConsentPurpose
from tallystick.service.notice_texts import surrounding
from tallystick.service.notices import Carried, Notice, Outcome, Recipient, purpose_of
from tallystick.service.notification_ports import Way

StopUrl = Callable[[Notice, ConsentPurpose], str]
"""Returns the link that ends mails of a purpose; empty where there is none."""

_PAGE: Final = """\
<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><title>{title}</title></head>
<body style="margin:0;background:#f4f4f1;color:#1c1c1a;font:16px/1.5 system-ui,sans-serif">
<div style="max-width:32em;margin:0 auto;padding:2em 1.5em">
<p style="color:#5c5c57;margin:0 0 1em">{program}</p>
<h1 style="font-size:1.25em;margin:0 0 .5em">{title}</h1>
<p style="margin:0 0 2em;white-space:pre-line">{text}</p>
<p style="color:#5c5c57;font-size:.8125em;margin:0">{foot}</p>
</div>
</body>
</html>
"""


class MailNotices:
    """Hands notifications to a mail server."""

    way = Way.EMAIL

    def __init__(
        self,
        settings: SmtpSettings,
        *,
        stop_url: StopUrl,
        clock: Callable[[], float],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._settings = settings
        self._stop_url = stop_url
        self._clock = clock
        self._timeout_s = timeout_s

    async def send(self, notice: Notice, recipient: Recipient) -> Outcome:
        """Hand a mail in. The same notice has the same Message-ID however often it is sent."""
        if not recipient.email:
            return Outcome(Carried.NO_WAY, "no address")
        message = notice_mail(
            notice,
            address=recipient.email,
            sender=self._settings.sender,
            stop_url=_stop_url(notice, self._stop_url),
            now=datetime.fromtimestamp(self._clock(), UTC),
        )
        failure = await hand_in(message, self._settings, timeout_s=self._timeout_s)
        if failure is None:
            return Outcome(Carried.SENT, "taken")
        return Outcome(Carried.NO_WAY if failure.of_address else Carried.LATER, failure.text)


class ShownMails:
    """Mails that do not leave: for trying out on one's own machine."""

    way = Way.EMAIL

    def __init__(self, write: Callable[[str], None], *, stop_url: StopUrl) -> None:
        self._write = write
        self._stop_url = stop_url

    async def send(self, notice: Notice, recipient: Recipient) -> Outcome:
        """Write it."""
        if not recipient.email:
            return Outcome(Carried.NO_WAY, "no address")
        url = _stop_url(notice, self._stop_url)
        body = "".join(f"  {line}\n" if line else "\n" for line in _plain(notice, url).splitlines())
        self._write(
            f"\nMail to {recipient.email} (not sent: smtp_host is not set)\n  {notice.title}\n\n{body}"
        )
        return Outcome(Carried.SENT, "shown")


def notice_mail(notice: Notice, *, address: str, sender: str, stop_url: str, now: datetime) -> EmailMessage:
    """Return a notification as it travels (RFC 5322). Without a ``stop_url`` nothing ends it."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = address
    message["Subject"] = notice.title
    message["Date"] = format_datetime(now)
    domain = sender.rpartition("@")[2].rstrip(">") or "localhost"
    message["Message-ID"] = f"<{notice.notification_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if stop_url:
        message["List-Unsubscribe"] = f"<{stop_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(_plain(notice, stop_url))
    message.add_alternative(_html(notice, stop_url), subtype="html")
    message["Content-Language"] = notice.language
    return message


def _stop_url(notice: Notice, stop_url: StopUrl) -> str:
    return "" if notice.sense is Sense.SECURITY else stop_url(notice, purpose_of(notice.occasion))


def _around(notice: Notice, key: str) -> str:
    return surrounding("mail", key, language=notice.language, program_name=notice.program_name)


def _plain(notice: Notice, stop_url: str) -> str:
    foot = ""
    if notice.sense is Sense.SECURITY:
        foot = f"\n-- \n{_around(notice, 'security')}\n"
    elif stop_url:
        foot = f"\n-- \n{_around(notice, 'stop')}\n{stop_url}\n"
    return f"{notice.text}\n{foot}"


def _html(notice: Notice, stop_url: str) -> str:
    foot = ""
    if notice.sense is Sense.SECURITY:
        foot = escape(_around(notice, "security"))
    elif stop_url:
        foot = (
            f'<a href="{escape(stop_url)}" style="color:inherit">{escape(_around(notice, "stop_link"))}</a>'
        )
    return _PAGE.format(
        language=notice.language,
        title=escape(notice.title),
        program=escape(notice.program_name),
        text=escape(notice.text),
        foot=foot,
    )
