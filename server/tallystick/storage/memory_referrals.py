"""Recommendations, in memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.referral_ports import (
    STILL_OPEN,
    Referral,
    ReferralState,
    ReferralSums,
    Room,
)
from tallystick.storage.memory_cards import Tables
from tallystick.storage.memory_consents import living
from tallystick.storage.memory_tables import ProgramTables, Undo


class MemoryReferrals:
    """By whom members came; ``service.referral_ports`` says what each call means."""

    def add_referral(self: Tables, program_id: ProgramId, referral: Referral) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            if not (living(tables, referral.member_id) and living(tables, referral.referrer_id)):
                return False
            if referral.member_id in tables.referrals:
                return False
            undo.put(tables.referrals, referral.member_id, referral)
            return True

    def referral(self: Tables, program_id: ProgramId, member_id: MemberId) -> Referral | None:
        return self._of(program_id).referrals.get(member_id)

    def count_referrals(
        self: Tables, program_id: ProgramId, referrer_id: MemberId, *, since: Ms, until: Ms
    ) -> int:
        own = _of_referrer(self._of(program_id), referrer_id)
        return sum(since <= one.noted_ms < until for one in own)

    def referral_sums(self: Tables, program_id: ProgramId, referrer_id: MemberId) -> ReferralSums:
        own = _of_referrer(self._of(program_id), referrer_id)
        paid = [one.referrer_points for one in own if one.state is ReferralState.PAID]
        waiting = sum(one.state in STILL_OPEN for one in own)
        return ReferralSums(len(own), waiting, len(paid), sum(paid))

    def referrals_due(
        self: Tables,
        program_id: ProgramId,
        states: Collection[ReferralState],
        *,
        now: Ms,
        after: MemberId | None,
        limit: int,
    ) -> list[Referral]:
        tables = self._of(program_id)
        due = [
            one
            for one in list(tables.referrals.values())
            if one.state in states
            and one.member_id > (after or "")
            and (one.due_ms <= now or _has_news(tables, one))
        ]
        return sorted(due, key=lambda one: one.member_id)[:limit]

    def move_referral(
        self: Tables, program_id: ProgramId, to: Referral, *, room: Room | None = None
    ) -> Referral | None:
        with self._changes() as undo:
            tables = self._of(program_id)
            stored = tables.referrals.get(to.member_id)
            if stored is None or stored.moves != to.moves:
                return None
            if room is not None and _taken(tables, to.referrer_id, room.since_ms) >= room.most:
                return None
            moved = replace(to, moves=to.moves + 1)
            undo.put(tables.referrals, to.member_id, moved)
            return moved


def erase_referrals(undo: Undo, tables: ProgramTables, member_id: MemberId) -> None:
    """Delete both sides of a member's recommendations: who knows whom is personal."""
    known = [one for one in tables.referrals.values() if member_id in (one.member_id, one.referrer_id)]
    for one in known:
        undo.remove(tables.referrals, one.member_id)


def _of_referrer(tables: ProgramTables, referrer_id: MemberId) -> list[Referral]:
    return [one for one in list(tables.referrals.values()) if one.referrer_id == referrer_id]


def _has_news(tables: ProgramTables, one: Referral) -> bool:
    account = tables.accounts.get(one.member_id)
    return one.state is ReferralState.NOTED and account is not None and account.seq > one.seen_seq


def _taken(tables: ProgramTables, referrer_id: MemberId, since_ms: Ms) -> int:
    paid_for = (ReferralState.PAYING, ReferralState.PAID)
    own = _of_referrer(tables, referrer_id)
    return sum(one.state in paid_for and one.changed_ms >= since_ms for one in own)
