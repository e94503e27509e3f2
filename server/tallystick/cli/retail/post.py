"""Posts a plan through gRPC: in order for each member, many members at once, with the nightly work at month ends."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.cli.client import Client
from tallystick.cli.output import Advance, CommandFailed
from tallystick.cli.retail.plan import BURN_POINTS_MAX, Plan, PlannedReturn, PlannedSale, Step
from tallystick.cli.retail.rows import ZONE, FileKind
from tallystick.core.ids import MemberId, Ms
from tallystick.v1 import admin_pb2, identity_pb2, ledger_pb2, types_pb2

IN_FLIGHT_MAX = 256
"""Members whose commands are on their way at once."""
EXPIRE_PAGE_SIZE = 500
CURRENCY = "GBP"

_ISSUED: Final = ledger_pb2.ACCOUNT_KIND_ISSUED
_BURNED: Final = ledger_pb2.ACCOUNT_KIND_BURNED


@dataclass(slots=True)
class Points:
    """Points moved by the answers of commands, each 0 or more."""

    issued: int = 0
    taken_back: int = 0
    burned: int = 0
    given_back: int = 0

    def add(self, entry: ledger_pb2.Entry) -> None:
        """Count an entry's postings."""
        for posting in entry.postings:
            self.issued += posting.points * (posting.debit == _ISSUED)
            self.taken_back += posting.points * (posting.credit == _ISSUED)
            self.burned += posting.points * (posting.credit == _BURNED)
            self.given_back += posting.points * (posting.debit == _BURNED)


@dataclass(slots=True)
class Tally:
    """What the server answered. `replayed` commands had been decided before this run began.

    `all_points` counts every answer, `new_points` only what this run itself added to the ledger.
    """

    sales: int = 0
    returns: int = 0
    members: int = 0
    replayed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    posted_rows: set[int] = field(default_factory=set)
    refused_rows: dict[int, str] = field(default_factory=dict)
    all_points: Points = field(default_factory=Points)
    new_points: Points = field(default_factory=Points)
    due_entries: int = 0
    tiers: Counter[str] = field(default_factory=Counter)

    @property
    def commands(self) -> int:
        """How many sales and returns were answered."""
        return self.sales + self.returns + self.refused.total()


class Replay:
    """Posts one plan through one client. `started_ms` is the server's time before the first command."""

    def __init__(self, client: Client, plan: Plan, *, started_ms: Ms, in_flight: int = IN_FLIGHT_MAX) -> None:
        self.tally = Tally()
        self._client = client
        self._plan = plan
        self._started_ms = started_ms
        self._in_flight = in_flight
        self._enrolled: set[MemberId] = set()
        self._done = 0

    async def run(self, advance: Advance) -> Tally:
        """Post everything; raises CommandFailed when the server cannot be worked with any more."""
        for steps, as_of_ms in _months(self._plan):
            await self._post_all(steps, advance)
            await self._expire(as_of_ms)
        await self._read_tiers()
        return self.tally

    async def _post_all(self, steps: Sequence[Step], advance: Advance) -> None:
        queues: dict[MemberId, list[Step]] = {}
        for step in steps:
            queues.setdefault(step.member_id, []).append(step)
        waiting = deque(queues.values())

        async def work() -> None:
            while waiting:
                for step in waiting.popleft():
                    await self._post(step)
                    self._done += 1
                    advance(self._done, len(self._plan.steps))

        await run_workers(work() for _ in range(min(self._in_flight, len(waiting))))

    async def _post(self, step: Step) -> None:
        if step.member_id not in self._enrolled:
            await self._enrol(step)
        if isinstance(step, PlannedSale):
            sold = await self._client.call(self._client.ledger.PostSale, sale_to_pb(step))
            decision = sold.decision
        else:
            request = return_to_pb(step, self._plan.kind)
            decision = (await self._client.call(self._client.ledger.PostReturn, request)).decision
        self._count(step, decision)

    def _count(self, step: Step, decision: ledger_pb2.Decision) -> None:
        tally = self.tally
        if decision.WhichOneof("outcome") == "refused":
            reason = ledger_pb2.RefusalReason.Name(decision.refused.reason)
            reason = reason.removeprefix("REFUSAL_REASON_")
            tally.refused[reason] += 1
            tally.refused_rows |= dict.fromkeys(step.rows, reason)
            tally.replayed += decision.replayed
            return
        entry = decision.posted.entry
        # A repetition after a lost answer is a replay too, but of this run: the time of record tells them apart.
        new = entry.recorded_at.ToMilliseconds() >= self._started_ms
        tally.sales += isinstance(step, PlannedSale)
        tally.returns += isinstance(step, PlannedReturn)
        tally.replayed += decision.replayed and not new
        tally.posted_rows.update(step.rows)
        tally.all_points.add(entry)
        if new:
            tally.new_points.add(entry)

    async def _enrol(self, step: Step) -> None:
        request = identity_pb2.EnrolRequest(member_id=step.member_id, origin=_origin(step.at_ms, ""))
        answer = await self._client.call(self._client.identity.Enrol, request)
        if answer.WhichOneof("outcome") == "refused":
            raise CommandFailed(f"a member could not be enrolled: {answer.refused.message}")
        self._enrolled.add(step.member_id)
        self.tally.members += 1

    async def _expire(self, as_of_ms: Ms) -> None:
        token = ""
        while True:
            request = admin_pb2.ExpirePointsRequest(
                as_of=timestamp(as_of_ms), page_size=EXPIRE_PAGE_SIZE, page_token=token
            )
            answer = await self._client.call(self._client.admin.ExpirePoints, request)
            self.tally.due_entries += answer.entries
            token = answer.next_page_token
            if not token:
                return

    async def _read_tiers(self) -> None:
        waiting = deque(sorted(self._enrolled))

        async def work() -> None:
            while waiting:
                request = ledger_pb2.GetBalanceRequest(member_id=waiting.popleft())
                answer = await self._client.call(self._client.ledger.GetBalance, request)
                self.tally.tiers[answer.balance.tier_id] += 1

        await run_workers(work() for _ in range(min(self._in_flight, len(waiting))))


async def run_workers(workers: Iterator[object]) -> None:
    """Run coroutines side by side; the first failure ends them all and is raised as it was."""
    try:
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                assert asyncio.iscoroutine(worker)
                group.create_task(worker)
    except BaseExceptionGroup as failures:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


def sale_to_pb(sale: PlannedSale) -> ledger_pb2.PostSaleRequest:
    """The request that posts a planned sale."""
    basket = types_pb2.Basket(
        currency_code=CURRENCY,
        prices_include_tax=True,
        lines=[
            types_pb2.Line(sku=line.sku, quantity_milli=line.quantity * 1000, amount_minor=line.amount_minor)
            for line in sale.lines
        ],
    )
    # A typed number may not burn: whoever pays with points shows the card.
    return ledger_pb2.PostSaleRequest(
        command_id=sale.command_id,
        member_id=sale.member_id,
        basket=basket,
        spend=types_pb2.Spend(points_max=BURN_POINTS_MAX) if sale.burns else None,
        assurance=types_pb2.ASSURANCE_STATIC_CARD if sale.burns else types_pb2.ASSURANCE_TYPED,
        origin=_origin(sale.at_ms, sale.invoice),
    )


def return_to_pb(planned: PlannedReturn, kind: FileKind) -> ledger_pb2.PostReturnRequest:
    """The request that posts a planned return: by quantity for single lines, by amount for whole invoices."""
    if kind is FileKind.LINES:
        lines = [
            ledger_pb2.ReturnLine(line_no=number, quantity_milli=measure) for number, measure in planned.lines
        ]
    else:
        lines = [
            ledger_pb2.ReturnLine(line_no=number, amount_minor=measure) for number, measure in planned.lines
        ]
    return ledger_pb2.PostReturnRequest(
        command_id=planned.command_id,
        member_id=planned.member_id,
        sale_id=planned.sale_id,
        lines=lines,
        origin=_origin(planned.at_ms, planned.invoice),
    )


def timestamp(at_ms: Ms) -> Timestamp:
    """An instant of the contract, exact to the millisecond."""
    return Timestamp(seconds=at_ms // 1000, nanos=at_ms % 1000 * 1_000_000)


def _origin(at_ms: Ms, reference: str) -> types_pb2.Origin:
    return types_pb2.Origin(
        channel=types_pb2.CHANNEL_WEBSHOP, occurred_at=timestamp(at_ms), reference=reference
    )


def _months(plan: Plan) -> Iterator[tuple[list[Step], Ms]]:
    """The steps month by month, each with the local midnight that ends the month; the last one with the last day's."""
    steps: list[Step] = []
    end_ms = _month_end(plan.first_ms)
    for step in plan.steps:
        while step.at_ms >= end_ms:
            yield steps, end_ms
            steps, end_ms = [], _month_end(end_ms)
        steps.append(step)
    if steps:
        day = _local(plan.last_ms).date() + timedelta(days=1)
        yield steps, _ms(datetime.combine(day, time(), tzinfo=ZONE))


def _month_end(at_ms: Ms) -> Ms:
    local = _local(at_ms)
    year, month = (local.year + 1, 1) if local.month == 12 else (local.year, local.month + 1)
    return _ms(datetime(year, month, 1, tzinfo=ZONE))


def _local(at_ms: Ms) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, tz=ZONE)


def _ms(moment: datetime) -> Ms:
    return Ms(int(moment.timestamp()) * 1000)
