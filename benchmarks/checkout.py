"""A webshop's checkout against one server process on a PostgreSQL of its own.

``python -m benchmarks.checkout [--seconds S] [--json]`` prints what a quote of 50 lines takes at half of the load that
the server bears, what a hold and its capture take together, and how many whole checkouts (quote, hold, capture) go
through in a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop

from benchmarks.ledger import ISSUER, Server, gateway_process
from benchmarks.load import write_messages
from benchmarks.measure import cpu_s, percentile, report
from benchmarks.population import PROGRAM, member_id, now_ms, populate_postgres, publish
from tallystick.security.key_dir import KeyDir, create_key_dir
from tallystick.security.tokens import access_profile, new_token_id, sign_access_token
from tallystick.storage.open import open_store
from tallystick.storage.schema import migrate
from tallystick.v1 import ledger_pb2, ledger_pb2_grpc, types_pb2
from tests.support.postgres import PostgresCluster, PostgresServer, libpq

LINES = 50
MEMBERS = 2_000
SHOPS = 8
CONCURRENCY = 16
CHECKOUT_LINES = 4
WARM_S = 2.0
DEADLINE_S = 10.0
POINTS = 10_000_000
SPENT_POINTS = 500
ORIGIN = types_pb2.Origin(channel=types_pb2.CHANNEL_WEBSHOP, reference="1001")

Metadata = tuple[tuple[str, str], ...]


def main() -> None:
    """Run all parts and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each timed part")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with (
        PostgresServer(durable=True) as postgres,
        PostgresCluster(postgres.conninfo).database() as database,
        tempfile.TemporaryDirectory(prefix="tallystick-bench-") as home,
    ):
        migrate(database.owner_url)
        store = open_store(database.service_url)
        publish(store)
        store.close()
        populate_postgres(libpq(database.admin_url), MEMBERS)
        keys = create_key_dir(Path(home) / "keys", now_s=now_ms() // 1000)
        with gateway_process(database.service_url, Path(home)) as server:
            figures = _measure(server, Path(home), _tokens(keys), args.seconds)
    print(report(figures, as_json=args.json))


def _measure(server: Server, home: Path, tokens: Sequence[str], seconds: float) -> dict[str, Any]:
    checkouts = Checkouts(server.address, tokens)
    uvloop.run(checkouts.give_points())
    quotes, token_file = home / "quotes.bin", home / "tokens.txt"
    write_messages(quotes, (_quote(random.Random(seed), LINES).SerializeToString() for seed in range(500)))
    token_file.write_text("\n".join(tokens))
    _quotes(server, quotes, token_file, WARM_S)
    cpu = cpu_s(server.process)
    most = _quotes(server, quotes, token_file, seconds)
    cpu = cpu_s(server.process) - cpu
    half = _quotes(server, quotes, token_file, seconds, rate=most["rps"] / 2)
    uvloop.run(checkouts.run(WARM_S))
    checkouts.hold_captures.clear()
    checkouts_s = uvloop.run(checkouts.run(seconds))
    full_ms = percentile(checkouts.hold_captures, 0.99) * 1000
    checkouts.hold_captures.clear()
    uvloop.run(checkouts.run_paced(seconds, checkouts_s / 2))
    return {
        "quote_lines": LINES,
        "quotes_s": most["rps"],
        "quote_cpu_us": cpu / most["calls"] * 1e6,
        "quote_p50_ms": half["p50_ms"],
        "quote_p99_ms": half["p99_ms"],
        "hold_capture_p50_ms": percentile(checkouts.hold_captures, 0.50) * 1000,
        "hold_capture_p99_ms": percentile(checkouts.hold_captures, 0.99) * 1000,
        "hold_capture_full_load_p99_ms": full_ms,
        "checkouts_s": checkouts_s,
    }


class Checkouts:
    """Buyers who each ask for a quote, hold, and capture; ``hold_captures`` are the seconds of the latter two."""

    def __init__(self, address: str, tokens: Sequence[str]) -> None:
        self._address = address
        self._callers: list[Metadata] = [(("authorization", f"Bearer {token}"),) for token in tokens]
        self._rng = random.Random(7)
        self._done = 0
        self.hold_captures: list[float] = []

    async def give_points(self) -> None:
        """Give every member enough points for the whole run."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
            for first in range(0, MEMBERS, 100):
                await asyncio.gather(*(self._earn(ledger, number) for number in range(first, first + 100)))

    async def _earn(self, ledger: Any, number: int) -> None:
        request = ledger_pb2.EarnRequest(
            command_id=str(uuid.uuid4()),
            member_id=member_id(number),
            points=POINTS,
            action_id="benchmark",
            assurance=types_pb2.ASSURANCE_SERVER_CODE,
            origin=ORIGIN,
        )
        caller = self._callers[number % len(self._callers)]
        answer = await ledger.Earn(request, timeout=DEADLINE_S, metadata=caller)
        assert answer.decision.HasField("posted"), answer

    async def run(self, seconds: float) -> float:
        """Let as many buyers as go at once check out one after the other; return the checkouts of a second."""
        self._done = 0
        async with grpc.aio.insecure_channel(self._address) as channel:
            ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
            await channel.channel_ready()
            started = time.perf_counter()

            async def buyer() -> None:
                while time.perf_counter() - started < seconds:
                    await self._checkout(ledger)

            await asyncio.gather(*(buyer() for _ in range(CONCURRENCY)))
            return self._done / (time.perf_counter() - started)

    async def run_paced(self, seconds: float, rate: float) -> None:
        """Begin ``rate`` checkouts a second, whether earlier ones have ended or not."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
            await channel.channel_ready()
            started = time.perf_counter()
            running = []
            for number in range(int(seconds * rate)):
                await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
                running.append(asyncio.ensure_future(self._checkout(ledger)))
            await asyncio.gather(*running)

    async def _checkout(self, ledger: Any) -> None:
        quote = _quote(self._rng, CHECKOUT_LINES)
        more = {"metadata": self._rng.choice(self._callers), "timeout": DEADLINE_S}
        quoted = await ledger.Quote(quote, **more)
        assert quoted.HasField("quoted"), quoted
        hold = ledger_pb2.HoldRequest(
            command_id=str(uuid.uuid4()),
            member_id=quote.member_id,
            basket=quote.basket,
            spend=quote.spend,
            ttl_s=900,
            assurance=quote.assurance,
            origin=ORIGIN,
        )
        capture = ledger_pb2.CaptureRequest(
            command_id=str(uuid.uuid4()),
            member_id=quote.member_id,
            hold_id=hold.command_id,
            basket=quote.basket,
            origin=ORIGIN,
        )
        started = time.perf_counter()
        held = await ledger.Hold(hold, **more)
        assert held.decision.HasField("posted"), held
        sold = await ledger.Capture(capture, **more)
        assert sold.decision.HasField("posted"), sold
        self.hold_captures.append(time.perf_counter() - started)
        self._done += 1


def _quote(rng: random.Random, lines: int) -> ledger_pb2.QuoteRequest:
    taxes = [("std", 250_000), ("food", 120_000), ("books", 60_000)]
    basket = types_pb2.Basket(
        currency_code="EUR",
        prices_include_tax=True,
        tax_groups=[types_pb2.TaxGroup(code=code, rate_ppm=rate) for code, rate in taxes],
        lines=[
            types_pb2.Line(
                sku=f"sku-{rng.randrange(5000)}",
                categories=[f"category-{rng.randrange(40)}"],
                brand=f"brand-{rng.randrange(90)}",
                quantity_milli=1000 * rng.randint(1, 3),
                amount_minor=rng.randint(500, 20_000),
                tax_code=rng.choice(taxes)[0],
            )
            for _ in range(lines)
        ],
    )
    return ledger_pb2.QuoteRequest(
        member_id=member_id(rng.randrange(MEMBERS)),
        basket=basket,
        spend=types_pb2.Spend(points_max=SPENT_POINTS),
        assurance=types_pb2.ASSURANCE_SERVER_CODE,
        origin=ORIGIN,
    )


def _quotes(server: Server, file: Path, tokens: Path, seconds: float, *, rate: float = 0.0) -> dict[str, Any]:
    command = [
        *(sys.executable, "-m", "benchmarks.load", "--target", server.address),
        *("--method", "/tallystick.v1.LedgerService/Quote", "--messages", str(file), "--tokens", str(tokens)),
        *("--seconds", str(seconds), "--concurrency", str(CONCURRENCY), "--rate", str(rate), "--again"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise RuntimeError(f"the load of quotes failed: {done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    if figures["failures"]:
        raise RuntimeError(f"quotes failed: {figures['failures']}")
    return figures


def _tokens(keys: KeyDir) -> list[str]:
    """Return the tokens of as many shops as call: each keeps within the rate of one."""
    now_s = now_ms() // 1000
    return [
        sign_access_token(
            keys.signing.signing_key(now_s),
            access_profile(issuer=ISSUER, audience=ISSUER),
            subject=f"shop-{number}",
            program_id=PROGRAM,
            roles=("WEBSHOP",),
            token_id=new_token_id(),
            device_id=f"shop-{number}",
            now_s=now_s,
        )
        for number in range(SHOPS)
    ]


if __name__ == "__main__":
    main()
