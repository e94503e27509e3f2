"""When members are reminded of a basket or a wish list, and how often; the server does it, tills know nothing of it."""

from __future__ import annotations

from tallystick.core.record import record
from tallystick.core.rules.reader import Node

ABANDONED_AFTER_H_MAX = 720
WISH_REMINDER_DAYS_MAX = 365
PER_MONTH_MAX = 31


@record(frozen=True, slots=True)
class Reminders:
    """A basket counts as abandoned ``abandoned_after_h`` hours after its last change (0: never).

    A wish list is reminded of ``wish_reminder_days`` days after its last change (0: never). A member has at most
    ``per_month`` reminders in 30 days, of both kinds together.
    """

    abandoned_after_h: int = 24
    wish_reminder_days: int = 30
    per_month: int = 4


def parse_reminders(node: Node | None) -> Reminders | None:
    """Read the section, None without one; what is wrong goes to the node's findings."""
    if node is None:
        return None
    reminders = Reminders(
        abandoned_after_h=node.integer("abandoned_after_h", 24, high=ABANDONED_AFTER_H_MAX),
        wish_reminder_days=node.integer("wish_reminder_days", 30, high=WISH_REMINDER_DAYS_MAX),
        per_month=node.integer("per_month", 4, low=1, high=PER_MONTH_MAX),
    )
    if not (reminders.abandoned_after_h or reminders.wish_reminder_days):
        node.wrong("", "reminds of nothing", "remove it, or give abandoned_after_h or wish_reminder_days")
    node.done()
    return reminders
