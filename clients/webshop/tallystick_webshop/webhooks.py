"""Messages from the gateway, checked before they are believed: Standard Webhooks, HMAC ("v1") and Ed25519 ("v1a").

    event = webhooks.verify(request.headers, request.body, [KEY], first_time=remember)

``KEY`` is what the gateway showed when the endpoint was made: "whsec_..." (keep it secret) or "whpk_...". Give the
old and the new one while a key is being changed.

The gateway sends each message at least once, always under the same id. Store that id in the transaction in which you
act on the message and let ``first_time`` look there: then a message that comes again, or that somebody recorded and
sends again, does nothing.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tallystick_webshop.errors import BadRequest, ShopError

TOLERANCE_S: Final = 300
BODY_BYTES_MAX: Final = 1 << 20
SIGNATURES_MAX: Final = 16
KEYS_MAX: Final = 8
ID_CHARS_MAX: Final = 255
SEEN_MAX: Final = 10_000

_SHARED = "whsec_"
_PUBLIC = "whpk_"
_TIMESTAMP_DIGITS_MAX = 12
_KEY_BYTES_MIN = 16


class WebhookRefused(ShopError):
    """A message that is not to be acted on. ``reason`` is HEADERS, TIME, SIGNATURE, REPLAYED or BODY."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, mend=_MENDS[reason])
        self.reason = reason


_MENDS: Final = {
    "HEADERS": "answer 400: whoever sent it is not the gateway, or a proxy takes headers away",
    "TIME": "answer 400 and compare this machine's clock with the time; the gateway sends it again",
    "SIGNATURE": "answer 401: it is forged, or the endpoint's key was changed and this one is old",
    "REPLAYED": "answer 204: it has been acted on",
    "BODY": "answer 400: it was signed by the key and is no event; update this package",
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the program: ``type`` such as "entry.posted", ``occurred_at`` as ISO 8601 text."""

    message_id: str
    type: str
    occurred_at: str
    data: Mapping[str, Any]


class SeenIds:
    """The newest 10,000 ids that one process has seen: enough for one process, not for several."""

    def __init__(self, ids_max: int = SEEN_MAX) -> None:
        self._ids_max = ids_max
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def __call__(self, message_id: str) -> bool:
        """Remember an id; return whether it is new."""
        with self._lock:
            if message_id in self._ids:
                return False
            self._ids[message_id] = None
            if len(self._ids) > self._ids_max:
                self._ids.popitem(last=False)
            return True


def verify(
    headers: Mapping[str, str],
    body: bytes,
    keys: Sequence[str],
    *,
    tolerance_s: int = TOLERANCE_S,
    first_time: Callable[[str], bool] | None = None,
    now_s: Callable[[], float] = time.time,
) -> Event:
    """Return what happened, when one of ``keys`` signed the very bytes of ``body`` within ``tolerance_s`` seconds.

    ``first_time`` is asked last, with the message's id, and answers whether it is new. Raises WebhookRefused, and
    BadRequest when a key is none.
    """
    if not 1 <= len(keys) <= KEYS_MAX:
        raise BadRequest(
            f"{len(keys)} webhook keys", mend=f"give 1 to {KEYS_MAX}: the endpoint's, and its old one"
        )
    lower = {str(name).lower(): value for name, value in headers.items()}
    message_id, sent, signatures = (
        lower.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
    )
    if not message_id or len(message_id) > ID_CHARS_MAX or not signatures:
        raise WebhookRefused(
            "HEADERS", "webhook-id, webhook-timestamp and webhook-signature do not make sense"
        )
    if not (sent.isascii() and sent.isdecimal()) or len(sent) > _TIMESTAMP_DIGITS_MAX:
        raise WebhookRefused("HEADERS", "webhook-timestamp is not in seconds")
    if len(body) > BODY_BYTES_MAX:
        raise WebhookRefused("BODY", f"the body has more than {BODY_BYTES_MAX} bytes")
    signed = b".".join((message_id.encode(), sent.encode(), body))
    # Every key is read before any is tried, so that a mistyped one is found on the first day.
    checks = [_check_of(key) for key in keys]
    given = [_signature(text) for text in signatures.split(" ")[:SIGNATURES_MAX]]
    if not any(check(version, signature, signed) for check in checks for version, signature in given):
        raise WebhookRefused("SIGNATURE", "none of the keys made any of the signatures")
    if abs(now_s() - int(sent)) > tolerance_s:
        raise WebhookRefused("TIME", f"it was sent more than {tolerance_s} seconds from now")
    event = _event(message_id, body)
    if first_time is not None and not first_time(message_id):
        raise WebhookRefused("REPLAYED", "a message of this id came before")
    return event


def _check_of(key: str) -> Callable[[str, bytes, bytes], bool]:
    prefix = next((one for one in (_SHARED, _PUBLIC) if key.startswith(one)), "")
    try:
        raw = base64.b64decode(key[len(prefix) :] + "=" * (-len(key[len(prefix) :]) % 4), validate=True)
        if prefix == _SHARED and len(raw) >= _KEY_BYTES_MIN:
            return lambda version, signature, signed: (
                version == "v1" and hmac.compare_digest(hmac.digest(raw, signed, "sha256"), signature)
            )
        if prefix == _PUBLIC:
            public = Ed25519PublicKey.from_public_bytes(raw)
            return lambda version, signature, signed: version == "v1a" and _holds(public, signature, signed)
    except (binascii.Error, ValueError):
        pass
    # The key itself is not repeated: it may be a secret.
    raise BadRequest("a webhook key cannot be read", mend="copy it whole; it begins with whsec_ or whpk_")


def _holds(public: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        public.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _signature(text: str) -> tuple[str, bytes]:
    version, _, encoded = text.partition(",")
    try:
        return version, base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return "", b""


def _event(message_id: str, body: bytes) -> Event:
    try:
        read = json.loads(body)
        kind, occurred_at, data = read["type"], read["timestamp"], read["data"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WebhookRefused("BODY", f"the body is no event ({type(error).__name__})") from error
    if not (isinstance(kind, str) and isinstance(occurred_at, str) and isinstance(data, dict)):
        raise WebhookRefused("BODY", "the body is no event")
    return Event(message_id, kind, occurred_at, data)
