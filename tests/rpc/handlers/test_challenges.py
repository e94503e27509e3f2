"""Challenges on the wire: what a scan is told, and what sales say that they have won, however often they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tallystick.v1 import app_pb2, identity_pb2, ledger_pb2, member_pb2, types_pb2
from tests.rpc.handlers.world import (
    APP,
    MANAGER,
    PAGE,
    RULES,
    WEBSHOP,
    WIDGET,
    Caller,
    World,
    new_id,
    open_till,
    sale_request,
)
from tests.service.paper_till import kinds_of

CHALLENGES = """\
challenges:
  - {id: march, name: March, counts: sales, target: 2, per: month, award: {points: 50, badge: keen}}
  - {id: big, name: Big, counts: spend, target: 10000, times: 9, award: {points: 7}}
  - {id: gold, name: Gold, counts: sales, target: 3, tier: [guld], store: s1, award: {points: 5}}
  - {id: net, name: Net, counts: sales, target: 2, channel: webshop, award: {points: 5}}
"""
MARCH = types_pb2.ChallengeMet(challenge_id="march", name="March", times=1, points=50, badge_id="keen")


@pytest.fixture
def shop(world: World) -> World:
    world.publish(RULES + CHALLENGES)
    return world


def ahead(
    world: World, number: str, caller: Caller | None = None, **more: Any
) -> list[tuple[str, str, int, str]]:
    """Scan a card; return what is told of challenges."""
    request = identity_pb2.IdentifyRequest(text=number, **{"channel": types_pb2.CHANNEL_STORE, **more})
    found = world.send(request, caller).identified.challenges
    return [(one.challenge_id, one.counts, one.left, one.last_day) for one in found]


def pushed(world: World, till: Any, caller: Caller, *raws: bytes) -> Sequence[Any]:
    verdicts: Sequence[Any] = world.send(till.batch(*raws), caller).verdicts
    return verdicts


class TestScans:
    def test_a_till_is_told_what_is_nearly_met_here(self, shop: World) -> None:
        ann = shop.enrol()
        number = shop.number_of(ann)
        assert ahead(shop, number) == []
        shop.sell(ann, 7_500)
        assert ahead(shop, number) == [("big", "spend", 2_500, ""), ("march", "sales", 1, "2026-03-31")]

    def test_a_webshop_is_told_what_counts_there(self, shop: World) -> None:
        ann = shop.enrol()
        web = Caller(WEBSHOP, store_id="")
        shop.sell(ann, 1_000, web, channel="CHANNEL_WEBSHOP")
        told = ahead(shop, shop.number_of(ann), web, channel=types_pb2.CHANNEL_WEBSHOP)
        assert [one[0] for one in told] == ["march", "net"]
        card = app_pb2.GetCardRequest(member_id=ann)
        for role in (WEBSHOP, WIDGET):
            found = shop.send(
                card, Caller(role, store_id="", member_id=ann, web_origin=PAGE)
            ).card.challenges_ahead
            assert [(one.challenge_id, one.left) for one in found] == [("march", 1), ("net", 1)]
        mine = shop.send(card, Caller(APP, member_id=ann)).card
        assert (len(mine.challenges), len(mine.challenges_ahead)) == (4, 0), "the card shows all of them"
        assert [one.left for one in mine.challenges] == [1, 9_000, 3, 1]

    def test_what_time_has_changed_since_the_last_sale_is_seen(self, shop: World) -> None:
        ann = shop.enrol()
        shop.sell(ann, 1_000)
        shop.now_ms += 31 * 86_400_000
        assert [one[0] for one in ahead(shop, shop.number_of(ann))] == ["big"], "it is April"

    def test_a_level_that_time_has_taken_and_another_store_are_told_nothing_of_it(self, shop: World) -> None:
        ann = shop.enrol()
        number = shop.number_of(ann)
        for _ in range(2):
            shop.sell(ann, 60_000)
        assert [one[0] for one in ahead(shop, number)] == ["gold"]
        assert ahead(shop, number, Caller(store_id="s2")) == []
        shop.now_ms += 2 * 366 * 86_400_000
        assert ahead(shop, number) == [], "nobody has been gold for a year"

    def test_nothing_is_told_of_a_blocked_member(self, shop: World) -> None:
        ann = shop.enrol()
        number = shop.number_of(ann)
        shop.sell(ann, 1_000)
        assert ahead(shop, number) != []
        shop.send(member_pb2.BlockMemberRequest(member_id=ann), Caller(MANAGER))
        assert ahead(shop, number) == []

    def test_a_program_without_challenges_tells_nothing(self, world: World) -> None:
        ann = world.enrol()
        world.sell(ann, 1_000)
        assert ahead(world, world.number_of(ann)) == []


class TestSales:
    def test_the_sale_that_meets_a_challenge_says_so_and_says_it_again(self, shop: World) -> None:
        ann = shop.enrol()
        assert shop.sell(ann, 1_000).posted.challenges_met == []
        second = sale_request(ann, 1_000)
        for replayed in (False, True):
            decision = shop.send(second).decision
            assert decision.replayed is replayed
            assert list(decision.posted.challenges_met) == [MARCH]
            assert decision.posted.benefits.earned_points == 10, "what is won is not earned by the goods"
        asked = shop.send(ledger_pb2.GetDecisionRequest(command_id=second.command_id), Caller(MANAGER))
        assert list(asked.decision.posted.challenges_met) == [MARCH]
        assert shop.sell(ann, 1_000).posted.challenges_met == []

    def test_one_sale_may_meet_two_challenges_and_one_of_them_often(self, shop: World) -> None:
        ann = shop.enrol()
        shop.sell(ann, 1_000)
        met = shop.sell(ann, 20_000).posted.challenges_met
        assert list(met) == [
            MARCH,
            types_pb2.ChallengeMet(challenge_id="big", name="Big", times=2, points=14),
        ]

    def test_a_refused_sale_and_one_that_counts_for_nothing_say_nothing(self, shop: World) -> None:
        ann = shop.enrol()
        refused = shop.sell(ann, 1_000, spend={"points": 10**6})
        assert refused.HasField("refused")
        assert shop.sell(ann, 0).posted.challenges_met == []


class TestReports:
    def test_a_till_hears_with_the_verdict_what_its_sale_has_won_also_when_it_asks_again(
        self, shop: World
    ) -> None:
        ann, (till, caller) = shop.enrol(), open_till(shop)
        first, second, third = (till.sale(ann, 1_000, rule_set=2) for _ in range(3))
        for _ in range(2):
            verdicts = pushed(shop, till, caller, first, second, third)
            assert [list(one.challenges_met) for one in verdicts] == [[], [MARCH], []]
            assert [one.earned_points for one in verdicts] == [10, 10, 10]

    def test_an_advice_under_the_id_of_another_sale_has_won_nothing(self, shop: World) -> None:
        ann, (till, caller) = shop.enrol(), open_till(shop)
        shop.sell(ann, 1_000)
        asked = sale_request(ann, 1_000, spend={"points": 1})
        assert list(shop.send(asked).decision.posted.challenges_met) == [MARCH]
        eve = shop.enrol()
        verdicts = pushed(shop, till, caller, till.sale(eve, 1_000, advice_id=asked.command_id, rule_set=2))
        assert kinds_of(verdicts) == ["QUARANTINED ID_REUSED"]
        assert verdicts[0].challenges_met == []

    def test_a_till_that_got_no_answer_hears_what_its_request_has_won(self, shop: World) -> None:
        ann, (till, caller) = shop.enrol(), open_till(shop)
        shop.sell(ann, 1_000)
        command_id = new_id()
        shop.send(sale_request(ann, 1_000, command_id=command_id))
        verdicts = pushed(shop, till, caller, till.sale(ann, 1_000, advice_id=command_id, rule_set=2))
        assert list(verdicts[0].challenges_met) == [MARCH]
