"""What went wrong in other systems, as scenarios named after what must not happen here."""

from __future__ import annotations

import pytest

from tallystick.core.basket import Assurance
from tallystick.storage.open import Store
from tests.scenarios.table import (
    Scenario,
    brings_back,
    burns,
    buys,
    captures,
    has,
    holds,
    play,
    publishes,
    reports,
    sent_again,
    sent_with_other_goods,
    until,
    voids,
)

POINT_PER_EURO = {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}
TIERS = {
    "basis": "points",
    "period": "calendar_year",
    "levels": [{"id": "base", "from": 0}, {"id": "silver", "from": 100}, {"id": "gold", "from": 300}],
}
WORTH_A_CENT = {"points": 1, "minor": 1}

SCENARIOS = (
    Scenario(
        "a sale made offline gets other points when it is synced",
        "odoo/odoo#270532",
        (
            has(500),
            reports(
                "sale",
                {"shoes": "80.00", "socks": "9.99"},
                points=500,
                discount="5.00",
                printed=84,
                earned=84,
                burned=500,
                loss=0,
                balance=84,
            ),
            buys("online", {"shoes": "80.00", "socks": "9.99"}, earned=89, balance=173),
            reports("more", {"shoes": "80.00", "socks": "9.99"}, printed=89, earned=89, balance=262),
        ),
    ),
    Scenario(
        "rules that changed meanwhile change what a till printed",
        "odoo/odoo#270532",
        (
            publishes(earning={"rules": [{**POINT_PER_EURO, "points": 10}]}),
            reports("old", {"shoes": "80.00"}, rule_set=1, printed=80, earned=80),
            reports("new", {"shoes": "80.00"}, rule_set=2, printed=800, earned=800),
        ),
    ),
    Scenario(
        "a retry after a network fault doubles the points",
        "OCA/pos#185, odoo/odoo#222372",
        (
            buys("sale", {"shoes": "80.00"}, earned=80, balance=80),
            sent_again("sale", balance=80, entries=["SALE"]),
            sent_again("sale", balance=80, entries=["SALE"]),
            reports("advice", {"socks": "10.00"}, printed=10, balance=90),
            sent_again("advice", balance=90),
        ),
    ),
    Scenario(
        "a second sync overwrites the first answer",
        "odoo/odoo#242087",
        (
            has(100),
            buys("sale", {"shoes": "80.00"}, points=100, earned=79, to_pay="79.00"),
            burns(79, balance=0),
            publishes(earning={"rules": [{**POINT_PER_EURO, "points": 10}]}),
            sent_again("sale", earned=79, to_pay="79.00", balance=0),
            sent_with_other_goods("sale", {"shoes": "90.00"}, refused="COMMAND_ID_REUSED", balance=0),
            sent_again("sale", earned=79, balance=0),
        ),
    ),
    Scenario(
        "a refusal turns into a posting when it is sent again",
        "odoo/odoo#242087",
        (
            buys("sale", {"shoes": "80.00"}, points=100, refused="INSUFFICIENT_POINTS"),
            has(100),
            sent_again("sale", refused="INSUFFICIENT_POINTS", balance=100),
        ),
    ),
    Scenario(
        "settling a debt earns points again",
        "odoo/odoo#214137",
        (
            buys("sale", {"shoes": "80.00"}, balance=80),
            burns(80),
            brings_back("sale", "shoes", debt=80, balance=0),
            buys("paid off", {"invoice": "80.00"}, earned=0, debt=80),
            buys("goods", {"socks": "50.00"}, earned=50, debt=30, balance=0),
            buys("more", {"socks": "50.00"}, earned=50, debt=0, balance=20),
        ),
        {"earning": {"rules": [POINT_PER_EURO], "exclude": [{"category": "invoice"}]}},
    ),
    Scenario(
        "buy, earn, return, keep the points",
        "odoo/odoo#257854, odoo/odoo#238806",
        (
            buys("sale", {"shoes": "80.00", "socks": "20.00"}, balance=100),
            brings_back("sale", "shoes", refund="80.00", balance=20),
            brings_back("sale", "socks", refund="20.00", balance=0),
            brings_back("sale", "socks", refused="OVER_RETURN", balance=0),
        ),
    ),
    Scenario(
        "spend the points first, then return, and keep what they bought",
        "odoo/odoo#257854, odoo/odoo#238806",
        (
            buys("sale", {"shoes": "100.00"}, balance=100),
            burns(100, balance=0),
            brings_back("sale", "shoes", balance=0, debt=100),
            buys("next", {"socks": "60.00"}, balance=0, debt=40),
            buys("after", {"socks": "60.00"}, balance=20, debt=0),
        ),
    ),
    Scenario(
        "a return charges the redeemed points again",
        "odoo/odoo#212922, odoo/odoo#221928",
        (
            has(1_000),
            buys(
                "sale", {"shoes": "80.00"}, points=1_000, burned=1_000, earned=70, balance=70, to_pay="70.00"
            ),
            brings_back("sale", "shoes", given_back=1_000, refund="70.00", balance=1_000, lots=[1_000]),
        ),
    ),
    Scenario(
        "points earned in one place and burned in another are never debited",
        "frappe/erpnext#59050",
        (
            buys("earns", {"shoes": "100.00"}, balance=100),
            reports("burns at a till", {"socks": "1.00"}, points=60, discount="0.60", burned=60, balance=40),
            holds("webshop", 40, balance=0, held=40),
            captures("webshop", balance=0, held=0),
            buys("once more", {"socks": "1.00"}, points=1, refused="INSUFFICIENT_POINTS"),
        ),
    ),
    Scenario(
        "a return re-opens lots that were spent before",
        "ERPNext sales_invoice.py",
        (
            has(100),
            burns(100, lots=[]),
            buys("sale", {"shoes": "80.00"}, balance=80, lots=[80]),
            brings_back("sale", "shoes", balance=0, lots=[]),
            has(50),
            buys("paid", {"socks": "0.50"}, points=50, balance=0),
            brings_back("paid", "socks", balance=50, lots=[50]),
        ),
    ),
    Scenario(
        "a return of half of the goods gives all burned points back",
        "ERPNext (POSNext override)",
        (
            has(1_000),
            buys("sale", {"2 x shoes": "20.00"}, points=1_000, balance=10),
            brings_back("sale", "shoes", pieces=1, given_back=500, refund="5.00", balance=505),
            brings_back("sale", "shoes", pieces=1, given_back=500, refund="5.00", balance=1_000),
        ),
    ),
    Scenario(
        "a sale is paid at the rate of the tier that it only reaches",
        "frappe/erpnext#33550",
        (
            buys("first", {"shoes": "150.00"}, earned=150, tier="silver"),
            buys("second", {"shoes": "196.00"}, earned=196, tier="gold"),
            buys("third", {"shoes": "196.00"}, earned=217, tier="gold"),
        ),
        {
            "tiers": TIERS,
            "earning": {
                "rules": [POINT_PER_EURO, {"id": "gold", "kind": "multiply", "by": "1.11", "tier": "gold"}]
            },
        },
    ),
    Scenario(
        "points redeemed while the line was down are never deducted",
        "POS-Awesome#3059",
        (
            has(300),
            reports("first", {"shoes": "10.00"}, points=200, discount="2.00", balance=108, loss=0),
            reports("second", {"shoes": "10.00"}, points=200, discount="2.00", balance=8, loss=92, debt=0),
        ),
    ),
    Scenario(
        "ten euros become 9.09, tax shares do not sum, a cent is left at 100 % off",
        "odoo/odoo#240289, odoo/odoo#288853, odoo/odoo#156897",
        (
            has(10_000),
            buys(
                "thirds",
                {"a/food": "33.33", "b/food": "33.33", "c/full": "33.34"},
                points=1_000,
                off=["3.34", "3.33", "3.33"],
                to_pay="90.00",
                taxes={"food": "6.43", "full": "6.00"},
            ),
            buys(
                "all of it",
                {"a/food": "3.33", "b/full": "0.01", "c": "6.66"},
                points=1_000,
                to_pay="0.00",
                earned=0,
                taxes={"food": "0.00", "full": "0.00", "": "0.00"},
            ),
            buys(
                "tenth",
                {"a": "3.33", "b": "3.33", "c": "3.34"},
                reward="tenth",
                off=["0.33", "0.33", "0.34"],
                to_pay="9.00",
            ),
        ),
        {
            "burning": WORTH_A_CENT,
            "rewards": [{"id": "tenth", "kind": "percent_off", "points": 10, "percent": 10}],
        },
    ),
    Scenario(
        "a card is debited 10.00 and the order discounted 9.99",
        "odoo/odoo#278568",
        (
            has(2_000),
            buys(
                "sale",
                {"a": "3.33", "b": "3.33", "c": "33.33"},
                points=1_000,
                burned=1_000,
                off=["0.83", "0.83", "8.34"],
                to_pay="29.99",
            ),
            buys("part of a cent", {"a": "9.99"}, points=999, burned=999, off=["9.99"], to_pay="0.00"),
        ),
        {"burning": WORTH_A_CENT},
    ),
    Scenario(
        "a switch of currency turns 100 points into 1,700",
        "woocommerce-payments#2848",
        (
            buys("in euros", {"shoes": "100.00"}, earned=100),
            buys("in kronor", {"shoes": "1700.00"}, currency="SEK", refused="CURRENCY_MISMATCH", balance=100),
        ),
    ),
    Scenario(
        "spending points lowers the tier",
        "DivanteLtd/open-loyalty#131",
        (
            buys("climbs", {"shoes": "150.00"}, tier="silver", balance=150),
            burns(150, tier="silver", balance=0),
            buys("stays", {"socks": "1.00"}, tier="silver"),
            until("2026-12-31T12:00", tier="silver"),
        ),
        {"tiers": TIERS},
    ),
    Scenario(
        "expiry of a part collapses the whole balance",
        "FloCafe#78",
        (
            buys("january", {"shoes": "100.00"}, balance=100),
            until("2026-02-10T12:00"),
            buys("february", {"shoes": "50.00"}, balance=150),
            burns(30, balance=120, lots=[70, 50]),
            until("2026-02-20T12:00", balance=50, entries=["SALE", "SALE", "BURN", "EXPIRE"]),
            until("2026-02-21T12:00", balance=50, entries=["SALE", "SALE", "BURN", "EXPIRE"]),
            until("2026-03-20T12:00", balance=0, lots=[]),
        ),
        {"expiry": {"kind": "months", "months": 1}},
    ),
    Scenario(
        "a payment that expired gives the points back twice",
        "mollie/magento2#928",
        (
            has(100),
            holds("checkout", 60, balance=40, held=60),
            voids("checkout", name="void", balance=100, held=0),
            sent_again("void", balance=100, held=0),
            voids("checkout", refused="HOLD_CLOSED", balance=100),
            captures("checkout", refused="HOLD_CLOSED", balance=100),
        ),
    ),
    Scenario(
        "a hold that ran out by itself is given back once more by the shop",
        "mollie/magento2#928",
        (
            has(100),
            holds("checkout", 60, minutes=15, balance=40),
            until("2026-01-15T12:16", balance=100, held=0),
            voids("checkout", refused="HOLD_EXPIRED", balance=100),
            captures("checkout", refused="HOLD_EXPIRED", balance=100),
        ),
    ),
    Scenario(
        "a name or a phone number is enough to redeem",
        "odoo/odoo#207624",
        (
            has(500),
            buys(
                "typed", {"shoes": "80.00"}, points=500, scan=Assurance.TYPED, refused="ABOVE_ASSURANCE_CAP"
            ),
            burns(1, scan=Assurance.TYPED, refused="ABOVE_ASSURANCE_CAP", balance=500),
            buys("earns", {"shoes": "80.00"}, scan=Assurance.TYPED, earned=80, balance=580),
            buys("card", {"shoes": "80.00"}, points=500, scan=Assurance.STATIC_CARD, burned=500),
        ),
        {"burning": WORTH_A_CENT},
    ),
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.must_not.replace(" ", "-"))
def test_it_does_not_happen_here_that(scenario: Scenario, store: Store) -> None:
    play(scenario, store)
