"""Verdicts of the core as messages of the contract, and back."""

from __future__ import annotations

from tallystick.core.advice import Verdict, VerdictKind, VerdictReason
from tallystick.v1 import advice_pb2 as pb


def verdict_to_pb(verdict: Verdict, *, seq: int) -> pb.Verdict:
    """Return the answer to the advice at a position."""
    return pb.Verdict(
        seq=seq,
        kind=pb.VerdictKind.ValueType(verdict.kind),
        reasons=[pb.VerdictReason.ValueType(reason) for reason in verdict.reasons],
        member_seq=verdict.member_seq,
        earned_points=verdict.earned_points,
        shortfall_points=verdict.shortfall_points,
        details=dict(verdict.details),
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
