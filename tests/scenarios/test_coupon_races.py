"""One coupon, many who want it at the same moment: on every store, with several lanes, none is used too often."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.command import Command
from tallystick.core.entry import Posted
from tallystick.core.ids import MemberId, Ms
from tallystick.service.coupon_ports import CodeState
from tallystick.service.lane import Lane
from tallystick.storage.open import Store, open_store
from tallystick.storage.verify import verify
from tests.scenarios.test_parallel import at_once
from tests.service.coupons import CouponDesk, told
from tests.service.desk import CLUB
from tests.support.postgres import Database

LANES = 3
MEMBERS = [MemberId(f"0190a000-0000-7000-8000-{number:012x}") for number in range(100, 160)]


@contextmanager
def desks(store: Store, **rules: Any) -> Iterator[list[CouponDesk]]:
    """Open desks with a lane each, as several server processes would have."""
    with ExitStack() as stack:
        opened = [stack.enter_context(CouponDesk(store, **rules)) for _ in range(LANES)]
        opened[0].enrol(*MEMBERS)
        yield opened
    report = verify(store)
    assert report.ok, report.first


def counted(desks: list[CouponDesk], commands: list[Command]) -> Counter[str]:
    return Counter(told(answer) for answer in at_once(desks, commands))


def test_fifty_sales_at_once_use_one_code_once(shared: Store) -> None:
    with desks(shared) as three:
        (code,) = three[0].codes()
        sales: list[Command] = [three[0].buys(code.text, member=member) for member in MEMBERS[:50]]
        assert counted(three, sales) == {"SALE": 1, "COUPON_USED": 49}
        assert counted(three, sales) == {"SALE": 1, "COUPON_USED": 49}, (
            "and however often they are sent again"
        )
        assert three[0].state(code) is CodeState.USED


def test_a_limit_of_20_is_20_when_60_want_it_at_once(shared: Store) -> None:
    coupon = {"id": "first", "kind": "money_off", "amount_minor": 100, "code": "FIRST20", "total": 20}
    with desks(shared, coupons=[coupon]) as three:
        sales: list[Command] = [three[0].buys("first20", member=member) for member in MEMBERS]
        assert counted(three, sales) == {"SALE": 20, "COUPON_USED": 40}
        assert three[0].counted("first")[0] == 20


def test_checkouts_and_sales_that_want_one_code_share_it_with_nobody(shared: Store) -> None:
    with desks(shared) as three:
        (code,) = three[0].codes()
        both: list[Command] = []
        for number, member in enumerate(MEMBERS[:40]):
            desk = three[0]
            both.append(
                desk.holds(code.text, member=member) if number % 2 else desk.buys(code.text, member=member)
            )
        random.Random(3).shuffle(both)
        found = counted(three, both)
        assert found["SALE"] + found["HOLD"] == 1
        assert found["COUPON_USED"] == 39


def test_a_reservation_that_lapses_goes_to_one_of_those_who_wait_for_it(shared: Store) -> None:
    with desks(shared, holds={"late_capture": "if_covered"}) as three:
        desk = three[0]
        (code,) = desk.codes()
        first = MEMBERS[0]
        hold = desk.posted(desk.holds(code.text, member=first, ttl_s=60))
        for each in three:
            each.now = Ms(desk.now + 60_000) if each is not desk else each.now
        desk.now = three[1].now
        capture = desk.capture(hold.command_id, desk.sale(2_000).basket, member=first)
        wants: list[Command] = [desk.buys(code.text, member=member) for member in MEMBERS[1:30]]
        found = counted(three, [*wants[:15], capture, *wants[15:]])
        assert found["SALE"] + found["CAPTURE"] == 1
        assert found["COUPON_USED"] == 29


def test_of_two_servers_with_different_clocks_the_slow_one_cannot_take_what_the_fast_one_gave(
    shared: Store,
) -> None:
    coupon = {"id": "last", "kind": "money_off", "amount_minor": 100, "code": "LAST1", "total": 1}
    with desks(shared, coupons=[coupon]) as three:
        slow, fast, _ = three
        hold = slow.posted(slow.holds("last1", member=MEMBERS[0], ttl_s=60))
        fast.later(60)
        fast.posted(fast.buys("last1", member=MEMBERS[1]))
        slow.later(59)
        late = slow.capture(hold.command_id, slow.sale(2_000).basket, member=MEMBERS[0])
        assert told(slow.send(late)[0]) == "COUPON_USED"
        assert slow.counted("last")[0] == 1


def small_batches(desk: CouponDesk) -> None:
    """Let a desk commit a few commands at a time, so that many transactions meet."""
    desk.close()
    desk.lane = Lane(desk.store, desk.book, now_ms=lambda: desk.now, batch_max=4)


@pytest.fixture
def postgres_store(ledger_database: Database) -> Iterator[Store]:
    opened = open_store(ledger_database.service_url, lanes=4)
    yield opened
    opened.close()


def test_whoever_wants_many_coupons_in_any_order_never_waits_in_a_circle(
    postgres_store: Store, ledger_database: Database
) -> None:
    coupons = [
        {"id": f"c{n}", "kind": "money_off", "amount_minor": 10, "code": f"CODE{n}", "per_member": 0}
        for n in range(6)
    ]
    unique = {"id": "one", "kind": "money_off", "amount_minor": 10, "per_member": 0}
    chance = random.Random(11)
    with desks(postgres_store, coupons=[*coupons, unique]) as three:
        desk = three[0]
        for each in three:
            small_batches(each)
        codes = desk.codes("one", count=600)
        commands: list[Command] = []
        for number in range(600):
            names = [f"code{n}" for n in chance.sample(range(6), 3)] + [chance.choice(codes).text]
            chance.shuffle(names)
            member = chance.choice(MEMBERS[10:])
            sold = desk.buys(*names, member=member)
            commands.append(sold if number % 3 else replace(desk.holds(*names, member=member), ttl_s=1))
        erasing = threading.Thread(target=lambda: [postgres_store.erase(CLUB, one) for one in MEMBERS[:10]])
        ending = threading.Thread(target=lambda: desk.coupons.revoke(CLUB, codes[0].code.batch_id))
        erasing.start()
        answers = at_once(three, commands[:300])
        ending.start()
        answers += at_once(three, commands[300:])
        erasing.join(20)
        ending.join(20)
        uses = sum(
            len(answer.decision.entry.detail.coupons)
            for answer in answers
            if isinstance(answer.decision, Posted) and told(answer) == "SALE"
        )
        assert uses == sum(desk.counted(f"c{n}")[0] for n in range(6)) + desk.counted("one")[0] > 300
    with ledger_database.as_admin() as admin:
        found = admin.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert found == (0,)
