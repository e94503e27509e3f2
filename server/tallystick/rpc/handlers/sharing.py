"""SharingService: what members do together."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from tallystick.core.basket import Channel
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import CommandId, MemberId, ProgramId
from tallystick.core.rules.partner import find_partner
from tallystick.rpc.call import Call
from tallystick.rpc.convert.commands import command_id_from_pb, member_id_from_pb
from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.rpc.convert.sharing import (
    conversion_from_pb,
    donation_from_pb,
    goal_to_pb,
    household_to_pb,
    partner_to_pb,
    project_to_pb,
    transfer_from_pb,
    transfer_to_pb,
)
from tallystick.rpc.handlers.access import filled_origin, visible_member
from tallystick.rpc.handlers.ledger import LedgerHandlers
from tallystick.security.code import scanned_code
from tallystick.security.errors import SealBroken
from tallystick.security.identifiers import CARD_KINDS
from tallystick.service.balances import member_not_found
from tallystick.service.codes import CodeScan
from tallystick.service.errors import InvalidInput, NotFound, PermissionDenied
from tallystick.service.gateway import Gateway
from tallystick.service.household_store import Part
from tallystick.service.households import Household, left_behind, transfer_not_found
from tallystick.service.identity import IdentityRefused, Scan, Text
from tallystick.service.transfer_store import TransferState
from tallystick.service.transfers import Sent
from tallystick.v1 import ledger_pb2
from tallystick.v1 import options_pb2 as options
from tallystick.v1 import sharing_pb2 as pb
from tallystick.v1 import types_pb2 as types

log = logging.getLogger(__name__)


class SharingHandlers:
    """Answers SharingService."""

    def __init__(self, gateway: Gateway, ledger: LedgerHandlers) -> None:
        self._gateway = gateway
        self._pool = gateway.pool
        self._ledger = ledger

    async def transfer_points(
        self, request: pb.TransferPointsRequest, call: Call
    ) -> pb.TransferPointsResponse:
        caller, gateway = call.caller, self._gateway
        giver = await self._account(call, request.member_id)
        if no := await self._barred(call, giver, request.transfer_id):
            return pb.TransferPointsResponse(decision=no)
        level = await self._assurance(call, request.assurance)
        command = transfer_from_pb(request, to=await self._receiver(request, giver, call), assurance=level)
        origin = filled_origin(command.origin, caller, gateway.now_ms())
        sent = await gateway.transfers.give(
            caller.program_id,
            replace(command, origin=origin),
            fingerprint(command),
            allowed=await self._ledger.allowed(caller),
            deadline=call.deadline,
        )
        return await self._told(caller.program_id, sent, named=caller.role != options.ROLE_APP)

    async def list_partners(self, _request: pb.ListPartnersRequest, call: Call) -> pb.ListPartnersResponse:
        rules = await self._pool.run(self._gateway.rulebook.current, call.caller.program_id)
        return pb.ListPartnersResponse(partners=map(partner_to_pb, rules.partners if rules else ()))

    async def convert_points(self, request: pb.ConvertPointsRequest, call: Call) -> pb.ConvertPointsResponse:
        caller, gateway = call.caller, self._gateway
        giver = await self._account(call, request.member_id)
        if no := await self._barred(call, giver, request.transfer_id):
            return pb.ConvertPointsResponse(decision=no)
        level = await self._assurance(call, request.assurance)
        rules = await self._pool.run(gateway.rulebook.current, caller.program_id)
        partner = find_partner(rules.partners if rules else (), request.partner_id)
        # Only a partner's members are looked up; without one the command is refused whoever is named.
        to = await self._partner_member(request, giver, call) if partner else giver
        command = conversion_from_pb(request, to=to, assurance=level)
        origin = filled_origin(command.origin, caller, gateway.now_ms())
        sent = await gateway.transfers.give(
            caller.program_id,
            replace(command, origin=origin),
            fingerprint(command),
            allowed=await self._ledger.allowed(caller),
            deadline=call.deadline,
        )
        told = await self._told(caller.program_id, sent, named=False)
        got = partner.worth(request.points) if partner and sent.transfer else 0
        return pb.ConvertPointsResponse(decision=told.decision, transfer=told.transfer, get_points=got)

    async def _partner_member(
        self, request: pb.ConvertPointsRequest, giver: MemberId, call: Call
    ) -> MemberId:
        stored = await self._gateway.transfers.find(
            call.caller.program_id, CommandId(request.transfer_id.lower())
        )
        if stored is not None and stored.from_member_id == giver:
            return stored.to_member_id
        return await self._shown_by(call, giver, ProgramId(request.partner_id), request.to_card)

    async def get_transfer(self, request: pb.GetTransferRequest, call: Call) -> pb.GetTransferResponse:
        transfer_id = command_id_from_pb(request.transfer_id)
        found = await self._gateway.transfers.find(call.caller.program_id, transfer_id)
        if found is None or not await self._may_see(call, found.from_member_id):
            raise transfer_not_found(transfer_id)
        named = call.caller.role != options.ROLE_APP
        return pb.GetTransferResponse(transfer=transfer_to_pb(found, named=named))

    async def create_household(
        self, request: pb.CreateHouseholdRequest, call: Call
    ) -> pb.CreateHouseholdResponse:
        head = visible_member(call.caller, request.member_id)
        await self._check_device(call)
        household_id = member_id_from_pb(request.household_id)
        made = await self._pool.run(
            self._gateway.households.create, call.caller.program_id, household_id, head
        )
        await self._bring_points(call, head)
        return pb.CreateHouseholdResponse(household=await self._shown(call.caller.program_id, made))

    async def get_household(self, request: pb.GetHouseholdRequest, call: Call) -> pb.GetHouseholdResponse:
        member_id = visible_member(call.caller, request.member_id)
        found = await self._pool.run(self._gateway.households.of, call.caller.program_id, member_id)
        if found is None:
            return pb.GetHouseholdResponse()
        return pb.GetHouseholdResponse(household=await self._shown(call.caller.program_id, found))

    async def invite_to_household(
        self, request: pb.InviteToHouseholdRequest, call: Call
    ) -> pb.InviteToHouseholdResponse:
        head = visible_member(call.caller, request.member_id)
        await self._check_device(call)
        made = await self._pool.run(self._gateway.households.invite, call.caller.program_id, head)
        return pb.InviteToHouseholdResponse(code=made.code, expires_at=ms_to_pb(made.expires_ms))

    async def ask_to_join_household(
        self, request: pb.AskToJoinHouseholdRequest, call: Call
    ) -> pb.AskToJoinHouseholdResponse:
        caller, guesses = call.caller, self._gateway.guesses
        member_id = visible_member(caller, request.member_id)
        await self._check_device(call)
        guesses.require(caller.program_id, member_id, caller.device_id)
        try:
            asked = await self._pool.run(
                self._gateway.households.ask, caller.program_id, member_id, request.code
            )
        except PermissionDenied:
            guesses.wrong(caller.program_id, member_id, caller.device_id)
            raise
        return pb.AskToJoinHouseholdResponse(household=await self._shown(caller.program_id, asked))

    async def confirm_household_member(
        self, request: pb.ConfirmHouseholdMemberRequest, call: Call
    ) -> pb.ConfirmHouseholdMemberResponse:
        head, person = visible_member(call.caller, request.member_id), member_id_from_pb(request.person_id)
        await self._check_device(call)
        taken = await self._pool.run(self._gateway.households.take_in, call.caller.program_id, head, person)
        await self._bring_points(call, person)
        return pb.ConfirmHouseholdMemberResponse(household=await self._shown(call.caller.program_id, taken))

    async def leave_household(
        self, request: pb.LeaveHouseholdRequest, call: Call
    ) -> pb.LeaveHouseholdResponse:
        program_id = call.caller.program_id
        member_id = visible_member(call.caller, request.member_id)
        person = member_id_from_pb(request.person_id) if request.person_id else member_id
        await self._check_device(call)
        if person == member_id:
            await self._take_points_along(call, member_id)
        left = await self._pool.run(self._gateway.households.take_out, program_id, member_id, person)
        return pb.LeaveHouseholdResponse(household=await self._shown(program_id, left) if left else None)

    async def list_projects(self, _request: pb.ListProjectsRequest, call: Call) -> pb.ListProjectsResponse:
        found, currency, as_of_ms = await self._pool.run(
            self._gateway.reckoning.projects, call.caller.program_id
        )
        projects = [project_to_pb(one, currency, as_of_ms) for one in found]
        return pb.ListProjectsResponse(projects=projects)

    async def donate_points(self, request: pb.DonatePointsRequest, call: Call) -> pb.DonatePointsResponse:
        giver = await self._account(call, request.member_id)
        if no := await self._barred(call, giver, request.command_id):
            return pb.DonatePointsResponse(decision=no)
        command = donation_from_pb(request, assurance=await self._assurance(call, request.assurance))
        response = pb.DonatePointsResponse()
        await self._ledger.decide(response.decision, command, call)
        return response

    async def list_goals(self, request: pb.ListGoalsRequest, call: Call) -> pb.ListGoalsResponse:
        caller = call.caller
        own = caller.member_id if caller.role in (options.ROLE_APP, options.ROLE_WIDGET) else ""
        wanted = request.member_id or own or ""
        member_id = await self._account(call, wanted) if wanted else None
        if member_id is not None:
            await self._pool.run(self._gateway.members.get, caller.program_id, member_id)
        goals = await self._pool.run(self._gateway.reckoning.goals, caller.program_id, member_id)
        now_ms = self._gateway.now_ms()
        return pb.ListGoalsResponse(goals=[goal_to_pb(one, now_ms) for one in goals])

    async def _account(self, call: Call, member_id: str) -> MemberId:
        """Return whose points are meant: for a member's app the member's own, or those of the member's household.

        That says who may see them; ``_barred`` who may not spend them.
        """
        wanted = member_id_from_pb(member_id)
        if not await self._may_see(call, wanted):
            raise member_not_found(wanted)
        return wanted

    async def _may_see(self, call: Call, account_id: MemberId) -> bool:
        caller = call.caller
        if caller.role not in (options.ROLE_APP, options.ROLE_WIDGET):
            return True
        return await self._pool.run(
            self._gateway.households.speaks_for,
            caller.program_id,
            MemberId(caller.member_id or ""),
            account_id,
        )

    async def _barred(self, call: Call, account: MemberId, command_id: str) -> ledger_pb2.Decision | None:
        """Return the refusal for the app of somebody who may not spend the household's points."""
        caller, gateway = call.caller, self._gateway
        if caller.role != options.ROLE_APP:
            return None
        person, command = MemberId(caller.member_id or ""), command_id_from_pb(command_id)
        no = await self._pool.run(gateway.households.bars, caller.program_id, person, account, command)
        if no is None:
            return None
        told = ledger_pb2.Decision()
        await self._ledger.tell(told, caller.program_id, no, replayed=False, recorded_ms=gateway.now_ms())
        return told

    async def _assurance(self, call: Call, level: int) -> int:
        """Return how sure it is who moves points: an app's device that is no longer new is as sure as can be."""
        if call.caller.role == options.ROLE_APP:
            await self._check_device(call)
            return int(types.ASSURANCE_DEVICE_CODE)
        if level == types.ASSURANCE_UNSPECIFIED:
            raise InvalidInput(
                "How sure the scan was is missing.",
                violations=(("assurance", "must be what Identify answered"),),
            )
        return level

    async def _receiver(self, request: pb.TransferPointsRequest, giver: MemberId, call: Call) -> MemberId:
        """Return who is given to. A code counts once, so a repeated call goes by what the first one found."""
        caller, gateway = call.caller, self._gateway
        stored = await gateway.transfers.find(caller.program_id, CommandId(request.transfer_id.lower()))
        if stored is not None and stored.from_member_id == giver:
            return stored.to_member_id
        own_app = caller.role == options.ROLE_APP
        if request.WhichOneof("to") == "to_member_id":
            to = member_id_from_pb(request.to_member_id)
            # An app names nobody by id but its own member and the household: ids are not for people to know.
            if own_app and not await self._may_see(call, to):
                raise _nobody()
            return to
        return await self._shown_by(call, giver, caller.program_id, request.to_card)

    async def _shown_by(self, call: Call, giver: MemberId, program_id: ProgramId, card: str) -> MemberId:
        """Return whose account in a program a card leads to. Raises ``NotFound``; too many wrong ones must wait."""
        caller, gateway = call.caller, self._gateway
        gateway.guesses.require(caller.program_id, giver, caller.device_id)
        code = scanned_code(card)
        scan: Scan | CodeScan | IdentityRefused
        if code is not None:
            scan = await self._pool.run(gateway.codes.read, program_id, code)
        else:
            text = Text(card)
            scan = await self._pool.run(gateway.identity.read, program_id, text, channel=Channel.APP)
        typed = isinstance(scan, Scan) and scan.identifier.kind not in CARD_KINDS
        blind = typed and caller.role == options.ROLE_APP
        if not isinstance(scan, IdentityRefused) and not blind:
            read = await gateway.scans.scan(program_id, scan.kind, scan.token)
            if read.account is not None:
                return read.account.member_id
        gateway.guesses.wrong(caller.program_id, giver, caller.device_id)
        raise _nobody()

    async def _told(self, program_id: ProgramId, sent: Sent, *, named: bool) -> pb.TransferPointsResponse:
        response = pb.TransferPointsResponse()
        answer = sent.answer
        await self._ledger.tell(
            response.decision,
            program_id,
            answer.decision,
            replayed=answer.replayed,
            recorded_ms=answer.recorded_ms,
        )
        if sent.transfer is not None:
            response.transfer.CopyFrom(transfer_to_pb(sent.transfer, named=named))
        return response

    async def _bring_points(self, call: Call, person: MemberId) -> None:
        """Move what somebody has to the household who has just come into it; the round does it if this fails."""
        gateway, program_id = self._gateway, call.caller.program_id
        pool = await self._pool.run(gateway.households.own_points, program_id, person)
        if pool is not None:
            await gateway.transfers.pool(program_id, pool, deadline=call.deadline)

    async def _take_points_along(self, call: Call, member_id: MemberId) -> None:
        """Move what the household has to the last one in it, who is about to leave: nobody else could spend it."""
        gateway, program_id = self._gateway, call.caller.program_id
        household_id = await self._pool.run(gateway.households.last_in, program_id, member_id)
        if household_id is None:
            return
        # Stores give back what they have in leases: in a minute the same call finds it.
        recall = await self._pool.run(gateway.leases.recall, program_id, household_id, deadline=call.deadline)
        if recall.submission is not None:
            await gateway.lane.submit(recall.submission)
        last = gateway.households.last_points
        while pool := await self._pool.run(last, program_id, household_id, member_id):
            sent = await gateway.transfers.pool(program_id, pool, deadline=call.deadline)
            if sent.transfer is None or sent.transfer.state is not TransferState.ARRIVED:
                raise left_behind()

    async def _check_device(self, call: Call) -> None:
        """Let a member's own device on its first day do nothing by which points could be burned."""
        if call.caller.role != options.ROLE_APP:
            return
        gateway, program_id = self._gateway, call.caller.program_id
        member = await self._pool.run(gateway.members.get, program_id, MemberId(call.caller.member_id or ""))
        await self._pool.run(gateway.codes.check_old_enough, program_id, member, call.caller.device_id)

    async def _shown(self, program_id: ProgramId, household: Household) -> pb.Household:
        names = await self._pool.run(self._names, program_id, [one.member_id for one in household.people])
        balance = None
        if household.viewer.part is not Part.ASKING:
            balance = await self._ledger.balance_in(program_id, household.household_id)
        return household_to_pb(household, names, balance)

    def _names(self, program_id: ProgramId, people: Iterable[MemberId]) -> dict[MemberId, str]:
        """Return given names; a damaged record costs the name, not the list."""
        names = {}
        for member_id in people:
            try:
                names[member_id] = self._gateway.members.profile(program_id, member_id).given_name
            except SealBroken:
                log.exception("personal data does not open", extra={"program_id": program_id})
        return names


def _nobody() -> NotFound:
    return NotFound(
        "No member has that card.",
        mend="Type the member number as the card shows it, or scan the code again.",
        reason="RECEIVER_NOT_FOUND",
    )
