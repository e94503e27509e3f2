"""Rewards bought without a basket, and handed out once."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.core.command import RedeemReward, UseRedemption
from tallystick.core.coupon import CouponUse
from tallystick.core.draft import Draft
from tallystick.core.entry import (
    AppliedReward,
    Detail,
    Entry,
    EntryKind,
    Explanation,
    Moves,
    Refusal,
    Refused,
    refused,
)
from tallystick.core.ids import Minor
from tallystick.core.limited import check_counted, count_had, stock_taken
from tallystick.core.moment import moment_at
from tallystick.core.rules.match import holds_at
from tallystick.core.rules.model import Reward, RuleSet
from tallystick.core.rules.reward import find_reward
from tallystick.core.rules.tier import current_tier


def redeem_reward(
    draft: Draft, rules: RuleSet, command: RedeemReward, uses: Sequence[CouponUse] = ()
) -> Refused | None:
    """Burn what a reward costs; ``uses`` is what is known of its counter. A reverse gives points and stock back."""
    draft.set_tier(current_tier(rules, draft.tier))
    reward = find_reward(rules, command.reward_id)
    if reward is None:
        return refused(Refusal.REWARD_UNKNOWN, reward_id=command.reward_id)
    if no := _not_to_be_had(draft, rules, command, reward):
        return no
    if no := check_counted(draft, rules, [reward.reward_id], uses, origin=command.origin, points=reward.cost):
        return no
    allocs = draft.take_active(reward.cost) if reward.cost else ()
    bought = (AppliedReward(reward.reward_id, reward.cost, Minor(0)),)
    count_had(draft, rules, bought, command.origin)
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.BURN,
        moves=Moves(active=-reward.cost, burned=reward.cost),
        origin=command.origin,
        rule_set=rules.version,
        assurance=command.assurance,
        detail=Detail(
            explanations=(Explanation(reward.reward_id, 0, -reward.cost, "reward_redeemed"),),
            allocs=allocs,
            rewards=bought,
            coupons=stock_taken(bought, uses),
        ),
    )
    return None


def _not_to_be_had(draft: Draft, rules: RuleSet, command: RedeemReward, reward: Reward) -> Refused | None:
    moment = moment_at(draft, rules, command.origin)
    if reward.when.tiers and moment.tier_id not in reward.when.tiers:
        return refused(Refusal.REWARD_NOT_IN_TIER, reward_id=reward.reward_id, tier_id=moment.tier_id)
    if reward.in_basket or not holds_at(reward.when, moment):
        return refused(Refusal.REWARD_NOT_APPLICABLE, reward_id=reward.reward_id)
    cap = rules.burning.assurance_caps[command.assurance]
    if 0 <= cap < reward.cost:
        return refused(Refusal.ABOVE_ASSURANCE_CAP, points=reward.cost, points_max=cap)
    if reward.cost > draft.active:
        return refused(Refusal.INSUFFICIENT_POINTS, points=reward.cost, available=draft.active)
    return None


def use_redemption(
    draft: Draft, rules: RuleSet, command: UseRedemption, target: Entry | None, before: Sequence[Entry]
) -> Refused | None:
    """Note that a reward was handed out. The entry refers to the one that bought it, which from then on stays."""
    if target is None or not is_redemption(target):
        return refused(Refusal.ENTRY_UNKNOWN, entry_id=command.redemption_id)
    if any(entry.kind is EntryKind.REVERSE for entry in before):
        return refused(Refusal.ALREADY_REVERSED, entry_id=command.redemption_id)
    if before:
        return refused(Refusal.REDEMPTION_USED, redemption_id=command.redemption_id)
    reward_id = target.detail.rewards[0].reward_id
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.HANDOVER,
        moves=Moves(),
        origin=command.origin,
        rule_set=rules.version,
        reverses_seq=target.seq,
        detail=Detail(explanations=(Explanation(reward_id, 0, 0, "reward_handed_out"),)),
    )
    return None


def is_redemption(entry: Entry) -> bool:
    """Return whether an entry bought a reward by itself."""
    return entry.kind is EntryKind.BURN and bool(entry.detail.rewards)
