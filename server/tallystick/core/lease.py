"""Leases and vouchers: points escrowed to one store, so that it can burn them without asking."""

from __future__ import annotations

from dataclasses import replace

from tallystick.core.command import GrantLease, IssueVoucher, RecallLeases, ReturnLease
from tallystick.core.draft import Draft
from tallystick.core.due import release
from tallystick.core.entry import Detail, EntryKind, Explanation, Moves, Refusal, Refused, refused
from tallystick.core.ids import Ms
from tallystick.core.limited import after_lock, needs_gateway
from tallystick.core.money import PPM
from tallystick.core.rules.benefit import check_burn
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.reward import find_reward
from tallystick.core.rules.tier import current_tier
from tallystick.core.state import Hold, HoldKind, HoldStatus

VOUCHERS_OPEN_MAX = 20


def grant_lease(draft: Draft, rules: RuleSet, command: GrantLease) -> Refused | None:
    """Escrow a share of the balance to a store: one open lease of a member at a store."""
    offline = rules.offline
    if not offline.lease_share_ppm:
        return refused(Refusal.LEASES_OFF)
    for hold in draft.holds.values():
        if _open(hold, HoldKind.LEASE) and hold.store_id == command.store_id:
            return refused(Refusal.LEASE_EXISTS, lease_id=hold.hold_id)
    points = lease_points(draft.active, rules)
    if points < rules.burning.minimum_points or not points:
        return refused(Refusal.INSUFFICIENT_POINTS, points=rules.burning.minimum_points, available=points)
    _escrow(draft, rules, command, HoldKind.LEASE, EntryKind.LEASE, points=points, ttl_s=offline.lease_ttl_s)
    return None


def lease_points(active: int, rules: RuleSet) -> int:
    """Return how large a lease is: a share of the balance, at most one reward, in whole units (rounded down)."""
    share = active * rules.offline.lease_share_ppm // PPM
    most = rules.offline.lease_points_max or max((reward.cost for reward in rules.rewards), default=0)
    share = min(share, most) if most else share
    return share // rules.burning.unit_points * rules.burning.unit_points


def issue_voucher(draft: Draft, rules: RuleSet, command: IssueVoucher) -> Refused | None:
    """Turn points into a voucher for one store."""
    points = command.points
    if command.reward_id:
        reward = find_reward(rules, command.reward_id)
        if reward is None:
            return refused(Refusal.REWARD_UNKNOWN, reward_id=command.reward_id)
        tier_id = current_tier(rules, draft.tier).tier_id
        if reward.when.tiers and tier_id not in reward.when.tiers:
            return refused(Refusal.REWARD_NOT_IN_TIER, reward_id=reward.reward_id, tier_id=tier_id)
        if not reward.in_basket:
            return refused(Refusal.REWARD_NOT_APPLICABLE, reward_id=reward.reward_id)
        points = reward.cost
        cap = rules.burning.assurance_caps[command.assurance]
        if 0 <= cap < points:
            return refused(Refusal.ABOVE_ASSURANCE_CAP, points=points, points_max=cap)
        if points > draft.active:
            return refused(Refusal.INSUFFICIENT_POINTS, points=points, available=draft.active)
    elif no := check_burn(rules.burning, points, available=draft.active, assurance=command.assurance):
        return no
    if points <= 0:
        return refused(Refusal.BELOW_MINIMUM, points=points, minimum_points=rules.burning.minimum_points)
    open_now = sum(_open(hold, HoldKind.VOUCHER) for hold in draft.holds.values())
    if open_now >= VOUCHERS_OPEN_MAX:
        return refused(Refusal.HOLDS_TOO_MANY, open_max=VOUCHERS_OPEN_MAX)
    if no := needs_gateway(rules, [command.reward_id]):
        # A voucher is taken where nobody counts.
        return after_lock(draft, points, no)
    ttl_s = rules.offline.voucher_ttl_s
    _escrow(draft, rules, command, HoldKind.VOUCHER, EntryKind.VOUCHER, points=points, ttl_s=ttl_s)
    return None


def return_lease(draft: Draft, rules: RuleSet, command: ReturnLease) -> Refused | None:
    """Give back what is left of a lease of the calling store."""
    hold = draft.holds.get(command.lease_id)
    if hold is None or hold.kind is not HoldKind.LEASE or hold.store_id != command.origin.store_id:
        return refused(Refusal.HOLD_UNKNOWN, hold_id=command.lease_id)
    if hold.status is HoldStatus.EXPIRED:
        return refused(Refusal.HOLD_EXPIRED, hold_id=hold.hold_id, expired_ms=hold.expires_ms)
    if hold.status is not HoldStatus.OPEN:
        return refused(Refusal.HOLD_CLOSED, hold_id=hold.hold_id, status=hold.status.name)
    at_ms = Ms(max(command.origin.occurred_ms, draft.account.as_of_ms))
    release(draft, rules, hold, command.origin, at_ms=at_ms, command_id=command.command_id)
    return None


def recall_leases(draft: Draft, rules: RuleSet, command: RecallLeases) -> Refused | None:
    """Mark all open leases as wanted back; what they escrow stays escrowed until the stores have answered."""
    wanted = [hold for hold in draft.holds.values() if _open(hold, HoldKind.LEASE) and not hold.recalled]
    if not wanted:
        return refused(Refusal.HOLD_UNKNOWN)
    for hold in wanted:
        draft.set_hold(replace(hold, recalled=True))
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.RECALL,
        moves=Moves(),
        origin=command.origin,
        rule_set=rules.version,
        detail=Detail(
            explanations=tuple(
                Explanation("lease", 0, 0, "lease_recalled", (("hold_id", hold.hold_id),)) for hold in wanted
            )
        ),
    )
    return None


def _open(hold: Hold, kind: HoldKind) -> bool:
    return hold.kind is kind and hold.status is HoldStatus.OPEN


def _escrow(
    draft: Draft,
    rules: RuleSet,
    command: GrantLease | IssueVoucher,
    kind: HoldKind,
    entry_kind: EntryKind,
    *,
    points: int,
    ttl_s: int,
) -> None:
    at_ms = max(command.origin.occurred_ms, draft.account.as_of_ms)
    ends_ms = Ms(at_ms + ttl_s * 1000)
    bought = command.reward_id if isinstance(command, IssueVoucher) else ""
    allocs = draft.take_active(points)
    draft.set_hold(
        Hold(
            command.command_id,
            draft.seq + 1,
            points,
            HoldStatus.OPEN,
            Ms(ends_ms + rules.offline.grace_s * 1000),
            0 if bought else points,
            (bought,) if bought else (),
            allocs,
            kind=kind,
            store_id=command.store_id,
            ends_ms=ends_ms,
        )
    )
    code = "lease_granted" if kind is HoldKind.LEASE else "voucher_issued"
    draft.post(
        command_id=command.command_id,
        kind=entry_kind,
        moves=Moves(active=-points, held=points),
        origin=command.origin,
        rule_set=rules.version,
        detail=Detail(
            explanations=(Explanation("lease", 0, -points, code, (("store_id", command.store_id),)),),
            allocs=allocs,
        ),
        hold_id=command.command_id,
    )
