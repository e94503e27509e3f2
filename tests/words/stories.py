"""Every explanation that the core makes: out of the golden vectors, and stories for what those do not tell."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from inspect import isfunction, signature
from types import ModuleType
from typing import Any
from unittest.mock import patch

import tests.core
from tallystick.core.basket import Assurance
from tallystick.core.budget import budget_key
from tallystick.core.command import (
    Authority,
    AuthorityKind,
    AwardGoal,
    Command,
    ConvertIn,
    ConvertOut,
    Donate,
    RecallLeases,
    RedeemReward,
    ReturnLine,
    SettleEnrolment,
    Spend,
    UseRedemption,
)
from tallystick.core.coupon import CouponUse
from tallystick.core.draft import Draft
from tallystick.core.entry import NO_DETAIL, Explanation
from tallystick.core.ids import CommandId
from tallystick.core.lots import local_day
from tallystick.core.rules.model import RuleSet
from tests.core.test_advice import back, sold
from tests.core.test_transfer import Two
from tests.core.world import MEMBER, World, basket, line, refs_of, rules_of
from tests.golden.cases import CASES
from tests.golden.story import Teller

COUPONS = [
    {"id": "gift", "kind": "money_off", "amount_minor": 300, "code": "GIFT", "sku": "A"},
    {"id": "tea", "kind": "money_off", "amount_minor": 100, "code": "TEA", "sku": "T"},
]


def told() -> Iterator[tuple[RuleSet, Explanation]]:
    """Yield what explains each entry of the stories, with the rule set that judged it."""
    for world in (*_golden(), _rights(), _leases(), _returns(), _coupons()):
        for entry in world.entries:
            yield from ((world.rules, why) for why in entry.detail.explanations)


def told_by_the_tests_of_the_core() -> set[Explanation]:
    """Return what explains all entries that the core makes in its own tests, those that need nothing but a name."""
    seen: set[Explanation] = set()
    post = Draft.post

    def noted(self: Draft, **values: Any) -> Any:
        seen.update(values.get("detail", NO_DETAIL).explanations)
        return post(self, **values)

    with patch.object(Draft, "post", noted):
        for found in pkgutil.iter_modules(tests.core.__path__):
            if found.name.startswith("test_"):
                _play(importlib.import_module(f"tests.core.{found.name}"))
        _rewards()
        _actions()
        _partners()
        _together()
        _budgets()
        _access()
        _ended_tier()
        _pooling()
        _referral()
    return seen


def _play(module: ModuleType) -> None:
    for name, test in vars(module).items():
        plain = isfunction(test) and not signature(test).parameters and not hasattr(test, "hypothesis")
        if plain and name.startswith("test_"):
            # Whether it holds is for its own run to say; here it counts what was told on the way.
            with suppress(AssertionError):
                test()


def _rewards() -> None:
    """A reward is bought by itself and handed out."""
    massage = {"id": "massage", "kind": "experience", "name": "A massage", "points": 100}
    world = World(rules_of(rewards=[massage]))
    world.posted(world.adjust(1_000))
    bought = RedeemReward(world.new_id(), MEMBER, world.origin, "massage", Assurance.DEVICE_CODE)
    world.posted(bought)
    world.posted(UseRedemption(world.new_id(), MEMBER, world.origin, bought.command_id))


def _actions() -> None:
    """A review is rewarded, and a birthday and a year as a member come by themselves."""
    actions: list[dict[str, Any]] = [
        {"id": "review", "name": "A review", "points": 10, "limit": {"count": 9, "per": "month"}},
        {"id": "cake", "name": "Cake", "points": 20, "on": "birthday"},
        {"id": "year", "name": "One year", "points": 30, "on": "anniversary"},
    ]
    world = World(rules_of(actions=actions))
    for action in actions:
        world.posted(replace(world.earn(1), points=0, action_id=action["id"]))


def _access() -> None:
    """Articles are sold before they are open to all, by mistake to one for whom they are not, and to one too early."""
    tiers = {
        "basis": "spend",
        "period": "calendar_year",
        "levels": [{"id": "bas", "from": 0}, {"id": "guld", "from": 1_000_000}],
    }
    access = [
        {"id": "gold-only", "sku": "G", "tier": "guld"},
        {"id": "summer", "sku": "S", "tier": "guld", "opens_at": "2026-06-01"},
        {"id": "spring", "sku": "P", "tier": "bas", "early_from": "2026-01-01", "opens_at": "2026-03-01"},
    ]
    world = World(rules_of(tiers=tiers, access=access))
    world.posted(world.sale(line(100, sku="G"), line(100, sku="S"), line(100, sku="P")))


def _ended_tier() -> None:
    """The retailer ends the tiers while somebody is in one."""
    levels = [{"id": "bas", "from": 0}, {"id": "guld", "from": 10_000}]
    world = World(rules_of(tiers={"basis": "spend", "period": "calendar_year", "levels": levels}))
    world.posted(world.sale(12_000))
    world.rules = rules_of()
    world.wait_until("2030-01-01")


def _together() -> None:
    """A sale gives to a project, a member does, and a goal of all is reached."""
    projects = [{"id": "sea", "name": "Sea", "text": "Boats"}]
    charity = {"projects": projects, "share": [{"project": "sea", "minor": 100}]}
    world = World(rules_of(charity=charity))
    world.posted(world.sale(10_000))
    donation = Donate(world.new_id(), MEMBER, world.origin, "sea", 10, Assurance.DEVICE_CODE)
    world.posted(donation)
    world.posted(AwardGoal(world.new_id(), MEMBER, world.origin, "advent", 50))


class _Spent(World):
    """A world in which a budget has been given."""

    def known_of(self, command: Command) -> tuple[CouponUse, ...]:
        today = local_day(self.now, self.rules.zone)
        return tuple(
            CouponUse(budget_key(rule, today, "s1"), in_all=1_000_000) for rule in self.rules.budgets
        )


def _budgets() -> None:
    """A campaign has given what it may, and a till without a line cannot know of another one."""
    earning = {
        "rules": [
            {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100},
            {
                "id": "spring",
                "kind": "per_sale",
                "points": 5,
                "budget": {"points": 100, "per": "month"},
            },
        ]
    }
    world = _Spent(rules_of(earning=earning))
    world.posted(world.sale(1_000))
    world.posted(world.settle(1_000, earned=10))


def _partners() -> None:
    """Points become those of a partner program, and come from it."""
    partners = [{"program": "cinema", "name": "Cinema", "give_points": 10, "get_points": 3}]
    world = World(rules_of(partners=partners))
    world.posted(world.adjust(100))
    to = (world.new_id(), MEMBER, world.origin, "cinema")
    world.posted(ConvertOut(*to, MEMBER, 10, Assurance.DEVICE_CODE))
    world.posted(ConvertIn(world.new_id(), MEMBER, world.origin, "cinema", world.new_id(), MEMBER, 6))


def _pooling() -> None:
    """A household puts its points together."""
    two = Two(transfers={"to": "household"})
    two.earn(100)
    two.out(40, pooling=True, same_household=True)


def _referral() -> None:
    """Somebody is paid for a recommendation."""
    world = World(rules_of())
    world.posted(replace(world.earn(100), why="referral"))


def _golden() -> Iterator[World]:
    for case in CASES:
        count = itertools.count(1)
        ids = (CommandId(f"00000000-0000-4000-8000-{number:012d}") for number in count)
        world = Teller(rules_of(**case.rules), mint=ids.__next__)
        case.tell(world)
        yield world


def _rights() -> World:
    """Points are burned at a till by a lease and by a voucher, and a voucher is not used in time."""
    world = World(rules_of())
    world.posted(world.adjust(1_000))
    lease = world.posted(world.lease())
    world.posted(world.burned(Authority(AuthorityKind.LEASE, 10, lease.command_id)))
    voucher = world.posted(world.voucher(20))
    world.posted(world.burned(Authority(AuthorityKind.VOUCHER, 20, voucher.command_id)))
    world.posted(world.voucher(30))
    world.wait_until("2026-12-01T12:00")
    return world


def _leases() -> World:
    """A store is asked for a lease and gives it back; a person joins at its till."""
    world = World(rules_of())
    world.posted(SettleEnrolment(world.new_id(), MEMBER, world.origin))
    world.posted(world.adjust(1_000))
    lease = world.posted(world.lease())
    world.posted(RecallLeases(world.new_id(), MEMBER, world.origin))
    world.posted(world.give_lease_back(lease))
    return world


def _returns() -> World:
    """More comes back at a till than was left."""
    world = World(rules_of())
    sale_id = sold(world)
    world.posted(back(world, sale_id, ReturnLine(1, 3_000)))
    world.posted(back(world, sale_id, ReturnLine(1, 2_000), ReturnLine(1, 1_000)))
    return world


def _coupons() -> World:
    """A hold reserves a coupon that the final basket has no use for."""
    world = World(rules_of(coupons=COUPONS))
    world.codes = {"GIFT": ("gift", ""), "TEA": ("tea", "")}
    world.posted(world.adjust(1_000))
    goods = basket(line(1_000), line(500, sku="T"))
    held = world.posted(world.hold(100, spend=Spend(100), basket=goods, coupons=refs_of("GIFT", "TEA")))
    world.posted(world.capture(held.command_id, basket(line(1_000))))
    return world
