"""Budgets: a campaign stops itself when it has given what it may in a period.

What has been given is counted where the sale is written, with the coupons. The sale that reaches a budget gets its
points whole, so a budget is passed by one sale at most; the next one gets nothing of the rule. A till without a line
cannot know what was given, so a rule with a budget gives nothing there, nor when such a sale is settled: what was not
promised is not owed, and no outage costs more than the budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from tallystick.core.basket import Line
from tallystick.core.coupon import CouponUse
from tallystick.core.entry import AppliedCoupon, Explanation
from tallystick.core.ids import Minor
from tallystick.core.rules.match import Moment, fits, holds_at
from tallystick.core.rules.model import AccrualRule, RuleSet
from tallystick.core.rules.period import period_start
from tallystick.core.rules.reward import BUDGET


def budget_key(rule: AccrualRule, day: date, store_id: str) -> str:
    """Return the name under which is counted what a rule gives on a local day in a store."""
    budget = rule.budget
    assert budget is not None, "asked of rules with a budget"
    place = store_id if budget.by_store else ""
    return f"{BUDGET}{rule.rule_id}/{period_start(budget.per, day)}/{place}"


def given_of(rule: AccrualRule, counted: Iterable[tuple[str, int]], day: date) -> dict[str, int]:
    """Return what a rule has given in the period of a local day, by store; the empty one is all stores together.

    ``counted`` are the counters of the program, of which others are passed over.
    """
    start = budget_key(rule, day, "").rpartition("/")[0] + "/"
    return {name.removeprefix(start): points for name, points in counted if name.startswith(start)}


def is_budget(name: str) -> bool:
    """Return whether a name is one under which a budget is counted, by points instead of by uses."""
    return name.startswith(BUDGET)


def used_up(rules: RuleSet, uses: Sequence[CouponUse], *, away: bool) -> frozenset[str]:
    """Return the rules that give nothing now.

    ``uses`` is what is known of their counters; of a budget that is not among them nobody keeps count, as in a
    simulation. ``away``: the gateway is, or was when the sale was made.
    """
    if away:
        return frozenset(rule.rule_id for rule in rules.budgets)
    given = {_rule_of(use.coupon_id): use.in_all for use in uses if is_budget(use.coupon_id)}
    return frozenset(
        rule.rule_id
        for rule in rules.budgets
        if rule.rule_id in given and _reached(rules, rule, given[rule.rule_id])
    )


def stop_rules(
    rules: RuleSet, uses: Sequence[CouponUse], lines: Sequence[Line], moment: Moment, *, away: bool
) -> tuple[Moment, tuple[Explanation, ...]]:
    """Return the moment at which rules without a budget left do not hold, and what is said of those that would.

    ``lines`` are those that earn. Nothing is said of a rule that looks at none of them: it would have given nothing.
    """
    stopped = used_up(rules, uses, away=away)
    if not stopped:
        return moment, ()
    told = tuple(
        Explanation(rule.rule_id, 0, 0, "budget_needs_gateway")
        if away
        else Explanation(rule.rule_id, 0, 0, "budget_used_up")
        for rule in rules.budgets
        if rule.rule_id in stopped
        and holds_at(rule.when, moment)
        and any(fits(rule.lines, line) for line in lines)
    )
    return moment._replace(used_up=stopped), told


def counted_budgets(told: Iterable[Explanation], uses: Sequence[CouponUse]) -> tuple[AppliedCoupon, ...]:
    """Return what a sale counts of budgets: the points that each of their rules gave in it."""
    given: dict[str, int] = {}
    for why in told:
        given[why.rule_id] = given.get(why.rule_id, 0) + max(0, why.points)
    names = [use.coupon_id for use in uses if is_budget(use.coupon_id)]
    return tuple(
        AppliedCoupon(name, Minor(given[_rule_of(name)])) for name in names if given.get(_rule_of(name))
    )


def times_of(coupon: AppliedCoupon) -> int:
    """Return what one use adds to its counter: the points of a budget, else one."""
    return int(coupon.discount_minor) if is_budget(coupon.coupon_id) else 1


def _rule_of(name: str) -> str:
    # Neither a period nor a place has a slash in front of it in a name: cut from behind.
    return name.removeprefix(BUDGET).rsplit("/", 2)[0]


def _reached(rules: RuleSet, rule: AccrualRule, given: int) -> bool:
    budget, burning = rule.budget, rules.burning
    assert budget is not None, "asked of rules with a budget"
    if budget.points:
        return given >= budget.points
    return given * burning.value_minor // burning.value_points >= budget.minor
