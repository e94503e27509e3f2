"""InsightService: segments, experiments and key figures."""

from __future__ import annotations

from datetime import date

from tallystick.core.ids import MemberId
from tallystick.rpc.call import Call
from tallystick.rpc.convert.insight import experiment_to_pb, kpis_to_pb, segment_to_pb
from tallystick.rpc.convert.pages import PageTokens, page_size
from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.service.errors import InvalidInput
from tallystick.service.gateway import Gateway
from tallystick.v1 import insight_pb2 as pb


class InsightHandlers:
    """Answers InsightService."""

    def __init__(self, gateway: Gateway, pages: PageTokens) -> None:
        self._segments = gateway.segments
        self._insight = gateway.insight
        self._pool = gateway.pool
        self._pages = pages

    async def list_segments(self, request: pb.ListSegmentsRequest, call: Call) -> pb.ListSegmentsResponse:  # noqa: ARG002
        found = await self._pool.run(self._segments.of_program, call.caller.program_id)
        return pb.ListSegmentsResponse(segments=[segment_to_pb(*one) for one in found])

    async def list_segment_members(
        self, request: pb.ListSegmentMembersRequest, call: Call
    ) -> pb.ListSegmentMembersResponse:
        program_id = call.caller.program_id
        scope = ("ListSegmentMembers", program_id, request.segment_id)
        marks, limit = self._pages.read(scope, request.page_token), page_size(request.page_size)
        found = await self._pool.run(
            self._segments.members,
            program_id,
            request.segment_id,
            after=MemberId(str(marks[0])) if marks else "",
            limit=limit,
        )
        response = pb.ListSegmentMembersResponse(
            members=[
                pb.SegmentMember(member_id=member_id, since=ms_to_pb(since_ms))
                for member_id, since_ms in found
            ]
        )
        if len(found) == limit:
            response.next_page_token = self._pages.make(scope, [found[-1][0]])
        return response

    async def get_experiment(self, request: pb.GetExperimentRequest, call: Call) -> pb.GetExperimentResponse:
        found = await self._pool.run(self._insight.experiment, call.caller.program_id, request.experiment_id)
        return experiment_to_pb(found)

    async def get_kpis(self, request: pb.GetKpisRequest, call: Call) -> pb.GetKpisResponse:
        first, last = _day("first_on", request.first_on), _day("last_on", request.last_on)
        found = await self._pool.run(self._insight.kpis, call.caller.program_id, first, last)
        return kpis_to_pb(found, total_minor=request.total_sales_minor)


def _day(field: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            "That is no day.", violations=((field, "must be a day that there is, as YYYY-MM-DD"),)
        ) from None
