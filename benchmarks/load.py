"""A load from a process of its own: prepared messages over gRPC channels to an address of this machine.

``python -m benchmarks.load`` reads a file of length-prefixed messages and prints what it measured as JSON. With a
rate it keeps to it (an open loop: latency counts from when a call was due); without one it goes as fast as
``--concurrency`` calls at once allow.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import itertools
import json
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop

from benchmarks.measure import own_cpu_s, percentile

SECONDS_MAX = 120.0
CONCURRENCY_MAX = 1_000
CHANNELS_MAX = 64
DEADLINE_S = 10.0
_LENGTH = struct.Struct(">I")

Once = Callable[[bytes, float], Awaitable[None]]


def write_messages(path: Path, messages: Iterable[bytes]) -> int:
    """Write length-prefixed messages; return how many."""
    count = 0
    with path.open("wb") as file:
        for message in messages:
            file.write(_LENGTH.pack(len(message)) + message)
            count += 1
    return count


def read_messages(path: Path) -> list[bytes]:
    """Read a file of length-prefixed messages."""
    data, at, messages = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        messages.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return messages


@dataclass
class Load:
    """One run: what to call, with what, how hard, for how long."""

    target: str
    method: str
    messages: list[bytes]
    seconds: float
    concurrency: int
    rate: float
    tokens: list[str]
    again: bool
    channels: int
    latencies: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)

    async def run(self) -> dict[str, object]:
        """Run and return the figures."""
        feed = itertools.cycle(self.messages) if self.again else iter(self.messages)
        callers = itertools.cycle(
            [(("authorization", f"Bearer {token}"),) for token in self.tokens] or [None]
        )
        async with AsyncExitStack() as stack:
            calls = itertools.cycle([await self._channel(stack) for _ in range(self.channels)])

            async def once(message: bytes, due: float) -> None:
                try:
                    await next(calls)(message, timeout=DEADLINE_S, metadata=next(callers))
                    self.latencies.append(time.perf_counter() - due)
                except grpc.aio.AioRpcError as error:
                    code = f"{error.code().name}: {error.details()}"
                    self.failures[code] = self.failures.get(code, 0) + 1

            started, cpu = time.perf_counter(), own_cpu_s()
            if self.rate:
                await self._paced(feed, once, started)
            else:
                await asyncio.gather(*(self._closed(feed, once, started) for _ in range(self.concurrency)))
            elapsed = time.perf_counter() - started
        return {
            "calls": len(self.latencies),
            "seconds": elapsed,
            "rps": len(self.latencies) / elapsed,
            "p50_ms": percentile(self.latencies, 0.50) * 1000,
            "p99_ms": percentile(self.latencies, 0.99) * 1000,
            "client_cpu_us": (own_cpu_s() - cpu) / max(1, len(self.latencies)) * 1e6,
            "failures": self.failures,
        }

    async def _channel(self, stack: AsyncExitStack) -> Any:
        """Connect once more: processes that share a port are given connections, not calls."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(self.target, options=options))
        await channel.channel_ready()
        return channel.unary_unary(self.method)

    async def _closed(self, feed: Iterator[bytes], once: Once, started: float) -> None:
        for message in feed:
            now = time.perf_counter()
            if now - started >= self.seconds:
                return
            await once(message, now)

    async def _paced(self, feed: Iterator[bytes], once: Once, started: float) -> None:
        running: set[asyncio.Task[None]] = set()
        for number, message in enumerate(feed):
            due = started + number / self.rate
            if due - started >= self.seconds:
                break
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            if len(running) < CONCURRENCY_MAX:
                task = asyncio.ensure_future(once(message, due))
                running.add(task)
                task.add_done_callback(running.discard)
            else:
                self.failures["NOT_SENT"] = self.failures.get("NOT_SENT", 0) + 1
        await asyncio.gather(*running)


def main() -> None:
    """Run one load as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True, help="host:port on this machine")
    parser.add_argument("--method", required=True, help="/package.Service/Method")
    parser.add_argument("--messages", required=True, type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--channels", type=int, default=1, help="connections that take the calls in turn")
    parser.add_argument("--rate", type=float, default=0.0, help="calls a second; 0: as fast as it goes")
    parser.add_argument("--tokens", type=Path, help="file of access tokens, a line each, used in turn")
    parser.add_argument("--again", action="store_true", help="send the messages again when they are used up")
    args = parser.parse_args()
    if not ipaddress.ip_address(args.target.rpartition(":")[0]).is_loopback:
        parser.error("--target must be an address of this machine: load goes nowhere else")
    if not 0 < args.seconds <= SECONDS_MAX or not 0 < args.concurrency <= CONCURRENCY_MAX:
        parser.error(f"at most {SECONDS_MAX} seconds and {CONCURRENCY_MAX} calls at once")
    if not 0 < args.channels <= CHANNELS_MAX:
        parser.error(f"at most {CHANNELS_MAX} channels")
    load = Load(
        args.target,
        args.method,
        read_messages(args.messages),
        args.seconds,
        args.concurrency,
        args.rate,
        args.tokens.read_text().split() if args.tokens else [],
        args.again,
        args.channels,
    )
    print(json.dumps(uvloop.run(load.run())))


if __name__ == "__main__":
    main()
