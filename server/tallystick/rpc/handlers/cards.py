"""CardService: batches of pre-printed cards, lost cards."""

from __future__ import annotations

from tallystick.rpc.call import Call
from tallystick.rpc.convert.cards import batch_to_pb, card_to_pb
from tallystick.rpc.convert.pages import PageTokens, page_size
from tallystick.rpc.convert.people import identifier_refused_to_pb, identifier_to_pb, kind_from_pb
from tallystick.rpc.handlers.access import visible_member
from tallystick.service.gateway import Gateway
from tallystick.service.identity import IdentityRefused, Text
from tallystick.v1 import card_pb2 as pb


class CardHandlers:
    """Answers CardService."""

    def __init__(self, gateway: Gateway, pages: PageTokens) -> None:
        self._cards = gateway.cards
        self._pool = gateway.pool
        self._pages = pages

    async def create_card_batch(
        self, request: pb.CreateCardBatchRequest, call: Call
    ) -> pb.CreateCardBatchResponse:
        kind = kind_from_pb(request.kind)
        assert kind is not None, "the contract names the kinds"
        made = await self._pool.run(
            self._cards.create,
            call.caller.program_id,
            request.batch_id.lower(),
            kind=kind,
            count=request.count,
            prefix=request.prefix,
            label=request.label,
            created_by=call.caller.device_id,
        )
        return pb.CreateCardBatchResponse(batch=batch_to_pb(made))

    async def list_card_batches(
        self, request: pb.ListCardBatchesRequest, call: Call
    ) -> pb.ListCardBatchesResponse:
        del request
        found = await self._pool.run(self._cards.batches, call.caller.program_id)
        return pb.ListCardBatchesResponse(batches=[batch_to_pb(batch) for batch in found])

    async def list_cards(self, request: pb.ListCardsRequest, call: Call) -> pb.ListCardsResponse:
        program_id, batch_id = call.caller.program_id, request.batch_id.lower()
        scope = ("ListCards", program_id, batch_id)
        marks, limit = self._pages.read(scope, request.page_token), page_size(request.page_size)
        found = await self._pool.run(
            self._cards.page, program_id, batch_id, after=int(marks[0]) if marks else 0, limit=limit
        )
        response = pb.ListCardsResponse(cards=[card_to_pb(card) for card in found])
        if len(found) == limit:
            response.next_page_token = self._pages.make(scope, [found[-1].card.position])
        return response

    async def report_lost(self, request: pb.ReportLostRequest, call: Call) -> pb.ReportLostResponse:
        caller = call.caller
        left = await self._pool.run(
            self._cards.report_lost,
            caller.program_id,
            visible_member(caller, request.member_id),
            request.identifier_id,
        )
        identifiers = [identifier_to_pb(row) for row in left.identifiers]
        return pb.ReportLostResponse(identifiers=identifiers, number=left.number)

    async def replace_card(self, request: pb.ReplaceCardRequest, call: Call) -> pb.ReplaceCardResponse:
        caller = call.caller
        answer = await self._pool.run(
            self._cards.replace,
            caller.program_id,
            visible_member(caller, request.member_id),
            request.identifier_id,
            Text(request.text, kind_from_pb(request.kind)),
        )
        if isinstance(answer, IdentityRefused):
            return pb.ReplaceCardResponse(refused=identifier_refused_to_pb(answer))
        identifiers = [identifier_to_pb(row) for row in answer.identifiers]
        return pb.ReplaceCardResponse(replaced=pb.ReplacedCard(identifiers=identifiers, number=answer.number))
