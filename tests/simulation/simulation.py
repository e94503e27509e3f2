"""A seeded life of stores, tills, members and a gateway: everything goes wrong, then all heals and must agree.

Every choice comes from one seed, so that a failing one replays exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tallystick.core.advice import TillStatus
from tallystick.v1 import options_pb2, store_pb2
from tallystick_till.types import Identified, SaleAsk
from tests.simulation.clockwork import MINUTE_MS
from tests.simulation.line import CALM
from tests.simulation.machine import Machine
from tests.simulation.mishaps import Mishaps
from tests.simulation.server import CLUB

HEAL_ROUNDS = 60
PROOFS = 4
"""So many sales does a till need at most that was copied: the first tells it that its chain was ended."""
DUEL_ROUNDS = 6
"""A fork shows at every third upload of two copies; so these are enough for as many as suspend a till."""


class Simulation(Mishaps):
    """One life. ``hostile`` lets tills be copied, restored, stolen and their clocks be changed."""

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
        self.server.failing.fail = ""
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
