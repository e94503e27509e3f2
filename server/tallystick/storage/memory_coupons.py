"""Coupons in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.coupon_ports import (
    COUPON_BATCHES_MAX,
    NOBODY,
    CodeState,
    CouponBatch,
    CouponChanges,
    CouponCode,
    CouponCounts,
    Reservation,
)
from tallystick.service.errors import AlreadyExists, StoreConflict
from tallystick.storage.memory_tables import ProgramTables, Undo


class MemoryCouponReads:
    """The part of a transaction that is about coupons; the store's one lock is every code's and coupon's lock."""

    _tables: ProgramTables
    _undo: Undo

    def codes(self, tokens: Iterable[str]) -> dict[str, CouponCode]:
        """Return unique codes by token."""
        codes = self._tables.coupon_codes
        return {token: codes[token] for token in sorted(set(tokens)) if token in codes}

    def lock_codes(self, tokens: Iterable[str]) -> dict[str, CouponCode]:
        """Return unique codes by token."""
        return self.codes(tokens)

    def coupon_counts(
        self, coupon_ids: Iterable[str], members: Iterable[MemberId], *, now_ms: Ms
    ) -> CouponCounts:
        """Return what is counted of coupons."""
        tables, wanted, of = self._tables, set(coupon_ids), set(members)
        live = [
            one for one in tables.coupon_holds.values() if one.coupon_id in wanted and one.until_ms > now_ms
        ]
        return CouponCounts(
            used={key: used for key, used in tables.coupons_used.items() if key in wanted},
            held=dict(Counter(one.coupon_id for one in live)),
            by_member={
                key: used
                for key, used in tables.coupons_by_member.items()
                if key[0] in of and key[1] in wanted
            },
            reservations=[one for one in live if one.member_id in of],
        )

    def lock_coupons(
        self, coupon_ids: Iterable[str], members: Iterable[MemberId], *, now_ms: Ms
    ) -> CouponCounts:
        """Drop reservations whose time is over, and return what is counted of coupons."""
        wanted, holds = set(coupon_ids), self._tables.coupon_holds
        for coupon_id in wanted - self._tables.coupons_used.keys():
            self._undo.put(self._tables.coupons_used, coupon_id, 0)
        lapsed = [k for k, one in holds.items() if one.coupon_id in wanted and one.until_ms <= now_ms]
        for key in lapsed:
            self._undo.remove(holds, key)
        return self.coupon_counts(wanted, members, now_ms=now_ms)

    def write_coupons(self, changes: CouponChanges) -> None:
        """Write what has changed. Raises ``StoreConflict`` when a row is not there that was locked."""
        tables, undo = self._tables, self._undo
        for code in changes.codes:
            if code.token not in tables.coupon_codes:
                raise StoreConflict("A coupon is not as it was locked.")
            undo.put(tables.coupon_codes, code.token, code)
        for coupon_id, used in changes.used:
            assert used >= 0, "a coupon used less than never"
            undo.put(tables.coupons_used, coupon_id, used)
        for member_id, coupon_id, used in changes.by_member:
            assert used >= 0, "a coupon used less than never"
            undo.put(tables.coupons_by_member, (member_id, coupon_id), used)
        for one in changes.reserved:
            undo.put(tables.coupon_holds, _key(one), one)
        for one in changes.dropped:
            undo.remove(tables.coupon_holds, _key(one))


class Tables(Protocol):
    """What coupons need of the store that they are part of."""

    def _of(self, program_id: ProgramId) -> ProgramTables: ...

    def _changes(self) -> AbstractContextManager[Undo]: ...


class MemoryCoupons:
    """Batches of unique codes; ``service.coupon_ports`` says what each call means."""

    def add_coupon_batch(
        self: Tables, program_id: ProgramId, batch: CouponBatch, codes: Sequence[CouponCode]
    ) -> CouponBatch | None:
        with self._changes() as undo:
            tables = self._of(program_id)
            stored = tables.coupon_batches.get(batch.batch_id)
            if stored is not None:
                return stored
            if len(tables.coupon_batches) >= COUPON_BATCHES_MAX:
                return None
            if any(code.token in tables.coupon_codes for code in codes):
                raise AlreadyExists("A code of the batch is taken.", mend="Make a new batch_id for it.")
            undo.put(tables.coupon_batches, batch.batch_id, batch)
            for code in codes:
                undo.put(tables.coupon_codes, code.token, code)
            return batch

    def coupon_batch(self: Tables, program_id: ProgramId, batch_id: str) -> CouponBatch | None:
        return self._of(program_id).coupon_batches.get(batch_id)

    def batch_codes(
        self: Tables, program_id: ProgramId, batch_id: str, *, after: int, limit: int
    ) -> list[CouponCode]:
        codes = list(self._of(program_id).coupon_codes.values())
        own = [code for code in codes if code.batch_id == batch_id and code.position > after]
        return sorted(own, key=lambda code: code.position)[:limit]

    def member_codes(
        self: Tables, program_id: ProgramId, member_id: MemberId, *, after: tuple[Ms, str], limit: int
    ) -> list[CouponCode]:
        codes = list(self._of(program_id).coupon_codes.values())
        own = [
            code for code in codes if code.member_id == member_id and (code.created_ms, code.token) > after
        ]
        return sorted(own, key=lambda code: (code.created_ms, code.token))[:limit]

    def revoke_codes(self: Tables, program_id: ProgramId, batch_id: str, *, now_ms: Ms) -> int:
        with self._changes() as undo:
            codes = self._of(program_id).coupon_codes
            own = [code for code in codes.values() if code.batch_id == batch_id and not code.revoked]
            for code in own:
                undo.put(codes, code.token, replace(code, revoked=True))
            return sum(code.state_at(now_ms) is CodeState.OPEN for code in own)


def unlink_codes(undo: Undo, tables: ProgramTables, member_id: MemberId) -> None:
    """Make the codes of an erased member nobody's."""
    for token, code in list(tables.coupon_codes.items()):
        if code.member_id == member_id:
            undo.put(tables.coupon_codes, token, replace(code, member_id=NOBODY))


def _key(one: Reservation) -> tuple[str, str, str, str]:
    return one.member_id, one.hold_id, one.coupon_id, one.token
