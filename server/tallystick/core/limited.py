"""Rewards that are counted: a stock that all members share, and how often each member may have one in a period."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tallystick.core.basket import Origin
from tallystick.core.coupon import CouponUse
from tallystick.core.draft import Draft
from tallystick.core.entry import AppliedCoupon, AppliedReward, Entry, Refusal, Refused, refused
from tallystick.core.ids import Minor
from tallystick.core.lots import local_day
from tallystick.core.rules.model import Reward, RuleSet
from tallystick.core.rules.period import open_from, period_start
from tallystick.core.rules.reward import COUNTER, counter_of, find_reward, is_counter
from tallystick.core.state import HoldStatus, MemberStatus

UNDONE = (COUNTER, "action/")
"""How the keys of tallies begin that a reverse reckons down as its entry reckoned them up."""


def coupons_only(uses: Sequence[CouponUse]) -> Sequence[CouponUse]:
    """Return what is known of coupons, without what is known of rewards that are counted."""
    return [use for use in uses if not is_counter(use.coupon_id)]


def check_counted(
    draft: Draft,
    rules: RuleSet,
    reward_ids: Sequence[str],
    uses: Sequence[CouponUse],
    *,
    origin: Origin,
    points: int,
    promised: bool = False,
) -> Refused | None:
    """Return why one of the rewards is not to be had any more, None when all are.

    ``uses`` is what is known of their counters: of a stock that is not among them nobody keeps count here. What a hold
    still reserves was ``promised``. ``points`` are what the command burns: who has locked them is told so first.
    """
    asked = Counter(reward_ids)
    rewards = [reward for reward_id in asked if (reward := find_reward(rules, reward_id)) and reward.limited]
    if not rewards:
        return None
    no = _sold_out(rewards, asked, {use.coupon_id: use for use in uses})
    if no is None and not promised:
        no = _beyond_limit(draft, rules, rewards, asked, origin)
    return after_lock(draft, points, no) if no else None


def _sold_out(
    rewards: Iterable[Reward], asked: Mapping[str, int], known: Mapping[str, CouponUse]
) -> Refused | None:
    for reward in rewards:
        use = known.get(counter_of(reward.reward_id))
        if use is None or use.reserved:
            continue
        if 0 < reward.stock < use.in_all + asked[reward.reward_id]:
            return refused(Refusal.REWARD_SOLD_OUT, reward_id=reward.reward_id)
    return None


def _beyond_limit(
    draft: Draft, rules: RuleSet, rewards: Iterable[Reward], asked: Mapping[str, int], origin: Origin
) -> Refused | None:
    """What open holds reserve counts as had: whoever captures them all has no more than is allowed."""
    at_ms = max(origin.occurred_ms, draft.account.as_of_ms)
    day, today = local_day(origin.occurred_ms, rules.zone), local_day(at_ms, rules.zone)
    for reward in rewards:
        limit, name = reward.limit, reward.reward_id
        if not limit.count:
            continue
        held = sum(
            hold.reward_ids.count(name)
            for hold in draft.holds.values()
            if hold.status is HoldStatus.OPEN and hold.expires_ms > at_ms
        )
        if limit.left(draft, counter_of(name), day=day, today=today) < held + asked[name]:
            return refused(Refusal.REWARD_LIMIT, reward_id=name, count=limit.count, per=limit.per.value)
    return None


def needs_gateway(rules: RuleSet, reward_ids: Iterable[str]) -> Refused | None:
    """Return why rewards are not to be had where nobody counts, None when they are."""
    for reward_id in reward_ids:
        reward = find_reward(rules, reward_id)
        if reward is not None and reward.limited:
            return refused(Refusal.REWARD_NEEDS_GATEWAY, reward_id=reward_id)
    return None


def stock_taken(rewards: Sequence[AppliedReward], uses: Sequence[CouponUse]) -> tuple[AppliedCoupon, ...]:
    """Return what an entry counts of stocks for these rewards: those of which count is kept."""
    known = {use.coupon_id for use in uses}
    names = [counter_of(reward.reward_id) for reward in rewards]
    return tuple(AppliedCoupon(name, Minor(0)) for name in names if name in known)


def count_had(draft: Draft, rules: RuleSet, rewards: Iterable[AppliedReward], origin: Origin) -> None:
    """Count for the member what the next entry gives, in the period of its day; what a till gave counts as well."""
    for one in rewards:
        reward = find_reward(rules, one.reward_id)
        if reward is None or not reward.limit.count:
            continue
        day = local_day(origin.occurred_ms, rules.zone)
        today = local_day(max(origin.occurred_ms, draft.account.as_of_ms), rules.zone)
        key, start = counter_of(reward.reward_id), period_start(reward.limit.per, day)
        # Of a period that is closed nothing is asked any more.
        if start >= open_from(reward.limit.per, today) and draft.has_room(key, start):
            reward.limit.use(draft, key, day=day, today=today)


def uncount(draft: Draft, target: Entry) -> None:
    """Reckon down what an entry that is reversed had counted of rewards and actions, as far as it is still kept."""
    for tally in target.detail.tallies:
        if tally.key.startswith(UNDONE) and draft.tally(tally.key, tally.period) >= tally.count > 0:
            draft.count(tally.key, tally.period, -tally.count)


def after_lock(draft: Draft, points: int, no: Refused) -> Refused:
    """Return the refusal that is given when the points are locked besides: the one with the lower number."""
    locked = draft.account.status is MemberStatus.LOCKED and points > 0
    return refused(Refusal.MEMBER_LOCKED) if locked else no
