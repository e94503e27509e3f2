"""LedgerService: commands go through the lane, everything else reads beside it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from tallystick.core.command import Adjust, Command, CouponRef
from tallystick.core.entry import Decision, Entry, Posted, Refusal, Refused
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.lots import burn_order, midnight_ms
from tallystick.core.state import Account
from tallystick.rpc.call import Call, Principal
from tallystick.rpc.convert import commands as convert
from tallystick.rpc.convert.entries import (
    add_explanations,
    balance_to_pb,
    fill_benefits,
    fill_decision,
    fill_entry,
    fill_returned,
    lot_to_pb,
    worth_to_pb,
)
from tallystick.rpc.convert.pages import PageTokens, page_size
from tallystick.rpc.convert.refusals import refused_to_pb
from tallystick.rpc.convert.scalars import day_from_pb
from tallystick.rpc.handlers.access import filled_origin, visible_member
from tallystick.rpc.handlers.texts import Texts
from tallystick.service.actions import ANY_POSTER, check_action
from tallystick.service.balances import BalanceNow, as_of, balance_of, member_not_found
from tallystick.service.business_time import Window, window
from tallystick.service.challenges_met import challenges_met
from tallystick.service.directory import Clock
from tallystick.service.errors import NotFound, TallystickError
from tallystick.service.gateway import Gateway, role_name
from tallystick.service.submission import Submission
from tallystick.v1 import ledger_pb2 as pb
from tallystick.v1 import options_pb2 as options
from tallystick.wire.challenges import challenge_met_to_pb

CURRENCIES_MAX = 10_000
"""Most (program, version) pairs whose currency is remembered; with more, it starts anew."""

_UTC = ZoneInfo("UTC")

_POSTERS: dict[int, str] = {
    options.ROLE_TILL: "till",
    options.ROLE_WEBSHOP: "webshop",
    options.ROLE_APP: "app",
    options.ROLE_MANAGER: "staff",
    options.ROLE_ADMIN: "staff",
    options.ROLE_IMPORTER: ANY_POSTER,
}
"""What rule sets call those who post actions."""

log = logging.getLogger(__name__)


class LedgerHandlers:
    """Answers LedgerService."""

    def __init__(self, gateway: Gateway, pages: PageTokens) -> None:
        self._gateway = gateway
        self._pages = pages
        self._texts = Texts(gateway)
        # Neither a program's clock nor the currency of a published rule set ever changes.
        self._clocks: dict[ProgramId, Clock] = {}
        self._currencies: dict[tuple[ProgramId, int], str] = {}

    async def post_sale(self, request: pb.PostSaleRequest, call: Call) -> pb.PostSaleResponse:
        response = pb.PostSaleResponse()
        sale = convert.sale_from_pb(request)
        if request.coupon_codes:
            sale = replace(sale, coupons=self._coupons(request.coupon_codes, sale.member_id, call.caller))
        await self.decide(response.decision, sale, call)
        await self._texts.decision(response.decision, call.caller.program_id, request.language_code)
        return response

    async def earn(self, request: pb.EarnRequest, call: Call) -> pb.EarnResponse:
        caller, gateway = call.caller, self._gateway
        visible_member(caller, request.member_id)
        command = convert.earn_from_pb(request)
        rules = await gateway.pool.run(gateway.rulebook.current, caller.program_id)
        try:
            check_action(rules, command, poster=_POSTERS[caller.role], role=role_name(caller.role))
        except TallystickError:
            # The rules may have changed since it was posted; then it is for the ledger to answer again.
            if not await gateway.pool.run(gateway.store.read_known, caller.program_id, [command.command_id]):
                raise
        response = pb.EarnResponse()
        await self.decide(response.decision, command, call)
        return response

    async def burn(self, request: pb.BurnRequest, call: Call) -> pb.BurnResponse:
        response = pb.BurnResponse()
        await self.decide(response.decision, convert.burn_from_pb(request), call)
        return response

    async def hold(self, request: pb.HoldRequest, call: Call) -> pb.HoldResponse:
        response = pb.HoldResponse()
        hold = convert.hold_from_pb(request)
        if request.coupon_codes:
            hold = replace(hold, coupons=self._coupons(request.coupon_codes, hold.member_id, call.caller))
        await self.decide(response.decision, hold, call)
        return response

    async def capture(self, request: pb.CaptureRequest, call: Call) -> pb.CaptureResponse:
        response = pb.CaptureResponse()
        await self.decide(response.decision, convert.capture_from_pb(request), call)
        await self._texts.decision(response.decision, call.caller.program_id, request.language_code)
        return response

    async def void(self, request: pb.VoidRequest, call: Call) -> pb.VoidResponse:
        response = pb.VoidResponse()
        await self.decide(response.decision, convert.void_from_pb(request), call)
        return response

    async def post_return(self, request: pb.PostReturnRequest, call: Call) -> pb.PostReturnResponse:
        response = pb.PostReturnResponse()
        await self.decide(response.decision, convert.return_from_pb(request), call)
        return response

    async def reverse(self, request: pb.ReverseRequest, call: Call) -> pb.ReverseResponse:
        response = pb.ReverseResponse()
        await self.decide(response.decision, convert.reverse_from_pb(request), call)
        return response

    async def adjust(self, request: pb.AdjustRequest, call: Call) -> pb.AdjustResponse:
        command = convert.adjust_from_pb(request)
        sent = fingerprint(command)
        if request.expires_on:
            command = await self._gateway.pool.run(
                self._with_last_day, command, request.expires_on, call.caller
            )
        response = pb.AdjustResponse()
        held = await self._held(command, call, sent=sent)
        if held is None:
            await self.decide(response.decision, command, call, sent=sent)
        else:
            fill_decision(response.decision, held, replayed=False, recorded_ms=0, currency="")
        return response

    async def quote(self, request: pb.QuoteRequest, call: Call) -> pb.QuoteResponse:
        caller, gateway = call.caller, self._gateway
        visible_member(caller, request.member_id)
        command = convert.quote_from_pb(request)
        if request.coupon_codes:
            command = replace(command, coupons=self._coupons(request.coupon_codes, command.member_id, caller))
        command = replace(command, origin=filled_origin(command.origin, caller, gateway.now_ms()))
        allowed = await self.allowed(caller)
        found = await gateway.pool.run(
            gateway.balances.quote,
            caller.program_id,
            command,
            earliest_ms=allowed.earliest_ms,
            latest_ms=allowed.latest_ms,
            now_ms=gateway.now_ms(),
        )
        if isinstance(found, Refused):
            await self._count_guess(found, command.member_id, caller)
            no = pb.QuoteResponse(refused=refused_to_pb(found))
            await self._texts.refused(no.refused, caller.program_id, request.language_code)
            return no
        response = pb.QuoteResponse()
        quoted = response.quoted
        fill_benefits(quoted.benefits, found.entry, found.currency)
        quoted.balance_before.CopyFrom(balance_to_pb(found.before))
        quoted.balance_after.CopyFrom(balance_to_pb(found.after))
        add_explanations(quoted.explanations, found.entry.detail.explanations)
        quoted.rule_set_version = found.entry.rule_set
        await self._texts.explanations(
            quoted.explanations, caller.program_id, request.language_code, version=found.entry.rule_set
        )
        return response

    async def preview_return(self, request: pb.PreviewReturnRequest, call: Call) -> pb.PreviewReturnResponse:
        caller, gateway = call.caller, self._gateway
        command = convert.return_from_pb(request)
        command = replace(command, origin=filled_origin(command.origin, caller, gateway.now_ms()))
        allowed = await self.allowed(caller)
        found = await gateway.pool.run(
            gateway.balances.preview_return,
            caller.program_id,
            command,
            earliest_ms=allowed.earliest_ms,
            latest_ms=allowed.latest_ms,
        )
        if isinstance(found, Refused):
            no = pb.PreviewReturnResponse(refused=refused_to_pb(found))
            await self._texts.refused(no.refused, caller.program_id, request.language_code)
            return no
        response = pb.PreviewReturnResponse()
        previewed = response.previewed
        fill_returned(previewed.returned, found.entry, found.currency)
        previewed.balance_before.CopyFrom(balance_to_pb(found.before))
        previewed.balance_after.CopyFrom(balance_to_pb(found.after))
        add_explanations(previewed.explanations, found.entry.detail.explanations)
        await self._texts.explanations(
            previewed.explanations, caller.program_id, request.language_code, version=found.entry.rule_set
        )
        return response

    async def get_balance(self, request: pb.GetBalanceRequest, call: Call) -> pb.GetBalanceResponse:
        balance = await self.balance_now(call.caller, visible_member(call.caller, request.member_id))
        return pb.GetBalanceResponse(balance=balance_to_pb(balance), active_worth=worth_to_pb(balance))

    async def list_entries(self, request: pb.ListEntriesRequest, call: Call) -> pb.ListEntriesResponse:
        caller, gateway = call.caller, self._gateway
        member_id = visible_member(caller, request.member_id)
        scope = ("ListEntries", caller.program_id, member_id)
        marks = self._pages.read(scope, request.page_token)
        limit = page_size(request.page_size)
        rows = await gateway.pool.run(
            gateway.store.read_entries,
            caller.program_id,
            member_id,
            before_seq=int(marks[0]) if marks else None,
            limit=limit,
        )
        if not rows:
            await self._require_member(caller.program_id, member_id)
        more = len(rows) == limit and rows[-1][0].seq > 1
        response = pb.ListEntriesResponse()
        for entry, recorded_ms in rows:
            fill_entry(response.entries.add(), entry, recorded_ms)
        await self._texts.entries(response.entries, caller.program_id, request.language_code)
        if more:
            response.next_page_token = self._pages.make(scope, [rows[-1][0].seq])
        return response

    async def get_decision(self, request: pb.GetDecisionRequest, call: Call) -> pb.GetDecisionResponse:
        caller, gateway = call.caller, self._gateway
        command_id = convert.command_id_from_pb(request.command_id)
        found = await gateway.pool.run(gateway.store.read_known, caller.program_id, [command_id])
        known = found.get(command_id)
        if known is None:
            raise _decision_not_found(command_id)
        answer = known.answer
        decision: Decision = Posted(answer) if isinstance(answer, Entry) else answer
        response = pb.GetDecisionResponse()
        await self.tell(
            response.decision, caller.program_id, decision, replayed=True, recorded_ms=known.recorded_ms
        )
        await self._texts.decision(response.decision, caller.program_id, request.language_code)
        return response

    async def list_lots(self, request: pb.ListLotsRequest, call: Call) -> pb.ListLotsResponse:
        caller, gateway = call.caller, self._gateway
        member_id = visible_member(caller, request.member_id)
        scope = ("ListLots", caller.program_id, member_id)
        after = tuple(int(mark) for mark in self._pages.read(scope, request.page_token))
        read = await gateway.accounts.account(caller.program_id, member_id)
        if read.account is None:
            raise member_not_found(member_id)
        now_ms = as_of(read.account, await self.clock(caller.program_id), gateway.now_ms())
        state = await gateway.pool.run(gateway.balances.caught_up, caller.program_id, member_id, now_ms)
        lots = sorted((lot for lot in state.lots if lot.remaining), key=burn_order)
        lots = [lot for lot in lots if burn_order(lot) > after] if after else lots
        limit = page_size(request.page_size)
        zone = read.rules.zone if read.rules else _UTC
        return pb.ListLotsResponse(
            lots=[lot_to_pb(lot, zone) for lot in lots[:limit]],
            next_page_token=self._pages.make(scope, burn_order(lots[limit - 1])) if len(lots) > limit else "",
        )

    async def balance_now(self, caller: Principal, member_id: MemberId) -> BalanceNow:
        """Return what a member has now. Raises ``NotFound``."""
        return await self.balance_in(caller.program_id, member_id)

    async def balance_in(self, program_id: ProgramId, member_id: MemberId) -> BalanceNow:
        """Return what a member of a program has now. Raises ``NotFound``."""
        read = await self._gateway.accounts.account(program_id, member_id)
        if read.account is None:
            raise member_not_found(member_id)
        account, now_ms = await self.caught_up(program_id, read.account)
        return balance_of(account, read.rules, now_ms)

    async def caught_up(self, program_id: ProgramId, account: Account) -> tuple[Account, Ms]:
        """Return an account that was just read as it is after all that is due now, and which instant that is."""
        gateway = self._gateway
        now_ms = as_of(account, await self.clock(program_id), gateway.now_ms())
        if account.due_ms <= now_ms:
            member_id = account.member_id
            state = await gateway.pool.run(gateway.balances.caught_up, program_id, member_id, now_ms)
            account = state.account
        return account, now_ms

    async def decide(
        self, target: pb.Decision, command: Command, call: Call, *, sent: bytes = b""
    ) -> Decision:
        """Send a command down the lane, write the answer, and return it; other services have commands of their own.

        ``sent`` is the command's fingerprint when it was changed since it was converted.
        """
        caller, gateway = call.caller, self._gateway
        sent = sent or fingerprint(command)
        origin = filled_origin(command.origin, caller, gateway.now_ms())
        allowed = await self.allowed(caller)
        answer = await gateway.lane.submit(
            Submission(
                caller.program_id,
                replace(command, origin=origin),
                sent,
                call.deadline,
                allowed.earliest_ms,
                allowed.latest_ms,
            )
        )
        decision = answer.decision
        if isinstance(decision, Refused) and not answer.replayed:
            await self._count_guess(decision, command.member_id, caller)
        if isinstance(decision, Refused) and decision.reason is Refusal.INSUFFICIENT_POINTS:
            decision = await self._recalled(caller.program_id, command.member_id, decision, call.deadline)
        await self.tell(
            target,
            caller.program_id,
            decision,
            replayed=answer.replayed,
            recorded_ms=answer.recorded_ms,
        )
        return decision

    def _coupons(self, codes: Sequence[str], member_id: MemberId, caller: Principal) -> tuple[CouponRef, ...]:
        """Return codes as commands name them. Raises ``Overloaded`` when too many before them were wrong."""
        gateway = self._gateway
        gateway.guesses.require(caller.program_id, member_id, caller.device_id)
        return gateway.coupons.refs(caller.program_id, codes)

    async def _count_guess(self, no: Refused, member_id: MemberId, caller: Principal) -> None:
        if no.reason is Refusal.COUPON_UNKNOWN:
            gateway, guess = self._gateway, (caller.program_id, member_id, caller.device_id)
            gateway.guesses.wrong(*guess)
            await gateway.pool.run(gateway.shared_guesses.count, *guess)

    async def _recalled(
        self, program_id: ProgramId, member_id: MemberId, no: Refused, deadline: float
    ) -> Refused:
        """Ask stores for what they have of the member's points, and say how much that is."""
        gateway = self._gateway
        try:
            found = await gateway.pool.run(gateway.leases.recall, program_id, member_id, deadline=deadline)
            if found.submission is not None:
                await gateway.lane.submit(found.submission)
        except TallystickError as error:
            # The refusal stands whatever becomes of this; the next one asks again.
            log.warning("leases could not be recalled", extra={"reason": error.reason})
            return no
        if not found.leased_points:
            return no
        return replace(no, details=(*no.details, ("leased_points", str(found.leased_points))))

    async def tell(
        self,
        target: pb.Decision,
        program_id: ProgramId,
        decision: Decision,
        *,
        replayed: bool,
        recorded_ms: int,
    ) -> None:
        """Write a decision, with the currency of the rule set that judged it; other services tell of sales too."""
        currency = ""
        if isinstance(decision, Posted):
            version = decision.entry.rule_set
            currency = self._currencies.get((program_id, version)) or await self._currency(
                program_id, version
            )
        fill_decision(target, decision, replayed=replayed, recorded_ms=recorded_ms, currency=currency)
        if isinstance(decision, Posted) and decision.entry.detail.counted:
            entry = decision.entry
            met = await self._gateway.pool.run(challenges_met, self._gateway.store, program_id, [entry])
            told = met.get(entry.command_id, ())
            target.posted.challenges_met.extend(challenge_met_to_pb(one) for one in told)

    async def _currency(self, program_id: ProgramId, version: int) -> str:
        rules = await self._gateway.pool.run(self._gateway.rulebook.version, program_id, version)
        assert rules is not None, "an entry names the rule set that judged it"
        if len(self._currencies) >= CURRENCIES_MAX:
            self._currencies.clear()
        self._currencies[program_id, version] = rules.currency
        return rules.currency

    async def clock(self, program_id: ProgramId) -> Clock:
        """Return whose time a program keeps."""
        clock = self._clocks.get(program_id)
        if clock is None:
            clock = await self._gateway.pool.run(self._gateway.rulebook.clock, program_id)
            self._clocks[program_id] = clock
        return clock

    async def allowed(self, caller: Principal) -> Window:
        """Return the business times that are taken from a caller."""
        clock = self._clocks.get(caller.program_id) or await self.clock(caller.program_id)
        importer = caller.role == options.ROLE_IMPORTER
        webshop = caller.role == options.ROLE_WEBSHOP
        return window(clock, importer=importer, webshop=webshop, now_ms=self._gateway.now_ms())

    async def _require_member(self, program_id: ProgramId, member_id: MemberId) -> None:
        read = await self._gateway.accounts.account(program_id, member_id)
        if read.account is None:
            raise member_not_found(member_id)

    async def _held(self, command: Adjust, call: Call, *, sent: bytes) -> Refused | None:
        """Hold an adjustment back that needs a second person; one at an impossible time is for the lane to refuse."""
        caller, gateway = call.caller, self._gateway
        origin = filled_origin(command.origin, caller, gateway.now_ms())
        allowed = await self.allowed(caller)
        if not allowed.earliest_ms <= origin.occurred_ms <= allowed.latest_ms:
            return None
        return await gateway.pool.run(
            gateway.adjustments.hold,
            caller.program_id,
            replace(command, origin=origin),
            sent=sent,
            asked_by=caller.device_id,
        )

    def _with_last_day(self, command: Adjust, expires_on: str, caller: Principal) -> Adjust:
        """Fill in the midnight that ends the last day in the program's own time zone."""
        rules = self._gateway.rulebook.current(caller.program_id)
        ends = day_from_pb(expires_on, field="expires_on") + timedelta(days=1)
        return replace(command, expires_ms=midnight_ms(ends, rules.zone if rules else _UTC))


def _decision_not_found(command_id: CommandId) -> NotFound:
    return NotFound(
        "There is no decision on that command.",
        mend="It may be sent, again if it was sent before.",
        reason="DECISION_NOT_FOUND",
        command_id=command_id,
    )
