"""A sale: its burn, its rewards and its earn as one command and one entry. Asked for, or reported by a till."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from tallystick.core.access import access_told
from tallystick.core.basket import (
    LINES_MAX,
    QUANTITY_MILLI_MAX,
    Assurance,
    Basket,
    Origin,
)
from tallystick.core.budget import counted_budgets, stop_rules
from tallystick.core.challenge import NOTHING, award, count_sale, fees_of
from tallystick.core.command import Capture, Sale, SettleSale, Spend
from tallystick.core.coupon import CouponUse, Redeemed, choose_coupons
from tallystick.core.cover import NO_COVER, check_authorities, cover_burn
from tallystick.core.draft import Draft
from tallystick.core.due import grace_ms
from tallystick.core.earn import earn_into
from tallystick.core.entry import (
    AppliedCoupon,
    CountedLines,
    Detail,
    EntryKind,
    Explanation,
    LineShare,
    Moves,
    Refusal,
    Refused,
    SharedLines,
    refused,
)
from tallystick.core.ids import AMOUNT_MINOR_MAX, POINTS_MAX, Minor, Ms
from tallystick.core.limited import check_counted, count_had, coupons_only, stock_taken
from tallystick.core.lots import local_day, split_allocs
from tallystick.core.moment import moment_at
from tallystick.core.money import PPM, net_amounts, spread, spread_by_group, tax_totals, unknown_tax_code
from tallystick.core.rules.accrual import Accrual, accrue, excluded
from tallystick.core.rules.benefit import Benefit, benefit_of
from tallystick.core.rules.challenge import counted_by
from tallystick.core.rules.experiment import held_out
from tallystick.core.rules.match import Moment
from tallystick.core.rules.model import RuleSet, TierBasis
from tallystick.core.rules.tier import current_tier
from tallystick.core.shared import gifts_told, shared_by, sums_of
from tallystick.core.state import Alloc, Hold, HoldStatus


class Priced(NamedTuple):
    """A basket with everything that loyalty does to it, before anything is posted."""

    benefit: Benefit
    accrual: Accrual
    credits: int
    detail: Detail


def check_basket(rules: RuleSet, basket: Basket) -> Refused | None:
    """Return why a basket cannot be sold under these rules, None when it can.

    Callers at the edge have checked the shape already; a till's own basket has not been through the edge.
    """
    if basket.currency != rules.currency:
        return refused(Refusal.CURRENCY_MISMATCH, currency=basket.currency, program_currency=rules.currency)
    if not basket.lines:
        return refused(Refusal.BASKET_EMPTY)
    if len(basket.lines) > LINES_MAX:
        return refused(Refusal.BASKET_INVALID, lines=len(basket.lines), lines_max=LINES_MAX)
    for number, line in enumerate(basket.lines, 1):
        if not 0 < line.quantity_milli <= QUANTITY_MILLI_MAX:
            return refused(Refusal.BASKET_INVALID, line_no=number, quantity_milli=line.quantity_milli)
        if not 0 <= line.amount_minor <= AMOUNT_MINOR_MAX:
            return refused(Refusal.BASKET_INVALID, line_no=number, amount_minor=line.amount_minor)
    for group in basket.tax_groups:
        if not 0 <= group.rate_ppm <= PPM:
            return refused(Refusal.BASKET_INVALID, tax_code=group.code, rate_ppm=group.rate_ppm)
    if code := unknown_tax_code((line.tax_code for line in basket.lines), basket.tax_groups):
        return refused(Refusal.TAX_CODE_UNKNOWN, tax_code=code)
    if sum(line.amount_minor for line in basket.lines) > AMOUNT_MINOR_MAX:
        return refused(Refusal.AMOUNT_OVERFLOW, amount_minor_max=AMOUNT_MINOR_MAX)
    return None


def price(
    draft: Draft,
    rules: RuleSet,
    basket: Basket,
    origin: Origin,
    *,
    spend: Spend | None,
    reward_ids: Sequence[str],
    available: int,
    assurance: Assurance,
    coupons: Sequence[CouponUse] = (),
    spare_coupons: bool = False,
    promised: bool = False,
    away: bool = False,
) -> Priced | Refused:
    """Price a basket: what is taken off by coupons and for points, what the rest earns, what counts towards the tier.

    With ``spare_coupons`` a coupon that fits nothing in the basket is left out instead of refused; rewards that were
    ``promised`` are to be had although their time is over. ``away``: the gateway is, so nobody knows what budgets have
    left.
    """
    if no := check_basket(rules, basket):
        return no
    draft.set_tier(current_tier(rules, draft.tier))
    moment = moment_at(draft, rules, origin)
    benefit = _no_benefit(len(basket.lines))
    if spend is not None or reward_ids or coupons:
        named = coupons_only(coupons) if coupons else ()
        chosen: tuple[Redeemed, ...] | Refused = ()
        if named:
            out = held_out(rules.holdout_percent, draft.account.member_id)
            chosen = choose_coupons(rules, named, moment, held_out=out)
        asked = benefit_of(
            rules,
            basket,
            spend=spend,
            reward_ids=reward_ids,
            available=available,
            assurance=assurance,
            moment=moment,
            coupons=() if isinstance(chosen, Refused) else chosen,
            promised=promised,
        )
        if isinstance(asked, Refused):
            return asked
        # What is wrong with rewards and points has the lower number and was said first.
        if isinstance(chosen, Refused):
            return chosen
        if asked.spared and not spare_coupons:
            return refused(Refusal.COUPON_NOT_APPLICABLE, coupon_id=asked.spared[0])
        no = check_counted(
            draft, rules, reward_ids, coupons, origin=origin, points=asked.points, promised=promised
        )
        if no:
            return no
        benefit = asked
    priced = _with_earn(rules, basket, benefit, moment, coupons, away=away)
    if rules.access and isinstance(priced, Priced) and (told := access_told(rules, basket.lines, moment)):
        explained = (*priced.detail.explanations, *told)
        priced = priced._replace(detail=replace(priced.detail, explanations=explained))
    return priced


def _no_benefit(count: int) -> Benefit:
    nothing = (0,) * count
    return Benefit(nothing, nothing, nothing, (), 0, 0)


def _with_earn(
    rules: RuleSet,
    basket: Basket,
    benefit: Benefit,
    moment: Moment,
    uses: Sequence[CouponUse] = (),
    *,
    away: bool = False,
) -> Priced | Refused:
    """Add what a basket earns to what was taken off it."""
    earning, lines = rules.earning, basket.lines
    paid = [line.amount_minor - off for line, off in zip(lines, benefit.discounts, strict=True)]
    eligible = paid
    if earning.on_points_part:
        eligible = [rest + part for rest, part in zip(paid, benefit.points_discounts, strict=True)]
    if earning.net_of_tax:
        eligible = net_amounts(basket, eligible)
    if earning.exclude:
        eligible = [
            0 if excluded(earning, line) else rest for line, rest in zip(lines, eligible, strict=True)
        ]
    stopped: tuple[Explanation, ...] = ()
    if rules.budgets:
        earn = [line for line, rest in zip(lines, eligible, strict=True) if rest]
        moment, stopped = stop_rules(rules, uses, earn, moment, away=away)
    total = sum([line.amount_minor for line in lines])
    accrual = accrue(earning, lines, eligible, total, moment)
    if accrual.points > POINTS_MAX:
        return refused(Refusal.AMOUNT_OVERFLOW, points_max=POINTS_MAX)
    credits = _credits(rules, eligible, accrual)
    rows = zip(
        [line.amount_minor for line in lines],
        [line.quantity_milli for line in lines],
        benefit.discounts,
        accrual.line_points,
        benefit.line_points,
        credits,
        strict=True,
    )
    # Made as plain tuples are made: half the time of the call with six fields.
    shares = tuple([tuple.__new__(LineShare, row) for row in rows])
    totals = tax_totals(basket, benefit.discounts)
    counted: tuple[CountedLines, ...] = fees_of(rules, basket) if rules.memberships else ()
    if rules.challenges:
        counted += counted_by(
            rules.challenges,
            lines,
            eligible_minor=eligible,
            line_points=accrual.line_points,
            moment=moment,
            day=local_day(moment.at_ms, rules.zone),
        )
    shared: tuple[SharedLines, ...] = ()
    if rules.charity or rules.goals:
        shared = shared_by(
            rules,
            lines,
            paid_minor=paid,
            eligible_minor=eligible,
            line_points=accrual.line_points,
            moment=moment,
        )
    detail = Detail(
        explanations=(*_explanations(benefit), *accrual.explanations, *stopped, *gifts_told(shared)),
        lines=shares,
        tax_totals=totals,
        rewards=benefit.rewards,
        coupons=_all_counted(rules, benefit, accrual, uses) if uses else benefit.coupons,
        payable_minor=Minor(sum([total.gross_minor for total in totals])),
        counted=counted,
        shared=shared,
    )
    return Priced(benefit, accrual, sum(credits), detail)


def _all_counted(
    rules: RuleSet, benefit: Benefit, accrual: Accrual, uses: Sequence[CouponUse]
) -> tuple[AppliedCoupon, ...]:
    """Return all that a sale counts: coupons, rewards with a stock, and what rules with a budget gave."""
    budgets = counted_budgets(accrual.explanations, uses) if rules.budgets else ()
    return (*benefit.coupons, *stock_taken(benefit.rewards, uses), *budgets)


def _credits(rules: RuleSet, eligible: Sequence[int], accrual: Accrual) -> Sequence[int]:
    if rules.tiers is None:
        return (0,) * len(eligible)
    if rules.tiers.basis is TierBasis.POINTS:
        return accrual.line_points
    if rules.tiers.basis is TierBasis.SPEND:
        return eligible
    return spread(1, [max(0, amount) for amount in eligible]) if any(eligible) else (0,) * len(eligible)


def _explanations(benefit: Benefit) -> tuple[Explanation, ...]:
    """Say what was taken off, in the order in which it was."""
    told = _burn_explanations(benefit)
    if not (benefit.coupons or benefit.spared):
        return told
    used = [
        Explanation(coupon.coupon_id, 0, 0, "coupon", (("discount_minor", str(coupon.discount_minor)),))
        for coupon in benefit.coupons
    ]
    spared = [Explanation(coupon_id, 0, 0, "coupon_given_back") for coupon_id in benefit.spared]
    return (*used, *spared, *told)


def _burn_explanations(benefit: Benefit) -> tuple[Explanation, ...]:
    bought = tuple(
        Explanation(
            reward.reward_id, 0, -reward.points, "reward", (("discount_minor", str(reward.discount_minor)),)
        )
        for reward in benefit.rewards
    )
    if not benefit.spend_points:
        return bought
    value = (("discount_minor", str(sum(benefit.points_discounts))),)
    return (*bought, Explanation("points", 0, -benefit.spend_points, "points_as_money", value))


def post_sale(draft: Draft, rules: RuleSet, sale: Sale, coupons: Sequence[CouponUse] = ()) -> Refused | None:
    """Decide a sale that is asked for; ``coupons`` is what is known of those that it names."""
    priced = price(
        draft,
        rules,
        sale.basket,
        sale.origin,
        spend=sale.spend,
        reward_ids=sale.reward_ids,
        available=draft.active,
        assurance=sale.assurance,
        coupons=coupons,
    )
    if isinstance(priced, Refused):
        return priced
    burned = priced.benefit.points
    allocs = draft.take_active(burned) if burned else ()
    moves = Moves(active=-burned, burned=burned)
    _post(draft, rules, sale, priced, allocs, moves=moves, assurance=sale.assurance)
    return None


def post_capture_sale(
    draft: Draft,
    rules: RuleSet,
    capture: Capture,
    basket: Basket,
    hold: Hold,
    allocs: tuple[Alloc, ...],
    *,
    held: int,
    coupons: Sequence[CouponUse] = (),
) -> Refused | None:
    """Decide the capture of a hold with the final basket; ``allocs`` stand ready for all of the hold's points.

    ``held`` is what still counts as held of them (0 when the hold ran out and the points were taken anew). What
    the basket no longer needs goes back to its lots, and a coupon that fits nothing in it is free again.
    """
    spend = Spend(hold.spend_points, up_to=True) if hold.spend_points else None
    priced = price(
        draft,
        rules,
        basket,
        capture.origin,
        spend=spend,
        reward_ids=hold.reward_ids,
        available=hold.points,
        assurance=hold.assurance,
        coupons=coupons,
        spare_coupons=True,
        promised=hold.status is HoldStatus.OPEN,
    )
    if isinstance(priced, Refused):
        return priced
    burned = priced.benefit.points
    used, spare = split_allocs(allocs, burned)
    at_ms = Ms(max(capture.origin.occurred_ms, draft.account.as_of_ms))
    draft.give_back(spare, at_ms, grace_ms(rules, at_ms))
    moves = Moves(active=held - burned, held=-held, burned=burned)
    _post(draft, rules, capture, priced, used, moves=moves, assurance=hold.assurance, hold_id=hold.hold_id)
    return None


def settle_sale(
    draft: Draft, rules: RuleSet, advice: SettleSale, uses: Sequence[CouponUse] = ()
) -> Refused | None:
    """Post a sale that has already happened, in full.

    The burn and the discount are what the till gave; what the member's points do not cover is booked to the store
    and never to the member. The earn is what the pinned rules say; ``claimed_points`` keeps what was printed.
    Only a basket that cannot be read as a sale of this program at all is refused, for its sender to park. ``uses``
    names the rewards that are counted: what a till gave counts, also beyond the stock.
    """
    if no := check_basket(rules, advice.basket):
        return no
    if not 0 <= advice.discount_minor <= sum(line.amount_minor for line in advice.basket.lines):
        return refused(Refusal.BASKET_INVALID, discount_minor=advice.discount_minor)
    if no := check_authorities(advice):
        return no
    draft.set_tier(current_tier(rules, draft.tier))
    moment = moment_at(draft, rules, advice.origin)
    priced = _with_earn(rules, advice.basket, _given(rules, advice, moment), moment, uses, away=True)
    if isinstance(priced, Refused):
        return priced
    burned = advice.burned_points
    cover = cover_burn(draft, rules, advice) if burned else NO_COVER
    moves = Moves(
        active=cover.given_back - cover.from_active,
        held=-cover.from_held,
        burned=burned,
        store_loss=cover.points - burned,
    )
    if cover.told:
        detail = replace(priced.detail, explanations=priced.detail.explanations + cover.told)
        priced = priced._replace(detail=detail)
    _post(draft, rules, advice, priced, cover.allocs, moves=moves, assurance=advice.assurance)
    return None


def _given(rules: RuleSet, advice: SettleSale, moment: Moment) -> Benefit:
    """Return what the till gave: as the rules give it, when they come to the same sums, else spread over the lines."""
    lines = advice.basket.lines
    if not advice.burned_points and not advice.discount_minor:
        return _no_benefit(len(lines))
    asked = benefit_of(
        rules,
        advice.basket,
        spend=advice.spend,
        reward_ids=advice.reward_ids,
        available=advice.burned_points,
        assurance=advice.assurance,
        moment=moment,
    )
    if isinstance(asked, Benefit) and (asked.points, sum(asked.discounts)) == (
        advice.burned_points,
        advice.discount_minor,
    ):
        return asked
    offs = spread_by_group(
        advice.discount_minor, [line.amount_minor for line in lines], [line.tax_code for line in lines]
    )
    points = spread(advice.burned_points, offs)
    return Benefit(tuple(offs), tuple(offs), tuple(points), (), advice.burned_points, advice.burned_points)


def _post(
    draft: Draft,
    rules: RuleSet,
    command: Sale | Capture | SettleSale,
    priced: Priced,
    allocs: tuple[Alloc, ...],
    *,
    moves: Moves,
    assurance: Assurance,
    hold_id: str = "",
) -> None:
    """Post burn and earn as one entry, make the lot, pay a debt first, count the credits and what is counted beside
    them; behind it the awards of the challenges that it met.
    """
    origin = command.origin
    if priced.benefit.rewards:
        count_had(draft, rules, priced.benefit.rewards, origin)
    counted = priced.detail.counted
    reckoned = count_sale(draft, rules, origin, counted) if counted else NOTHING
    earned = earn_into(draft, rules, origin, moves, priced.accrual.points, priced.credits)
    told = priced.detail
    detail = Detail(
        explanations=told.explanations + earned.explanations + reckoned.told,
        lines=told.lines,
        allocs=allocs,
        tax_totals=told.tax_totals,
        rewards=told.rewards,
        coupons=told.coupons,
        payable_minor=told.payable_minor,
        credit_day=earned.credit_day,
        counted=reckoned.lines,
        shared=told.shared,
        sums=sums_of(told.shared),
    )
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.CAPTURE if isinstance(command, Capture) else EntryKind.SALE,
        moves=earned.moves,
        origin=origin,
        rule_set=rules.version,
        assurance=assurance,
        detail=detail,
        hold_id=hold_id,
        shortfall=-moves.store_loss,
        claimed_points=command.earned_points if isinstance(command, SettleSale) else -1,
    )
    award(draft, rules, reckoned.moved, origin=origin, cause=command.command_id)
