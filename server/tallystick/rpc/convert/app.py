"""What a member's card shows, as messages of the contract."""

from __future__ import annotations

from datetime import date

from tallystick.core.ids import Ms
from tallystick.core.progress import ChallengeNow, MembershipNow
from tallystick.core.rules.model import Burning, RuleSet, TierBasis
from tallystick.rpc.convert.entries import balance_to_pb
from tallystick.rpc.convert.openings import card_access_to_pb
from tallystick.rpc.convert.people import challenge_ahead_to_pb
from tallystick.rpc.convert.scalars import known_ms_to_pb, ms_to_pb
from tallystick.service.card_offers import CardAction
from tallystick.service.consents import ConsentNow
from tallystick.service.coupons import CardCoupon
from tallystick.service.member_card import CardReferral, CardReward, CardVoucher, MemberCard, Private
from tallystick.v1 import app_pb2 as pb
from tallystick.v1 import member_pb2

_BASES = {TierBasis.SPEND: "spend", TierBasis.POINTS: "points", TierBasis.VISITS: "sales"}


def card_to_pb(card: MemberCard, now_ms: Ms) -> pb.MemberCard:
    """Return a card; without its private part it holds nothing that says who the member is.

    ``now_ms`` is the server's time, by which phones date their codes. The balance has a time of its own: it holds sales
    that were told of with a clock ahead.
    """
    shown = pb.MemberCard(
        member_id=card.member.member_id,
        program_name=card.program_name,
        status=member_pb2.MemberStatus.ValueType(int(card.member.status)),
        balance=balance_to_pb(card.balance),
        ladder=_ladder(card),
        expiring=[
            pb.ExpiringPoints(points=one.points, last_day=one.last_day.isoformat()) for one in card.expiring
        ],
        rewards=[_reward(one) for one in card.rewards],
        actions=[_action(one, private=card.private is not None) for one in card.actions],
        access=[card_access_to_pb(rule, found) for rule, found in card.access],
        spend_locked=card.member.spend_locked,
        as_of=ms_to_pb(now_ms),
        challenges=[_challenge(one) for one in card.challenges],
        badges=[pb.CardBadge(badge_id=badge_id, count=count) for badge_id, count in card.badges],
        memberships=[_membership(one) for one in card.memberships],
        challenges_ahead=[challenge_ahead_to_pb(one) for one in card.challenges_ahead],
    )
    if card.rules is not None:
        shown.currency_code = card.rules.currency
        shown.time_zone = card.rules.zone.key or ""
        shown.conversion.CopyFrom(_conversion(card.rules.burning))
    if card.private is not None:
        _add_private(shown, card, card.private)
    return shown


def _add_private(shown: pb.MemberCard, card: MemberCard, private: Private) -> None:
    shown.number = card.member.number
    shown.given_name = private.given_name
    shown.vouchers.extend(_voucher(one) for one in private.vouchers)
    shown.coupons.extend(_coupon(one) for one in private.coupons)
    shown.store_ids.extend(private.store_ids)
    shown.referral_url = private.referral_url
    shown.referral.CopyFrom(_referral(private.referral))


def _referral(one: CardReferral) -> pb.CardReferral:
    shown = pb.CardReferral(
        code=one.code,
        joined=one.sums.joined,
        waiting=one.sums.waiting,
        paid=one.sums.paid,
        points_earned=one.sums.points,
    )
    if one.plan is not None:
        shown.referrer_points = one.plan.referrer_points
        shown.joiner_points = one.plan.joiner_points
        shown.minimum_minor = one.plan.minimum_minor
        shown.within_days = one.plan.within_days
        shown.after_days = one.plan.after_days
    return shown


def _ladder(card: MemberCard) -> pb.Ladder:
    standing, reward = card.standing, card.next_reward
    ladder = pb.Ladder(
        tiers=_tiers(card.rules),
        tier_id=standing.tier_id,
        qualifying_credits=standing.credits,
        review_at=known_ms_to_pb(standing.review_ms),
        keep_credits=standing.keep_credits,
        next_tier_id=standing.next_tier_id,
        next_credits=standing.next_credits,
    )
    if card.rules is not None and card.rules.tiers is not None:
        ladder.basis = _BASES[card.rules.tiers.basis]
    if reward is not None:
        ladder.next_reward_id = reward.reward_id
        ladder.next_reward_points = reward.cost - card.balance.active
    return ladder


def _tiers(rules: RuleSet | None) -> list[pb.LadderTier]:
    if rules is None or rules.tiers is None:
        return []
    return [
        pb.LadderTier(tier_id=level.tier_id, from_credits=level.threshold) for level in rules.tiers.levels
    ]


def _reward(one: CardReward) -> pb.CardReward:
    reward = one.reward
    return pb.CardReward(
        reward_id=reward.reward_id,
        kind=reward.kind,
        cost_points=reward.cost,
        amount_minor=reward.amount_minor,
        percent_ppm=reward.percent_ppm,
        minimum_minor=reward.minimum_minor,
        skus=sorted(reward.lines.skus),
        categories=sorted(reward.lines.categories),
        brands=sorted(reward.lines.brands),
        in_tier=one.in_tier,
        missing_points=one.missing_points,
        name=reward.name,
        limited=reward.limited,
        sold_out=one.sold_out,
        stock_left=one.stock_left,
        limit_count=reward.limit.count,
        limit_per=reward.limit.per.value if reward.limit.count else "",
        limit_left=one.limit_left,
    )


def _action(one: CardAction, *, private: bool) -> pb.CardAction:
    action = one.action
    return pb.CardAction(
        action_id=action.action_id,
        name=action.name,
        points=action.points,
        limit_count=action.limit.count,
        limit_per=action.limit.per.value,
        done=one.done if private else 0,
        on=action.on,
        by_app="app" in action.by,
        open=one.open,
    )


def _challenge(one: ChallengeNow) -> pb.CardChallenge:
    challenge = one.challenge
    return pb.CardChallenge(
        challenge_id=challenge.challenge_id,
        name=challenge.name,
        counts=challenge.counts.value,
        progress=one.progress,
        target=challenge.target,
        first_day=_day(one.first_day),
        last_day=_day(one.last_day),
        awarded=one.awarded,
        times=challenge.times,
        award_points=challenge.points,
        badge_id=challenge.badge,
        left=one.left,
    )


def _membership(one: MembershipNow) -> pb.CardMembership:
    membership = one.membership
    return pb.CardMembership(
        membership_id=membership.membership_id,
        name=membership.name,
        sku=membership.sku,
        active=one.active,
        last_day=_day(one.last_day),
        grace_day=_day(one.grace_day),
        remind_day=_day(one.remind_day),
    )


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


def _conversion(burning: Burning) -> pb.Conversion:
    return pb.Conversion(
        points=burning.value_points,
        amount_minor=burning.value_minor,
        unit_points=burning.unit_points,
        minimum_points=burning.minimum_points,
        share_max_ppm=burning.share_max_ppm,
    )


def _voucher(one: CardVoucher) -> pb.CardVoucher:
    hold = one.hold
    return pb.CardVoucher(
        voucher_id=hold.hold_id,
        store_id=hold.store_id,
        points=hold.points,
        reward_id=hold.reward_ids[0] if hold.reward_ids else "",
        digits=one.digits,
        ends_at=ms_to_pb(hold.ends_ms),
    )


def _coupon(one: CardCoupon) -> pb.CardCoupon:
    coupon = one.coupon
    return pb.CardCoupon(
        coupon_id=coupon.coupon_id,
        code=one.code,
        kind=coupon.kind,
        amount_minor=coupon.amount_minor,
        percent_ppm=coupon.percent_ppm,
        minimum_minor=coupon.minimum_minor,
        ends_at=known_ms_to_pb(one.ends_ms),
        offer_id=one.offer.offer_id if one.offer else "",
        offer_name=one.offer.name if one.offer else "",
    )


def consent_to_pb(consent: ConsentNow) -> pb.Consent:
    """Return how a consent stands."""
    return pb.Consent(
        purpose=pb.ConsentPurpose.ValueType(int(consent.purpose)),
        channel=pb.ConsentChannel.ValueType(int(consent.channel)),
        granted=consent.granted,
        changed_at=known_ms_to_pb(consent.changed_ms),
    )
