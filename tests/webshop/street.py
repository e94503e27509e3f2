"""What the tests of the webshop share: a gateway, its back office, a shop, and an ordinary basket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.storage.open import open_store
from tallystick.storage.verify import verify
from tallystick_webshop import Basket, Line, Shop
from tests.e2e.support.server import Installation
from tests.web.support.office import Office

TAXES = {"std": 250_000, "food": 120_000}

RULES: dict[str, Any] = {
    "format": "tallystick/1",
    "name": "Webshop",
    "currency": "EUR",
    "time_zone": "Europe/Stockholm",
    "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
    "burning": {"points": 100, "minor": 100, "unit_points": 10},
    "actions": [
        {
            "id": "review",
            "name": "A review",
            "points": 20,
            "limit": {"count": 2, "per": "month"},
            "once_per_subject": True,
        },
    ],
    "access": [
        {"id": "later", "sku": "LATER", "tier": ["base"], "opens_at": "2099-01-01"},
        {
            "id": "early",
            "category": "early",
            "tier": ["base"],
            "early_from": "2098-01-01",
            "opens_at": "2099-01-01",
        },
    ],
    "tiers": {"basis": "points", "period": "calendar_year", "levels": [{"id": "base", "from": 0}]},
    "rewards": [
        {"id": "five-off", "kind": "money_off", "points": 400, "amount_minor": 500},
        {"id": "free-tea", "kind": "free_item", "points": 100, "category": ["tea"]},
    ],
    "coupons": [
        {"id": "spring", "kind": "percent_off", "percent": 10, "code": "SPRING25", "per_member": 1000},
        {"id": "first", "kind": "money_off", "amount_minor": 300, "code": "ONLY-ONE", "total": 1},
    ],
    "returns": {"spent": "debt"},
    "challenges": [
        {
            "id": "patron",
            "name": "A patron",
            "counts": "spend",
            "target": 2_000_000,
            "per": "day",
            "award": {"points": 75, "badge": "patron"},
        },
    ],
}


@dataclass(frozen=True, slots=True)
class Street:
    """A gateway, its back office and a shop."""

    installation: Installation
    office: Office
    shop: Shop

    @property
    def profile_dir(self) -> Path:
        """Where the shop's profile and key lie."""
        return self.installation.data_dir / "profiles" / "caller"

    def member(self, points: int = 0) -> str:
        """Return a member with points."""
        return self.office.member(points)[0]

    def ledger_adds_up(self) -> bool:
        """Whether every sum of the ledger holds."""
        store = open_store(self.installation.settings.database_url)
        try:
            return verify(store).ok
        finally:
            store.close()


def shirts_and_tea() -> Basket:
    """20.00 of shirts at 25 % and 7.80 of tea at 12 %, tax included."""
    return Basket(
        "EUR",
        [
            Line("shirt", 2, 2_000),
            Line("tea", 3, 780, tax="food", categories=("tea",)),
        ],
        TAXES,
    )
