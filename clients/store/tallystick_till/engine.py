"""The till: one object that sells, takes back, signs up and identifies, and that keeps in step with the gateway.

Every method is synchronous and may be called from several threads. Sales and the like come one after the other; the
sync's methods do not wait for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.security.keys import SigningKey, VerifyKey
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import store_pb2
from tallystick.wire.advices import Unreadable, id_text
from tallystick_till.authority import FLOOR_SPENT, GATEWAY_BEHIND, Burns
from tallystick_till.cashiers import Cashiers
from tallystick_till.clock import TillClock
from tallystick_till.db import TillDb
from tallystick_till.enrolling import Enroller
from tallystick_till.errors import NO_RULES, OUTBOX_CORRUPT
from tallystick_till.facts import Facts
from tallystick_till.giving_back import GivingBack
from tallystick_till.identify import People, Seen, SeenVoucher
from tallystick_till.leases import Leases
from tallystick_till.link import Link
from tallystick_till.members import MemberViews
from tallystick_till.outbox import BATCH_BYTES_MAX, BATCH_COUNT_MAX, Outbox, Untold
from tallystick_till.ports import Clock, Gateway, GatewayAway, Hub, Identity, Snapshot
from tallystick_till.receipt import decimals
from tallystick_till.returning import Returner
from tallystick_till.rulebook import Rulebook
from tallystick_till.sales import DONE, KeptSale, SaleBook
from tallystick_till.selling import Seller
from tallystick_till.types import (
    Allowed,
    CashierView,
    Enrolled,
    FloorView,
    Identified,
    MemberView,
    NotIdentified,
    ProgramView,
    ProtocolView,
    QueueItem,
    Quote,
    Receipt,
    ReceiptScan,
    ReturnAsk,
    ReturnDone,
    ReturnPreview,
    RulesView,
    SaleAsk,
    SaleDone,
    SaleView,
    Scanned,
    SignedIn,
    Status,
    TillView,
    UndoDone,
    VoucherScan,
)
from tallystick_till.unfinished import Unfinished

PRUNE_SALES_EVERY_MS = 86_400_000


class Till:
    """One till. ``on_change`` is called, from whatever thread, when the status may be another one."""

    def __init__(
        self,
        *,
        identity: Identity,
        key: SigningKey,
        db: TillDb,
        snapshot: Snapshot,
        hub: Hub,
        gateway: Gateway,
        clock: Clock,
        new_id: Callable[[], str],
        training: bool = False,
    ) -> None:
        self.identity = identity
        self.key = key
        self.db = db
        self.snapshot = snapshot
        self.training = training
        self.machine = clock
        self.new_id = new_id
        self.on_change: Callable[[], None] | None = None
        self._lock = threading.RLock()
        self.rulebook = Rulebook(db, program_id=identity.program_id)
        self._clock = TillClock(clock, db, self.rulebook, till_id=identity.till_id)
        self._link = Link(db, self._clock, self.rulebook)
        self._leases = Leases(hub, clock)
        self._facts = Facts(db, snapshot, self._leases)
        self._outbox = Outbox(db, self._facts, self._clock, key=key, till_id=identity.till_id)
        self._sales = SaleBook(db, self._outbox)
        self._burns = Burns(self.rulebook, self._clock, self._link, self._outbox, self._leases)
        self._people = People(
            db=db,
            identity=identity,
            snapshot=snapshot,
            gateway=gateway,
            rulebook=self.rulebook,
            clock=self._clock,
            machine=clock,
            link=self._link,
            facts=self._facts,
            sales=self._sales,
            leases=self._leases,
        )
        self._views = MemberViews(identity, self.rulebook, self._clock, self._link, self._facts, self._burns)
        self._seller = Seller(
            db=db,
            identity=identity,
            key=key,
            rulebook=self.rulebook,
            clock=self._clock,
            link=self._link,
            outbox=self._outbox,
            facts=self._facts,
            burns=self._burns,
            people=self._people,
            sales=self._sales,
            gateway=gateway,
            giving_back=GivingBack(gateway, self._leases, self._link),
            new_id=new_id,
            training=training,
        )
        self._returner = Returner(
            db=db,
            rulebook=self.rulebook,
            clock=self._clock,
            link=self._link,
            outbox=self._outbox,
            facts=self._facts,
            people=self._people,
            sales=self._sales,
            gateway=gateway,
            new_id=new_id,
        )
        self._enroller = Enroller(
            db=db,
            identity=identity,
            snapshot=snapshot,
            rulebook=self.rulebook,
            clock=self._clock,
            link=self._link,
            outbox=self._outbox,
            people=self._people,
            gateway=gateway,
            new_id=new_id,
        )
        self._unfinished = Unfinished(db, self._clock, self._facts, self._sales, gateway)
        self._cashiers = Cashiers(db, self.rulebook, self._link, gateway)
        self._newer_protocol = False
        self._pruned_ms = 0

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One at a time; afterwards, and also after a refusal, whoever shows the status looks again."""
        try:
            with self._lock:
                yield
        finally:
            self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    # What the counter does.

    def identify(self, scan: str, *, aim_id: str = "", source: str = "wedge", region: str = "") -> Scanned:
        """Return who or what a scan is. It never raises for what the scan holds."""
        with self._lock:
            found = self._people.find(scan, aim_id=aim_id, source=source, region=region)
            match found:
                case Seen():
                    return Identified(self._views.view(found))
                case SeenVoucher(voucher):
                    seen = self._people.seen(voucher.member_ref)
                    if seen is None:
                        return NotIdentified("UNKNOWN")
                    return VoucherScan(voucher, self._views.view(seen, voucher))
                case KeptSale():
                    return ReceiptScan(self._sales.view(found))
                case NotIdentified():
                    return found

    def member(self, member_ref: str, *, voucher: str = "") -> MemberView:
        """Return a member at the counter as they are now, with the voucher in hand. Raises ``SaleRefused``."""
        with self._lock:
            return self._views.view(*self._people.at_counter(member_ref, voucher))

    def quote(self, ask: SaleAsk) -> Quote:
        """Say what a sale would do. Raises ``SaleRefused`` when it makes no sense at all."""
        with self._lock:
            return self._seller.quote(ask)

    def sale(self, ask: SaleAsk) -> SaleDone:
        """Sell. The sale is on the disk when this returns. Raises ``SaleRefused``, or ``CannotSell``."""
        with self._changing():
            return self._seller.sale(ask)

    def preview_return(self, ask: ReturnAsk) -> ReturnPreview:
        """Say what a return would do. Raises ``SaleRefused``."""
        with self._lock:
            return self._returner.preview(ask)

    def give_back(self, ask: ReturnAsk) -> ReturnDone:
        """Take goods back. Raises ``SaleRefused``."""
        with self._changing():
            return self._returner.give_back(ask)

    def undo(self, sale_id: str, undo_id: str = "") -> UndoDone:
        """Undo a sale of this till. Raises ``SaleRefused``."""
        with self._changing():
            return self._returner.undo(sale_id, undo_id)

    def enrol(self, text: str, *, region: str = "", member_id: str = "") -> Enrolled:
        """Make a member. Raises ``SaleRefused``."""
        with self._changing():
            joined = self._enroller.enrol(text, region=region, member_id=member_id)
            return Enrolled(self._views.view(joined.seen), joined.number, joined.state)

    def recent(self, limit: int) -> list[SaleView]:
        """Return this till's sales, newest first."""
        return self._sales.recent(limit)

    def sale_view(self, sale_id: str) -> SaleView | None:
        """Return a sale that this till knows."""
        kept = self._sales.find(sale_id, own=False)
        return self._sales.view(kept) if kept else None

    def sale_done(self, sale_id: str) -> SaleDone | None:
        """Return the answer that a sale got, None when this till made no such sale."""
        row = self._sales.row(sale_id)
        return self._sales.answer(row[3]) if row is not None and row[0] == DONE else None

    def receipt(self, sale_id: str) -> Receipt | None:
        """Return what was printed for a sale."""
        done = self.sale_done(sale_id)
        return done.receipt if done else None

    def queue(self, limit: int) -> list[QueueItem]:
        """Return what needs an eye, then what waits."""
        return self._outbox.items(limit)

    def mark_seen(self, advice_id: str) -> None:
        """Note that somebody has read a verdict."""
        with self._changing():
            self._outbox.mark_seen(advice_id)

    def cashiers(self) -> list[CashierView]:
        """Return who may sign in at this store."""
        return self._cashiers.all()

    def sign_in(self, cashier_id: str, pin: str) -> SignedIn:
        """Sign a cashier in. Raises ``SignInRefused``."""
        with self._changing():
            return self._cashiers.sign_in(cashier_id, pin)

    def sign_out(self) -> None:
        """Sign whoever is signed in out."""
        with self._changing():
            self._cashiers.sign_out()

    def status(self) -> Status:
        """Return all that the screen shows around a sale."""
        self.db.probe()
        rules = self.rulebook.current
        burning = rules.burning if rules else None
        cap = rules.offline.floor_till_points if rules else 0
        used = self._outbox.floor_open()
        program = ProgramView(
            self.identity.program_id,
            rules.name if rules else "",
            rules.currency if rules else "",
            decimals(rules.currency) if rules else 0,
            burning.value_points if burning else 0,
            burning.value_minor if burning else 0,
            burning.unit_points if burning else 0,
            burning.minimum_points if burning else 0,
        )
        sell = self._may_sell()
        burn = self._may_burn(cap - used)
        own = cap if burn.allowed else used
        others = max(0, len(self.rulebook.news.tills) - 1)
        return Status(
            self._view(),
            program,
            "training" if self.training else "live",
            "online" if self._link.online else "offline",
            self._link.since_ms,
            self._link.contact_ms,
            self._outbox.queued(),
            self._outbox.attention(),
            own + others * cap,
            FloorView(used, cap),
            burn,
            sell,
            RulesView(rules.version if rules else 0, self.rulebook.valid_until_ms),
            ProtocolView(self._newer_protocol),
            self._cashiers.signed_in(),
            bool(self._cashiers.all()),
        )

    def _view(self) -> TillView:
        labels = {till.till_id: till.label for till in self.rulebook.news.tills}
        return TillView(
            self.identity.till_id,
            self.identity.label,
            self.identity.store_id,
            self._leases.state,
            tuple(labels.get(till_id) or till_id for till_id in self._leases.rivals()),
        )

    def _may_sell(self) -> Allowed:
        reason = self.db.fault or (OUTBOX_CORRUPT if self._outbox.broken else "")
        if not reason and self.rulebook.current is None:
            reason = NO_RULES
        return Allowed(not reason, reason)

    def _may_burn(self, floor_left: int) -> Allowed:
        """Leases and vouchers go on when the floor limit is spent; so that is said, and forbids nothing.

        Nor does a gateway that was restored from too long ago: what is asked of it, it decides.
        """
        stop = self._burns.stop_asking() if self._link.online else self._burns.stop()
        if stop:
            return Allowed(allowed=False, reason=stop)
        if self._outbox.behind:
            return Allowed(allowed=True, reason=GATEWAY_BEHIND)
        return Allowed(allowed=True, reason=FLOOR_SPENT if floor_left <= 0 and not self._link.online else "")

    # What the sync does.

    def next_batch(
        self, max_count: int = BATCH_COUNT_MAX, max_bytes: int = BATCH_BYTES_MAX
    ) -> store_pb2.PushAdvicesRequest | None:
        """Return what to send next, None when there is nothing to say."""
        return None if self.training else self._outbox.next_batch(max_count, max_bytes)

    def untold(self) -> list[Untold]:
        """Return adjustments that somebody has read here and the gateway does not know of."""
        return [] if self.training else self._outbox.untold()

    def note_told(self, advice_id: str) -> None:
        """Note that the gateway knows of it. Raises ``CannotSell`` when the disk takes nothing."""
        self._outbox.note_told(advice_id)

    def take_verdicts(
        self, request: store_pb2.PushAdvicesRequest, response: store_pb2.PushAdvicesResponse
    ) -> None:
        """Keep the verdicts of a batch. Raises ``CannotSell`` when the disk takes nothing: then ask again later."""
        try:
            self._outbox.take_verdicts(request, response)
            with self.db.write() as tx:
                tx.execute(
                    "UPDATE enrolled SET state = 'posted' WHERE state = 'queued' AND advice_id IN"
                    " (SELECT advice_id FROM advice WHERE verdict_kind > 0)"
                )
            self._prune()
        finally:
            self._changed()

    def _prune(self) -> None:
        now_ms = int(self._clock.now_ms())
        if self._clock.trusted() and now_ms - self._pruned_ms >= PRUNE_SALES_EVERY_MS:
            self._sales.prune(now_ms)
            self._pruned_ms = now_ms

    def take_store_news(self, news: store_pb2.StoreNews) -> list[str]:
        """Go by what the gateway tells the store. Returns what was left out because it did not hold."""
        with self._changing():
            return self.rulebook.take(news)

    def take_members(self, members: list[store_pb2.MemberState]) -> None:
        """Go by changed members, which the snapshot holds already: drop settled facts, tell the hub of leases."""
        reached: list[tuple[str, int]] = []
        for member in members:
            try:
                reached.append((id_text(member.member_id), member.seq))
            except Unreadable:
                continue
        # Before the facts go: a balance that was told at the scan needs those that it was told without.
        for member_id, _ in reached:
            self._people.news_of(MemberId(member_id))
        with self.db.write() as tx:
            self._facts.forget(tx, reached)
            tx.executemany(
                "DELETE FROM enrolled WHERE member_id = ? AND state != 'asking'",
                [(member_id,) for member_id, _ in reached],
            )
            self._leases.tell_members(members)
        self._changed()

    def take_anchor(self, anchor: pb.Signed) -> bool:
        """Take the gateway's time; False when it does not hold."""
        return self._clock.take(anchor)

    def take_protocol(self, *, newer: bool) -> None:
        """Note whether the gateway speaks a newer protocol than this till."""
        if newer != self._newer_protocol:
            self._newer_protocol = newer
            self._changed()

    def gateway_answered(self) -> None:
        """Note that the gateway is there."""
        if self._link.answered():
            self._changed()

    def gateway_away(self) -> None:
        """Note that the gateway does not answer."""
        if self._link.away():
            self._changed()

    def gateway_refused(self, reason: str) -> None:
        """Note an error that the gateway answered with: it may mean that this till is shut out."""
        if self._link.refused(reason):
            self._changed()

    def settle_unfinished(self) -> int:
        """Settle requests that got no answer and became no sale; returns how many. For when the line is back."""
        with self._changing():
            try:
                return self._unfinished.settle(lambda sale: self._returner.append_undo(sale, self._undo_id()))
            except GatewayAway:
                self._link.away()
                return 0

    def _undo_id(self) -> CommandId:
        return CommandId(self.new_id())

    def now_ms(self) -> Ms:
        """Return the till's best estimate of the time."""
        return self._clock.now_ms()

    def server_keys(self) -> Mapping[str, VerifyKey]:
        """Return the gateway's public keys that count now, by key id."""
        return self.rulebook.server_keys

    def till_keys(self) -> Mapping[str, VerifyKey]:
        """Return the public keys of the store's tills, by till id."""
        return self.rulebook.till_keys
