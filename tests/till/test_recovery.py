"""Facts that go another way than the line, training that leaves no trace, and news that are not believed."""

from __future__ import annotations

import json

import pytest

from tallystick.security.envelope import RECEIPT, RULES, body_holds
from tallystick.security.keys import generate_signing_key
from tallystick.v1 import advice_pb2 as pb
from tallystick.wire.advices import bytes_of
from tallystick_till.db import TillDb
from tallystick_till.engine import Till
from tallystick_till.errors import CannotSell, OutboxNotEmpty, SaleRefused
from tallystick_till.ports import GatewayAway
from tallystick_till.recovery import NoAdvice, export_unsent, read_lines, recover, require_drained
from tallystick_till.training import training_till
from tallystick_till.types import NotIdentified
from tests.till.premises import ANNA, PROGRAM
from tests.till.world import World, basket


def test_nothing_is_reset_while_facts_wait(world: World) -> None:
    require_drained(world.till.db, "reset it")
    world.meet()
    world.till.sale(world.ask())
    with pytest.raises(OutboxNotEmpty, match="before you reset it") as refused:
        require_drained(world.till.db, "reset it")
    assert refused.value.details == {"queued": "1"}
    world.line_up()
    world.push_all()
    require_drained(world.till.db, "reset it")


def test_a_request_without_an_answer_also_forbids_a_reset(world: World) -> None:
    world.line_up()
    world.meet()
    world.gateway.lost = True
    with pytest.raises(SaleRefused):
        world.till.sale(world.ask(50_000, burn=1000))
    with pytest.raises(OutboxNotEmpty):
        require_drained(world.till.db, "reset it")


def test_an_export_holds_all_that_waits_each_with_a_signature_of_its_own(world: World) -> None:
    world.meet()
    for _ in range(3):
        world.till.sale(world.ask())
    advices = read_lines(export_unsent(world.till.db, world.till_key))
    keys = {"till-1": world.till_key.verify_key}
    assert len(advices) == 3
    for signed in advices:
        assert body_holds(keys, RECEIPT, signed.advice, key_id="till-1", signature=signed.signature)


def test_a_dead_tills_sales_are_recovered_from_its_receipts(world: World) -> None:
    world.meet()
    receipts = [world.till.sale(world.ask()).receipt.qr for _ in range(2)]
    world.gateway.away = False
    lines = [
        receipts[0],
        "",
        *export_unsent(world.till.db, world.till_key),
        f"{receipts[1][:50]} {receipts[1][50:]}",
    ]
    verdicts = recover(world.gateway, read_lines(lines))
    assert [verdict.kind for verdict in verdicts] == [pb.VERDICT_KIND_POSTED] * 4
    assert len({signed.advice for signed in world.gateway.recovered}) == 2


def test_more_than_the_gateway_takes_at_once_goes_in_pieces(world: World) -> None:
    world.meet()
    world.till.sale(world.ask(basket=basket(50_000, lines=100)))
    one = read_lines(export_unsent(world.till.db, world.till_key))
    world.gateway.away = False
    assert len(recover(world.gateway, one * 250)) == 250
    assert world.gateway.asked.count("recover") >= 3
    world.gateway.away = True
    with pytest.raises(GatewayAway):
        recover(world.gateway, one)
    assert recover(world.gateway, []) == []


@pytest.mark.parametrize(
    "line", ["hello", "{}", '{"advice": "AA==", "signature": "AA=="}', "1" * 100, "{" * 50, "9" * 9_000]
)
def test_a_line_that_is_no_advice_is_named(line: str) -> None:
    with pytest.raises(NoAdvice) as refused:
        read_lines(["", line])
    assert refused.value.details == {"line_no": "2"}


def training(world: World) -> Till:
    till = training_till(world.till, world.hub)
    till.identify("9900000000000010", source="camera")
    return till


def test_nothing_that_is_done_in_training_leaves_it(world: World) -> None:
    world.hub.leases[ANNA] = 300
    world.line_up()
    world.gateway.asked.clear()
    till = training(world)
    done = till.sale(world.ask(burn=300))
    assert done.authority[0].kind == "lease"
    till.undo(done.sale_id)
    till.enrol("0709998877")
    assert till.next_batch() is None
    assert (till.status().mode, till.status().queued) == ("training", 3)
    assert world.gateway.asked == []
    assert world.hub.leases == {ANNA: 300}
    assert world.till.status().queued == 0
    assert world.till.recent(5) == []
    assert world.points() == 1300


def test_training_knows_what_the_till_knows(world: World) -> None:
    world.meet()
    world.till.sale(world.ask())
    till = training(world)
    assert till.sale(world.ask()).balance_points == 1100
    assert till.recent(5)[0].earned_points == 50
    assert len(till.recent(5)) == 1


def test_a_receipt_of_training_is_no_receipt(world: World) -> None:
    done = training(world).sale(world.ask())
    assert done.receipt.lines[0] == "TRAINING - NOT A RECEIPT"
    assert world.till.identify(done.receipt.qr) == NotIdentified("BAD_SIGNATURE")


def test_a_till_without_rules_sells_nothing_and_says_so(world: World) -> None:
    world.till.db.close()
    world.path.unlink()
    world.start()
    assert world.till.status().sell.reason == "NO_RULES"
    with pytest.raises(CannotSell) as refused:
        world.till.sale(world.ask())
    assert refused.value.reason == "NO_RULES"


def grant(world: World, **changes: object) -> pb.RuleSetGrant:
    fields: dict[str, object] = {
        "program_id": PROGRAM,
        "version": 2,
        "canonical": world.canonical,
        "current": True,
        "valid_until_ms": world.valid_until_ms,
    }
    return pb.RuleSetGrant(**{**fields, **changes})  # type: ignore[arg-type]


def test_rules_that_do_not_hold_are_left_out_and_the_old_ones_stay(world: World) -> None:
    for signed in (
        world.signed(RULES, bytes_of(grant(world)), generate_signing_key()),
        world.signed("tallystick.lease.v1", bytes_of(grant(world))),
        world.signed(RULES, bytes_of(grant(world, program_id="other"))),
        world.signed(RULES, bytes_of(grant(world, canonical='{"format": "tallystick/9"}'))),
        world.signed(RULES, bytes_of(grant(world, canonical="no json"))),
        world.signed(RULES, b"\xff\xff\xff"),
    ):
        news = world.news()
        del news.rule_sets[:]
        news.rule_sets.append(signed)
        assert len(world.till.take_store_news(news)) == 1
        assert world.till.status().rules.version == 1


def test_new_rules_count_at_once_and_after_a_restart(world: World) -> None:
    document = {**json.loads(world.canonical)}
    document["earning"]["rules"][0]["points"] = 2
    news = world.news()
    del news.rule_sets[:]
    news.rule_sets.append(world.signed(RULES, bytes_of(grant(world, canonical=json.dumps(document)))))
    world.till.take_store_news(news)
    world.meet()
    assert world.till.sale(world.ask()).earned_points == 100
    world.restart()
    assert world.till.status().rules.version == 2
    assert world.till.rulebook.version(1) is not None


def test_rules_of_this_file_outlive_a_copy_in_memory(world: World) -> None:
    copy = TillDb.in_memory()
    world.till.db.copy_table_to(copy, "rules")
    assert copy.number("SELECT count(*) FROM rules") == 1
