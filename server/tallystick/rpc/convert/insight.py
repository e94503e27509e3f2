"""Segments, experiments and key figures as messages."""

from __future__ import annotations

from tallystick.core.rules.segment import Segment
from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.service.insight import ExperimentResult, GroupResult, Kpis
from tallystick.service.lift import Lift
from tallystick.service.segment_ports import SegmentCount
from tallystick.v1 import insight_pb2 as pb


def segment_to_pb(segment: Segment, count: SegmentCount | None) -> pb.Segment:
    """Return a segment with what was last worked out."""
    return pb.Segment(
        segment_id=segment.segment_id,
        name=segment.name,
        members=count.members if count else 0,
        refreshed_at=ms_to_pb(count.refreshed_ms) if count else None,
    )


def lift_to_pb(lift: Lift | None) -> pb.Lift | None:
    """Return a comparison."""
    if lift is None:
        return None
    return pb.Lift(
        difference_minor=lift.difference_minor,
        low_minor=lift.low_minor,
        high_minor=lift.high_minor,
        finding=pb.LiftFinding.ValueType(int(lift.finding)),
        members_missing=lift.members_missing,
    )


def experiment_to_pb(found: ExperimentResult) -> pb.GetExperimentResponse:
    """Return what an experiment has shown."""
    return pb.GetExperimentResponse(
        experiment_id=found.experiment.experiment_id,
        currency_code=found.currency,
        against=found.against,
        groups=map(_group, found.groups),
    )


def _group(one: GroupResult) -> pb.ExperimentGroup:
    spent = one.spent
    return pb.ExperimentGroup(
        variant=one.variant,
        members=spent.members,
        buyers=one.buyers,
        sales=one.sales,
        revenue_minor=spent.total,
        revenue_per_member_minor=spent.total // spent.members if spent.members else 0,
        points=one.points,
        cost_minor=one.cost_minor,
        lift=lift_to_pb(one.lift),
    )


def kpis_to_pb(found: Kpis, *, total_minor: int) -> pb.GetKpisResponse:
    """Return key figures; ``total_minor`` is what was sold in all, 0 when that is not known."""
    return pb.GetKpisResponse(
        currency_code=found.currency,
        members=found.members,
        buyers=found.buyers,
        sales=found.sales,
        revenue_minor=found.revenue_minor,
        average_sale_minor=found.average_sale_minor,
        sales_per_buyer_milli=found.sales_per_buyer_milli,
        repeat_ppm=found.repeat_ppm or 0,
        retention_ppm=found.retention_ppm,
        member_share_ppm=found.member_share_ppm(total_minor),
        lifetime_value_minor=found.lifetime_value_minor,
        issued_points=found.issued,
        burned_points=found.burned,
        expired_points=found.expired,
        redemption_ppm=found.redemption_ppm,
        breakage_ppm=found.breakage_ppm,
        expected_breakage_ppm=found.expected_breakage_ppm,
        outstanding_points=found.outstanding,
        liability_minor=found.liability_minor,
        incremental=lift_to_pb(found.incremental),
        incremental_sales_minor=found.incremental_sales_minor,
        campaigns=[
            pb.Campaign(
                campaign_id=one.campaign_id,
                kind=one.kind,
                sales=one.sales,
                points=one.points,
                discount_minor=one.discount_minor,
                cost_minor=one.cost_minor,
            )
            for one in found.campaigns
        ],
    )
