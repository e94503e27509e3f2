"""What rules cost: one sale decided under many rules, and a year of sales simulated.

``python -m benchmarks.rules [--rules N] [--lines N] [--json]``. ``decide_us`` is how long the core takes to decide a
sale of 20 lines under 50 rules, earning and paying with points, as median of ten rounds of processor time, with the
interpreter set as it is for serving; ``simulate_lines_s`` is how many lines a second `tallystick program simulate`
takes, in as many processes as the machine has cores. Half a minute.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
import uuid

from benchmarks.measure import report
from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin, TaxGroup
from tallystick.core.command import Sale, Spend
from tallystick.core.decide import decide
from tallystick.core.entry import Posted
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.core.state import Account, Lot, MemberState, MemberStatus, TierState
from tallystick.reports.comparison import project
from tallystick.reports.history import History, PastSale
from tallystick.reports.replay import replay
from tallystick.service.runtime import tune_interpreter

RULES_MAX = 200
LINES_MAX = 5_000_000
BASKET_LINES = 20
ROUNDS = 10
SALES_A_ROUND = 300
START_MS = 1_767_225_600_000
DAY_MS = 86_400_000
MEMBER = MemberId(str(uuid.uuid5(uuid.NAMESPACE_URL, "bench")))
KINDS = ("per_amount", "per_item", "multiply", "per_sale")


def rule_set(count: int) -> RuleSet:
    """Return ``count`` accrual rules as shops write them: by category, brand, article, channel, weekday, tier, hour."""
    rules: list[dict[str, object]] = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]
    for number in range(1, count):
        kind = KINDS[number % len(KINDS)]
        rule: dict[str, object] = {"id": f"rule-{number}", "kind": kind}
        if kind == "multiply":
            rule |= {"by": 2, "category": [f"category-{number % 12}"], "weekday": ["sat", "sun"]}
        elif kind == "per_sale":
            rule |= {"points": 5, "channel": ["store"], "tier": ["gold"]}
        else:
            rule |= {"points": 1, "brand": [f"brand-{number % 15}"]}
            if kind == "per_amount":
                rule["per_minor"] = 1000
        rules.append(rule)
    document = {
        "format": "tallystick/1",
        "name": "Benchmark",
        "currency": "EUR",
        "time_zone": "Europe/Stockholm",
        "earning": {"rules": rules, "pending_days": 14},
        "expiry": {"kind": "end_of_month", "months": 12},
        "tiers": {
            "basis": "spend",
            "period": "rolling",
            "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 100_000}],
        },
        "burning": {
            "points": 100,
            "minor": 100,
            "unit_points": 100,
            "assurance_caps": {"static_card": "unlimited"},
        },
    }
    parsed = parse_rules(document, version=1, sha256="")
    if not isinstance(parsed, RuleSet):
        raise SystemExit(f"the benchmark's rules are wrong: {parsed[0]}")
    return parsed


def basket(dice: random.Random, lines: int) -> Basket:
    """Return a basket of lines as a till rings them up."""
    return Basket(
        "EUR",
        tuple(
            Line(
                f"sku-{dice.randrange(5000)}",
                1000 * dice.randrange(1, 4),
                Minor(dice.randrange(50, 5000)),
                dice.choice(("a", "b")),
                (f"category-{dice.randrange(12)}",),
                f"brand-{dice.randrange(15)}",
            )
            for _ in range(lines)
        ),
        tax_groups=(TaxGroup("a", 250_000), TaxGroup("b", 120_000)),
    )


def decide_us(rules: RuleSet) -> float:
    """Return the microseconds of one decision: earning by all rules, and points paid with."""
    dice = random.Random(1)
    lots = tuple(Lot(number, 500, 500, Ms(START_MS), Ms(START_MS + 300 * DAY_MS)) for number in range(1, 9))
    account = Account(
        MEMBER,
        MemberStatus.OPEN,
        Ms(START_MS),
        active=4_000,
        seq=8,
        as_of_ms=Ms(START_MS),
        tier=TierState("gold"),
    )
    state = MemberState(account, lots, complete=True)
    origin = Origin(Ms(START_MS + DAY_MS), Channel.STORE, "s1", "t1")
    sales = [
        Sale(
            CommandId(str(uuid.uuid4())),
            MEMBER,
            origin,
            basket(dice, BASKET_LINES),
            Spend(300, up_to=True),
            assurance=Assurance.STATIC_CARD,
        )
        for _ in range(SALES_A_ROUND)
    ]
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        outcomes = [decide(sale, state, rules) for sale in sales]
        times.append((time.process_time() - started) / len(sales) * 1e6)
        if not all(isinstance(outcome.decision, Posted) for outcome in outcomes):
            raise SystemExit("a sale of the benchmark was not posted")
    return statistics.median(times)


def year_of_sales(lines: int) -> History:
    """Return a year of baskets of 20 lines, of ten visits a member."""
    dice = random.Random(2)
    shelf = [basket(dice, BASKET_LINES) for _ in range(200)]
    history = History("the benchmark")
    for number in range(max(1, lines // BASKET_LINES)):
        member_id = MemberId(f"member-{number // 10:06}")
        at_ms = Ms(START_MS + (number % 10) * 36 * DAY_MS + dice.randrange(DAY_MS))
        spend = Spend(1_000, up_to=True) if number % 5 == 4 else None
        origin = Origin(at_ms, Channel.STORE)
        history.add(
            member_id,
            PastSale(
                CommandId(f"sale-{number}"),
                origin,
                dice.choice(shelf),
                spend,
                assurance=Assurance.STATIC_CARD,
            ),
        )
    return history


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules", description=__doc__)
    parser.add_argument("--rules", type=int, default=50, help=f"accrual rules, 1 to {RULES_MAX} (default 50)")
    parser.add_argument(
        "--lines", type=int, default=1_000_000, help=f"lines to simulate, at most {LINES_MAX:,}"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    if not 1 <= asked.rules <= RULES_MAX or not BASKET_LINES <= asked.lines <= LINES_MAX:
        parser.error(f"--rules from 1 to {RULES_MAX}, --lines from {BASKET_LINES} to {LINES_MAX:,}")
    rules = rule_set(asked.rules)
    tune_interpreter()
    figures: dict[str, object] = {"rules": asked.rules, "decide_us": round(decide_us(rules), 1)}
    history = year_of_sales(asked.lines)
    started = time.perf_counter()
    told = project(rules, replay(history, rules))
    took_s = time.perf_counter() - started
    figures |= {
        "simulate_lines": history.lines,
        "simulate_s": round(took_s, 2),
        "simulate_lines_s": round(history.lines / took_s),
        "points_issued": told.flow.issued,
        "points_burned": told.flow.burned,
    }
    print(report(figures, as_json=asked.json))


if __name__ == "__main__":
    main()
