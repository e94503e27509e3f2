"""A household, and one of its people blocked or with the points locked: nothing of the others' is spent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.ids import MemberId
from tallystick.security.keys import generate_signing_key
from tallystick.service.enrolment import canonical_jwk
from tallystick.service.household_store import Pool
from tallystick.service.rounds import come_round
from tallystick.service.sharing_rounds import sharing_round
from tallystick.storage.verify import verify
from tallystick.v1 import app_pb2, ledger_pb2, member_pb2
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    DAY_MS,
    OTHER,
    RULES,
    SHOP,
    Caller,
    World,
    message_of,
    new_id,
    origin_of,
)

OFFICE = Caller(ADMIN, store_id="")
SHARING = """\
transfers: {to: anyone}
charity:
  projects:
    - {id: trees, name: Trees}
partners:
  - {program: other, name: Other, give_points: 1, get_points: 1}
"""
FOR_OTHERS = ("TransferPoints", "ConvertPoints", "DonatePoints")


class Home:
    """The household of Ann, who brought 300 points; Ben, who has 200, has asked to join."""

    def __init__(self, path: Path) -> None:
        self.world = World(path, rules=RULES + SHARING)
        self.world.publish(RULES + SHARING.replace("other", "shop"), OTHER)
        self.ann, self.ben = self.world.enrol(), self.world.enrol()
        self.world.sell(self.ann, 30_000)
        self.world.sell(self.ben, 20_000)
        self.id = new_id()
        self.office("CreateHousehold", household_id=self.id, member_id=self.ann)
        self.asks(self.ben)

    def office(self, method: str, **body: Any) -> Any:
        return self.world.send(message_of(method, body), OFFICE)

    def asks(self, who: str) -> None:
        code = self.office("InviteToHousehold", member_id=self.ann).code
        self.office("AskToJoinHousehold", member_id=who, code=code)

    def joins(self, who: str) -> None:
        self.office("ConfirmHouseholdMember", member_id=self.ann, person_id=who)

    def bars(self, who: str, how: str, *, ends: bool = False) -> None:
        """Block a member or lock the member's points, or end that."""
        if how == "locked":
            self.world.send(app_pb2.SetSpendLockRequest(member_id=who, locked=not ends), OFFICE)
        elif ends:
            self.world.send(member_pb2.UnblockMemberRequest(member_id=who), OFFICE)
        else:
            self.world.send(member_pb2.BlockMemberRequest(member_id=who), OFFICE)

    def points(self, member: str) -> int:
        return int(self.world.balance(member, OFFICE).active)

    def entries(self, member: str) -> int:
        return self.world.store.read_accounts(SHOP, [MemberId(member)])[MemberId(member)].seq

    def pools(self, pool: Pool) -> None:
        sent = self.world.gateway.transfers.pool(SHOP, pool, deadline=time.monotonic() + 10)
        self.world.loop.run_until_complete(sent)

    def later(self, after_ms: int = 60_000) -> None:
        """Let the round come by after a while."""
        self.world.now_ms += after_ms
        gateway = self.world.gateway
        work = come_round(sharing_round(gateway.transfers), gateway.store, gateway.pool)
        self.world.loop.run_until_complete(work)

    def phone(self, who: str) -> Caller:
        """The phone of a member, with which the member joined."""
        jwk = canonical_jwk(generate_signing_key().verify_key)
        device = self.world.gateway.codes.register(SHOP, MemberId(who), jwk, label="Phone").device
        return Caller(APP, store_id="", member_id=who, device_id=device.kid)

    def moving(self, method: str, account: str) -> Any:
        """A request that takes 40 points from an account."""
        body: dict[str, Any] = {"member_id": account, "points": 40, "origin": origin_of()}
        if method == "DonatePoints":
            return message_of(method, {**body, "command_id": new_id(), "project_id": "trees"})
        program = OTHER if method == "ConvertPoints" else SHOP
        there = Caller(ADMIN, program_id=program, store_id="")
        receiver = self.world.enrol(caller=Caller(program_id=program))
        to = {"transfer_id": new_id(), "to_card": self.world.number_of(receiver, there)}
        return message_of(method, {**body, **to, **({"partner_id": OTHER} if program == OTHER else {})})


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    report = verify(made.world.store, SHOP)
    assert report.ok, report.first
    made.world.close()


def outcome(answer: Any) -> str:
    decision = answer.decision
    if decision.WhichOneof("outcome") == "posted":
        return "posted"
    return ledger_pb2.RefusalReason.Name(decision.refused.reason).removeprefix("REFUSAL_REASON_")


@pytest.mark.parametrize("method", FOR_OTHERS)
@pytest.mark.parametrize(("how", "refusal"), [("blocked", "MEMBER_BLOCKED"), ("locked", "MEMBER_LOCKED")])
def test_the_phone_of_somebody_who_is_barred_moves_no_family_points(
    home: Home, method: str, how: str, refusal: str
) -> None:
    home.joins(home.ben)
    home.world.sell(home.ben, 10_000)
    phone = home.phone(home.ben)
    home.bars(home.ben, how)
    own, families = (home.world.send(home.moving(method, account), phone) for account in (home.ben, home.id))
    assert outcome(families) == outcome(own) == refusal
    assert home.points(home.id) == 500
    home.bars(home.ben, how, ends=True)
    assert outcome(home.world.send(home.moving(method, home.id), phone)) == "posted"
    assert home.points(home.id) == 460


@pytest.mark.parametrize("method", FOR_OTHERS)
def test_what_a_phone_moved_before_is_answered_again_when_its_member_is_blocked(
    home: Home, method: str
) -> None:
    home.joins(home.ben)
    phone, request = home.phone(home.ben), home.moving(method, home.id)
    home.world.send(request, phone)
    home.bars(home.ben, "blocked")
    again = home.world.send(request, phone)
    assert (outcome(again), again.decision.replayed) == ("posted", True)
    assert home.points(home.id) == 460


@pytest.mark.parametrize("how", ["blocked", "locked"])
def test_a_head_who_is_barred_lets_nobody_in_to_spend_the_points(home: Home, how: str) -> None:
    home.bars(home.ann, how)
    request = message_of("ConfirmHouseholdMember", {"member_id": home.ann, "person_id": home.ben})
    refused = home.world.refused(request, home.phone(home.ann))
    assert (refused.reason, refused.metadata["why"]) == ("HOUSEHOLD_CONFLICT", "not_open")
    home.bars(home.ann, how, ends=True)
    home.joins(home.ben)


@pytest.mark.parametrize("barred", ["head", "household"])
def test_the_last_one_takes_the_points_along_once_both_accounts_are_open(home: Home, barred: str) -> None:
    who = home.ann if barred == "head" else home.id
    home.bars(who, "blocked")
    leave = message_of("LeaveHousehold", {"member_id": home.ann, "person_id": home.ann})
    refused = home.world.refused(leave, OFFICE)
    assert (refused.reason, refused.metadata["why"]) == ("HOUSEHOLD_CONFLICT", "not_open")
    home.bars(who, "blocked", ends=True)
    home.world.send(leave, OFFICE)
    assert (home.points(home.ann), home.points(home.id)) == (300, 0)


def test_points_of_somebody_who_joins_while_barred_follow_afterwards(home: Home) -> None:
    home.bars(home.ben, "locked")
    home.joins(home.ben)
    home.later()
    assert (home.points(home.ben), home.points(home.id)) == (200, 300)
    home.bars(home.ben, "locked", ends=True)
    home.later()
    assert (home.points(home.ben), home.points(home.id)) == (0, 500)


def test_points_that_were_refused_on_their_way_are_asked_for_anew_on_another_day(home: Home) -> None:
    home.bars(home.ben, "locked")
    home.joins(home.ben)
    home.pools(Pool(MemberId(home.ben), MemberId(home.id), 200, home.entries(home.ben)))
    home.bars(home.ben, "locked", ends=True)
    home.later(DAY_MS)
    assert (home.points(home.ben), home.points(home.id)) == (0, 500)


def test_points_wait_where_they_are_while_the_household_is_blocked(home: Home) -> None:
    home.joins(home.ben)
    home.bars(home.id, "blocked")
    home.world.sell(home.ben, 10_000)
    entries = home.entries(home.ben)
    home.later()
    assert (home.points(home.ben), home.entries(home.ben)) == (100, entries)
    home.bars(home.id, "blocked", ends=True)
    home.later()
    assert (home.points(home.ben), home.points(home.id)) == (0, 600)


def test_points_of_somebody_who_joins_a_blocked_household_wait_too(home: Home) -> None:
    home.bars(home.id, "blocked")
    entries = home.entries(home.ben)
    home.joins(home.ben)
    assert (home.points(home.ben), home.entries(home.ben)) == (200, entries)
