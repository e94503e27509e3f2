"""A shop with a club that pays for recommendations, and what people do there from day to day."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tallystick.core.basket import Basket, Line, TaxGroup
from tallystick.core.command import Return, ReturnLine, Reverse, Sale
from tallystick.core.entry import Posted
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.service.gateway import Gateway, open_gateway
from tallystick.service.review_ports import Review, ReviewState
from tallystick.storage.open import Store
from tests.service.paper_till import DAY_MS, HOUR_MS, RULES, SHOP, Shop, new_id

PLAN = """\
referral:
  referrer_points: 500
  joiner_points: 100
  minimum_minor: 3000
  after_days: 14
  within_days: 30
"""


class Club(Shop):
    """A shop that pays 500 points to who recommends it, and 100 to who comes."""

    def __init__(self, path: Path, store: Store) -> None:
        super().__init__(path, store)
        self.publish(RULES + PLAN)

    def joined(self, *, by: MemberId | None = None, text: str = "") -> MemberId:
        """Somebody joins an hour after the one before."""
        self.wait(HOUR_MS)
        member_id = MemberId(self.member(text=text))
        if by is not None:
            assert self.gateway.referrals.note(SHOP, member_id, self.gateway.referrals.code_of(SHOP, by))
        return member_id

    def buys(self, member_id: MemberId, amount_minor: int, store_id: str = "s1") -> CommandId:
        line = Line("A-1", 1000, Minor(amount_minor), "full")
        basket = Basket("EUR", (line,), tax_groups=(TaxGroup("full", 250_000),))
        sale = Sale(CommandId(new_id()), member_id, self.origin(store_id), basket)
        assert isinstance(self.send(sale).decision, Posted)
        return sale.command_id

    def brings_back(self, member_id: MemberId, sale_id: CommandId, amount_minor: int) -> None:
        lines = (ReturnLine(1, 0, Minor(amount_minor)),)
        command = Return(CommandId(new_id()), member_id, self.origin(), sale_id, lines)
        assert isinstance(self.send(command).decision, Posted)

    def undoes(self, member_id: MemberId, sale_id: CommandId) -> None:
        command = Reverse(CommandId(new_id()), member_id, self.origin(), sale_id, "mistake")
        assert isinstance(self.send(command).decision, Posted)

    def another(self) -> Gateway:
        """Return the gateway of another process on the same store."""
        keys = self.gateway.keys()
        return open_gateway(
            self.store,
            keys=lambda: keys,
            issuer="https://tallystick.test",
            database="test",
            now_ms=lambda: Ms(self.now_ms),
        )

    def comes_round(self) -> int:
        program = self.gateway.programs.get(SHOP)
        return asyncio.run(self.gateway.payouts.come_round(program))

    def days_go_by(self, days: int) -> int:
        """Wait, and look after every day as the gateway does; return how many were paid."""
        paid = 0
        for _ in range(days):
            self.wait(DAY_MS)
            paid += self.comes_round()
        return paid

    def decides(self, review: Review, state: ReviewState, by: str = "manager") -> Review:
        decide = self.gateway.reviews.decide
        return asyncio.run(decide(SHOP, review.review_id, state, by=by, note="looked at it"))

    def open_reviews(self, kind: str = "referral") -> list[Review]:
        return self.gateway.reviews.page(SHOP, state=ReviewState.OPEN, kind=kind, before=None, limit=100)

    def state(self, member_id: MemberId) -> str:
        found = self.store.referral(SHOP, member_id)
        return found.state.name if found else ""

    def reason(self, member_id: MemberId) -> str:
        found = self.store.referral(SHOP, member_id)
        return found.reason if found else ""

    def given(self, member_id: MemberId) -> int:
        """Return the points that a member has got for recommendations."""
        whys = [why for entry in self.entries(member_id) for why in entry.detail.explanations]
        return sum(why.points for why in whys if why.code == "referral")
