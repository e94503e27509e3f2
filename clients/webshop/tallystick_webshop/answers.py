"""Messages of the contract as results."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.core.basket import Assurance
from tallystick.v1 import app_pb2, identity_pb2, ledger_pb2, member_pb2, types_pb2, webshop_pb2
from tallystick_webshop.errors import Refused
from tallystick_webshop.results import (
    Balance,
    Benefits,
    Card,
    CardCoupon,
    CardReward,
    Challenge,
    Claim,
    Earned,
    Held,
    Member,
    Met,
    Movement,
    NewMember,
    Opening,
    Quote,
    Returned,
    ReturnEffects,
    Sale,
    Taken,
    TaxTotal,
    Voided,
    Why,
    Wish,
)


def refused_of(refused: ledger_pb2.Refused, *, replayed: bool = False) -> Refused:
    """Return the refusal to raise."""
    reason = ledger_pb2.RefusalReason.Name(refused.reason).removeprefix("REFUSAL_REASON_")
    return Refused(reason, refused.message, dict(refused.details), replayed=replayed, text=refused.text)


def identity_refused_of(refused: identity_pb2.NotIdentified | identity_pb2.IdentifierRefused) -> Refused:
    """Return the refusal of a scan or of an identifier to raise."""
    name = identity_pb2.IdentityRefusalReason.Name(refused.reason)
    return Refused(name.removeprefix("IDENTITY_REFUSAL_REASON_"), refused.message)


def claim_refused_of(refused: webshop_pb2.ClaimRefusal.ValueType) -> Refused:
    """Return the refusal of a claim to raise."""
    reason = webshop_pb2.ClaimRefusal.Name(refused).removeprefix("CLAIM_REFUSAL_")
    said = {
        "UNKNOWN": "there is no such claim",
        "TAKEN": "another member has redeemed the claim",
        "OVER": "the claim's time is over, or it was cancelled",
    }
    return Refused(reason, said.get(reason, "the claim was not redeemed"))


def posted_of(decision: ledger_pb2.Decision) -> ledger_pb2.Posted:
    """Return what was posted; raises Refused."""
    if decision.HasField("refused"):
        raise refused_of(decision.refused, replayed=decision.replayed)
    return decision.posted


def quote_of(response: ledger_pb2.QuoteResponse) -> Quote:
    """Return the quote; raises Refused."""
    if response.HasField("refused"):
        raise refused_of(response.refused)
    quoted = response.quoted
    return Quote(
        **_benefits(quoted.benefits, quoted.explanations),
        balance_before=quoted.balance_before.active,
        balance_after=quoted.balance_after.active,
    )


def sale_of(decision: ledger_pb2.Decision) -> Sale:
    """Return the sale that was posted; raises Refused."""
    posted = posted_of(decision)
    return Sale(
        **_benefits(posted.benefits, posted.entry.explanations),
        sale_id=posted.entry.command_id,
        member_id=posted.entry.member_id,
        balance_after=posted.entry.balance_after.active,
        replayed=decision.replayed,
        challenges_met=tuple(
            Met(one.challenge_id, one.name, one.times, one.points, one.badge_id)
            for one in posted.challenges_met
        ),
    )


def held_of(decision: ledger_pb2.Decision, ttl_s: int) -> Held:
    """Return the hold that was posted; raises Refused."""
    posted = posted_of(decision)
    entry = posted.entry
    return Held(
        entry.hold_id,
        entry.member_id,
        _time(entry.occurred_at) + timedelta(seconds=ttl_s),
        Benefits(**_benefits(posted.benefits, entry.explanations)),
        entry.balance_after.active,
        decision.replayed,
    )


def voided_of(decision: ledger_pb2.Decision) -> Voided:
    """Return the void that was posted; raises Refused."""
    entry = posted_of(decision).entry
    return Voided(entry.hold_id, entry.balance_after.active, decision.replayed)


def returned_of(decision: ledger_pb2.Decision) -> Returned:
    """Return the return that was posted; raises Refused."""
    posted = posted_of(decision)
    entry = posted.entry
    return Returned(
        **_effects(posted.returned, entry.balance_after, entry.explanations),
        return_id=entry.command_id,
        replayed=decision.replayed,
    )


def preview_of(response: ledger_pb2.PreviewReturnResponse) -> ReturnEffects:
    """Return what a return would do; raises Refused."""
    if response.HasField("refused"):
        raise refused_of(response.refused)
    found = response.previewed
    return ReturnEffects(**_effects(found.returned, found.balance_after, found.explanations))


def balance_of(balance: types_pb2.Balance, worth: types_pb2.Money) -> Balance:
    """Return what a member has."""
    return Balance(
        balance.active,
        balance.pending,
        balance.held,
        balance.debt,
        balance.tier_id,
        worth.amount_minor,
        worth.currency_code,
    )


def member_of(found: identity_pb2.Identification) -> Member:
    """Return the member who was identified."""
    return Member(
        found.member_id,
        Assurance(found.assurance - 1),
        found.display_name,
        found.status != member_pb2.MEMBER_STATUS_OPEN,
        balance_of(found.balance, found.active_worth),
    )


def new_member_of(enrolled: identity_pb2.Enrolled) -> NewMember:
    """Return the member who joined."""
    return NewMember(enrolled.member.member_id, enrolled.member.number, enrolled.replayed)


def claim_of(claim_id: str, response: webshop_pb2.CreateClaimResponse) -> Claim:
    """Return the claim of a guest's order."""
    return Claim(claim_id, response.code, response.url, _time(response.expires_at))


def movement_of(entry: ledger_pb2.Entry) -> Movement:
    """Return a line of the statement; its points are those that can be burned more or less than before."""
    active = ledger_pb2.ACCOUNT_KIND_MEMBER_ACTIVE
    gained = sum(one.points for one in entry.postings if one.credit == active)
    spent = sum(one.points for one in entry.postings if one.debit == active)
    return Movement(
        ledger_pb2.EntryKind.Name(entry.kind).removeprefix("ENTRY_KIND_").lower(),
        gained - spent,
        entry.balance_after.active,
        _time(entry.occurred_at),
        types_pb2.Channel.Name(entry.origin.channel).removeprefix("CHANNEL_").lower(),
        entry.origin.reference,
        _why(entry.explanations),
    )


def wish_of(item: webshop_pb2.WishItem) -> Wish:
    """Return an article of a wish list."""
    return Wish(item.sku, item.name, _time(item.wished_at) if item.HasField("wished_at") else None)


def card_of(card: app_pb2.MemberCard) -> Card:
    """Return what an account page shows."""
    conversion = card.conversion
    worth_minor = 0
    if conversion.points and conversion.unit_points:
        whole = card.balance.active // conversion.unit_points * conversion.unit_points
        worth_minor = whole * conversion.amount_minor // conversion.points
    worth = types_pb2.Money(currency_code=card.currency_code, amount_minor=worth_minor)
    return Card(
        member_id=card.member_id,
        number=card.number,
        name=card.given_name,
        program_name=card.program_name,
        currency=card.currency_code,
        balance=balance_of(card.balance, worth),
        unit_points=conversion.unit_points,
        minimum_points=conversion.minimum_points,
        next_tier_id=card.ladder.next_tier_id,
        next_credits=card.ladder.next_credits,
        next_reward_id=card.ladder.next_reward_id,
        next_reward_points=card.ladder.next_reward_points,
        expiring=tuple((one.points, one.last_day) for one in card.expiring),
        rewards=tuple(
            CardReward(
                one.reward_id,
                one.kind,
                one.cost_points,
                one.amount_minor,
                one.percent_ppm,
                one.minimum_minor,
                one.in_tier,
                one.missing_points,
                one.name,
                one.sold_out,
            )
            for one in card.rewards
        ),
        coupons=tuple(
            CardCoupon(
                one.coupon_id, one.code, one.kind, one.amount_minor, one.percent_ppm, one.minimum_minor
            )
            for one in card.coupons
        ),
        challenges=tuple(
            Challenge(one.challenge_id, one.name, one.counts, one.left, one.last_day)
            for one in card.challenges_ahead
        ),
    )


def earned_of(decision: ledger_pb2.Decision) -> Earned:
    """Return the points that were posted for an action; raises Refused."""
    entry = posted_of(decision).entry
    points = sum(one.points if one.debit == ledger_pb2.ACCOUNT_KIND_ISSUED else 0 for one in entry.postings)
    return Earned(points, entry.balance_after.active, decision.replayed)


def opening_of(found: webshop_pb2.ArticleAccess) -> Opening:
    """Return whether an article may be sold."""
    why = webshop_pb2.AccessReason.Name(found.reason).removeprefix("ACCESS_REASON_")
    opens = _time(found.opens_at) if found.HasField("opens_at") else None
    ours = _time(found.opens_for_member_at) if found.HasField("opens_for_member_at") else None
    return Opening(found.sku, found.allowed, why, found.access_id, opens, ours)


def _benefits(benefits: ledger_pb2.Benefits, explanations: Any) -> dict[str, Any]:
    return {
        "currency": benefits.currency_code,
        "discount_minor": benefits.discount_minor,
        "line_discounts": tuple(line.discount_minor for line in benefits.lines),
        "line_earned": tuple(line.earned_points for line in benefits.lines),
        "line_burned": tuple(line.burned_points for line in benefits.lines),
        "tax_totals": tuple(
            TaxTotal(one.code, one.net_minor, one.tax_minor, one.gross_minor) for one in benefits.tax_totals
        ),
        "payable_minor": benefits.payable_minor,
        "earned_points": benefits.earned_points,
        "burned_points": benefits.burned_points,
        "rewards": tuple(Taken(one.reward_id, one.points, one.discount_minor) for one in benefits.rewards),
        "coupons": tuple(Taken(one.coupon_id, 0, one.discount_minor) for one in benefits.coupons),
        "why": _why(explanations),
    }


def _effects(
    effects: ledger_pb2.ReturnEffects, balance_after: types_pb2.Balance, explanations: Any
) -> dict[str, Any]:
    return {
        "currency": effects.currency_code,
        "refund_minor": effects.refund_minor,
        "taken_back_points": effects.due_points,
        "restored_points": effects.restored_points,
        "debt_points": effects.debt_points,
        "balance_after": balance_after.active,
        "why": _why(explanations),
    }


def _why(explanations: Any) -> tuple[Why, ...]:
    return tuple(
        Why(one.rule_id, one.line_no, one.points, one.code, dict(one.args), one.text) for one in explanations
    )


def _time(at: Timestamp) -> datetime:
    return at.ToDatetime(tzinfo=UTC)
