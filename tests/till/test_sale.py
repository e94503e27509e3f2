"""Selling: what is promised is on the disk, asked for where it can be, and decided once."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.core.basket import Basket, Line
from tallystick.core.command import Spend
from tallystick_till.errors import SaleRefused
from tallystick_till.ports import Known
from tests.till.premises import ANNA, ANNA_CARD, BOB, BOB_PHONE, START_MS
from tests.till.world import World, basket

SALE_ID = "01900000-0000-7000-8000-00000000aaaa"


def advices_on_disk(world: World) -> int:
    """Count with a connection of its own: it sees only what has been committed."""
    connection = sqlite3.connect(world.path)
    try:
        return int(connection.execute("SELECT count(*) FROM advice").fetchone()[0])
    finally:
        connection.close()


def test_a_sale_is_in_the_outbox_before_its_answer_is_given(world: World) -> None:
    world.meet()
    seen: list[int] = []
    world.till.on_change = lambda: seen.append(advices_on_disk(world))
    world.till.sale(world.ask())
    assert seen == [1]


def test_the_outbox_syncs_every_commit_to_the_disk(world: World) -> None:
    assert world.till.db.number("PRAGMA synchronous") == 2
    assert world.till.db.one("PRAGMA journal_mode") == ("wal",)


def test_sale_fact_and_advice_are_written_together_or_not_at_all(world: World) -> None:
    world.meet()
    with world.till.db.write() as tx:
        tx.execute("CREATE TRIGGER no_sale BEFORE INSERT ON sale BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError):
        world.till.sale(world.ask())
    assert advices_on_disk(world) == 0
    assert world.till.db.number("SELECT count(*) FROM fact") == 0
    assert world.till.db.number("SELECT seq FROM chain") == 0


def test_a_resend_gets_the_same_answer_and_makes_no_second_sale(world: World) -> None:
    world.meet()
    first = world.till.sale(world.ask(burn=300, sale_id=SALE_ID))
    assert world.till.sale(world.ask(burn=300, sale_id=SALE_ID)) == first
    assert advices_on_disk(world) == 1


def test_a_resend_after_a_restart_gets_the_same_answer(world: World) -> None:
    world.meet()
    first = world.till.sale(world.ask(burn=300, sale_id=SALE_ID, reference="R-17"))
    world.restart()
    assert world.till.sale(world.ask(burn=300, sale_id=SALE_ID, reference="R-17")) == first
    assert world.till.sale_done(SALE_ID) == first
    assert advices_on_disk(world) == 1


def test_another_sale_with_the_same_id_is_refused(world: World) -> None:
    world.meet()
    world.till.sale(world.ask(sale_id=SALE_ID))
    with pytest.raises(SaleRefused, match="mint a new one") as refused:
        world.till.sale(world.ask(7000, sale_id=SALE_ID))
    assert refused.value.reason == "SALE_ID_REUSED"


def test_a_sale_that_only_earns_does_not_wait_for_the_gateway(world: World) -> None:
    world.line_up()
    world.meet()
    world.gateway.asked.clear()
    done = world.till.sale(world.ask())
    assert (done.earned_points, done.burned_points, done.stand_in) == (50, 0, False)
    assert world.gateway.asked == []
    assert advices_on_disk(world) == 1


@pytest.fixture
def campaign(tmp_path: Path) -> World:
    """A store whose rules double the points of a campaign with a budget."""
    base = {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}
    twice = {"id": "twice", "kind": "multiply", "by": 2, "budget": {"points": 1_000, "per": "ever"}}
    return World(tmp_path, earning={"rules": [base, twice]})


def test_a_campaign_with_a_budget_asks_the_gateway_although_nothing_is_burned(campaign: World) -> None:
    campaign.meet()
    assert campaign.till.quote(campaign.ask()).earned_points == 50, "nobody counts the budget"
    campaign.line_up()
    quote = campaign.till.quote(campaign.ask())
    done = campaign.till.sale(campaign.ask())
    assert (quote.earned_points, quote.stand_in) == (done.earned_points, done.stand_in) == (100, False)
    assert (advices_on_disk(campaign), campaign.till.recent(1)[0].state) == (0, "posted")


@pytest.mark.parametrize("refuses", ["RATE_LIMITED", ""])
def test_goods_are_sold_though_the_gateway_refuses_the_campaign(campaign: World, refuses: str) -> None:
    campaign.line_up()
    campaign.meet()
    campaign.gateway.refuses = refuses
    # The till has not heard of the newest rules yet.
    campaign.gateway.rules = replace(campaign.gateway.rules, currency="SEK")
    done = campaign.till.sale(campaign.ask(sale_id=SALE_ID))
    assert (done.sale_id, done.earned_points, done.stand_in) == (SALE_ID, 50, False)
    assert advices_on_disk(campaign) == 1
    assert campaign.till.sale(campaign.ask(sale_id=SALE_ID)) == done


def test_a_burn_is_decided_by_the_gateway_while_it_is_there(world: World) -> None:
    world.line_up()
    world.meet()
    done = world.till.sale(world.ask(9000, burn=900))
    assert [(part.kind, part.points) for part in done.authority] == [("server", 900)]
    assert (done.balance_points, done.stand_in, done.receipt.qr) == (1000 - 900 + 81, False, "")
    assert advices_on_disk(world) == 0
    assert world.till.recent(1)[0].state == "posted"


def test_a_burn_that_the_gateway_refuses_leaves_nothing_behind(world: World) -> None:
    world.line_up()
    world.meet()
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(50_000, burn=1500, sale_id=SALE_ID))
    assert refused.value.reason == "INSUFFICIENT_POINTS"
    assert refused.value.details["available"] == "1000"
    assert world.till.db.number("SELECT count(*) FROM sale") == 0
    assert world.points() == 1000


def test_the_request_is_on_the_disk_before_it_is_sent(world: World) -> None:
    world.line_up()
    world.meet()
    world.gateway.lost = True
    stored: list[tuple[str, str]] = []
    decide = world.gateway.post_sale

    def look_first(request):  # type: ignore[no-untyped-def]
        connection = sqlite3.connect(world.path)
        stored.extend(connection.execute("SELECT sale_id, status FROM sale").fetchall())
        connection.close()
        return decide(request)

    world.gateway.post_sale = look_first  # type: ignore[method-assign]
    world.till.sale(world.ask(burn=300, sale_id=SALE_ID))
    assert stored == [(SALE_ID, "asking")]


def test_a_burn_without_an_answer_is_stood_in_for_with_the_same_id(world: World) -> None:
    world.line_up()
    world.meet()
    world.gateway.lost = True
    done = world.till.sale(world.ask(burn=300, sale_id=SALE_ID))
    assert (done.sale_id, done.stand_in, done.burned_points) == (SALE_ID, True, 300)
    world.gateway.lost = False
    world.push_all()
    assert [str(advice.advice_id.hex()) for advice in world.gateway.heard] == [SALE_ID.replace("-", "")]
    assert world.till.status().link == "offline"


def test_as_many_as_possible_without_an_answer_takes_the_same_points_as_were_asked_for(world: World) -> None:
    world.snapshot.put(Known(ANNA, 10, 400, "", 0))
    world.gateway.balances[ANNA] = 400
    world.line_up()
    world.meet()
    world.gateway.lost = True
    done = world.till.sale(world.ask(50_000, burn=5000, up_to=True, sale_id=SALE_ID))
    posted = world.gateway.sales[SALE_ID].posted.benefits
    assert (done.burned_points, posted.burned_points) == (400, 400)


def test_as_many_as_possible_without_an_answer_never_turns_into_fewer_than_the_gateway_may_have_taken(
    world: World,
) -> None:
    world.line_up()
    world.meet()
    world.gateway.lost = True
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(50_000, burn=5000, up_to=True, sale_id=SALE_ID))
    assert refused.value.reason == "ABOVE_FLOOR"
    assert world.till.status().queued == 0


def test_a_request_that_got_no_answer_and_became_no_sale_is_undone(world: World) -> None:
    world.line_up()
    world.meet()
    world.gateway.lost = True
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(50_000, burn=1000, sale_id=SALE_ID))
    assert refused.value.reason == "ABOVE_FLOOR"
    assert world.gateway.balances[ANNA] == 1000 - 1000 + 490
    world.gateway.lost = False
    world.line_up()
    assert world.till.settle_unfinished() == 0, "the cashier may still try again"
    world.clock.go(300)
    assert world.till.settle_unfinished() == 1
    world.push_all()
    undone = world.gateway.heard[-1]
    assert undone.undo.sale_id.hex() == SALE_ID.replace("-", "")
    world.line_down()
    assert world.points() == 1000 - 1000 + 490 + 1000 - 490
    with pytest.raises(SaleRefused, match="given up"):
        world.till.sale(world.ask(50_000, burn=1000, sale_id=SALE_ID))


def test_a_request_that_never_arrived_and_became_no_sale_ends_as_nothing(world: World) -> None:
    world.meet(BOB_PHONE)
    world.till.gateway_answered()
    with pytest.raises(SaleRefused):
        world.till.sale(world.ask(member_ref=BOB, burn=300, sale_id=SALE_ID))
    world.line_up()
    world.clock.go(300)
    assert world.till.settle_unfinished() == 1
    assert world.till.next_batch() is not None
    assert world.push_all() == 1
    assert world.gateway.heard == []


def test_the_receipt_says_what_was_promised_and_carries_the_signed_sale(world: World) -> None:
    world.meet()
    done = world.till.sale(world.ask(burn=500))
    assert done.receipt.lines == (
        "Points used                  500",
        "Taken off               5.00 EUR",
        "Points earned                 45",
        "Points now                   545",
    )
    assert done.receipt.qr.isdigit()
    assert world.till.receipt(done.sale_id) == done.receipt


def test_a_sale_too_long_for_a_code_prints_its_id_instead(world: World) -> None:
    world.meet()
    ask = world.ask(basket=basket(50_000, lines=100))
    done = world.till.sale(ask)
    assert done.receipt.qr == ""
    assert done.receipt.lines[-1] == done.sale_id


def test_a_reward_is_bought_without_the_gateway(world: World) -> None:
    world.meet()
    done = world.till.sale(world.ask(reward_ids=("free-coffee",)))
    assert (done.burned_points, done.discount_minor, done.payable_minor) == (50, 2500, 2500)


def test_a_quote_promises_exactly_what_the_sale_gives(world: World) -> None:
    world.meet()
    quote = world.till.quote(world.ask(burn=500))
    done = world.till.sale(world.ask(burn=500))
    assert (quote.earned_points, quote.burned_points, quote.payable_minor) == (
        done.earned_points,
        done.burned_points,
        done.payable_minor,
    )
    assert world.till.status().queued == 1


def test_a_quote_without_a_burn_is_no_stand_in_while_the_line_is_up(world: World) -> None:
    world.meet()
    assert world.till.quote(world.ask()).stand_in
    world.till.gateway_answered()
    assert not world.till.quote(world.ask()).stand_in


def test_a_quote_that_cannot_be_burned_still_says_what_would_be_earned(world: World) -> None:
    world.meet()
    quote = world.till.quote(world.ask(50_000, burn=900))
    assert quote.refusal is not None
    assert (quote.refusal.reason, quote.refusal.details["points"]) == ("ABOVE_FLOOR", "900")
    assert (quote.earned_points, quote.burned_points) == (500, 0)


def test_as_many_points_as_possible_are_as_many_as_the_till_may(world: World) -> None:
    world.meet()
    assert world.till.sale(world.ask(50_000, burn=5000, up_to=True)).burned_points == 500


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"basket": Basket("SEK", basket(100).lines)}, "CURRENCY_MISMATCH"),
        ({"basket": Basket("EUR", ())}, "BASKET_EMPTY"),
        ({"reference": "R\x1b[31m"}, "INVALID_INPUT"),
        ({"reference": "R" * 65}, "INVALID_INPUT"),
        ({"spend": Spend(-5)}, "AMOUNT_OVERFLOW"),
        ({"reward_ids": ("free-coffee", "free-coffee")}, "INVALID_INPUT"),
        ({"reward_ids": ("free-tea",)}, "REWARD_UNKNOWN"),
        ({"sale_id": "17"}, "INVALID_INPUT"),
        ({"member_ref": "nobody"}, "MEMBER_UNKNOWN"),
        ({"basket": basket(100, sku="\ud800")}, "BASKET_INVALID"),
        ({"basket": basket(100, sku="x" * 65)}, "BASKET_INVALID"),
    ],
)
def test_a_sale_that_makes_no_sense_is_refused_and_nothing_is_kept(
    world: World, change: dict[str, object], reason: str
) -> None:
    world.meet()
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(**change))  # type: ignore[arg-type]
    assert refused.value.reason == reason
    assert advices_on_disk(world) == 0


def test_a_basket_too_large_for_an_advice_is_refused_before_anything_is_promised(world: World) -> None:
    world.meet()
    wide = basket(50_000, lines=500, sku="x" * 60)
    huge = Basket(
        "EUR",
        tuple(
            Line(line.sku, 1000, line.amount_minor, "std", ("c" * 32,) * 8, "b" * 64) for line in wide.lines
        ),
        tax_groups=wide.tax_groups,
    )
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(basket=huge))
    assert refused.value.reason == "BASKET_INVALID"


def test_what_was_sold_while_nobody_was_identified_for_an_hour_counts_as_typed(world: World) -> None:
    world.meet()
    world.clock.go(3601)
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(burn=300))
    assert refused.value.reason == "ABOVE_ASSURANCE_CAP"


def test_the_advice_says_when_by_whom_and_by_which_rules(world: World) -> None:
    world.till.sign_in("eva", "1234")
    world.meet()
    world.till.sale(world.ask(reference="R-1"))
    request = world.till.next_batch()
    assert request is not None
    world.gateway.away = False
    world.gateway.push(request)
    advice = world.gateway.heard[0]
    assert (advice.cashier_id, advice.reference, advice.rule_set) == ("eva", "R-1", 1)
    assert advice.rule_set_sha256 == bytes.fromhex(world.till.rulebook.current.sha256)  # type: ignore[union-attr]
    assert (advice.clock.occurred_ms, advice.clock.anchor_ms) == (START_MS, START_MS)


def test_a_sale_to_somebody_with_two_cards_at_the_counter_takes_the_latest_scan(world: World) -> None:
    world.meet(ANNA_CARD, "camera")
    world.meet(ANNA_CARD, "typed")
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(burn=300))
    assert refused.value.reason == "ABOVE_ASSURANCE_CAP"


def test_rules_that_would_not_be_published_today_are_sold_by(tmp_path: Path) -> None:
    rule = {"id": "wine", "kind": "per_item", "points": 1, "category": "wine"}
    world = World(tmp_path, earning={"rules": [rule], "exclude": [{"category": "wine"}]})
    world.meet()
    assert world.till.sale(world.ask()).earned_points == 0
