"""What a sale does for everybody: gifts to projects, and its part of goals; taken back with the goods, line by line."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.core.basket import Line
from tallystick.core.command import AwardGoal, Donate
from tallystick.core.draft import Draft
from tallystick.core.earn import earn_into
from tallystick.core.entry import (
    Detail,
    EntryKind,
    Explanation,
    LineShare,
    Moves,
    Refusal,
    Refused,
    ReturnedLine,
    SharedLines,
    SharedSum,
    refused,
)
from tallystick.core.money import PPM, spread
from tallystick.core.rules.benefit import check_burn
from tallystick.core.rules.charity import Share
from tallystick.core.rules.goal import Counts, Goal
from tallystick.core.rules.match import Moment, fits, holds_at
from tallystick.core.rules.model import RuleSet

GIFT = "gift/"
DONATED = "donated/"
WORTH = "worth/"
AMOUNT, PIECES, SALE = "amount", "pieces", "sale"
_MEASURES = {Counts.PIECES: PIECES, Counts.SALES: SALE}


def shared_by(
    rules: RuleSet,
    lines: Sequence[Line],
    *,
    paid_minor: Sequence[int],
    eligible_minor: Sequence[int],
    line_points: Sequence[int],
    moment: Moment,
) -> tuple[SharedLines, ...]:
    """Return what each line of a sale gives to projects and does for goals.

    A gift is of what is paid for the lines that fit, in whole minor units rounded down, and spread over them by largest
    remainder; a sale of which nothing is paid gives nothing. For goals only what earns counts.
    """
    found: list[SharedLines] = []
    for share in rules.charity.shares if rules.charity else ():
        if not holds_at(share.when, moment):
            continue
        weights = [
            max(0, paid) if fits(share.lines, line) else 0
            for line, paid in zip(lines, paid_minor, strict=True)
        ]
        gift = share.minor * _pieces(lines, weights, share) or sum(weights) * share.ppm // PPM
        if gift and any(weights):
            found.append(SharedLines(GIFT + share.project_id, AMOUNT, tuple(spread(gift, weights))))
    for goal in rules.goals:
        if not holds_at(goal.when, moment):
            continue
        parts = tuple(
            _part(goal, line, eligible, points) if eligible > 0 and fits(goal.lines, line) else 0
            for line, eligible, points in zip(lines, eligible_minor, line_points, strict=True)
        )
        if any(parts):
            found.append(SharedLines(goal.key, _MEASURES.get(goal.counts, AMOUNT), parts))
    return tuple(found)


def _pieces(lines: Sequence[Line], weights: Sequence[int], share: Share) -> int:
    """Return how often a share gives: once, or for each whole piece that is paid for."""
    if not share.by_piece:
        return 1
    return sum(line.quantity_milli // 1000 for line, weight in zip(lines, weights, strict=True) if weight)


def _part(goal: Goal, line: Line, eligible_minor: int, points: int) -> int:
    match goal.counts:
        case Counts.SPEND:
            return eligible_minor
        case Counts.PIECES:
            return line.quantity_milli
        case Counts.POINTS:
            return points
        case Counts.SALES:
            return 1


def gifts_told(shared: Sequence[SharedLines]) -> tuple[Explanation, ...]:
    """Say what a sale gives to projects."""
    return tuple(
        Explanation(part.key.removeprefix(GIFT), 0, 0, "gift", (("amount_minor", str(sum(part.shares))),))
        for part in shared
        if part.key.startswith(GIFT)
    )


def sums_of(shared: Sequence[SharedLines]) -> tuple[SharedSum, ...]:
    """Return what a sale adds to the sums of all."""
    return tuple(SharedSum(part.key, 1 if part.by == SALE else sum(part.shares)) for part in shared)


def sums_back(
    shared: Sequence[SharedLines],
    lines: Sequence[LineShare],
    *,
    before: Sequence[ReturnedLine],
    after: Sequence[ReturnedLine],
) -> tuple[SharedSum, ...]:
    """Return what goods that come back take from the sums of all; partial returns sum exactly to a full one."""
    sums = (SharedSum(part.key, _due(lines, part, before) - _due(lines, part, after)) for part in shared)
    return tuple(one for one in sums if one.delta)


def _due(lines: Sequence[LineShare], part: SharedLines, returned: Sequence[ReturnedLine]) -> int:
    """Return what is due back for what was returned so far; rounded down per line."""
    due, all_back = 0, True
    for share, line, back in zip(part.shares, lines, returned, strict=True):
        if not share:
            continue
        done, whole = int(back.amount_minor), int(line.amount_minor)
        if part.by == PIECES or not whole:
            done, whole = back.quantity_milli, line.quantity_milli
        due += share * done // whole
        all_back = all_back and done >= whole
    return int(all_back) if part.by == SALE else due


def donate(draft: Draft, rules: RuleSet, command: Donate) -> Refused | None:
    """Spend points for a project, at the value that they have at a checkout, rounded down."""
    project = rules.charity.find(command.project_id) if rules.charity else None
    burning, points = rules.burning, command.points
    if no := check_burn(burning, points, available=draft.active, assurance=command.assurance):
        return no
    if project is None:
        return refused(Refusal.PROJECT_UNKNOWN, project_id=command.project_id)
    worth = points * burning.value_minor // burning.value_points
    value = (("amount_minor", str(worth)),)
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.DONATE,
        moves=Moves(active=-points, burned=points),
        origin=command.origin,
        rule_set=rules.version,
        assurance=command.assurance,
        detail=Detail(
            explanations=(Explanation(project.project_id, 0, -points, "donated", value),),
            allocs=draft.take_active(points),
            sums=(
                SharedSum(DONATED + project.project_id, points),
                SharedSum(WORTH + project.project_id, worth),
            ),
        ),
    )
    return None


def award_goal(draft: Draft, rules: RuleSet, command: AwardGoal) -> None:
    """Give the award of a goal that all have reached; it never qualifies for a tier."""
    earned = earn_into(draft, rules, command.origin, Moves(), command.points, 0)
    why = Explanation(command.goal_id, 0, command.points, "goal_reached")
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.AWARD,
        moves=earned.moves,
        origin=command.origin,
        rule_set=rules.version,
        detail=Detail(explanations=(why, *earned.explanations)),
    )
