"""Endpoints, messages and events as the contract has them."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict

from tallystick.core.entry import Entry
from tallystick.core.ids import Ms
from tallystick.rpc.convert.entries import fill_entry
from tallystick.rpc.convert.scalars import known_ms_to_pb, ms_to_pb
from tallystick.service.event_store import Delivery, DeliveryState
from tallystick.service.webhooks import EndpointNow
from tallystick.v1 import ledger_pb2
from tallystick.v1 import webshop_pb2 as pb


def entry_data(entry: Entry, recorded_ms: Ms) -> dict[str, Any]:
    """Return an entry as the JSON that Connect answers."""
    message = ledger_pb2.Entry()
    fill_entry(message, entry, recorded_ms)
    return MessageToDict(message)


def webhook_to_pb(now: EndpointNow) -> pb.Webhook:
    """Return an endpoint."""
    endpoint = now.endpoint
    return pb.Webhook(
        webhook_id=endpoint.webhook_id,
        url=endpoint.url,
        event_types=endpoint.event_types,
        signing=pb.WebhookSigning.ValueType(endpoint.signing),
        verification_key=now.verification_key,
        state=pb.WEBHOOK_STATE_PAUSED if endpoint.paused else pb.WEBHOOK_STATE_ACTIVE,
        waiting=now.waiting,
        failed=now.failed,
    )


def delivery_to_pb(delivery: Delivery) -> pb.Delivery:
    """Return a message to an endpoint; one that does not wait has no next try."""
    waits = delivery.state is DeliveryState.WAITING
    return pb.Delivery(
        message_id=delivery.message_id,
        event_type=delivery.event_type,
        state=pb.DeliveryState.ValueType(delivery.state),
        tries=delivery.tries,
        occurred_at=ms_to_pb(delivery.occurred_ms),
        next_try_at=known_ms_to_pb(delivery.next_ms) if waits else None,
        last_answer=delivery.answer,
    )
