"""A table that a retailer can read: what a member and the shop do, one row each, and what must be true after it.

Amounts are texts in the program's currency ("12.50"), goods a mapping of article to price. A row's expectations come
last, by name: ``balance``, ``pending``, ``held``, ``debt``, ``earned``, ``burned``, ``to_pay``, ``refund``, ``tier``,
``awarded`` (points given beside goods so far), ``badges``, ``member_until``, ``loss`` (what the store stood in for), or
``refused`` with the reason and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from tallystick.core.basket import Assurance, Basket, Line, TaxGroup
from tallystick.core.command import Command, ReturnLine, Spend
from tallystick.core.entry import Entry, EntryKind, Posted, Refused
from tallystick.core.ids import Minor
from tallystick.core.progress import badges_of
from tallystick.core.rules.membership import last_days
from tallystick.service.submission import Answer
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.service.desk import Desk

TAXES = {"food": 120_000, "full": 250_000}

Goods = dict[str, str]
"""Article to price. "2 x shoes" are two pieces for that price together; "bread/food" is taxed as food."""


@dataclass
class Play:
    """A scenario being played: the desk, and what was sent under which name."""

    desk: Desk
    sent: dict[str, Command] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    baskets: dict[str, list[str]] = field(default_factory=dict)

    def send(self, name: str, command: Command, goods: Goods | None = None) -> None:
        (answer,) = self.desk.send(command)
        if name:
            self.sent.setdefault(name, command)
            self.answers.setdefault(name, answer)
            self.baskets.setdefault(name, [_article(text) for text in goods or {}])
        self.last = answer

    last: Answer = field(init=False)


@dataclass(frozen=True)
class Row:
    """One row: what is said, what is done, what must be true."""

    says: str
    do: Callable[[Play], None]
    expected: dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """``must_not`` is what went wrong elsewhere, ``seen_in`` where; ``rows`` show that it does not happen here."""

    must_not: str
    seen_in: str
    rows: tuple[Row, ...]
    rules: dict[str, Any] = field(default_factory=dict)


def play(scenario: Scenario, store: Store) -> None:
    """Play a scenario on a store; at the end the ledger itself must verify."""
    with Desk(store, **scenario.rules) as desk:
        stage = Play(desk)
        for number, row in enumerate(scenario.rows, 1):
            row.do(stage)
            found = {name: _found(stage, name) for name in row.expected}
            assert found == row.expected, f"row {number}: {row.says}"
    report = verify(store)
    assert report.ok, report.first


def has(points: int) -> Row:
    """The member begins with points."""
    return _row(f"has {points} points", lambda p: p.send("", p.desk.adjust(points)), {})


def buys(
    name: str,
    goods: Goods,
    *,
    points: int | None = None,
    up_to: bool = False,
    reward: str = "",
    scan: Assurance = Assurance.DEVICE_CODE,
    currency: str = "EUR",
    **then: Any,
) -> Row:
    """The member buys goods, and may pay a part with points or buy a reward."""
    spend = None if points is None else Spend(points, up_to)
    rewards = (reward,) if reward else ()
    return _row(
        f"buys {goods} with {points or 'no'} points",
        lambda p: p.send(
            name,
            p.desk.sale(goods=_basket(goods, currency), spend=spend, rewards=rewards, assurance=scan),
            goods,
        ),
        then,
    )


def reports(
    name: str,
    goods: Goods,
    *,
    points: int = 0,
    discount: str = "0",
    printed: int = 0,
    rule_set: int = 1,
    **then: Any,
) -> Row:
    """A till reports a sale that it made while the line was down."""
    return _row(
        f"a till reports {goods}, {points} points burned",
        lambda p: p.send(
            name,
            replace(
                p.desk.settle(1, burned=points, discount=_minor(discount), earned=printed, rule_set=rule_set),
                basket=_basket(goods),
            ),
            goods,
        ),
        then,
    )


def brings_back(
    sale: str, *articles: str, pieces: int = 0, amount: str = "", name: str = "", **then: Any
) -> Row:
    """The member brings articles of a sale back: all of each, or some pieces, or for an amount."""

    def do(p: Play) -> None:
        lines = []
        for article in articles:
            number = p.baskets[sale].index(article) + 1
            sold = _lines_of(p.sent[sale])[number - 1].quantity_milli
            quantity = 0 if amount else (1_000 * pieces or sold)
            lines.append(ReturnLine(number, quantity, Minor(_minor(amount)) if amount else Minor(0)))
        p.send(name, p.desk.give_back(p.sent[sale].command_id, *lines))

    return _row(f"brings back {articles} of {sale}", do, then)


def burns(points: int, *, scan: Assurance = Assurance.DEVICE_CODE, **then: Any) -> Row:
    """The member spends points outside a basket."""
    return _row(f"burns {points}", lambda p: p.send("", p.desk.burn(points, assurance=scan)), then)


def holds(name: str, points: int, *, minutes: int = 15, **then: Any) -> Row:
    """A webshop reserves points for a checkout."""
    return _row(f"{points} are held", lambda p: p.send(name, p.desk.hold(points, ttl_s=60 * minutes)), then)


def captures(hold: str, **then: Any) -> Row:
    """The checkout succeeded: the held points are burned."""
    return _row(f"{hold} is captured", lambda p: p.send("", p.desk.capture(p.sent[hold].command_id)), then)


def voids(hold: str, *, name: str = "", **then: Any) -> Row:
    """The checkout failed: the held points are given back."""
    return _row(f"{hold} is voided", lambda p: p.send(name, p.desk.void(p.sent[hold].command_id)), then)


def sent_again(name: str, **then: Any) -> Row:
    """The same command is sent once more, as after a network fault: the first answer must come again."""

    def do(p: Play) -> None:
        p.send("", p.sent[name])
        assert p.last.replayed
        assert p.last.decision == p.answers[name].decision, "the first answer is the answer"

    return _row(f"{name} is sent again", do, then)


def sent_with_other_goods(name: str, goods: Goods, **then: Any) -> Row:
    """The id of an earlier command comes with other content."""

    def do(p: Play) -> None:
        changed: Any = p.sent[name]
        p.send("", replace(changed, basket=_basket(goods)))

    return _row(f"{name} is sent with {goods}", do, then)


def until(text: str, **then: Any) -> Row:
    """Time passes; what falls due happens."""
    return _row(f"it is {text}", lambda p: p.desk.wait_until(text), then)


def publishes(**rules: Any) -> Row:
    """The shop publishes a new version of its rules."""

    def do(p: Play) -> None:
        p.desk.publish(**rules)
        p.desk.book.forget(p.desk.program_id)

    return _row("new rules are published", do, {})


def _row(says: str, do: Callable[[Play], None], then: dict[str, Any]) -> Row:
    return Row(says, do, then)


def _minor(text: str) -> int:
    return int(Decimal(text) * 100)


def _money(minor: int) -> str:
    return f"{Decimal(minor) / 100:.2f}"


def _article(text: str) -> str:
    return text.partition(" x ")[2].partition("/")[0] or text.partition("/")[0]


def _basket(goods: Goods, currency: str = "EUR") -> Basket:
    lines = []
    for text, price in goods.items():
        pieces, times, _ = text.partition(" x ")
        tax = text.partition("/")[2]
        lines.append(
            Line(
                _article(text),
                1_000 * int(pieces if times else 1),
                Minor(_minor(price)),
                tax,
                (_article(text),),
            )
        )
    groups = tuple(
        TaxGroup(code, TAXES[code]) for code in dict.fromkeys(line.tax_code for line in lines) if code
    )
    return Basket(currency, tuple(lines), prices_include_tax=True, tax_groups=groups)


def _lines_of(command: Any) -> tuple[Line, ...]:
    return tuple(command.basket.lines)


def _entry(p: Play) -> Entry:
    assert isinstance(p.last.decision, Posted), p.last.decision
    return p.last.decision.entry


def _refusal(p: Play) -> str:
    decision = p.last.decision
    return decision.reason.name if isinstance(decision, Refused) else "nothing"


_FOUND: dict[str, Callable[[Play], Any]] = {
    "balance": lambda p: p.desk.account().active,
    "pending": lambda p: p.desk.account().pending,
    "held": lambda p: p.desk.account().held,
    "debt": lambda p: p.desk.account().debt,
    "tier": lambda p: p.desk.account().tier.tier_id,
    "lots": lambda p: [
        lot.remaining for lot in p.desk.store.read_lots(p.desk.program_id, p.desk.account().member_id)
    ],
    "entries": lambda p: [entry.kind.name for entry in p.desk.entries()],
    "earned": lambda p: -_entry(p).moves.issued,
    "burned": lambda p: _entry(p).moves.burned,
    "loss": lambda p: _entry(p).shortfall,
    "to_pay": lambda p: _money(_entry(p).detail.payable_minor),
    "off": lambda p: [_money(share.discount_minor) for share in _entry(p).detail.lines],
    "taxes": lambda p: {tax.code: _money(tax.tax_minor) for tax in _entry(p).detail.tax_totals},
    "refund": lambda p: _money(_entry(p).detail.refund_minor),
    "given_back": lambda p: _entry(p).detail.restored_points,
    "refused": _refusal,
    "awarded": lambda p: sum(-e.moves.issued for e in p.desk.entries() if e.kind is EntryKind.AWARD),
    "badges": lambda p: dict(badges_of(p.desk.account().tallies)),
    "member_until": lambda p: {
        membership_id: date.fromordinal(last).isoformat()
        for membership_id, last in last_days(p.desk.account().tallies)
    },
}


def _found(p: Play, name: str) -> Any:
    return _FOUND[name](p)
