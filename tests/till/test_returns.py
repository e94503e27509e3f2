"""Goods that come back: by the sale's own shares, never more than was sold, and reported as facts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.core.command import ReturnLine
from tallystick.v1 import ledger_pb2, types_pb2
from tallystick_till.db import TillDb
from tallystick_till.engine import Till
from tallystick_till.errors import SaleRefused
from tallystick_till.ports import Identity
from tallystick_till.types import ReceiptScan, ReturnAsk, SaleDone
from tests.till.premises import ANNA
from tests.till.world import World, basket

RETURN_ID = "01900000-0000-7000-8000-00000000bbbb"
ELSEWHERE = "01900000-0000-7000-8000-00000000cccc"


def one(line_no: int = 1, quantity: int = 1000) -> tuple[ReturnLine, ...]:
    return (ReturnLine(line_no, quantity),)


def sold(world: World, **more: object) -> SaleDone:
    world.meet()
    return world.till.sale(world.ask(**more))  # type: ignore[arg-type]


def reason_of(world: World, ask: ReturnAsk) -> str:
    with pytest.raises(SaleRefused) as refused:
        world.till.give_back(ask)
    return refused.value.reason


def second_till(world: World, directory: Path) -> Till:
    till = Till(
        identity=Identity("till-2", "corner", "store-1", "Till 2", "gateway:443", "https://gateway"),
        key=world.other_key,
        db=TillDb.open(directory / "till-2.db"),
        snapshot=world.snapshot,
        hub=world.hub,
        gateway=world.gateway,
        clock=world.clock,
        new_id=world.new_id,
    )
    till.take_store_news(world.news())
    till.take_anchor(world.anchor(world.now_ms(), till_id="till-2"))
    till.gateway_answered()
    till.gateway_away()
    return till


def test_half_of_the_goods_brings_back_half_of_everything(world: World) -> None:
    done = sold(world, burn=400)
    back = world.till.give_back(ReturnAsk(one(), sale_id=done.sale_id))
    assert (back.refund_minor, back.taken_points, back.restored_points) == (2300, 23, 200)
    assert back.balance_points == 1000 - 400 + 46 - 23 + 200
    assert (back.exact, back.state) == (True, "queued")


def test_a_preview_is_what_the_return_then_does_and_keeps_nothing(world: World) -> None:
    done = sold(world, burn=400)
    preview = world.till.preview_return(ReturnAsk(one(), sale_id=done.sale_id))
    assert world.till.status().queued == 1
    back = world.till.give_back(ReturnAsk(one(), sale_id=done.sale_id))
    assert (preview.refund_minor, preview.taken_points, preview.restored_points, preview.balance_points) == (
        back.refund_minor,
        back.taken_points,
        back.restored_points,
        back.balance_points,
    )


def test_partial_returns_sum_to_the_whole(world: World) -> None:
    done = sold(world, minor=999, burn=300)
    parts = [world.till.give_back(ReturnAsk(one(1, 667), sale_id=done.sale_id)) for _ in range(2)]
    parts.append(world.till.give_back(ReturnAsk(one(1, 666), sale_id=done.sale_id)))
    assert sum(part.refund_minor for part in parts) == done.payable_minor
    assert sum(part.restored_points for part in parts) == 300
    assert sum(part.taken_points for part in parts) == done.earned_points
    assert world.points() == 1000


def test_no_more_comes_back_than_was_sold(world: World) -> None:
    done = sold(world)
    world.till.give_back(ReturnAsk(one(1, 1500), sale_id=done.sale_id))
    assert reason_of(world, ReturnAsk(one(1, 501), sale_id=done.sale_id)) == "OVER_RETURN"
    assert reason_of(world, ReturnAsk(one(2), sale_id=done.sale_id)) == "LINE_UNKNOWN"
    assert world.till.recent(1)[0].lines[0].returned_milli == 1500


def test_a_resend_of_a_return_gets_the_same_answer_also_after_a_restart(world: World) -> None:
    done = sold(world)
    first = world.till.give_back(ReturnAsk(one(), sale_id=done.sale_id, return_id=RETURN_ID))
    world.restart()
    assert world.till.give_back(ReturnAsk(one(), sale_id=done.sale_id, return_id=RETURN_ID)) == first
    assert world.till.status().queued == 2
    assert (
        reason_of(world, ReturnAsk(one(1, 1), sale_id=done.sale_id, return_id=RETURN_ID))
        == "RETURN_ID_REUSED"
    )
    assert (
        reason_of(world, ReturnAsk(one(), sale_id=done.sale_id, return_id=done.sale_id)) == "RETURN_ID_REUSED"
    )


def test_a_return_is_a_fact_of_the_chain(world: World) -> None:
    done = sold(world)
    world.till.give_back(ReturnAsk(one(), sale_id=done.sale_id, reference="R-2"))
    world.line_up()
    world.push_all()
    fact = world.gateway.heard[-1]
    assert (fact.reference, fact.goods_return.sale_id.hex()) == ("R-2", done.sale_id.replace("-", ""))
    assert [(line.line_no, line.quantity_milli) for line in fact.goods_return.lines] == [(1, 1000)]
    assert fact.goods_return.refund_minor == 2500


def test_points_spent_meanwhile_are_owed(world: World) -> None:
    earn = sold(world, minor=80_000)
    world.till.sale(world.ask(50_000, burn=500))
    world.hub.leases[ANNA] = 0
    world.snapshot.members[ANNA] = world.snapshot.members[ANNA].__class__(ANNA, 10, 0, "", 0)
    shown = world.points()
    preview = world.till.preview_return(ReturnAsk(one(1, 2000), sale_id=earn.sale_id))
    assert (preview.taken_points, preview.debt_points, preview.balance_points) == (800, 800 - shown, 0)


def test_a_sale_rung_up_by_mistake_is_undone_whole(world: World) -> None:
    done = sold(world, burn=400)
    undone = world.till.undo(done.sale_id)
    assert (undone.returned_points, undone.taken_points, undone.balance_points) == (400, 46, 1000)
    assert world.till.recent(1)[0].undone
    world.line_up()
    world.push_all()
    assert world.gateway.heard[-1].undo.sale_id.hex() == done.sale_id.replace("-", "")


def test_an_undo_is_not_done_twice(world: World) -> None:
    done = sold(world)
    first = world.till.undo(done.sale_id, RETURN_ID)
    assert world.till.undo(done.sale_id, RETURN_ID) == first
    with pytest.raises(SaleRefused) as refused:
        world.till.undo(done.sale_id)
    assert refused.value.reason == "ALREADY_REVERSED"
    assert reason_of(world, ReturnAsk(one(), sale_id=done.sale_id)) == "ALREADY_REVERSED"
    assert world.till.status().queued == 2


def test_an_undo_after_a_return_undoes_the_rest(world: World) -> None:
    done = sold(world, burn=400)
    world.till.give_back(ReturnAsk(one(), sale_id=done.sale_id))
    undone = world.till.undo(done.sale_id)
    assert (undone.returned_points, undone.taken_points, undone.balance_points) == (200, 23, 1000)


def test_a_sale_that_came_back_whole_is_not_undone_as_well(world: World) -> None:
    done = sold(world, burn=400)
    world.till.give_back(ReturnAsk(one(1, 2000), sale_id=done.sale_id))
    queued = len(world.till.queue(10))
    with pytest.raises(SaleRefused) as refused:
        world.till.undo(done.sale_id)
    assert refused.value.reason == "OVER_RETURN"
    assert len(world.till.queue(10)) == queued


def test_a_sale_of_another_till_is_not_undone_here(world: World) -> None:
    with pytest.raises(SaleRefused) as refused:
        world.till.undo(ELSEWHERE)
    assert refused.value.reason == "SALE_UNKNOWN"


def test_goods_of_another_till_come_back_by_the_receipts_code(world: World, tmp_path: Path) -> None:
    done = sold(world, burn=400)
    other = second_till(world, tmp_path)
    scan = other.identify(done.receipt.qr)
    assert isinstance(scan, ReceiptScan)
    assert (scan.sale.sale_id, scan.sale.burned_points, scan.sale.earned_points) == (done.sale_id, 400, 46)
    preview = other.preview_return(ReturnAsk(one(), receipt=done.receipt.qr))
    assert (preview.refund_minor, preview.taken_points, preview.restored_points) == (2300, 23, 200)
    assert not preview.exact
    back = other.give_back(ReturnAsk(one(), sale_id=done.sale_id))
    assert back.refund_minor == 2300
    with pytest.raises(SaleRefused) as refused:
        other.give_back(ReturnAsk(one(1, 1001), receipt=done.receipt.qr))
    assert refused.value.reason == "OVER_RETURN"
    assert other.recent(10) == []
    other.db.close()
    other = second_till(world, tmp_path)
    assert other.preview_return(ReturnAsk(one(), sale_id=done.sale_id)).refund_minor == 2300


def test_goods_of_an_unknown_sale_need_the_receipt_while_the_gateway_is_away(world: World) -> None:
    assert reason_of(world, ReturnAsk(one(), sale_id=ELSEWHERE)) == "SALE_UNKNOWN"
    assert reason_of(world, ReturnAsk(one(), sale_id=ELSEWHERE, member_ref=ANNA)) == "SALE_UNKNOWN"
    assert reason_of(world, ReturnAsk(one(), receipt="1" * 80)) == "RECEIPT_FORMAT"
    assert world.till.status().queued == 0


def test_goods_of_an_unknown_sale_come_back_as_the_gateway_says(world: World) -> None:
    world.line_up()
    world.gateway.previews[ELSEWHERE] = ledger_pb2.PreviewReturnResponse(
        previewed=ledger_pb2.ReturnPreview(
            returned=ledger_pb2.ReturnEffects(
                due_points=10,
                refund_minor=1000,
                lines=[ledger_pb2.ReturnedLine(line_no=1, quantity_milli=1000, amount_minor=1000)],
            ),
            balance_before=types_pb2.Balance(active=1000),
            balance_after=types_pb2.Balance(active=990),
        )
    )
    back = world.till.give_back(ReturnAsk(one(), sale_id=ELSEWHERE, member_ref=ANNA))
    assert (back.refund_minor, back.taken_points, back.exact) == (1000, 10, True)
    world.line_down()
    assert world.points() == 990


@pytest.mark.parametrize(
    "lines", [(), (ReturnLine(1, 0),), (ReturnLine(1, -5),), (ReturnLine(1, 5), ReturnLine(1, 5))]
)
def test_a_return_of_nothing_is_none(world: World, lines: tuple[ReturnLine, ...]) -> None:
    done = sold(world)
    assert reason_of(world, ReturnAsk(lines, sale_id=done.sale_id)) in {
        "BASKET_EMPTY",
        "BASKET_INVALID",
        "INVALID_INPUT",
    }


def test_a_sale_that_the_gateway_posted_comes_back_like_any_other(world: World) -> None:
    world.line_up()
    world.meet()
    done = world.till.sale(world.ask(burn=900))
    world.line_down()
    back = world.till.give_back(ReturnAsk(one(1, 2000), sale_id=done.sale_id))
    assert (back.refund_minor, back.restored_points, back.taken_points) == (4100, 900, 41)


def test_pending_points_are_taken_back_without_touching_the_balance(tmp_path: Path) -> None:
    earning = {
        "rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}],
        "pending_days": 14,
    }
    world = World(tmp_path, earning=earning)
    done = sold(world)
    back = world.till.give_back(ReturnAsk(one(1, 2000), sale_id=done.sale_id))
    assert (back.taken_points, back.debt_points, back.balance_points) == (50, 0, 1000)


def test_a_basket_of_several_lines_comes_back_line_by_line(world: World) -> None:
    done = sold(world, basket=basket(9000, lines=3))
    back = world.till.give_back(ReturnAsk((ReturnLine(1, 2000), ReturnLine(3, 1000)), sale_id=done.sale_id))
    assert back.refund_minor == 3000 + 1500
    view = world.till.sale_view(done.sale_id)
    assert view is not None
    assert [line.returned_milli for line in view.lines] == [2000, 0, 1000]
