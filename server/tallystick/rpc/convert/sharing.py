"""Transfers and households as messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.core.command import ConvertOut, Donate, TransferOut
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.rules.goal import Counts
from tallystick.core.rules.partner import Partner
from tallystick.rpc.convert.commands import assurance_from_pb, origin_from_pb
from tallystick.rpc.convert.entries import balance_to_pb
from tallystick.rpc.convert.scalars import known_ms_to_pb, money_to_pb, ms_to_pb
from tallystick.service.balances import BalanceNow
from tallystick.service.households import PEOPLE_MAX, Household
from tallystick.service.reckoning import GoalNow, ProjectNow
from tallystick.service.shared_store import GoalState
from tallystick.service.transfer_store import Transfer, TransferState
from tallystick.v1 import sharing_pb2 as pb

_STATES = {
    TransferState.ASKED: pb.TRANSFER_STATE_SENT,
    TransferState.ARRIVED: pb.TRANSFER_STATE_ARRIVED,
    TransferState.UNDONE: pb.TRANSFER_STATE_UNDONE,
}


def transfer_from_pb(request: pb.TransferPointsRequest, *, to: MemberId, assurance: int) -> TransferOut:
    """Return the transfer as it was sent, to the member that was found."""
    return TransferOut(
        CommandId(request.transfer_id.lower()),
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        to,
        request.points,
        assurance_from_pb(assurance),
    )


def transfer_to_pb(transfer: Transfer, *, named: bool) -> pb.Transfer:
    """Return how a transfer stands; who received it is ``named`` to those who may know."""
    return pb.Transfer(
        transfer_id=transfer.transfer_id,
        from_member_id=transfer.from_member_id,
        to_member_id=transfer.to_member_id if named else "",
        points=transfer.points,
        state=_STATES[transfer.state],
        made_at=ms_to_pb(transfer.made_ms),
    )


def household_to_pb(
    household: Household, names: Mapping[MemberId, str], balance: BalanceNow | None
) -> pb.Household:
    """Return a household with the given names of its people."""
    return pb.Household(
        household_id=household.household_id,
        people=[
            pb.HouseholdPerson(
                member_id=one.member_id,
                role=pb.HouseholdRole.ValueType(int(one.part)),
                given_name=names.get(one.member_id, ""),
                since=ms_to_pb(one.since_ms),
            )
            for one in household.people
        ],
        balance=None if balance is None else balance_to_pb(balance),
        people_max=PEOPLE_MAX,
    )


def donation_from_pb(request: pb.DonatePointsRequest, *, assurance: int) -> Donate:
    """Return the donation as it was sent."""
    return Donate(
        CommandId(request.command_id.lower()),
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        request.project_id,
        request.points,
        assurance_from_pb(assurance),
    )


def project_to_pb(project: ProjectNow, currency: str, as_of_ms: Ms) -> pb.Project:
    """Return a project with what it has been given."""
    return pb.Project(
        project_id=project.project_id,
        name=project.name,
        text=project.text,
        given=money_to_pb(currency, project.given_minor),
        donated_points=project.donated_points,
        donated=money_to_pb(currency, project.donated_minor),
        open=project.is_open,
        as_of=known_ms_to_pb(as_of_ms),
    )


_UNITS = {
    Counts.SPEND: pb.GOAL_UNIT_SPEND,
    Counts.SALES: pb.GOAL_UNIT_SALES,
    Counts.POINTS: pb.GOAL_UNIT_POINTS,
    Counts.PIECES: pb.GOAL_UNIT_PIECES,
}


def goal_to_pb(now: GoalNow, now_ms: Ms) -> pb.Goal:
    """Return a goal with how far it is at an instant."""
    goal = now.goal
    return pb.Goal(
        goal_id=goal.goal_id,
        name=goal.name,
        unit=_UNITS[goal.counts],
        counted=now.total.total,
        target=goal.target,
        members=now.total.people,
        award_points=now.reached.points if now.reached else goal.points,
        state=_goal_state(now, now_ms),
        starts_at=ms_to_pb(goal.when.from_ms),
        ends_at=ms_to_pb(goal.when.until_ms),
        took_part=now.took_part,
    )


def _goal_state(now: GoalNow, now_ms: Ms) -> pb.GoalState.ValueType:
    if now.reached is not None:
        done = now.reached.state is GoalState.AWARDED
        return pb.GOAL_STATE_AWARDED if done else pb.GOAL_STATE_REACHED
    if now_ms < now.goal.when.until_ms:
        return pb.GOAL_STATE_OPEN
    counting = now_ms < now.goal.judged_ms or now.total.total >= now.goal.target
    return pb.GOAL_STATE_COUNTING if counting else pb.GOAL_STATE_MISSED


def partner_to_pb(partner: Partner) -> pb.Partner:
    """Return a partner program with its rate."""
    return pb.Partner(
        partner_id=partner.program_id,
        name=partner.name,
        give_points=partner.give_points,
        get_points=partner.get_points,
    )


def conversion_from_pb(request: pb.ConvertPointsRequest, *, to: MemberId, assurance: int) -> ConvertOut:
    """Return the conversion as it was sent, to the member that was found."""
    return ConvertOut(
        CommandId(request.transfer_id.lower()),
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        request.partner_id,
        to,
        request.points,
        assurance_from_pb(assurance),
    )
