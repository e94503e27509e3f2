"""A member locks the points on the phone, and somebody tries to spend them: what happens, wherever that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tallystick.core.ids import CommandId
from tallystick.core.state import MemberStatus
from tallystick.v1 import app_pb2, ledger_pb2, types_pb2
from tallystick_till.errors import SaleRefused
from tests.scenarios.street import Person, Street
from tests.simulation.machine import Machine
from tests.simulation.server import CLUB

LOCKED = "MEMBER_LOCKED"
DONE = "done"


class Counter(NamedTuple):
    """A store with a till, and a member with 1,000 points whom it has a lease of, and who has a voucher."""

    street: Street
    till: Machine
    ann: Person
    voucher: str


def counter(street: Street) -> Counter:
    till, ann = street.till("s1"), street.member(1_000)
    street.lease(till, ann)
    return Counter(street, till, ann, street.voucher(ann, "s1", 100))


def lock(at: Counter, locked: bool = True) -> None:
    request = app_pb2.SetSpendLockRequest(member_id=at.ann.member_id, locked=locked)
    at.street.office("set_spend_lock", request, service="app")


def sells(at: Counter, **how: object) -> str:
    try:
        at.street.sale(at.till, at.ann, **how)  # type: ignore[arg-type]
    except SaleRefused as no:
        return no.reason
    return DONE


def online_till(at: Counter) -> str:
    return sells(at, burn=50)


def offline_till(at: Counter) -> str:
    at.street.sync(at.till)
    at.street.offline(at.till)
    return sells(at, burn=50)


def offline_till_with_the_lease(at: Counter) -> str:
    at.street.sync(at.till)
    at.street.offline(at.till)
    return sells(at, burn=300)


def offline_till_with_a_voucher(at: Counter) -> str:
    at.street.sync(at.till)
    at.street.offline(at.till)
    return sells(at, burn=100, voucher=at.voucher)


def webshop(at: Counter) -> str:
    return DONE if at.street.webshop_burns(at.ann, 50) else LOCKED


def checkout(at: Counter) -> str:
    """A webshop's checkout that reserves points now."""
    decision = hold(at).decision
    if decision.WhichOneof("outcome") == "posted":
        return DONE
    return ledger_pb2.RefusalReason.Name(decision.refused.reason).removeprefix("REFUSAL_REASON_")


def new_voucher(at: Counter) -> str:
    return DONE if at.street.voucher(at.ann, "s1", 50) else LOCKED


def earns(at: Counter) -> str:
    return sells(at)


def earns_offline(at: Counter) -> str:
    at.street.sync(at.till)
    at.street.offline(at.till)
    return sells(at)


def hold(at: Counter) -> ledger_pb2.HoldResponse:
    request = ledger_pb2.HoldRequest(
        command_id=at.street.new_id(),
        member_id=at.ann.member_id,
        ttl_s=900,
        spend=types_pb2.Spend(points=50),
        assurance=types_pb2.ASSURANCE_DEVICE_CODE,
    )
    answer: ledger_pb2.HoldResponse = at.street.office("hold", request)
    return answer


TABLE: tuple[tuple[str, Callable[[Counter], str], str], ...] = (
    ("spends points at a till with a line", online_till, LOCKED),
    ("spends points at a till without a line", offline_till, LOCKED),
    ("spends the store's lease without a line", offline_till_with_the_lease, LOCKED),
    ("spends a voucher without a line", offline_till_with_a_voucher, LOCKED),
    ("spends points in the webshop", webshop, LOCKED),
    ("begins a checkout with points", checkout, LOCKED),
    ("turns points into a voucher", new_voucher, LOCKED),
    ("buys and earns at a till with a line", earns, DONE),
    ("buys and earns at a till without a line", earns_offline, DONE),
)


@pytest.mark.parametrize(("tries", "locked"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_with_locked_points_somebody(street: Street, tries: Callable[[Counter], str], locked: str) -> None:
    at = counter(street)
    lock(at)
    assert tries(at) == locked


@pytest.mark.parametrize("tries", [row[1] for row in TABLE], ids=[row[0] for row in TABLE])
def test_once_the_points_are_unlocked_the_member(street: Street, tries: Callable[[Counter], str]) -> None:
    at = counter(street)
    lock(at)
    street.sync(at.till)
    lock(at, locked=False)
    street.sync(at.till)
    assert tries(at) == DONE


def test_a_checkout_that_was_agreed_before_the_lock_goes_through(street: Street) -> None:
    at = counter(street)
    reserved = CommandId(hold(at).decision.posted.entry.command_id)
    lock(at)
    request = ledger_pb2.CaptureRequest(
        command_id=street.new_id(), member_id=at.ann.member_id, hold_id=reserved
    )
    assert street.office("capture", request).decision.WhichOneof("outcome") == "posted"


def test_what_a_till_sold_before_it_heard_of_the_lock_is_a_fact(street: Street) -> None:
    at = counter(street)
    street.sync(at.till)
    street.offline(at.till)
    lock(at)
    sale = street.sale(at.till, at.ann, burn=50)
    street.online(at.till)
    street.sync(at.till)
    assert street.entry(at.ann, sale).moves.burned == 50
    assert (street.inbox(), street.loss("s1")) == ([], 0)
    assert sells(at, burn=50) == LOCKED


def test_the_store_gives_its_lease_back(street: Street) -> None:
    at = counter(street)
    leased = street.server.account(at.ann.member_id).held
    lock(at)
    street.sync(at.till, leases=True)
    street.sync(at.till, leases=True)
    assert leased == 500
    assert street.server.account(at.ann.member_id).held == 100, "the voucher alone"


def test_a_manager_who_blocks_and_unblocks_leaves_the_lock(street: Street) -> None:
    at = counter(street)
    lock(at)
    members = street.server.gateway.members
    for blocked in (True, False):
        members.set_blocked(CLUB, at.ann.member_id, blocked=blocked)
    assert street.server.account(at.ann.member_id).status is MemberStatus.LOCKED
    assert online_till(at) == LOCKED
