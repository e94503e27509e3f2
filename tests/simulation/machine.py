"""A till's machine inside a simulation: the product's till and sync, and a disk that survives the machine."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from tallystick.core.ids import CommandId, MemberId
from tallystick.security.keys import SigningKey, VerifyKey
from tallystick_till.db import TillDb
from tallystick_till.engine import Till
from tallystick_till.hub import LocalHub
from tallystick_till.ports import Granted, HubAway, Identity, Return
from tallystick_till.snapshot import MemorySnapshot
from tallystick_till.sync import SyncLoop
from tests.simulation.clockwork import MachineClock, Time
from tests.simulation.line import Line, Weather
from tests.simulation.server import CLUB, Server
from tests.simulation.witness import Diary


class Crash(BaseException):
    """The machine stops here, between two instructions: nothing may catch it but the simulation."""


class Fuse:
    """Decides at which step a machine crashes: at none, until it is lit."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._steps = 0

    def light(self) -> None:
        """Let the machine crash within its next steps."""
        self._steps = self._rng.randrange(1, 8)

    def put_out(self) -> None:
        self._steps = 0

    def step(self, _where: str = "") -> None:
        """Raise ``Crash`` when it is time."""
        if self._steps:
            self._steps -= 1
            if not self._steps:
                raise Crash


class FusedDb(TillDb):
    """The till's file, whose machine may crash before or after any transaction."""

    fuse: Fuse

    @contextmanager
    def write(self) -> Iterator[Any]:
        outermost = not self._writing
        if outermost and hasattr(self, "fuse"):
            self.fuse.step("before")
        with super().write() as tx:
            yield tx
        if outermost and hasattr(self, "fuse"):
            self.fuse.step("after")


class HubLine:
    """The way to the store's hub over its network, which may be cut or lose an answer."""

    state = "reachable"

    def __init__(
        self, hub: Callable[[], LocalHub | None], rng: Random, weather: Callable[[], Weather], own: LocalHub
    ) -> None:
        self.own = own
        self._hub = hub
        self._rng = rng
        self._weather = weather
        self.cut = False

    def _reach(self) -> LocalHub:
        hub = self._hub()
        if self.cut or hub is None or self._rng.random() < self._weather().lose_question:
            raise HubAway
        return hub

    def _maybe_lost(self) -> None:
        if self._rng.random() < self._weather().lose_answer:
            raise HubAway

    def limit(self, member_id: MemberId) -> int:
        return self._reach().limit(member_id)

    def take(self, member_id: MemberId, advice_id: CommandId, points: int) -> list[Granted]:
        granted = self._reach().take(member_id, advice_id, points)
        self._maybe_lost()
        return granted

    def use_voucher(self, voucher_id: CommandId, advice_id: CommandId) -> bool:
        free = self._reach().use_voucher(voucher_id, advice_id)
        self._maybe_lost()
        return free

    def release(self, member_id: MemberId) -> list[Return]:
        found = self._reach().release(member_id)
        self._maybe_lost()
        return found

    def visited(self, member_id: MemberId) -> None:
        """The hub sees a visit by what it is asked; in a simulation it is told, so that there are leases to burn."""
        hub = self._hub()
        if hub is not None and not self.cut:
            hub.visited(member_id)

    def rivals(self) -> list[str]:
        """The hub itself tells of others."""
        return []

    def take_members(self, members: Any) -> None:
        """The hub has news of its own; ``own`` is told too."""


class Machine:
    """One till: what of it survives a crash is on ``path``, in ``snapshot`` and in the clock."""

    def __init__(
        self,
        server: Server,
        time: Time,
        rng: Random,
        *,
        till_id: str,
        store_id: str,
        key: SigningKey,
        path: Path,
        hub: Machine | None,
        weather: Weather,
    ) -> None:
        self.till_id = till_id
        self.store_id = store_id
        self.key = key
        self.path = path
        self.rng = rng
        self.hub_machine = hub
        self.honest = True
        self.diary = Diary(time)
        self.clock = MachineClock(time)
        self.fuse = Fuse(rng)
        self.line = Line(
            server, rng, till_id=till_id, store_id=store_id, weather=weather, on_call=self.fuse.step
        )
        self.snapshot = MemorySnapshot()
        self._server = server
        self._time = time
        self.till: Till | None = None
        self.boot()

    def new_id(self) -> str:
        """Return a UUID of version 7 out of the simulation's own dice."""
        raw = bytearray(self._time.now_ms.to_bytes(6, "big") + self.rng.randbytes(10))
        raw[6] = (raw[6] & 0x0F) | 0x70
        raw[8] = (raw[8] & 0x3F) | 0x80
        return str(uuid.UUID(bytes=bytes(raw)))

    def boot(self) -> None:
        """Start the till's program on what is on the disk."""
        self.path.mkdir(exist_ok=True)
        db = FusedDb.open(self.path / "till.db")
        assert isinstance(db, FusedDb)
        self.db = db
        self.hub: Any
        self.hub = own = LocalHub(
            db,
            program_id=CLUB,
            store_id=self.store_id,
            now_ms=lambda: int(self.running.now_ms()),
            new_id=self.new_id,
            server_keys=self._server_keys,
            till_id=self.till_id,
            till_ids=self._till_ids,
            stands_by=self.hub_machine is not None,
        )
        if self.hub_machine is not None:
            machine = self.hub_machine
            self.hub = HubLine(
                lambda: machine.hub if machine.till is not None else None,
                self.rng,
                lambda: self.line.weather,
                own,
            )
        identity = Identity(self.till_id, CLUB, self.store_id, "sim", "", "https://tallystick.test")
        self.till = Till(
            identity=identity,
            key=self.key,
            db=db,
            snapshot=self.snapshot,
            hub=self.hub,
            gateway=self.line,
            clock=self.clock,
            new_id=self.new_id,
        )
        self.sync = SyncLoop(
            self.till,
            self.line,
            self.snapshot,
            self.hub,
            clock=self.clock,
            rng=self.rng,
            sleep=lambda _: None,
        )
        self.diary.read_along(self.till)
        db.fuse = self.fuse

    def _server_keys(self) -> Mapping[str, VerifyKey]:
        return self.running.server_keys()

    def _till_ids(self) -> Collection[str]:
        return self.running.till_keys()

    @property
    def running(self) -> Till:
        assert self.till is not None, "the machine is on"
        return self.till

    def crash(self, *, reboot: bool = True) -> None:
        """Stop without a goodbye; the program starts again, on the same boot of the machine or a new one."""
        self.fuse.put_out()
        self.till = None
        self.db.close()
        if reboot:
            self.clock.reboot()
            self.diary.knows_time = False
        self.boot()

    def copy_disk(self, to: Path) -> None:
        """Copy the till's files, as a backup or a clone does."""
        shutil.copytree(self.path, to)

    def restore_disk(self, backup: Path) -> None:
        """Put an older copy of the files in the place of those that are there, and start on it."""
        self.till = None
        self.db.close()
        shutil.rmtree(self.path)
        shutil.copytree(backup, self.path)
        self.clock.reboot()
        self.boot()

    def shown(self, member_id: MemberId) -> int:
        """Return the balance that the screen shows of a member."""
        return self.running._facts.shown(member_id)

    def leased(self, member_id: MemberId) -> int:
        """Return what the store's leases of a member still give at this till."""
        return self.running._facts.lease_left(member_id)
