"""What a serving process keeps fresh beside its calls, whatever goes wrong once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from tallystick.cli import wiring
from tallystick.service import revocations
from tallystick.service.errors import Overloaded
from tallystick.service.gateway import Gateway
from tallystick.service.reads import ReadPool


@pytest.fixture
def pool() -> Iterator[ReadPool]:
    made = ReadPool()
    yield made
    made.close()


def test_revocations_and_keys_are_read_again_after_a_look_that_failed(
    pool: ReadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "REFRESH_S", 0.01)
    monkeypatch.setattr(wiring, "RELOAD_EVERY_S", 0.0)
    looks: list[str] = []
    faults: dict[str, list[Exception]] = {
        "revoked": [ValueError("a fault of ours")],
        "keys": [Overloaded("Too much waits."), OSError()],
    }

    def look(what: str) -> None:
        looks.append(what)
        if faults[what]:
            raise faults[what].pop()

    gateway = SimpleNamespace(pool=pool, revocations=SimpleNamespace(refresh=lambda: look("revoked")))
    keys = SimpleNamespace(reload=lambda: look("keys"))

    async def keep_for_a_while() -> None:
        keeping = asyncio.create_task(wiring._keep_fresh(cast(Gateway, gateway), cast(wiring.Keys, keys)))
        for _ in range(500):
            await asyncio.sleep(0.01)
            if min(looks.count("revoked"), looks.count("keys")) >= 4 or keeping.done():
                break
        keeping.cancel()

    asyncio.run(keep_for_a_while())
    assert min(looks.count("revoked"), looks.count("keys")) >= 4
