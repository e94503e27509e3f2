"""Challenges in a rule set: something counted towards a target within a period, for points, a badge, or both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from zoneinfo import ZoneInfo

from tallystick.core.basket import Line
from tallystick.core.entry import CountedLines
from tallystick.core.ids import NEVER_MS, POINTS_MAX
from tallystick.core.lots import local_day
from tallystick.core.record import record
from tallystick.core.rules.index import Selector
from tallystick.core.rules.match import Moment, fits, holds_at
from tallystick.core.rules.model import Condition
from tallystick.core.rules.period import KEPT_DAYS, Per, open_from, period_end, period_start
from tallystick.core.rules.reader import Node

CHALLENGES_MAX = 50
TIMES_MAX = 1_000
TARGET_MAX = 10**12
AWARD_POINTS_MAX = 10**9
WINDOW_DAYS_MAX = 366
DAYS_WINDOW_MAX = 92
"""A challenge that counts days keeps one tally for each of them."""

NAME_CHARS_MAX = 100


class Counts(StrEnum):
    """What a challenge counts: sales, what lines cost (minor units), pieces, points earned, or days with a sale."""

    SALES = "sales"
    SPEND = "spend"
    PIECES = "pieces"
    POINTS = "points"
    DAYS = "days"


@record(frozen=True, slots=True)
class Challenge:
    """For every ``target`` counted in a period, at most ``times``, ``points`` and the badge.

    ``lines`` and ``when`` say which lines of which sales count. The period is one of ``per``; with ``first_day`` (the
    ordinal of a day) there is only one, from ``when.from_ms`` to ``when.until_ms``.
    """

    challenge_id: str
    name: str
    counts: Counts
    target: int
    points: int = 0
    badge: str = ""
    per: Per = Per.EVER
    times: int = 1
    lines: Selector = Selector()
    when: Condition = Condition()
    first_day: int = 0

    @property
    def key(self) -> str:
        """The key of its progress among the tallies, and the name of what is won by it."""
        return f"challenge/{self.challenge_id}"

    @property
    def day_key(self) -> str:
        """The key under which the sales of each day are counted, where days count."""
        return f"day/{self.challenge_id}"

    @property
    def unit(self) -> int:
        """How many of what is counted make one of the target: pieces are counted in thousandths."""
        return 1000 if self.counts is Counts.PIECES else 1

    def period_of(self, day: date) -> int:
        """Return the period that a day lies in, as the tallies name it."""
        return self.first_day or period_start(self.per, day)

    def open_from(self, today: date) -> int:
        """Return the ordinal from which on periods are still counted in: a window as long as a whole year is."""
        if not self.first_day:
            return open_from(self.per, today)
        open_days = WINDOW_DAYS_MAX + KEPT_DAYS[Per.YEAR]
        return max(self.first_day, today.toordinal() - open_days)

    def ends(self, period: int, zone: ZoneInfo) -> int:
        """Return the ordinal of the last day of a period; 0 where it has none."""
        last = 0 if self.first_day else period_end(self.per, period)
        until = 0
        if self.when.until_ms < NEVER_MS:
            until = local_day(self.when.until_ms - 1, zone).toordinal()
        return min(last, until) if last and until else last or until

    def awards(self, count: int) -> int:
        """Return how many awards a count is worth."""
        return min(self.times, max(0, count) // (self.target * self.unit))


def counted_by(
    challenges: Sequence[Challenge],
    lines: Sequence[Line],
    *,
    eligible_minor: Sequence[int],
    line_points: Sequence[int],
    moment: Moment,
    day: date,
) -> tuple[CountedLines, ...]:
    """Return what each line of a sale counts towards the challenges that hold at its moment.

    ``eligible_minor`` is what earns of a line, 0 for one that does not: what earns nothing counts for nothing.
    """
    counted = []
    for one in challenges:
        if not holds_at(one.when, moment):
            continue
        shares = [
            _share(one, line, eligible, points) if eligible > 0 and fits(one.lines, line) else 0
            for line, eligible, points in zip(lines, eligible_minor, line_points, strict=True)
        ]
        if any(shares):
            whole = one.counts in (Counts.SALES, Counts.DAYS)
            counted.append(CountedLines(one.key, one.period_of(day), whole, tuple(shares)))
    return tuple(counted)


def _share(challenge: Challenge, line: Line, eligible_minor: int, points: int) -> int:
    match challenge.counts:
        case Counts.SPEND:
            return eligible_minor
        case Counts.PIECES:
            return line.quantity_milli
        case Counts.POINTS:
            return points
        case Counts.SALES | Counts.DAYS:
            return 1


def parse_challenge(node: Node, lines: Selector, when: Condition, zone: ZoneInfo) -> Challenge:
    """Return one challenge; what is wrong with it is added to the node's findings."""
    counts = Counts(node.choice("counts", [each.value for each in Counts]))
    per = Per(node.choice("per", [each.value for each in Per], Per.EVER.value))
    points, badge = _award(node)
    challenge = Challenge(
        challenge_id=node.text("id", longest=64),
        name=node.text("name", longest=NAME_CHARS_MAX),
        counts=counts,
        target=node.integer("target", low=1, high=TARGET_MAX),
        points=points,
        badge=badge,
        per=per,
        times=node.integer("times", 1, low=1, high=TIMES_MAX),
        lines=lines,
        when=when,
        first_day=_window(node, counts, per, when, zone),
    )
    if points * challenge.times > POINTS_MAX:
        node.wrong("times", f"gives more than {POINTS_MAX} points in a period", "give less, or fewer times")
    node.done()
    return challenge


def _award(node: Node) -> tuple[int, str]:
    award = node.node("award", needed="say what is won: award: {points: 500} or award: {badge: explorer}")
    if award is None:
        return 0, ""
    points = award.integer("points", 0, high=AWARD_POINTS_MAX)
    badge = award.text("badge", "", longest=64)
    if not points and not badge:
        award.wrong("", "gives nothing", "add points, a badge, or both")
    award.done()
    return points, badge


def _window(node: Node, counts: Counts, per: Per, when: Condition, zone: ZoneInfo) -> int:
    """Return the first day of a challenge that runs once, from a day until another; 0 for one that has periods."""
    is_window = per is Per.EVER and when.from_ms > 0 and when.until_ms < NEVER_MS
    first = local_day(when.from_ms, zone).toordinal() if is_window else 0
    days = local_day(max(when.until_ms - 1, 0), zone).toordinal() - first + 1 if is_window else 0
    if days > WINDOW_DAYS_MAX:
        node.wrong(
            "until", f"is more than {WINDOW_DAYS_MAX} days after 'from'", "give it a period: per: year"
        )
    if counts is Counts.DAYS:
        fine = days <= DAYS_WINDOW_MAX if is_window else per in (Per.WEEK, Per.MONTH, Per.QUARTER)
        if not fine:
            node.wrong(
                "counts",
                f"days are counted over {DAYS_WINDOW_MAX} days at most",
                "write per: week, month or quarter, or a from and until that are closer",
            )
    return first
