"""Rewards that were bought without a basket, as messages of the contract."""

from __future__ import annotations

from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.service.redemptions import Redemption
from tallystick.v1 import reward_pb2 as pb


def redemption_to_pb(found: Redemption) -> pb.Redemption:
    """Return a redemption with its code: whoever may ask for it may show it."""
    entry = found.entry
    bought = entry.detail.rewards[0]
    return pb.Redemption(
        redemption_id=entry.command_id,
        member_id=entry.member_id,
        reward_id=bought.reward_id,
        reward_name=found.name,
        points=bought.points,
        code=found.code,
        state=pb.RedemptionState.ValueType(int(found.state)),
        redeemed_at=ms_to_pb(entry.origin.occurred_ms),
        used_at=ms_to_pb(found.used_ms) if found.used_ms else None,
        used_store_id=found.used_store_id,
    )
