"""Actions in a rule set: what gives points without a sale, how often, and who may say that it was done."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tallystick.core.record import record
from tallystick.core.rules.period import Limit, Per, parse_limit
from tallystick.core.rules.reader import Node

if TYPE_CHECKING:
    from tallystick.core.rules.model import Condition, RuleSet

ACTIONS_MAX = 100
NAME_CHARS_MAX = 100
POINTS_OF_ACTION_MAX = 10**9
SUBJECTS_MAX = 100
"""Most subjects of a period: each is a tally of the member's, and others must find room beside them."""

POSTERS = ("till", "webshop", "app", "staff")
STANDARD_POSTERS = ("till", "webshop", "staff")
POSTED = "posted"
DAYS = ("birthday", "anniversary")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

ONCE_A_YEAR = Limit(1, Per.YEAR)
"""What is said of the limit of an action that comes by itself; that it comes once follows from its entry's id."""


@record(frozen=True, slots=True)
class Action:
    """Something that gives ``points`` without a sale, at most as often as ``limit`` says.

    ``by`` names who may say that it was done, of ``POSTERS``. One that is ``once_per_subject`` gives points once for
    each subject in a period of the limit, and within it. One with ``on`` (of ``DAYS``) comes by itself, once a year; of
    others it is empty.
    """

    action_id: str
    name: str
    points: int
    limit: Limit
    when: Condition
    by: frozenset[str] = frozenset()
    once_per_subject: bool = False
    on: str = ""


def find_action(rules: RuleSet, action_id: str) -> Action | None:
    """Return an action of the rule set."""
    return next((action for action in rules.actions if action.action_id == action_id), None)


def parse_action(node: Node, when: Condition) -> Action:
    """Return one action; what is wrong with it is added to the node's findings."""
    action_id = node.text("id", longest=64)
    if action_id and not ID.fullmatch(action_id):
        node.wrong("id", f"'{action_id}' is not a plain word", "use letters, digits, '.', '_' and '-'")
    on = node.choice("on", (POSTED, *DAYS), POSTED)
    name = node.text("name", longest=NAME_CHARS_MAX)
    points = node.integer("points", low=1, high=POINTS_OF_ACTION_MAX)
    if on != POSTED:
        _check_by_itself(node, when)
        node.done()
        return Action(action_id, name, points, ONCE_A_YEAR, when, on=on)
    action = Action(
        action_id,
        name,
        points,
        parse_limit(node.node("limit", needed="write how often: limit: {count: 1, per: month}")),
        when,
        by=frozenset(node.texts("by", POSTERS) or STANDARD_POSTERS),
        once_per_subject=node.flag("once_per_subject"),
    )
    if action.once_per_subject and action.limit.count > SUBJECTS_MAX:
        node.wrong(
            "limit", f"is {action.limit.count} subjects in a period, at most {SUBJECTS_MAX} are kept apart"
        )
    node.done()
    return action


def _check_by_itself(node: Node, when: Condition) -> None:
    """Report what makes no sense for what nobody posts."""
    for key in ("limit", "by", "once_per_subject"):
        if node.has(key):
            node.wrong(key, "does not go with 'on'", "remove it: the day comes once a year, by itself")
    if when.stores or when.channels or when.weekdays or when.minutes:
        node.wrong(
            "on", "comes from no store or channel and at no hour", "remove store, channel, weekday, hours"
        )
