"""ReviewService: what a person must look at, and the decision."""

from __future__ import annotations

from tallystick.core.entry import Entry, Posted
from tallystick.core.ids import MemberId, Ms
from tallystick.rpc.call import Call, Principal
from tallystick.rpc.convert.commands import member_id_from_pb
from tallystick.rpc.convert.pages import PageTokens, page_size
from tallystick.rpc.convert.reviews import review_to_pb, staff_to_pb, state_from_pb, verdict_from_pb
from tallystick.rpc.handlers.access import origin_mismatch
from tallystick.rpc.handlers.ledger import LedgerHandlers
from tallystick.service.adjustments import ADJUST, command_of
from tallystick.service.gateway import Gateway
from tallystick.service.review_ports import NOBODY, Review, ReviewState, StaffMember
from tallystick.v1 import options_pb2 as options
from tallystick.v1 import review_pb2 as pb


class ReviewHandlers:
    """Answers ReviewService; decisions on commands are told as ``ledger`` tells them."""

    def __init__(self, gateway: Gateway, ledger: LedgerHandlers, pages: PageTokens) -> None:
        self._gateway = gateway
        self._reviews = gateway.reviews
        self._pool = gateway.pool
        self._ledger = ledger
        self._pages = pages

    async def list_reviews(self, request: pb.ListReviewsRequest, call: Call) -> pb.ListReviewsResponse:
        program_id = call.caller.program_id
        scope = ("ListReviews", program_id, str(request.state), request.kind)
        marks, limit = self._pages.read(scope, request.page_token), page_size(request.page_size)
        found = await self._pool.run(
            self._reviews.page,
            program_id,
            state=state_from_pb(request.state),
            kind=request.kind,
            before=(Ms(int(marks[0])), str(marks[1])) if marks else None,
            limit=limit,
        )
        response = pb.ListReviewsResponse(reviews=map(review_to_pb, found))
        if len(found) == limit:
            response.next_page_token = self._pages.make(scope, [found[-1].made_ms, found[-1].review_id])
        return response

    async def get_review(self, request: pb.GetReviewRequest, call: Call) -> pb.GetReviewResponse:
        review = await self._pool.run(self._reviews.get, call.caller.program_id, request.review_id.lower())
        return pb.GetReviewResponse(review=review_to_pb(review))

    async def decide_review(self, request: pb.DecideReviewRequest, call: Call) -> pb.DecideReviewResponse:
        review = await self._reviews.decide(
            call.caller.program_id,
            request.review_id.lower(),
            verdict_from_pb(request.verdict),
            by=call.caller.device_id,
            note=request.note,
        )
        response = pb.DecideReviewResponse(review=review_to_pb(review))
        if review.kind == ADJUST and review.state is ReviewState.RELEASED:
            await self._tell(response, review, call.caller)
        return response

    async def _tell(self, response: pb.DecideReviewResponse, review: Review, caller: Principal) -> None:
        """Write what became of the command that the review held."""
        command_id = command_of(review).command_id
        known = await self._pool.run(self._gateway.store.read_known, caller.program_id, [command_id])
        if command_id in known:
            found = known[command_id]
            decision = Posted(found.answer) if isinstance(found.answer, Entry) else found.answer
            await self._ledger.tell(
                response.decision,
                caller.program_id,
                decision,
                replayed=False,
                recorded_ms=found.recorded_ms,
            )

    async def set_staff_member(
        self, request: pb.SetStaffMemberRequest, call: Call
    ) -> pb.SetStaffMemberResponse:
        member_id: MemberId = member_id_from_pb(request.member_id) if request.member_id else NOBODY
        _require_store(call.caller, request.store_id)
        staff = StaffMember(request.store_id, request.cashier_id, member_id)
        await self._pool.run(self._reviews.set_staff, call.caller.program_id, staff)
        return pb.SetStaffMemberResponse()

    async def list_staff_members(
        self, request: pb.ListStaffMembersRequest, call: Call
    ) -> pb.ListStaffMembersResponse:
        _require_store(call.caller, request.store_id)
        found = await self._pool.run(self._reviews.staff_of, call.caller.program_id, request.store_id)
        return pb.ListStaffMembersResponse(staff=map(staff_to_pb, found))


def _require_store(caller: Principal, store_id: str) -> None:
    """Raise ``PermissionDenied`` when a manager of one store names another."""
    if caller.role == options.ROLE_MANAGER and caller.store_id and caller.store_id != store_id:
        raise origin_mismatch("store_id")
