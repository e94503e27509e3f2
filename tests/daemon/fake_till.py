"""A till that answers at once, so that the tests of the daemon see the daemon: it adds, and does as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from tallystick_till.daemon.machine import new_id
from tallystick_till.errors import CannotSell, SaleRefused, SignInRefused, TillError
from tallystick_till.types import (
    Allowed,
    Attention,
    AuthorityView,
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
    ReturnedView,
    ReturnPreview,
    RulesView,
    SaleAsk,
    SaleDone,
    SaleLine,
    SaleView,
    Scanned,
    SignedIn,
    Status,
    TillView,
    UndoDone,
    VoucherScan,
    VoucherView,
)

MEMBER = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e11"
VOUCHER = VoucherView(new_id(), MEMBER, 200, "", 9_000)


def member(points: int = 540) -> MemberView:
    return MemberView(MEMBER, "", "gold", "Gold", points, points, 1, "open", "snapshot", 1_000, points, "")


class FakeTill:
    """One point for each 100 of the basket; burns what is asked for; keeps everything in memory."""

    def __init__(self, *, training: bool = False) -> None:
        self.on_change: Callable[[], None] | None = None
        self.asked: list[SaleAsk] = []
        self.sales: dict[str, SaleDone] = {}
        self.undone: set[str] = set()
        self.fault: TillError | None = None
        self.broken = False
        self.slow = threading.Event()
        self.slow.set()
        self.queued = 0
        self.cashier: CashierView | None = None
        self.seen: list[str] = []
        self.mode = "training" if training else "live"
        self.link = "offline"

    def change(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def identify(self, scan: str, *, aim_id: str = "", source: str = "wedge", region: str = "") -> Scanned:
        self._may()
        match scan:
            case "card":
                return Identified(member())
            case "voucher":
                return VoucherScan(VOUCHER, member())
            case "receipt":
                return ReceiptScan(self._view(next(iter(self.sales))))
            case _:
                return NotIdentified("FORMAT")

    def member(self, member_ref: str, *, voucher: str = "") -> MemberView:
        self._may()
        if member_ref != MEMBER:
            raise SaleRefused("MEMBER_UNKNOWN", "Scan the member's card first.")
        return replace(member(), burn_limit_points=540 + (VOUCHER.points if voucher else 0))

    def quote(self, ask: SaleAsk) -> Quote:
        self._may()
        total = sum(line.amount_minor for line in ask.basket.lines)
        burned = ask.spend.points if ask.spend else 0
        return Quote(total // 100, burned, burned, total - burned, 540, (), None, True)

    def sale(self, ask: SaleAsk) -> SaleDone:
        self.slow.wait(5)
        self._may()
        sale_id = ask.sale_id or new_id()
        if sale_id not in self.sales:
            quoted = self.quote(ask)
            if quoted.burned_points > 540:
                raise SaleRefused("INSUFFICIENT_POINTS", details={"available": "540"})
            self.asked.append(replace(ask, sale_id=sale_id))
            parts = (AuthorityView("floor", quoted.burned_points),) if quoted.burned_points else ()
            self.sales[sale_id] = SaleDone(
                sale_id,
                ask.member_ref,
                quoted.earned_points,
                quoted.burned_points,
                quoted.discount_minor,
                quoted.payable_minor,
                540 + quoted.earned_points - quoted.burned_points,
                True,
                parts,
                Receipt(("Points earned 12",), "123"),
            )
            self.queued += 1
            self.change()
        return self.sales[sale_id]

    def sale_done(self, sale_id: str) -> SaleDone | None:
        return self.sales.get(sale_id)

    def undo(self, sale_id: str, undo_id: str = "") -> UndoDone:
        if sale_id not in self.sales:
            raise SaleRefused("SALE_UNKNOWN")
        self.undone.add(sale_id)
        self.change()
        return UndoDone(undo_id or new_id(), sale_id, 0, 12, 540)

    def recent(self, limit: int) -> list[SaleView]:
        return [self._view(sale_id) for sale_id in reversed(self.sales)][:limit]

    def sale_view(self, sale_id: str) -> SaleView | None:
        return self._view(sale_id) if sale_id in self.sales else None

    def preview_return(self, ask: ReturnAsk) -> ReturnPreview:
        lines = tuple(ReturnedView(line.line_no, line.quantity_milli, 100) for line in ask.lines)
        return ReturnPreview(100, 1, 0, 0, 539, lines, exact=True)

    def give_back(self, ask: ReturnAsk) -> ReturnDone:
        seen = self.preview_return(ask)
        return ReturnDone(
            ask.return_id or new_id(), ask.sale_id, 100, 1, 0, 0, 539, seen.lines, exact=True, state="queued"
        )

    def enrol(self, text: str, *, region: str = "", member_id: str = "") -> Enrolled:
        return Enrolled(member(0), "", "queued")

    def queue(self, limit: int) -> list[QueueItem]:
        item = QueueItem(new_id(), "sale", 2_000, "adjusted", ("SHORTFALL",), 12, 10, False, "R-1")
        waiting = replace(item, state="queued", occurred_ms=1_500, reasons=())
        return [item, waiting][:limit]

    def mark_seen(self, advice_id: str) -> None:
        self.seen.append(advice_id)

    def cashiers(self) -> list[CashierView]:
        return [CashierView("anna", "Anna")]

    def sign_in(self, cashier_id: str, pin: str) -> SignedIn:
        if pin != "4711":
            raise SignInRefused("PIN_WRONG")
        self.cashier = CashierView(cashier_id, "Anna")
        self.change()
        return SignedIn(self.cashier, "stand-in")

    def sign_out(self) -> None:
        self.cashier = None
        self.change()

    def status(self) -> Status:
        if self.broken:
            raise CannotSell("OUTBOX_CORRUPT")
        return Status(
            TillView("0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e22", "Till 2 [bold]", "high-street", "self"),
            ProgramView("demo", "Demo", "EUR", 2, 100, 100, 100, 1),
            self.mode,
            self.link,
            1_000,
            900,
            self.queued,
            Attention(1, 0, 0),
            1_240,
            FloorView(240, 1_000),
            Allowed(False, "CLOCK_UNTRUSTED"),
            Allowed(True, ""),
            RulesView(7, 5_000),
            ProtocolView(False),
            self.cashier,
            False,
        )

    def _may(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _view(self, sale_id: str) -> SaleView:
        done = self.sales[sale_id]
        return SaleView(
            sale_id,
            1_000,
            "R-1",
            done.member_ref,
            done.payable_minor + done.discount_minor,
            done.earned_points,
            done.burned_points,
            done.discount_minor,
            done.payable_minor,
            (SaleLine(1, "tea", "Tea", 1_000, done.payable_minor, 0, 0),),
            sale_id in self.undone,
            "queued",
        )
