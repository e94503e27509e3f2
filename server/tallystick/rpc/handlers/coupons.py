"""CouponService: unique codes of coupons."""

from __future__ import annotations

from tallystick.core.ids import Ms
from tallystick.rpc.call import Call
from tallystick.rpc.convert.commands import member_id_from_pb
from tallystick.rpc.convert.coupons import coupon_to_pb
from tallystick.rpc.convert.pages import PageTokens, page_size
from tallystick.rpc.handlers.access import visible_member
from tallystick.service.errors import PermissionDenied
from tallystick.service.gateway import Gateway, role_name
from tallystick.v1 import coupon_pb2 as pb
from tallystick.v1 import options_pb2 as options


class CouponHandlers:
    """Answers CouponService."""

    def __init__(self, gateway: Gateway, pages: PageTokens) -> None:
        self._coupons = gateway.coupons
        self._pool = gateway.pool
        self._pages = pages

    async def create_coupons(self, request: pb.CreateCouponsRequest, call: Call) -> pb.CreateCouponsResponse:
        made = await self._pool.run(
            self._coupons.create,
            call.caller.program_id,
            request.batch_id.lower(),
            coupon_id=request.coupon_id,
            count=request.count,
            member_ids=list(dict.fromkeys(map(member_id_from_pb, request.member_ids))),
            created_by=call.caller.device_id,
        )
        return pb.CreateCouponsResponse(coupons=map(coupon_to_pb, made))

    async def list_coupons(self, request: pb.ListCouponsRequest, call: Call) -> pb.ListCouponsResponse:
        if request.WhichOneof("of") == "member_id":
            return await self._of_member(request, call)
        if call.caller.role == options.ROLE_APP:
            raise PermissionDenied(
                "A member's app sees the member's own coupons.",
                mend="Ask with member_id.",
                reason="ROLE_NOT_ALLOWED",
                role=role_name(call.caller.role),
                method="ListCoupons",
            )
        program_id, batch_id = call.caller.program_id, request.batch_id.lower()
        scope = ("ListCoupons", program_id, batch_id)
        marks, limit = self._pages.read(scope, request.page_token), page_size(request.page_size)
        found = await self._pool.run(
            self._coupons.of_batch, program_id, batch_id, after=int(marks[0]) if marks else 0, limit=limit
        )
        response = pb.ListCouponsResponse(coupons=map(coupon_to_pb, found))
        if len(found) == limit:
            response.next_page_token = self._pages.make(scope, [found[-1].code.position])
        return response

    async def _of_member(self, request: pb.ListCouponsRequest, call: Call) -> pb.ListCouponsResponse:
        program_id, member_id = call.caller.program_id, visible_member(call.caller, request.member_id)
        scope = ("ListCoupons", program_id, "member", member_id)
        marks, limit = self._pages.read(scope, request.page_token), page_size(request.page_size)
        after = (Ms(int(marks[0])), str(marks[1])) if marks else (Ms(0), "")
        found = await self._pool.run(self._coupons.of_member, program_id, member_id, after=after, limit=limit)
        response = pb.ListCouponsResponse(coupons=map(coupon_to_pb, found))
        if len(found) == limit:
            last = found[-1].code
            response.next_page_token = self._pages.make(scope, [last.created_ms, last.token])
        return response

    async def revoke_coupons(self, request: pb.RevokeCouponsRequest, call: Call) -> pb.RevokeCouponsResponse:
        revoked = await self._pool.run(self._coupons.revoke, call.caller.program_id, request.batch_id.lower())
        return pb.RevokeCouponsResponse(revoked=revoked)
