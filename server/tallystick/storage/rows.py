"""Rows and records: how what the core decides lies in columns, the same for every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.chain import JournalRow
from tallystick.core.codec import (
    allocs_from_text,
    allocs_to_text,
    detail_from_text,
    held_coupons_from_text,
    tallies_from_text,
    tallies_to_text,
    tier_from_text,
    tier_to_text,
)
from tallystick.core.compact import from_compact, to_compact
from tallystick.core.entry import NO_DETAIL, Entry, EntryKind, Moves, Refusal, Refused
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.state import Account, Hold, HoldKind, HoldStatus, Lot, MemberStatus
from tallystick.service.ports import Known, NewEntry, NewRefusal

Row = Sequence[Any]

ACCOUNT_COLUMNS = (
    "member_id, status, enrolled_ms, active, pending, held, debt, seq, as_of_ms, due_ms, tier, tallies"
)
LOT_COLUMNS = (
    "member_id, lot_seq, points, remaining, earned_ms, expires_ms, matures_ms, pending, credits, credit_day"
)
HOLD_COLUMNS = (
    "member_id, hold_id, seq, points, status, expires_ms, spend_points, reward_ids, allocs, assurance, "
    "kind, store_id, ends_ms, used, recalled, coupons, rule_set"
)
LEDGER_COLUMNS = (
    "command_id, member_id, seq, kind, "
    "m_active, m_pending, m_held, m_debt, m_issued, m_burned, m_breakage, m_store_loss, m_adjusted, "
    "active_after, pending_after, held_after, debt_after, tier_after, rule_set, assurance, "
    "occurred_ms, channel, store_id, till_id, reference, reverses_seq, hold_id, shortfall, claimed_points, "
    "fingerprint, detail, recorded_ms"
)
# A refusal in the columns of the ledger, so that one statement answers for both: `kind` 0, reason in `rule_set`.
REFUSAL_AS_LEDGER = (
    "command_id, member_id, 0, 0, "
    "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "
    "0, 0, 0, 0, '', reason, 0, "
    "0, 0, '', '', '', NULL, NULL, NULL, NULL, "
    "fingerprint, details, recorded_ms"
)
JOURNAL_COLUMNS = (
    "lane_id, lane_seq, count, recorded_ms, "
    "s_active, s_pending, s_held, s_debt, s_issued, s_burned, s_breakage, s_store_loss, s_adjusted, "
    "payload, prev_hash, hash"
)

_NO_NAMES = "[]"


def account_from_row(row: Row) -> Account:
    """Return the account of a row of ``ACCOUNT_COLUMNS``."""
    member_id, status, enrolled_ms, active, pending, held, debt, seq, as_of_ms, due_ms, tier, tallies = row
    return Account(
        member_id,
        MemberStatus(status),
        enrolled_ms,
        active,
        pending,
        held,
        debt,
        seq,
        as_of_ms,
        due_ms,
        tier_from_text(tier),
        tallies_from_text(tallies),
    )


def account_change_to_row(before: Account, after: Account) -> tuple[Any, ...]:
    """Return what an update of an account writes, behind the member and the ``seq`` that it must still have."""
    return (
        before.member_id,
        before.seq,
        int(after.status),
        after.enrolled_ms,
        after.active,
        after.pending,
        after.held,
        after.debt,
        after.seq,
        after.as_of_ms,
        after.due_ms,
        tier_to_text(after.tier),
        tallies_to_text(after.tallies),
    )


def entry_from_row(row: Row, *, with_detail: bool = True) -> Entry:
    """Return the entry of a row of ``LEDGER_COLUMNS``; without its detail where only the numbers matter."""
    return Entry(
        command_id=row[0],
        member_id=row[1],
        seq=row[2],
        kind=EntryKind(row[3]),
        moves=Moves(*[points or 0 for points in row[4:13]]),
        active_after=row[13],
        pending_after=row[14],
        held_after=row[15],
        debt_after=row[16],
        tier_after=row[17],
        rule_set=row[18],
        assurance=Assurance(row[19]),
        origin=Origin(row[20], Channel(row[21]), row[22], row[23], row[24]),
        reverses_seq=row[25] or 0,
        hold_id=row[26] or "",
        shortfall=row[27] or 0,
        claimed_points=-1 if row[28] is None else row[28],
        detail=detail_from_text(row[30]) if with_detail else NO_DETAIL,
    )


def entry_to_row(new: NewEntry, recorded_ms: Ms) -> tuple[Any, ...]:
    """Return the values of ``LEDGER_COLUMNS``; statements turn 0, "" and -1 into NULL where a NULL stands for them."""
    entry = new.entry
    origin = entry.origin
    return (
        entry.command_id,
        entry.member_id,
        entry.seq,
        int(entry.kind),
        *entry.moves,
        entry.active_after,
        entry.pending_after,
        entry.held_after,
        entry.debt_after,
        entry.tier_after,
        entry.rule_set,
        int(entry.assurance),
        origin.occurred_ms,
        int(origin.channel),
        origin.store_id,
        origin.till_id,
        origin.reference,
        entry.reverses_seq,
        entry.hold_id,
        entry.shortfall,
        entry.claimed_points,
        new.fingerprint,
        new.detail_text,
        recorded_ms,
    )


def known_from_row(row: Row) -> tuple[CommandId, Known]:
    """Return the stored answer of a row of ``LEDGER_COLUMNS`` or ``REFUSAL_AS_LEDGER``."""
    if row[3] == 0:
        details = tuple((name, value) for name, value in from_compact(row[30]))
        return row[0], Known(row[1], bytes(row[29]), Refused(Refusal(row[18]), details), row[31])
    return row[0], Known(row[1], bytes(row[29]), entry_from_row(row), row[31])


def refusal_to_row(new: NewRefusal, recorded_ms: Ms) -> tuple[Any, ...]:
    """Return (command_id, member_id, recorded_ms, reason, fingerprint, details)."""
    details = to_compact(new.refused.details) if new.refused.details else _NO_NAMES
    return new.command_id, new.member_id, recorded_ms, int(new.refused.reason), new.fingerprint, details


def lot_from_row(row: Row) -> tuple[MemberId, Lot]:
    """Return the lot of a row of ``LOT_COLUMNS`` with its member."""
    member_id, lot_seq, points, remaining, earned_ms, expires_ms, matures_ms, pending, credits, day = row
    return member_id, Lot(
        lot_seq, points, remaining, earned_ms, expires_ms, matures_ms, bool(pending), credits, day
    )


def lot_to_row(member_id: MemberId, lot: Lot) -> tuple[Any, ...]:
    """Return the values of ``LOT_COLUMNS``."""
    return (
        member_id,
        lot.lot_seq,
        lot.points,
        lot.remaining,
        lot.earned_ms,
        lot.expires_ms,
        lot.matures_ms,
        int(lot.pending),
        lot.credits,
        lot.credit_day,
    )


def burning_order(lot: Lot) -> tuple[int, int, int]:
    """Return the key by which lots are burned: soonest expiry first, then the oldest."""
    return lot.expires_ms, lot.earned_ms, lot.lot_seq


def hold_from_row(row: Row) -> tuple[MemberId, Hold]:
    """Return the hold of a row of ``HOLD_COLUMNS`` with its member."""
    member_id, hold_id, seq, points, status, expires_ms, spend_points, rewards, allocs, assurance = row[:10]
    kind, store_id, ends_ms, used, recalled, coupons, rule_set = row[10:]
    return member_id, Hold(
        hold_id,
        seq,
        points,
        HoldStatus(status),
        expires_ms,
        spend_points,
        tuple(from_compact(rewards)),
        allocs_from_text(allocs),
        Assurance(assurance),
        HoldKind(kind),
        store_id,
        ends_ms,
        used,
        bool(recalled),
        held_coupons_from_text(coupons) if coupons != _NO_NAMES else (),
        rule_set,
    )


def hold_to_row(member_id: MemberId, hold: Hold) -> tuple[Any, ...]:
    """Return the values of ``HOLD_COLUMNS``."""
    return (
        member_id,
        hold.hold_id,
        hold.seq,
        hold.points,
        int(hold.status),
        hold.expires_ms,
        hold.spend_points,
        to_compact(hold.reward_ids) if hold.reward_ids else _NO_NAMES,
        allocs_to_text(hold.allocs),
        int(hold.assurance),
        int(hold.kind),
        hold.store_id,
        hold.ends_ms,
        hold.used,
        int(hold.recalled),
        to_compact(hold.coupons) if hold.coupons else _NO_NAMES,
        hold.rule_set,
    )


def journal_from_row(row: Row) -> JournalRow:
    """Return the journal row of a row of ``JOURNAL_COLUMNS``."""
    lane_id, lane_seq, count, recorded_ms = row[:4]
    return JournalRow(
        lane_id,
        lane_seq,
        count,
        recorded_ms,
        tuple(row[4:13]),
        bytes(row[13]),
        bytes(row[14]),
        bytes(row[15]),
    )


def journal_to_row(journal: JournalRow) -> tuple[Any, ...]:
    """Return the values of ``JOURNAL_COLUMNS``."""
    return (
        journal.lane_id,
        journal.lane_seq,
        journal.count,
        journal.recorded_ms,
        *journal.sums,
        journal.payload,
        journal.prev_hash,
        journal.hash,
    )
