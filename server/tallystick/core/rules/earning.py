"""Reads what baskets earn: the rules, what is left out, and how points are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from zoneinfo import ZoneInfo

from tallystick.core.ids import AMOUNT_MINOR_MAX, POINTS_MAX
from tallystick.core.rules.budget import parse_budget
from tallystick.core.rules.conditions import parse_condition, parse_selector
from tallystick.core.rules.index import Selector
from tallystick.core.rules.match import ANY_LINE
from tallystick.core.rules.model import AccrualRule, Combine, Earning, Rounding
from tallystick.core.rules.reader import Node

RULES_MAX = 200
DENOMINATOR_MAX = 10**12
RULE_KINDS = ("per_amount", "per_item", "per_sale", "multiply")


def parse_earning(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> Earning:
    """Return the section of a rule set that says what baskets earn."""
    node = root.node("earning", needed="say what a basket earns below 'earning:'")
    if node is None:
        return Earning(rules=(), denominator=1)
    combine = Combine(node.choice("combine", [choice.value for choice in Combine], "highest"))
    rules = [_accrual_rule(item, zone, tier_ids) for item in node.nodes("rules", most=RULES_MAX)]
    node.unique("rules", [rule.rule_id for rule in rules])
    if any(rule.kind == "multiply" for rule in rules) and not any(
        rule.kind in ("per_amount", "per_item") for rule in rules
    ):
        node.wrong("rules", "there is nothing to multiply", "add a rule with kind per_amount or per_item")
    exclude = tuple(parse_selector(item, closed=True) for item in node.nodes("exclude", most=RULES_MAX))
    for at, rule in enumerate(rules):
        if any(_has_all(selector, rule.lines) for selector in exclude):
            node.wrong(
                f"rules[{at}]",
                "looks only at what 'exclude' takes out",
                "remove one of the two",
                tolerated=True,
            )
    earning = Earning(
        rules=tuple(rules),
        denominator=_denominator(node, rules, combine),
        exclude=exclude,
        rounding=Rounding(node.choice("rounding", [choice.value for choice in Rounding], "down")),
        combine=combine,
        net_of_tax=node.choice("amount", ("gross", "net"), "gross") == "net",
        minimum_minor=node.integer("minimum_minor", 0, high=AMOUNT_MINOR_MAX),
        points_max=node.integer("points_max", 0, high=POINTS_MAX),
        on_points_part=node.flag("on_points_part"),
        pending_days=node.integer("pending_days", 0, high=366),
    )
    node.done()
    return earning


def _accrual_rule(node: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> AccrualRule:
    kind = node.choice("kind", RULE_KINDS)
    factor = Fraction(1)
    points, per_minor = 0, 1
    if kind == "multiply":
        factor = node.ratio("by", low=Fraction(1), high=Fraction(100))
    else:
        points = node.integer("points", low=1, high=10**9)
    if kind == "per_amount":
        per_minor = node.integer("per_minor", low=1, high=10**9)
    rule_id, budget = node.text("id", longest=64), parse_budget(node.node("budget"))
    when = parse_condition(node, zone, tier_ids)
    rule = AccrualRule(
        rule_id=rule_id,
        kind=kind,
        points=points,
        per_minor=per_minor,
        num=factor.numerator,
        den=factor.denominator,
        lines=parse_selector(node),
        when=replace(when, budget_of=rule_id) if budget else when,
        budget=budget,
    )
    node.done()
    return rule


def _denominator(node: Node, rules: Sequence[AccrualRule], combine: Combine) -> int:
    """Return a number that makes every rule's share of points a whole multiple of 1 / denominator."""
    unit = math.lcm(*(rule.per_minor for rule in rules), *(1000 for rule in rules if rule.kind == "per_item"))
    factors = [rule.den for rule in rules if rule.kind == "multiply"]
    unit *= math.prod(factors) if combine is Combine.PRODUCT else math.lcm(*factors)
    if unit > DENOMINATOR_MAX:
        node.wrong(
            "rules", "the amounts and factors have no common fraction of a point", "use rounder numbers"
        )
    return unit


def _has_all(wide: Selector, narrow: Selector) -> bool:
    """Tell whether every line that fits the second one fits the first one, which is not ANY_LINE, as well."""
    pairs = (
        (wide.skus, narrow.skus),
        (wide.categories, narrow.categories),
        (wide.brands, narrow.brands),
    )
    return wide != ANY_LINE and all(not asked or (given and given <= asked) for asked, given in pairs)
