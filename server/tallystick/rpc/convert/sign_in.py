"""Signing in as messages of the contract."""

from __future__ import annotations

from tallystick.core.ids import ProgramId
from tallystick.rpc.convert.member_codes import card_device_to_pb, credential_to_pb
from tallystick.rpc.convert.scalars import known_ms_to_pb, ms_to_pb
from tallystick.security.encoding import base64url_encode
from tallystick.service.sign_in import DeviceKey, NotSignedIn, SignedIn
from tallystick.service.sign_in_ports import Passkey
from tallystick.v1 import app_pb2 as pb


def device_key_from_pb(device: pb.DeviceKey) -> DeviceKey:
    """Return the key that a device wants to speak with."""
    return DeviceKey(device.public_jwk, device.label)


def signed_in_to_pb(program_id: ProgramId, answer: SignedIn, *, label: str) -> pb.SignedIn:
    """Return a device that speaks for a member."""
    return pb.SignedIn(
        member_id=answer.member_id,
        device=card_device_to_pb(answer.credential.device, label=label),
        credential=credential_to_pb(program_id, answer.credential),
        access_token=answer.token.text,
        expires_in_s=answer.token.expires_in_s,
        enrolled=answer.enrolled,
    )


def not_signed_in_to_pb(refused: NotSignedIn) -> pb.NotSignedIn:
    """Return why nobody was let in."""
    return pb.NotSignedIn(reason=pb.SignInRefusal.ValueType(refused.reason), tries_left=refused.tries_left)


def passkey_to_pb(passkey: Passkey, *, label: str) -> pb.Passkey:
    """Return a passkey of a member."""
    return pb.Passkey(
        passkey_id=base64url_encode(passkey.credential_id),
        label=label,
        added_at=ms_to_pb(passkey.added_ms),
        used_at=known_ms_to_pb(passkey.used_ms),
    )
