"""IdentityService: who is the member."""

from __future__ import annotations

import logging

from tallystick.core.basket import Origin
from tallystick.core.ids import Ms
from tallystick.core.progress import challenges_near
from tallystick.rpc.call import Call, Principal
from tallystick.rpc.convert.commands import channel_from_pb, member_id_from_pb, origin_from_pb
from tallystick.rpc.convert.people import (
    enrolled_to_pb,
    identification_to_pb,
    identifier_refused_to_pb,
    identifier_to_pb,
    kind_from_pb,
    not_identified_to_pb,
)
from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.rpc.handlers.access import filled_origin, visible_member
from tallystick.rpc.handlers.ledger import LedgerHandlers
from tallystick.security.code import scanned_code
from tallystick.security.errors import SealBroken
from tallystick.service.balances import balance_of
from tallystick.service.business_time import window
from tallystick.service.card_ports import Card, CardState
from tallystick.service.codes import CodeScan
from tallystick.service.errors import InvalidInput
from tallystick.service.gateway import Gateway
from tallystick.service.identity import BLANK, REVOKED, UNKNOWN, IdentityRefused, Scan, Text
from tallystick.service.members import open_profile
from tallystick.service.reads import ScanRead
from tallystick.v1 import identity_pb2 as pb
from tallystick.v1 import options_pb2 as options

log = logging.getLogger(__name__)


class IdentityHandlers:
    """Answers IdentityService."""

    def __init__(self, gateway: Gateway, ledger: LedgerHandlers) -> None:
        self._gateway = gateway
        self._ledger = ledger

    async def identify(self, request: pb.IdentifyRequest, call: Call) -> pb.IdentifyResponse:
        caller, gateway = call.caller, self._gateway
        scan = await self._scan(request, caller)
        if isinstance(scan, IdentityRefused):
            return pb.IdentifyResponse(not_identified=not_identified_to_pb(scan))
        read = await gateway.scans.scan(caller.program_id, scan.kind, scan.token)
        if read.row is None or read.account is None:
            return pb.IdentifyResponse(not_identified=not_identified_to_pb(_nobody(read.card)))
        account, now_ms = await self._ledger.caught_up(caller.program_id, read.account)
        here = Origin(now_ms, channel_from_pb(request.channel), caller.store_id, caller.device_id)
        return pb.IdentifyResponse(
            identified=identification_to_pb(
                account.member_id,
                account.status,
                scan.assurance,
                balance_of(account, read.rules, now_ms),
                challenges_near(read.rules, account, here) if read.rules else (),
                display_name=self._greeting(caller, read),
                presented_by=read.row.member_id,
            )
        )

    async def enrol(self, request: pb.EnrolRequest, call: Call) -> pb.EnrolResponse:
        caller, gateway = call.caller, self._gateway
        now_ms = gateway.now_ms()
        origin = filled_origin(origin_from_pb(request.origin), caller, now_ms)
        await self._require_in_time(caller, origin.occurred_ms, now_ms)
        answer = await gateway.pool.run(
            gateway.identity.enrol,
            caller.program_id,
            member_id_from_pb(request.member_id),
            Text(request.text, kind_from_pb(request.kind), request.region),
            enrolled_ms=origin.occurred_ms,
            channel=origin.channel,
            store_id=origin.store_id,
        )
        if isinstance(answer, IdentityRefused):
            return pb.EnrolResponse(refused=identifier_refused_to_pb(answer))
        if caller.role == options.ROLE_TILL and not answer.replayed:
            await gateway.pool.run(
                gateway.lookout.enrolled, caller.program_id, caller.device_id, origin.occurred_ms
            )
        return pb.EnrolResponse(enrolled=enrolled_to_pb(answer))

    async def add_identifier(self, request: pb.AddIdentifierRequest, call: Call) -> pb.AddIdentifierResponse:
        gateway = self._gateway
        answer = await gateway.pool.run(
            gateway.identity.add,
            call.caller.program_id,
            visible_member(call.caller, request.member_id),
            Text(request.text, kind_from_pb(request.kind), request.region),
        )
        if isinstance(answer, IdentityRefused):
            return pb.AddIdentifierResponse(refused=identifier_refused_to_pb(answer))
        return pb.AddIdentifierResponse(added=identifier_to_pb(answer))

    async def remove_identifier(
        self, request: pb.RemoveIdentifierRequest, call: Call
    ) -> pb.RemoveIdentifierResponse:
        gateway = self._gateway
        left = await gateway.pool.run(
            gateway.identity.remove,
            call.caller.program_id,
            visible_member(call.caller, request.member_id),
            request.identifier_id,
        )
        return pb.RemoveIdentifierResponse(identifiers=[identifier_to_pb(row) for row in left])

    async def list_identifiers(
        self, request: pb.ListIdentifiersRequest, call: Call
    ) -> pb.ListIdentifiersResponse:
        gateway = self._gateway
        member_id = visible_member(call.caller, request.member_id)
        rows = await gateway.pool.run(gateway.identity.all_of, call.caller.program_id, member_id)
        return pb.ListIdentifiersResponse(identifiers=[identifier_to_pb(row) for row in rows])

    async def _scan(
        self, request: pb.IdentifyRequest, caller: Principal
    ) -> Scan | CodeScan | IdentityRefused:
        gateway = self._gateway
        code = scanned_code(request.text)
        if code is not None:
            return await gateway.pool.run(gateway.codes.read, caller.program_id, code)
        given = Text(request.text, kind_from_pb(request.kind), request.region, request.aim_id)
        channel = channel_from_pb(request.channel)
        if gateway.rulebook.fresh(caller.program_id):
            # To read a text takes less than to hand it to a thread, which also tears apart what came together.
            return gateway.identity.read(caller.program_id, given, channel=channel)
        return await gateway.pool.run(gateway.identity.read, caller.program_id, given, channel=channel)

    def _greeting(self, caller: Principal, read: ScanRead) -> str:
        """Return the given name; a damaged record costs the greeting, not the sale."""
        if read.row is None or read.sealed is None:
            return ""
        masters = self._gateway.keys().masters(self._gateway.now_ms() // 1000)
        try:
            profile = open_profile(
                masters, read.sealed, program_id=caller.program_id, member_id=read.row.member_id
            )
        except SealBroken:
            log.exception("personal data does not open", extra={"program_id": caller.program_id})
            return ""
        return profile.given_name

    async def _require_in_time(self, caller: Principal, occurred_ms: int, now_ms: Ms) -> None:
        clock = await self._ledger.clock(caller.program_id)
        importer = caller.role == options.ROLE_IMPORTER
        allowed = window(clock, importer=importer, now_ms=now_ms)
        if not allowed.earliest_ms <= occurred_ms <= allowed.latest_ms:
            earliest, latest = ms_to_pb(allowed.earliest_ms), ms_to_pb(allowed.latest_ms)
            text = f"must lie between {earliest.ToJsonString()} and {latest.ToJsonString()}"
            raise InvalidInput(
                "The business time is too far from the server's.",
                violations=(("origin.occurred_at", text),),
            )


def _nobody(card: Card | None) -> IdentityRefused:
    """Return why a scan that nobody has leads to nobody."""
    if card is None:
        return UNKNOWN
    return BLANK if card.state is CardState.BLANK else REVOKED
