"""Webhooks: the endpoints that are told of events, their keys, and what became of their messages."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit

from tallystick.core.ids import Ms, ProgramId
from tallystick.core.record import record
from tallystick.security.sealing import MasterKeys, new_wrapped_key, open_sealed, seal
from tallystick.security.webhook_keys import WebhookKey, new_webhook_key
from tallystick.service.errors import InvalidInput, NotFound, TallystickError
from tallystick.service.event_store import (
    WEBHOOKS_MAX,
    Delivery,
    DeliveryState,
    Endpoint,
    EventStore,
    EventType,
    Signing,
)
from tallystick.service.events import here
from tallystick.service.members import join_blob, split_blob
from tallystick.service.ports import LedgerReader

OLD_KEY_MS = 24 * 3_600_000
"""How long the key before still signs, so that a receiver can take the new one without a gap."""

NATS_ID = "$nats"
"""The name of the endpoint that stands for the stream of NATS; no caller can make one of that name."""

_PURPOSE = "webhook"
_HERE = ("localhost", "localhost.")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")
"""The only addresses of version 6 that anybody on the internet has (RFC 4291, IANA); NAT64 leads to version 4."""


class WebhookSource(EventStore, LedgerReader, Protocol):
    """What webhooks need of a store."""


@record(frozen=True, slots=True)
class EndpointNow:
    """An endpoint with what it verifies by, and how many of its messages wait and have failed.

    ``verification_key`` of HMAC is set in the answer that made it and never again.
    """

    endpoint: Endpoint
    verification_key: str
    waiting: int
    failed: int


class Webhooks:
    """The use cases around endpoints. Safe to use from several threads.

    ``private`` lets messages go to this machine and to addresses that are not public.
    """

    def __init__(
        self,
        store: WebhookSource,
        *,
        masters: Callable[[], MasterKeys],
        now_ms: Callable[[], Ms],
        private: bool,
    ) -> None:
        self._store = store
        self._masters = masters
        self._now_ms = now_ms
        self._private = private

    def set(
        self,
        program_id: ProgramId,
        webhook_id: str,
        *,
        url: str,
        event_types: Sequence[str],
        signing: Signing,
        paused: bool,
        rotate_key: bool,
    ) -> EndpointNow:
        """Make or change an endpoint. Raises ``InvalidInput`` for what cannot be one."""
        require_url(url, webhook_id=webhook_id, private=self._private)
        _require_known(event_types)
        now_ms = self._now_ms()
        before = self._store.endpoint(program_id, webhook_id)
        if before is None:
            key = WebhookKey(new_webhook_key(), signing is Signing.ED25519)
            sealed = self._sealed(program_id, webhook_id, key)
            endpoint = Endpoint(
                webhook_id, url, tuple(event_types), signing, sealed, paused=paused, made_ms=now_ms
            )
        else:
            if before.signing is not signing:
                raise InvalidInput(
                    "How an endpoint's messages are signed cannot be changed.",
                    mend="Make another endpoint and delete this one when nothing waits for it.",
                    violations=(("signing", "must be that of the endpoint"),),
                )
            endpoint = replace(before, url=url, event_types=tuple(event_types), paused=paused)
            if rotate_key:
                endpoint = self._rotated(program_id, endpoint, now_ms)
        place = here(self._store, program_id, now_ms)
        if not self._store.put_endpoint(program_id, endpoint, here=place, now=now_ms):
            raise TallystickError(
                "The program has as many webhooks as are allowed.",
                mend="Delete one that nobody needs.",
                reason="LIMIT_REACHED",
                limit="webhooks_per_program",
                max=WEBHOOKS_MAX,
            )
        return self._now(program_id, endpoint, is_new_key=before is None or rotate_key)

    def all(self, program_id: ProgramId) -> list[EndpointNow]:
        """Return all endpoints by name."""
        counts = self._store.delivery_counts(program_id)
        found = self._store.endpoints(program_id)
        return [self._now(program_id, endpoint, is_new_key=False, counts=counts) for endpoint in found]

    def delete(self, program_id: ProgramId, webhook_id: str) -> None:
        """Remove an endpoint and what waits for it; one that is not there is removed already."""
        self._store.delete_endpoint(program_id, webhook_id)

    def deliveries(
        self,
        program_id: ProgramId,
        webhook_id: str,
        *,
        state: DeliveryState | None,
        before: int | None,
        limit: int,
    ) -> list[Delivery]:
        """Return messages of an endpoint, newest first. Raises ``NotFound``."""
        self._require(program_id, webhook_id)
        return self._store.deliveries(program_id, webhook_id, state=state, before=before, limit=limit)

    def replay(self, program_id: ProgramId, webhook_id: str, *, since: Ms | None) -> int:
        """Let messages wait again that failed, or all since an instant; return how many. Raises ``NotFound``."""
        self._require(program_id, webhook_id)
        return self._store.replay_deliveries(program_id, webhook_id, since=since, now=self._now_ms())

    def signing_keys(self, program_id: ProgramId, endpoint: Endpoint) -> list[WebhookKey]:
        """Return the keys that sign now, the newest first. Raises ``SealBroken`` when they do not open."""
        sealed = [endpoint.sealed_key]
        if endpoint.old_sealed_key and self._now_ms() < endpoint.old_until_ms:
            sealed.append(endpoint.old_sealed_key)
        return [self._opened(program_id, endpoint, blob) for blob in sealed]

    def _rotated(self, program_id: ProgramId, endpoint: Endpoint, now_ms: Ms) -> Endpoint:
        """Return the endpoint with a new key.

        Of a second change within a day the key that goes is the one in between: it may be that its answer was lost
        and nobody has it, and the receiver still verifies by the first.
        """
        old = endpoint.old_sealed_key if now_ms < endpoint.old_until_ms else endpoint.sealed_key
        key = WebhookKey(new_webhook_key(), endpoint.signing is Signing.ED25519)
        sealed = self._sealed(program_id, endpoint.webhook_id, key)
        until_ms = Ms(now_ms + OLD_KEY_MS)
        return replace(endpoint, sealed_key=sealed, old_sealed_key=old, old_until_ms=until_ms)

    def _now(
        self,
        program_id: ProgramId,
        endpoint: Endpoint,
        *,
        is_new_key: bool,
        counts: dict[tuple[str, DeliveryState], int] | None = None,
    ) -> EndpointNow:
        counts = self._store.delivery_counts(program_id) if counts is None else counts
        text = ""
        if endpoint.sealed_key and (is_new_key or endpoint.signing is Signing.ED25519):
            text = self._opened(program_id, endpoint, endpoint.sealed_key).verification_key
        name = endpoint.webhook_id
        waiting, failed = (
            counts.get((name, state), 0) for state in (DeliveryState.WAITING, DeliveryState.FAILED)
        )
        return EndpointNow(endpoint, text, waiting, failed)

    def _require(self, program_id: ProgramId, webhook_id: str) -> None:
        if self._store.endpoint(program_id, webhook_id) is None:
            raise NotFound("There is no such webhook.", reason="WEBHOOK_NOT_FOUND", webhook_id=webhook_id)

    def _sealed(self, program_id: ProgramId, webhook_id: str, key: WebhookKey) -> bytes:
        # Sealed as a member's data are, bound to the endpoint in the member's place.
        masters, owner = self._masters(), f"webhook:{webhook_id}"
        wrapped = new_wrapped_key(masters, program_id=program_id, member_id=owner)
        sealed = seal(masters, wrapped, key.secret, program_id=program_id, member_id=owner, purpose=_PURPOSE)
        return join_blob(wrapped, sealed)

    def _opened(self, program_id: ProgramId, endpoint: Endpoint, blob: bytes) -> WebhookKey:
        wrapped, sealed = split_blob(blob)
        owner = f"webhook:{endpoint.webhook_id}"
        secret = open_sealed(
            self._masters(), wrapped, sealed, program_id=program_id, member_id=owner, purpose=_PURPOSE
        )
        return WebhookKey(secret, endpoint.signing is Signing.ED25519)


def require_url(url: str, *, webhook_id: str, private: bool) -> None:
    """Raise ``InvalidInput`` unless messages may go to a URL, as far as the text tells.

    What a name stands for is looked at when a message is sent: it may be another address by then.
    """
    text = ""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise _url_refused("must be a URL", webhook_id) from None
    local = is_here(host)
    if not host or not url.isascii() or any(not "!" <= char <= "~" for char in url):
        text = "must name a host, and hold no spaces or letters outside ASCII"
    elif parts.username is not None or parts.password is not None or parts.fragment:
        text = "must hold neither a user nor a fragment"
    elif parts.scheme != "https" and not (parts.scheme == "http" and local):
        text = "must be https, or http to this machine"
    elif not private and (local or not may_be_public(host)):
        text = "must be public; the setting webhook_private (TALLYSTICK_WEBHOOK_PRIVATE) allows others"
    if text:
        raise _url_refused(text, webhook_id)


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the internet, not of this machine, its network or a special purpose."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # What hides an address of version 4 leads where that leads.
        hidden = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if hidden is None and ip in _NAT64:
            hidden = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if hidden is not None:
            return is_public(str(hidden))
        if ip not in _GIVEN_OUT:
            return False
    return ip.is_global and not ip.is_multicast


def is_here(host: str) -> bool:
    """Return whether a host is this machine."""
    if host in _HERE:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_be_public(host: str) -> bool:
    """Return whether a host may be one of the internet, as far as its name or address says."""
    try:
        return is_public(host)
    except ValueError:
        return not host.rstrip(".").endswith((".localhost", ".local", ".internal"))


def _url_refused(text: str, webhook_id: str) -> InvalidInput:
    return InvalidInput(
        "Messages are not sent to that URL.",
        violations=(("url", text),),
        reason="WEBHOOK_URL_REFUSED",
        webhook_id=webhook_id,
    )


def _require_known(event_types: Sequence[str]) -> None:
    known = {kind.value for kind in EventType}
    unknown = [kind for kind in event_types if kind not in known]
    if unknown:
        raise InvalidInput(
            "There are no such events.",
            violations=(("event_types", f"must be of {', '.join(sorted(known))}; not {unknown[0]}"),),
        )
