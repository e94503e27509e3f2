"""A member as the screen shows it: balance, what may be burned now, and which rewards are in reach."""

from __future__ import annotations

from dataclasses import replace

from tallystick.core.basket import Channel, Origin
from tallystick.core.lots import local_day
from tallystick.core.rules.match import holds_at, moment_for
from tallystick.core.rules.model import Reward, RuleSet
from tallystick.core.rules.tier import current_tier
from tallystick.core.standin import held_memberships
from tallystick.core.state import TierState
from tallystick_till.authority import ABOVE_FLOOR, MEMBER_BLOCKED, MEMBER_LOCKED, Burns
from tallystick_till.challenges import ends_soon
from tallystick_till.clock import TillClock
from tallystick_till.errors import NO_RULES
from tallystick_till.facts import Facts
from tallystick_till.identify import Seen
from tallystick_till.link import Link
from tallystick_till.ports import Identity
from tallystick_till.rulebook import Rulebook
from tallystick_till.types import ChallengeView, MemberView, RewardView, VoucherView
from tallystick_till.words import label

REWARDS_SHOWN = 3
ABOVE_ASSURANCE_CAP = "ABOVE_ASSURANCE_CAP"
_STATUSES = {"": "open", MEMBER_BLOCKED: "blocked", MEMBER_LOCKED: "locked"}


class MemberViews:
    """Draws members."""

    def __init__(
        self,
        identity: Identity,
        rulebook: Rulebook,
        clock: TillClock,
        link: Link,
        facts: Facts,
        burns: Burns,
    ) -> None:
        self._identity = identity
        self._rulebook = rulebook
        self._clock = clock
        self._link = link
        self._facts = facts
        self._burns = burns

    def view(self, seen: Seen, voucher: VoucherView | None = None) -> MemberView:
        """Return a member at the counter; a voucher in hand adds to what may be burned."""
        rules = self._rulebook.current
        points = self._facts.shown(seen.member_id, seen.told)
        limit, reason, tier_id = 0, NO_RULES, seen.tier_id
        rewards: tuple[RewardView, ...] = ()
        challenges: tuple[ChallengeView, ...] = ()
        worth = 0
        if rules is not None:
            limit, reason = self._limit(rules, seen, points, voucher)
            tier_id = current_tier(rules, TierState(tier_id=seen.tier_id)).tier_id
            rewards = self._rewards(rules, seen, tier_id, limit)
            challenges = self._challenges(rules, seen) if voucher is None else ()
            unit = rules.burning.unit_points
            worth = points // unit * unit * rules.burning.value_minor // rules.burning.value_points
        return MemberView(
            seen.member_id,
            seen.name,
            tier_id,
            label(tier_id),
            points,
            worth,
            int(seen.assurance),
            _STATUSES[seen.stopped],
            "snapshot" if seen.told is None else "server",
            self._link.contact_ms if seen.told is None else int(self._clock.now_ms()),
            limit,
            reason,
            rewards,
            challenges,
        )

    def _limit(self, rules: RuleSet, seen: Seen, points: int, voucher: VoucherView | None) -> tuple[int, str]:
        if seen.stopped:
            return 0, seen.stopped
        stop = self._burns.stop_asking()
        if self._link.online and voucher is None:
            limit, reason = (0, stop) if stop else (points, "")
        else:
            limits = self._burns.limits(rules, seen.member_id, shown=points, stopped="", voucher=voucher)
            limit = limits.available
            reason = limits.stop or (ABOVE_FLOOR if limit < points else "")
        cap = rules.burning.assurance_caps[seen.assurance]
        return (cap, ABOVE_ASSURANCE_CAP) if 0 <= cap < limit else (limit, reason)

    def _challenges(self, rules: RuleSet, seen: Seen) -> tuple[ChallengeView, ...]:
        """Return the challenges that the scan was answered with, and the days on which they end where that is soon."""
        today = local_day(self._clock.now_ms(), rules.zone)
        return tuple(
            one if ends_soon(one.last_day, today) else replace(one, last_day="") for one in seen.challenges
        )

    def _rewards(self, rules: RuleSet, seen: Seen, tier_id: str, limit: int) -> tuple[RewardView, ...]:
        """Return what the member can have, the dearest first, then what comes next in reach."""
        origin = Origin(self._clock.now_ms(), Channel.STORE, self._identity.store_id, self._identity.till_id)
        held = frozenset(held_memberships(rules, seen.memberships, origin.occurred_ms))
        moment = moment_for(rules, origin, tier_id, seen.member_id, held)
        # Whoever cannot be asked how many are left cannot be offered one.
        asks = self._link.online and not self._burns.stop_asking()
        open_now = [
            reward
            for reward in rules.rewards
            if reward.in_basket and (asks or not reward.limited) and holds_at(reward.when, moment)
        ]

        def order(reward: Reward) -> tuple[bool, int, str]:
            far = reward.cost > limit
            return far, reward.cost if far else -reward.cost, reward.reward_id

        return tuple(
            RewardView(reward.reward_id, label(reward.reward_id), reward.cost, reward.cost <= limit)
            for reward in sorted(open_now, key=order)[:REWARDS_SHOWN]
        )
