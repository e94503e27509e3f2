"""A street of stores for scenarios: the product's own tills and gateway, and lines that go down when a test says so."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tallystick.core.basket import Basket, Channel, Line
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.entry import Entry
from tallystick.core.ids import MemberId, Minor, Ms
from tallystick.service.identity import Enrolled, Text
from tallystick.service.ports import InboxItem, InboxState
from tallystick.storage.verify import verify
from tallystick.v1 import ledger_pb2, options_pb2, store_pb2, types_pb2
from tallystick_till.types import Identified, ReturnAsk, ReturnDone, SaleAsk, SaleDone
from tests.simulation.clockwork import Time
from tests.simulation.line import CALM
from tests.simulation.machine import Machine
from tests.simulation.server import CLUB, Server
from tests.simulation.town import RULES, key_of

DAY_MS = 86_400_000


@dataclass
class Person:
    """A member at the counter."""

    member_id: MemberId
    number: str


class Street:
    """Stores with a till each (the first of a store is its hub), one gateway, and members."""

    def __init__(self, root: Path, **rules: Any) -> None:
        self.root = root
        self.time = Time()
        self.rng = Random(1)
        self.rules = {**RULES, **rules}
        self.server = self._serve()
        self.tills: list[Machine] = []

    def _serve(self) -> Server:
        return Server(self.time, self.rng, self.rules)

    def close(self) -> None:
        for till in self.tills:
            till.db.close()
        self.server.close()

    def till(self, store_id: str, *, hub: Machine | None = None) -> Machine:
        """Set a till up that has heard of everything."""
        number = len(self.tills)
        till_id = f"0190b000-0000-7000-8000-{number:012d}"
        self.server.add_till(till_id, store_id, key_of(number))
        till = Machine(
            self.server,
            self.time,
            self.rng,
            till_id=till_id,
            store_id=store_id,
            key=key_of(number),
            path=self.root / f"till-{number}",
            hub=hub,
            weather=CALM,
        )
        self.tills.append(till)
        self.sync(till)
        return till

    def member(self, points: int = 0) -> Person:
        """Enrol a member with points."""
        member_id = MemberId(str(uuid.UUID(int=self.rng.getrandbits(128), version=4)))
        made = self.server.gateway.identity.enrol(
            CLUB,
            member_id,
            Text(""),
            enrolled_ms=Ms(self.time.now_ms),
            channel=Channel.STORE,
            store_id="",
        )
        assert isinstance(made, Enrolled)
        if points:
            self.office(
                "adjust",
                ledger_pb2.AdjustRequest(
                    command_id=self.new_id(), member_id=member_id, points=points, reason="opening"
                ),
            )
        self.sync(*self.tills)
        return Person(member_id, made.member.number)

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def office(self, method: str, request: Any, *, service: str = "ledger") -> Any:
        """Call as the back office does."""
        return self.server.call(
            service, method, request, device_id="office", store_id="", role=options_pb2.ROLE_ADMIN
        )

    def webshop_burns(self, person: Person, points: int) -> bool:
        """Spend points in the webshop; False when that is refused."""
        response = self.office(
            "burn",
            ledger_pb2.BurnRequest(
                command_id=self.new_id(),
                member_id=person.member_id,
                points=points,
                reason="prize",
                assurance=types_pb2.ASSURANCE_DEVICE_CODE,
            ),
        )
        return bool(response.decision.WhichOneof("outcome") == "posted")

    def voucher(self, person: Person, store_id: str, points: int) -> str:
        """Turn points into a voucher; return what its code shows."""
        response = self.office(
            "issue_voucher",
            store_pb2.IssueVoucherRequest(
                voucher_id=self.new_id(),
                member_id=person.member_id,
                store_id=store_id,
                points=points,
                assurance=types_pb2.ASSURANCE_DEVICE_CODE,
            ),
            service="store",
        )
        return str(response.voucher.digits)

    def sync(self, *tills: Machine, leases: bool = False) -> None:
        """Let tills upload and hear the news."""
        for till in tills:
            while till.sync.push_once() and till.running.status().queued:
                continue
            till.sync.watch_once()
            if leases:
                till.sync.leases_once()
                till.sync.watch_once()

    def offline(self, *tills: Machine) -> None:
        for till in tills:
            till.line.down = True

    def online(self, *tills: Machine) -> None:
        for till in tills:
            till.line.down = False

    def lease(self, till: Machine, person: Person) -> int:
        """Let the member be seen at a store, and the store get its lease; return what it may burn."""
        self.scan(till, person)
        self.sync(till, leases=True)
        return till.leased(person.member_id)

    def wait(self, *, days: float = 0, minutes: float = 0) -> None:
        self.time.pass_(int(days * DAY_MS + minutes * 60_000))

    # At the counter.

    def scan(self, till: Machine, person: Person) -> Identified:
        found = till.running.identify(person.number, aim_id="]C0")
        assert isinstance(found, Identified), found
        return found

    def sale(
        self,
        till: Machine,
        person: Person,
        amount: int = 10_000,
        *,
        burn: int = 0,
        voucher: str = "",
        sku: str = "thing",
    ) -> SaleDone:
        """Sell one line of four pieces; raises ``SaleRefused``."""
        self.scan(till, person)
        basket = Basket("EUR", (Line(sku, 4000, Minor(amount)),))
        return till.running.sale(
            SaleAsk(
                person.member_id,
                basket,
                spend=Spend(burn) if burn else None,
                voucher=voucher,
                sale_id=till.new_id(),
            )
        )

    def give_back(self, till: Machine, sale: SaleDone, pieces: int = 4) -> ReturnDone:
        if till.running.sale_view(sale.sale_id) is None:
            till.running.identify(sale.receipt.qr)
        return till.running.give_back(ReturnAsk((ReturnLine(1, 1000 * pieces),), sale.sale_id))

    # In the books.

    def balance(self, person: Person) -> int:
        return self.server.account(person.member_id).active

    def entries(self, person: Person) -> list[Entry]:
        rows = self.server.store.read_entries(CLUB, person.member_id, before_seq=None, limit=1_000)
        return [entry for entry, _ in reversed(rows)]

    def entry(self, person: Person, sale: SaleDone) -> Entry:
        """Return the one entry of a sale."""
        (entry,) = [one for one in self.entries(person) if one.command_id == sale.sale_id]
        return entry

    def inbox(self, state: InboxState = InboxState.OPEN) -> list[InboxItem]:
        return self.server.store.read_inbox(CLUB, store_id="", state=state, before=None, limit=1_000)

    def loss(self, store_id: str) -> int:
        """Return what a store has paid for."""
        return self.server.store.read_exposure(CLUB, store_id=store_id).lost_points

    def books_are_right(self) -> bool:
        report = verify(self.server.store, CLUB)
        assert report.ok, report.first
        return True
