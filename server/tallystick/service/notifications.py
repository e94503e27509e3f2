"""Notifications as members and back office see them: what was told, where push messages go, how to end mails."""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.rules.model import DAY_MS
from tallystick.core.rules.notifications import ABOUT, Occasion
from tallystick.security.encoding import base64url_decode, base64url_encode, length_prefixed
from tallystick.security.errors import SealBroken
from tallystick.security.key_dir import KeyDir
from tallystick.security.web_push import AUTH_BYTES, application_key, is_public_key, public_bytes
from tallystick.service.balances import member_not_found
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose
from tallystick.service.consents import Consents
from tallystick.service.errors import FailedPrecondition, InvalidInput, NotFound
from tallystick.service.members import Members
from tallystick.service.notice_texts import EXAMPLE
from tallystick.service.notices import Notice
from tallystick.service.notification_ports import NoteState, Notification, PushSubscription, Way
from tallystick.service.notification_turn import TurnStore, notice_of
from tallystick.service.rulebook import RuleBook
from tallystick.service.webhooks import is_here, may_be_public

KEPT_MS = 90 * DAY_MS
"""How long messages that were sent, dropped or given up are kept."""

NEWS_MS = 30 * DAY_MS
"""How long a pass shows a message."""

NEWS_AMONG = 20
"""Among how many of a member's messages the last one of the wallet is looked for."""

ENDPOINT_CHARS_MAX = 1024
STOP_ROUTE = "/notices/"
STOP_DEVICE = "link in a mail"
_STOP_PURPOSE = b"tallystick stop mails v1"
_TAG_BYTES = 16
_UUID_BYTES = 16

Mark = tuple[Ms, str]
Counts = dict[tuple[Occasion, Way, NoteState], int]


@record(frozen=True, slots=True)
class NoticeSettings:
    """What an installation can send by. Without a ``push_contact`` (a mailto: or https: URI) there is no web push.

    ``push_private`` lets push messages go to this machine and to addresses that are not public.
    """

    ways: frozenset[Way] = frozenset({Way.WALLET, Way.WEBHOOK})
    push_contact: str = ""
    push_private: bool = False


@record(frozen=True, slots=True)
class Shown:
    """A message with its words in one language."""

    note: Notification
    title: str
    text: str


@record(frozen=True, slots=True)
class Stopped:
    """Whose mails of which purpose a link ends, with what the page about it needs."""

    program_id: ProgramId
    member_id: MemberId
    purpose: ConsentPurpose
    program_name: str
    language: str


class Notifications:
    """The use cases around notifications. Safe to use from several threads."""

    def __init__(
        self,
        store: TurnStore,
        rulebook: RuleBook,
        members: Members,
        consents: Consents,
        *,
        settings: NoticeSettings,
        keys: Callable[[], KeyDir],
        stop_role: int,
        public_url: str,
        now_ms: Callable[[], Ms],
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._members = members
        self._consents = consents
        self._settings = settings
        self._keys = keys
        self._stop_role = stop_role
        self._public_url = public_url.rstrip("/")
        self._now_ms = now_ms

    @property
    def ways(self) -> frozenset[Way]:
        """The channels by which this installation can send."""
        return self._settings.ways

    def push_key(self) -> str:
        """Return the key that browsers subscribe with. Raises PUSH_OFF."""
        self._require_push()
        return base64url_encode(public_bytes(application_key(self._keys().notice_key)))

    def has_push(self, program_id: ProgramId, member_id: MemberId, kid: str) -> bool:
        """Return whether push messages come to a device."""
        return any(one.kid == kid for one in self._store.push_subscriptions(program_id, member_id))

    def set_push(
        self, program_id: ProgramId, member_id: MemberId, kid: str, *, endpoint: str, p256dh: str, auth: str
    ) -> None:
        """Let push messages come to a device. Raises ``NotFound``, PUSH_OFF and PUSH_ENDPOINT_REFUSED."""
        self._require_push()
        self._require_endpoint(endpoint)
        key, secret = _decoded(p256dh, "p256dh"), _decoded(auth, "auth")
        if not is_public_key(key):
            raise _refused("p256dh", "must be an uncompressed point of P-256")
        if len(secret) != AUTH_BYTES:
            raise _refused("auth", f"must be {AUTH_BYTES} bytes")
        address = PushSubscription(member_id, kid, endpoint, key, secret, self._now_ms())
        if not self._store.set_push(program_id, address):
            raise member_not_found(member_id)

    def remove_push(self, program_id: ProgramId, member_id: MemberId, kid: str) -> None:
        """Let no more push messages come to a device."""
        self._store.remove_push(program_id, member_id, kid)

    def list_of(
        self, program_id: ProgramId, member_id: MemberId, *, language: str, before: Mark | None, limit: int
    ) -> list[Shown]:
        """Return a member's messages, newest first, in the member's language if none is named. Raises ``NotFound``."""
        self._members.living(program_id, member_id)
        spoken = language or self._language(program_id, member_id)
        found = self._store.notifications_of(program_id, member_id, before=before, limit=limit)
        return [self._shown(program_id, note, spoken) for note in found]

    def news(self, program_id: ProgramId, member_id: MemberId) -> str:
        """Return what the passes in a member's wallets say besides points: the last message that went there."""
        since = self._now_ms() - NEWS_MS
        for note in self._store.notifications_of(program_id, member_id, before=None, limit=NEWS_AMONG):
            is_news = note.way is Way.WALLET and note.state in (NoteState.WAITING, NoteState.SENT)
            if is_news and note.made_ms >= since:
                return self._shown(program_id, note, self._language(program_id, member_id)).text
        return ""

    def failed(self, program_id: ProgramId, *, before: Mark | None, limit: int) -> list[Notification]:
        """Return messages that were given up, newest first."""
        return self._store.failed_notifications(program_id, before=before, limit=limit)

    def counts(self, program_id: ProgramId) -> Counts:
        """Count the messages that are kept."""
        return self._store.notification_counts(program_id, since=Ms(self._now_ms() - KEPT_MS))

    def retry(self, program_id: ProgramId, way: Way | None) -> int:
        """Let messages wait again that were given up and are not stale; return how many."""
        return self._store.retry_notifications(program_id, way=way, now=self._now_ms())

    def example(self, program_id: ProgramId, occasion: Occasion, *, language: str) -> Notice:
        """Return a message with made-up values, for nobody. Raises ``NotFound``."""
        now_ms = self._now_ms()
        nobody = MemberId(str(uuid.UUID(int=0)))
        stale_ms = Ms(now_ms + ABOUT[occasion].shelf_s * 1000)
        note = Notification(str(uuid.uuid4()), nobody, occasion, EXAMPLE, now_ms, stale_ms, now_ms)
        return self._notice(program_id, note, language)

    def stop_url(self, notice: Notice, purpose: ConsentPurpose) -> str:
        """Return the link that ends mails of a purpose to a member; empty where the server has no public address."""
        if not self._public_url:
            return ""
        member, kind = uuid.UUID(notice.member_id).bytes, bytes([purpose])
        program_id = notice.program_id
        token = base64url_encode(member + kind + self._stop_tag(program_id, member, kind))
        return f"{self._public_url}{STOP_ROUTE}{program_id}/{token}?lang={notice.language}"

    def stop_link(self, program_id: ProgramId, token: str, *, language: str) -> Stopped | None:
        """Return what a link ends; None for one that this installation did not make."""
        try:
            raw = base64url_decode(token)
        except ValueError:
            return None
        member, kind, tag = raw[:_UUID_BYTES], raw[_UUID_BYTES : _UUID_BYTES + 1], raw[_UUID_BYTES + 1 :]
        if not hmac.compare_digest(tag, self._stop_tag(program_id, member, kind)):
            return None
        program = self._rulebook.program(program_id)
        if program is None:
            return None
        member_id = MemberId(str(uuid.UUID(bytes=member)))
        name = program.display_name or program_id
        return Stopped(program_id, member_id, ConsentPurpose(kind[0]), name, language)

    def stop(self, link: Stopped) -> None:
        """Withdraw the consent to mails that a link is about; of a member who is gone there is none."""
        try:
            self._consents.say(
                link.program_id,
                link.member_id,
                link.purpose,
                ConsentChannel.EMAIL,
                granted=False,
                by_role=self._stop_role,
                by_device=STOP_DEVICE,
            )
        except NotFound:
            return

    def _language(self, program_id: ProgramId, member_id: MemberId) -> str:
        try:
            return self._members.profile(program_id, member_id).language
        except SealBroken:
            return ""

    def _shown(self, program_id: ProgramId, note: Notification, language: str) -> Shown:
        notice = self._notice(program_id, note, language)
        return Shown(note, notice.title, notice.text)

    def _notice(self, program_id: ProgramId, note: Notification, language: str) -> Notice:
        program = self._rulebook.program(program_id)
        if program is None:
            raise NotFound("There is no such program.", reason="PROGRAM_NOT_FOUND", program_id=program_id)
        return notice_of(program, self._rulebook.current(program_id), note, language=language)

    def _stop_tag(self, program_id: ProgramId, member: bytes, kind: bytes) -> bytes:
        message = length_prefixed((_STOP_PURPOSE, program_id.encode(), member, kind))
        return hmac.digest(self._keys().notice_key, message, "sha256")[:_TAG_BYTES]

    def _require_push(self) -> None:
        if not self._settings.push_contact:
            raise FailedPrecondition(
                "Push messages are not set up.", mend="The operator sets push_contact.", reason="PUSH_OFF"
            )

    def _require_endpoint(self, endpoint: str) -> None:
        if len(endpoint) > ENDPOINT_CHARS_MAX:
            raise _refused("endpoint", f"is longer than {ENDPOINT_CHARS_MAX} characters")
        try:
            parts = urlsplit(endpoint)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise _refused("endpoint", "is no URL") from None
        if not host or parts.username or parts.fragment:
            raise _refused("endpoint", "is no URL of a push service")
        is_private = self._settings.push_private
        if parts.scheme != "https" and not (is_private and parts.scheme == "http"):
            raise _refused("endpoint", "must begin with https://")
        if not is_private and (is_here(host) or not may_be_public(host)):
            raise _refused("endpoint", "is not a public address")


def _decoded(text: str, field: str) -> bytes:
    try:
        return base64url_decode(text.rstrip("="))
    except ValueError:
        raise _refused(field, "is not base64url") from None


def _refused(field: str, why: str) -> InvalidInput:
    return InvalidInput(
        "Push messages cannot be sent there.",
        violations=((field, why),),
        reason="PUSH_ENDPOINT_REFUSED",
        field=field,
    )
