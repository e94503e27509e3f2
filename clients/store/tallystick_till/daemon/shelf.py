"""The basket that an existing till program has put before the cashier, and what became of the last ones.

Which sale a basket became is kept in the till's file before the sale is made: whoever asks again, also after a power
cut, gets the sale that there is, and a basket is never sold twice.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from tallystick.core.record import record
from tallystick_till.daemon.errors import CONFLICT, ApiError
from tallystick_till.db import TillDb

BASKETS_KEPT_MAX: Final = 500
RESULTS_KEPT_MAX: Final = 100
WAIT_S_MAX: Final = 30
_KEY: Final = "daemon.baskets"


@record(frozen=True, slots=True)
class Offered:
    """A basket on the screen. ``document`` is the basket as it came, after it was checked."""

    document: dict[str, Any]
    basket_id: str
    reference: str


class Shelf:
    """At most one basket at a time. All methods run on the event loop, but ``claim``, which writes."""

    def __init__(self, db: TillDb, new_id: Callable[[], str]) -> None:
        self._db = db
        self._new_id = new_id
        self._claimed: OrderedDict[str, str] = OrderedDict(json.loads(db.get(_KEY) or b"[]"))
        self._results: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._news = asyncio.Condition()
        self.offered: Offered | None = None

    def offer(self, offered: Offered) -> None:
        """Show a basket in place of the one before."""
        self.offered = offered

    def clear(self) -> None:
        """Show none."""
        self.offered = None

    def claim(self, basket_id: str, sale_id: str, *, sold: Callable[[str], bool]) -> str:
        """Return the id under which a basket is to be sold, kept for good before it returns.

        ``sale_id`` is the caller's own, or empty. ``sold`` tells whether a sale stands; a basket that has become a
        sale under another id is refused.
        """
        known = self._claimed.get(basket_id, "")
        wanted = sale_id or known or self._new_id()
        if wanted == known:
            return known
        if known and sold(known):
            raise ApiError(
                CONFLICT,
                "BASKET_SOLD",
                "This basket has been sold. Ask for its result, or give the next basket an id of its own.",
                {"basket_id": basket_id, "sale_id": known},
            )
        claimed = OrderedDict(self._claimed)
        claimed[basket_id] = wanted
        claimed.move_to_end(basket_id)
        while len(claimed) > BASKETS_KEPT_MAX:
            claimed.popitem(last=False)
        self._db.put(_KEY, json.dumps(list(claimed.items())).encode())
        self._claimed = claimed
        return wanted

    def sale_of(self, basket_id: str) -> str:
        """Return the id of the sale that a basket was to become, empty for none."""
        return self._claimed.get(basket_id, "")

    async def sold(self, basket_id: str, answer: dict[str, Any]) -> None:
        """Note what a basket became, take it off the screen, and wake whoever waits for it."""
        async with self._news:
            self._results[basket_id] = answer
            while len(self._results) > RESULTS_KEPT_MAX:
                self._results.popitem(last=False)
            if self.offered is not None and self.offered.basket_id == basket_id:
                self.offered = None
            self._news.notify_all()

    def known(self, basket_id: str) -> dict[str, Any] | None:
        """Return what a basket became, as far as this process has seen it."""
        return self._results.get(basket_id)

    async def result(self, basket_id: str, wait_s: float) -> dict[str, Any] | None:
        """Wait until a basket has become a sale; None when it has not within ``wait_s``."""
        try:
            async with asyncio.timeout(wait_s), self._news:
                await self._news.wait_for(lambda: basket_id in self._results)
        except TimeoutError:
            pass
        return self._results.get(basket_id)
