"""What a member gets off a basket: coupons, then rewards, then points as money, each spread over lines exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tallystick.core.basket import Assurance, Basket
from tallystick.core.command import Spend
from tallystick.core.coupon import Redeemed
from tallystick.core.entry import AppliedCoupon, AppliedReward, Refusal, Refused, refused
from tallystick.core.ids import Minor
from tallystick.core.money import PPM, spread, spread_by_group
from tallystick.core.rules.match import Moment, fits, holds_at
from tallystick.core.rules.model import Burning, Coupon, Reward, RuleSet


class Benefit(NamedTuple):
    """Discounts and what they cost, by line (both lists are as long as the basket).

    ``points_discounts`` is the part of ``discounts`` that points paid as money; ``spend_points`` what they cost.
    ``spared`` are the coupons that fit nothing in the basket.
    """

    discounts: tuple[int, ...]
    points_discounts: tuple[int, ...]
    line_points: tuple[int, ...]
    rewards: tuple[AppliedReward, ...]
    spend_points: int
    points: int
    coupons: tuple[AppliedCoupon, ...] = ()
    spared: tuple[str, ...] = ()


def benefit_of(
    rules: RuleSet,
    basket: Basket,
    *,
    spend: Spend | None,
    reward_ids: Sequence[str],
    available: int,
    assurance: Assurance,
    moment: Moment,
    coupons: Sequence[Redeemed] = (),
    promised: bool = False,
) -> Benefit | Refused:
    """Price coupons, rewards and points against a basket, or say why not.

    ``available`` is what may be burned: the balance at the server, the authority less what was burned at a till.
    Rewards that were ``promised``, by a hold that is open, are not asked about their tier and time again.
    """
    count = len(basket.lines)
    left: list[int] = [line.amount_minor for line in basket.lines]
    pieces_milli = [line.quantity_milli for line in basket.lines]
    line_points = [0] * count
    used, spared = _apply_coupons(coupons, basket, left, pieces_milli) if coupons else ([], [])
    applied: list[AppliedReward] = []
    rewards = _rewards_of(rules, reward_ids, None if promised else moment)
    if isinstance(rewards, Refused):
        return rewards
    for reward in rewards:
        offs = _offs(reward, basket, left, pieces_milli)
        discount = sum(offs)
        if discount == 0:
            return refused(Refusal.REWARD_NOT_APPLICABLE, reward_id=reward.reward_id)
        if reward.kind == "free_item":
            pieces_milli[offs.index(discount)] -= 1000
        for at, part in enumerate(spread(reward.cost, offs)):
            line_points[at] += part
            left[at] -= offs[at]
        applied.append(AppliedReward(reward.reward_id, reward.cost, Minor(discount)))
    cost = sum(reward.points for reward in applied)
    cap = rules.burning.assurance_caps[assurance]
    if 0 <= cap < cost:
        return refused(Refusal.ABOVE_ASSURANCE_CAP, points=cost, points_max=cap)
    points_offs = [0] * count
    spent = 0
    if spend is not None:
        cap_left = cap if cap < 0 else cap - cost
        asked = _points_to_spend(rules.burning, spend, sum(left), available=available - cost, cap=cap_left)
        if isinstance(asked, Refused):
            return asked
        spent = asked
        if spent:
            value = spent * rules.burning.value_minor // rules.burning.value_points
            points_offs = spread_by_group(value, left, [line.tax_code for line in basket.lines])
            for at, part in enumerate(spread(spent, points_offs)):
                line_points[at] += part
    if spent + cost > max(0, available):
        return refused(Refusal.INSUFFICIENT_POINTS, points=spent + cost, available=max(0, available))
    discounts = tuple(
        line.amount_minor - rest + off
        for line, rest, off in zip(basket.lines, left, points_offs, strict=True)
    )
    benefit = Benefit(discounts, tuple(points_offs), tuple(line_points), tuple(applied), spent, spent + cost)
    return benefit._replace(coupons=tuple(used), spared=tuple(spared)) if coupons else benefit


def _apply_coupons(
    coupons: Sequence[Redeemed], basket: Basket, left: list[int], pieces_milli: list[int]
) -> tuple[list[AppliedCoupon], list[str]]:
    """Take each coupon off what the ones before it left; return those used, and the ids of those that fit nothing."""
    used: list[AppliedCoupon] = []
    spared: list[str] = []
    for one in coupons:
        coupon = one.coupon
        offs = _offs(coupon, basket, left, pieces_milli)
        discount = sum(offs)
        if discount == 0:
            spared.append(coupon.coupon_id)
            continue
        if coupon.kind == "free_item":
            pieces_milli[offs.index(discount)] -= 1000
        for at, off in enumerate(offs):
            left[at] -= off
        used.append(AppliedCoupon(coupon.coupon_id, Minor(discount), one.token))
    return used, spared


def check_burn(burning: Burning, points: int, *, available: int, assurance: Assurance) -> Refused | None:
    """Return why a burn outside a basket may not be, None when it may."""
    cap = burning.assurance_caps[assurance]
    return _first_no(burning, points, None, available=available, cap=cap)


def _points_to_spend(
    burning: Burning, spend: Spend, amount_minor: int, *, available: int, cap: int
) -> int | Refused:
    """Return how many points pay, in whole units; amounts round down, so the member never pays for more than given."""
    unit = burning.unit_points
    unit_minor = unit * burning.value_minor // burning.value_points
    most = amount_minor * burning.share_max_ppm // PPM // unit_minor * unit
    if spend.up_to:
        allowed = available if cap < 0 else min(available, cap)
        points = max(0, min(spend.points, allowed, most)) // unit * unit
        return points if points >= burning.minimum_points else 0
    if spend.points == 0:
        return 0
    if no := _first_no(burning, spend.points, most, available=available, cap=cap):
        return no
    return spend.points


def _first_no(burning: Burning, points: int, most: int | None, *, available: int, cap: int) -> Refused | None:
    """Return the first reason in the order of ``Refusal``; ``most`` is the share cap, None outside a basket."""
    if 0 <= cap < points:
        return refused(Refusal.ABOVE_ASSURANCE_CAP, points=points, points_max=cap)
    if points % burning.unit_points:
        return refused(Refusal.NOT_WHOLE_UNITS, points=points, unit_points=burning.unit_points)
    if points < burning.minimum_points:
        return refused(Refusal.BELOW_MINIMUM, points=points, minimum_points=burning.minimum_points)
    if most is not None and points > most:
        return refused(Refusal.ABOVE_SHARE_CAP, points=points, points_max=most)
    if points > available:
        return refused(Refusal.INSUFFICIENT_POINTS, points=points, available=max(0, available))
    return None


def _rewards_of(rules: RuleSet, reward_ids: Sequence[str], moment: Moment | None) -> list[Reward] | Refused:
    """Return the rewards asked for, or the first reason why one of them is not to be had (at a moment, if any)."""
    by_id = {reward.reward_id: reward for reward in rules.rewards}
    rewards = []
    for reward_id in reward_ids:
        if reward_id not in by_id:
            return refused(Refusal.REWARD_UNKNOWN, reward_id=reward_id)
        rewards.append(by_id[reward_id])
    if moment is None:
        return rewards
    for reward in rewards:
        if reward.when.tiers and moment.tier_id not in reward.when.tiers:
            return refused(Refusal.REWARD_NOT_IN_TIER, reward_id=reward.reward_id, tier_id=moment.tier_id)
    for reward in rewards:
        if not (reward.in_basket and holds_at(reward.when, moment)):
            return refused(Refusal.REWARD_NOT_APPLICABLE, reward_id=reward.reward_id)
    return rewards


def _offs(
    reward: Reward | Coupon, basket: Basket, left: Sequence[int], pieces_milli: Sequence[int]
) -> list[int]:
    """Return what a reward or coupon takes off each line, never more than is left of it; all 0 when it does not apply.

    A reward that was paid for in points must be worth what it says; of a coupon what is too much is lost.
    """
    fitting = [fits(reward.lines, line) for line in basket.lines]
    amounts = [amount if fit else 0 for amount, fit in zip(left, fitting, strict=True)]
    total = sum(amounts)
    if total <= 0 or total < reward.minimum_minor:
        return [0] * len(left)
    if reward.kind == "free_item":
        return _free_item_offs(amounts, pieces_milli)
    if reward.kind == "percent_off":
        value = total * reward.percent_ppm // PPM
        value = min(value, reward.amount_minor) if reward.amount_minor else value
    else:
        value = reward.amount_minor
        if value > total and isinstance(reward, Reward):
            return [0] * len(left)
        value = min(value, total)
    return spread_by_group(value, amounts, [line.tax_code for line in basket.lines])


def _free_item_offs(amounts: Sequence[int], pieces_milli: Sequence[int]) -> list[int]:
    """One whole piece of the dearest fitting line is free; a line of less than one piece does not count.

    ``pieces_milli`` are those that are not free yet, so that a second free piece costs what the first did.
    """
    prices = [
        amount * 1000 // pieces if pieces >= 1000 else 0
        for amount, pieces in zip(amounts, pieces_milli, strict=True)
    ]
    best = max(range(len(prices)), key=lambda at: (prices[at], -at))
    return [price if at == best else 0 for at, price in enumerate(prices)]
