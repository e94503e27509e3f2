"""Goals in a rule set: what all members together try to reach, and what everybody who took part gets for it."""

from __future__ import annotations

from enum import StrEnum

from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.record import record
from tallystick.core.rules.index import Selector
from tallystick.core.rules.model import Condition
from tallystick.core.rules.reader import Node

GOALS_MAX = 20
TARGET_MAX = 10**15
AWARD_POINTS_MAX = 10**9
NAME_CHARS_MAX = 100
RETURN_DAYS_MAX = 366


class Counts(StrEnum):
    """What a goal counts: what lines cost (minor units), sales, points earned, or pieces (in thousandths)."""

    SPEND = "spend"
    SALES = "sales"
    POINTS = "points"
    PIECES = "pieces"


@record(frozen=True, slots=True)
class Goal:
    """``target`` counted of all members between ``when.from_ms`` and ``when.until_ms``: ``points`` for each of them.

    A target of pieces is in thousandths, as they are counted. ``lines`` and ``when`` say which lines of which sales
    count. It is looked at ``return_days`` after its end, or, ``at_once``, as soon as it is reached.
    """

    goal_id: str
    name: str
    counts: Counts
    target: int
    points: int
    lines: Selector = Selector()
    when: Condition = Condition()
    return_days: int = 0
    at_once: bool = False

    @property
    def key(self) -> str:
        """The key of its sum."""
        return f"goal/{self.goal_id}"

    @property
    def judged_ms(self) -> Ms:
        """When it is looked at: after its end and the time in which goods come back."""
        return Ms(self.when.until_ms + self.return_days * 86_400_000)


def parse_goal(node: Node, lines: Selector, when: Condition) -> Goal:
    """Return one goal; what is wrong with it is added to the node's findings."""
    counts = Counts(node.choice("counts", [each.value for each in Counts]))
    target = node.integer("target", low=1, high=TARGET_MAX // 1000)
    award = node.node("award", needed="say what everybody gets: award: {points: 500}")
    points = 0
    if award is not None:
        points = award.integer("points", low=1, high=AWARD_POINTS_MAX)
        award.done()
    goal = Goal(
        goal_id=node.text("id", longest=64),
        name=node.text("name", longest=NAME_CHARS_MAX),
        counts=counts,
        target=target * 1000 if counts is Counts.PIECES else target,
        points=points,
        lines=lines,
        when=when,
        return_days=node.integer("return_days", 0, high=RETURN_DAYS_MAX),
        at_once=node.flag("at_once"),
    )
    if not when.from_ms or when.until_ms >= NEVER_MS:
        node.wrong("until", "and 'from' must be there", 'write from: "2026-11-01" and until: "2026-12-01"')
    if goal.at_once and goal.return_days:
        node.wrong("return_days", "does not go with at_once", "remove one of the two")
    node.done()
    return goal
