"""Verdicts of the core as messages of the contract, and back."""

from __future__ import annotations

from collections.abc import Iterable

from tallystick.core.advice import Verdict, VerdictKind, VerdictReason
from tallystick.core.entry import Explanation
from tallystick.v1 import advice_pb2 as pb
from tallystick.wire.challenges import challenge_met_to_pb


def verdict_to_pb(verdict: Verdict, *, seq: int, met: Iterable[Explanation] = ()) -> pb.Verdict:
    """Return the answer to the advice at a position; ``met`` are the challenges that it met."""
    return pb.Verdict(
        seq=seq,
        kind=pb.VerdictKind.ValueType(verdict.kind),
        reasons=[pb.VerdictReason.ValueType(reason) for reason in verdict.reasons],
        member_seq=verdict.member_seq,
        earned_points=verdict.earned_points,
        shortfall_points=verdict.shortfall_points,
        details=dict(verdict.details),
        challenges_met=[challenge_met_to_pb(one) for one in met],
    )


def verdict_from_pb(message: pb.Verdict) -> Verdict:
    """Return the verdict. Raises ``ValueError`` for a kind or reason that this version does not know."""
    return Verdict(
        VerdictKind(message.kind),
        tuple(VerdictReason(reason) for reason in message.reasons),
        message.member_seq,
        message.earned_points,
        message.shortfall_points,
        tuple(sorted(message.details.items())),
    )
