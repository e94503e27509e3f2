"""A line's discount that is exact with tax and without; free of models, as oscar loads it while it defines its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


class RegistryMixin:
    """Oscar knows a discount with tax or without, and guesses the other by the line's ratio, each line by itself.

    The gateway computes tax once per group. So the reward's discount is set in both terms: then the lines' prices
    without tax sum to exactly the tax totals of the quote.
    """

    def __init__(self, line: Any) -> None:
        super().__init__(line)  # type: ignore[call-arg]
        self._reward_excl_tax = Decimal(0)

    def reward(self, incl_tax: Decimal, excl_tax: Decimal, quantity: int, offer: Any) -> None:
        """Note the discount: ``incl_tax`` off the price with tax, ``excl_tax`` off the undiscounted one without."""
        self.discount(incl_tax, quantity, incl_tax=True, offer=offer)  # type: ignore[attr-defined]
        self._reward_excl_tax = excl_tax

    @property
    def excl_tax(self) -> Decimal:
        return super().excl_tax + self._reward_excl_tax  # type: ignore[misc]
