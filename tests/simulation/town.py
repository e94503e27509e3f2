"""The town of a simulated life: stores with tills, a gateway, members, and the weather on the lines."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from tallystick.core.basket import Basket, Channel, Line
from tallystick.core.ids import MemberId, Minor, Ms
from tallystick.security.keys import SigningKey, generate_signing_key
from tallystick.service.identity import Enrolled, Text
from tallystick.v1 import ledger_pb2, options_pb2
from tallystick_till.errors import SaleRefused
from tests.simulation.clockwork import Time
from tests.simulation.line import CALM, Weather
from tests.simulation.machine import Crash, Machine
from tests.simulation.server import CLUB, Server
from tests.simulation.witness import Witness

STORES = ("s1", "s2", "s3")
TILLS_PER_STORE = 2
MEMBERS = 12
STEPS = 260

RULES: dict[str, Any] = {
    "format": "tallystick/1",
    "name": "Club",
    "currency": "EUR",
    "time_zone": "Europe/Stockholm",
    "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
    "burning": {
        "points": 1,
        "minor": 1,
        "assurance_caps": {"typed": "unlimited", "static_card": "unlimited"},
    },
    "rewards": [{"id": "mug", "kind": "money_off", "points": 150, "amount_minor": 150}],
    "offline": {
        "lease_share_percent": 40,
        "lease_points_max": 400,
        "away_days_max": 10,
        "floor": {"sale_points": 60, "member_points": 100, "till_points": 150},
    },
}


@lru_cache(maxsize=64)
def key_of(number: int) -> SigningKey:
    """Return one of the keys that all simulations share: making keys is slow and decides nothing."""
    del number
    return generate_signing_key()


@dataclass(frozen=True)
class Confirmed:
    """A sale that a cashier was shown as done."""

    sale_id: str
    machine: Machine
    member_id: MemberId
    earned: int
    burned: int
    authority: tuple[tuple[str, int], ...]
    at_ms: int
    honest: bool


@dataclass
class Card:
    """A member as the person at the counter: who it is, and what is shown to the scanner."""

    member_id: MemberId
    number: str
    vouchers: list[tuple[str, str, int]] = field(default_factory=list)
    """(store, digits, points) of vouchers that were not handed over yet."""


class Town:
    """Everything that is there before anything happens. Every choice comes from ``rng``."""

    def __init__(self, seed: int, *, hostile: bool, steps: int = STEPS) -> None:
        self.seed = seed
        self.hostile = hostile
        self.steps = steps
        self.rng = Random(seed)
        self.time = Time()
        shm = Path("/dev/shm")
        self.root = Path(mkdtemp(prefix="tallystick-sim-", dir=shm if shm.is_dir() else None))
        self.server = Server(self.time, self.rng, RULES)
        self.witness = Witness(self.server, self.time, RULES["offline"])
        self.weather = self._weather()
        self.machines: list[Machine] = []
        self.extra: list[Machine] = []
        self.sales: list[Confirmed] = []
        self.undone: Counter[str] = Counter()
        self.enrolled_offline: list[MemberId] = []
        self.reported: list[tuple[str, Machine]] = []
        self.proved: list[tuple[str, Machine]] = []
        self.duels: list[tuple[str, bool]] = []
        self.did: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.stolen: dict[str, int] = {}
        self._shown: int | None = None
        self._backups: dict[str, Path] = {}
        self.cards = [self._member(number) for number in range(MEMBERS)]
        for store_number, store_id in enumerate(STORES):
            hub = None
            for number in range(TILLS_PER_STORE):
                machine = self._machine(store_id, store_number * TILLS_PER_STORE + number, hub)
                hub = hub or machine
                self.machines.append(machine)

    def close(self) -> None:
        for machine in [*self.machines, *self.extra]:
            machine.db.close()
        self.server.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def _weather(self) -> Weather:
        question, answer, repeat, late = (self.rng.random() * 0.15 for _ in range(4))
        before, after = (self.rng.random() * 0.05 for _ in range(2))
        return Weather(question, answer, repeat, late, before, after)

    def _member(self, number: int) -> Card:
        member_id = MemberId(f"0190a000-0000-7000-8000-{number:012d}")
        made = self.server.gateway.identity.enrol(
            CLUB,
            member_id,
            Text(f"+4670{number:07d}"),
            enrolled_ms=Ms(self.time.now_ms),
            channel=Channel.STORE,
            store_id="s1",
        )
        assert isinstance(made, Enrolled)
        self._web("adjust", _adjust(self._id(), member_id, self.rng.randrange(0, 1_500)))
        return Card(member_id, made.member.number)

    def _machine(self, store_id: str, number: int, hub: Machine | None) -> Machine:
        till_id = f"0190b000-0000-7000-8000-{number:012d}"
        key = key_of(number)
        self.server.add_till(till_id, store_id, key)
        machine = Machine(
            self.server,
            self.time,
            self.rng,
            till_id=till_id,
            store_id=store_id,
            key=key,
            path=self.root / f"till-{number}",
            hub=hub,
            weather=CALM,
        )
        for _ in range(2):
            machine.sync.watch_once()
            machine.sync.push_once()
        assert machine.running.rulebook.current is not None, "a till begins with rules"
        machine.line.weather = self.weather
        return machine

    def _id(self) -> str:
        raw = bytearray(self.rng.randbytes(16))
        raw[6] = (raw[6] & 0x0F) | 0x70
        raw[8] = (raw[8] & 0x3F) | 0x80
        text = raw.hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def _web(self, method: str, request: Any, *, service: str = "ledger") -> Any:
        """Call as the back office or the webshop does, over a line that works."""
        role = options_pb2.ROLE_ADMIN if method == "adjust" else options_pb2.ROLE_WEBSHOP
        return self.server.call(service, method, request, device_id="web", store_id="", role=role)

    def _pick(self) -> Machine:
        return self.rng.choice([*self.machines, *self.extra])

    def _at(self, machine: Machine, act: Callable[[], Any]) -> Any:
        """Do something at a till, which may crash there or say no."""
        try:
            return act()
        except SaleRefused as no:
            self.refused[no.reason] += 1
        except Crash:
            self.did["crashed"] += 1
            machine.crash(reboot=self.rng.random() < 0.3)
        finally:
            machine.fuse.put_out()
            self.witness.look_at(machine)
        return None

    def _basket(self) -> Basket:
        lines = [
            Line(f"sku-{number}", 1000 * self.rng.randrange(1, 4), Minor(self.rng.randrange(1, 40_000)))
            for number in range(self.rng.randrange(1, 4))
        ]
        return Basket("EUR", tuple(lines))


def _adjust(command_id: str, member_id: MemberId, points: int) -> ledger_pb2.AdjustRequest:
    return ledger_pb2.AdjustRequest(
        command_id=command_id, member_id=member_id, points=points or 1, reason="opening"
    )
