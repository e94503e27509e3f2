"""The engine behind the local API: the till that is worked with, live or training, and the till program's basket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from tallystick_till.daemon.errors import CONFLICT, NOT_FOUND, ApiError
from tallystick_till.daemon.shelf import Offered, Shelf
from tallystick_till.errors import CannotSell
from tallystick_till.types import SaleAsk

if TYPE_CHECKING:
    from tallystick_till.engine import Till

RECENT_MAX: Final = 200


class Desk:
    """What one screen works at. Methods block (they write and may ask the gateway): call them off the event loop.

    ``training`` makes a till of which nothing leaves this process; it is made anew each time training begins. ``wake``
    is called when the live till has changed: there may be something to send.
    """

    def __init__(
        self,
        till: Till,
        shelf: Shelf,
        training: Callable[[], Till],
        *,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self._live = till
        self._wake = wake or _nothing
        self._training: Till | None = None
        self._make_training = training
        self._changed: Callable[[], None] = _nothing
        self._selling = Lock()
        self._shown: dict[str, Any] = {}
        self.shelf = shelf

    @property
    def till(self) -> Till:
        """The till that is worked with now."""
        return self._training or self._live

    @property
    def live(self) -> bool:
        return self._training is None

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever the state may be another one; from whatever thread."""

        def live_changed() -> None:
            self._wake()
            changed()

        self._changed = changed
        self._live.on_change = live_changed

    def train(self, *, on: bool) -> None:
        """Begin or end training; a basket of the till program stays with the live till."""
        if on and self._training is None:
            self._training = self._make_training()
            self._training.on_change = self._changed
        elif not on:
            self._training = None
        self._changed()

    def state(self) -> dict[str, Any]:
        """The body of GET /state."""
        basket = self.shelf.offered if self.live else None
        return {
            **self._status(),
            "basket": basket.document if basket else None,
            "basket_id": basket.basket_id if basket else "",
            "basket_reference": basket.reference if basket else "",
        }

    def _status(self) -> dict[str, Any]:
        try:
            self._shown = asdict(self.till.status())
        except CannotSell as error:
            # A file that broke while the till ran: the screen must be able to say so.
            if not self._shown:
                raise
            return {**self._shown, "sell": {"allowed": False, "reason": error.reason}}
        return self._shown

    def offer(self, offered: Offered) -> None:
        """Show a till program's basket. Raises ``ApiError`` while training, or when it was sold before."""
        self._require_live()
        sale_id = self.shelf.sale_of(offered.basket_id)
        if sale_id and self._stands(sale_id):
            raise ApiError(
                CONFLICT,
                "BASKET_SOLD",
                "This basket has been sold. Ask for its result, or give the next one an id of its own.",
                {"basket_id": offered.basket_id, "sale_id": sale_id},
            )
        self.shelf.offer(offered)
        self._changed()

    def withdraw(self) -> None:
        """Show no basket."""
        self.shelf.clear()
        self._changed()

    def sell(self, ask: SaleAsk) -> dict[str, Any]:
        """Make a sale; the body of the answer. It is on the disk when this returns."""
        if not ask.basket_id:
            return asdict(self.till.sale(ask))
        self._require_live()
        # One at a time: two screens must not make two sales of one basket.
        with self._selling:
            sale_id = self.shelf.claim(ask.basket_id, ask.sale_id, sold=self._stands)
            return asdict(self._live.sale(replace(ask, sale_id=sale_id)))

    def result(self, basket_id: str) -> dict[str, Any] | None:
        """What a basket became, also before the last restart; None while it has not been sold."""
        known = self.shelf.known(basket_id)
        sale_id = self.shelf.sale_of(basket_id)
        if known is not None or not sale_id:
            return known
        done = self._live.sale_done(sale_id)
        return None if done is None else asdict(done)

    def queue(self, limit: int) -> dict[str, Any]:
        """The body of GET /queue: what needs an eye first, then what waits, the oldest first."""
        items = self.till.queue(limit)
        waiting = [item.occurred_ms for item in items if item.state == "queued"]
        return {
            "queued": self.till.status().queued,
            "oldest_ms": min(waiting, default=0),
            "items": [asdict(item) for item in items],
        }

    def sale(self, sale_id: str) -> dict[str, Any]:
        """One sale of this till. Raises ``ApiError`` when it does not know it."""
        view = self.till.sale_view(sale_id)
        if view is None:
            raise ApiError(
                NOT_FOUND, "SALE_UNKNOWN", "This till does not know the sale.", {"sale_id": sale_id}
            )
        return asdict(view)

    def _stands(self, sale_id: str) -> bool:
        view = self._live.sale_view(sale_id)
        return view is not None and not view.undone

    def _require_live(self) -> None:
        if not self.live:
            raise ApiError(
                CONFLICT, "TRAINING", "The till is in training: nothing sold now counts. End training first."
            )


def _nothing() -> None:
    """Nobody listens yet."""
