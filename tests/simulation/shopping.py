"""What people do in a simulated life: buy, spend points, bring goods back, join, and spend elsewhere."""

from __future__ import annotations

from tallystick.core.command import ReturnLine, Spend
from tallystick.core.ids import MemberId
from tallystick.v1 import ledger_pb2, store_pb2, types_pb2
from tallystick_till.ports import GatewayAway, GatewayRefused
from tallystick_till.types import Identified, ReceiptScan, ReturnAsk, SaleAsk, SaleDone
from tests.simulation.machine import Crash, Machine
from tests.simulation.town import STORES, Card, Confirmed, Town


class Shopping(Town):
    """Members and cashiers at their tills, and the webshop beside them."""

    _wants_all: MemberId | None = None

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
        if rng.random() < 0.15:
            # Somebody at home spends the points while the member stands at the till.
            self._burn_elsewhere(card.member_id, self.server.account(card.member_id).active)
        spend = Spend(rng.randrange(1, 400), up_to=rng.random() < 0.7) if rng.random() < 0.6 else None
        if spend and rng.random() < 0.2:
            spend = Spend(max(1, found.member.points), up_to=True)
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
        """Spend points in the webshop: some, or all that the member has, which wants leases back."""
        member_id = self.rng.choice(self.cards).member_id
        if self._wants_all is not None and self.rng.random() < 0.7:
            # Whoever was refused points that a store had comes again, and takes what is there by then.
            member_id, self._wants_all = self._wants_all, None
            self._burn_elsewhere(member_id, self.server.account(member_id).active)
        elif self.rng.random() < 0.5:
            account = self.server.account(member_id)
            self._wants_all = member_id
            self._burn_elsewhere(member_id, account.active + account.held)
        else:
            self._burn_elsewhere(member_id, self.rng.randrange(1, 600))

    def _burn_elsewhere(self, member_id: MemberId, points: int) -> None:
        request = ledger_pb2.BurnRequest(
            command_id=self._id(),
            member_id=member_id,
            points=max(1, points),
            reason="prize",
            assurance=types_pb2.ASSURANCE_DEVICE_CODE,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_WEBSHOP),
        )
        try:
            self._web("burn", request)
        except (GatewayAway, GatewayRefused):
            return
