"""StoreService: what stores and the gateway exchange so that tills can sell while the line is down."""

from __future__ import annotations

import logging

from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.command import IssueVoucher
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.rpc.call import Call, Principal
from tallystick.rpc.convert.commands import assurance_from_pb, command_id_from_pb, member_id_from_pb
from tallystick.rpc.convert.pages import PageTokens
from tallystick.rpc.convert.scalars import known_ms_to_pb
from tallystick.rpc.convert.store import (
    cashier_to_pb,
    exposure_to_pb,
    inbox_item_to_pb,
    inbox_state_from_pb,
    till_exposure_to_pb,
)
from tallystick.rpc.errors import RoleNotAllowed
from tallystick.rpc.handlers.access import origin_mismatch, visible_member
from tallystick.rpc.handlers.watch import WatchHandlers
from tallystick.service.advices import counted_sales, parked_any, posted_any
from tallystick.service.challenges_met import MetBySale, challenges_met
from tallystick.service.errors import InvalidInput, TallystickError
from tallystick.service.gateway import Gateway, role_name
from tallystick.service.parked import post_parked
from tallystick.service.submission import Answer
from tallystick.v1 import options_pb2 as options
from tallystick.v1 import store_pb2 as pb

INBOX_PAGE_DEFAULT = 50

_CHANNELS = {
    options.ROLE_TILL: Channel.STORE,
    options.ROLE_WEBSHOP: Channel.WEBSHOP,
    options.ROLE_APP: Channel.APP,
}

log = logging.getLogger(__name__)


class StoreHandlers(WatchHandlers):
    """Answers StoreService."""

    def __init__(self, gateway: Gateway, pages: PageTokens) -> None:
        self._gateway = gateway
        self._pool = gateway.pool
        self._inbox = gateway.inbox
        self._leases = gateway.leases
        self._watch = gateway.watch
        self._pages = pages

    async def push_advices(self, request: pb.PushAdvicesRequest, call: Call) -> pb.PushAdvicesResponse:
        caller, advices = call.caller, self._gateway.advices
        prepared = await self._pool.run(
            advices.prepare, caller.program_id, caller.device_id, request, deadline=call.deadline
        )
        answers = await self._gateway.lane.submit_together(prepared.submissions)
        met: MetBySale = {}
        if sales := counted_sales(answers):
            met = await self._pool.run(challenges_met, self._gateway.store, caller.program_id, sales)
        response = advices.conclude(prepared, answers, met)
        await self._follow_up(caller.program_id, answers)
        return response

    async def recover_advices(
        self, request: pb.RecoverAdvicesRequest, call: Call
    ) -> pb.RecoverAdvicesResponse:
        caller, advices = call.caller, self._gateway.advices
        recovery = await self._pool.run(
            advices.prepare_recovery,
            caller.program_id,
            request.advices,
            store_id=_bound_to(caller),
            deadline=call.deadline,
        )
        answers = await self._gateway.lane.submit_together(recovery.submissions)
        await self._follow_up(caller.program_id, answers)
        return advices.conclude_recovery(recovery, answers)

    async def request_leases(self, request: pb.RequestLeasesRequest, call: Call) -> pb.RequestLeasesResponse:
        caller, store_id = call.caller, _bound_to(call.caller)
        asks = [(command_id_from_pb(ask.lease_id), member_id_from_pb(ask.member_id)) for ask in request.asks]
        if len({lease_id for lease_id, _ in asks}) < len(asks):
            raise InvalidInput(
                "A lease is asked for twice.", violations=(("asks", "each lease_id may be listed once"),)
            )
        submissions = self._leases.prepare_grants(
            caller.program_id,
            asks,
            store_id=store_id,
            till_id=caller.device_id,
            deadline=call.deadline,
        )
        answers = await self._gateway.lane.submit_together(submissions)
        told = await self._pool.run(
            self._leases.conclude_grants, caller.program_id, asks, answers, store_id=store_id
        )
        return pb.RequestLeasesResponse(answers=told)

    async def return_lease(self, request: pb.ReturnLeaseRequest, call: Call) -> pb.ReturnLeaseResponse:
        caller = call.caller
        member_id, lease_id = member_id_from_pb(request.member_id), command_id_from_pb(request.lease_id)
        submission = self._leases.prepare_return(
            caller.program_id,
            command_id_from_pb(request.command_id),
            member_id=member_id,
            lease_id=lease_id,
            store_id=_bound_to(caller),
            till_id=caller.device_id,
            deadline=call.deadline,
        )
        answer = await self._gateway.lane.submit(submission)
        returned = self._leases.conclude_return(answer, member_id=member_id, lease_id=lease_id)
        return pb.ReturnLeaseResponse(returned_points=returned)

    async def issue_voucher(self, request: pb.IssueVoucherRequest, call: Call) -> pb.IssueVoucherResponse:
        caller = call.caller
        member_id = visible_member(caller, request.member_id)
        assurance = assurance_from_pb(request.assurance)
        if caller.role == options.ROLE_APP:
            # What an app says of itself proves nothing; for how long its key is known does.
            codes = self._gateway.codes
            assurance = await self._pool.run(
                codes.assurance_of, caller.program_id, member_id, caller.device_id
            )
        command = _voucher_of(request, member_id, caller, assurance)
        submission = self._leases.prepare_voucher(
            caller.program_id, command, till_id=caller.device_id, deadline=call.deadline
        )
        answer = await self._gateway.lane.submit(submission)
        return await self._pool.run(self._leases.conclude_voucher, caller.program_id, command, answer)

    async def list_inbox(self, request: pb.ListInboxRequest, call: Call) -> pb.ListInboxResponse:
        caller = call.caller
        store_id, state = _store_asked(caller, request.store_id), inbox_state_from_pb(request.state)
        scope = ("ListInbox", caller.program_id, store_id, state.name)
        marks = self._pages.read(scope, request.page_token)
        limit = request.page_size or INBOX_PAGE_DEFAULT
        found = await self._pool.run(
            self._inbox.page,
            caller.program_id,
            store_id=store_id,
            state=state,
            before=(Ms(int(marks[0])), str(marks[1])) if marks else None,
            limit=limit,
        )
        response = pb.ListInboxResponse(items=[inbox_item_to_pb(item) for item in found])
        if len(found) == limit:
            response.next_page_token = self._pages.make(scope, [found[-1].received_ms, found[-1].item_id])
        return response

    async def resolve_inbox_item(
        self, request: pb.ResolveInboxItemRequest, call: Call
    ) -> pb.ResolveInboxItemResponse:
        caller = call.caller
        if caller.role == options.ROLE_TILL and request.action != pb.INBOX_ACTION_SEEN:
            raise RoleNotAllowed(
                role=role_name(caller.role), method="tallystick.v1.StoreService/ResolveInboxItem"
            )
        if request.action == pb.INBOX_ACTION_POST:
            return await self._post_item(request, call)
        end = self._inbox.mark_seen if request.action == pb.INBOX_ACTION_SEEN else self._inbox.dismiss
        item = await self._pool.run(
            end,
            caller.program_id,
            request.item_id,
            store_id=_bound_to(caller),
            resolved_by=caller.device_id,
            note=request.note,
        )
        return pb.ResolveInboxItemResponse(item=inbox_item_to_pb(item))

    async def get_exposure(self, request: pb.GetExposureRequest, call: Call) -> pb.GetExposureResponse:
        store_id = _one_store(call.caller, request.store_id)
        risk = await self._pool.run(self._gateway.exposures.of_store, call.caller.program_id, store_id)
        return exposure_to_pb(risk)

    async def reinstate_till(self, request: pb.ReinstateTillRequest, call: Call) -> pb.ReinstateTillResponse:
        caller, exposures = call.caller, self._gateway.exposures
        till = await self._pool.run(
            exposures.till, caller.program_id, request.till_id.lower(), store_id=_bound_to(caller)
        )
        chain = await self._pool.run(self._inbox.reinstate, caller.program_id, till.device_id)
        risk = await self._pool.run(exposures.of_till, caller.program_id, chain)
        return pb.ReinstateTillResponse(till=till_exposure_to_pb(risk))

    async def set_cashier(self, request: pb.SetCashierRequest, call: Call) -> pb.SetCashierResponse:
        cashier = await self._pool.run(
            self._gateway.cashiers.put,
            call.caller.program_id,
            store_id=_one_store(call.caller, request.store_id),
            cashier_id=request.cashier_id,
            label=request.label,
            active=request.active,
            pin=request.pin,
        )
        return pb.SetCashierResponse(cashier=cashier_to_pb(cashier))

    async def list_cashiers(self, request: pb.ListCashiersRequest, call: Call) -> pb.ListCashiersResponse:
        store_id = _one_store(call.caller, request.store_id)
        found = await self._pool.run(self._gateway.cashiers.all_of, call.caller.program_id, store_id)
        return pb.ListCashiersResponse(cashiers=[cashier_to_pb(cashier) for cashier in found])

    async def check_pin(self, request: pb.CheckPinRequest, call: Call) -> pb.CheckPinResponse:
        caller = call.caller
        check = await self._pool.run(
            self._gateway.cashiers.check_pin,
            caller.program_id,
            store_id=_bound_to(caller),
            cashier_id=request.cashier_id,
            pin=request.pin,
        )
        return pb.CheckPinResponse(correct=check.correct, locked_until=known_ms_to_pb(check.locked_until_ms))

    async def _post_item(
        self, request: pb.ResolveInboxItemRequest, call: Call
    ) -> pb.ResolveInboxItemResponse:
        caller = call.caller
        bound = _bound_to(caller)
        item = await self._pool.run(self._inbox.get, caller.program_id, request.item_id, store_id=bound)
        submission = await self._pool.run(
            self._inbox.prepare_post, caller.program_id, item, deadline=call.deadline
        )
        if submission is not None:
            answer = await self._gateway.lane.submit(submission)
            item = await self._pool.run(
                self._inbox.conclude_post,
                caller.program_id,
                request.item_id,
                store_id=bound,
                resolved_by=caller.device_id,
                note=request.note,
            )
            await self._follow_up(caller.program_id, [answer])
        return pb.ResolveInboxItemResponse(item=inbox_item_to_pb(item))

    async def _follow_up(self, program_id: ProgramId, answers: list[Answer]) -> None:
        """Post what has waited for what has just arrived. What goes wrong here is for the next look, not the caller."""
        if parked_any(answers):
            self._inbox.note_parked(program_id)
        if not self._inbox.waits(program_id) or not posted_any(answers):
            return
        try:
            await post_parked(self._inbox, self._pool, self._gateway.lane, program_id)
        except TallystickError as error:
            log.warning("parked advices could not be looked at", extra={"reason": error.reason})


def _bound_to(caller: Principal) -> str:
    """Return the one store that a caller may see, empty for all. Raises ``PermissionDenied`` for a till without one."""
    if caller.role == options.ROLE_TILL and not caller.store_id:
        raise origin_mismatch("store_id")
    return caller.store_id if caller.role in (options.ROLE_TILL, options.ROLE_MANAGER) else ""


def _store_asked(caller: Principal, store_id: str) -> str:
    """Return the store that a request is about, empty for all. Raises ``PermissionDenied`` for another's."""
    bound = _bound_to(caller)
    if bound and store_id not in ("", bound):
        raise origin_mismatch("store_id")
    return bound or store_id


def _one_store(caller: Principal, store_id: str) -> str:
    """Return the store that a request is about. Raises ``InvalidInput`` when none is named."""
    found = _store_asked(caller, store_id)
    if not found:
        raise InvalidInput(
            "Say which store is meant.", violations=(("store_id", "is needed without a store of one's own"),)
        )
    return found


def _voucher_of(
    request: pb.IssueVoucherRequest, member_id: MemberId, caller: Principal, assurance: Assurance
) -> IssueVoucher:
    channel = _CHANNELS.get(options.Role.ValueType(caller.role), Channel.BACKOFFICE)
    return IssueVoucher(
        CommandId(request.voucher_id.lower()),
        member_id,
        Origin(Ms(0), channel),
        _store_asked(caller, request.store_id),
        request.points,
        request.reward_id,
        assurance,
    )
