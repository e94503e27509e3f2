"""The sync of one till between parts that answer as told, and what goes up and down in it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tallystick.v1 import advice_pb2, store_pb2
from tallystick_till.hub import NoHub
from tallystick_till.snapshot import MemorySnapshot
from tallystick_till.sync import SyncLoop
from tests.till_sync.world import NotingTill, Time

SEEN = store_pb2.ResolveInboxItemResponse()
BEAT = store_pb2.WatchResponse(
    cursor=b"2", heartbeat=store_pb2.Heartbeat(anchor=advice_pb2.Signed(body=b"now"))
)


def loop(
    till: NotingTill,
    gateway: Any,
    *,
    snapshot: MemorySnapshot | None = None,
    hub: Any = None,
    time: Time | None = None,
    sleep: Callable[[float], None] | None = None,
) -> SyncLoop:
    return SyncLoop(
        till,
        gateway,
        snapshot or MemorySnapshot(),
        hub or NoHub(),
        clock=time or Time(),
        rng=Random(1),
        sleep=sleep,
    )


def batch(first_seq: int = 1) -> store_pb2.PushAdvicesRequest:
    return store_pb2.PushAdvicesRequest(epoch=1, first_seq=first_seq, advices=[b"a"])


def verdicts(**values: Any) -> store_pb2.PushAdvicesResponse:
    return store_pb2.PushAdvicesResponse(
        verdicts=[advice_pb2.Verdict(seq=1)], anchor=advice_pb2.Signed(body=b"now"), **values
    )
