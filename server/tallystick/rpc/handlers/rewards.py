"""RewardService: rewards that are bought without a basket, and handed out once."""

from __future__ import annotations

from dataclasses import replace

from tallystick.core.command import RedeemReward, UseRedemption
from tallystick.core.entry import Entry, Posted
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import MemberId, ProgramId
from tallystick.rpc.call import Call
from tallystick.rpc.convert.commands import assurance_from_pb, command_id_from_pb, origin_from_pb
from tallystick.rpc.convert.redemptions import redemption_to_pb
from tallystick.rpc.handlers.access import visible_member
from tallystick.rpc.handlers.ledger import LedgerHandlers
from tallystick.service.errors import NotFound
from tallystick.service.gateway import Gateway
from tallystick.service.redemptions import Redemption
from tallystick.v1 import options_pb2 as options
from tallystick.v1 import reward_pb2 as pb


class RewardHandlers:
    """Answers RewardService."""

    def __init__(self, gateway: Gateway, ledger: LedgerHandlers) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._redemptions = gateway.redemptions
        self._pool = gateway.pool

    async def redeem_reward(self, request: pb.RedeemRewardRequest, call: Call) -> pb.RedeemRewardResponse:
        caller = call.caller
        member_id = visible_member(caller, request.member_id)
        command = RedeemReward(
            command_id_from_pb(request.command_id),
            member_id,
            origin_from_pb(request.origin),
            request.reward_id,
            assurance_from_pb(request.assurance),
        )
        sent = fingerprint(command)
        if caller.role == options.ROLE_APP:
            # What an app says of itself proves nothing; for how long its key is known does.
            assurance = await self._pool.run(
                self._gateway.codes.assurance_of, caller.program_id, member_id, caller.device_id
            )
            command = replace(command, assurance=assurance)
        response = pb.RedeemRewardResponse()
        decision = await self._ledger.decide(response.decision, command, call, sent=sent)
        if isinstance(decision, Posted):
            found = await self._of_entry(caller.program_id, decision.entry)
            response.redemption.CopyFrom(redemption_to_pb(found))
        return response

    async def check_redemption(
        self, request: pb.CheckRedemptionRequest, call: Call
    ) -> pb.CheckRedemptionResponse:
        member_id = visible_member(call.caller, request.member_id)
        found = await self._of_code(call, member_id, request.code)
        return pb.CheckRedemptionResponse(redemption=redemption_to_pb(found))

    async def use_redemption(self, request: pb.UseRedemptionRequest, call: Call) -> pb.UseRedemptionResponse:
        program_id, member_id = call.caller.program_id, visible_member(call.caller, request.member_id)
        found = await self._of_code(call, member_id, request.code)
        command = UseRedemption(
            command_id_from_pb(request.command_id),
            member_id,
            origin_from_pb(request.origin),
            found.entry.command_id,
        )
        response = pb.UseRedemptionResponse()
        await self._ledger.decide(response.decision, command, call)
        now = await self._of_entry(program_id, found.entry)
        response.redemption.CopyFrom(redemption_to_pb(now))
        return response

    async def list_redemptions(
        self, request: pb.ListRedemptionsRequest, call: Call
    ) -> pb.ListRedemptionsResponse:
        program_id, member_id = call.caller.program_id, visible_member(call.caller, request.member_id)
        await self._pool.run(self._gateway.members.get, program_id, member_id)
        found = await self._pool.run(self._redemptions.of_member, program_id, member_id)
        return pb.ListRedemptionsResponse(redemptions=[redemption_to_pb(one) for one in found])

    async def _of_code(self, call: Call, member_id: MemberId, code: str) -> Redemption:
        """Return what a code stands for. Raises ``NotFound``, and ``Overloaded`` when too many before it were wrong."""
        gateway, caller = self._gateway, call.caller
        gateway.guesses.require(caller.program_id, member_id, caller.device_id)
        try:
            return await self._pool.run(self._redemptions.of_code, caller.program_id, member_id, code)
        except NotFound:
            gateway.guesses.wrong(caller.program_id, member_id, caller.device_id)
            raise

    async def _of_entry(self, program_id: ProgramId, entry: Entry) -> Redemption:
        return await self._pool.run(self._redemptions.of_entry, program_id, entry)
