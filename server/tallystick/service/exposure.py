"""What a store can lose at this moment, by till."""

from __future__ import annotations

from typing import Protocol

from tallystick.core.advice import TillChain
from tallystick.core.ids import ProgramId
from tallystick.core.record import record
from tallystick.core.rules.model import Offline
from tallystick.service.directory import Device, DeviceStatus, Directory
from tallystick.service.errors import NotFound
from tallystick.service.ports import LedgerReader
from tallystick.service.rulebook import RuleBook

PAGE = 1_000
DEVICES_MAX = 100_000
"""Most devices of a program that are looked through for the tills of one store."""


class Store(LedgerReader, Directory, Protocol):
    """What is read for it."""


@record(frozen=True, slots=True)
class TillRisk:
    """One till: who it is, what the gateway has of it, and what it may burn at the store's risk."""

    till_id: str
    label: str
    floor_cap_points: int
    chain: TillChain
    keeps_leases: bool = False
    """Whether it asked for leases of its store that are open."""


@record(frozen=True, slots=True)
class StoreRisk:
    """A store: ``worst_case_points`` is what its tills may burn at its risk before they are heard of again."""

    store_id: str
    worst_case_points: int
    leased_points: int
    voucher_points: int
    lost_points: int
    tills: tuple[TillRisk, ...]


class Exposures:
    """The use cases around what a store can lose. Safe to use from several threads.

    ``till_role`` is the role of devices that are tills.
    """

    def __init__(self, store: Store, rulebook: RuleBook, *, till_role: int) -> None:
        self._store = store
        self._rulebook = rulebook
        self._till_role = till_role

    def of_store(self, program_id: ProgramId, store_id: str) -> StoreRisk:
        """Return what a store can lose."""
        cap = self._cap(program_id)
        chains = {chain.till_id: chain for chain in self._store.read_tills(program_id, store_id=store_id)}
        escrowed = self._store.read_exposure(program_id, store_id=store_id)
        tills = tuple(
            TillRisk(
                till.device_id,
                till.label,
                cap,
                chains.get(till.device_id, TillChain(till.device_id, store_id)),
                till.device_id in escrowed.lease_tills,
            )
            for till in self.tills_of(program_id, store_id)
        )
        return StoreRisk(
            store_id,
            cap * len(tills),
            escrowed.leased_points,
            escrowed.voucher_points,
            escrowed.lost_points,
            tills,
        )

    def of_till(self, program_id: ProgramId, chain: TillChain) -> TillRisk:
        """Return one till's part."""
        device = self._store.device(program_id, chain.till_id)
        keepers = self._store.read_exposure(program_id, store_id=chain.store_id).lease_tills
        label = device.label if device else ""
        return TillRisk(chain.till_id, label, self._cap(program_id), chain, chain.till_id in keepers)

    def till(self, program_id: ProgramId, till_id: str, *, store_id: str) -> Device:
        """Return a till. ``store_id`` is the caller's store, empty for all. Raises ``NotFound``."""
        device = self._store.device(program_id, till_id)
        if device is None or device.role != self._till_role or store_id not in ("", device.store_id):
            raise NotFound("There is no such till.", reason="TILL_NOT_FOUND", till_id=till_id)
        return device

    def tills_of(self, program_id: ProgramId, store_id: str) -> list[Device]:
        """Return the tills of a store that may work, by id."""
        found: list[Device] = []
        after = ""
        for _ in range(DEVICES_MAX // PAGE):
            page = self._store.devices(program_id, after=after, limit=PAGE)
            found.extend(
                device
                for device in page
                if device.store_id == store_id
                and device.role == self._till_role
                and device.status is DeviceStatus.ACTIVE
            )
            if len(page) < PAGE:
                break
            after = page[-1].device_id
        return found

    def _cap(self, program_id: ProgramId) -> int:
        rules = self._rulebook.current(program_id)
        return (rules.offline if rules else Offline()).floor_till_points
