"""What a card says of things that are counted: how many of a reward are left, which actions still give points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tallystick.core.action import key_of
from tallystick.core.basket import Channel, Origin
from tallystick.core.draft import Draft
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.lots import local_day
from tallystick.core.moment import moment_at
from tallystick.core.record import record
from tallystick.core.rules.action import Action
from tallystick.core.rules.match import holds_at
from tallystick.core.rules.model import Condition, Reward, RuleSet
from tallystick.core.rules.period import period_start
from tallystick.core.rules.reward import counter_of
from tallystick.core.state import HoldStatus, MemberState
from tallystick.service.coupon_ports import CouponReader


@record(frozen=True, slots=True)
class CardAction:
    """An action as it is to a member: how often it was done in the period that runs, whether it gives points now."""

    action: Action
    done: int
    open: bool


def stock_left(
    reader: CouponReader, program_id: ProgramId, member_id: MemberId, rewards: Iterable[Reward], now_ms: Ms
) -> dict[str, int]:
    """Return how many are left of those rewards that have a stock, by reward."""
    stocked = {counter_of(reward.reward_id): reward for reward in rewards if reward.stock}
    if not stocked:
        return {}
    counts = reader.read_coupon_counts(program_id, sorted(stocked), member_id, now_ms=now_ms)
    return {
        reward.reward_id: max(0, reward.stock - counts.used.get(name, 0) - counts.held.get(name, 0))
        for name, reward in stocked.items()
    }


def limit_left(rules: RuleSet, state: MemberState, reward: Reward, at_ms: Ms) -> int:
    """Return how often a member may still have a reward in the period that runs, what is held counted as had."""
    if not reward.limit.count:
        return 0
    today = local_day(at_ms, rules.zone)
    left = reward.limit.left(Draft(state), counter_of(reward.reward_id), day=today, today=today)
    held = sum(
        hold.reward_ids.count(reward.reward_id)
        for hold in state.holds
        if hold.status is HoldStatus.OPEN and hold.expires_ms > at_ms
    )
    return max(0, left - held)


def actions_of(rules: RuleSet, state: MemberState, at_ms: Ms) -> list[CardAction]:
    """Return the actions of the rule set as they are to a member, in their order."""
    today, draft = local_day(at_ms, rules.zone), Draft(state)
    moment = moment_at(draft, rules, Origin(at_ms, Channel.UNKNOWN))
    return [
        CardAction(
            action,
            draft.tally(key_of(action.action_id), period_start(action.limit.per, today)),
            holds_at(anywhere(action.when), moment),
        )
        for action in rules.actions
    ]


def anywhere(when: Condition) -> Condition:
    """Return a condition without its places: a card is looked at nowhere."""
    return replace(when, stores=frozenset(), channels=frozenset())
