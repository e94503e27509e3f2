"""`tallystick demo`: a small day of sales against a server of its own, verified at the end."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tallystick.cli.amounts import new_id, show_amount
from tallystick.cli.options import TILL_PROFILE, JsonOption, printer_for, settings_from
from tallystick.cli.output import EXIT_OK, EXIT_UNSOUND, CommandFailed, Printer, count
from tallystick.cli.shop import basket_of
from tallystick.core.record import record

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.storage.verify import Report
    from tallystick.v1 import ledger_pb2, types_pb2

CURRENCY = "EUR"


@record(frozen=True, slots=True)
class Sold:
    """A sale of the day, to be returned later."""

    member: str
    sale_id: str


def demo(as_json: JsonOption = False) -> None:
    """Play a small day of sales against a server of its own, verify the ledger, and remove everything again."""
    printer = printer_for(as_json=as_json)
    with tempfile.TemporaryDirectory(prefix="tallystick-demo-") as directory:
        report, steps = _play(Path(directory), printer)
    printer.document(
        {"steps": steps, "verified": report.ok, "entries": report.entries, "members": report.members}
    )
    raise typer.Exit(EXIT_OK if report.ok else EXIT_UNSOUND)


def _play(directory: Path, printer: Printer) -> tuple[Report, list[dict[str, object]]]:
    from tallystick.cli.child import ServerProcess
    from tallystick.cli.prepare import migrate_if_needed, prepare
    from tallystick.cli.profile import load_profile
    from tallystick.cli.wiring import opened_gateway
    from tallystick.storage.verify import verify

    settings = settings_from(
        None,
        data_dir=str(directory),
        database=f"sqlite:///{directory / 'tallystick.db'}",
        key_dir=str(directory / "keys"),
    )
    migrate_if_needed(settings.database_url)
    with opened_gateway(settings) as (gateway, _, _keys):
        prepare(settings, gateway, server=settings.listen)
    profile, key = load_profile(directory, TILL_PROFILE)

    async def play(address: str) -> list[dict[str, object]]:
        from tallystick.cli.client import Client

        async with Client(profile, key, server=address) as client:
            day = _Day(client, printer)
            await day.play()
            return day.steps

    with ServerProcess(settings) as server:
        printer.line(f"A till of store '{profile.store_id}' sells through gRPC at {server.address}")
        steps = asyncio.run(play(server.address))
    report = verify(settings.database_url)
    verdict = "every balance, lot and hash agrees" if report.ok else f"first bad row: {report.first}"
    printer.line(f"Verified {count(report.entries)} entries of {count(report.members)} members: {verdict}")
    return report, steps


class _Day:
    """The day: each step tells what happened and what the member has after it."""

    def __init__(self, client: Client, printer: Printer) -> None:
        self._client = client
        self._printer = printer
        self.steps: list[dict[str, object]] = []

    async def play(self) -> None:
        """Three members, from opening to the evening's returns."""
        ada, bo, cy = [await self._enrol(name) for name in ("Ada", "Bo", "Cy")]
        await self._sell(
            "Ada buys coffee beans, which earn double", ada, ["beans:2:17.80:coffee", "mug:1:12.00"]
        )
        kettle = await self._sell("Bo buys a kettle", bo, ["kettle:1:149.00"])
        await self._sell(
            "Cy buys a coffee machine and reaches silver", cy, ["machine:1:529.00", "beans:1:8.90:coffee"]
        )
        await self._sell("Cy pays partly with points", cy, ["grinder:1:89.00"], burn_up_to=400)
        await self._sell(
            "Bo takes a free coffee", bo, ["espresso:1:3.20:coffee", "cake:1:4.50"], reward="free-coffee"
        )
        again = await self._sell("Ada buys tea", ada, ["tea:3:11.70"])
        await self._sell("Ada's till lost the answer and sends it again", ada, ["tea:3:11.70"], again=again)
        await self._sell("Ada asks for more points than she has", ada, ["teapot:1:39.00"], burn=500)
        await self._return("Bo brings the kettle back", kettle)

    async def _enrol(self, name: str) -> str:
        from tallystick.v1 import identity_pb2, types_pb2

        request = identity_pb2.EnrolRequest(
            member_id=new_id(), origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE)
        )
        answer = await self._client.call(self._client.identity.Enrol, request)
        if answer.WhichOneof("outcome") == "refused":
            raise CommandFailed(answer.refused.message)
        member = answer.enrolled.member
        self._tell(f"{name} joins", f"member number {member.number}", member.member_id)
        return member.member_id

    async def _sell(
        self,
        title: str,
        member: str,
        lines: list[str],
        *,
        burn: int = 0,
        burn_up_to: int = 0,
        reward: str = "",
        again: Sold | None = None,
    ) -> Sold:
        from tallystick.v1 import ledger_pb2, types_pb2

        spend = types_pb2.Spend(points=burn) if burn else None
        if burn_up_to:
            spend = types_pb2.Spend(points_max=burn_up_to)
        request = ledger_pb2.PostSaleRequest(
            command_id=again.sale_id if again else new_id(),
            member_id=member,
            basket=basket_of(lines, CURRENCY),
            spend=spend,
            reward_ids=[reward] if reward else [],
            # Whoever spends shows the card; a typed number earns only.
            assurance=types_pb2.ASSURANCE_STATIC_CARD,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE),
        )
        answer = await self._client.call(self._client.ledger.PostSale, request)
        self._tell_decision(title, answer.decision, member, _sale_told)
        return Sold(member, request.command_id)

    async def _return(self, title: str, sold: Sold) -> None:
        from tallystick.v1 import ledger_pb2, types_pb2

        request = ledger_pb2.PostReturnRequest(
            command_id=new_id(),
            member_id=sold.member,
            sale_id=sold.sale_id,
            lines=[ledger_pb2.ReturnLine(line_no=1, quantity_milli=1000)],
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE),
        )
        answer = await self._client.call(self._client.ledger.PostReturn, request)
        self._tell_decision(title, answer.decision, sold.member, _return_told)

    def _tell_decision(
        self,
        title: str,
        decision: ledger_pb2.Decision,
        member: str,
        told: Callable[[ledger_pb2.Posted], str],
    ) -> None:
        if decision.WhichOneof("outcome") == "refused":
            self._tell(title, f"refused: {decision.refused.message}", member)
            return
        again = "nothing happens twice: " if decision.replayed else ""
        balance = _balance_told(decision.posted.entry.balance_after)
        self._tell(title, f"{again}{told(decision.posted)} -> {balance}", member)

    def _tell(self, title: str, outcome: str, member: str) -> None:
        self._printer.line(f"  {title}: {outcome}")
        self.steps.append({"step": title, "outcome": outcome, "member_id": member})


def _sale_told(posted: ledger_pb2.Posted) -> str:
    benefits = posted.benefits
    burned = ""
    if benefits.burned_points:
        burned = f", {count(benefits.burned_points)} burned for {show_amount(benefits.discount_minor, CURRENCY)} off"
    paid = show_amount(benefits.payable_minor, CURRENCY)
    return f"{paid} paid, {count(benefits.earned_points)} points earned{burned}"


def _return_told(posted: ledger_pb2.Posted) -> str:
    returned = posted.returned
    return (
        f"{show_amount(returned.refund_minor, CURRENCY)} paid back, {count(returned.due_points)} points taken back"
        f" ({count(returned.debt_points)} owed)"
    )


def _balance_told(balance: types_pb2.Balance) -> str:
    debt = f", {count(balance.debt)} owed" if balance.debt else ""
    return f"{count(balance.active)} points{debt}, {balance.tier_id}"
