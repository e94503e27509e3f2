"""Points that become points of a partner program: burned here, earned there, at the rate of the rule set.

As a transfer it is two commands, here of two programs; see ``core.transfer``. What comes back comes back as a transfer.
"""

from __future__ import annotations

from tallystick.core.command import ConvertIn, ConvertOut
from tallystick.core.draft import Draft
from tallystick.core.earn import earn_into
from tallystick.core.entry import (
    Detail,
    EntryKind,
    Explanation,
    MovedLot,
    Moves,
    Refusal,
    Refused,
    Transferred,
    refused,
)
from tallystick.core.ids import NEVER_MS, POINTS_MAX, CommandId, MemberId, derived_id
from tallystick.core.lots import local_day
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.partner import find_partner
from tallystick.core.rules.period import period_start


def entrance_id(member_id: MemberId, program_id: str, transfer_id: CommandId) -> CommandId:
    """Return the id of the command by which points of a program arrive; ``member_id`` is that of the receiver."""
    return derived_id(member_id, "convert-in", f"{program_id}/{transfer_id}")


def convert_out(draft: Draft, rules: RuleSet, command: ConvertOut) -> Refused | None:
    """Burn points for a partner program."""
    points, partner = command.points, find_partner(rules.partners, command.partner_id)
    if not 0 < points <= POINTS_MAX:
        return refused(Refusal.AMOUNT_OVERFLOW, points=points, points_max=POINTS_MAX)
    cap = rules.burning.assurance_caps[command.assurance]
    if 0 <= cap < points:
        return refused(Refusal.ABOVE_ASSURANCE_CAP, points=points, points_max=cap)
    if partner is not None and points % partner.give_points:
        return refused(Refusal.NOT_WHOLE_UNITS, points=points, unit_points=partner.give_points)
    if partner is not None and partner.worth(points) > POINTS_MAX:
        return refused(Refusal.AMOUNT_OVERFLOW, points=points, points_max=POINTS_MAX)
    if points > draft.active:
        return refused(Refusal.INSUFFICIENT_POINTS, points=points, available=draft.active)
    if partner is None:
        return refused(Refusal.PARTNER_UNKNOWN, partner_id=command.partner_id)
    if partner.limit_points:
        period = period_start(partner.per, local_day(command.origin.occurred_ms, rules.zone))
        given = draft.tally(partner.key, period)
        if given + points > partner.limit_points:
            limit = partner.limit_points
            return refused(Refusal.SHARING_LIMIT, points=points, points_max=limit, given=given)
        draft.count(partner.key, period, points)
    worth = partner.worth(points)
    told = Explanation(partner.program_id, 0, -points, "converted_out", (("get_points", str(worth)),))
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.TRANSFER,
        moves=Moves(active=-points, burned=points),
        origin=command.origin,
        rule_set=rules.version,
        assurance=command.assurance,
        detail=Detail(
            explanations=(told,),
            allocs=draft.take_active(points),
            transfer=Transferred(
                command.command_id,
                command.to_member_id,
                (MovedLot(worth, command.origin.occurred_ms, NEVER_MS),),
            ),
            partner_id=partner.program_id,
        ),
    )
    return None


def convert_in(draft: Draft, rules: RuleSet, command: ConvertIn) -> Refused | None:
    """Earn what a partner program has burned; they mature and expire as any points here, and qualify for no tier.

    Only a program that names the other one as its partner takes its points: nobody else makes points here.
    """
    if find_partner(rules.partners, command.partner_id) is None:
        return refused(Refusal.PARTNER_UNKNOWN, partner_id=command.partner_id)
    earned = earn_into(draft, rules, command.origin, Moves(), command.points, 0)
    told = Explanation(command.partner_id, 0, command.points, "converted_in")
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.TRANSFER,
        moves=earned.moves,
        origin=command.origin,
        rule_set=rules.version,
        detail=Detail(
            explanations=(told, *earned.explanations),
            transfer=Transferred(command.transfer_id, command.from_member_id),
            partner_id=command.partner_id,
        ),
    )
    return None
