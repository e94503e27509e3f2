"""The product's own gateway inside a simulation: its handlers, lane and rules, on a store that fails when told to."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time as machine_time
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import Account
from tallystick.rpc.call import Call, Principal
from tallystick.rpc.convert.pages import PageTokens
from tallystick.rpc.handlers.app import AppHandlers
from tallystick.rpc.handlers.identity import IdentityHandlers
from tallystick.rpc.handlers.ledger import LedgerHandlers
from tallystick.rpc.handlers.sharing import SharingHandlers
from tallystick.rpc.handlers.store import StoreHandlers
from tallystick.security.key_dir import KeyDir, create_key_dir
from tallystick.security.keys import SigningKey, fingerprint, public_jwk
from tallystick.service.directory import Clock, Device, DeviceStatus, Program, StoredRuleSet
from tallystick.service.errors import (
    DeadlinePassed,
    Draining,
    Overloaded,
    StoreConflict,
    StoreUnavailable,
    TallystickError,
)
from tallystick.service.gateway import Gateway, open_gateway
from tallystick.service.parked import post_parked
from tallystick.service.ports import Transaction
from tallystick.storage.memory import MemoryStore
from tallystick.storage.open import Store
from tallystick.v1 import options_pb2, store_pb2, till_pb2
from tallystick_till.ports import GatewayAway, GatewayRefused
from tests.simulation.clockwork import Time

CLUB = ProgramId("club")
DEADLINE_S = 60.0

AWAY = (StoreUnavailable, StoreConflict, Overloaded, Draining, DeadlinePassed)
"""What a client meets as UNAVAILABLE and the like: nothing is known, try again."""


@lru_cache(maxsize=1)
def shared_keys() -> KeyDir:
    """Return one key directory for all simulations of a process: making one is slow, and keys decide nothing."""
    return create_key_dir(Path(mkdtemp()) / "keys", now_s=1_700_000_000)


class FailingStore(MemoryStore):
    """A store whose next transaction fails before or after its commit, as it does when the server is killed there."""

    fail = ""

    @contextmanager
    def transaction(self, program_id: ProgramId) -> Iterator[Transaction]:
        fail, self.fail = self.fail, ""
        with super().transaction(program_id) as transaction:
            yield transaction
            if fail == "before":
                raise StoreUnavailable
        if fail == "after":
            raise StoreUnavailable


class Server:
    """The gateway of one simulation."""

    def __init__(self, time: Time, rng: Random, rules: dict[str, Any], *, store: Store | None = None) -> None:
        self._time = time
        self._rng = rng
        self._loop = asyncio.new_event_loop()
        self.failing = FailingStore(now_ms=lambda: Ms(self._time.now_ms))
        self.store: Store = store or self.failing
        self.store.create_program(Program(CLUB, "Club", Clock.LIVE, 0, Ms(time.now_ms)))
        self.publish(rules)
        self.gateway: Gateway
        self._start()

    def _start(self) -> None:
        self.gateway = open_gateway(
            self.store,
            keys=shared_keys,
            issuer="https://tallystick.test",
            database="memory",
            region="SE",
            now_ms=lambda: Ms(self._time.now_ms),
        )
        pages = PageTokens(lambda: shared_keys().blind_index_key)
        ledger = LedgerHandlers(self.gateway, pages)
        self.handlers: dict[str, Any] = {
            "app": AppHandlers(self.gateway),
            "store": StoreHandlers(self.gateway, pages),
            "ledger": ledger,
            "identity": IdentityHandlers(self.gateway, ledger),
            "sharing": SharingHandlers(self.gateway, ledger),
        }

    def restart(self) -> None:
        """Kill the process and start another one on the same database."""
        self.gateway.close()
        self._start()

    def close(self) -> None:
        self.gateway.close()
        self._loop.close()

    def publish(self, rules: dict[str, Any]) -> None:
        text = json.dumps(rules, sort_keys=True)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        stored = StoredRuleSet(0, sha256, text, text, str(uuid.uuid4()), Ms(self._time.now_ms), "sim")
        self.store.publish_rule_set(CLUB, stored)

    def add_till(self, till_id: str, store_id: str, key: SigningKey) -> None:
        """Enrol and confirm a till."""
        kid = key.verify_key.kid
        device = Device(
            till_id,
            int(till_pb2.DEVICE_KIND_TILL),
            int(options_pb2.ROLE_TILL),
            store_id,
            till_id[-4:],
            json.dumps(public_jwk(key.private_key.public_key())),
            kid,
            fingerprint(kid),
            DeviceStatus.ACTIVE,
            Ms(self._time.now_ms),
            Ms(self._time.now_ms),
            Ms(0),
        )
        self.store.add_device(CLUB, device)

    def call(
        self, service: str, method: str, request: Any, *, device_id: str, store_id: str, role: int
    ) -> Any:
        """Call a handler as the pipeline does after its checks. Raises what a client would see."""
        caller = Principal(CLUB, device_id, role, store_id)
        call = Call(caller, machine_time.monotonic() + DEADLINE_S, "sim", {})
        handler = getattr(self.handlers[service], method)
        try:
            return self._loop.run_until_complete(handler(request, call))
        except AWAY as error:
            raise GatewayAway(error.reason) from error
        except TallystickError as error:
            raise GatewayRefused(error.reason, str(error), dict(error.details)) from error

    def news(
        self, till_id: str, store_id: str, request: store_pb2.WatchRequest
    ) -> Iterator[store_pb2.WatchResponse]:
        """Give what a till lacks at this moment."""
        return self.gateway.watch.catch_up(CLUB, store_id, till_id, request)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do what the background does."""
        return self._loop.run_until_complete(work)

    def post_parked(self) -> None:
        """Do what the background does every few seconds."""
        gateway = self.gateway
        gateway.inbox.look_for_parked()
        self.run(post_parked(gateway.inbox, gateway.pool, gateway.lane, CLUB))

    def account(self, member_id: MemberId) -> Account:
        return self.store.read_accounts(CLUB, [member_id])[member_id]
