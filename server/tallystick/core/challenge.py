"""Challenges and memberships of a sale: counted in its entry, awarded behind it, reckoned back with returns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from tallystick.core.award import award_id
from tallystick.core.basket import Basket, Origin
from tallystick.core.draft import Draft
from tallystick.core.entry import CountedLines, Entry, Explanation, LineShare, ReturnedLine
from tallystick.core.ids import CommandId
from tallystick.core.lots import local_day
from tallystick.core.prize import Prize, give, has_room, take_back, won
from tallystick.core.rules.challenge import Challenge, Counts
from tallystick.core.rules.membership import (
    TERMS_OF_SALE_MAX,
    Membership,
    membership_of,
    memberships_at,
)
from tallystick.core.rules.model import RuleSet, SpentPolicy


class Moved(NamedTuple):
    """A challenge whose count a command moved in a period."""

    challenge: Challenge
    period: int
    before: int
    after: int


class Reckoned(NamedTuple):
    """What a command counted: the lines that did, the challenges that moved, and what is to be said of it."""

    lines: tuple[CountedLines, ...] = ()
    moved: tuple[Moved, ...] = ()
    told: tuple[Explanation, ...] = ()


NOTHING = Reckoned()
MET = "challenge_met"


def memberships_of(rules: RuleSet, draft: Draft, at_ms: int) -> frozenset[str]:
    """Return the memberships that a member has on the local day of an instant."""
    day = local_day(at_ms, rules.zone).toordinal()
    return memberships_at(rules.memberships, draft.account.tallies, day)


def fees_of(rules: RuleSet, basket: Basket) -> tuple[CountedLines, ...]:
    """Return the lines of a basket that pay the fee of a membership, each with its number of terms."""
    found = []
    for one in rules.memberships:
        terms = tuple(line.quantity_milli // 1000 if line.sku == one.sku else 0 for line in basket.lines)
        if any(terms):
            found.append(CountedLines(one.key, 0, True, terms))
    return tuple(found)


def count_sale(draft: Draft, rules: RuleSet, origin: Origin, counted: Sequence[CountedLines]) -> Reckoned:
    """Count a sale, for the entry about to be posted.

    A sale counts in the period of its own time. What comes when that is closed, or finds the account full, counts for
    nothing: better no award than the same one twice.
    """
    day = local_day(origin.occurred_ms, rules.zone)
    today = local_day(max(origin.occurred_ms, draft.account.as_of_ms), rules.zone)
    challenges = {one.key: one for one in rules.challenges}
    memberships = {one.key: one for one in rules.memberships}
    kept: list[CountedLines] = []
    moved: list[Moved] = []
    told: list[Explanation] = []
    for part in counted:
        if part.key in memberships:
            membership = memberships[part.key]
            if term := _prolong(draft, membership, part, day.toordinal()):
                kept.append(term)
                told.append(_told(draft, membership, "membership_paid"))
        elif _count(draft, challenges[part.key], part, day=day, today=today, moved=moved):
            kept.append(part)
    return Reckoned(tuple(kept), tuple(moved), tuple(told))


def _prolong(draft: Draft, membership: Membership, terms: CountedLines, day: int) -> CountedLines | None:
    """Count the terms bought; return how many days each line was worth."""
    last = first = draft.tally(membership.key)
    if not draft.has_room(membership.key):
        return None
    days = []
    left = TERMS_OF_SALE_MAX
    for count in terms.shares:
        start = last if membership.holds(last, day) else day - 1
        for _ in range(min(count, left)):
            last = membership.renewed(last, day)
        days.append(max(0, last - start) if count else 0)
        left -= min(count, left)
    draft.count(membership.key, 0, last - first)
    return terms._replace(shares=tuple(days))


def _count(
    draft: Draft, challenge: Challenge, part: CountedLines, *, day: date, today: date, moved: list[Moved]
) -> bool:
    keep_from = challenge.open_from(today)
    places = [(challenge.key, part.period)]
    if challenge.counts is Counts.DAYS:
        places.append((challenge.day_key, day.toordinal()))
    if part.period < keep_from or not draft.room_for(places):
        return False
    before = draft.tally(challenge.key, part.period)
    delta = 1 if part.whole else sum(part.shares)
    if challenge.counts is Counts.DAYS:
        delta = 0 if draft.tally(challenge.day_key, day.toordinal()) else 1
        draft.count(challenge.day_key, day.toordinal(), 1, keep_from=min(keep_from, part.period))
    draft.count(challenge.key, part.period, delta, keep_from=keep_from)
    moved.append(Moved(challenge, part.period, before, before + delta))
    return True


def _told(draft: Draft, membership: Membership, code: str) -> Explanation:
    last = draft.tally(membership.key)
    until = (("until", date.fromordinal(last).isoformat()),) if last else ()
    return Explanation(membership.membership_id, 0, 0, code, (("name", membership.name), *until))


def award(draft: Draft, rules: RuleSet, moved: Sequence[Moved], *, origin: Origin, cause: CommandId) -> None:
    """Post an award for each challenge that a sale has met."""
    today = local_day(max(origin.occurred_ms, draft.account.as_of_ms), rules.zone)
    for challenge, period, _before, after in moved:
        prize = _prize(challenge, period, today)
        times = challenge.awards(after) - won(draft, prize)
        if times > 0 and has_room(draft, prize):
            give(draft, rules, prize, times, origin=origin, cause=cause)


def reckon_back(
    draft: Draft,
    rules: RuleSet,
    sale: Entry,
    *,
    before: Sequence[ReturnedLine],
    after: Sequence[ReturnedLine],
    at_ms: int,
) -> Reckoned:
    """Count back what goods had counted that return, for the entry about to be posted.

    ``before`` and ``after`` are what was returned of each line so far. What is due for all that came back, less what
    was due before, is reckoned back, so any series of partial returns sums exactly to one full return.
    """
    challenges = {one.key: one for one in rules.challenges}
    memberships = {one.membership_id: one for one in rules.memberships}
    day = local_day(sale.origin.occurred_ms, rules.zone)
    today = local_day(at_ms, rules.zone)
    moved: list[Moved] = []
    told: list[Explanation] = []
    for part in sale.detail.counted:
        due = _due(sale.detail.lines, part, after) - _due(sale.detail.lines, part, before)
        membership_id = membership_of(part.key)
        if not due:
            continue
        if membership_id:
            membership = memberships.get(membership_id)
            if membership and (today - day).days <= membership.refund_days:
                _shorten(draft, membership, sale, part, day.toordinal())
                told.append(_told(draft, membership, "membership_paid_back"))
        else:
            _uncount(draft, challenges.get(part.key), part, due, day=day, today=today, moved=moved)
    return Reckoned((), tuple(moved), tuple(told))


def _shorten(draft: Draft, membership: Membership, sale: Entry, part: CountedLines, day: int) -> None:
    """End a membership as it was before its fee was paid; terms that were bought later stay."""
    last = draft.tally(membership.key)
    term = sum(part.shares)
    whole = sum(delta for key, _, delta in sale.detail.tallies if key == part.key)
    # The first fee also moved the last day up to the day of the sale; nobody has prolonged it since when it ends there.
    untouched = last - term == day - 1
    draft.count(membership.key, 0, -min(last, whole if untouched else term))


def _uncount(
    draft: Draft,
    challenge: Challenge | None,
    part: CountedLines,
    due: int,
    *,
    day: date,
    today: date,
    moved: list[Moved],
) -> None:
    if challenge is None or part.period < challenge.open_from(today):
        return
    before = draft.tally(challenge.key, part.period)
    delta = min(due, before)
    if challenge.counts is Counts.DAYS:
        sales = draft.tally(challenge.day_key, day.toordinal())
        delta = min(1, before) if sales == 1 else 0
        draft.count(challenge.day_key, day.toordinal(), -min(1, sales), keep_from=0)
    draft.count(challenge.key, part.period, -delta, keep_from=0)
    moved.append(Moved(challenge, part.period, before, before - delta))


def _due(lines: Sequence[LineShare], part: CountedLines, returned: Sequence[ReturnedLine]) -> int:
    """Return what is due back for what was returned so far; rounded down per line."""
    due, all_back = 0, True
    for share, line, back in zip(part.shares, lines, returned, strict=True):
        if not share:
            continue
        done, whole = int(back.amount_minor), int(line.amount_minor)
        if whole == 0:
            done, whole = back.quantity_milli, line.quantity_milli
        due += share * done // whole
        all_back = all_back and done >= whole
    return int(all_back) if part.whole else due


def awards_sought(sale: Entry) -> list[CommandId]:
    """Return the ids that the awards of a sale have, for each challenge that it counted towards: met or not."""
    keys = [part.key for part in sale.detail.counted if not membership_of(part.key)]
    return [award_id(sale.member_id, sale.command_id, key) for key in keys]


def met_by(award: Entry) -> list[Explanation]:
    """Return what an award says of the challenge that was met; nothing for what was awarded for other reasons.

    ``rule_id`` is the challenge, ``points`` what was given in all, and ``args`` hold name, times and the badge, if any.
    """
    return [part for part in award.detail.explanations if part.code == MET]


def take_awards_back(
    draft: Draft,
    rules: RuleSet,
    moved: Sequence[Moved],
    *,
    origin: Origin,
    cause: CommandId,
    policy: SpentPolicy,
) -> None:
    """Take back what is no longer met, by the same policy as the points of the goods themselves."""
    today = local_day(max(origin.occurred_ms, draft.account.as_of_ms), rules.zone)
    for challenge, period, before, after in moved:
        prize = _prize(challenge, period, today)
        times = min(won(draft, prize), challenge.awards(before) - challenge.awards(after))
        if times > 0:
            take_back(draft, rules, prize, times, origin=origin, cause=cause, policy=policy)


def _prize(challenge: Challenge, period: int, today: date) -> Prize:
    return Prize(
        challenge.key,
        period,
        challenge.points,
        challenge.challenge_id,
        challenge.name,
        MET,
        "challenge_taken_back",
        challenge.badge,
        challenge.open_from(today),
    )
