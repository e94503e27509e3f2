"""Transfers and households as messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.core.command import TransferOut
from tallystick.core.ids import CommandId, MemberId
from tallystick.rpc.convert.commands import assurance_from_pb, origin_from_pb
from tallystick.rpc.convert.entries import balance_to_pb
from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.service.balances import BalanceNow
from tallystick.service.households import PEOPLE_MAX, Household
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
        MemberId(request.from_member_id.lower()),
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
