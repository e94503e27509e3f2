"""What happens to tills and lines in a simulated life, by bad luck or by bad people."""

from __future__ import annotations

from tallystick.core.basket import Basket, Line
from tallystick.core.ids import Minor
from tallystick.core.state import HoldKind
from tallystick.v1 import advice_pb2, types_pb2
from tallystick.wire.advices import id_bytes
from tallystick.wire.basket import basket_to_pb
from tallystick_till.ports import GatewayAway
from tests.simulation.clockwork import DAY_MS, HOUR_MS
from tests.simulation.machine import Machine
from tests.simulation.server import CLUB
from tests.simulation.shopping import Shopping
from tests.simulation.town import RULES, STORES, Confirmed


class Mishaps(Shopping):
    """Lines, machines and the gateway fail; disks are copied and restored; tills are stolen, and lie."""

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
