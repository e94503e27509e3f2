"""When and where a member does something, with all that conditions ask about the member."""

from __future__ import annotations

from tallystick.core.basket import Origin
from tallystick.core.challenge import memberships_of
from tallystick.core.draft import Draft
from tallystick.core.rules.match import Moment, moment_for
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.tier import current_tier


def moment_at(draft: Draft, rules: RuleSet, origin: Origin) -> Moment:
    """Return the moment of what a draft's member does at an origin, with tier and memberships as they are then."""
    member_id, tier_id = draft.account.member_id, current_tier(rules, draft.tier).tier_id
    if not rules.memberships:
        return moment_for(rules, origin, tier_id, member_id)
    return moment_for(rules, origin, tier_id, member_id, memberships_of(rules, draft, origin.occurred_ms))
