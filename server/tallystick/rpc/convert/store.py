"""Inbox items, exposure and cashiers as messages of the contract."""

from __future__ import annotations

from tallystick.rpc.convert.scalars import known_ms_to_pb, ms_to_pb
from tallystick.service.directory import Cashier
from tallystick.service.exposure import StoreRisk, TillRisk
from tallystick.service.ports import InboxItem, InboxState
from tallystick.service.uploads import advice_of
from tallystick.v1 import store_pb2 as pb
from tallystick.wire.verdicts import verdict_to_pb


def inbox_state_from_pb(state: int) -> InboxState:
    """Return the state to look for; none given means what is open."""
    return InboxState(state) if state else InboxState.OPEN


def inbox_item_to_pb(item: InboxItem) -> pb.InboxItem:
    """Return an item with its advice as it came."""
    return pb.InboxItem(
        item_id=item.item_id,
        till_id=item.till_id,
        store_id=item.store_id,
        epoch=item.epoch,
        seq=item.seq,
        verdict=verdict_to_pb(item.verdict, seq=item.seq),
        state=pb.InboxState.ValueType(item.state),
        received_at=ms_to_pb(item.received_ms),
        advice=advice_of(item),
        resolved_by=item.resolved_by,
        note=item.note,
        resolved_at=known_ms_to_pb(item.resolved_ms),
    )


def exposure_to_pb(risk: StoreRisk) -> pb.GetExposureResponse:
    """Return what a store can lose, by till."""
    return pb.GetExposureResponse(
        store_id=risk.store_id,
        worst_case_points=risk.worst_case_points,
        leased_points=risk.leased_points,
        voucher_points=risk.voucher_points,
        lost_points=risk.lost_points,
        tills=[till_exposure_to_pb(till) for till in risk.tills],
    )


def till_exposure_to_pb(till: TillRisk) -> pb.TillExposure:
    """Return one till's part."""
    chain = till.chain
    return pb.TillExposure(
        till_id=till.till_id,
        label=till.label,
        status=pb.TillStatus.ValueType(chain.status),
        floor_cap_points=till.floor_cap_points,
        floor_points=chain.floor_points,
        queued=chain.queued,
        last_contact_at=known_ms_to_pb(chain.contact_ms),
        fences=chain.fences,
        epoch=chain.epoch,
        acked_seq=chain.acked_seq,
        keeps_leases=till.keeps_leases,
    )


def cashier_to_pb(cashier: Cashier) -> pb.Cashier:
    """Return a cashier, without anything of the PIN."""
    return pb.Cashier(cashier_id=cashier.cashier_id, label=cashier.label, active=cashier.active)
