"""How far a member has come: challenges that run, badges that were won, memberships that are paid for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from tallystick.core.basket import Origin
from tallystick.core.lots import local_day
from tallystick.core.money import PPM
from tallystick.core.prize import BADGE, WON
from tallystick.core.rules.challenge import Challenge
from tallystick.core.rules.match import holds_at, moment_for
from tallystick.core.rules.membership import Membership, memberships_at
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.tier import current_tier
from tallystick.core.state import Account, MemberStatus, Tally

NEAR_MAX = 2
"""Whoever has a queue waiting, or a basket to buy, reads no more of them."""


class ChallengeNow(NamedTuple):
    """A challenge in the period that runs. ``progress`` is in the unit of its target, and may exceed it.

    ``first_day`` and ``last_day`` are None where the period has no beginning or no end.
    """

    challenge: Challenge
    progress: int
    awarded: int
    first_day: date | None
    last_day: date | None

    @property
    def left(self) -> int:
        """How much is missing to the next award, in the unit of the target; 0 when there is none in this period."""
        if self.awarded >= self.challenge.times:
            return 0
        return max(0, self.challenge.target * (self.awarded + 1) - self.progress)


class MembershipNow(NamedTuple):
    """A membership as it stands today; the days are None when it was never bought.

    ``active`` counts the days of grace, which end with ``grace_day``. From ``remind_day`` on the member is reminded.
    """

    membership: Membership
    active: bool = False
    last_day: date | None = None
    grace_day: date | None = None
    remind_day: date | None = None


def challenges_now(rules: RuleSet, tallies: Iterable[Tally], at_ms: int) -> list[ChallengeNow]:
    """Return the challenges that have begun and are not over, in the order of the rule set."""
    counts = {(key, period): count for key, period, count in tallies}
    day = local_day(at_ms, rules.zone)
    found = []
    for one in rules.challenges:
        if not one.when.from_ms <= at_ms < one.when.until_ms:
            continue
        period = one.period_of(day)
        last = one.ends(period, rules.zone)
        found.append(
            ChallengeNow(
                one,
                counts.get((one.key, period), 0) // one.unit,
                counts.get((f"{WON}{one.key}", period), 0),
                date.fromordinal(period) if period else None,
                date.fromordinal(last) if last else None,
            )
        )
    return found


def challenges_near(rules: RuleSet, account: Account, origin: Origin) -> list[ChallengeNow]:
    """Return the challenges that a sale at an origin can count for and that are nearest to their next award.

    Only those that were begun, or that one more may meet: all that could be begun are no news at a counter. The one of
    which the smallest part is missing comes first; of equal ones that which ends first. At most ``NEAR_MAX``, and none
    of a member who may not earn.
    """
    if not rules.challenges or account.status is MemberStatus.BLOCKED:
        return []
    at_ms = origin.occurred_ms
    held = memberships_at(rules.memberships, account.tallies, local_day(at_ms, rules.zone).toordinal())
    tier_id = current_tier(rules, account.tier).tier_id
    moment = moment_for(rules, origin, tier_id, account.member_id, held)
    near = [
        one
        for one in challenges_now(rules, account.tallies, at_ms)
        if (one.left == 1 or 0 < one.left < one.challenge.target) and holds_at(one.challenge.when, moment)
    ]
    near.sort(key=lambda one: (one.left * PPM // one.challenge.target, one.last_day or date.max))
    return near[:NEAR_MAX]


def badges_of(tallies: Iterable[Tally]) -> list[tuple[str, int]]:
    """Return the badges that were won, and how often, by their ids."""
    return [(key.removeprefix(BADGE), count) for key, _, count in tallies if key.startswith(BADGE)]


def memberships_now(rules: RuleSet, tallies: Iterable[Tally], at_ms: int) -> list[MembershipNow]:
    """Return how each membership of the rule set stands, in its order."""
    lasts = {key: count for key, period, count in tallies if not period}
    day = local_day(at_ms, rules.zone).toordinal()
    found = []
    for one in rules.memberships:
        last = lasts.get(one.key, 0)
        if not last:
            found.append(MembershipNow(one))
            continue
        last_day = date.fromordinal(last)
        grace, ahead = timedelta(days=one.grace_days), timedelta(days=one.remind_days)
        found.append(MembershipNow(one, one.holds(last, day), last_day, last_day + grace, last_day - ahead))
    return found
