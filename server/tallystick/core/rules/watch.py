"""What the gateway looks out for, and lists for a person: thresholds of the review list."""

from __future__ import annotations

from tallystick.core.ids import POINTS_MAX
from tallystick.core.record import record
from tallystick.core.rules.reader import Node

THRESHOLD_MAX = 100_000


@record(frozen=True, slots=True)
class Watching:
    """More than so many are listed for a person; 0: not looked out for. Nothing is held back because of them.

    Of one member: entries for actions (without a basket) in 24 hours, sales at one till in an hour, and in 24 hours
    sales at the store where the member works. Of one till: new members in an hour. Adjustments of more than
    ``adjust_review_points`` are the exception: they wait until a second person releases them (0: none does).
    """

    actions_per_day: int = 20
    sales_per_hour: int = 6
    staff_sales_per_day: int = 2
    enrolments_per_hour: int = 30
    adjust_review_points: int = 0


def parse_watch(node: Node | None) -> Watching:
    """Return the thresholds."""
    if node is None:
        return Watching()
    usual = Watching()
    watching = Watching(
        actions_per_day=node.integer("actions_per_day", usual.actions_per_day, high=THRESHOLD_MAX),
        sales_per_hour=node.integer("sales_per_hour", usual.sales_per_hour, high=THRESHOLD_MAX),
        staff_sales_per_day=node.integer(
            "staff_sales_per_day", usual.staff_sales_per_day, high=THRESHOLD_MAX
        ),
        enrolments_per_hour=node.integer(
            "enrolments_per_hour", usual.enrolments_per_hour, high=THRESHOLD_MAX
        ),
        adjust_review_points=node.integer("adjust_review_points", 0, high=POINTS_MAX),
    )
    node.done()
    return watching
