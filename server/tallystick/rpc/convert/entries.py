"""Entries, decisions and balances as messages of the contract."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.core.entry import (
    CaughtUp,
    Decision,
    Entry,
    EntryKind,
    Explanation,
    Posted,
    Refused,
)
from tallystick.core.ids import NEVER_MS
from tallystick.core.rules.reward import is_counter
from tallystick.core.state import Lot
from tallystick.rpc.convert.postings import add_postings
from tallystick.rpc.convert.refusals import refused_to_pb
from tallystick.rpc.convert.scalars import MS_PER_S, NANOS_PER_MS, known_ms_to_pb, money_to_pb, ms_to_pb
from tallystick.service.balances import BalanceNow
from tallystick.v1 import ledger_pb2 as pb
from tallystick.v1 import types_pb2 as types

_UNDOING = (EntryKind.RETURN, EntryKind.REVERSE)
_SELLING = (EntryKind.SALE, EntryKind.CAPTURE)


def fill_decision(
    target: pb.Decision, decision: Decision, *, replayed: bool, recorded_ms: int, currency: str
) -> None:
    """Write the recorded outcome of a command. ``currency`` is that of the rule set which judged it.

    The messages of the hot path are filled where they stand: a message that is passed to another's constructor is
    copied, which at this depth costs more than all the rest.
    """
    if replayed:
        target.replayed = True
    match decision:
        case Posted(entry):
            posted = target.posted
            fill_entry(posted.entry, entry, recorded_ms)
            if entry.detail.lines:
                fill_benefits(posted.benefits, entry, currency)
            if entry.kind in _UNDOING:
                fill_returned(posted.returned, entry, currency)
        case Refused():
            target.refused.CopyFrom(refused_to_pb(decision))
        case CaughtUp():
            raise AssertionError("callers of the contract do not catch members up one by one")
        case _:
            assert_never(decision)


def fill_entry(target: pb.Entry, entry: Entry, recorded_ms: int) -> None:
    """Write an entry as it stands in the ledger."""
    source, detail = entry.origin, entry.detail
    seconds, rest = divmod(source.occurred_ms, MS_PER_S)
    nanos = rest * NANOS_PER_MS
    target.command_id = entry.command_id
    target.member_id = entry.member_id
    target.seq = entry.seq
    target.kind = entry.kind  # type: ignore[assignment]
    add_postings(target.postings, entry.moves)
    after = target.balance_after
    after.active = entry.active_after
    after.pending = entry.pending_after
    after.held = entry.held_after
    after.debt = entry.debt_after
    after.tier_id = entry.tier_after
    _fill_instant(after.as_of, seconds, nanos)
    target.rule_set_version = entry.rule_set
    target.assurance = entry.assurance + 1  # type: ignore[assignment]
    origin = target.origin
    origin.store_id = source.store_id
    origin.till_id = source.till_id
    origin.channel = source.channel  # type: ignore[assignment]
    origin.reference = source.reference
    _fill_instant(origin.occurred_at, seconds, nanos)
    _fill_instant(target.occurred_at, seconds, nanos)
    seconds, rest = divmod(recorded_ms, MS_PER_S)
    _fill_instant(target.recorded_at, seconds, rest * NANOS_PER_MS)
    add_explanations(target.explanations, detail.explanations)
    target.reverses_seq = entry.reverses_seq
    target.hold_id = entry.hold_id
    if detail.lines and entry.kind in _SELLING:
        target.sale_id = entry.command_id
    target.shortfall_points = entry.shortfall
    target.reason = detail.reason


def _fill_instant(target: Timestamp, seconds: int, nanos: int) -> None:
    target.seconds = seconds
    target.nanos = nanos


def add_explanations(
    target: RepeatedCompositeFieldContainer[pb.Explanation], explanations: Iterable[Explanation]
) -> None:
    """Write why points came or went."""
    for why in explanations:
        added = target.add(rule_id=why.rule_id, line_no=why.line_no, points=why.points, code=why.code)
        if why.args:
            added.args.update(why.args)


def fill_benefits(target: pb.Benefits, entry: Entry, currency: str) -> None:
    """Write what a sale gives; for a hold what it would take off, but not what it would earn."""
    detail, moves = entry.detail, entry.moves
    held = entry.kind is EntryKind.HOLD
    target.earned_points = -moves.issued
    target.burned_points = moves.held if held else moves.burned
    target.payable_minor = detail.payable_minor
    target.currency_code = currency
    discount = 0
    for number, share in enumerate(detail.lines, 1):
        discount += share.discount_minor
        target.lines.add(
            line_no=number,
            discount_minor=share.discount_minor,
            earned_points=share.earned_points,
            burned_points=share.burned_points,
        )
    target.discount_minor = discount
    for total in detail.tax_totals:
        target.tax_totals.add(
            code=total.code,
            net_minor=total.net_minor,
            tax_minor=total.tax_minor,
            gross_minor=total.gross_minor,
        )
    for bought in detail.rewards:
        target.rewards.add(
            reward_id=bought.reward_id, points=bought.points, discount_minor=bought.discount_minor
        )
    for used in detail.coupons:
        if is_counter(used.coupon_id):
            continue
        target.coupons.add(coupon_id=used.coupon_id, discount_minor=used.discount_minor)


def fill_returned(target: pb.ReturnEffects, entry: Entry, currency: str) -> None:
    """Write what a return or a reverse undoes."""
    detail = entry.detail
    target.due_points = detail.due_points
    target.restored_points = detail.restored_points
    target.debt_points = max(0, -entry.moves.debt)
    target.refund_minor = detail.refund_minor
    target.currency_code = currency
    for line in detail.returned:
        target.lines.add(
            line_no=line.line_no, quantity_milli=line.quantity_milli, amount_minor=line.amount_minor
        )


def balance_to_pb(balance: BalanceNow) -> types.Balance:
    """Return what a member has at an instant."""
    return types.Balance(
        active=balance.active,
        pending=balance.pending,
        held=balance.held,
        debt=balance.debt,
        tier_id=balance.tier_id,
        qualifying_credits=balance.qualifying_credits,
        as_of=ms_to_pb(balance.as_of_ms),
    )


def worth_to_pb(balance: BalanceNow) -> types.Money | None:
    """Return what the active points take off a basket; None where points are not turned into money."""
    if not balance.currency:
        return None
    return money_to_pb(balance.currency, balance.worth_minor)


def lot_to_pb(lot: Lot, zone: ZoneInfo) -> pb.Lot:
    """Return a lot; its last day is told in the program's time zone."""
    expires = lot.expires_ms < NEVER_MS
    delayed = lot.matures_ms > lot.earned_ms
    return pb.Lot(
        seq=lot.lot_seq,
        points=lot.points,
        remaining_points=lot.remaining,
        pending=lot.pending,
        earned_at=ms_to_pb(lot.earned_ms),
        matures_at=known_ms_to_pb(lot.matures_ms) if delayed else None,
        expires_at=known_ms_to_pb(lot.expires_ms),
        expires_on=_last_day(lot.expires_ms, zone) if expires else "",
    )


def _last_day(expires_ms: int, zone: ZoneInfo) -> str:
    """Return the day on which the last instant before the expiry falls."""
    last = datetime.fromtimestamp((expires_ms - 1) // 1000, UTC).astimezone(zone)
    return last.date().isoformat()
