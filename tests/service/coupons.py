"""A desk with coupons: codes made and named as the gateway does it, without any server around it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tallystick.core.command import CouponRef, PlaceHold, Sale, Spend
from tallystick.core.entry import Entry, Posted, Refused
from tallystick.core.ids import MemberId, Ms
from tallystick.service.coupon_ports import CodeState
from tallystick.service.coupons import CodeNow, Coupons
from tallystick.service.submission import Answer
from tallystick.storage.open import Store
from tests.service.desk import ANN, Desk

KEY = b"k" * 32

COUPONS: list[dict[str, Any]] = [
    {"id": "summer", "kind": "money_off", "amount_minor": 500, "code": "SUMMER-25", "total": 3},
    {"id": "always", "kind": "percent_off", "percent": 10, "code": "ALWAYS", "per_member": 0, "show": True},
    {"id": "birthday", "kind": "money_off", "amount_minor": 300, "per_member": 2},
    {"id": "alone", "kind": "money_off", "amount_minor": 200, "code": "ALONE", "combine": "exclusive"},
    {"id": "toy", "kind": "free_item", "category": "toys", "code": "TOY"},
    {"id": "winter", "kind": "money_off", "amount_minor": 100, "code": "WINTER", "from": "2026-12-01"},
]


class CouponDesk(Desk):
    """A desk whose program has coupons."""

    def __init__(self, store: Store, *, coupons: Sequence[dict[str, Any]] = COUPONS, **more: Any) -> None:
        super().__init__(store, coupons=list(coupons), **more)
        self.coupons = Coupons(store, self.book, index_key=lambda: KEY, now_ms=lambda: self.now)

    def refs(self, *codes: str) -> tuple[CouponRef, ...]:
        return self.coupons.refs(self.program_id, codes)

    def codes(
        self, coupon: str = "birthday", count: int = 1, *, of: Sequence[MemberId] = ()
    ) -> list[CodeNow]:
        """Make unique codes of a coupon."""
        return self.coupons.create(
            self.program_id,
            str(uuid.uuid4()),
            coupon_id=coupon,
            count=0 if of else count,
            member_ids=of,
            created_by="test",
        )

    def buys(self, *codes: str, amount: int = 2_000, member: MemberId = ANN, **more: Any) -> Sale:
        return replace(self.sale(amount, member=member, **more), coupons=self.refs(*codes))

    def holds(
        self, *codes: str, amount: int = 2_000, member: MemberId = ANN, ttl_s: int = 900, points: int = 0
    ) -> PlaceHold:
        spend = Spend(points) if points else None
        goods = self.sale(amount).basket
        hold = PlaceHold(self.new_id(), member, self.origin, ttl_s, spend, (), goods)
        return replace(hold, coupons=self.refs(*codes))

    def captures(self, hold: Entry, amount: int = 2_000, *, member: MemberId = ANN) -> Entry:
        goods = self.sale(amount).basket
        return self.posted(self.capture(hold.command_id, goods, member=member))

    def later(self, seconds: int) -> None:
        self.now = Ms(self.now + 1_000 * seconds)

    def state(self, code: CodeNow) -> CodeState:
        """Return what became of a code."""
        found = self.store.read_codes(self.program_id, [code.code.token])
        return found[code.code.token].state_at(self.now)

    def counted(self, coupon: str, member: MemberId = ANN) -> tuple[int, int, int]:
        """Return how often a coupon was used in all, by a member, and how often it is reserved."""
        counts = self.store.read_coupon_counts(self.program_id, [coupon], member, now_ms=self.now)
        return (
            counts.used.get(coupon, 0),
            counts.by_member.get((member, coupon), 0),
            counts.held.get(coupon, 0),
        )


def told(answer: Answer) -> str:
    """Return the kind of entry or the reason of the refusal."""
    decision = answer.decision
    if isinstance(decision, Posted):
        return decision.entry.kind.name
    assert isinstance(decision, Refused)
    return decision.reason.name


def used(entry: Entry) -> list[tuple[str, int]]:
    """Return the coupons of an entry and what they took off."""
    return [(coupon.coupon_id, coupon.discount_minor) for coupon in entry.detail.coupons]
