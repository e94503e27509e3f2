"""What a recommendation brings, once the new member has bought for the first time and brought nothing back."""

from __future__ import annotations

from tallystick.core.ids import AMOUNT_MINOR_MAX
from tallystick.core.record import record
from tallystick.core.rules.period import NO_LIMIT, Limit, parse_limit
from tallystick.core.rules.reader import Node

REFERRAL_POINTS_MAX = 10**9
AFTER_DAYS_MAX = 366
AFTER_DAYS = 14
"""The usual return window, for programs whose points are not pending."""

WITHIN_DAYS_MAX = 1_096
WITHIN_DAYS = 90
BURST_PER_DAY = 5
BURST_PER_DAY_MAX = 1_000


@record(frozen=True, slots=True)
class Referring:
    """What both get when the new member's first purchase of ``minimum_minor``, net of returns, stands.

    It must come ``within_days`` after joining, and is looked at ``after_days`` after it: its return window. Of one
    referrer no more than ``limit`` are paid in a period, counted by the day of the pay-out. More than
    ``burst_per_day`` new members of one referrer on one day wait for a person (0: no such limit).
    """

    referrer_points: int = 0
    joiner_points: int = 0
    minimum_minor: int = 0
    after_days: int = AFTER_DAYS
    within_days: int = WITHIN_DAYS
    limit: Limit = NO_LIMIT
    burst_per_day: int = BURST_PER_DAY


def parse_referral(node: Node | None, *, pending_days: int) -> Referring | None:
    """Return what recommendations bring, None when they bring nothing; ``pending_days`` is that of the earning."""
    if node is None:
        return None
    referral = Referring(
        referrer_points=node.integer("referrer_points", 0, high=REFERRAL_POINTS_MAX),
        joiner_points=node.integer("joiner_points", 0, high=REFERRAL_POINTS_MAX),
        minimum_minor=node.integer("minimum_minor", 0, high=AMOUNT_MINOR_MAX),
        after_days=node.integer("after_days", pending_days or AFTER_DAYS, high=AFTER_DAYS_MAX),
        within_days=node.integer("within_days", WITHIN_DAYS, low=1, high=WITHIN_DAYS_MAX),
        limit=parse_limit(node.node("limit")),
        burst_per_day=node.integer("burst_per_day", BURST_PER_DAY, high=BURST_PER_DAY_MAX),
    )
    if not referral.referrer_points and not referral.joiner_points:
        node.wrong("referrer_points", "nobody gets anything", "give referrer_points, joiner_points or both")
    node.done()
    return referral
