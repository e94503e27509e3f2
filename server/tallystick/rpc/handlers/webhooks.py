"""WebhookService: who is told of events, and what became of the messages."""

from __future__ import annotations

from tallystick.rpc.call import Call
from tallystick.rpc.convert.pages import PageTokens, page_size
from tallystick.rpc.convert.scalars import ms_from_pb
from tallystick.rpc.convert.webhooks import delivery_to_pb, webhook_to_pb
from tallystick.service.event_store import DeliveryState, Signing
from tallystick.service.gateway import Gateway
from tallystick.v1 import webshop_pb2 as pb


class WebhookHandlers:
    """Answers WebhookService."""

    def __init__(self, gateway: Gateway, pages: PageTokens) -> None:
        self._webhooks = gateway.webhooks
        self._pool = gateway.pool
        self._pages = pages

    async def set_webhook(self, request: pb.SetWebhookRequest, call: Call) -> pb.SetWebhookResponse:
        now = await self._pool.run(
            self._webhooks.set,
            call.caller.program_id,
            request.webhook_id,
            url=request.url,
            event_types=tuple(request.event_types),
            signing=Signing(request.signing),
            paused=request.paused,
            rotate_key=request.rotate_key,
        )
        return pb.SetWebhookResponse(webhook=webhook_to_pb(now))

    async def list_webhooks(self, request: pb.ListWebhooksRequest, call: Call) -> pb.ListWebhooksResponse:
        del request
        found = await self._pool.run(self._webhooks.all, call.caller.program_id)
        return pb.ListWebhooksResponse(webhooks=[webhook_to_pb(now) for now in found])

    async def delete_webhook(self, request: pb.DeleteWebhookRequest, call: Call) -> pb.DeleteWebhookResponse:
        await self._pool.run(self._webhooks.delete, call.caller.program_id, request.webhook_id)
        return pb.DeleteWebhookResponse()

    async def list_deliveries(
        self, request: pb.ListDeliveriesRequest, call: Call
    ) -> pb.ListDeliveriesResponse:
        program_id = call.caller.program_id
        scope = ("ListDeliveries", program_id, request.webhook_id, str(request.state))
        marks, limit = self._pages.read(scope, request.page_token), page_size(request.page_size)
        found = await self._pool.run(
            self._webhooks.deliveries,
            program_id,
            request.webhook_id,
            state=DeliveryState(request.state) if request.state else None,
            before=int(marks[0]) if marks else None,
            limit=limit,
        )
        response = pb.ListDeliveriesResponse(deliveries=[delivery_to_pb(one) for one in found])
        if len(found) == limit:
            response.next_page_token = self._pages.make(scope, [found[-1].number])
        return response

    async def replay_deliveries(
        self, request: pb.ReplayDeliveriesRequest, call: Call
    ) -> pb.ReplayDeliveriesResponse:
        replayed = await self._pool.run(
            self._webhooks.replay,
            call.caller.program_id,
            request.webhook_id,
            since=ms_from_pb(request.since) if request.HasField("since") else None,
        )
        return pb.ReplayDeliveriesResponse(replayed=replayed)
