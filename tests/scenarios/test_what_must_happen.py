"""What happens when the line is down, as a retailer would ask it: one scenario for each promise of the guide."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.core.advice import TillChain, TillStatus, VerdictKind, VerdictReason
from tallystick.core.state import HoldStatus, MemberStatus
from tallystick.security.envelope import RECEIPT, sign_body
from tallystick.service.ports import InboxItem, InboxState
from tallystick.v1 import advice_pb2, store_pb2
from tallystick.wire.advices import id_text, parse_advice
from tallystick_till.errors import SaleRefused
from tallystick_till.ports import GatewayRefused
from tallystick_till.types import SaleDone
from tests.scenarios.street import DAY_MS, Street
from tests.simulation.machine import Machine
from tests.simulation.server import CLUB

FLOOR = 60
"""The floor limit of one sale in the rules of the street."""


def test_the_same_batch_uploaded_twice_counts_once(street: Street) -> None:
    till, ann = street.till("s1"), street.member()
    street.offline(till)
    street.sale(till, ann)
    request = till.running.next_batch()
    assert request is not None
    street.online(till)
    first, again = till.line.push(request), till.line.push(request)
    assert list(first.verdicts) == list(again.verdicts)
    assert (street.balance(ann), len(street.entries(ann))) == (100, 1)


@pytest.mark.parametrize("fault", ["lose_answer", "repeat", "crash_before", "crash_after"])
def test_an_upload_that_breaks_off_anywhere_counts_once(street: Street, fault: str) -> None:
    till, ann = street.till("s1"), street.member()
    street.offline(till)
    sales = [street.sale(till, ann, 1_000) for _ in range(3)]
    street.online(till)
    till.line.weather = type(till.line.weather)(**{fault: 1.0})
    till.sync.push_once()
    till.line.weather = type(till.line.weather)()
    street.sync(till)
    assert (street.balance(ann), till.running.status().queued) == (30, 0)
    assert all(street.entry(ann, sale) for sale in sales)


def test_two_offline_stores_burn_the_leases_of_one_member_and_both_are_honoured(street: Street) -> None:
    one, two, ann = street.till("s1"), street.till("s2"), street.member(1_000)
    assert (street.lease(one, ann), street.lease(two, ann)) == (400, 240)
    street.offline(one, two)
    sales = [street.sale(one, ann, burn=400), street.sale(two, ann, burn=240)]
    street.online(one, two)
    street.sync(one, two)
    assert [street.entry(ann, sale).shortfall for sale in sales] == [0, 0]
    assert street.balance(ann) == 1_000 - 640 + sum(sale.earned_points for sale in sales)


def test_two_offline_stores_without_leases_may_both_burn_and_the_store_pays_what_is_too_much(
    street: Street,
) -> None:
    one, two, ann = street.till("s1"), street.till("s2"), street.member(FLOOR)
    street.offline(one, two)
    street.sale(one, ann, 70, burn=FLOOR)
    street.sale(two, ann, 70, burn=FLOOR)
    street.online(one, two)
    street.sync(one, two)
    assert (street.balance(ann), street.loss("s1"), street.loss("s2")) == (0, 0, FLOOR)


def test_above_its_floor_limit_a_till_burns_nothing_and_still_earns(street: Street) -> None:
    till, ann = street.till("s1"), street.member(1_000)
    street.offline(till)
    with pytest.raises(SaleRefused, match="ABOVE_FLOOR"):
        street.sale(till, ann, burn=FLOOR + 1)
    assert street.sale(till, ann).earned_points == 100


def test_a_return_that_arrives_before_its_sale_waits_for_it(street: Street) -> None:
    one, two, ann = street.till("s1"), street.till("s1"), street.member()
    street.offline(one)
    sale = street.sale(one, ann)
    street.give_back(two, sale)
    street.sync(two)
    (item,) = street.inbox()
    assert (item.verdict.kind, item.verdict.reasons) == (
        VerdictKind.PARKED,
        (VerdictReason.SALE_UNKNOWN,),
    )
    street.online(one)
    street.sync(one)
    street.server.post_parked()
    assert (street.balance(ann), street.inbox()) == (0, [])
    assert [entry.kind.name for entry in street.entries(ann)] == ["SALE", "RETURN"]


def test_a_member_who_was_erased_meanwhile_leaves_the_sale_and_no_person(street: Street) -> None:
    till, ann = street.till("s1"), street.member()
    street.offline(till)
    sale = street.sale(till, ann)
    street.server.store.erase(CLUB, ann.member_id)
    street.online(till)
    street.sync(till)
    assert street.entry(ann, sale).active_after == 100
    assert street.server.account(ann.member_id).status is MemberStatus.ERASED
    known = till.snapshot.member(ann.member_id)
    assert known is None or known.status == 2
    with pytest.raises(AssertionError, match="UNKNOWN"):
        street.scan(till, ann)


def test_a_sale_is_judged_by_the_rules_that_the_till_had(street: Street) -> None:
    till, ann = street.till("s1"), street.member()
    street.offline(till)
    sale = street.sale(till, ann)
    double = {"rules": [{"id": "base", "kind": "per_amount", "points": 2, "per_minor": 100}]}
    street.server.publish({**street.rules, "earning": double})
    street.online(till)
    street.sync(till)
    entry = street.entry(ann, sale)
    assert (-entry.moves.issued, entry.rule_set, street.inbox()) == (100, 1, [])
    assert street.sale(till, ann).earned_points == 200


def test_a_difference_is_posted_told_and_listed(tmp_path: Path) -> None:
    gold = {"id": "gold", "kind": "multiply", "by": "2", "tier": "gold"}
    base = {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}
    levels = [{"id": "base", "from": 0}, {"id": "gold", "from": 5_000}]
    tiers = {"basis": "spend", "period": "calendar_year", "levels": levels}
    street = Street(tmp_path, earning={"rules": [base, gold]}, tiers=tiers)
    one, two, ann = street.till("s1"), street.till("s2"), street.member()
    street.offline(one)
    first = street.sale(one, ann, 10_000)
    street.sale(two, ann, 10_000)
    street.sync(two)
    street.online(one)
    street.sync(one)
    (item,) = street.inbox()
    assert (item.verdict.kind, item.verdict.reasons) == (
        VerdictKind.ADJUSTED,
        (VerdictReason.POINTS_DIFFER,),
    )
    assert (first.earned_points, item.verdict.earned_points) == (100, 200)
    assert one.running.status().attention.adjusted == 1
    one.running.mark_seen(one.running.queue(1)[0].advice_id)
    assert one.sync.seen_once()
    assert ([], [item.item_id]) == (street.inbox(), [seen.item_id for seen in street.inbox(InboxState.SEEN)])
    assert street.books_are_right()
    street.close()


def test_leased_points_do_not_expire_before_the_store_has_told_what_it_burned(tmp_path: Path) -> None:
    street = Street(tmp_path, expiry={"kind": "months", "months": 1})
    till, ann = street.till("s1"), street.member()
    street.sale(till, ann, 100_000)
    street.sync(till)
    street.wait(days=30)
    street.sync(till)
    assert street.lease(till, ann) == 400
    street.offline(till)
    sale = street.sale(till, ann, 500, burn=300)
    street.wait(days=4)
    street.online(till)
    street.sync(till)
    assert street.entry(ann, sale).shortfall == 0
    assert street.books_are_right()
    street.close()


def test_a_stolen_till_is_shut_out_and_loses_at_most_its_lease(street: Street) -> None:
    till, other, ann = street.till("s1"), street.till("s2"), street.member(1_000)
    lease = street.lease(till, ann)
    street.offline(till)
    sale = street.sale(till, ann, burn=lease)
    street.server.gateway.enrolment.revoke(CLUB, till.till_id)
    street.online(till)
    upload = till.running.next_batch()
    assert upload is not None
    with pytest.raises(GatewayRefused, match="revoked"):
        till.line.push(upload)
    found = store_pb2.RecoverAdvicesRequest(advices=[_signed(till)])
    response = street.office("recover_advices", found, service="store")
    assert [verdict.kind for verdict in response.verdicts] == [VerdictKind.QUARANTINED]
    assert [entry.kind.name for entry in street.entries(ann)] == ["ADJUST", "LEASE"]
    assert sale.burned_points == lease
    street.wait(days=10)
    assert street.scan(other, ann).member.points == 1_000, "the lease went back after its grace"


def _signed(till: Machine) -> advice_pb2.SignedAdvice:
    row = till.db.one("SELECT raw FROM advice ORDER BY seq LIMIT 1")
    assert row is not None
    raw = bytes(row[0])
    return advice_pb2.SignedAdvice(advice=raw, signature=sign_body(till.key, RECEIPT, raw))


def test_after_thirty_days_away_a_till_has_earned_all_and_burned_only_what_it_might(street: Street) -> None:
    till, ann = street.till("s1"), street.member(1_000)
    lease = street.lease(till, ann)
    street.offline(till)
    street.wait(days=1)
    in_time = street.sale(till, ann, burn=lease)
    street.wait(days=2)
    with pytest.raises(SaleRefused, match="ABOVE_FLOOR"):
        street.sale(till, ann, burn=lease)
    by_floor = street.sale(till, ann, burn=FLOOR)
    with pytest.raises(SaleRefused, match="ABOVE_FLOOR"):
        street.sale(till, ann, burn=FLOOR)
    earned = [street.sale(till, ann).earned_points for _ in range(5)]
    street.wait(days=28)
    with pytest.raises(SaleRefused):
        street.sale(till, ann, burn=1)
    earned.append(street.sale(till, ann).earned_points)
    street.online(till)
    street.sync(till)
    assert till.running.status().queued == 0
    assert sum(earned) == 600
    total = in_time.earned_points + by_floor.earned_points + sum(earned)
    assert street.balance(ann) == 1_000 + total - lease - FLOOR
    assert street.loss("s1") == 0


def test_a_clock_three_days_off_is_noted_and_orders_nothing(street: Street) -> None:
    till, ann = street.till("s1"), street.member()
    street.offline(till)
    till.clock.skew_ms = 3 * DAY_MS
    till.crash(reboot=True)
    sale = street.sale(till, ann)
    street.online(till)
    street.sync(till)
    entry = street.entry(ann, sale)
    assert entry.origin.occurred_ms <= street.time.now_ms
    verdict = till.db.one("SELECT verdict FROM advice WHERE advice_id = ?", sale.sale_id)
    assert verdict is not None
    told = advice_pb2.Verdict.FromString(bytes(verdict[0]))
    assert list(told.reasons) == [advice_pb2.VERDICT_REASON_CLOCK]
    assert told.kind == advice_pb2.VERDICT_KIND_POSTED


def test_a_till_whose_clock_was_years_ahead_is_as_any_other_when_it_knows_the_time(street: Street) -> None:
    till, ann = street.till("s1"), street.member(1_000)
    street.offline(till)
    till.clock.skew_ms = 3_650 * DAY_MS
    till.crash(reboot=True)
    ahead = street.sale(till, ann)
    till.clock.skew_ms = 0
    street.online(till)
    street.sync(till, leases=True)
    later = street.sale(till, street.member())
    assert [view.sale_id for view in till.running.recent(5)] == [later.sale_id, ahead.sale_id]
    street.wait(days=60)
    for _ in range(3):
        street.sync(till, leases=True)
    assert till.leased(ann.member_id) == 0, "nobody has seen the member for two months"
    assert street.lease(till, ann) > 0


def test_after_a_restart_without_the_gateway_a_till_does_not_trust_its_clock_with_a_burn(
    street: Street,
) -> None:
    till, ann = street.till("s1"), street.member(1_000)
    street.lease(till, ann)
    street.offline(till)
    till.crash(reboot=True)
    with pytest.raises(SaleRefused, match="CLOCK_UNTRUSTED"):
        street.sale(till, ann, burn=10)
    assert street.sale(till, ann).earned_points == 100


def test_a_till_restored_from_a_backup_is_fenced_and_the_ledger_is_safe(street: Street) -> None:
    till, ann = street.till("s1"), street.member(1_000)
    lease = street.lease(till, ann)
    till.copy_disk(street.root / "backup")
    street.offline(till)
    street.sale(till, ann, burn=lease)
    street.online(till)
    street.sync(till)
    till.restore_disk(street.root / "backup")
    street.sync(till)
    street.offline(till)
    again = street.sale(till, ann)
    street.online(till)
    street.sync(till)
    street.sync(till)
    chain = {one.till_id: one for one in street.server.store.read_tills(CLUB, store_id="")}[till.till_id]
    assert (chain.fences, chain.status) == (1, TillStatus.TRUSTED)
    (item,) = street.inbox()
    assert (item.verdict.kind, item.verdict.reasons) == (VerdictKind.QUARANTINED, (VerdictReason.FORKED,))
    sold = street.sale(till, ann)
    street.sync(till)
    assert street.entry(ann, sold).active_after > 0, "in its new epoch it sells as before"
    with street.server.store.snapshot(CLUB) as snapshot:
        held = [hold for _, hold in snapshot.holds()]
    assert all(hold.used <= hold.points for hold in held)
    assert again.earned_points == 100


def chain_of(street: Street, till: Machine) -> TillChain:
    chains = street.server.store.read_tills(CLUB, store_id="")
    return next(one for one in chains if one.till_id == till.till_id)


def test_a_till_that_forks_three_times_is_suspended_until_a_person_reinstates_it(street: Street) -> None:
    till, ann = street.till("s1"), street.member(1_000)
    for number in range(3):
        twin = street.root / f"twin-{number}"
        till.copy_disk(twin)
        street.sale(till, ann)
        street.sync(till)
        till.restore_disk(twin)
        street.sync(till)
        street.sale(till, ann)
        street.sync(till)
        street.sync(till)
    assert chain_of(street, till).status is TillStatus.SUSPENDED
    street.sync(till)
    assert (till.running.status().burn.reason, till.running.status().sell.allowed) == ("TILL_SUSPENDED", True)
    kept = street.sale(till, ann)
    street.sync(till)
    assert till.running.status().queued == 1, "what it sells meanwhile waits"
    street.office("reinstate_till", store_pb2.ReinstateTillRequest(till_id=till.till_id), service="store")
    street.wait(minutes=5)
    street.sync(till)
    street.sync(till)
    assert chain_of(street, till).status is TillStatus.TRUSTED
    assert till.running.status().queued == 0
    (item,) = [one for one in street.inbox() if _holds(one, kept)]
    assert item.verdict.reasons == (VerdictReason.FENCED,), "for a person to let it count after all"
    later = street.sale(till, ann)
    street.sync(till)
    assert street.entry(ann, later).active_after > 1_000


def _holds(item: InboxItem, sale: SaleDone) -> bool:
    return id_text(parse_advice(item.raw).advice_id) == sale.sale_id


def test_a_recalled_lease_comes_back_so_that_the_member_can_spend_elsewhere(street: Street) -> None:
    till, ann = street.till("s1"), street.member(1_000)
    street.lease(till, ann)
    assert not street.webshop_burns(ann, 900)
    street.sync(till, leases=True)
    street.sync(till, leases=True)
    assert street.webshop_burns(ann, 900)


def test_a_voucher_counts_once_in_its_store_and_nowhere_else(street: Street) -> None:
    hub, ann = street.till("s1"), street.member(1_000)
    second, other = street.till("s1", hub=hub), street.till("s2")
    code = street.voucher(ann, "s1", 300)
    street.sync(hub, second, other)
    street.offline(hub, second, other)
    with pytest.raises(SaleRefused):
        street.sale(other, ann, voucher=code)
    assert street.sale(second, ann, voucher=code).burned_points == 300
    with pytest.raises(SaleRefused):
        street.sale(hub, ann, voucher=code)
    street.online(hub, second, other)
    street.sync(hub, second, other)
    assert street.loss("s1") == 0


def test_a_person_can_let_a_quarantined_sale_count_after_all(street: Street) -> None:
    till, ann = street.till("s1"), street.member()
    till.copy_disk(street.root / "backup")
    street.sale(till, ann)
    street.sync(till)
    till.restore_disk(street.root / "backup")
    street.offline(till)
    street.sale(till, ann)
    street.online(till)
    street.sync(till)
    (item,) = street.inbox()
    request = store_pb2.ResolveInboxItemRequest(item_id=item.item_id, action=store_pb2.INBOX_ACTION_POST)
    street.office("resolve_inbox_item", request, service="store")
    assert (street.balance(ann), street.inbox()) == (200, [])
    assert len(street.inbox(InboxState.POSTED)) == 1


def test_what_was_leased_and_never_burned_goes_back(street: Street) -> None:
    till, ann = street.till("s1"), street.member(1_000)
    street.lease(till, ann)
    street.offline(till)
    street.wait(days=10)
    other = street.till("s2")
    assert street.sale(other, ann, burn=1_000).burned_points == 1_000
    with street.server.store.snapshot(CLUB) as snapshot:
        assert [hold.status for _, hold in snapshot.holds()] == [HoldStatus.EXPIRED]
