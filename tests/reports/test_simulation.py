"""A rule set tried on past sales: the core decides, nothing is lost between processes, and winners are told rightly."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pytest

from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.reports.comparison import compare, project
from tallystick.reports.history import History, HistoryTooLarge, PastReturn, PastSale
from tallystick.reports.page import money, page
from tallystick.reports.replay import Replayed, replay

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z."""


def rules(**changes: object) -> RuleSet:
    document = {
        "format": "tallystick/1",
        "name": "Tried",
        "currency": "EUR",
        "time_zone": "UTC",
        "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
        "expiry": {"kind": "months", "months": 3},
        "tiers": {
            "basis": "spend",
            "period": "calendar_year",
            "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 50_000}],
        },
        "burning": {
            "points": 100,
            "minor": 100,
            "unit_points": 100,
            "assurance_caps": {"typed": 0, "static_card": "unlimited"},
        },
        **changes,
    }
    parsed = parse_rules(document, version=1, sha256="")
    assert isinstance(parsed, RuleSet), parsed
    return parsed


def at(day: int) -> Origin:
    return Origin(Ms(START_MS + day * DAY_MS + 3_600_000), Channel.STORE)


def sale(name: str, day: int, amount_minor: int, *, burn: int = 0) -> PastSale:
    return PastSale(
        CommandId(name),
        at(day),
        Basket("EUR", (Line("a", 1000, Minor(amount_minor)),)),
        Spend(burn, up_to=True) if burn else None,
        assurance=Assurance.STATIC_CARD,
    )


def history_of(members: dict[str, list[PastSale | PastReturn]]) -> History:
    history = History("a test")
    for name, past in members.items():
        for one in past:
            history.add(MemberId(name), one)
    return history


def town(count: int, *, seed: int) -> History:
    """Some years of many members: burns, returns in part, long silences."""
    dice = random.Random(seed)
    history = History("a town")
    for number in range(count):
        name, day = f"m{number:04}", dice.randrange(60)
        for visit in range(dice.randrange(1, 12)):
            sale_id = f"{name}/{visit}"
            history.add(
                MemberId(name), sale(sale_id, day, dice.randrange(100, 30_000), burn=dice.choice((0, 0, 300)))
            )
            if dice.random() < 0.3:
                back = (ReturnLine(1, 1000),)
                history.add(
                    MemberId(name),
                    PastReturn(
                        CommandId(f"{sale_id}/back"), at(day + dice.randrange(20)), CommandId(sale_id), back
                    ),
                )
            day += dice.randrange(1, 120)
    return history


def test_points_are_issued_burned_and_expire_as_the_ledger_would_do_it() -> None:
    history = history_of(
        {"anna": [sale("s1", 0, 30_000), sale("s2", 10, 10_000, burn=200), sale("s3", 200, 100)]}
    )
    result = project(rules(), replay(history, rules()))
    # 300 earned, 200 of them burned for 2.00, 98 for the rest that was paid; all but the last point run out in April.
    assert (result.flow.issued, result.flow.burned, result.flow.expired) == (300 + 98 + 1, 200, 198)
    assert result.flow.discount_minor == 200
    assert result.outstanding == 1
    assert result.spent_minor == 40_100
    assert [line.outstanding for line in result.months][-1] == 1
    assert result.months[0].month == date(2025, 1, 1)
    assert len(result.months) == 7


def test_what_goes_back_takes_its_points_and_its_spending_with_it() -> None:
    back = PastReturn(CommandId("r1"), at(5), CommandId("s1"), (ReturnLine(1, 1000),))
    history = history_of({"anna": [sale("s1", 0, 30_000), back]})
    result = project(rules(), replay(history, rules()))
    assert (result.flow.issued, result.flow.taken_back, result.outstanding, result.spent_minor) == (
        300,
        300,
        0,
        0,
    )


def test_a_sale_whose_burn_the_rules_refuse_is_still_sold() -> None:
    none_burned = rules(burning={"points": 100, "minor": 100, "assurance_caps": {"static_card": 0}})
    exact = replace(sale("s2", 1, 5_000), spend=Spend(100))
    history = history_of({"anna": [sale("s1", 0, 30_000), exact]})
    result = project(none_burned, replay(history, none_burned))
    assert result.sales == 2
    assert result.dropped == {"ABOVE_ASSURANCE_CAP": 1}
    assert result.flow.burned == 0


def test_a_challenge_a_gift_and_a_membership_are_tried_on_past_sales_as_the_ledger_would_post_them() -> None:
    tried = rules(
        challenges=[
            {"id": "three", "name": "Three", "counts": "sales", "target": 3, "award": {"points": 1_000}}
        ],
        memberships=[{"id": "club", "name": "Club", "sku": "a", "months": 1, "refund_days": 30}],
        earning={
            "rules": [
                {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100},
                {"id": "club", "kind": "multiply", "by": 2, "membership": "club"},
            ]
        },
        tiers={
            "basis": "spend",
            "period": "calendar_year",
            "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 50_000, "gift": {"points": 5_000}}],
        },
    )
    three = [sale("s1", 0, 30_000), sale("s2", 1, 30_000), sale("s3", 2, 100)]
    kept = project(tried, replay(history_of({"anna": list(three)}), tried))
    assert kept.flow.issued == 300 + 600 + 2 + 1_000 + 5_000
    back = PastReturn(CommandId("r2"), at(5), CommandId("s2"), (ReturnLine(1, 1000),))
    returned = project(tried, replay(history_of({"anna": [*three, back]}), tried))
    assert returned.flow.taken_back == 600 + 1_000 + 5_000


def test_a_rewards_limit_is_kept_for_each_member_and_its_stock_taken_to_suffice() -> None:
    cup = {"id": "cup", "kind": "money_off", "points": 10, "amount_minor": 100}
    limited = rules(rewards=[{**cup, "stock": 1, "limit": {"count": 2, "per": "ever"}}])
    taken = [replace(sale(f"s{day}", day, 30_000), reward_ids=("cup",)) for day in range(5)]
    history = history_of({"anna": list(taken), "bert": [replace(taken[1], command_id=CommandId("b1"))]})
    result = project(limited, replay(history, limited))
    assert result.dropped == {"INSUFFICIENT_POINTS": 2, "REWARD_LIMIT": 2}
    assert result.flow.burned == 20


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_outcome_does_not_depend_on_how_many_processes_share_the_work(workers: int) -> None:
    history = town(120, seed=3)
    alone = replay(history, rules(), workers=1)
    shared = replay(history, rules(), workers=workers)
    assert shared.members == alone.members
    assert shared.months == alone.months
    assert shared.refused == alone.refused
    assert sum(member.flow.expired for member in shared.members.values()) > 0


def test_every_point_is_accounted_for() -> None:
    result = project(rules(), outcome := replay(town(200, seed=5), rules(), workers=1))
    assert result.outstanding == sum(member.outstanding for member in outcome.members.values())
    assert result.flow.burned > result.flow.given_back > 0


def test_the_order_in_which_a_file_lists_a_members_sales_does_not_matter() -> None:
    straight, turned = History("straight"), History("turned")
    for member_id, past in town(60, seed=8).members.items():
        sales = [one for one in past if isinstance(one, PastSale)]
        for history, order in ((straight, sales), (turned, sales[::-1])):
            for one in order:
                history.add(member_id, one)
    assert replay(straight, rules(), workers=1).members == replay(turned, rules(), workers=1).members
    assert (turned.first_ms, turned.last_ms) == (straight.first_ms, straight.last_ms)


def of_rules(rule_set: RuleSet, history: History) -> tuple[RuleSet, Replayed]:
    return rule_set, replay(history, rule_set, workers=1)


def test_a_richer_rule_set_makes_winners_and_a_poorer_one_losers() -> None:
    history = town(300, seed=1)
    base, rich = (
        rules(),
        rules(earning={"rules": [{"id": "base", "kind": "per_amount", "points": 2, "per_minor": 100}]}),
    )
    old, new = of_rules(base, history), of_rules(rich, history)
    up = compare((*old, project(*old)), (*new, project(*new)))
    down = compare((*new, project(*new)), (*old, project(*old)))
    assert sum(group.members for group in up.segments) == 300 == sum(group.members for group in up.tiers)
    assert sum(group.better for group in up.segments) > 100
    assert sum(group.change_minor for group in up.segments) > 0
    assert sum(group.change_minor for group in up.segments) == -sum(
        group.change_minor for group in down.segments
    )
    assert [group.worse for group in down.segments] == [group.better for group in up.segments]
    assert [group.members for group in up.segments] == [30, 120, 150]
    assert sum(count for _, count in up.histogram) == 300


def test_a_rule_set_against_itself_changes_nobody() -> None:
    history = town(80, seed=2)
    same = of_rules(rules(), history)
    result = compare((*same, project(*same)), (*same, project(*same)))
    assert all(
        group.even == group.members and not group.change_minor for group in (*result.segments, *result.tiers)
    )


def test_segments_go_by_what_was_bought() -> None:
    history = history_of({f"m{number}": [sale(f"s{number}", 0, 1_000 * number)] for number in range(1, 11)})
    gold_only = rules(
        earning={
            "rules": [
                {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100},
                {"id": "big", "kind": "per_sale", "points": 1_000, "tier": ["gold"]},
            ]
        },
        tiers={
            "basis": "spend",
            "period": "calendar_year",
            "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 9_500}],
        },
    )
    history.add(MemberId("m10"), sale("again", 1, 100))
    old, new = of_rules(rules(), history), of_rules(gold_only, history)
    result = compare((*old, project(*old)), (*new, project(*new)))
    assert [(group.better, group.members) for group in result.segments] == [(1, 1), (0, 4), (0, 5)]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_runs_nothing_and_fetches_nothing_whatever_a_program_is_called() -> None:
    history = town(40, seed=4)
    named = rules(name='<script>alert("x")</script>')
    mine = of_rules(named, history)
    told = project(*mine)
    text = page(history, "EUR", told, told, compare((*mine, told), (*mine, told)), [("sold", "1", "2")])
    tags = _Tags()
    tags.feed(text)
    names = [tag for tag, _ in tags.found]
    assert "script" not in names
    assert names.count("svg") == 4
    assert not any(key in ("src", "href") or key.startswith("on") for _, given in tags.found for key in given)
    assert not re.search(r"url\(|@import", text)


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (123_456, "EUR", "1,234.56 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (1_000, "JPY", "1,000 JPY"),
        (5, "KWD", "0.005 KWD"),
    ],
)
def test_amounts_have_their_currencys_decimals(minor: int, currency: str, shown: str) -> None:
    assert money(minor, currency) == shown


def test_too_many_lines_are_refused_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.reports.history.LINES_MAX", 2)
    history = history_of({"anna": [sale("s1", 0, 100), sale("s2", 0, 100)]})
    with pytest.raises(HistoryTooLarge, match="fewer months"):
        history.add(MemberId("anna"), sale("s3", 1, 100))
