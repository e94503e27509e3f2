"""Prices by the core's own functions: what a stand-in decides is what the gateway will."""

from __future__ import annotations

from tallystick.core.command import SettleSale
from tallystick.core.decide import own_entry
from tallystick.core.draft import Draft
from tallystick.core.entry import Refused
from tallystick.core.ids import Ms
from tallystick.core.lots import local_day
from tallystick.core.rules.membership import tally_of
from tallystick.core.rules.model import RuleSet
from tallystick.core.sale import settle_sale
from tallystick.core.state import Account, MemberState, MemberStatus, TierState
from tallystick.wire.advices import ReadAdvice
from tallystick_till.sales import KeptSale, lines_of


def sale_of_advice(advice: ReadAdvice, rules: RuleSet) -> KeptSale | Refused | None:
    """Return the sale that an advice reports, with its shares as the gateway posts them; None for other facts."""
    command = advice.command
    if not isinstance(command, SettleSale):
        return None
    sold = advice.message.sale
    tier = TierState(tier_id=sold.tier_id)
    # The till says which memberships held; how long they last is not asked of one sale.
    day = local_day(command.origin.occurred_ms, rules.zone).toordinal()
    tallies = tuple(tally_of(membership_id, day) for membership_id in sorted(sold.membership_ids))
    account = Account(command.member_id, MemberStatus.OPEN, Ms(0), tier=tier, tallies=tallies)
    draft = Draft(MemberState(account))
    no = settle_sale(draft, rules, command)
    if no is not None:
        return no
    detail = own_entry(draft, command).detail
    return KeptSale(
        command.command_id,
        command.member_id,
        command.origin.occurred_ms,
        command.origin.reference,
        rules.version,
        command.earned_points,
        command.burned_points,
        command.discount_minor,
        detail.payable_minor,
        detail.lines,
        lines_of(command.basket, ()),
    )
