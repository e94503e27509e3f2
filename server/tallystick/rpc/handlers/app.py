"""AppService: what a member's card shows and does. Passkeys and the member's own erasure are answered elsewhere."""

from __future__ import annotations

import logging

from tallystick.core.basket import Channel
from tallystick.core.ids import MemberId, ProgramId
from tallystick.rpc.call import Call
from tallystick.rpc.convert.app import card_to_pb, consent_to_pb
from tallystick.rpc.convert.people import member_to_pb
from tallystick.rpc.handlers.access import visible_member
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose
from tallystick.service.errors import TallystickError
from tallystick.service.gateway import Gateway
from tallystick.service.pass_maker import PassMaker, wallet_off
from tallystick.v1 import app_pb2 as pb
from tallystick.v1 import options_pb2 as options

_SHOPS = frozenset({options.ROLE_WEBSHOP, options.ROLE_WIDGET})

log = logging.getLogger(__name__)


class AppHandlers:
    """Answers AppService. ``passes`` makes passes for wallets; None where none is set up."""

    def __init__(self, gateway: Gateway, *, passes: PassMaker | None = None) -> None:
        self._gateway = gateway
        self._pool = gateway.pool
        self._passes = passes

    async def get_card(self, request: pb.GetCardRequest, call: Call) -> pb.GetCardResponse:
        member_id = visible_member(call.caller, request.member_id)
        role = call.caller.role
        card = await self._pool.run(
            self._gateway.member_cards.card,
            call.caller.program_id,
            member_id,
            private=role != options.ROLE_WIDGET,
            shop=Channel.WEBSHOP if role in _SHOPS else Channel.UNKNOWN,
        )
        return pb.GetCardResponse(card=card_to_pb(card, self._gateway.now_ms()))

    async def set_spend_lock(self, request: pb.SetSpendLockRequest, call: Call) -> pb.SetSpendLockResponse:
        program_id = call.caller.program_id
        member_id = visible_member(call.caller, request.member_id)
        if not request.locked:
            await self._check_device(call, member_id)
        member = await self._pool.run(
            self._gateway.members.set_spend_lock, program_id, member_id, locked=request.locked
        )
        if request.locked:
            await self._recall(program_id, member_id, call.deadline)
        return pb.SetSpendLockResponse(member=member_to_pb(member))

    async def list_consents(self, request: pb.ListConsentsRequest, call: Call) -> pb.ListConsentsResponse:
        member_id = visible_member(call.caller, request.member_id)
        found = await self._pool.run(self._gateway.consents.all_of, call.caller.program_id, member_id)
        return pb.ListConsentsResponse(consents=[consent_to_pb(one) for one in found])

    async def set_consent(self, request: pb.SetConsentRequest, call: Call) -> pb.SetConsentResponse:
        caller = call.caller
        stands = await self._pool.run(
            self._gateway.consents.say,
            caller.program_id,
            visible_member(caller, request.member_id),
            ConsentPurpose(request.purpose),
            ConsentChannel(request.channel),
            granted=request.granted,
            by_role=caller.role,
            by_device=caller.device_id,
        )
        return pb.SetConsentResponse(consent=consent_to_pb(stands))

    async def export_member(self, request: pb.ExportMemberRequest, call: Call) -> pb.ExportMemberResponse:
        member_id = visible_member(call.caller, request.member_id)
        document = await self._pool.run(self._gateway.export.document, call.caller.program_id, member_id)
        return pb.ExportMemberResponse(json=document)

    async def issue_wallet_pass(
        self, request: pb.IssueWalletPassRequest, call: Call
    ) -> pb.IssueWalletPassResponse:
        program_id = call.caller.program_id
        member_id = visible_member(call.caller, request.member_id)
        await self._pool.run(self._gateway.members.living, program_id, member_id)
        await self._check_device(call, member_id)
        passes = self._passes
        if request.wallet == pb.WALLET_KIND_APPLE:
            if passes is None or not passes.apple:
                raise wallet_off("apple")
            bundle = await self._pool.run(passes.pkpass, program_id, member_id)
            return pb.IssueWalletPassResponse(pkpass=bundle)
        if passes is None or not passes.google:
            raise wallet_off("google")
        link = await self._pool.run(passes.save_url, program_id, member_id)
        return pb.IssueWalletPassResponse(save_url=link)

    async def _check_device(self, call: Call, member_id: MemberId) -> None:
        """Let a member's own device on its first day do nothing by which points could be burned."""
        if call.caller.role != options.ROLE_APP:
            return
        gateway, program_id = self._gateway, call.caller.program_id
        member = await self._pool.run(gateway.members.get, program_id, member_id)
        await self._pool.run(gateway.codes.check_old_enough, program_id, member, call.caller.device_id)

    async def _recall(self, program_id: ProgramId, member_id: MemberId, deadline: float) -> None:
        """Ask stores to give back what they have of the member's points in leases."""
        gateway = self._gateway
        try:
            found = await self._pool.run(gateway.leases.recall, program_id, member_id, deadline=deadline)
            if found.submission is not None:
                await gateway.lane.submit(found.submission)
        except TallystickError as error:
            # The lock stands, and tills hear of it as soon as of a recall.
            log.warning("leases could not be recalled", extra={"reason": error.reason})
