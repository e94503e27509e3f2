"""A seeded life of stores, tills, members and a gateway: everything goes wrong, then all heals and must agree.

Every choice comes from one seed, so that a failing one replays exactly.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from tallystick.core.advice import TillStatus
from tallystick.core.basket import Basket, Channel, Line
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.ids import MemberId, Minor, Ms
from tallystick.core.state import HoldKind
from tallystick.security.keys import SigningKey, generate_signing_key
from tallystick.service.identity import Enrolled, Text
from tallystick.v1 import advice_pb2, ledger_pb2, options_pb2, store_pb2, types_pb2
from tallystick.wire.advices import id_bytes
from tallystick.wire.basket import basket_to_pb
from tallystick_till.errors import SaleRefused
from tallystick_till.ports import GatewayAway, GatewayRefused
from tallystick_till.types import Identified, ReceiptScan, ReturnAsk, SaleAsk, SaleDone
from tests.simulation.clockwork import DAY_MS, HOUR_MS, MINUTE_MS, Time
from tests.simulation.line import CALM, Weather
from tests.simulation.machine import Crash, Machine
from tests.simulation.server import CLUB, Server
from tests.simulation.witness import Witness

STORES = ("s1", "s2", "s3")
TILLS_PER_STORE = 2
MEMBERS = 12
STEPS = 260
HEAL_ROUNDS = 60
PROOFS = 4
"""So many sales does a till need at most that was copied: the first tells it that its chain was ended."""
DUEL_ROUNDS = 6
"""A fork shows at every third upload of two copies; so these are enough for as many as suspend a till."""

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


class Simulation:
    """One life. ``hostile`` lets tills be copied, restored, stolen and their clocks be changed."""

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

    # The steps.

    def run(self) -> None:
        """Let everything go wrong, then heal."""
        acts = self._acts()
        names, weights = list(acts), [weight for weight, _ in acts.values()]
        for _ in range(self.steps):
            self.time.pass_(self.rng.randrange(1_000, 10 * MINUTE_MS))
            name = self.rng.choices(names, weights)[0]
            self.did[name] += 1
            acts[name][1]()
        self.heal()
        self.prove()
        self.duel()
        for machine in [*self.machines, *self.extra]:
            machine.sync.watch_once()

    def _acts(self) -> dict[str, tuple[int, Callable[[], None]]]:
        acts: dict[str, tuple[int, Callable[[], None]]] = {
            "sale": (60, self.sell),
            "sync": (50, self.sync_one),
            "return": (8, self.give_back),
            "undo": (5, self.undo),
            "enrol": (3, self.enrol),
            "voucher": (8, self.issue_voucher),
            "web": (8, self.burn_elsewhere),
            "line": (14, self.turn_line),
            "lan": (3, self.turn_lan),
            "crash": (8, self.light_fuse),
            "reboot": (3, self.reboot),
            "late": (4, self.deliver_late),
            "server": (3, self.server.restart),
            "parked": (5, self._post_parked),
            "wait": (3, self.wait),
            "away": (1, self.stay_away),
            "rules": (1, self.new_rules),
            "erase": (1, self.erase),
        }
        if self.hostile:
            acts.update(
                {
                    "backup": (4, self.back_up),
                    "restore": (3, self.restore),
                    "clone": (2, self.clone),
                    "steal": (1, self.steal),
                    "clock": (3, self.turn_clock),
                    "lie": (3, self.lie),
                }
            )
        return acts

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

    def sell(self) -> None:
        machine, card = self._pick(), self.rng.choice(self.cards)
        self._at(machine, lambda: self._sell(machine, card))

    def _sell(self, machine: Machine, card: Card) -> None:
        till, rng = machine.running, self.rng
        found = till.identify(card.number, aim_id="]C0")
        if not isinstance(found, Identified):
            self.refused["not identified"] += 1
            return
        self._shown = found.member.points
        spend = Spend(rng.randrange(1, 400), up_to=rng.random() < 0.7) if rng.random() < 0.6 else None
        rewards = ("mug",) if rng.random() < 0.15 else ()
        voucher = ""
        mine = [one for one in card.vouchers if one[0] == machine.store_id]
        if mine and rng.random() < 0.6:
            shown = mine[0]
            voucher, spend, rewards = shown[1], None, ()
        if spend and rng.random() < 0.06:
            machine.fuse.light()
        ask = SaleAsk(
            found.member.member_ref,
            self._basket(),
            spend=spend,
            reward_ids=rewards,
            voucher=voucher,
            sale_id=machine.new_id(),
        )
        done = self._sell_with_patience(machine, ask)
        if done is None:
            return
        if voucher and rng.random() < 0.7:
            # Now and then a member shows a voucher twice.
            card.vouchers.remove(mine[0])
        if self._shown is not None:
            self.witness.sold(machine, done, shown=self._shown)
        authority = tuple((right.kind, right.points) for right in done.authority)
        self.sales.append(
            Confirmed(
                done.sale_id,
                machine,
                card.member_id,
                done.earned_points,
                done.burned_points,
                authority,
                self.time.now_ms,
                machine.honest,
            )
        )

    def _sell_with_patience(self, machine: Machine, ask: SaleAsk) -> SaleDone | None:
        """Sell as a cashier does: after a crash of the till the same sale is rung up again, or the person leaves."""
        try:
            return machine.running.sale(ask)
        except Crash:
            self.did["crashed"] += 1
            machine.crash(reboot=self.rng.random() < 0.3)
            if self.rng.random() < 0.5:
                return None
            found = machine.running.identify(
                next(card.number for card in self.cards if card.member_id == ask.member_ref), aim_id="]C0"
            )
            if not isinstance(found, Identified):
                return None
            # What had been kept before the crash is answered again, whatever is known now.
            kept = machine.running.sale_done(ask.sale_id) is not None
            self._shown = None if kept else found.member.points
            return machine.running.sale(ask)

    def sync_one(self) -> None:
        machine = self._pick()

        def steps() -> None:
            if self.rng.random() < 0.7:
                machine.sync.push_once()
            if self.rng.random() < 0.7:
                machine.sync.watch_once()
            if self.rng.random() < 0.6:
                machine.sync.leases_once()
            if self.rng.random() < 0.3:
                machine.running.settle_unfinished()

        self._at(machine, steps)

    def give_back(self) -> None:
        """Take goods back: at the till that sold them, or at another one with the receipt."""
        if not self.sales:
            return
        sale = self.rng.choice(self.sales)
        machine = sale.machine if self.rng.random() < 0.6 else self._pick()

        def act() -> None:
            receipt = sale.machine.running.receipt(sale.sale_id)
            if machine is not sale.machine:
                if receipt is None or not receipt.qr:
                    return
                found = machine.running.identify(receipt.qr)
                if not isinstance(found, ReceiptScan):
                    return
            view = machine.running.sale_view(sale.sale_id)
            if view is None:
                return
            line = self.rng.choice(view.lines)
            left = line.quantity_milli - line.returned_milli
            if left <= 0:
                return
            part = ReturnLine(line.line_no, 1000 * self.rng.randrange(1, left // 1000 + 1))
            done = machine.running.give_back(ReturnAsk((part,), sale.sale_id, return_id=machine.new_id()))
            self.reported.append((done.return_id, machine))

        self._at(machine, act)

    def undo(self) -> None:
        if not self.sales:
            return
        sale = self.rng.choice(self.sales[-10:])

        def act() -> None:
            done = sale.machine.running.undo(sale.sale_id, sale.machine.new_id())
            self.reported.append((done.undo_id, sale.machine))
            self.undone[sale.sale_id] += 1

        self._at(sale.machine, act)

    def enrol(self) -> None:
        machine, number = self._pick(), self.rng.randrange(0, 40)
        member_id = machine.new_id()

        def act() -> None:
            machine.running.enrol(f"+4670{number:07d}", member_id=member_id)
            self.enrolled_offline.append(MemberId(member_id))

        self._at(machine, act)

    def issue_voucher(self) -> None:
        card, store_id = self.rng.choice(self.cards), self.rng.choice(STORES)
        request = store_pb2.IssueVoucherRequest(
            voucher_id=self._id(),
            member_id=card.member_id,
            store_id=store_id,
            assurance=types_pb2.ASSURANCE_DEVICE_CODE,
            points=self.rng.randrange(1, 200),
        )
        try:
            response = self._web("issue_voucher", request, service="store")
        except (GatewayAway, GatewayRefused):
            return
        if response.WhichOneof("result") == "voucher":
            card.vouchers.append((store_id, response.voucher.digits, request.points))

    def burn_elsewhere(self) -> None:
        """Spend points in the webshop, which may want leases back."""
        card = self.rng.choice(self.cards)
        request = ledger_pb2.BurnRequest(
            command_id=self._id(),
            member_id=card.member_id,
            points=self.rng.randrange(1, 600),
            reason="prize",
            assurance=types_pb2.ASSURANCE_DEVICE_CODE,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_WEBSHOP),
        )
        try:
            self._web("burn", request)
        except (GatewayAway, GatewayRefused):
            return

    def turn_line(self) -> None:
        """Cut the line of one till or of a whole store, or mend it."""
        store_id = self.rng.choice(STORES)
        whole, down = self.rng.random() < 0.6, self.rng.random() < 0.55
        chosen = [one for one in [*self.machines, *self.extra] if one.store_id == store_id]
        for machine in chosen if whole else [self.rng.choice(chosen)]:
            machine.line.down = down

    def turn_lan(self) -> None:
        machine = self._pick()
        if hasattr(machine.hub, "cut"):
            machine.hub.cut = not machine.hub.cut

    def light_fuse(self) -> None:
        self._pick().fuse.light()

    def reboot(self) -> None:
        self._pick().crash(reboot=True)

    def deliver_late(self) -> None:
        self._pick().line.deliver_late()

    def _post_parked(self) -> None:
        try:
            self.server.post_parked()
        except GatewayAway:
            return

    def wait(self) -> None:
        self.time.pass_(self.rng.randrange(HOUR_MS, 2 * DAY_MS))

    def stay_away(self) -> None:
        """One till hears nothing for a long time."""
        self._pick().line.down = True
        self.time.pass_(self.rng.randrange(DAY_MS, 12 * DAY_MS))

    def new_rules(self) -> None:
        points = self.rng.randrange(1, 4)
        earning = {"rules": [{"id": "base", "kind": "per_amount", "points": points, "per_minor": 100}]}
        self.server.publish({**RULES, "earning": earning})

    def erase(self) -> None:
        card = self.rng.choice(self.cards)
        self.server.store.erase(CLUB, card.member_id)

    # What only a hostile or careless world does.

    def back_up(self) -> None:
        machine = self.rng.choice(self.machines)
        backup = self.root / f"backup-{machine.till_id[-2:]}-{self.time.now_ms}"
        machine.copy_disk(backup)
        self._backups[machine.till_id] = backup

    def restore(self) -> None:
        held = [machine for machine in self.machines if machine.till_id in self._backups]
        if held:
            machine = self.rng.choice(held)
            machine.honest = False
            self._distrust(machine)
            machine.restore_disk(self._backups.pop(machine.till_id))

    def clone(self) -> None:
        if len(self.extra) >= 2:
            return
        original = self.rng.choice(self.machines)
        path = self.root / f"clone-{len(self.extra)}"
        original.copy_disk(path)
        twin = Machine(
            self.server,
            self.time,
            self.rng,
            till_id=original.till_id,
            store_id=original.store_id,
            key=original.key,
            path=path,
            hub=original.hub_machine,
            weather=self.weather,
        )
        twin.snapshot.__dict__.update(original.snapshot.__dict__)
        twin.line.revoked = original.line.revoked
        self._distrust(original)
        original.honest = twin.honest = False
        self.extra.append(twin)

    def _distrust(self, machine: Machine) -> None:
        """A copied hub gives its leases twice, so what the tills of its store burned of them counts as dishonest."""
        if machine.hub_machine is None:
            for other in self.machines:
                if other.store_id == machine.store_id:
                    other.honest = False
        self.sales = [
            sale if sale.machine.honest or not sale.honest else Confirmed(**{**vars(sale), "honest": False})
            for sale in self.sales
        ]

    def steal(self) -> None:
        if self.stolen:
            return
        machine = self.rng.choice(self.machines[1::2])
        self.stolen[machine.till_id] = self.time.now_ms
        machine.honest = False
        self._distrust(machine)
        self.server.gateway.enrolment.revoke(CLUB, machine.till_id)
        for one in [*self.machines, *self.extra]:
            if one.till_id == machine.till_id:
                one.line.revoked = True

    def lie(self) -> None:
        """A till that somebody has changed reports a sale that burned whatever it likes, by whatever right."""
        machine, card = self.rng.choice(self.machines), self.rng.choice(self.cards)
        machine.honest = False
        self._distrust(machine)
        with self.server.store.snapshot(CLUB) as snapshot:
            holds = [hold.hold_id for _, hold in snapshot.holds() if hold.kind is not HoldKind.CHECKOUT]
        rights = [
            advice_pb2.Authority(
                kind=advice_pb2.AuthorityKind.ValueType(self.rng.randrange(1, 4)),
                hold_id=id_bytes(self.rng.choice(holds)) if holds and self.rng.random() < 0.8 else b"",
                points=self.rng.choice((1, 100, 10**6)),
            )
            for _ in range(self.rng.randrange(1, 4))
        ]
        burned = sum(right.points for right in rights)
        rules = machine.running.rulebook.current
        assert rules is not None
        advice = advice_pb2.Advice(
            advice_id=id_bytes(machine.new_id()),
            rule_set=rules.version,
            rule_set_sha256=bytes.fromhex(rules.sha256),
            member_id=id_bytes(card.member_id),
            assurance=types_pb2.ASSURANCE_DEVICE_CODE,
            sale=advice_pb2.SaleFact(
                basket=basket_to_pb(Basket("EUR", (Line("gold", 1000, Minor(10**9)),))),
                earned_points=self.rng.choice((0, 10**7, 10**9)),
                burned_points=burned,
                discount_minor=min(burned, 10**9),
                authorities=rights,
            ),
        )

        def act() -> None:
            with machine.db.write() as tx:
                machine.running._outbox.append(tx, advice, told_points=0, floor_points=0)

        self._at(machine, act)

    def turn_clock(self) -> None:
        self._pick().clock.skew_ms = self.rng.randrange(-3 * DAY_MS, 3 * DAY_MS)

    # The end.

    def heal(self) -> None:
        """Mend all that is broken and wait until everybody has heard of everything."""
        everybody: Sequence[Machine] = [*self.machines, *self.extra]
        for machine in everybody:
            machine.fuse.put_out()
            machine.line.deliver_late()
            machine.line.weather = CALM
            machine.line.down = False
            if hasattr(machine.hub, "cut"):
                machine.hub.cut = False
        self.weather = CALM
        self.server.store.fail = ""
        for round_number in range(HEAL_ROUNDS):
            self.time.pass_(3 * MINUTE_MS)
            self._reinstate()
            for machine in everybody:
                for _ in range(4):
                    machine.sync.push_once()
                machine.sync.watch_once()
                machine.running.settle_unfinished()
                machine.sync.push_once()
            self.server.post_parked()
            quiet = all(one.running.status().queued == 0 or one.line.revoked for one in everybody)
            if quiet and round_number >= 3:
                break
        for _ in range(2):
            for machine in everybody:
                machine.sync.watch_once()

    def prove(self) -> None:
        """Let every till that is trusted sell once more: whatever it has been through, that must reach the books."""
        trusted = [one for one in self.machines if not one.line.revoked]
        for machine in trusted:
            sale_id = ""
            for _ in range(PROOFS):
                self._reinstate()
                sale_id = self._sell_and_upload(machine)
            if sale_id:
                self.proved.append((sale_id, machine))

    def duel(self) -> None:
        """Let each till and its copy, if it has one, sell and upload in turns, and see whether that is stopped."""
        for twin in self.extra:
            original = next(one for one in self.machines if one.till_id == twin.till_id)
            if twin.line.revoked or original.line.revoked:
                continue
            for machine in [twin, original] * DUEL_ROUNDS:
                self._sell_and_upload(machine)
            chains = {chain.till_id: chain for chain in self.server.store.read_tills(CLUB, store_id="")}
            self.duels.append((twin.till_id, chains[twin.till_id].status is TillStatus.SUSPENDED))
            self._reinstate()
            for machine in (twin, original):
                for _ in range(4):
                    self.time.pass_(MINUTE_MS)
                    self._reinstate()
                    machine.sync.push_once()

    def _sell_and_upload(self, machine: Machine) -> str:
        """Sell to the first member whom the till knows; return the sale, empty when it knows nobody."""
        scans = (machine.running.identify(card.number, aim_id="]C0") for card in self.cards)
        found = next((scan for scan in scans if isinstance(scan, Identified)), None)
        if found is None:
            return ""
        ask = SaleAsk(found.member.member_ref, self._basket(), sale_id=machine.new_id())
        sale_id = machine.running.sale(ask).sale_id
        self.time.pass_(MINUTE_MS)
        for _ in range(3):
            machine.sync.push_once()
        return sale_id

    def _reinstate(self) -> None:
        """A manager looks at suspended tills; of two that are one, the clone is taken out of service first."""
        for chain in self.server.store.read_tills(CLUB, store_id=""):
            if chain.status is TillStatus.SUSPENDED:
                request = store_pb2.ReinstateTillRequest(till_id=chain.till_id)
                self.server.call(
                    "store",
                    "reinstate_till",
                    request,
                    device_id="office",
                    store_id="",
                    role=options_pb2.ROLE_ADMIN,
                )


def _adjust(command_id: str, member_id: MemberId, points: int) -> ledger_pb2.AdjustRequest:
    return ledger_pb2.AdjustRequest(
        command_id=command_id, member_id=member_id, points=points or 1, reason="opening"
    )
