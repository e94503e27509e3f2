"""Segments while the shop is open: sales go on being made while the night's round reads the ledger."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.service import segments as segments_module
from tallystick.service.segments import Segments
from tallystick.storage.memory import MemoryStore
from tests.core.world import at, line
from tests.service.coupons import CouponDesk
from tests.service.desk import ANN, BEN

BACK = {"id": "back", "kind": "money_off", "amount_minor": 500, "code": "BACK-5"}
RULES: dict[str, Any] = {
    "segments": [{"id": "buyers", "rfm": {"r_min": 1}}],
    "offers": [{"id": "thanks", "name": "Thanks", "segment": "buyers", "coupon": "back", "days": 14}],
}


@pytest.fixture
def desk() -> CouponDesk:
    return CouponDesk(MemoryStore(), coupons=[BACK], **RULES)


@pytest.fixture
def segments(desk: CouponDesk) -> Segments:
    return Segments(desk.store, desk.book, now_ms=lambda: desk.now)


def ann_buys_after_the_ranking(desk: CouponDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = segments_module._ranks

    def then_ann_buys(*arguments: Any) -> Any:
        found = ranks(*arguments)
        desk.posted(desk.sale(line(1_000), member=ANN))
        return found

    monkeypatch.setattr(segments_module, "_ranks", then_ann_buys)


def test_who_buys_while_the_night_reads_stays_in_the_segment_and_keeps_the_offer(
    desk: CouponDesk, segments: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day, member in (("2026-03-16", ANN), ("2026-03-17", BEN)):
        desk.now = at(f"{day}T12:00")
        desk.posted(desk.sale(line(1_000), member=member))
    assert [one.members for one in segments.refresh(desk.program_id)] == [2]
    offered = desk.coupons.coupons_of(desk.program_id, ANN)
    assert offered
    ann_buys_after_the_ranking(desk, monkeypatch)
    desk.now = at("2026-03-18T00:05")
    assert [one.members for one in segments.refresh(desk.program_id)] == [2]
    assert desk.coupons.coupons_of(desk.program_id, ANN) == offered


def test_the_first_sale_of_all_may_be_made_while_the_night_reads(
    desk: CouponDesk, segments: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann_buys_after_the_ranking(desk, monkeypatch)
    assert [one.members for one in segments.refresh(desk.program_id)] == [1]
