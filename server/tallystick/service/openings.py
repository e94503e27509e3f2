"""Which articles a shop may sell to whom now: early access and exclusive products, for shops and cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tallystick.core.access import OPEN, Opening, access_of, opening_of
from tallystick.core.basket import Channel, Line, Origin
from tallystick.core.draft import Draft
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.moment import moment_at
from tallystick.core.rules.access import Access
from tallystick.core.rules.match import Moment, moment_of
from tallystick.core.rules.model import RuleSet
from tallystick.core.state import MemberState
from tallystick.service.balances import Balances
from tallystick.service.rulebook import RuleBook


class Openings:
    """The use cases around early access. Safe to use from several threads."""

    def __init__(self, balances: Balances, rulebook: RuleBook, *, now_ms: Callable[[], Ms]) -> None:
        self._balances = balances
        self._rulebook = rulebook
        self._now_ms = now_ms

    def of_articles(
        self, program_id: ProgramId, member_id: MemberId | None, articles: Sequence[Line]
    ) -> list[Opening]:
        """Return how articles are to a member, or to a guest, in their order. Raises ``NotFound``."""
        rules, now_ms = self._rulebook.current(program_id), self._now_ms()
        state = self._balances.caught_up(program_id, member_id, now_ms) if member_id else None
        if rules is None or not rules.access:
            return [OPEN] * len(articles)
        moment = moment_for(rules, state, now_ms)
        return [access_of(rules, article, moment) for article in articles]


def moment_for(rules: RuleSet, state: MemberState | None, now_ms: Ms) -> Moment:
    """Return now as conditions ask about it: for a member, or for a guest, who has no tier."""
    origin = Origin(now_ms, Channel.WEBSHOP)
    return moment_at(Draft(state), rules, origin) if state else moment_of(origin, "", rules.zone)


def openings_of(rules: RuleSet, state: MemberState, now_ms: Ms) -> list[tuple[Access, Opening]]:
    """Return the rules of access that are not over, with how their articles are to a member."""
    moment = moment_for(rules, state, now_ms)
    return [(rule, opening_of(rule, moment)) for rule in rules.access if now_ms < rule.opens_ms]
