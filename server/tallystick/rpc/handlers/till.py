"""TillService: devices and their tokens."""

from __future__ import annotations

from tallystick.core.ids import ProgramId
from tallystick.rpc.call import Call, Principal
from tallystick.rpc.convert.devices import device_to_pb
from tallystick.rpc.convert.pages import PageTokens, page_size
from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.rpc.handlers.access import origin_mismatch
from tallystick.service.directory import Device
from tallystick.service.enrolment import device_not_found
from tallystick.service.errors import InvalidInput, PermissionDenied
from tallystick.service.gateway import Gateway, role_name
from tallystick.v1 import options_pb2 as options
from tallystick.v1 import till_pb2 as pb

_BACKOFFICE_ROLES = frozenset({options.ROLE_MANAGER, options.ROLE_ADMIN, options.ROLE_IMPORTER})
_ROLES_OF_KIND = {
    pb.DEVICE_KIND_TILL: frozenset({options.ROLE_TILL}),
    pb.DEVICE_KIND_WEBSHOP: frozenset({options.ROLE_WEBSHOP}),
    pb.DEVICE_KIND_BACKOFFICE: _BACKOFFICE_ROLES,
}
# Whom a caller may let in: never one who may do more than the caller.
_MAY_GIVE = {
    options.ROLE_MANAGER: frozenset({options.ROLE_TILL, options.ROLE_WEBSHOP, options.ROLE_MANAGER}),
    options.ROLE_ADMIN: frozenset({options.ROLE_TILL, options.ROLE_WEBSHOP}) | _BACKOFFICE_ROLES,
}


class TillHandlers:
    """Answers TillService."""

    def __init__(self, gateway: Gateway, pages: PageTokens) -> None:
        self._gateway = gateway
        self._enrolment = gateway.enrolment
        self._pool = gateway.pool
        self._pages = pages

    async def create_enrolment_code(
        self, request: pb.CreateEnrolmentCodeRequest, call: Call
    ) -> pb.CreateEnrolmentCodeResponse:
        caller = call.caller
        if request.role not in _ROLES_OF_KIND[request.kind]:
            raise InvalidInput("The role does not fit the kind.", violations=(("role", "must fit the kind"),))
        _require_may_give(caller, request.role, "tallystick.v1.TillService/CreateEnrolmentCode")
        if _store_bound(caller) and request.store_id != caller.store_id:
            raise origin_mismatch("store_id")
        made = await self._pool.run(
            self._enrolment.create_code,
            caller.program_id,
            kind=request.kind,
            role=request.role,
            store_id=request.store_id,
            label=request.label,
        )
        return pb.CreateEnrolmentCodeResponse(code=made.code, expires_at=ms_to_pb(made.expires_ms))

    async def enrol_device(self, request: pb.EnrolDeviceRequest, call: Call) -> pb.EnrolDeviceResponse:
        del call  # nobody has a token yet: the code says who lets the device in
        device = await self._pool.run(
            self._enrolment.enrol,
            ProgramId(request.program_id),
            code=request.code,
            public_jwk_text=request.public_jwk,
            proof=request.proof,
        )
        return pb.EnrolDeviceResponse(
            device_id=device.device_id,
            fingerprint=device.fingerprint,
            status=pb.DeviceStatus.ValueType(int(device.status)),
        )

    async def confirm_device(self, request: pb.ConfirmDeviceRequest, call: Call) -> pb.ConfirmDeviceResponse:
        caller = call.caller
        device = await self._device(caller, request.device_id)
        _require_may_give(caller, device.role, "tallystick.v1.TillService/ConfirmDevice")
        confirmed = await self._pool.run(
            self._enrolment.confirm, caller.program_id, device.device_id, request.fingerprint
        )
        return pb.ConfirmDeviceResponse(device=device_to_pb(confirmed))

    async def revoke_device(self, request: pb.RevokeDeviceRequest, call: Call) -> pb.RevokeDeviceResponse:
        caller = call.caller
        device = await self._device(caller, request.device_id)
        _require_may_give(caller, device.role, "tallystick.v1.TillService/RevokeDevice")
        revoked = await self._pool.run(self._enrolment.revoke, caller.program_id, device.device_id)
        return pb.RevokeDeviceResponse(device=device_to_pb(revoked))

    async def list_devices(self, request: pb.ListDevicesRequest, call: Call) -> pb.ListDevicesResponse:
        caller = call.caller
        scope = ("ListDevices", caller.program_id, caller.store_id)
        marks = self._pages.read(scope, request.page_token)
        limit = page_size(request.page_size)
        after = str(marks[0]) if marks else ""
        found = await self._pool.run(self._enrolment.page, caller.program_id, after=after, limit=limit)
        return pb.ListDevicesResponse(
            devices=[device_to_pb(device) for device in found if _visible(caller, device)],
            next_page_token=self._pages.make(scope, [found[-1].device_id]) if len(found) == limit else "",
        )

    async def issue_token(self, request: pb.IssueTokenRequest, call: Call) -> pb.IssueTokenResponse:
        del call  # the assertion says who calls
        gateway = self._gateway
        proven = await self._pool.run(gateway.tokens.prove, request.client_assertion)
        issued = gateway.tokens.issue(proven)
        return pb.IssueTokenResponse(
            access_token=issued.text,
            expires_in_s=issued.expires_in_s,
            server_time=ms_to_pb(gateway.now_ms()),
        )

    async def rotate_device_key(
        self, request: pb.RotateDeviceKeyRequest, call: Call
    ) -> pb.RotateDeviceKeyResponse:
        device = await self._pool.run(
            self._enrolment.rotate_key,
            call.caller.program_id,
            call.caller.device_id,
            public_jwk_text=request.public_jwk,
            proof=request.proof,
        )
        return pb.RotateDeviceKeyResponse(device=device_to_pb(device))

    async def _device(self, caller: Principal, device_id: str) -> Device:
        """Return a device that the caller may see. Raises ``NotFound``."""
        device = await self._pool.run(self._enrolment.get, caller.program_id, device_id.lower())
        if not _visible(caller, device):
            raise device_not_found(device_id)
        return device


def _store_bound(caller: Principal) -> bool:
    """Return whether the caller runs one store only: a manager whose token names one."""
    return caller.role == options.ROLE_MANAGER and bool(caller.store_id)


def _visible(caller: Principal, device: Device) -> bool:
    return not _store_bound(caller) or device.store_id == caller.store_id


def _require_may_give(caller: Principal, role: int, method: str) -> None:
    if role not in _MAY_GIVE.get(options.Role.ValueType(caller.role), frozenset()):
        raise PermissionDenied(
            "The device may do more than the caller.",
            mend="Let somebody with that role do it.",
            reason="ROLE_NOT_ALLOWED",
            role=role_name(caller.role),
            method=method,
        )
