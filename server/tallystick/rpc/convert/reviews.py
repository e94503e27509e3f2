"""Reviews as messages of the contract."""

from __future__ import annotations

from tallystick.rpc.convert.scalars import known_ms_to_pb, ms_to_pb
from tallystick.service.review_ports import Review, ReviewState, StaffMember
from tallystick.v1 import review_pb2 as pb

_STATES = {
    pb.REVIEW_VERDICT_RELEASE: ReviewState.RELEASED,
    pb.REVIEW_VERDICT_REFUSE: ReviewState.REFUSED,
}


def review_to_pb(review: Review) -> pb.Review:
    """Return a review; a command that it holds is told by its figures alone."""
    return pb.Review(
        review_id=review.review_id,
        kind=review.kind,
        member_id=review.member_id,
        other_id=review.other_id,
        facts=dict(review.facts),
        made_at=ms_to_pb(review.made_ms),
        state=pb.ReviewState.ValueType(int(review.state)),
        asked_by=review.asked_by,
        decided_at=known_ms_to_pb(review.decided_ms),
        decided_by=review.decided_by,
        note=review.note,
        holds=review.holds,
    )


def state_from_pb(state: int) -> ReviewState | None:
    """Return the state that is asked for, None for all."""
    return ReviewState(state) if state else None


def verdict_from_pb(verdict: pb.ReviewVerdict.ValueType) -> ReviewState:
    """Return what a review becomes by a verdict."""
    return _STATES[verdict]


def staff_to_pb(staff: StaffMember) -> pb.StaffMember:
    """Return which member a cashier is."""
    return pb.StaffMember(store_id=staff.store_id, cashier_id=staff.cashier_id, member_id=staff.member_id)
