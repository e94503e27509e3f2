"""May an article be sold to somebody now? Asked by shops before it lies in a basket, told by a quote when it does.

Nothing is refused because of it: at a till people sell goods, and they have them in their hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from tallystick.core.basket import Line
from tallystick.core.entry import Explanation
from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.lots import local_day
from tallystick.core.rules.access import Access
from tallystick.core.rules.match import Moment, fits, holds_at
from tallystick.core.rules.model import RuleSet


class AccessReason(IntEnum):
    """Why an article is open or not. The numbers are those of the contract."""

    OPEN = 1
    EARLY = 2
    NOT_YET = 3
    MEMBERS_ONLY = 4


class Opening(NamedTuple):
    """How an article is at a moment.

    ``opens_ms`` is when it opens to everybody, ``opens_for_member_ms`` when it does to whoever asks: both NEVER_MS when
    that has happened, or never will.
    """

    reason: AccessReason
    access_id: str = ""
    opens_ms: Ms = NEVER_MS
    opens_for_member_ms: Ms = NEVER_MS

    @property
    def allowed(self) -> bool:
        """Whether it may be sold."""
        return self.reason in (AccessReason.OPEN, AccessReason.EARLY)


OPEN = Opening(AccessReason.OPEN)


def opening_of(rule: Access, moment: Moment) -> Opening:
    """Return how the articles of a rule are to whoever the moment is about."""
    if moment.at_ms >= rule.opens_ms:
        return Opening(AccessReason.OPEN, rule.access_id)
    if holds_at(rule.who, moment):
        if moment.at_ms >= rule.early_ms:
            return Opening(AccessReason.EARLY, rule.access_id, rule.opens_ms)
        return Opening(AccessReason.NOT_YET, rule.access_id, rule.opens_ms, rule.early_ms)
    if rule.opens_ms >= NEVER_MS:
        return Opening(AccessReason.MEMBERS_ONLY, rule.access_id)
    return Opening(AccessReason.NOT_YET, rule.access_id, rule.opens_ms, rule.opens_ms)


def access_of(rules: RuleSet, line: Line, moment: Moment) -> Opening:
    """Return how an article is: by the first rule that it fits and that is not over, open to all without one."""
    for rule in rules.access:
        if moment.at_ms < rule.opens_ms and fits(rule.lines, line):
            return opening_of(rule, moment)
    return OPEN


_CODES = {
    AccessReason.EARLY: "early_access",
    AccessReason.NOT_YET: "not_open_yet",
    AccessReason.MEMBERS_ONLY: "members_only",
}


def access_told(rules: RuleSet, lines: Sequence[Line], moment: Moment) -> tuple[Explanation, ...]:
    """Say of which lines not everybody could have them now."""
    told = []
    for number, line in enumerate(lines, 1):
        found = access_of(rules, line, moment)
        if found.reason is AccessReason.OPEN:
            continue
        args: tuple[tuple[str, str], ...] = ()
        if found.opens_ms < NEVER_MS:
            args = (("opens_on", local_day(found.opens_ms, rules.zone).isoformat()),)
        told.append(Explanation(found.access_id, number, 0, _CODES[found.reason], args))
    return tuple(told)
