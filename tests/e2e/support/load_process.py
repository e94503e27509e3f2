"""Tills and their patience, in a process of their own: they sell until told to stop, and write down every answer.

    python -m tests.e2e.support.load_process --data-dir DIR --members ID,ID,... --out FILE

Each till has one call on its way at a time, and with patience it sends what was not answered again, with the same id.
Prints "answered N" as it goes on; any line on standard input stops it. FILE is a pickled `Protocol`.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import random
import sys
import uuid
from pathlib import Path

from tallystick.cli.client import CallFailed, Client
from tallystick.cli.profile import load_profile
from tallystick.v1 import ledger_pb2, types_pb2
from tests.e2e.support.protocol import Answered, Protocol
from tests.e2e.support.server import CALLER

TILLS = 24
DEADLINE_S = 5.0
PROGRESS_S = 0.05

ASKED_AGAIN = 25
"""How many of its commands each till sends once more at the end, from whatever life of the server."""

Request = ledger_pb2.PostSaleRequest | ledger_pb2.EarnRequest | ledger_pb2.BurnRequest

_ORIGIN = types_pb2.Origin(channel=types_pb2.CHANNEL_WEBSHOP)


class Tills:
    """What all tills of this process share."""

    def __init__(self, client: Client, members: list[str], *, patient: bool) -> None:
        self.protocol = Protocol()
        self.stop = asyncio.Event()
        self._client = client
        self._members = members
        self._patient = patient

    async def sell(self, number: int) -> None:
        """Be one till until it is told to stop or, without patience, until a call fails; then ask some again."""
        dice = random.Random(number)
        done: list[Request] = []
        while not self.stop.is_set():
            request = self._next(dice)
            try:
                self.protocol.answered[request.command_id] = await self._answer(request)
                done.append(request)
            except CallFailed as failed:
                self.protocol.failed[request.command_id] = failed.status.name
                if not self._patient:
                    return
        for request in dice.sample(done, min(ASKED_AGAIN, len(done))):
            self.protocol.asked_again[request.command_id] = await self._answer(request)

    async def tell_progress(self) -> None:
        """Print how far they are."""
        while True:
            sys.stdout.write(f"answered {len(self.protocol.answered)}\n")
            sys.stdout.flush()
            await asyncio.sleep(PROGRESS_S)

    def _next(self, dice: random.Random) -> Request:
        command_id, member_id = str(uuid.uuid4()), dice.choice(self._members)
        level = types_pb2.ASSURANCE_DEVICE_CODE
        kind = dice.random()
        if kind < 0.5:
            line = types_pb2.Line(sku="A", quantity_milli=1_000, amount_minor=dice.randint(100, 20_000))
            basket = types_pb2.Basket(currency_code="EUR", prices_include_tax=True, lines=[line])
            return ledger_pb2.PostSaleRequest(
                command_id=command_id, member_id=member_id, basket=basket, assurance=level, origin=_ORIGIN
            )
        if kind < 0.75:
            return ledger_pb2.EarnRequest(
                command_id=command_id,
                member_id=member_id,
                points=dice.randint(1, 100),
                action_id="visit",
                assurance=level,
                origin=_ORIGIN,
            )
        return ledger_pb2.BurnRequest(
            command_id=command_id,
            member_id=member_id,
            points=100 * dice.randint(1, 4),
            reason="prize",
            assurance=level,
            origin=_ORIGIN,
        )

    async def _answer(self, request: Request) -> Answered:
        ledger, call = self._client.ledger, self._client.call
        match request:
            case ledger_pb2.PostSaleRequest():
                return _answered((await call(ledger.PostSale, request)).decision)
            case ledger_pb2.EarnRequest():
                return _answered((await call(ledger.Earn, request)).decision)
            case ledger_pb2.BurnRequest():
                return _answered((await call(ledger.Burn, request)).decision)


def _answered(decision: ledger_pb2.Decision) -> Answered:
    if decision.WhichOneof("outcome") == "refused":
        name = ledger_pb2.RefusalReason.Name(decision.refused.reason).removeprefix("REFUSAL_REASON_")
        return Answered(name, "", 0, 0, decision.replayed)
    entry = decision.posted.entry
    return Answered("", entry.member_id, entry.seq, entry.balance_after.active, decision.replayed)


async def run(data_dir: Path, members: list[str], *, patience_s: float) -> Protocol:
    """Let the tills sell until a line comes in."""
    profile, key = load_profile(data_dir, CALLER)
    async with Client(profile, key, deadline_s=DEADLINE_S, patience_s=patience_s) as client:
        tills = Tills(client, members, patient=patience_s > 0)
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), tills.stop.set)
        telling = asyncio.create_task(tills.tell_progress())
        await asyncio.gather(*(tills.sell(number) for number in range(TILLS)))
        telling.cancel()
        return tills.protocol


def main() -> None:
    """Sell as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--members", required=True)
    parser.add_argument(
        "--patience", type=float, default=90.0, help="seconds; 0 stops a till at its first failure"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    protocol = asyncio.run(run(args.data_dir, args.members.split(","), patience_s=args.patience))
    args.out.write_bytes(pickle.dumps(protocol))


if __name__ == "__main__":
    main()
