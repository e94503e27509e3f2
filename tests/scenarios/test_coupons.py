"""Coupons as a retailer would tell them: who buys what with which code, and what is then to be paid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from tallystick.core.command import Command, PlaceHold, ReturnLine, Spend
from tallystick.core.entry import Entry, Posted, Refused
from tallystick.service.submission import Answer
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.scenarios.table import Goods, _article, _basket
from tests.service.coupons import CouponDesk
from tests.service.desk import ANN, BEN

WHO = {"Ann": ANN, "Ben": BEN}
SUMMER: dict[str, Any] = {"id": "summer", "kind": "money_off", "amount_minor": 500, "code": "SUMMER-25"}
TENTH: dict[str, Any] = {"id": "tenth", "kind": "percent_off", "percent": 10, "code": "TENTH"}
GIFT: dict[str, Any] = {"id": "gift", "kind": "money_off", "amount_minor": 1_000, "minimum_minor": 3_000}
COFFEE: dict[str, Any] = {"id": "coffee", "kind": "free_item", "category": "coffee", "code": "COFFEE"}
CENT = {"points": 1, "minor": 1, "assurance_caps": {"typed": "unlimited"}}


@dataclass
class Stage:
    """The desk, the codes that were handed out under names, and what was sent under which."""

    desk: CouponDesk
    codes: dict[str, str] = field(default_factory=dict)
    sent: dict[str, Command] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)

    def send(self, name: str, command: Command) -> None:
        (answer,) = self.desk.send(command)
        if name:
            self.sent.setdefault(name, command)
            self.answers.setdefault(name, answer)
        self.last = answer

    def refs(self, codes: str) -> Any:
        names = [code.strip() for code in codes.split(",")] if codes else []
        return self.desk.refs(*[self.codes.get(name, name) for name in names])

    last: Answer = field(init=False)


@dataclass(frozen=True)
class Row:
    """One row: what is done, what must be true."""

    says: str
    do: Callable[[Stage], None]
    expected: dict[str, Any]


@dataclass(frozen=True)
class Story:
    """``must`` is what the rows show."""

    must: str
    rows: tuple[Row, ...]
    coupons: tuple[dict[str, Any], ...] = (SUMMER, TENTH, GIFT, COFFEE)
    rules: dict[str, Any] = field(default_factory=dict)


def gets(who: str, name: str, coupon: str = "gift") -> Row:
    """A member is sent a unique code, which the story calls by a name."""

    def do(stage: Stage) -> None:
        stage.codes[name] = stage.desk.codes(coupon, of=[WHO[who]])[0].text

    return Row(f"{who} gets {name}", do, {})


def flyer(name: str, coupon: str = "gift") -> Row:
    """A unique code is printed on a flyer: whoever finds it has it."""

    def do(stage: Stage) -> None:
        stage.codes[name] = stage.desk.codes(coupon)[0].text

    return Row(f"a flyer has {name}", do, {})


def has(who: str, points: int) -> Row:
    def do(stage: Stage) -> None:
        stage.send("", replace(stage.desk.adjust(points), member_id=WHO[who]))

    return Row(f"{who} has {points} points", do, {})


def buys(who: str, goods: Goods, codes: str = "", *, name: str = "", points: int = 0, **then: Any) -> Row:
    def do(stage: Stage) -> None:
        sale = stage.desk.sale(goods=_basket(goods), member=WHO[who], spend=points or None)
        stage.send(name, replace(sale, coupons=stage.refs(codes)))

    return Row(f"{who} buys {goods} with {codes or 'no code'}", do, then)


def checks_out(
    who: str, goods: Goods, codes: str, *, name: str, points: int = 0, minutes: int = 15, **then: Any
) -> Row:
    """A webshop holds points and coupons for a checkout."""

    def do(stage: Stage) -> None:
        desk = stage.desk
        spend = Spend(points) if points else None
        hold = PlaceHold(desk.new_id(), WHO[who], desk.origin, 60 * minutes, spend, (), _basket(goods))
        sure = desk.sale(1).assurance
        stage.send(name, replace(hold, coupons=stage.refs(codes), assurance=sure))

    return Row(f"{who} checks out {goods} with {codes}", do, then)


def pays(who: str, hold: str, goods: Goods, *, name: str = "", **then: Any) -> Row:
    """The payment came: the hold is captured with what was sold."""

    def do(stage: Stage) -> None:
        held = stage.sent[hold].command_id
        stage.send(name, stage.desk.capture(held, _basket(goods), member=WHO[who]))

    return Row(f"{who} pays {hold}", do, then)


def cancels(who: str, hold: str, **then: Any) -> Row:
    def do(stage: Stage) -> None:
        stage.send("", stage.desk.void(stage.sent[hold].command_id, member=WHO[who]))

    return Row(f"{who} cancels {hold}", do, then)


def brings_back(who: str, sale: str, *articles: str, **then: Any) -> Row:
    def do(stage: Stage) -> None:
        lines = stage.sent[sale].basket.lines  # type: ignore[union-attr]
        wanted = [_article(text) for text in articles]
        back = [
            ReturnLine(number, line.quantity_milli)
            for number, line in enumerate(lines, 1)
            if line.sku in wanted
        ]
        stage.send("", stage.desk.give_back(stage.sent[sale].command_id, *back, member=WHO[who]))

    return Row(f"{who} brings back {articles} of {sale}", do, then)


def rung_up_wrong(who: str, sale: str, **then: Any) -> Row:
    def do(stage: Stage) -> None:
        stage.send("", stage.desk.reverse(stage.sent[sale].command_id, member=WHO[who]))

    return Row(f"{sale} was a mistake", do, then)


def sent_again(name: str, **then: Any) -> Row:
    def do(stage: Stage) -> None:
        stage.send("", stage.sent[name])
        assert stage.last.replayed
        assert stage.last.decision == stage.answers[name].decision

    return Row(f"{name} is sent again", do, then)


def after(minutes: int) -> Row:
    return Row(f"{minutes} minutes later", lambda stage: stage.desk.later(60 * minutes), {})


SHOES, KIT = {"shoes": "80.00"}, {"shoes": "80.00", "socks": "20.00"}
STORIES = (
    Story(
        "a shared code takes its amount off, once for each member",
        (
            buys("Ann", SHOES, "summer 25", to_pay="75.00", earned=75),
            buys("Ann", SHOES, "SUMMER-25", no="COUPON_USED"),
            buys("Ben", SHOES, "Summer25", to_pay="75.00"),
            buys("Ben", SHOES, to_pay="80.00"),
        ),
    ),
    Story(
        "the second customer at the till does not get the last of a hundred a second time",
        (
            buys("Ann", SHOES, "FIRST", name="sale", to_pay="70.00"),
            buys("Ben", SHOES, "FIRST", no="COUPON_USED"),
            sent_again("sale", to_pay="70.00"),
        ),
        coupons=({"id": "first", "kind": "money_off", "amount_minor": 1_000, "code": "FIRST", "total": 1},),
    ),
    Story(
        "a retry after a network fault uses nothing twice",
        (
            flyer("code"),
            buys("Ann", SHOES, "code", name="sale", to_pay="70.00"),
            sent_again("sale", to_pay="70.00"),
            sent_again("sale", to_pay="70.00"),
            buys("Ben", SHOES, "code", no="COUPON_USED"),
        ),
    ),
    Story(
        "coupons come first, then points, and only what was paid earns",
        (
            has("Ann", 1_000),
            gets("Ann", "present"),
            buys("Ann", KIT, "present, TENTH", points=500, off="24.00", to_pay="76.00", earned=76),
        ),
        rules={"burning": CENT},
    ),
    Story(
        "a present for one member is of no use to another",
        (
            gets("Ann", "present"),
            buys("Ben", SHOES, "present", no="COUPON_UNKNOWN"),
            buys("Ann", {"socks": "29.99"}, "present", no="COUPON_NOT_APPLICABLE"),
            buys("Ann", SHOES, "present", to_pay="70.00"),
        ),
    ),
    Story(
        "the free coffee is the dearest one, and one piece of it",
        (
            buys("Ann", {"2 x coffee": "9.00", "cake": "4.00"}, "COFFEE", to_pay="8.50"),
            buys("Ben", {"cake": "4.00"}, "COFFEE", no="COUPON_NOT_APPLICABLE"),
        ),
    ),
    Story(
        "a checkout keeps its coupon from everybody until it is paid",
        (
            flyer("code"),
            checks_out("Ann", SHOES, "code", name="cart", to_pay="70.00"),
            buys("Ben", SHOES, "code", no="COUPON_USED"),
            buys("Ann", SHOES, "code", no="COUPON_USED"),
            pays("Ann", "cart", SHOES, to_pay="70.00", earned=70),
            buys("Ben", SHOES, "code", no="COUPON_USED"),
        ),
    ),
    Story(
        "a cancelled checkout gives the coupon back at once, an abandoned one when its time is over",
        (
            flyer("code"),
            checks_out("Ann", SHOES, "code", name="cart"),
            cancels("Ann", "cart"),
            checks_out("Ben", SHOES, "code", name="other cart", minutes=15),
            after(14),
            buys("Ann", SHOES, "code", no="COUPON_USED"),
            after(1),
            buys("Ann", SHOES, "code", to_pay="70.00"),
            pays("Ben", "other cart", SHOES, no="HOLD_EXPIRED"),
        ),
    ),
    Story(
        "points and coupon of one checkout are taken together or not at all",
        (
            has("Ann", 1_000),
            checks_out("Ann", SHOES, "SUMMER-25", points=1_000, name="cart", to_pay="65.00"),
            pays("Ann", "cart", SHOES, to_pay="65.00", earned=65),
            checks_out("Ann", SHOES, "TENTH", points=1_000, name="too much", no="INSUFFICIENT_POINTS"),
            buys("Ann", SHOES, "TENTH", to_pay="72.00"),
        ),
        rules={"burning": CENT},
    ),
    Story(
        "what comes back is paid back as it was paid, and the code stays used",
        (
            gets("Ann", "present"),
            buys("Ann", KIT, "present", name="sale", to_pay="90.00"),
            brings_back("Ann", "sale", "socks", refund="18.00"),
            brings_back("Ann", "sale", "shoes", refund="72.00"),
            buys("Ann", SHOES, "present", no="COUPON_USED"),
        ),
    ),
    Story(
        "a sale rung up by mistake gives the code back",
        (
            gets("Ann", "present"),
            buys("Ann", KIT, "present", name="wrong", to_pay="90.00"),
            rung_up_wrong("Ann", "wrong"),
            buys("Ann", SHOES, "present", to_pay="70.00"),
        ),
    ),
    Story(
        "an exclusive coupon goes with no other",
        (
            buys("Ann", SHOES, "ONLY, TENTH", no="COUPON_NOT_APPLICABLE"),
            buys("Ann", SHOES, "TENTH, ONLY", no="COUPON_NOT_APPLICABLE"),
            buys("Ann", SHOES, "ONLY", to_pay="40.00"),
        ),
        coupons=(
            TENTH,
            {"id": "only", "kind": "percent_off", "percent": 50, "code": "ONLY", "combine": "exclusive"},
        ),
    ),
    Story(
        "a word that nobody made is no coupon, and the sale without it goes on",
        (
            buys("Ann", SHOES, "SUMMER-26", no="COUPON_UNKNOWN"),
            buys("Ann", SHOES, to_pay="80.00"),
        ),
    ),
)


def entry_of(stage: Stage) -> Entry:
    assert isinstance(stage.last.decision, Posted), stage.last.decision
    return stage.last.decision.entry


def money(minor: int) -> str:
    return f"{Decimal(minor) / 100:.2f}"


FOUND: dict[str, Callable[[Stage], Any]] = {
    "to_pay": lambda stage: money(entry_of(stage).detail.payable_minor),
    "off": lambda stage: money(sum(share.discount_minor for share in entry_of(stage).detail.lines)),
    "earned": lambda stage: -entry_of(stage).moves.issued,
    "refund": lambda stage: money(entry_of(stage).detail.refund_minor),
    "no": lambda stage: (
        stage.last.decision.reason.name if isinstance(stage.last.decision, Refused) else "nothing"
    ),
}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.must)
def test_coupons_do_what_a_retailer_expects(story: Story, store: Store) -> None:
    with CouponDesk(store, coupons=story.coupons, **story.rules) as desk:
        stage = Stage(desk)
        for number, row in enumerate(story.rows, 1):
            row.do(stage)
            found = {name: FOUND[name](stage) for name in row.expected}
            assert found == row.expected, f"row {number}: {row.says}"
    report = verify(store)
    assert report.ok, report.first
