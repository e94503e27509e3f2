"""Members' devices and credentials as messages of the contract."""

from __future__ import annotations

from tallystick.rpc.convert.scalars import known_ms_to_pb, ms_to_pb
from tallystick.service.codes import Credential
from tallystick.service.directory import CardDevice
from tallystick.v1 import member_code_pb2 as pb


def card_device_to_pb(device: CardDevice, *, label: str) -> pb.CardDevice:
    """Return a device of a member."""
    return pb.CardDevice(
        device_id=device.kid,
        label=label,
        registered_at=ms_to_pb(device.registered_ms),
        burn_from=ms_to_pb(device.burn_from_ms),
        expires_at=ms_to_pb(device.expires_ms),
        revoked_at=known_ms_to_pb(device.revoked_ms),
    )


def credential_to_pb(program_id: str, issued: Credential) -> pb.Credential:
    """Return what a device puts into its codes."""
    return pb.Credential(
        credential=issued.credential,
        program_id=program_id,
        expires_at=ms_to_pb(issued.device.expires_ms),
        renew_at=ms_to_pb(issued.renew_ms),
    )
