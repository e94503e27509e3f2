"""When and where a member does something, with all that conditions ask about the member."""

from __future__ import annotations

from tallystick.core.basket import Origin
from tallystick.core.challenge import memberships_of
from tallystick.core.draft import Draft
from tallystick.core.rules.match import Moment, moment_for
from tallystick.core.rules.model import RuleSet


def moment_in(draft: Draft, rules: RuleSet, origin: Origin) -> Moment:
    """Return the moment of what happens at an origin to the member of a draft, whose tier is the current one."""
    member_id, tier_id = draft.account.member_id, draft.tier.tier_id
    if not rules.memberships:
        return moment_for(rules, origin, tier_id, member_id)
    return moment_for(rules, origin, tier_id, member_id, memberships_of(rules, draft, origin.occurred_ms))
