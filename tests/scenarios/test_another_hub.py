"""Another till of a store becomes its hub: on purpose, or because the one that was has died."""

from __future__ import annotations

import pytest

from tallystick_till.errors import SaleRefused
from tests.scenarios.street import Street
from tests.simulation.machine import Machine

LEASE = 400


def change(street: Street, old: Machine, new: Machine) -> None:
    """Start the tills anew: the new one as the hub, the old one with the new one's address."""
    new.hub_machine, old.hub_machine = None, new
    for till in (new, old):
        till.crash()
    street.sync(new, old)


def test_the_till_that_was_the_hub_gives_its_leases_back_and_the_new_one_gets_its_own(street: Street) -> None:
    old = street.till("s1")
    new = street.till("s1", hub=old)
    ann = street.member(1_000)
    assert street.lease(old, ann) == LEASE
    change(street, old, new)
    street.scan(new, ann)
    assert new.leased(ann.member_id) == 0
    street.sync(old, leases=True)
    street.sync(new, leases=True)
    assert (new.leased(ann.member_id), old.leased(ann.member_id)) == (LEASE, LEASE)
    assert new.running.status().till.rivals == old.running.status().till.rivals == ()
    assert street.sale(old, ann, 20_000, burn=1_000).burned_points == 1_000


def test_what_was_burned_of_a_lease_and_not_told_yet_is_not_given_back_with_the_role(street: Street) -> None:
    old = street.till("s1")
    new = street.till("s1", hub=old)
    ann = street.member(1_000)
    assert street.lease(old, ann) == LEASE
    street.offline(new)
    sale = street.sale(new, ann, burn=300)
    change(street, old, new)
    street.sync(old, leases=True)
    assert not street.webshop_burns(ann, 900)
    street.online(new)
    street.sync(new, old, leases=True)
    assert (street.entry(ann, sale).shortfall, street.loss("s1")) == (0, 0)
    street.sync(old, leases=True)
    assert street.webshop_burns(ann, 700)


def test_the_next_hub_knows_the_vouchers_that_were_used_while_another_till_was_it(street: Street) -> None:
    old = street.till("s1")
    new = street.till("s1", hub=old)
    ann = street.member(1_000)
    voucher = street.voucher(ann, "s1", 200)
    street.sync(old, new)
    street.sale(old, ann, voucher=voucher)
    street.sync(old, new)
    for _ in range(4):
        street.wait(minutes=10)
        street.sale(new, street.member(5))
        street.sync(old, new)
    street.offline(old, new)
    new.hub_machine = None
    new.crash(reboot=False)
    with pytest.raises(SaleRefused, match="has been used"):
        street.sale(new, ann, voucher=voucher)
