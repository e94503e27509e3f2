"""Turns a rule set's document into its frozen form, or says everything that is wrong with it.

The document is plain values (what YAML or JSON gives): see docs/reference/rules.md for the language. All that can be
checked without sales is checked here, so that what was published always parses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from zoneinfo import ZoneInfo

from tallystick.core.basket import Channel
from tallystick.core.ids import AMOUNT_MINOR_MAX, NEVER_MS, POINTS_MAX, Ms
from tallystick.core.money import PPM
from tallystick.core.rules.access import ACCESS_MAX, Access, check_access, parse_access
from tallystick.core.rules.action import ACTIONS_MAX, Action, check_actions, parse_action
from tallystick.core.rules.budget import parse_budget
from tallystick.core.rules.challenge import CHALLENGES_MAX, Challenge, check_challenges, parse_challenge
from tallystick.core.rules.charity import parse_charity
from tallystick.core.rules.coupon import COUPONS_MAX, check_coupons, parse_coupon
from tallystick.core.rules.experiment import named_groups, parse_experiments, parse_holdout
from tallystick.core.rules.goal import GOALS_MAX, Goal, check_goals, parse_goal
from tallystick.core.rules.index import Selector
from tallystick.core.rules.match import ANY_LINE, ANY_SALE
from tallystick.core.rules.membership import parse_memberships
from tallystick.core.rules.model import (
    AccrualRule,
    Burning,
    Combine,
    Condition,
    Coupon,
    Downgrade,
    Earning,
    Expiry,
    ExpiryKind,
    Holds,
    Level,
    Offline,
    Returns,
    Reward,
    Rounding,
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
from tallystick.core.rules.reward import REWARDS_MAX, check_rewards, parse_reward
from tallystick.core.rules.scanning import parse_scanning
from tallystick.core.rules.segment import parse_segments
from tallystick.core.rules.transfers import parse_transfers
from tallystick.core.rules.watch import parse_watch

FORMAT = "tallystick/1"
RULES_MAX = 200
LEVELS_MAX = 20
GIFT_POINTS_MAX = 10**9
DENOMINATOR_MAX = 10**12
DAY_S = 86_400
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CHANNELS = {"store": Channel.STORE, "webshop": Channel.WEBSHOP, "app": Channel.APP}
RULE_KINDS = ("per_amount", "per_item", "per_sale", "multiply")


def parse_rules(document: object, *, version: int, sha256: str) -> RuleSet | list[Finding]:
    """Return the rule set, or everything that is wrong with the document (never an empty list)."""
    findings: list[Finding] = []
    rules = read_rules(Node(document, "", findings), version=version, sha256=sha256)
    return findings or rules


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
    earning = _earning(root, zone, tier_ids)
    segments = parse_segments(root, tier_ids)
    offered = parse_offers(root, _coupons(root, zone, tier_ids))
    rules = RuleSet(
        version=version,
        sha256=sha256,
        name=name,
        currency=currency,
        zone=zone,
        earning=earning,
        expiry=_expiry(root.node("expiry")),
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
        charity=parse_charity(
            root.node("charity"),
            selector=_selector,
            condition=lambda node: _condition(node, zone, tier_ids),
        ),
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


def _earning(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> Earning:
    node = root.node("earning", needed="say what a basket earns below 'earning:'")
    if node is None:
        return Earning(rules=(), denominator=1)
    combine = Combine(node.choice("combine", [choice.value for choice in Combine], "highest"))
    rules = [_accrual_rule(item, zone, tier_ids) for item in node.nodes("rules", most=RULES_MAX)]
    _unique(node, "rules", [rule.rule_id for rule in rules])
    if any(rule.kind == "multiply" for rule in rules) and not any(
        rule.kind in ("per_amount", "per_item") for rule in rules
    ):
        node.wrong("rules", "there is nothing to multiply", "add a rule with kind per_amount or per_item")
    earning = Earning(
        rules=tuple(rules),
        denominator=_denominator(node, rules, combine),
        exclude=tuple(_selector(item, closed=True) for item in node.nodes("exclude", most=RULES_MAX)),
        rounding=Rounding(node.choice("rounding", [choice.value for choice in Rounding], "down")),
        combine=combine,
        net_of_tax=node.choice("amount", ("gross", "net"), "gross") == "net",
        minimum_minor=node.integer("minimum_minor", 0, high=AMOUNT_MINOR_MAX),
        points_max=node.integer("points_max", 0, high=POINTS_MAX),
        on_points_part=node.flag("on_points_part"),
        pending_days=node.integer("pending_days", 0, high=366),
    )
    node.done()
    return earning


def _accrual_rule(node: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> AccrualRule:
    kind = node.choice("kind", RULE_KINDS)
    factor = Fraction(1)
    points, per_minor = 0, 1
    if kind == "multiply":
        factor = node.ratio("by", low=Fraction(1), high=Fraction(100))
    else:
        points = node.integer("points", low=1, high=10**9)
    if kind == "per_amount":
        per_minor = node.integer("per_minor", low=1, high=10**9)
    rule_id, budget = node.text("id", longest=64), parse_budget(node.node("budget"))
    when = _condition(node, zone, tier_ids)
    rule = AccrualRule(
        rule_id=rule_id,
        kind=kind,
        points=points,
        per_minor=per_minor,
        num=factor.numerator,
        den=factor.denominator,
        lines=_selector(node),
        when=replace(when, budget_of=rule_id) if budget else when,
        budget=budget,
    )
    node.done()
    return rule


def _denominator(node: Node, rules: Sequence[AccrualRule], combine: Combine) -> int:
    """Return a number that makes every rule's share of points a whole multiple of 1 / denominator."""
    unit = math.lcm(*(rule.per_minor for rule in rules), *(1000 for rule in rules if rule.kind == "per_item"))
    factors = [rule.den for rule in rules if rule.kind == "multiply"]
    unit *= math.prod(factors) if combine is Combine.PRODUCT else math.lcm(*factors)
    if unit > DENOMINATOR_MAX:
        node.wrong(
            "rules", "the amounts and factors have no common fraction of a point", "use rounder numbers"
        )
    return unit


def _selector(node: Node, *, closed: bool = False) -> Selector:
    selector = Selector(
        skus=frozenset(node.texts("sku")),
        categories=frozenset(node.texts("category")),
        brands=frozenset(node.texts("brand")),
    )
    if closed:
        node.done()
        if selector == ANY_LINE:
            node.wrong("", "excludes everything", "name a sku, category or brand")
    return ANY_LINE if selector == ANY_LINE else selector


def _condition(node: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> Condition:
    condition = Condition(
        stores=frozenset(node.texts("store")),
        channels=frozenset(int(CHANNELS[name]) for name in node.texts("channel", tuple(CHANNELS))),
        tiers=frozenset(node.texts("tier", tier_ids)),
        weekdays=frozenset(WEEKDAYS.index(day) for day in node.texts("weekday", WEEKDAYS)),
        minutes=tuple(_minutes(node, text) for text in node.texts("hours")),
        from_ms=node.instant("from", zone, Ms(0)),
        until_ms=node.instant("until", zone, NEVER_MS),
        memberships=frozenset(node.texts("membership", node.names.get("membership", ()))),
        groups=named_groups(node),
    )
    if condition.from_ms >= condition.until_ms:
        node.wrong("until", "lies before 'from'", "the rule would never hold")
    return ANY_SALE if condition == ANY_SALE else condition


def _minutes(node: Node, text: str) -> tuple[int, int]:
    """Read "08:00-12:30"; the end is not part of it, "24:00" ends the day."""
    try:
        start, end = (_minute(part) for part in text.split("-"))
    except ValueError:
        start, end = 0, 0
    if not 0 <= start < end <= 24 * 60:
        node.wrong(
            "hours", f"'{text}' is not a span of one day", 'write hours: "08:00-12:00"; split it at midnight'
        )
    return start, end


def _minute(text: str) -> int:
    hours, minutes = text.strip().split(":")
    if not (len(hours) == 2 and len(minutes) == 2 and int(minutes) < 60):
        raise ValueError(text)
    return int(hours) * 60 + int(minutes)


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
    _unique(node, "levels", [level.tier_id for level in levels])
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
    rewards = tuple(parse_reward(node, _selector(node), _condition(node, zone, tier_ids)) for node in nodes)
    check_rewards(root, rewards)
    return rewards


def _coupons(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> tuple[Coupon, ...]:
    nodes = root.nodes("coupons", most=COUPONS_MAX)
    coupons = tuple(parse_coupon(node, _selector(node), _condition(node, zone, tier_ids)) for node in nodes)
    check_coupons(root, coupons)
    return coupons


def _actions(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> tuple[Action, ...]:
    nodes = root.nodes("actions", most=ACTIONS_MAX)
    actions = tuple(parse_action(node, _condition(node, zone, tier_ids)) for node in nodes)
    check_actions(root, actions)
    return actions


def _access(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> tuple[Access, ...]:
    nodes = root.nodes("access", most=ACCESS_MAX)
    rules = tuple(
        parse_access(node, _selector(node), _condition(node, zone, tier_ids), zone) for node in nodes
    )
    check_access(root, rules)
    return rules


def _goals(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> tuple[Goal, ...]:
    nodes = root.nodes("goals", most=GOALS_MAX)
    goals = tuple(parse_goal(node, _selector(node), _condition(node, zone, tier_ids)) for node in nodes)
    check_goals(root, goals)
    return goals


def _challenges(root: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> tuple[Challenge, ...]:
    nodes = root.nodes("challenges", most=CHALLENGES_MAX)
    challenges = tuple(
        parse_challenge(node, _selector(node), _condition(node, zone, tier_ids), zone) for node in nodes
    )
    check_challenges(root, challenges)
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


def _unique(node: Node, key: str, ids: Sequence[str]) -> None:
    for at, one in enumerate(ids):
        if one and one in ids[:at]:
            node.wrong(f"{key}[{at}].id", f"'{one}' is there already", "give each its own id")
