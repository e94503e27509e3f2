"""Gifts of tiers as a retailer would tell them: who climbs is given something, and brings it back with the goods."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.storage.open import Store
from tests.scenarios.table import Scenario, brings_back, buys, play, sent_again, until

RULES: dict[str, Any] = {
    "tiers": {
        "basis": "spend",
        "period": "calendar_year",
        "downgrade": "by_balance",
        "levels": [
            {"id": "bas", "from": 0},
            {"id": "silver", "from": 10_000, "gift": {"points": 100}},
            {"id": "guld", "from": 50_000, "gift": {"points": 1_000}},
        ],
    }
}

SCENARIOS = {
    "silver, then gold": Scenario(
        "a gift comes twice, or not at all",
        "",
        (
            buys("", {"shoes": "99.00"}, tier="bas", awarded=0),
            buys("up", {"socks": "1.00"}, tier="silver", awarded=100, balance=200),
            sent_again("up", awarded=100, balance=200),
            buys("", {"watch": "900.00"}, tier="guld", awarded=1_100, balance=2_100),
        ),
        RULES,
    ),
    "both at once": Scenario(
        "whoever jumps over a tier misses its gift",
        "",
        (buys("", {"watch": "900.00"}, tier="guld", awarded=1_100),),
        RULES,
    ),
    "the goods come back": Scenario(
        "buying and bringing back earns a gift",
        "",
        (
            buys("watch", {"watch": "900.00"}, tier="guld", awarded=1_100),
            brings_back("watch", "watch", tier="bas", awarded=0, balance=0),
            buys("", {"watch": "900.00"}, tier="guld", awarded=1_100, balance=2_000),
        ),
        RULES,
    ),
    "another year": Scenario(
        "a tier lost at the review takes the gift with it",
        "",
        (
            buys("", {"watch": "900.00"}, tier="guld", awarded=1_100),
            until("2028-01-02T12:00", tier="bas", awarded=1_100),
            buys("", {"shoes": "100.00"}, tier="silver", awarded=1_200),
        ),
        RULES,
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_gift_comes_with_the_climb(scenario: Scenario, store: Store) -> None:
    play(scenario, store)
