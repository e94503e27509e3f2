"""Paid memberships in a rule set: an article is the fee, and while it is paid for, rules may ask for the membership."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from tallystick.core.lots import add_months
from tallystick.core.record import record
from tallystick.core.rules.reader import Node
from tallystick.core.state import Tally

MEMBERSHIPS_MAX = 20
TERM_DAYS_MAX = 3_660
TERM_MONTHS_MAX = 120
TERMS_OF_SALE_MAX = 100
"""More pieces of a fee in one sale than anybody pays at once; what is above counts for nothing."""

GRACE_DAYS_MAX = 366
NAME_CHARS_MAX = 100
_PREFIX = "member/"


@record(frozen=True, slots=True)
class Membership:
    """A membership that buying ``sku`` begins, or prolongs by one term: ``days`` or ``months``, exactly one above 0.

    Its rules hold through its last day and ``grace_days`` longer; whoever renews by then goes on from the last day.
    The fee's full return within ``refund_days`` ends it as it was before. A card reminds ``remind_days`` ahead.
    """

    membership_id: str
    name: str
    sku: str
    days: int = 0
    months: int = 0
    grace_days: int = 0
    refund_days: int = 0
    remind_days: int = 30

    @property
    def key(self) -> str:
        """The key of the tally that holds the ordinal of the last day."""
        return f"{_PREFIX}{self.membership_id}"

    def holds(self, last: int, day: int) -> bool:
        """Return whether it is paid for on a day, grace included; days are ordinals, ``last`` 0 for never bought."""
        return bool(last) and day <= last + self.grace_days

    def renewed(self, last: int, day: int) -> int:
        """Return the last day after one more term was bought on a day. Renewed in time, it goes on where it ended."""
        before = date.fromordinal(last if self.holds(last, day) else day - 1)
        if self.days:
            return (before + timedelta(days=self.days)).toordinal()
        return (add_months(before + timedelta(days=1), self.months) - timedelta(days=1)).toordinal()


def memberships_at(memberships: Sequence[Membership], tallies: Iterable[Tally], day: int) -> frozenset[str]:
    """Return the memberships that somebody has on the ordinal of a day."""
    last = {key: count for key, period, count in tallies if not period and key.startswith(_PREFIX)}
    return frozenset(one.membership_id for one in memberships if one.holds(last.get(one.key, 0), day))


def last_days(tallies: Iterable[Tally]) -> tuple[tuple[str, int], ...]:
    """Return each membership that was ever paid for, with the ordinal of its last day."""
    return tuple(
        (key.removeprefix(_PREFIX), count)
        for key, period, count in tallies
        if not period and key.startswith(_PREFIX)
    )


def tally_of(membership_id: str, last: int) -> Tally:
    """Return the tally of a membership whose last day is known: what a till has of it."""
    return Tally(f"{_PREFIX}{membership_id}", 0, last)


def membership_of(key: str) -> str:
    """Return the id of the membership whose tally has a key; empty for another tally."""
    return key.removeprefix(_PREFIX) if key.startswith(_PREFIX) else ""


def parse_memberships(root: Node) -> tuple[Membership, ...]:
    """Return the memberships of a rule set; what is wrong with them is added to the findings."""
    found = tuple(_membership(node) for node in root.nodes("memberships", most=MEMBERSHIPS_MAX))
    root.unique("memberships", [one.membership_id for one in found])
    root.unique("memberships", [one.sku for one in found], what="sku")
    return found


def _membership(node: Node) -> Membership:
    by_days, by_months = node.has("days"), node.has("months")
    if by_days == by_months:
        message = "has both days and months" if by_days else "must say how long a term is"
        node.wrong("", message, "write days: 30 or months: 12")
    membership = Membership(
        membership_id=node.text("id", longest=64),
        name=node.text("name", longest=NAME_CHARS_MAX),
        sku=node.text("sku", longest=64),
        days=node.integer("days", low=1, high=TERM_DAYS_MAX) if by_days else 0,
        months=node.integer("months", low=1, high=TERM_MONTHS_MAX) if by_months else 0,
        grace_days=node.integer("grace_days", 0, high=GRACE_DAYS_MAX),
        refund_days=node.integer("refund_days", 0, high=366),
        remind_days=node.integer("remind_days", 30, high=366),
    )
    node.done()
    return membership
