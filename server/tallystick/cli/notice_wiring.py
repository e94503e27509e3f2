"""Wires the channels by which members are told, and what sends their messages."""

from __future__ import annotations

import base64
import ssl
import sys
import time
from typing import TYPE_CHECKING, Literal, cast

from tallystick.config.settings import Settings
from tallystick.core.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tallystick.events.notifying import Notifying
    from tallystick.mail.smtp import SmtpSettings
    from tallystick.service.gateway import Gateway
    from tallystick.service.notices import Carrier
    from tallystick.service.notification_ports import Way
    from tallystick.service.notifications import NoticeSettings


@record(frozen=True, slots=True)
class NoticeParts:
    """What a serving process needs for notifications."""

    notifying: Notifying
    carriers: Mapping[Way, Carrier]


def notice_settings(settings: Settings, *, demo: bool) -> NoticeSettings:
    """Return by which channels members can be told."""
    from tallystick.service.notification_ports import Way
    from tallystick.service.notifications import NoticeSettings

    ways = {Way.WALLET, Way.WEBHOOK}
    if settings.smtp_host or demo:
        ways.add(Way.EMAIL)
    if settings.sms_url or demo:
        ways.add(Way.SMS)
    if settings.push_contact:
        ways.add(Way.PUSH)
    return NoticeSettings(frozenset(ways), settings.push_contact, settings.push_private)


def open_notices(settings: Settings, gateway: Gateway, *, demo: bool) -> NoticeParts:
    """Return what sends notifications in a serving process."""
    from tallystick.events.carriers import WalletNews, WebhookEvents
    from tallystick.events.notifying import Notifying

    store, now_ms = gateway.store, gateway.now_ms
    found: tuple[Carrier | None, ...] = (
        WalletNews(store, now_ms=now_ms),
        WebhookEvents(store, now_ms=now_ms),
        _mail(settings, gateway, demo=demo),
        _sms(settings, gateway, demo=demo),
        _push(settings, gateway),
    )
    carriers = [carrier for carrier in found if carrier is not None]
    notifying = Notifying(store, gateway.notices, gateway.turns, carriers, now_ms=now_ms)
    return NoticeParts(notifying, {carrier.way: carrier for carrier in carriers})


def smtp_settings(settings: Settings) -> SmtpSettings:
    """Return where mails are handed in."""
    from tallystick.mail.smtp import SmtpSettings

    return SmtpSettings(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=cast("Literal['starttls', 'tls', 'none']", settings.smtp_tls),
        sender=settings.smtp_from,
        user=settings.smtp_user,
        password=settings.smtp_password,
        context=None if settings.smtp_tls == "none" else ssl.create_default_context(),
    )


def _mail(settings: Settings, gateway: Gateway, *, demo: bool) -> Carrier | None:
    from tallystick.mail.notices import MailNotices, ShownMails

    stop_url = gateway.notifications.stop_url
    if settings.smtp_host:
        return MailNotices(smtp_settings(settings), stop_url=stop_url, clock=time.time)
    return ShownMails(_to_terminal, stop_url=stop_url) if demo else None


def _sms(settings: Settings, gateway: Gateway, *, demo: bool) -> Carrier | None:
    from tallystick.events.carriers import HttpSms, ShownSms
    from tallystick.events.http_post import HttpPost

    if settings.sms_url:
        secret = base64.b64decode(settings.sms_secret.removeprefix("whsec_"))
        # The operator has written the address: it may be one of this network.
        return HttpSms(HttpPost(private=True), settings.sms_url, secret, now_ms=gateway.now_ms)
    return ShownSms(_to_terminal) if demo else None


def _push(settings: Settings, gateway: Gateway) -> Carrier | None:
    from tallystick.events.carriers import WebPush
    from tallystick.events.http_post import HttpPost
    from tallystick.security.web_push import application_key

    if not settings.push_contact:
        return None
    key = application_key(gateway.keys().notice_key)
    post = HttpPost(private=settings.push_private)
    return WebPush(gateway.store, post, key=lambda: key, contact=settings.push_contact, now_ms=gateway.now_ms)


def _to_terminal(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
