"""A member's phone at the counter, from the gateway's credential to a till whose line is down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.core.basket import Basket, Line
from tallystick.core.command import Spend
from tallystick.core.ids import Minor
from tallystick.security.code import code_to_digits, sign_code
from tallystick.security.keys import generate_signing_key
from tallystick.service.enrolment import canonical_jwk
from tallystick_till.errors import SaleRefused
from tallystick_till.types import Identified, NotIdentified, SaleAsk, SaleDone
from tests.scenarios.street import Person, Street
from tests.simulation.machine import Machine
from tests.simulation.server import CLUB
from tests.simulation.town import RULES


class Phone:
    """A member's phone: it keeps its key, and draws codes whether or not there is a line."""

    def __init__(self, street: Street, owner: Person) -> None:
        self.street, self.owner, self.codes = street, owner, 0
        self.key = generate_signing_key()
        issued = street.server.gateway.codes.register(
            CLUB, owner.member_id, canonical_jwk(self.key.verify_key), label="Phone"
        )
        self.credential = issued.credential
        street.sync(*street.tills)

    def code(self) -> str:
        self.codes += 1
        now_s = self.street.time.now_ms // 1000
        cti = self.codes.to_bytes(4, "big")
        return code_to_digits(sign_code(self.key, self.credential, program_id=CLUB, issued_s=now_s, cti=cti))


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path)
    yield made
    made.close()


@pytest.fixture
def careful_street(tmp_path: Path) -> Iterator[Street]:
    """A street whose rules burn nothing for who only types a number, as rules do unless they say otherwise."""
    made = Street(tmp_path, burning={**RULES["burning"], "assurance_caps": {"typed": 0}})
    yield made
    made.close()


def scan(till: Machine, code: str) -> int | str:
    """How sure a till is of a code, or why it does not take it."""
    found = till.running.identify(code)
    if isinstance(found, NotIdentified):
        return found.reason
    assert isinstance(found, Identified)
    return found.member.assurance


def burn(till: Machine, person: Person, points: int) -> SaleDone:
    basket = Basket("EUR", (Line("thing", 1000, Minor(10_000)),))
    ask = SaleAsk(person.member_id, basket, spend=Spend(points), sale_id=till.new_id())
    return till.running.sale(ask)


def test_a_till_without_a_line_knows_a_phone_that_it_has_never_seen(street: Street) -> None:
    till = street.till("north")
    anna = street.member(5_000)
    phone = Phone(street, anna)
    street.wait(days=1)
    street.sync(till)
    street.lease(till, anna)
    street.offline(till)
    digits = phone.code()
    assert scan(till, digits) == 4
    assert scan(till, digits) == "REPLAYED"
    assert burn(till, anna, 100).burned_points == 100
    street.online(till)
    street.sync(till)
    assert street.inbox() == []
    assert street.loss("north") == 0
    assert street.books_are_right()


def test_a_phone_that_is_a_day_old_burns_and_a_new_one_looks(careful_street: Street) -> None:
    street = careful_street
    till = street.till("north")
    anna = street.member(5_000)
    phone = Phone(street, anna)
    street.lease(till, anna)
    street.offline(till)
    assert scan(till, phone.code()) == 0
    with pytest.raises(SaleRefused) as refused:
        burn(till, anna, 100)
    assert refused.value.reason == "ABOVE_ASSURANCE_CAP"
    street.wait(days=1)
    assert scan(till, phone.code()) == 4
    assert burn(till, anna, 100).burned_points == 100


def test_a_stolen_phone_is_out_at_every_till_that_has_heard_of_it(street: Street) -> None:
    near, far = street.till("north"), street.till("south")
    anna = street.member(5_000)
    stolen, kept = Phone(street, anna), Phone(street, anna)
    street.wait(days=1)
    street.sync(near, far)
    street.offline(far)
    street.server.gateway.codes.revoke(CLUB, anna.member_id, stolen.key.kid)
    street.sync(near)
    assert scan(near, stolen.code()) == "REVOKED"
    street.offline(near)
    assert scan(near, stolen.code()) == "REVOKED"
    assert scan(near, kept.code()) == 4
    assert scan(far, stolen.code()) == 4
    street.online(far)
    street.sync(far)
    street.offline(far)
    assert scan(far, stolen.code()) == "REVOKED"


def test_a_code_counts_once_over_all_tills_with_a_line(street: Street) -> None:
    near, far = street.till("north"), street.till("south")
    phone = Phone(street, street.member(500))
    street.wait(days=1)
    street.sync(near, far)
    digits = phone.code()
    assert scan(near, digits) == 4
    assert scan(far, digits) == "REPLAYED"


def test_a_till_that_lost_its_power_does_not_burn_by_code_before_it_knows_the_time(street: Street) -> None:
    till = street.till("north")
    anna = street.member(5_000)
    phone = Phone(street, anna)
    street.wait(days=1)
    street.sync(till)
    street.offline(till)
    assert scan(till, phone.code()) == 4
    till.crash()
    till.boot()
    assert scan(till, phone.code()) in (0, "CLOCK")
    street.online(till)
    street.sync(till)
    assert scan(till, phone.code()) == 4


def test_an_erased_member_is_nobody_at_every_till(street: Street) -> None:
    till = street.till("north")
    anna = street.member(500)
    phone = Phone(street, anna)
    street.wait(days=1)
    street.server.gateway.members.erase(CLUB, anna.member_id)
    street.sync(till)
    street.offline(till)
    assert scan(till, phone.code()) == "UNKNOWN"


def test_a_pass_serves_offline_and_its_code_ends(street: Street) -> None:
    till = street.till("north")
    anna = street.member(5_000)
    issued = street.server.gateway.codes.server_code(CLUB, anna.member_id)
    street.sync(till)
    street.offline(till)
    assert [scan(till, issued.digits) for _ in range(2)] == [2, 2]
    street.wait(days=14)
    assert scan(till, issued.digits) == "EXPIRED"
