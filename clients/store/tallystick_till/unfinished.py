"""Requests that got no answer and became no sale: what the gateway did with them is found out and undone."""

from __future__ import annotations

from collections.abc import Callable

from tallystick.core.ids import CommandId, MemberId
from tallystick.v1 import ledger_pb2
from tallystick_till.clock import TillClock
from tallystick_till.db import TillDb
from tallystick_till.facts import Facts
from tallystick_till.ports import Gateway, GatewayRefused
from tallystick_till.sales import KeptSale, SaleBook

UNFINISHED_AFTER_MS = 120_000
"""So long a cashier may still try again with the same id, before a request without an answer is given up."""


class Unfinished:
    """Settles them. One at a time: the caller holds the till's lock."""

    def __init__(self, db: TillDb, clock: TillClock, facts: Facts, sales: SaleBook, gateway: Gateway) -> None:
        self._db = db
        self._clock = clock
        self._facts = facts
        self._sales = sales
        self._gateway = gateway

    def settle(self, undo: Callable[[KeptSale], object]) -> int:
        """Find out what the gateway did with requests that got no answer and became no sale; undo what it posted.

        The member must not pay for goods that did not leave the shop. Returns how many are settled. Raises
        ``GatewayAway``.
        """
        settled = 0
        now_ms = int(self._clock.now_ms())
        for sale_id, asked_ms, raw in self._sales.asking():
            if 0 <= now_ms - asked_ms < UNFINISHED_AFTER_MS:
                continue
            request = ledger_pb2.PostSaleRequest.FromString(raw)
            try:
                decision = self._gateway.post_sale(request).decision
            except GatewayRefused:
                continue
            with self._db.write() as tx:
                if decision.WhichOneof("outcome") == "posted":
                    sale = self._posted_without_us(request, decision.posted)
                    seq = decision.posted.entry.seq
                    self._facts.add(tx, sale_id, sale.member_id, sale.earned - sale.burned, member_seq=seq)
                    undo(sale)
                self._sales.give_up(tx, sale_id)
            settled += 1
        return settled

    def _posted_without_us(self, request: ledger_pb2.PostSaleRequest, posted: ledger_pb2.Posted) -> KeptSale:
        gains = posted.benefits
        return KeptSale(
            CommandId(request.command_id),
            MemberId(request.member_id),
            self._clock.now_ms(),
            request.origin.reference,
            posted.entry.rule_set_version,
            gains.earned_points,
            gains.burned_points,
            gains.discount_minor,
            gains.payable_minor,
            (),
            (),
        )
