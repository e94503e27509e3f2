"""The one way in: a command and a member's state become entries or a refusal, by a pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from tallystick.core.command import (
    Adjust,
    AwardGoal,
    Burn,
    Capture,
    CatchUp,
    Command,
    ConvertIn,
    ConvertOut,
    Donate,
    Earn,
    GrantLease,
    IssueVoucher,
    PlaceHold,
    RecallLeases,
    RedeemReward,
    Return,
    ReturnLease,
    Reverse,
    Sale,
    SettleEnrolment,
    SettleReturn,
    SettleSale,
    SettleUndo,
    TransferBack,
    TransferIn,
    TransferOut,
    UseRedemption,
    Void,
)
from tallystick.core.convert import convert_in, convert_out
from tallystick.core.coupon import CouponUse
from tallystick.core.draft import Draft, Overflow
from tallystick.core.due import catch_up
from tallystick.core.entry import CaughtUp, Decision, Entry, EntryKind, Posted, Refusal, Refused, refused
from tallystick.core.gift import settle_gifts
from tallystick.core.hold import capture, place_hold, void
from tallystick.core.ids import POINTS_MAX, CommandId, Ms
from tallystick.core.lease import grant_lease, issue_voucher, recall_leases, return_lease
from tallystick.core.limited import coupons_only
from tallystick.core.manual import post_adjust, post_burn, post_earn, settle_enrolment
from tallystick.core.record import record
from tallystick.core.redeem import redeem_reward, use_redemption
from tallystick.core.returns import post_return, reverse, settle_return, settle_undo, spent_policy
from tallystick.core.rules.model import RuleSet
from tallystick.core.sale import post_sale, settle_sale
from tallystick.core.shared import award_goal, donate
from tallystick.core.state import MemberState, MemberStatus
from tallystick.core.transfer import transfer_back, transfer_in, transfer_out


@record(frozen=True, slots=True)
class Refs:
    """What a command refers to: the entry it returns against or reverses, and the entries that did so before."""

    target: Entry | None = None
    before: tuple[Entry, ...] = ()


NO_REFS = Refs()


class Outcome(NamedTuple):
    """The state afterwards, every entry made (what time had made due comes first), and the answer to the caller."""

    state: MemberState
    entries: tuple[Entry, ...]
    decision: Decision


def needs_lots(command: Command) -> bool:
    """Return whether deciding needs the member's lots and holds, apart from what time has made due."""
    match command:
        case Sale():
            return command.spend is not None or bool(command.reward_ids or command.coupons)
        case SettleSale():
            return command.burned_points > 0
        case Earn() | SettleEnrolment() | TransferIn() | ConvertIn() | AwardGoal():
            return False
        case _:
            return True


def refers_to(command: Command) -> CommandId | None:
    """Return the id of the entry that a command refers to."""
    match command:
        case Return() | SettleReturn() | SettleUndo():
            return command.sale_id
        case Reverse():
            return command.entry_id
        case UseRedemption():
            return command.redemption_id
        case TransferBack():
            return command.transfer_id
        case _:
            return None


def decide(
    command: Command,
    state: MemberState,
    rules: RuleSet,
    refs: Refs = NO_REFS,
    *,
    pinned: RuleSet | None = None,
    coupons: Sequence[CouponUse] = (),
) -> Outcome:
    """Decide one command on one member.

    First everything that time has made due up to the command's instant is posted (also when the command is then
    refused); business time never runs backwards for a member. The same input always gives the same outcome.
    ``pinned`` are the rules that an advice names or a hold was priced by, when they are no longer those in force.
    ``coupons`` is what is known of those that a sale or hold names, or that the captured hold has, in that order, and
    of rewards that are counted.
    """
    draft = Draft(state)
    at_ms = Ms(max(command.origin.occurred_ms, state.account.as_of_ms))
    catch_up(draft, rules, at_ms)
    tier_id = draft.tier.tier_id
    if isinstance(command, CatchUp):
        return Outcome(draft.finish(at_ms), tuple(draft.entries), CaughtUp(len(draft.entries)))
    if no := not_open(command, state):
        return Outcome(draft.finish(at_ms), tuple(draft.entries), no)
    due = len(draft.entries)
    caught_up = draft.finish(at_ms) if due else state
    try:
        no = _apply(draft, command, _judging(rules, pinned), refs, coupons)
        no = no or _locked(command, state, draft, due)
        if no is None and draft.tier.tier_id != tier_id:
            _settle_gifts(draft, rules, own_entry(draft, command, due), tier_id)
    except Overflow:
        no = refused(Refusal.AMOUNT_OVERFLOW, points_max=POINTS_MAX)
    if no is not None:
        # What the command half did is dropped with its draft; what time had made due stays.
        return Outcome(caught_up, tuple(draft.entries[:due]), no)
    return Outcome(draft.finish(at_ms), tuple(draft.entries), Posted(own_entry(draft, command, due)))


def _settle_gifts(draft: Draft, rules: RuleSet, own: Entry, before: str) -> None:
    settle_gifts(
        draft,
        rules,
        before=before,
        origin=own.origin,
        cause=own.command_id,
        policy=spent_policy(rules, by_mistake=own.kind is EntryKind.REVERSE),
    )


def own_entry(draft: Draft, command: Command, due: int = 0) -> Entry:
    """Return the entry that is a command's own: behind the ``due`` ones, before the awards that it led to."""
    return next(entry for entry in draft.entries[due:] if entry.command_id == command.command_id)


def _judging(rules: RuleSet, pinned: RuleSet | None) -> RuleSet:
    """The basket is judged by what the till knew; tiers, memberships and challenges are one member's for all tills and
    go by the rules in force.
    """
    if pinned is None:
        return rules
    return replace(pinned, tiers=rules.tiers, memberships=rules.memberships, challenges=rules.challenges)


FACTS_AND_AMENDS = (
    SettleSale,
    SettleReturn,
    SettleUndo,
    SettleEnrolment,
    Return,
    ReturnLease,
    Reverse,
    Void,
    Adjust,
    TransferBack,
)
"""What is decided for a blocked member too."""


def not_open(command: Command, state: MemberState) -> Refused | None:
    """A blocked member neither earns nor burns, but goods come back and facts stay facts."""
    if state.account.status in (MemberStatus.OPEN, MemberStatus.LOCKED):
        return None
    if isinstance(command, FACTS_AND_AMENDS):
        return None
    return refused(Refusal.MEMBER_BLOCKED, status=state.account.status.name)


def _locked(command: Command, state: MemberState, draft: Draft, due: int) -> Refused | None:
    """Points that the member has locked leave the balance for nothing new.

    What a hold has reserved before was agreed on and may still be captured; that burns no more than was held.
    """
    if state.account.status is not MemberStatus.LOCKED or isinstance(command, FACTS_AND_AMENDS):
        return None
    moves = own_entry(draft, command, due).moves
    leaving = moves.burned + moves.held + max(0, moves.adjusted)
    return refused(Refusal.MEMBER_LOCKED) if leaving > 0 else None


def _apply(
    draft: Draft, command: Command, rules: RuleSet, refs: Refs, coupons: Sequence[CouponUse]
) -> Refused | None:
    match command:
        case Sale():
            assert len(coupons_only(coupons)) == len(command.coupons), (
                "what is known of every coupon that is named"
            )
            return post_sale(draft, rules, command, coupons)
        case SettleSale():
            return settle_sale(draft, rules, command, coupons)
        case Earn():
            return post_earn(draft, rules, command)
        case Burn():
            return post_burn(draft, rules, command)
        case PlaceHold():
            assert len(coupons_only(coupons)) == len(command.coupons), (
                "what is known of every coupon that is named"
            )
            return place_hold(draft, rules, command, coupons)
        case Capture():
            return capture(draft, rules, command, coupons)
        case Void():
            return void(draft, rules, command)
        case Return():
            return post_return(draft, rules, command, refs.target, refs.before)
        case Reverse():
            return reverse(draft, rules, command, refs.target, refs.before)
        case Adjust():
            return post_adjust(draft, rules, command)
        case _:
            return _apply_rest(draft, command, rules, refs, coupons)


def _apply_rest(
    draft: Draft, command: Command, rules: RuleSet, refs: Refs, coupons: Sequence[CouponUse]
) -> Refused | None:
    """Decide what is bought without a basket, and what stores ask for and report beside sales."""
    match command:
        case RedeemReward():
            return redeem_reward(draft, rules, command, coupons)
        case UseRedemption():
            return use_redemption(draft, rules, command, refs.target, refs.before)
        case SettleReturn():
            return settle_return(draft, rules, command, refs.target, refs.before)
        case SettleUndo():
            return settle_undo(draft, rules, command, refs.target, refs.before)
        case SettleEnrolment():
            settle_enrolment(draft, rules, command)
            return None
        case GrantLease():
            return grant_lease(draft, rules, command)
        case ReturnLease():
            return return_lease(draft, rules, command)
        case RecallLeases():
            return recall_leases(draft, rules, command)
        case IssueVoucher():
            return issue_voucher(draft, rules, command)
        case _:
            return _apply_sharing(draft, command, rules, refs)


def _apply_sharing(draft: Draft, command: Command, rules: RuleSet, refs: Refs) -> Refused | None:
    """Decide what members do together."""
    match command:
        case TransferOut():
            return transfer_out(draft, rules, command)
        case TransferIn():
            return transfer_in(draft, rules, command)
        case TransferBack():
            return transfer_back(draft, rules, command, refs.target, refs.before)
        case ConvertOut():
            return convert_out(draft, rules, command)
        case ConvertIn():
            return convert_in(draft, rules, command)
        case Donate():
            return donate(draft, rules, command)
        case AwardGoal():
            award_goal(draft, rules, command)
            return None
        case _:
            raise AssertionError(f"no rule for {type(command).__name__}")
