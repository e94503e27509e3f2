"""Channels that lead out of the gateway over HTTP, or over what the gateway has already: push, text messages, events,
wallets.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.core.ids import Ms, ProgramId
from tallystick.events.http_post import NotSent
from tallystick.security.web_push import SALT_BYTES, authorization, encrypt
from tallystick.security.webhook_keys import WebhookKey
from tallystick.service.event_store import EventStore, EventType
from tallystick.service.events import event_of, instant_text
from tallystick.service.notices import Carried, Notice, Outcome, Recipient
from tallystick.service.notification_ports import Noted, NoteState, NotificationStore, PushSubscription, Way
from tallystick.service.wallet_store import Wallet, WalletPass, WalletPlace, WalletStore

GONE = (404, 410)
TOO_MANY = 429
TTL_MAX_S = 28 * 86_400
QUEUE_TRIES = 5
WALLET_HELD_MS = 60_000


class Post(Protocol):
    """Sends one message over HTTP."""

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """Return the status. Raises ``NotSent``."""
        ...


class WebPush:
    """Push messages of the card app (RFC 8030), to all devices of a member that want them."""

    way = Way.PUSH

    def __init__(
        self,
        store: NotificationStore,
        post: Post,
        *,
        key: Callable[[], ec.EllipticCurvePrivateKey],
        contact: str,
        now_ms: Callable[[], Ms],
    ) -> None:
        self._store = store
        self._post = post
        self._key = key
        self._contact = contact
        self._now_ms = now_ms

    async def send(self, notice: Notice, recipient: Recipient) -> Outcome:
        """Send it to all devices; it is sent when one has taken it."""
        answers = await asyncio.gather(*(self._to_device(notice, one) for one in recipient.push))
        carried = [answer.carried for answer in answers]
        for best in (Carried.SENT, Carried.LATER, Carried.NO_WAY):
            if best in carried:
                return answers[carried.index(best)]
        return Outcome(Carried.NO_WAY, "no device")

    async def _to_device(self, notice: Notice, address: PushSubscription) -> Outcome:
        now_ms = self._now_ms()
        said = {"title": notice.title, "body": notice.text, "tag": notice.notification_id}
        body = encrypt(
            json.dumps(said, ensure_ascii=False).encode(),
            p256dh=address.p256dh,
            auth=address.auth,
            sender=ec.generate_private_key(ec.SECP256R1()),
            salt=secrets.token_bytes(SALT_BYTES),
        )
        headers = {
            "authorization": authorization(
                self._key(), address.endpoint, contact=self._contact, now_s=now_ms // 1000
            ),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(min(TTL_MAX_S, max(0, (notice.stale_ms - now_ms) // 1000))),
            # Of a message that is sent once more the push service keeps one.
            "topic": notice.notification_id.replace("-", ""),
            "urgency": "normal",
        }
        try:
            status = await self._post.post(address.endpoint, headers, body)
        except NotSent as failed:
            return Outcome(Carried.LATER, str(failed))
        if 200 <= status < 300:
            return Outcome(Carried.SENT, str(status))
        if status in GONE:
            await asyncio.to_thread(
                self._store.remove_push, notice.program_id, address.member_id, address.kid
            )
            return Outcome(Carried.NO_WAY, str(status))
        is_busy = status == TOO_MANY or status >= 500
        return Outcome(Carried.LATER if is_busy else Carried.NO_WAY, str(status))


class HttpSms:
    """Text messages by a service of the retailer's choice: a POST of JSON, signed as webhooks are."""

    way = Way.SMS

    def __init__(self, post: Post, url: str, secret: bytes, *, now_ms: Callable[[], Ms]) -> None:
        self._post = post
        self._url = url
        self._key = WebhookKey(secret, is_ed25519=False)
        self._now_ms = now_ms

    async def send(self, notice: Notice, recipient: Recipient) -> Outcome:
        """Give it to the service."""
        if not recipient.phone:
            return Outcome(Carried.NO_WAY, "no number")
        said = {
            "id": notice.notification_id,
            "to": recipient.phone,
            "text": notice.text,
            "language": notice.language,
            "programId": notice.program_id,
        }
        body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
        now_s = self._now_ms() // 1000
        headers = {
            "user-agent": "Tallystick",
            "webhook-id": notice.notification_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": self._key.sign(notice.notification_id, now_s, body),
        }
        try:
            status = await self._post.post(self._url, headers, body)
        except NotSent as failed:
            return Outcome(Carried.LATER, str(failed))
        if 200 <= status < 300:
            return Outcome(Carried.SENT, str(status))
        # What the service says of one number says nothing of the next one; its own faults, and a move, pass.
        is_of_number = 400 <= status < 500 and status not in (401, 403, 408, TOO_MANY)
        return Outcome(Carried.NO_WAY if is_of_number else Carried.LATER, str(status))


class ShownSms:
    """Text messages that do not leave: for trying out on one's own machine."""

    way = Way.SMS

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    async def send(self, notice: Notice, recipient: Recipient) -> Outcome:
        """Write it, and not to whom."""
        if not recipient.phone:
            return Outcome(Carried.NO_WAY, "no number")
        self._write(f"\nText message (not sent: sms_url is not set)\n  {notice.text}\n")
        return Outcome(Carried.SENT, "shown")


class WebhookEvents:
    """The event notification.due, for a sender of the retailer's own."""

    way = Way.WEBHOOK

    def __init__(self, store: EventStore, *, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._now_ms = now_ms

    async def send(self, notice: Notice, recipient: Recipient) -> Outcome:
        """Queue the event for the endpoints that want it."""
        del recipient
        return await asyncio.to_thread(self._queue, notice)

    def _queue(self, notice: Notice) -> Outcome:
        kind = EventType.NOTIFICATION_DUE
        if not any(one.wants(kind) for one in self._store.endpoints(notice.program_id)):
            return Outcome(Carried.NO_WAY, "no endpoint")
        event = event_of(
            notice.program_id, notice.member_id, kind, notice.notification_id, notice.made_ms, _data(notice)
        )
        for _ in range(QUEUE_TRIES):
            place = self._store.event_place(notice.program_id)
            if place is None:
                return Outcome(Carried.NO_WAY, "no endpoint")
            # The place stays where it is: this event is not of the journal.
            if self._store.queue_events(notice.program_id, [event], (), to=place, now=self._now_ms()):
                return Outcome(Carried.SENT, "queued")
        return Outcome(Carried.LATER, "busy")


class WalletNews:
    """The pass in a phone's wallet: it shows the message, and its phone speaks of it."""

    way = Way.WALLET

    def __init__(self, store: _WalletAndNotes, *, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._now_ms = now_ms

    async def send(self, notice: Notice, recipient: Recipient) -> Outcome:
        """Let the member's passes change; how the wallets hear of it is a matter of their delivery."""
        del recipient
        return await asyncio.to_thread(self._change, notice)

    def _change(self, notice: Notice) -> Outcome:
        passes = self._store.wallet_passes(notice.program_id, notice.member_id)
        if not passes:
            return Outcome(Carried.NO_WAY, "no pass")
        if not any(self._may_be_seen(notice.program_id, one) for one in passes):
            return Outcome(Carried.NO_WAY, "no phone")
        # First the message is one of the wallet, then the pass changes: whoever fetches it finds it there.
        held_ms = Ms(self._now_ms() + WALLET_HELD_MS)
        held = Noted(
            notice.member_id, notice.notification_id, NoteState.WAITING, Way.WALLET, "", held_ms, tried=False
        )
        self._store.note_notifications(notice.program_id, [held], now=self._now_ms())
        for _ in range(QUEUE_TRIES):
            place = self._store.wallet_place(notice.program_id)
            if place is None:
                return Outcome(Carried.NO_WAY, "no pass")
            stays = WalletPlace(place.lanes, place.changed_ms, moves=place.moves)
            if self._store.move_place(notice.program_id, stays, [notice.member_id], now=self._now_ms()):
                return Outcome(Carried.SENT, "changed")
        return Outcome(Carried.LATER, "busy")

    def _may_be_seen(self, program_id: ProgramId, one: WalletPass) -> bool:
        # A phone registers for a pass when it is added, and says when it is taken off; Google tells neither.
        return one.wallet is Wallet.GOOGLE or bool(self._store.registrations(program_id, one.serial))


class _WalletAndNotes(NotificationStore, WalletStore, Protocol):
    """What telling by wallets needs of a store."""


def _data(notice: Notice) -> dict[str, Any]:
    return {
        "memberId": notice.member_id,
        "notificationId": notice.notification_id,
        "occasion": notice.occasion.value,
        "language": notice.language,
        "title": notice.title,
        "text": notice.text,
        "values": dict(notice.args),
        "channels": [one.name.lower() for one in notice.channels],
        "staleAt": instant_text(notice.stale_ms),
    }
