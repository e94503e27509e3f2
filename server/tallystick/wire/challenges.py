"""Challenges that a sale has met, as messages of the contract."""

from __future__ import annotations

from tallystick.core.entry import Explanation
from tallystick.v1 import types_pb2 as pb


def challenge_met_to_pb(met: Explanation) -> pb.ChallengeMet:
    """Return a challenge that a sale has met, from the explanation of its award."""
    said = dict(met.args)
    return pb.ChallengeMet(
        challenge_id=met.rule_id,
        name=said["name"],
        times=int(said["times"]),
        points=met.points,
        badge_id=said.get("badge", ""),
    )
