"""What can be won some times in a period and is taken back with what carried it: challenges, gifts of a tier.

Three tallies remember a prize in its period: how often it was won, how many points that gave, and the lot that they
made last; a lot that is pending names the one before it. So what is taken back is what was given, whatever the rules
have become since.
"""

from __future__ import annotations

from dataclasses import replace

from tallystick.core.award import award_id, post_award
from tallystick.core.basket import Origin
from tallystick.core.draft import Draft
from tallystick.core.entry import Detail, EntryKind, Explanation, Moves
from tallystick.core.ids import CommandId
from tallystick.core.record import record
from tallystick.core.rules.model import RuleSet, SpentPolicy
from tallystick.core.takeback import TakeBack

WON, GIVEN, LOT, BADGE = "won/", "given/", "lot/", "badge/"


@record(frozen=True, slots=True)
class Prize:
    """A prize in a period. ``key`` names it; ``points`` and ``badge`` are what it gives each time.

    ``rule_id`` and ``name`` are for the explanations, with the code ``met`` when it is given and ``lost`` when it is
    taken back. Periods from ``keep_from`` on are kept.
    """

    key: str
    period: int
    points: int
    rule_id: str
    name: str
    met: str
    lost: str
    badge: str = ""
    keep_from: int = 0

    @property
    def badge_key(self) -> str:
        """The key of the badge among the tallies."""
        return f"{BADGE}{self.badge}"


def won(draft: Draft, prize: Prize) -> int:
    """Return how often a prize was won in its period."""
    return draft.tally(f"{WON}{prize.key}", prize.period)


def has_room(draft: Draft, prize: Prize) -> bool:
    """Return whether the account has room for all that a prize counts."""
    places = [(f"{part}{prize.key}", prize.period) for part in (WON, GIVEN, LOT)]
    return draft.room_for([*places, (prize.badge_key, 0)] if prize.badge else places)


def give(draft: Draft, rules: RuleSet, prize: Prize, times: int, *, origin: Origin, cause: CommandId) -> None:
    """Award a prize so many times, as one entry."""
    args = (("name", prize.name), ("times", str(times)), *_badge(prize))
    points = prize.points * times
    last_seq = draft.tally(f"{LOT}{prize.key}", prize.period)
    _count(draft, prize, WON, times)
    if points:
        _count(draft, prize, GIVEN, points)
        # What only repays a debt makes no lot, and must not hide those that the prize made before.
        if points > draft.debt or not last_seq:
            _count(draft, prize, LOT, draft.seq + 1 - last_seq)
    if prize.badge:
        draft.count(prize.badge_key, 0, times)
    why = Explanation(prize.rule_id, 0, points, prize.met, args)
    award = post_award(
        draft,
        rules,
        command_id=award_id(draft.member_id, cause, prize.key),
        origin=origin,
        points=points,
        why=(why,),
    )
    lot = draft.lots.get(award.seq)
    if lot is not None and lot.pending:
        draft.lots[lot.lot_seq] = replace(lot, credit_day=last_seq)


def take_back(
    draft: Draft,
    rules: RuleSet,
    prize: Prize,
    times: int,
    *,
    origin: Origin,
    cause: CommandId,
    policy: SpentPolicy,
) -> None:
    """Take a prize back so many times, of those that were won, as one entry."""
    before = won(draft, prize)
    assert 0 < times <= before, "what is taken back was won"
    given = draft.tally(f"{GIVEN}{prize.key}", prize.period)
    lot_seq = draft.tally(f"{LOT}{prize.key}", prize.period)
    # What the rest keeps is rounded up for the member, so that the last one takes what is left exactly.
    points = given - -(-given * (before - times) // before)
    take = TakeBack(draft, policy, _lots_from(draft, lot_seq)).run(points)
    _count(draft, prize, WON, -times)
    _count(draft, prize, GIVEN, -points)
    if times == before:
        _count(draft, prize, LOT, -lot_seq)
    badges = min(times, draft.tally(prize.badge_key)) if prize.badge else 0
    draft.count(prize.badge_key, 0, -badges)
    args = (("name", prize.name), ("times", str(times)), *_badge(prize))
    why = Explanation(prize.rule_id, 0, 0, prize.lost, args)
    draft.post(
        command_id=award_id(draft.member_id, cause, prize.key),
        kind=EntryKind.AWARD,
        moves=Moves(active=-take.from_active, pending=-take.from_pending, debt=-take.owed, issued=take.total),
        origin=origin,
        rule_set=rules.version,
        reverses_seq=lot_seq,
        detail=Detail(explanations=tuple(take.explanations(points, why)), due_points=points),
    )


def _lots_from(draft: Draft, lot_seq: int) -> list[int]:
    """Return the lot that a prize made last and those before it, as far back as they may be pending."""
    found = []
    while (lot := draft.lots.get(lot_seq)) is not None:
        found.append(lot_seq)
        lot_seq = lot.credit_day
    return found


def _count(draft: Draft, prize: Prize, part: str, delta: int) -> None:
    draft.count(f"{part}{prize.key}", prize.period, delta, keep_from=min(prize.keep_from, prize.period))


def _badge(prize: Prize) -> tuple[tuple[str, str], ...]:
    return (("badge", prize.badge),) if prize.badge else ()
