"""Rewards that are counted: what is left of a stock that all members share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tallystick.core.coupon import CouponUse
from tallystick.core.draft import Draft
from tallystick.core.entry import AppliedCoupon, AppliedReward, Refusal, Refused, refused
from tallystick.core.ids import Minor
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.reward import counter_of, find_reward, is_counter
from tallystick.core.state import MemberStatus


def coupons_only(uses: Sequence[CouponUse]) -> Sequence[CouponUse]:
    """Return what is known of coupons, without what is known of rewards that are counted."""
    return [use for use in uses if not is_counter(use.coupon_id)]


def check_counted(
    draft: Draft, rules: RuleSet, reward_ids: Sequence[str], uses: Sequence[CouponUse], *, points: int
) -> Refused | None:
    """Return why one of the rewards is not to be had any more, None when all are.

    ``uses`` is what is known of their counters: of one that is not among them nobody keeps count here. What a hold
    still reserves was promised. ``points`` are what the command burns: a member who has locked them is told so first.
    """
    known = {use.coupon_id: use for use in uses if is_counter(use.coupon_id)}
    if not known:
        return None
    for reward_id, asked in Counter(reward_ids).items():
        reward, use = find_reward(rules, reward_id), known.get(counter_of(reward_id))
        if reward is None or use is None or use.reserved:
            continue
        if 0 < reward.stock < use.in_all + asked:
            return after_lock(draft, points, refused(Refusal.REWARD_SOLD_OUT, reward_id=reward_id))
    return None


def needs_gateway(rules: RuleSet, reward_ids: Iterable[str]) -> Refused | None:
    """Return why rewards are not to be had where nobody counts, None when they are."""
    for reward_id in reward_ids:
        reward = find_reward(rules, reward_id)
        if reward is not None and reward.limited:
            return refused(Refusal.REWARD_NEEDS_GATEWAY, reward_id=reward_id)
    return None


def counted_rewards(rewards: Sequence[AppliedReward], uses: Sequence[CouponUse]) -> tuple[AppliedCoupon, ...]:
    """Return what an entry counts for these rewards: those of which count is kept."""
    known = {use.coupon_id for use in uses}
    names = [counter_of(reward.reward_id) for reward in rewards]
    return tuple(AppliedCoupon(name, Minor(0)) for name in names if name in known)


def after_lock(draft: Draft, points: int, no: Refused) -> Refused:
    """Return the refusal that is given when the points are locked besides: the one with the lower number."""
    locked = draft.account.status is MemberStatus.LOCKED and points > 0
    return refused(Refusal.MEMBER_LOCKED) if locked else no
