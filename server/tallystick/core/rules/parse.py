"""Turns a rule set's document into its frozen form, or says everything that is wrong with it.

The document is plain values (what YAML or JSON gives): see docs/reference/rules.md for the language. All that can be
checked without sales is checked here, so that what was published always parses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from zoneinfo import ZoneInfo

from tallystick.core.ids import POINTS_MAX
from tallystick.core.money import PPM
from tallystick.core.rules.access import ACCESS_MAX, Access, parse_access
from tallystick.core.rules.action import ACTIONS_MAX, Action, parse_action
from tallystick.core.rules.challenge import CHALLENGES_MAX, Challenge, parse_challenge
from tallystick.core.rules.charity import parse_charity
from tallystick.core.rules.conditions import parse_condition, parse_selector
from tallystick.core.rules.coupon import COUPONS_MAX, parse_coupon
from tallystick.core.rules.earning import parse_earning
from tallystick.core.rules.experiment import parse_experiments, parse_holdout
from tallystick.core.rules.goal import GOALS_MAX, Goal, parse_goal
from tallystick.core.rules.membership import parse_memberships
from tallystick.core.rules.model import (
    Burning,
    Coupon,
    Downgrade,
    Expiry,
    ExpiryKind,
    Holds,
    Level,
    Offline,
    Returns,
    Reward,
    RuleSet,
    SpentPolicy,
    TierBasis,
    TierPeriod,
    Tiers,
)
from tallystick.core.rules.notifications import parse_notifications
from tallystick.core.rules.offer import parse_offers
from tallystick.core.rules.partner import PARTNERS_MAX, parse_partners
from tallystick.core.rules.reader import Finding, Node
from tallystick.core.rules.referral import parse_referral
from tallystick.core.rules.reminders import parse_reminders
from tallystick.core.rules.reward import REWARDS_MAX, parse_reward
from tallystick.core.rules.scanning import parse_scanning
from tallystick.core.rules.segment import parse_segments
from tallystick.core.rules.transfers import parse_transfers
from tallystick.core.rules.watch import parse_watch

FORMAT = "tallystick/1"
LEVELS_MAX = 20
GIFT_POINTS_MAX = 10**9
DAY_S = 86_400
NEVER_DAYS = 10**6


def parse_rules(
    document: object, *, version: int, sha256: str, published: bool = False
) -> RuleSet | list[Finding]:
    """Return the rule set, or everything that is wrong with the document (never an empty list).

    One that is ``published`` goes on in spite of findings that are tolerated: a program that has learned to look for
    more must not stop the sales of who has published.
    """
    findings: list[Finding] = []
    rules = read_rules(Node(document, "", findings), version=version, sha256=sha256)
    return [one for one in findings if not (published and one.tolerated)] or rules


def read_rules(root: Node, *, version: int, sha256: str) -> RuleSet:
    """Return what a document says; it is a rule set when nothing was found to be wrong."""
    root.choice("format", (FORMAT,))
    name = root.text("name", longest=100)
    currency = root.text("currency", longest=3)
    if currency and not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        root.wrong(
            "currency",
            f"'{currency}' is not an ISO 4217 code",
            "write three capital letters, for example EUR",
        )
    zone = _zone(root)
    # What other sections name comes before them.
    tiers = _tiers(root.node("tiers"))
    tier_ids = tuple(level.tier_id for level in tiers.levels) if tiers else ()
    memberships = parse_memberships(root)
    root.names["membership"] = tuple(one.membership_id for one in memberships)
    experiments = parse_experiments(root, zone)
    earning = parse_earning(root, zone, tier_ids)
    segments = parse_segments(root, tier_ids)
    offered = parse_offers(root, _coupons(root, zone, tier_ids))
    expiry = _expiry(root.node("expiry"))
    if earning.pending_days > _longest_days(expiry):
        root.wrong(
            "earning.pending_days", "is longer than points last", "they would never be spent", tolerated=True
        )
    rules = RuleSet(
        version=version,
        sha256=sha256,
        name=name,
        currency=currency,
        zone=zone,
        earning=earning,
        expiry=expiry,
        tiers=tiers,
        burning=_burning(root.node("burning")),
        rewards=_rewards(root, zone, tier_ids),
        coupons=offered.coupons,
        memberships=memberships,
        challenges=_challenges(root, zone, tier_ids),
        actions=_actions(root, zone, tier_ids),
        access=_access(root, zone, tier_ids),
        returns=_returns(root.node("returns")),
        holds=_holds(root.node("holds")),
        offline=_offline(root.node("offline")),
        scanning=parse_scanning(root.node("scanning")),
        referral=parse_referral(root.node("referral"), pending_days=earning.pending_days),
        watch=parse_watch(root.node("watch")),
        transfers=parse_transfers(root.node("transfers")),
        notifications=parse_notifications(root.node("notifications")),
        reminders=parse_reminders(root.node("reminders")),
        experiments=experiments,
        segments=segments,
        offers=offered.offers,
        holdout_percent=parse_holdout(root),
        charity=parse_charity(root.node("charity"), zone, tier_ids),
        goals=_goals(root, zone, tier_ids),
        partners=parse_partners(root.nodes("partners", most=PARTNERS_MAX)),
    )
    root.done()
    return rules


def _zone(root: Node) -> ZoneInfo:
    name = root.text("time_zone")
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, OSError, KeyError):
        root.wrong("time_zone", f"'{name}' is not a time zone", "write a name such as Europe/Stockholm")
        return ZoneInfo("UTC")


def _expiry(node: Node | None) -> Expiry:
    if node is None:
        return Expiry()
    kind = ExpiryKind(node.choice("kind", [choice.value for choice in ExpiryKind]))
    count = 0
    if kind in (ExpiryKind.MONTHS, ExpiryKind.END_OF_MONTH):
        count = node.integer("months", low=1, high=120)
    elif kind is ExpiryKind.END_OF_YEAR:
        count = node.integer("years", 0, high=10)
    node.done()
    return Expiry(kind, count)


def _longest_days(expiry: Expiry) -> int:
    """Return a number of days that no point lives longer than, and some about as long."""
    match expiry.kind:
        case ExpiryKind.NEVER:
            return NEVER_DAYS
        case ExpiryKind.MONTHS:
            return 31 * expiry.count
        case ExpiryKind.END_OF_MONTH:
            return 31 * (expiry.count + 1)
        case ExpiryKind.END_OF_YEAR:
            return 366 * (expiry.count + 1)


def _tiers(node: Node | None) -> Tiers | None:
    if node is None:
        return None
    items = node.nodes("levels", most=LEVELS_MAX)
    levels = []
    for item in items:
        levels.append(
            Level(
                item.text("id", longest=32), item.integer("from", high=POINTS_MAX), _gift(item.node("gift"))
            )
        )
        item.done()
    if not levels or levels[0].threshold != 0:
        node.wrong("levels", "the first level must be from 0", "everybody starts there")
        levels.insert(0, Level("", 0))
    if levels[0].gift_points:
        node.wrong(
            "levels[0].gift", "nobody climbs to the first level", "remove it, or give it to the next one"
        )
    thresholds = [level.threshold for level in levels]
    # What a level is from that says it wrongly is not known, and so no reason to complain of the next one.
    readable = all(isinstance(item.take("from"), int) for item in items)
    if readable and thresholds != sorted(set(thresholds)):
        node.wrong("levels", "each level must be from more than the one before")
    node.unique("levels", [level.tier_id for level in levels])
    tiers = Tiers(
        levels=tuple(levels),
        basis=TierBasis(node.choice("basis", [choice.value for choice in TierBasis])),
        period=TierPeriod(node.choice("period", [choice.value for choice in TierPeriod])),
        rolling_days=node.integer("rolling_days", 365, low=1, high=1096),
        downgrade=Downgrade(node.choice("downgrade", [choice.value for choice in Downgrade], "one_step")),
        grace_days=node.integer("grace_days", 0, high=366),
    )
    if tiers.period is not TierPeriod.ROLLING and node.take("rolling_days") is not None:
        node.wrong("rolling_days", "only goes with 'period: rolling'", "remove it")
    node.done()
    return tiers


def _gift(node: Node | None) -> int:
    if node is None:
        return 0
    points = node.integer("points", low=1, high=GIFT_POINTS_MAX)
    node.done()
    return points


def _burning(node: Node | None) -> Burning:
    if node is None:
        return Burning()
    value_points = node.integer("points", 1, low=1, high=10**9)
    value_minor = node.integer("minor", 1, low=1, high=10**9)
    smallest = value_points // math.gcd(value_points, value_minor)
    unit = node.integer("unit_points", smallest, low=1, high=10**9)
    if unit % smallest:
        node.wrong("unit_points", f"{unit} points are no whole minor units", f"use a multiple of {smallest}")
    burning = Burning(
        value_points=value_points,
        value_minor=value_minor,
        unit_points=unit,
        minimum_points=node.integer("minimum_points", unit, low=1, high=POINTS_MAX),
        share_max_ppm=_percent(node, "share_max_percent", Fraction(100)),
        assurance_caps=_caps(node.node("assurance_caps")),
    )
    node.done()
    return burning


def _caps(node: Node | None) -> tuple[int, ...]:
    if node is None:
        return Burning().assurance_caps
    names = ("typed", "static_card", "server_code", "rotating_code", "device_code")
    caps = []
    for name, default in zip(names, Burning().assurance_caps, strict=True):
        caps.append(node.cap(name, default, high=POINTS_MAX))
    node.done()
    return tuple(caps)


def _percent(node: Node, key: str, default: Fraction) -> int:
    if not node.has(key):
        return int(default * PPM / 100)
    return int(node.ratio(key, low=Fraction(1, 100), high=Fraction(100)) * PPM / 100)


def _rewards(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> tuple[Reward, ...]:
    nodes = root.nodes("rewards", most=REWARDS_MAX)
    rewards = tuple(
        parse_reward(node, parse_selector(node), parse_condition(node, zone, tier_ids)) for node in nodes
    )
    root.unique("rewards", [one.reward_id for one in rewards])
    return rewards


def _coupons(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> tuple[Coupon, ...]:
    nodes = root.nodes("coupons", most=COUPONS_MAX)
    coupons = tuple(
        parse_coupon(node, parse_selector(node), parse_condition(node, zone, tier_ids)) for node in nodes
    )
    root.unique("coupons", [one.coupon_id for one in coupons])
    root.unique("coupons", [one.spelled for one in coupons], what="code")
    return coupons


def _actions(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> tuple[Action, ...]:
    nodes = root.nodes("actions", most=ACTIONS_MAX)
    actions = tuple(parse_action(node, parse_condition(node, zone, tier_ids)) for node in nodes)
    root.unique("actions", [one.action_id for one in actions])
    return actions


def _access(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> tuple[Access, ...]:
    nodes = root.nodes("access", most=ACCESS_MAX)
    rules = tuple(
        parse_access(node, parse_selector(node), parse_condition(node, zone, tier_ids), zone)
        for node in nodes
    )
    root.unique("access", [one.access_id for one in rules])
    return rules


def _goals(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> tuple[Goal, ...]:
    nodes = root.nodes("goals", most=GOALS_MAX)
    goals = tuple(
        parse_goal(node, parse_selector(node), parse_condition(node, zone, tier_ids)) for node in nodes
    )
    root.unique("goals", [one.goal_id for one in goals])
    return goals


def _challenges(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> tuple[Challenge, ...]:
    nodes = root.nodes("challenges", most=CHALLENGES_MAX)
    challenges = tuple(
        parse_challenge(node, parse_selector(node), parse_condition(node, zone, tier_ids), zone)
        for node in nodes
    )
    root.unique("challenges", [one.challenge_id for one in challenges])
    return challenges


def _returns(node: Node | None) -> Returns:
    if node is None:
        return Returns()
    returns = Returns(
        spent=SpentPolicy(node.choice("spent", [choice.value for choice in SpentPolicy], "debt")),
        grace_days=node.integer("grace_days", 0, high=366),
    )
    node.done()
    return returns


def _holds(node: Node | None) -> Holds:
    if node is None:
        return Holds()
    late = node.choice("late_capture", ("refuse", "if_covered"), "refuse")
    holds = Holds(
        ttl_max_s=node.integer("ttl_max_s", 86_400, low=1, high=30 * 86_400),
        open_max=node.integer("open_max", 20, low=1, high=100),
        late_capture_if_covered=late == "if_covered",
    )
    node.done()
    return holds


def _offline(node: Node | None) -> Offline:
    if node is None:
        return Offline()
    standard = Offline()
    floor = node.node("floor")
    caps = (standard.floor_sale_points, standard.floor_member_points, standard.floor_till_points)
    if floor is not None:
        caps = (
            floor.integer("sale_points", caps[0], high=POINTS_MAX),
            floor.integer("member_points", caps[1], high=POINTS_MAX),
            floor.integer("till_points", caps[2], high=POINTS_MAX),
        )
        floor.done()
    share = standard.lease_share_ppm
    if node.has("lease_share_percent"):
        share = int(node.ratio("lease_share_percent", low=Fraction(0), high=Fraction(100)) * PPM / 100)
    offline = Offline(
        lease_share_ppm=share,
        lease_points_max=node.integer("lease_points_max", 0, high=POINTS_MAX),
        lease_ttl_s=node.integer("lease_hours", standard.lease_ttl_s // 3600, low=1, high=24 * 31) * 3600,
        voucher_ttl_s=node.integer("voucher_days", standard.voucher_ttl_s // DAY_S, low=1, high=366) * DAY_S,
        grace_s=node.integer("grace_days", standard.grace_s // DAY_S, low=1, high=90) * DAY_S,
        floor_sale_points=caps[0],
        floor_member_points=caps[1],
        floor_till_points=caps[2],
        away_max_s=node.integer("away_days_max", standard.away_max_s // DAY_S, low=1, high=366) * DAY_S,
    )
    node.done()
    return offline
