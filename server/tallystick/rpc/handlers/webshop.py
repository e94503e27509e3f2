"""WebshopService: tokens for the pages of a shop, and the sales of guests."""

from __future__ import annotations

from tallystick.rpc.call import Call
from tallystick.rpc.convert.commands import command_id_from_pb, member_id_from_pb, origin_from_pb
from tallystick.rpc.convert.openings import article_access_to_pb, article_from_pb
from tallystick.rpc.convert.scalars import known_ms_to_pb, ms_from_pb, ms_to_pb
from tallystick.rpc.handlers.access import filled_origin, visible_member
from tallystick.rpc.handlers.ledger import LedgerHandlers
from tallystick.service.business_time import window
from tallystick.service.claims import NoClaim
from tallystick.service.gateway import Gateway
from tallystick.service.wishes import Wish
from tallystick.v1 import webshop_pb2 as pb
from tallystick.wire.basket import basket_from_pb


class WebshopHandlers:
    """Answers WebshopService."""

    def __init__(self, gateway: Gateway, ledger: LedgerHandlers) -> None:
        self._gateway = gateway
        self._ledger = ledger

    async def issue_widget_token(
        self, request: pb.IssueWidgetTokenRequest, call: Call
    ) -> pb.IssueWidgetTokenResponse:
        caller, gateway = call.caller, self._gateway
        issued = await gateway.pool.run(
            gateway.widget_tokens.issue,
            caller.program_id,
            member_id_from_pb(request.member_id),
            origin=request.origin,
            device_id=caller.device_id,
            store_id=caller.store_id,
        )
        return pb.IssueWidgetTokenResponse(access_token=issued.text, expires_in_s=issued.expires_in_s)

    async def check_access(self, request: pb.CheckAccessRequest, call: Call) -> pb.CheckAccessResponse:
        caller = call.caller
        member_id = visible_member(caller, request.member_id) if request.member_id else None
        found = await self._gateway.pool.run(
            self._gateway.openings.of_articles,
            caller.program_id,
            member_id,
            [article_from_pb(article) for article in request.articles],
        )
        skus = [article.sku for article in request.articles]
        return pb.CheckAccessResponse(articles=[*map(article_access_to_pb, skus, found)])

    async def create_claim(self, request: pb.CreateClaimRequest, call: Call) -> pb.CreateClaimResponse:
        caller, gateway = call.caller, self._gateway
        now_ms = gateway.now_ms()
        sent = origin_from_pb(request.origin)
        filled = filled_origin(sent, caller, now_ms)
        allowed = window(await self._ledger.clock(caller.program_id), importer=False, now_ms=now_ms)
        made = await gateway.claims.create(
            caller.program_id,
            command_id_from_pb(request.claim_id),
            basket=basket_from_pb(request.basket),
            sent=sent,
            filled=filled,
            allowed=allowed,
        )
        return pb.CreateClaimResponse(
            code=made.code, url=made.url, expires_at=ms_to_pb(made.claim.expires_ms)
        )

    async def redeem_claim(self, request: pb.RedeemClaimRequest, call: Call) -> pb.RedeemClaimResponse:
        program_id = call.caller.program_id
        member_id = visible_member(call.caller, request.member_id)
        answer = await self._gateway.claims.redeem(
            program_id, member_id, request.code, deadline=call.deadline
        )
        if isinstance(answer, NoClaim):
            return pb.RedeemClaimResponse(refused=pb.ClaimRefusal.ValueType(answer.value))
        response = pb.RedeemClaimResponse()
        await self._ledger.tell(
            response.decision,
            program_id,
            answer.decision,
            replayed=answer.replayed,
            recorded_ms=answer.recorded_ms,
        )
        return response

    async def cancel_claim(self, request: pb.CancelClaimRequest, call: Call) -> pb.CancelClaimResponse:
        claim_id = command_id_from_pb(request.claim_id)
        member_id = await self._gateway.claims.cancel(
            call.caller.program_id, claim_id, deadline=call.deadline
        )
        return pb.CancelClaimResponse(cancelled=member_id is None, member_id=member_id or "")

    async def set_wish_list(self, request: pb.SetWishListRequest, call: Call) -> pb.SetWishListResponse:
        gateway, program_id = self._gateway, call.caller.program_id
        member_id = visible_member(call.caller, request.member_id)
        await gateway.pool.run(gateway.members.living, program_id, member_id)
        wishes = [Wish(one.sku, one.name, ms_from_pb(one.wished_at)) for one in request.items]
        kept = await gateway.pool.run(gateway.wishes.set_list, program_id, member_id, wishes)
        return pb.SetWishListResponse(kept=kept)

    async def get_wish_list(self, request: pb.GetWishListRequest, call: Call) -> pb.GetWishListResponse:
        gateway, program_id = self._gateway, call.caller.program_id
        member_id = visible_member(call.caller, request.member_id)
        await gateway.pool.run(gateway.members.living, program_id, member_id)
        found = await gateway.pool.run(gateway.wishes.list_of, program_id, member_id)
        return pb.GetWishListResponse(
            items=[
                pb.WishItem(sku=one.sku, name=one.name, wished_at=known_ms_to_pb(one.wished_ms))
                for one in found
            ]
        )

    async def note_basket(self, request: pb.NoteBasketRequest, call: Call) -> pb.NoteBasketResponse:
        gateway, program_id = self._gateway, call.caller.program_id
        member_id = visible_member(call.caller, request.member_id)
        await gateway.pool.run(gateway.members.living, program_id, member_id)
        kept = await gateway.pool.run(
            gateway.wishes.note_basket,
            program_id,
            member_id,
            ref=request.basket_ref,
            basket=basket_from_pb(request.basket) if request.HasField("basket") else None,
            seen_ms=ms_from_pb(request.seen_at),
            page_url=request.page_url,
        )
        return pb.NoteBasketResponse(kept=kept)
