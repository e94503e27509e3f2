"""Wires the delivery of events: webhooks, and the stream of NATS when there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.cli.output import CommandFailed
from tallystick.config.settings import Settings

if TYPE_CHECKING:
    from tallystick.events.delivery import Deliveries
    from tallystick.events.nats_stream import NatsStream
    from tallystick.service.gateway import Gateway


def open_deliveries(settings: Settings, gateway: Gateway) -> Deliveries:
    """Return what delivers events in a serving process. Raises ``CommandFailed`` when NATS is set and not installed."""
    from tallystick.events.delivery import Deliveries
    from tallystick.events.http_post import HttpPost
    from tallystick.rpc.convert.webhooks import entry_data
    from tallystick.service.events import EventFollower

    return Deliveries(
        gateway.store,
        gateway.webhooks,
        EventFollower(gateway.store, entry_data=entry_data, now_ms=gateway.now_ms),
        HttpPost(private=settings.webhook_private),
        nats=_nats(settings),
        now_ms=gateway.now_ms,
    )


def _nats(settings: Settings) -> NatsStream | None:
    if not settings.nats_url:
        return None
    try:
        import nats  # noqa: F401 - whether it is there
    except ImportError as error:
        raise CommandFailed(
            "nats_url is set, but nats-py is not installed", mend="pip install 'tallystick[nats]'"
        ) from error
    from tallystick.events.nats_stream import NatsStream

    return NatsStream(settings.nats_url, settings.nats_stream)
