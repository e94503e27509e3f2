"""The code on a pass of a phone wallet: signed by the gateway, verified by a till without a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.service.wallets import SignedCodes
from tallystick_till.types import Identified, NotIdentified
from tests.scenarios.street import Street
from tests.simulation.server import CLUB


def test_a_till_without_a_line_knows_the_code_of_a_pass_and_how_sure_it_is(tmp_path: Path) -> None:
    street = Street(tmp_path)
    till, ann = street.till("s1"), street.member(100)
    member = street.server.gateway.members.get(CLUB, ann.member_id)
    code = SignedCodes(street.server.gateway.codes).code_for(CLUB, member)
    street.sync(till)
    street.offline(till)
    found = till.running.identify(code.text)
    assert isinstance(found, Identified)
    assert (found.member.member_ref, found.member.assurance) == (ann.member_id, 2)
    street.wait(days=15)
    late = till.running.identify(code.text)
    assert isinstance(late, NotIdentified)
    assert late.reason == "EXPIRED"
    street.close()


@pytest.mark.parametrize("digit", [10, 120, -1])
def test_a_code_with_one_digit_changed_is_nobodys(tmp_path: Path, digit: int) -> None:
    street = Street(tmp_path)
    till, ann = street.till("s1"), street.member()
    member = street.server.gateway.members.get(CLUB, ann.member_id)
    text = list(SignedCodes(street.server.gateway.codes).code_for(CLUB, member).text)
    text[digit] = "7" if text[digit] != "7" else "3"
    street.sync(till)
    street.offline(till)
    assert isinstance(till.running.identify("".join(text)), NotIdentified)
    street.close()
