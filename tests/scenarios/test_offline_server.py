"""What must happen when tills come back: the gateway's side of it, on every store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tallystick.core.entry import Posted
from tallystick.core.ids import MemberId, Ms
from tallystick.service.errors import Unauthenticated
from tallystick.service.gateway import open_gateway
from tallystick.service.ports import InboxState
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.service.paper_till import (
    DAY_MS,
    HOUR_MS,
    NEVER,
    RULES,
    SHOP,
    PaperTill,
    Shop,
    floor_right,
    id_of,
    kinds_of,
    lease_right,
    new_id,
    voucher_right,
)


@pytest.fixture
def shop(shared: Store, tmp_path: Path) -> Iterator[Shop]:
    """A shop on each store in turn; at the end its books must balance."""
    made = Shop(tmp_path, shared)
    yield made
    made.close()
    report = verify(shared)
    assert report.ok, report.problems


def test_an_acknowledgement_that_was_lost_doubles_nothing(shop: Shop) -> None:
    till, ann = shop.till(), shop.member(points=100)
    raws = [
        till.sale(ann, 1_000),
        till.sale(ann, 5_000, rights=(floor_right(20),)),
        till.sale(ann, 1_000, earned=99),
        till.give_back(ann, new_id()),
    ]
    request = till.batch(*raws)
    first = shop.push(till, request=request)
    before = shop.active(ann)
    for _ in range(3):
        assert shop.push(till, request=request).verdicts == first.verdicts
    assert kinds_of(first.verdicts) == [
        "POSTED",
        "POSTED",
        "ADJUSTED POINTS_DIFFER",
        "PARKED SALE_UNKNOWN",
    ]
    assert shop.active(ann) == before
    assert len(shop.inbox()) == 2


def test_a_gateway_that_dies_after_half_a_batch_posts_the_other_half_when_it_is_sent_again(
    shop: Shop,
) -> None:
    till, ann = shop.till(), shop.member()
    raws = [till.sale(ann, 1_000) for _ in range(4)]
    prepared = shop.gateway.advices.prepare(SHOP, till.device_id, till.batch(*raws), deadline=NEVER)
    shop.lane(prepared.submissions[:2])
    answer = shop.push(till, *raws)
    assert kinds_of(answer.verdicts) == ["POSTED"] * 4
    assert shop.active(ann) == 40


def test_one_batch_that_reaches_two_gateways_at_once_has_one_effect(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    request = till.batch(*[till.sale(ann, 1_000) for _ in range(20)])
    keys = shop.gateway.keys()
    second = open_gateway(
        shop.store,
        keys=lambda: keys,
        issuer="https://tallystick.test",
        database="test",
        now_ms=lambda: Ms(shop.now_ms),
    )
    try:

        def push(number: int) -> list[str]:
            gateway = (shop.gateway, second)[number % 2]
            prepared = gateway.advices.prepare(SHOP, till.device_id, request, deadline=NEVER)
            answers = [one.result(20) for one in gateway.lane.submit_all(prepared.submissions)]
            return kinds_of(gateway.advices.conclude(prepared, answers, {}).verdicts)

        with ThreadPoolExecutor(4) as threads:
            told = list(threads.map(push, range(8)))
    finally:
        second.close()
    assert all(one == ["POSTED"] * 20 for one in told)
    assert shop.active(ann) == 200
    assert shop.chain(till).acked_seq == 20


def test_two_stores_that_burn_the_same_points_are_paid_by_the_store_within_its_floor(shop: Shop) -> None:
    here, there, ann = shop.till(), shop.till(store_id="s2"), shop.member(points=20)
    shop.push(here, here.sale(ann, 5_000, rights=(floor_right(20),)))
    spent = shop.active(ann)
    answer = shop.push(there, there.sale(ann, 100, rights=(floor_right(20),), earned=0))
    assert kinds_of(answer.verdicts) == ["POSTED"]
    assert shop.active(ann) == spent - 20
    last = shop.push(there, there.sale(ann, 100, rights=(floor_right(100),), earned=0))
    assert last.verdicts[0].shortfall_points == 80
    assert shop.gateway.exposures.of_store(SHOP, "s2").lost_points == 80


def test_leases_of_two_stores_are_both_honoured_in_full(shop: Shop) -> None:
    here, there, ann = shop.till(), shop.till(store_id="s2"), shop.member(points=100)
    one, two = shop.lease(here, ann), shop.lease(there, ann)
    assert isinstance(shop.burn(ann, 25).decision, Posted)
    right = lease_right(one.lease_id, 50)
    assert kinds_of(shop.push(here, here.sale(ann, 9_000, rights=(right,))).verdicts) == ["POSTED"]
    right = lease_right(two.lease_id, 25)
    assert kinds_of(shop.push(there, there.sale(ann, 9_000, rights=(right,))).verdicts) == ["POSTED"]
    for store_id in ("s1", "s2"):
        assert shop.gateway.exposures.of_store(SHOP, store_id).lost_points == 0


def test_a_till_that_lies_about_its_lease_costs_its_store_not_the_member(shop: Shop) -> None:
    till, other, ann = shop.till(), shop.till(store_id="s2"), shop.member(points=1_000)
    lease_id = shop.lease(till, ann).lease_id
    answer = shop.push(other, other.sale(ann, 90_000, rights=(lease_right(lease_id, 50),)))
    assert answer.verdicts[0].shortfall_points == 50
    answer = shop.push(till, till.sale(ann, 90_000, rights=(lease_right(lease_id, 900),)))
    assert answer.verdicts[0].shortfall_points == 850
    assert shop.held(ann) == 0


def test_a_voucher_is_used_once_whatever_two_tills_say(shop: Shop) -> None:
    first, second, ann = shop.till(), shop.till(label="Second"), shop.member(points=100)
    voucher_id = new_id()
    shop.voucher(ann, points=60, voucher_id=voucher_id)
    right = voucher_right(voucher_id, 60)
    shop.push(first, first.sale(ann, 9_000, rights=(right,)))
    answer = shop.push(second, second.sale(ann, 9_000, rights=(right,)))
    assert answer.verdicts[0].shortfall_points == 60


def test_a_return_that_came_first_waits_for_its_sale(shop: Shop) -> None:
    first, second, ann = shop.till(), shop.till(label="Second"), shop.member()
    sale = first.sale(ann, 1_000)
    assert kinds_of(shop.push(second, second.give_back(ann, id_of(sale))).verdicts) == ["PARKED SALE_UNKNOWN"]
    shop.push(first, sale)
    shop.post_parked()
    assert shop.kinds(ann) == ["SALE", "RETURN"]
    assert shop.inbox() == []


def test_a_member_who_was_erased_meanwhile_leaves_facts_and_no_person(shop: Shop) -> None:
    till, ann = shop.till(), shop.member(text="ann@example.org")
    raw = till.sale(ann, 1_000)
    shop.gateway.members.erase(SHOP, MemberId(ann))
    assert kinds_of(shop.push(till, raw).verdicts) == ["POSTED"]
    assert shop.store.identifiers(SHOP, MemberId(ann)) == []


def test_rules_that_changed_meanwhile_do_not_change_a_receipt(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    raw = till.sale(ann, 1_000)
    shop.publish(RULES.replace("points: 1, per_minor: 100", "points: 3, per_minor: 100"))
    assert kinds_of(shop.push(till, raw).verdicts) == ["POSTED"]
    assert shop.active(ann) == 10


def test_leased_points_do_not_expire_under_a_till(shop: Shop) -> None:
    shop.publish(RULES.replace("burning:\n", "expiry: {kind: months, months: 1}\nburning:\n", 1))
    till, ann = shop.till(), shop.member()
    shop.push(till, till.sale(ann, 10_000, rule_set=2, rule_set_sha256=b""))
    shop.wait(30 * DAY_MS)
    lease_id = shop.lease(till, ann).lease_id
    till.now_ms = shop.now_ms + 30 * HOUR_MS
    shop.wait(2 * DAY_MS)
    raw = till.sale(ann, 9_000, rights=(lease_right(lease_id, 50),), rule_set=2, rule_set_sha256=b"")
    assert kinds_of(shop.push(till, raw).verdicts) == ["POSTED"]
    assert shop.gateway.exposures.of_store(SHOP, "s1").lost_points == 0


def test_a_stolen_till_gets_nothing_in_and_its_sales_wait_for_a_person(shop: Shop) -> None:
    till, ann = shop.till(), shop.member(points=100)
    lease_id = shop.lease(till, ann).lease_id
    raw = till.sale(ann, 9_000, rights=(lease_right(lease_id, 50),))
    shop.gateway.enrolment.revoke(SHOP, till.device_id)
    with pytest.raises(Unauthenticated):
        shop.push(till, raw)
    assert kinds_of(shop.recover(till.receipt(raw))) == ["QUARANTINED TILL_REVOKED"]
    assert shop.kinds(ann) == ["ADJUST", "LEASE"]


def test_a_till_that_was_away_for_a_month_loses_no_sale(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    shop.push(till)
    raws = []
    for day in range(30):
        till.now_ms = shop.now_ms + day * DAY_MS
        raws.append(till.sale(ann, 1_000))
    shop.wait(30 * DAY_MS)
    assert kinds_of(shop.push(till, *raws).verdicts) == ["POSTED"] * 30
    assert [entry.origin.occurred_ms for entry in shop.entries(ann)][::29] == [
        shop.now_ms - 30 * DAY_MS,
        shop.now_ms - DAY_MS,
    ]


def test_a_clock_that_is_three_days_off_is_noted_and_orders_nothing(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    shop.push(till)
    till.now_ms = shop.now_ms + 3 * DAY_MS
    assert kinds_of(shop.push(till, till.sale(ann, 1_000)).verdicts) == ["POSTED CLOCK"]
    assert shop.entries(ann)[0].origin.occurred_ms == shop.now_ms


def test_a_till_from_a_backup_is_fenced_and_nothing_is_posted_twice(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    shop.push(till, *[till.sale(ann, 1_000) for _ in range(3)])
    backup: PaperTill = till.restored(to=1)
    answer = shop.push(backup, backup.written[0], backup.sale(ann, 1_000))
    assert kinds_of(answer.verdicts) == ["POSTED", "QUARANTINED FORKED"]
    assert shop.active(ann) == 30
    backup.begin(answer.epoch)
    shop.push(backup, backup.sale(ann, 1_000))
    assert shop.active(ann) == 40
    assert len(shop.inbox()) == 1


def test_a_person_who_joined_offline_keeps_the_points_when_the_number_was_taken(shop: Shop) -> None:
    shop.member(text="+46701234567")
    till, newcomer = shop.till(), new_id()
    raws = [till.sign_up(shop.gateway, newcomer, "+46701234567"), till.sale(newcomer, 1_000)]
    assert kinds_of(shop.push(till, *raws).verdicts) == ["ADJUSTED IDENTIFIER_TAKEN", "POSTED"]
    assert shop.active(newcomer) == 10


def test_what_a_person_dismissed_stays_dismissed(shop: Shop) -> None:
    till, ann = shop.till(), shop.member()
    raw = till.give_back(ann, new_id())
    shop.push(till, raw)
    (item,) = shop.inbox()
    shop.gateway.inbox.dismiss(SHOP, item.item_id, store_id="", resolved_by="boss", note="rung up twice")
    assert kinds_of(shop.push(till, raw).verdicts) == ["PARKED SALE_UNKNOWN"]
    assert [one.state for one in shop.inbox(InboxState.DISMISSED)] == [InboxState.DISMISSED]
    assert shop.inbox() == []
