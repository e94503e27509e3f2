"""CodeService: which devices show a member's code."""

from __future__ import annotations

from tallystick.core.ids import ProgramId
from tallystick.rpc.call import Call
from tallystick.rpc.convert.member_codes import card_device_to_pb, credential_to_pb
from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.rpc.handlers.access import visible_member
from tallystick.service.directory import CardDevice
from tallystick.service.gateway import Gateway
from tallystick.v1 import member_code_pb2 as pb


class CodeHandlers:
    """Answers CodeService."""

    def __init__(self, gateway: Gateway) -> None:
        self._codes = gateway.codes
        self._pool = gateway.pool

    async def register_card_device(
        self, request: pb.RegisterCardDeviceRequest, call: Call
    ) -> pb.RegisterCardDeviceResponse:
        program_id = call.caller.program_id
        member_id = visible_member(call.caller, request.member_id)
        issued = await self._pool.run(
            self._codes.register, program_id, member_id, request.public_jwk, label=request.label
        )
        return pb.RegisterCardDeviceResponse(
            device=self._device(program_id, issued.device), credential=credential_to_pb(program_id, issued)
        )

    async def renew_credential(
        self, request: pb.RenewCredentialRequest, call: Call
    ) -> pb.RenewCredentialResponse:
        program_id = call.caller.program_id
        member_id = visible_member(call.caller, request.member_id)
        issued = await self._pool.run(self._codes.renew, program_id, member_id, request.device_id)
        return pb.RenewCredentialResponse(
            device=self._device(program_id, issued.device), credential=credential_to_pb(program_id, issued)
        )

    async def revoke_card_device(
        self, request: pb.RevokeCardDeviceRequest, call: Call
    ) -> pb.RevokeCardDeviceResponse:
        member_id = visible_member(call.caller, request.member_id)
        program_id = call.caller.program_id
        device = await self._pool.run(self._codes.revoke, program_id, member_id, request.device_id)
        return pb.RevokeCardDeviceResponse(device=self._device(program_id, device))

    async def list_card_devices(
        self, request: pb.ListCardDevicesRequest, call: Call
    ) -> pb.ListCardDevicesResponse:
        member_id = visible_member(call.caller, request.member_id)
        program_id = call.caller.program_id
        devices = await self._pool.run(self._codes.devices, program_id, member_id)
        return pb.ListCardDevicesResponse(devices=[self._device(program_id, device) for device in devices])

    async def issue_server_code(
        self, request: pb.IssueServerCodeRequest, call: Call
    ) -> pb.IssueServerCodeResponse:
        member_id = visible_member(call.caller, request.member_id)
        code = await self._pool.run(self._codes.server_code, call.caller.program_id, member_id)
        return pb.IssueServerCodeResponse(digits=code.digits, expires_at=ms_to_pb(code.expires_ms))

    def _device(self, program_id: ProgramId, device: CardDevice) -> pb.CardDevice:
        return card_device_to_pb(device, label=self._codes.label_of(program_id, device))
