"""Points given to another member: they leave the giver, reach the receiver with their expiry, or come back.

Two commands on two members are two entries, so there is a moment between them. What has left is the truth: the rest
follows from it, as often as it takes, under ids that are derived from the transfer's.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.core.basket import Origin
from tallystick.core.command import TransferBack, TransferIn, TransferOut
from tallystick.core.draft import Draft
from tallystick.core.due import grace_ms
from tallystick.core.entry import (
    Detail,
    Entry,
    EntryKind,
    Explanation,
    MovedLot,
    Moves,
    Refusal,
    Refused,
    Transferred,
    refused,
)
from tallystick.core.ids import POINTS_MAX, CommandId, MemberId, Ms, derived_id
from tallystick.core.lots import local_day
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.period import period_start
from tallystick.core.rules.transfers import Transfers, TransferTo
from tallystick.core.state import Alloc, Lot

LOTS_MAX = 1_000
"""Most expiries that the points of one transfer may have; each becomes an entry of the receiver."""


GIVEN = "given"
"""Under this key the points are counted that a member has given away in a period."""


def arrival_id(to_member_id: MemberId, transfer_id: CommandId) -> CommandId:
    """Return the id of the command by which a transfer arrives."""
    return derived_id(to_member_id, "transfer-in", transfer_id)


def way_back_id(from_member_id: MemberId, transfer_id: CommandId) -> CommandId:
    """Return the id of the command by which a transfer comes back."""
    return derived_id(from_member_id, "transfer-back", transfer_id)


def transfer_out(draft: Draft, rules: RuleSet, command: TransferOut) -> Refused | None:
    """Take the points from the giver, those that expire soonest first."""
    points = command.points
    if not 0 < points <= POINTS_MAX:
        return refused(Refusal.AMOUNT_OVERFLOW, points=points, points_max=POINTS_MAX)
    if no := _not_allowed(draft, rules, command):
        return no
    allocs = draft.take_active(points)
    lots = _moved(draft, allocs)
    if len(lots) > LOTS_MAX:
        return refused(Refusal.AMOUNT_OVERFLOW, lots=len(lots), lots_max=LOTS_MAX)
    if rules.transfers and rules.transfers.limit_points and not command.pooling:
        draft.count(GIVEN, _period(rules, rules.transfers, command.origin), points)
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.TRANSFER,
        moves=Moves(active=-points, adjusted=points),
        origin=command.origin,
        rule_set=rules.version,
        assurance=command.assurance,
        detail=Detail(
            explanations=(
                Explanation("transfers", 0, -points, "pooled" if command.pooling else "transfer_sent"),
            ),
            allocs=allocs,
            transfer=Transferred(command.command_id, command.to_member_id, lots),
        ),
    )
    return None


def _not_allowed(draft: Draft, rules: RuleSet, command: TransferOut) -> Refused | None:
    """Return the first reason, in the order of ``Refusal``, against a transfer."""
    points, transfers = command.points, rules.transfers
    cap = rules.burning.assurance_caps[command.assurance]
    if 0 <= cap < points and not command.pooling:
        return refused(Refusal.ABOVE_ASSURANCE_CAP, points=points, points_max=cap)
    if transfers and points < transfers.minimum_points and not command.pooling:
        return refused(Refusal.BELOW_MINIMUM, points=points, minimum_points=transfers.minimum_points)
    if points > draft.active:
        return refused(Refusal.INSUFFICIENT_POINTS, points=points, available=draft.active)
    if command.to_member_id == command.member_id:
        return refused(Refusal.RECEIVER_NOT_ALLOWED, why="same_member")
    if command.pooling:
        return None
    if transfers is None:
        return refused(Refusal.TRANSFERS_OFF)
    limit, given = transfers.limit_points, draft.tally(GIVEN, _period(rules, transfers, command.origin))
    if limit and given + points > limit:
        return refused(Refusal.SHARING_LIMIT, points=points, points_max=limit, given=given)
    if transfers.to is TransferTo.HOUSEHOLD and not command.same_household:
        return refused(Refusal.RECEIVER_NOT_ALLOWED, why="other_household")
    today = local_day(command.origin.occurred_ms, rules.zone)
    days = (today - local_day(draft.account.enrolled_ms, rules.zone)).days
    if days < transfers.member_days:
        return refused(Refusal.MEMBER_TOO_NEW, days=max(0, days), days_min=transfers.member_days)
    return None


def _period(rules: RuleSet, transfers: Transfers, origin: Origin) -> int:
    return period_start(transfers.per, local_day(origin.occurred_ms, rules.zone))


def _moved(draft: Draft, allocs: Sequence[Alloc]) -> tuple[MovedLot, ...]:
    """Return what was taken by expiry, the soonest first, as it was taken."""
    moved: dict[Ms, MovedLot] = {}
    for alloc in allocs:
        lot = draft.lots[alloc.lot_seq]
        before = moved.get(lot.expires_ms)
        points, earned = (before.points, before.earned_ms) if before else (0, lot.earned_ms)
        moved[lot.expires_ms] = MovedLot(points + alloc.points, min(earned, lot.earned_ms), lot.expires_ms)
    return tuple(moved.values())


def transfer_in(draft: Draft, rules: RuleSet, command: TransferIn) -> Refused | None:
    """Give the points to the receiver: what the receiver owes first, the rest as lots that expire as they would have.

    Each lot is an entry of its own, and all of them are posted together; the last one has the command's id.
    """
    assert command.lots, "what has left is at least one point"
    at_ms = Ms(max(command.origin.occurred_ms, draft.account.as_of_ms))
    for number, lot in enumerate(command.lots, 1):
        last = number == len(command.lots)
        repaid = min(draft.debt, lot.points)
        rest = lot.points - repaid
        if rest:
            draft.add_lot(Lot(draft.seq + 1, rest, rest, lot.earned_ms, lot.expires_ms, at_ms))
        part = derived_id(command.member_id, "transfer-in", f"{command.transfer_id}/{number}")
        draft.post(
            command_id=command.command_id if last else part,
            kind=EntryKind.TRANSFER,
            moves=Moves(active=rest, debt=repaid, adjusted=-lot.points),
            origin=command.origin,
            rule_set=rules.version,
            detail=Detail(
                explanations=(Explanation("transfers", 0, lot.points, "transfer_received"),),
                transfer=Transferred(command.transfer_id, command.from_member_id),
            ),
        )
    return None


def transfer_back(
    draft: Draft, rules: RuleSet, command: TransferBack, sent: Entry | None, before: Sequence[Entry]
) -> Refused | None:
    """Put the points of a transfer back into the lots that they came from; also when the giver is blocked meanwhile."""
    if sent is None or sent.detail.transfer is None or sent.moves.active >= 0:
        return refused(Refusal.ENTRY_UNKNOWN, entry_id=command.transfer_id)
    if before:
        return refused(Refusal.ALREADY_REVERSED, entry_id=command.transfer_id)
    points, converted = -sent.moves.active, sent.moves.burned
    at_ms = Ms(max(command.origin.occurred_ms, draft.account.as_of_ms))
    draft.give_back(sent.detail.allocs, at_ms, grace_ms(rules, at_ms))
    for key, period, counted in sent.detail.tallies:
        # A period that is over may not be kept any more.
        draft.count(key, period, -min(counted, draft.tally(key, period)))
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.TRANSFER,
        moves=Moves(active=points, burned=-converted, adjusted=converted - points),
        origin=command.origin,
        rule_set=rules.version,
        reverses_seq=sent.seq,
        detail=Detail(
            explanations=(Explanation("transfers", 0, points, "transfer_undone", (("why", command.why),)),),
            transfer=Transferred(command.transfer_id, sent.detail.transfer.other_id),
            partner_id=sent.detail.partner_id,
        ),
    )
    return None
