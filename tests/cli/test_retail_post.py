"""Posting a plan: members side by side, each member's commands in order, the nightly work between the months."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tallystick.cli.client import Client
from tallystick.cli.output import CommandFailed
from tallystick.cli.retail.plan import Plan, PlannedReturn, PlannedSale, make_plan
from tallystick.cli.retail.post import Replay, return_to_pb, sale_to_pb, timestamp
from tallystick.cli.retail.rows import ZONE, FileKind, Row
from tallystick.core.ids import Ms
from tallystick.v1 import admin_pb2, identity_pb2, ledger_pb2, types_pb2

STARTED_MS = Ms(1_800_000_000_000)


def at(month: int, day: int) -> Ms:
    return Ms(int(datetime(2011, month, day, 12, tzinfo=ZONE).timestamp()) * 1000)


def sold(index: int, invoice: str, when: Ms, who: str = "17850") -> Row:
    return Row(index, invoice, "A", 1, 1000, when, who, invoice.startswith("C"))


@dataclass
class FakeClient:
    """Answers as a server would whose every sale gives ten points; remembers the order and who was at work."""

    recorded_ms: Ms = STARTED_MS
    refuses: frozenset[str] = frozenset()
    fails_at: str = ""
    asked: list[str] = field(default_factory=list)
    at_work: set[str] = field(default_factory=set)
    at_once_most: int = 0

    ledger = identity = admin = type("Stub", (), {"__getattr__": lambda _, name: name})()

    async def call(self, method: str, request: Any) -> Any:
        if method in ("PostSale", "PostReturn"):
            return await self._decide(method, request)
        if method == "Enrol":
            self.asked.append(f"enrol {request.member_id[:4]}")
            return identity_pb2.EnrolResponse(enrolled=identity_pb2.Enrolled())
        if method == "ExpirePoints":
            self.asked.append(
                f"expire {request.as_of.ToDatetime(UTC).isoformat()} {request.page_token}".strip()
            )
            token = "" if request.page_token else "more"
            return admin_pb2.ExpirePointsResponse(entries=1, next_page_token=token)
        assert method == "GetBalance"
        return ledger_pb2.GetBalanceResponse(balance=types_pb2.Balance(tier_id="gold"))

    async def _decide(self, method: str, request: Any) -> Any:
        reference = request.origin.reference
        assert request.member_id not in self.at_work, "a member's commands go one after the other"
        self.at_work.add(request.member_id)
        self.at_once_most = max(self.at_once_most, len(self.at_work))
        await asyncio.sleep(0.001)
        self.at_work.discard(request.member_id)
        if reference == self.fails_at:
            raise CommandFailed("the server is gone")
        self.asked.append(reference)
        answer = {"PostSale": ledger_pb2.PostSaleResponse, "PostReturn": ledger_pb2.PostReturnResponse}[
            method
        ]
        if reference in self.refuses:
            refused = ledger_pb2.Refused(reason=ledger_pb2.REFUSAL_REASON_MEMBER_BLOCKED)
            return answer(decision=ledger_pb2.Decision(refused=refused))
        moved = (ledger_pb2.ACCOUNT_KIND_ISSUED, ledger_pb2.ACCOUNT_KIND_MEMBER_ACTIVE)
        debit, credit = moved if method == "PostSale" else moved[::-1]
        entry = ledger_pb2.Entry(
            recorded_at=timestamp(self.recorded_ms),
            postings=[ledger_pb2.Posting(debit=debit, credit=credit, points=10)],
        )
        posted = ledger_pb2.Posted(entry=entry)
        return answer(decision=ledger_pb2.Decision(posted=posted, replayed=self.recorded_ms < STARTED_MS))


def replay(fake: FakeClient, rows: Sequence[Row], *, in_flight: int = 8) -> Replay:
    plan = make_plan(FileKind.LINES, rows)
    made = Replay(cast("Client", fake), plan, started_ms=STARTED_MS, in_flight=in_flight)
    asyncio.run(made.run(lambda done, total=None, /: None))
    return made


def test_months_end_in_the_shops_time_with_everything_before_them_posted() -> None:
    fake = FakeClient()
    replay(fake, [sold(0, "1", at(3, 5)), sold(1, "2", at(3, 31)), sold(2, "3", at(5, 2))])
    assert [one for one in fake.asked if not one.startswith("enrol")] == [
        "1",
        "2",
        "expire 2011-03-31T23:00:00+00:00",
        "expire 2011-03-31T23:00:00+00:00 more",
        "expire 2011-04-30T23:00:00+00:00",
        "expire 2011-04-30T23:00:00+00:00 more",
        "3",
        "expire 2011-05-02T23:00:00+00:00",
        "expire 2011-05-02T23:00:00+00:00 more",
    ]


def test_members_go_side_by_side_within_the_limit_and_each_is_enrolled_before_the_first_sale() -> None:
    rows = [sold(index, str(index), Ms(at(3, 1) + index), f"member {index % 20}") for index in range(60)]
    fake = FakeClient()
    replay(fake, rows, in_flight=7)
    assert fake.at_once_most == 7
    assert sum(one.startswith("enrol") for one in fake.asked) == 20
    for who in range(20):
        own = [one for one in fake.asked if one in {str(who), str(who + 20), str(who + 40)}]
        assert own == [str(who), str(who + 20), str(who + 40)]


def test_what_was_decided_before_this_run_counts_as_replayed_and_not_as_new() -> None:
    rows = [sold(0, "1", at(3, 1)), sold(1, "C1", at(3, 2))]
    first, second = FakeClient(), FakeClient(recorded_ms=Ms(STARTED_MS - 1))
    fresh, again = replay(first, rows).tally, replay(second, rows).tally
    assert (
        fresh.sales,
        fresh.returns,
        fresh.replayed,
        fresh.new_points.issued,
        fresh.new_points.taken_back,
    ) == (
        1,
        1,
        0,
        10,
        10,
    )
    assert (again.replayed, again.all_points.issued, again.new_points.issued) == (2, 10, 0)
    assert fresh.tiers == {"gold": 1}


def test_a_refusal_is_counted_with_its_reason_and_its_rows() -> None:
    tally = replay(
        FakeClient(refuses=frozenset({"2"})), [sold(0, "1", at(3, 1)), sold(1, "2", at(3, 2))]
    ).tally
    assert tally.refused == {"MEMBER_BLOCKED": 1}
    assert tally.refused_rows == {1: "MEMBER_BLOCKED"}
    assert tally.posted_rows == {0}


def test_a_server_that_is_gone_ends_the_replay_with_its_own_words() -> None:
    rows = [sold(index, str(index), at(3, 1), f"member {index}") for index in range(5)]
    with pytest.raises(CommandFailed, match="the server is gone"):
        replay(FakeClient(fails_at="3"), rows)


def test_who_pays_with_points_shows_the_card() -> None:
    plan: Plan = make_plan(FileKind.LINES, [sold(index, str(index), at(3, 1)) for index in range(5)])
    requests = [sale_to_pb(step) for step in plan.steps if isinstance(step, PlannedSale)]
    assert [request.HasField("spend") for request in requests] == [False] * 4 + [True]
    assert requests[4].spend.points_max == 1000
    assert requests[4].assurance == types_pb2.ASSURANCE_STATIC_CARD
    assert requests[0].assurance == types_pb2.ASSURANCE_TYPED
    assert (requests[0].basket.currency_code, requests[0].basket.lines[0].quantity_milli) == ("GBP", 1000)


def test_lines_come_back_by_quantity_and_invoices_by_amount() -> None:
    rows = [sold(0, "1", at(3, 1)), sold(1, "C1", at(3, 2))]
    for kind, field_name, measure in (
        (FileKind.LINES, "quantity_milli", 1000),
        (FileKind.INVOICES, "amount_minor", 1000),
    ):
        (back,) = [step for step in make_plan(kind, rows).steps if isinstance(step, PlannedReturn)]
        (line,) = return_to_pb(back, kind).lines
        assert line.WhichOneof("how_much") == field_name
        assert getattr(line, field_name) == measure
