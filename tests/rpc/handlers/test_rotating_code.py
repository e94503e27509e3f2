"""A pass whose wallet adds a password that rotates: the gateway takes each once, and for more than a still one."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.core.ids import MemberId
from tallystick.security.totp import PERIOD_S, totp
from tallystick.service.directory import Member
from tallystick.service.wallet_store import Wallet
from tallystick.service.wallets import SignedCodes
from tallystick.v1 import identity_pb2, types_pb2
from tests.rpc.handlers.world import SHOP, World, everything_stored

REASON = "IDENTITY_REFUSAL_REASON_"


class Pass:
    """A pass in Google Wallet, and what a phone shows of it."""

    def __init__(self, world: World, member_id: str = "") -> None:
        self.world = world
        self.member_id = MemberId(member_id or world.enrol())
        self.serial = world.gateway.wallets.issue(SHOP, self.member_id, Wallet.GOOGLE)[0].serial
        codes = SignedCodes(world.gateway.codes)
        self.code = codes.rotating_code_for(SHOP, self._member(), self.serial)

    def _member(self) -> Member:
        return self.world.gateway.members.get(SHOP, self.member_id)

    def shown(self, late_s: int = 0, *, key: bytes = b"") -> str:
        at_s = self.world.now_ms // 1000 - late_s
        at_s -= at_s % PERIOD_S
        return f"{self.code.text}{at_s}{totp(key or self.code.totp_key, at_s)}"


@pytest.fixture
def card(world: World) -> Pass:
    return Pass(world)


def identified(world: World, text: str) -> Any:
    request = identity_pb2.IdentifyRequest(text=text, channel=types_pb2.CHANNEL_STORE)
    return world.send(request)


def refusal(world: World, text: str) -> str:
    answer = identified(world, text)
    assert answer.HasField("not_identified"), answer
    reason = identity_pb2.IdentityRefusalReason.Name(answer.not_identified.reason)
    return reason.removeprefix(REASON)


def test_the_code_on_the_phone_is_the_member_with_the_level_of_a_rotating_code(
    world: World, card: Pass
) -> None:
    found = identified(world, card.shown()).identified
    assert found.member_id == card.member_id
    assert found.assurance == types_pb2.ASSURANCE_ROTATING_CODE


def test_a_password_counts_once_in_its_period(world: World, card: Pass) -> None:
    assert identified(world, card.shown()).HasField("identified")
    assert refusal(world, card.shown()) == "REPLAYED"
    world.now_ms += PERIOD_S * 1000
    assert identified(world, card.shown()).HasField("identified")


@pytest.mark.parametrize(("late_s", "reason"), [(30, ""), (-30, ""), (60, "EXPIRED"), (-60, "CLOCK")])
def test_a_phone_may_be_one_period_off(world: World, card: Pass, late_s: int, reason: str) -> None:
    if reason:
        assert refusal(world, card.shown(late_s)) == reason
    else:
        assert identified(world, card.shown(late_s)).HasField("identified")


def test_a_wrong_password_is_not_genuine_and_uses_nothing_up(world: World, card: Pass) -> None:
    right = card.shown()
    wrong = right[:-1] + str((int(right[-1]) + 1) % 10)
    assert refusal(world, wrong) == "BAD_SIGNATURE"
    assert identified(world, right).HasField("identified")


def test_the_password_of_another_members_pass_does_not_count(world: World, card: Pass) -> None:
    other = Pass(world)
    assert refusal(world, card.shown(key=other.code.totp_key)) == "BAD_SIGNATURE"


def test_each_pass_of_a_member_has_a_password_of_its_own(world: World, card: Pass) -> None:
    second = Pass(world, card.member_id)
    assert second.code.totp_key != card.code.totp_key
    for one in (card, second):
        found = identified(world, one.shown()).identified
        assert found.member_id == card.member_id


def test_the_signed_part_alone_does_not_count(world: World, card: Pass) -> None:
    assert refusal(world, card.code.text) == "FORMAT"


def test_a_password_makes_nothing_better_of_a_code_that_stands_still(world: World, card: Pass) -> None:
    still = world.gateway.codes.server_code(SHOP, card.member_id).digits
    assert identified(world, still).identified.assurance == types_pb2.ASSURANCE_SERVER_CODE
    assert refusal(world, card.shown().replace(card.code.text, still)) == "FORMAT"


def test_a_pass_of_a_member_who_is_gone_is_nobodys(world: World, card: Pass) -> None:
    text = card.shown()
    world.gateway.members.erase(SHOP, card.member_id)
    assert refusal(world, text) == "UNKNOWN"


def test_keys_of_passes_follow_from_the_gateways_and_are_kept_nowhere(world: World, card: Pass) -> None:
    assert len(card.code.totp_key) == 20
    assert world.keys.totp_key(SHOP, card.serial) == card.code.totp_key
    assert world.keys.totp_key("other", card.serial) != card.code.totp_key
    stored = everything_stored(world.store)
    assert card.serial in stored
    assert card.code.totp_key.hex() not in stored
