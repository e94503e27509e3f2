"""What members are told, and why: what an entry is a reason for, and points that are about to expire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta

from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import MemberId, Ms
from tallystick.core.record import record
from tallystick.core.rules.ladder import in_tier, to_be_had
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.notifications import Occasion, Telling
from tallystick.service.notice_texts import Args

_SPENDING = (EntryKind.SALE, EntryKind.BURN, EntryKind.CAPTURE)
_EARNING = (EntryKind.SALE, EntryKind.EARN, EntryKind.CAPTURE)
_REFERRAL = "referral"
_PRESENTS = ("birthday", "anniversary")
"""Explanations of earns that are no thanks for something done."""


@record(frozen=True, slots=True)
class Reason:
    """A reason to tell a member something. After ``stale_ms`` it is too late."""

    member_id: MemberId
    occasion: Occasion
    key: str
    args: Args
    stale_ms: Ms


def told_by(entry: Entry, before: Entry | None, rules: RuleSet) -> Iterable[tuple[Occasion, Args]]:
    """Return what an entry is a reason to tell of."""
    moves, balance = entry.moves, ("balance", str(entry.active_after))
    given = ("points", str(-moves.issued)), balance
    if any(one.code.startswith(_REFERRAL) for one in entry.detail.explanations):
        if moves.issued < 0:
            yield Occasion.REFERRAL_PAID, given
    elif entry.kind is EntryKind.AWARD or any(one.code in _PRESENTS for one in entry.detail.explanations):
        if moves.issued < 0:
            yield Occasion.AWARD, given
    elif entry.kind in _EARNING and moves.issued < 0:
        yield Occasion.POINTS_EARNED, given
    if entry.kind in _SPENDING and moves.burned > 0:
        yield Occasion.REDEMPTION, (("points", str(moves.burned)), balance)
    if rules.tiers is not None and entry.tier_after:
        ranks = rules.tiers.ranks
        was = before.tier_after if before is not None else ""
        if ranks.get(entry.tier_after, 0) > ranks.get(was, 0):
            yield Occasion.TIER_REACHED, (("tier", entry.tier_after),)
    reached = _reward_reached(entry, rules)
    if reached:
        yield Occasion.REWARD_IN_REACH, (("reward", reached), balance)


def _reward_reached(entry: Entry, rules: RuleSet) -> str:
    """Return the dearest reward that the points of an entry have brought into reach; empty when there is none."""
    moves = entry.moves
    # What comes back from a hold was the member's before: a checkout that was left is no news.
    was = entry.active_after - moves.active + max(0, -moves.held - max(0, moves.burned))
    if was >= entry.active_after:
        return ""
    new = [
        reward
        for reward in to_be_had(rules.rewards, entry.origin.occurred_ms)
        if in_tier(reward, entry.tier_after) and was < reward.cost <= entry.active_after
    ]
    return max(new, key=lambda reward: reward.cost).reward_id if new else ""


def expiring_told(
    member_id: MemberId, rules: RuleSet, telling: Telling, days: Sequence[tuple[date, int]], today: date
) -> Iterable[Reason]:
    """Return reasons for the points that expire in the days that are told, those of one week together.

    Whoever shops every day has points that expire every day, and does not want to hear of it every day.
    """
    weeks: dict[tuple[int, int], list[tuple[date, int]]] = {}
    for last_day, points in days:
        if last_day >= today:
            year, week, _ = last_day.isocalendar()
            weeks.setdefault((year, week), []).append((last_day, points))
    for (year, week), of_week in weeks.items():
        first, points = of_week[0][0], sum(points for _, points in of_week)
        near = [days for days in telling.days_before if (first - today).days <= days]
        if near:
            args = (("points", str(points)), ("date", first.isoformat()))
            over = datetime.combine(first + timedelta(days=1), time.min, tzinfo=rules.zone)
            key = f"{min(near)}/{year}-{week}"
            yield Reason(member_id, Occasion.POINTS_EXPIRING, key, args, Ms(int(over.timestamp()) * 1000))
