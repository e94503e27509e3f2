"""What LedgerService tells beside commands: balances, statements, lots, decisions; and to whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from tallystick.core.ids import MemberId, ProgramId
from tallystick.core.state import Account
from tallystick.v1 import ledger_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    DAY_MS,
    HOUR_MS,
    IMPORTER,
    OTHER,
    START_MS,
    Caller,
    World,
    basket_of,
    message_of,
    new_id,
    origin_of,
    sale_request,
)

ORIGIN = origin_of()


def test_in_a_replay_now_is_the_last_instant_that_the_member_has_seen(replay_world: World) -> None:
    world, past_ms = replay_world, START_MS - 4000 * DAY_MS
    importer = Caller(IMPORTER, store_id="")
    member = world.enrol(caller=importer, at_ms=past_ms)
    world.sell(member, 1000, importer, at_ms=past_ms)
    balance = world.balance(member)
    assert balance.active == 10, "the points expired long ago by the server's clock"
    assert balance.as_of.ToMilliseconds() == past_ms


def test_a_hold_whose_time_is_over_is_in_the_balance_again_before_anything_is_written(world: World) -> None:
    member = world.enrol()
    world.sell(member, 30_000)
    spend = {"spend": {"points": 100}, "ttl_s": 600, "assurance": "ASSURANCE_STATIC_CARD"}
    body = {**spend, "member_id": member, "origin": ORIGIN, "command_id": new_id()}
    entry = world.send(message_of("Hold", body)).decision.posted.entry
    world.now_ms += 600_000
    assert (world.balance(member).active, world.balance(member).held) == (300, 0)
    entries = world.send(pb.ListEntriesRequest(member_id=member)).entries
    assert entries[0].seq == entry.seq


def test_a_balance_tells_worth_tier_and_credits(world: World) -> None:
    member = world.enrol()
    world.sell(member, 60_000)
    answer = world.send(pb.GetBalanceRequest(member_id=member))
    assert (answer.balance.active, answer.balance.tier_id) == (600, "guld")
    assert answer.balance.qualifying_credits == 60_000
    assert (answer.active_worth.currency_code, answer.active_worth.amount_minor) == ("EUR", 600)


def test_points_that_expired_are_gone_from_the_balance_before_anything_is_written(world: World) -> None:
    member = world.enrol()
    world.sell(member, 60_000)
    world.now_ms += 366 * DAY_MS
    assert world.balance(member).active == 0
    assert not world.send(pb.ListLotsRequest(member_id=member)).lots
    assert len(world.send(pb.ListEntriesRequest(member_id=member)).entries) == 1


def test_pending_points_mature_in_the_balance_by_themselves(pending_world: World) -> None:
    world = pending_world
    member = world.enrol()
    world.sell(member, 60_000)
    assert (world.balance(member).active, world.balance(member).pending) == (0, 600)
    assert world.send(pb.ListLotsRequest(member_id=member)).lots[0].pending
    world.now_ms += 15 * DAY_MS
    balance = world.balance(member)
    assert (balance.active, balance.pending, balance.tier_id) == (600, 0, "guld")
    lot = world.send(pb.ListLotsRequest(member_id=member)).lots[0]
    assert (lot.pending, lot.remaining_points) == (False, 600)


def test_a_statement_comes_in_pages_newest_first(world: World) -> None:
    member = world.enrol()
    for amount in range(1000, 8000, 1000):
        world.sell(member, amount)
    seqs, token, pages = [], "", 0
    while pages == 0 or token:
        page = world.send(pb.ListEntriesRequest(member_id=member, page_size=3, page_token=token))
        seqs += [entry.seq for entry in page.entries]
        token, pages = page.next_page_token, pages + 1
    assert seqs == [7, 6, 5, 4, 3, 2, 1]
    assert pages == 3


def test_lots_come_in_pages_those_that_expire_first_in_front(world: World) -> None:
    member = world.enrol()
    for day in range(5):
        world.sell(member, 1000 * (day + 1))
        world.now_ms += DAY_MS
    lots, token, pages = [], "", 0
    while pages == 0 or token:
        page = world.send(pb.ListLotsRequest(member_id=member, page_size=2, page_token=token))
        lots += [lot.points for lot in page.lots]
        token, pages = page.next_page_token, pages + 1
    assert lots == [10, 20, 30, 40, 50]
    assert pages == 3


def test_the_statement_of_a_member_without_entries_is_empty_and_of_nobody_is_not_found(world: World) -> None:
    assert not world.send(pb.ListEntriesRequest(member_id=world.enrol())).entries
    assert world.refused(pb.ListEntriesRequest(member_id=new_id())).reason == "MEMBER_NOT_FOUND"


@pytest.mark.parametrize("token", ["x", "AAAA", "ä", "!" * 512, "AQ" + "A" * 60])
def test_a_garbled_page_token_is_an_error(world: World, token: str) -> None:
    refused = world.refused(pb.ListEntriesRequest(member_id=world.enrol(), page_token=token))
    assert refused.reason == "PAGE_TOKEN_INVALID"


def test_a_page_token_of_another_member_or_list_is_an_error(world: World) -> None:
    member, other = world.enrol(), world.enrol()
    for _ in range(3):
        world.sell(member, 1000)
        world.sell(other, 1000)
    token = world.send(pb.ListEntriesRequest(member_id=member, page_size=1)).next_page_token
    assert world.send(pb.ListEntriesRequest(member_id=member, page_token=token)).entries
    foreign = world.refused(pb.ListEntriesRequest(member_id=other, page_token=token))
    other_list = world.refused(pb.ListLotsRequest(member_id=member, page_token=token))
    assert foreign.reason == other_list.reason == "PAGE_TOKEN_INVALID"


def test_a_decision_can_be_asked_for_by_whoever_never_got_the_answer(world: World) -> None:
    member = world.enrol()
    request = sale_request(member, 1000)
    decision = world.send(request).decision
    world.now_ms += HOUR_MS
    found = world.send(pb.GetDecisionRequest(command_id=request.command_id.upper())).decision
    assert found.replayed
    assert found.posted == decision.posted
    refused = sale_request(member, 1000, spend={"points": 500})
    world.send(refused)
    found = world.send(pb.GetDecisionRequest(command_id=refused.command_id)).decision
    assert found.refused.reason == pb.REFUSAL_REASON_INSUFFICIENT_POINTS


def test_a_decision_that_nobody_made_is_not_found(world: World) -> None:
    refused = world.refused(pb.GetDecisionRequest(command_id=new_id()))
    assert refused.reason == "DECISION_NOT_FOUND"


def test_an_app_sees_its_own_member_and_no_other(world: World) -> None:
    own, other = world.enrol(), world.enrol()
    app = Caller(APP, store_id="", member_id=own)
    assert world.balance(own, app).active == 0
    for request in (
        pb.GetBalanceRequest(member_id=other),
        pb.ListEntriesRequest(member_id=other),
        pb.ListLotsRequest(member_id=other),
    ):
        assert world.refused(request, app).reason == "MEMBER_NOT_FOUND"
    body = {"member_id": other, "basket": basket_of(1), "assurance": "ASSURANCE_TYPED", "origin": ORIGIN}
    assert world.refused(message_of("Quote", body), app).reason == "MEMBER_NOT_FOUND"


def test_another_program_knows_neither_member_nor_decision(world: World) -> None:
    member = world.enrol()
    request = sale_request(member, 1000)
    world.send(request)
    foreign = Caller(program_id=OTHER)
    assert world.refused(pb.GetBalanceRequest(member_id=member), foreign).reason == "MEMBER_NOT_FOUND"
    found = world.refused(pb.GetDecisionRequest(command_id=request.command_id), foreign)
    assert found.reason == "DECISION_NOT_FOUND"
    assert world.send(request, foreign).decision.refused.reason == pb.REFUSAL_REASON_MEMBER_UNKNOWN


def test_a_program_without_rules_refuses_sales_and_still_tells_balances(world: World) -> None:
    admin = Caller(ADMIN, store_id="")
    body = {"program_id": "bare", "display_name": "Bare", "clock": "PROGRAM_CLOCK_LIVE"}
    world.send(message_of("CreateProgram", body), admin)
    bare = Caller(program_id="bare")
    member = world.enrol(caller=bare)
    assert world.sell(member, 1000, bare).refused.reason == pb.REFUSAL_REASON_RULE_SET_UNKNOWN
    answer = world.send(pb.GetBalanceRequest(member_id=member), bare)
    assert answer.balance.active == 0
    assert not answer.HasField("active_worth")
    quote = {"member_id": member, "basket": basket_of(1), "assurance": "ASSURANCE_TYPED", "origin": ORIGIN}
    assert world.send(message_of("Quote", quote), bare).refused.reason == pb.REFUSAL_REASON_RULE_SET_UNKNOWN


def test_many_balances_at_once_are_read_together(world: World) -> None:
    members = [world.enrol() for _ in range(50)]
    reads: list[int] = []
    read_accounts = world.store.read_accounts

    def counted(program_id: ProgramId, member_ids: Sequence[MemberId]) -> dict[MemberId, Account]:
        if not reads:
            time.sleep(0.2)  # the first read takes its time, and the others gather behind it
        reads.append(len(member_ids))
        return read_accounts(program_id, member_ids)

    world.store.read_accounts = counted  # type: ignore[method-assign]

    async def ask() -> Sequence[object]:
        requests = (pb.GetBalanceRequest(member_id=member) for member in members)
        answers: list[object] = await asyncio.gather(*(world.asend(request) for request in requests))
        return answers

    answers = world.loop.run_until_complete(ask())
    assert len(answers) == 50
    assert sum(reads) == 50
    assert len(reads) <= 3
