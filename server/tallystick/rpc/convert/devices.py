"""Devices as messages of the contract."""

from __future__ import annotations

from tallystick.rpc.convert.scalars import known_ms_to_pb, ms_to_pb
from tallystick.service.directory import Device
from tallystick.v1 import options_pb2 as options
from tallystick.v1 import till_pb2 as pb


def device_to_pb(device: Device) -> pb.Device:
    """Return a device; its key is shown as a fingerprint only."""
    return pb.Device(
        device_id=device.device_id,
        kind=pb.DeviceKind.ValueType(device.kind),
        role=options.Role.ValueType(device.role),
        store_id=device.store_id,
        label=device.label,
        status=pb.DeviceStatus.ValueType(int(device.status)),
        fingerprint=device.fingerprint,
        enrolled_at=ms_to_pb(device.enrolled_ms),
        confirmed_at=known_ms_to_pb(device.confirmed_ms),
        revoked_at=known_ms_to_pb(device.revoked_ms),
    )
