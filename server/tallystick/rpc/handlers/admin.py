"""AdminService: programs, rule sets, the nightly work, totals."""

from __future__ import annotations

from tallystick import __version__
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.rpc.call import Call
from tallystick.rpc.convert.pages import PageTokens, page_size, page_token_invalid
from tallystick.rpc.convert.programs import (
    clock_from_pb,
    finding_to_pb,
    program_to_pb,
    rule_set_to_pb,
    totals_to_pb,
)
from tallystick.rpc.convert.scalars import ms_from_pb, ms_to_pb
from tallystick.service.directory import Clock
from tallystick.service.errors import InvalidInput
from tallystick.service.expiry import expire_page
from tallystick.service.gateway import Gateway
from tallystick.service.programs import check_text, program_not_found, text_sha256
from tallystick.v1 import admin_pb2 as pb


class AdminHandlers:
    """Answers AdminService."""

    def __init__(self, gateway: Gateway, pages: PageTokens) -> None:
        self._gateway = gateway
        self._programs = gateway.programs
        self._pool = gateway.pool
        self._pages = pages

    async def create_program(self, request: pb.CreateProgramRequest, call: Call) -> pb.CreateProgramResponse:
        del call  # the one method that reaches beyond the token's program, and only to add one
        program = await self._pool.run(
            self._programs.create,
            ProgramId(request.program_id),
            request.display_name,
            clock_from_pb(request.clock),
        )
        return pb.CreateProgramResponse(program=program_to_pb(program))

    async def get_program(self, request: pb.GetProgramRequest, call: Call) -> pb.GetProgramResponse:
        program_id = call.caller.program_id
        if request.program_id not in ("", program_id):
            raise program_not_found(request.program_id)
        program = await self._pool.run(self._programs.get, program_id)
        return pb.GetProgramResponse(program=program_to_pb(program))

    async def list_programs(self, request: pb.ListProgramsRequest, call: Call) -> pb.ListProgramsResponse:
        if request.page_token:
            raise page_token_invalid()
        # A token sees its own program and no other, so the list has one page with one program.
        program = await self._pool.run(self._programs.get, call.caller.program_id)
        return pb.ListProgramsResponse(programs=[program_to_pb(program)])

    async def validate_rule_set(
        self, request: pb.ValidateRuleSetRequest, call: Call
    ) -> pb.ValidateRuleSetResponse:
        del call  # a text is looked at, nothing of any program
        checked = await self._pool.run(check_text, request.text)
        findings = checked if isinstance(checked, list) else []
        return pb.ValidateRuleSetResponse(findings=[finding_to_pb(one) for one in findings])

    async def publish_rule_set(
        self, request: pb.PublishRuleSetRequest, call: Call
    ) -> pb.PublishRuleSetResponse:
        stored = await self._pool.run(
            self._programs.publish,
            call.caller.program_id,
            request.text,
            request_id=request.request_id.lower(),
            published_by=call.caller.device_id,
        )
        return pb.PublishRuleSetResponse(version=stored.version, hash=text_sha256(stored.text))

    async def get_rule_set(self, request: pb.GetRuleSetRequest, call: Call) -> pb.GetRuleSetResponse:
        stored = await self._pool.run(self._programs.rule_set, call.caller.program_id, request.version)
        return pb.GetRuleSetResponse(rule_set=rule_set_to_pb(stored, with_text=True))

    async def list_rule_sets(self, request: pb.ListRuleSetsRequest, call: Call) -> pb.ListRuleSetsResponse:
        program_id = call.caller.program_id
        scope = ("ListRuleSets", program_id)
        marks = self._pages.read(scope, request.page_token)
        limit = page_size(request.page_size)
        before = int(marks[0]) if marks else None
        found = await self._pool.run(self._programs.rule_sets, program_id, before=before, limit=limit)
        more = len(found) == limit and found[-1].version > 1
        return pb.ListRuleSetsResponse(
            rule_sets=[rule_set_to_pb(stored, with_text=False) for stored in found],
            next_page_token=self._pages.make(scope, [found[-1].version]) if more else "",
        )

    async def expire_points(self, request: pb.ExpirePointsRequest, call: Call) -> pb.ExpirePointsResponse:
        gateway, program_id = self._gateway, call.caller.program_id
        scope = ("ExpirePoints", program_id)
        marks = self._pages.read(scope, request.page_token)
        asked = ms_from_pb(request.as_of) if request.HasField("as_of") else None
        as_of_ms = Ms(int(marks[0])) if marks else asked or gateway.now_ms()
        if asked is not None and asked != as_of_ms:
            raise page_token_invalid()
        await self._require_not_ahead(program_id, as_of_ms)
        page = await expire_page(
            gateway.store,
            gateway.pool,
            gateway.lane,
            program_id,
            as_of_ms=as_of_ms,
            after=MemberId(str(marks[1])) if marks else None,
            limit=page_size(request.page_size),
            deadline=call.deadline,
        )
        return pb.ExpirePointsResponse(
            members=page.members,
            entries=page.entries,
            next_page_token=self._pages.make(scope, [as_of_ms, page.last]) if page.last else "",
        )

    async def get_totals(self, request: pb.GetTotalsRequest, call: Call) -> pb.GetTotalsResponse:
        del request  # the program is the token's
        sums = await self._pool.run(self._gateway.store.read_sums, call.caller.program_id)
        return pb.GetTotalsResponse(accounts=totals_to_pb(sums), as_of=ms_to_pb(self._gateway.now_ms()))

    async def get_server_info(self, request: pb.GetServerInfoRequest, call: Call) -> pb.GetServerInfoResponse:
        del request  # there is one server
        return pb.GetServerInfoResponse(
            version=__version__,
            server_time=ms_to_pb(self._gateway.now_ms()),
            program_id=call.caller.program_id,
            database=self._gateway.database,
        )

    async def _require_not_ahead(self, program_id: ProgramId, as_of_ms: Ms) -> None:
        """Refuse to expire points early: nothing brings them back."""
        now_ms = self._gateway.now_ms()
        clock = await self._pool.run(self._gateway.rulebook.clock, program_id)
        if clock is Clock.LIVE and as_of_ms > now_ms:
            raise InvalidInput(
                "The time lies in the future.",
                violations=(("as_of", "must not lie in the future"),),
                reason="AS_OF_OUT_OF_RANGE",
                field="as_of",
                latest=ms_to_pb(now_ms).ToJsonString(),
            )
