"""MemberService: members and their personal data."""

from __future__ import annotations

from tallystick.core.ids import MemberId, ProgramId
from tallystick.rpc.call import Call
from tallystick.rpc.convert.pages import PageTokens, page_size
from tallystick.rpc.convert.people import member_to_pb, profile_to_pb
from tallystick.rpc.convert.scalars import day_from_pb, ms_to_pb
from tallystick.rpc.handlers.access import visible_member
from tallystick.service.gateway import Gateway
from tallystick.v1 import member_pb2 as pb
from tallystick.v1 import options_pb2 as options

_FIELDS = ("given_name", "family_name", "email", "phone", "birthday", "language")


class MemberHandlers:
    """Answers MemberService."""

    def __init__(self, gateway: Gateway, pages: PageTokens) -> None:
        self._members = gateway.members
        self._pool = gateway.pool
        self._pages = pages

    async def get_member(self, request: pb.GetMemberRequest, call: Call) -> pb.GetMemberResponse:
        member_id = visible_member(call.caller, request.member_id)
        member = await self._pool.run(self._members.get, call.caller.program_id, member_id)
        return pb.GetMemberResponse(member=member_to_pb(member))

    async def list_members(self, request: pb.ListMembersRequest, call: Call) -> pb.ListMembersResponse:
        program_id = call.caller.program_id
        scope = ("ListMembers", program_id)
        marks = self._pages.read(scope, request.page_token)
        limit = page_size(request.page_size)
        after = str(marks[0]) if marks else ""
        found = await self._pool.run(self._members.page, program_id, after=after, limit=limit)
        return pb.ListMembersResponse(
            members=[member_to_pb(member) for member in found],
            next_page_token=self._pages.make(scope, [found[-1].member_id]) if len(found) == limit else "",
        )

    async def get_profile(self, request: pb.GetProfileRequest, call: Call) -> pb.GetProfileResponse:
        member_id = visible_member(call.caller, request.member_id)
        program_id = call.caller.program_id
        profile = await self._pool.run(self._members.profile, program_id, member_id)
        response = pb.GetProfileResponse(profile=profile_to_pb(profile))
        await self._add_changeable(response.profile, program_id, member_id)
        return response

    async def update_profile(self, request: pb.UpdateProfileRequest, call: Call) -> pb.UpdateProfileResponse:
        member_id = visible_member(call.caller, request.member_id)
        sent = {field.name: value for field, value in request.ListFields()}
        changes = {name: str(sent[name]) for name in _FIELDS if name in sent}
        if changes.get("birthday"):
            day_from_pb(changes["birthday"], field="birthday")
        profile = await self._pool.run(
            self._members.update_profile,
            call.caller.program_id,
            member_id,
            changes,
            by_staff=call.caller.role in (options.ROLE_MANAGER, options.ROLE_ADMIN),
        )
        response = pb.UpdateProfileResponse(profile=profile_to_pb(profile))
        await self._add_changeable(response.profile, call.caller.program_id, member_id)
        return response

    async def _add_changeable(self, shown: pb.Profile, program_id: ProgramId, member_id: MemberId) -> None:
        at_ms = await self._pool.run(self._members.birthday_changeable_ms, program_id, member_id)
        if at_ms:
            shown.birthday_changeable_at.CopyFrom(ms_to_pb(at_ms))

    async def block_member(self, request: pb.BlockMemberRequest, call: Call) -> pb.BlockMemberResponse:
        member_id = visible_member(call.caller, request.member_id)
        member = await self._pool.run(
            self._members.set_blocked, call.caller.program_id, member_id, blocked=True
        )
        return pb.BlockMemberResponse(member=member_to_pb(member))

    async def unblock_member(self, request: pb.UnblockMemberRequest, call: Call) -> pb.UnblockMemberResponse:
        member_id = visible_member(call.caller, request.member_id)
        member = await self._pool.run(
            self._members.set_blocked, call.caller.program_id, member_id, blocked=False
        )
        return pb.UnblockMemberResponse(member=member_to_pb(member))

    async def erase_member(self, request: pb.EraseMemberRequest, call: Call) -> pb.EraseMemberResponse:
        member_id = visible_member(call.caller, request.member_id)
        member = await self._pool.run(self._members.erase, call.caller.program_id, member_id)
        return pb.EraseMemberResponse(member=member_to_pb(member))
