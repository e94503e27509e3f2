"""Rewards in a rule set: how one is read, and which of them are counted.

One with a stock or a limit is counted: whoever takes it must ask where all sales come together. Experiences and
products are bought by themselves, without a basket.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Final

from tallystick.core.ids import AMOUNT_MINOR_MAX, POINTS_MAX
from tallystick.core.money import PPM
from tallystick.core.rules.index import Selector
from tallystick.core.rules.match import ANY_LINE
from tallystick.core.rules.model import WITHOUT_BASKET, Condition, Reward, RuleSet
from tallystick.core.rules.period import parse_limit
from tallystick.core.rules.reader import Node

REWARDS_MAX = 200
STOCK_MAX = 10**9
NAME_CHARS_MAX = 100
KINDS = ("money_off", "percent_off", "free_item", *WITHOUT_BASKET)

COUNTER: Final = "reward/"
"""Before a reward's id where coupons are counted; no coupon's id begins so."""

BUDGET: Final = "budget/"
"""Before a rule's id where the points of its budget are counted; no coupon's id begins so."""

COUNTERS: Final = (COUNTER, BUDGET)


def counter_of(reward_id: str) -> str:
    """Return the name under which a reward is counted, beside the coupons."""
    return COUNTER + reward_id


def is_counter(name: str) -> bool:
    """Return whether a counter is a reward's or a budget's and not a coupon's."""
    return name.startswith(COUNTERS)


def find_reward(rules: RuleSet, reward_id: str) -> Reward | None:
    """Return a reward of the rule set."""
    return next((reward for reward in rules.rewards if reward.reward_id == reward_id), None)


def counters_of(rules: RuleSet | None, reward_ids: Iterable[str]) -> tuple[str, ...]:
    """Return the counters of those rewards that have a stock, in their order."""
    if rules is None:
        return ()
    found = (find_reward(rules, reward_id) for reward_id in reward_ids)
    return tuple(counter_of(reward.reward_id) for reward in found if reward is not None and reward.stock)


def parse_reward(node: Node, lines: Selector, when: Condition) -> Reward:
    """Return one reward; what is wrong with it is added to the node's findings."""
    kind = node.choice("kind", KINDS)
    free_standing = kind in WITHOUT_BASKET
    reward = Reward(
        reward_id=node.text("id", longest=64),
        kind=kind,
        cost=node.integer("points", low=0, high=POINTS_MAX),
        **_worth(node, kind),
        lines=lines,
        when=when,
        minimum_minor=0 if free_standing else node.integer("minimum_minor", 0, high=AMOUNT_MINOR_MAX),
        name=node.text("name", "", longest=NAME_CHARS_MAX),
        stock=node.integer("stock", 0, high=STOCK_MAX),
        limit=parse_limit(node.node("limit")),
    )
    if kind == "free_item" and lines is ANY_LINE:
        node.wrong("", "a free item must say which", "name a sku, category or brand")
    if free_standing and lines is not ANY_LINE:
        node.wrong("", f"a reward of kind {kind} has no basket", "remove sku, category and brand")
    node.done()
    return reward


def _worth(node: Node, kind: str) -> dict[str, Any]:
    if kind == "money_off":
        return {"amount_minor": node.integer("amount_minor", low=1, high=AMOUNT_MINOR_MAX)}
    if kind != "percent_off":
        return {}
    most = node.integer("amount_minor_max", 0, high=AMOUNT_MINOR_MAX)
    if not node.has("percent"):
        node.wrong("percent", "is missing", 'write for example percent: "10"')
        return {"amount_minor": most}
    ratio = node.ratio("percent", low=Fraction(1, 100), high=Fraction(100))
    return {"amount_minor": most, "percent_ppm": int(ratio * PPM / 100)}
