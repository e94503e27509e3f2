"""Awards: points that the program gives beside goods, each as an entry of its own with an id that a rerun finds."""

from __future__ import annotations

from tallystick.core.basket import Origin
from tallystick.core.draft import Draft
from tallystick.core.earn import earn_into
from tallystick.core.entry import Detail, Entry, EntryKind, Explanation, Moves
from tallystick.core.ids import POINTS_MAX, CommandId, MemberId, derived_id
from tallystick.core.rules.model import RuleSet


def post_award(
    draft: Draft,
    rules: RuleSet,
    *,
    command_id: CommandId,
    origin: Origin,
    points: int,
    why: tuple[Explanation, ...],
    reason: str = "",
) -> Entry:
    """Post points for something met, done or reached; 0 points keep what was counted and say why.

    They repay a debt first, then become a lot that matures and expires as any other, and never qualify for a tier.
    What the draft has counted since the last entry is kept in this one.
    """
    assert 0 <= points <= POINTS_MAX, "an award gives; what takes back has its own way"
    earned = earn_into(draft, rules, origin, Moves(), points, 0)
    return draft.post(
        command_id=command_id,
        kind=EntryKind.AWARD,
        moves=earned.moves,
        origin=origin,
        rule_set=rules.version,
        detail=Detail(explanations=(*why, *earned.explanations), reason=reason),
    )


def award_id(member_id: MemberId, cause: CommandId, rule_id: str) -> CommandId:
    """Return the id of the award that a rule gives a member because of a command."""
    return derived_id(member_id, "award", f"{cause}/{rule_id}")
