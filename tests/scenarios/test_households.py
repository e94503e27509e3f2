"""A family with one account: whoever shows a card earns and burns for all, also while a store's line is down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.basket import Basket, Line
from tallystick.core.command import Spend
from tallystick.core.ids import MemberId, Minor, ProgramId
from tallystick.service.errors import StoreUnavailable
from tallystick.service.households import INVITATION_TTL_MS, PEOPLE_MAX
from tallystick.service.rounds import come_round, expiry_round
from tallystick.service.sharing_rounds import sharing_round
from tallystick.service.transfer_store import Transfer
from tallystick.v1 import identity_pb2, ledger_pb2, options_pb2, types_pb2
from tallystick.v1 import sharing_pb2 as pb
from tallystick_till.ports import GatewayRefused
from tallystick_till.types import SaleAsk, SaleDone
from tests.scenarios.street import Person, Street
from tests.simulation.server import CLUB
from tests.simulation.town import RULES

HEAD, PERSON, ASKING = pb.HOUSEHOLD_ROLE_HEAD, pb.HOUSEHOLD_ROLE_PERSON, pb.HOUSEHOLD_ROLE_ASKING


class Family:
    """Ann with 300 points and Ben with 200, who may come to share one account; a store with a till."""

    def __init__(self, street: Street) -> None:
        self.street = street
        self.till = street.till("s1")
        self.ann, self.ben = street.member(300), street.member(200)
        self.home = MemberId(street.new_id())

    def ask(self, method: str, request: Any) -> Any:
        return self.street.office(method, request, service="sharing")

    def refused(self, method: str, request: Any) -> tuple[str, str]:
        with pytest.raises(GatewayRefused) as caught:
            self.ask(method, request)
        return caught.value.reason, caught.value.details.get("why", "")

    def found(self) -> pb.Household:
        request = pb.CreateHouseholdRequest(household_id=self.home, member_id=self.ann.member_id)
        household: pb.Household = self.ask("create_household", request).household
        return household

    def code(self) -> str:
        invite = pb.InviteToHouseholdRequest(member_id=self.ann.member_id)
        return str(self.ask("invite_to_household", invite).code)

    def wants(self, person: Person, code: str) -> pb.Household:
        request = pb.AskToJoinHouseholdRequest(member_id=person.member_id, code=code)
        household: pb.Household = self.ask("ask_to_join_household", request).household
        return household

    def confirm(self, person: Person, head: Person | None = None) -> pb.ConfirmHouseholdMemberRequest:
        by = (head or self.ann).member_id
        return pb.ConfirmHouseholdMemberRequest(member_id=by, person_id=person.member_id)

    def together(self, *people: Person) -> None:
        """Let Ann found the household, and Ben (or others) join it."""
        self.found()
        for person in people or (self.ben,):
            self.wants(person, self.code())
            self.ask("confirm_household_member", self.confirm(person))
        self.street.sync(self.till)

    def leaves_before_its_last_sale_is_told(self) -> int:
        """Let both leave, Ann last, while a till without a line keeps a sale of Ben's; return what that earned."""
        self.together()
        self.street.offline(self.till)
        earned = int(self.sale(self.ben).earned_points)
        self.ask("leave_household", self.leave(self.ben))
        self.ask("leave_household", self.leave(self.ann))
        return earned

    def leave(self, person: Person, *, by: Person | None = None) -> pb.LeaveHouseholdRequest:
        who = (by or person).member_id
        return pb.LeaveHouseholdRequest(member_id=who, person_id=person.member_id)

    def seen_by(self, person: Person) -> pb.Household:
        request = pb.GetHouseholdRequest(member_id=person.member_id)
        household: pb.Household = self.ask("get_household", request).household
        return household

    def points(self, member_id: str) -> int:
        return self.street.server.account(MemberId(member_id)).active

    def sale(self, person: Person, amount: int = 10_000, *, burn: int = 0) -> SaleDone:
        found = self.street.scan(self.till, person)
        return self.till.running.sale(
            SaleAsk(
                MemberId(found.member.member_ref),
                Basket("EUR", (Line("thing", 4000, Minor(amount)),)),
                spend=Spend(burn) if burn else None,
                sale_id=self.till.new_id(),
            )
        )

    def identified(self, person: Person) -> identity_pb2.Identification:
        request = identity_pb2.IdentifyRequest(text=person.number, channel=types_pb2.CHANNEL_STORE)
        answer: identity_pb2.IdentifyResponse = self.street.server.call(
            "identity", "identify", request, device_id="t", store_id="s1", role=options_pb2.ROLE_TILL
        )
        return answer.identified

    def round(self) -> None:
        gateway = self.street.server.gateway
        work = come_round(sharing_round(gateway.transfers), gateway.store, gateway.pool)
        self.street.server.run(work)

    def due(self) -> None:
        """Post what time has made due."""
        gateway = self.street.server.gateway
        due = expiry_round(gateway.store, gateway.pool, gateway.lane, now_ms=gateway.now_ms)
        self.street.server.run(come_round(due, gateway.store, gateway.pool))


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    street = Street(tmp_path)
    made = Family(street)
    yield made
    assert street.books_are_right()
    street.close()


def test_joining_moves_the_points_of_each_to_the_one_account(family: Family) -> None:
    household = family.found()
    assert (household.household_id, household.balance.active) == (family.home, 300)
    asked = family.wants(family.ben, family.code())
    assert not asked.HasField("balance"), "nothing is shown to somebody who only asks"
    assert family.points(family.ben.member_id) == 200
    joined = family.ask("confirm_household_member", family.confirm(family.ben)).household
    assert joined.balance.active == 500
    assert [(one.member_id, one.role) for one in joined.people] == [
        (family.ann.member_id, HEAD),
        (family.ben.member_id, PERSON),
    ]
    assert family.points(family.ann.member_id) == family.points(family.ben.member_id) == 0


def test_whoever_shows_a_card_is_the_household_and_it_is_told_who(family: Family) -> None:
    family.together()
    found = family.identified(family.ben)
    assert (found.member_id, found.presented_by) == (family.home, family.ben.member_id)
    assert found.balance.active == 500


def test_one_earns_and_another_burns_more_than_any_of_them_had(family: Family) -> None:
    family.together()
    earned = family.sale(family.ann, 10_000).earned_points
    family.street.sync(family.till)
    spent = family.sale(family.ben, 100_000, burn=450)
    assert spent.burned_points == 450
    assert family.points(family.home) == 500 + earned + spent.earned_points - 450


def test_a_till_without_a_line_knows_the_household_by_every_card(family: Family) -> None:
    family.together()
    family.street.offline(family.till)
    done = family.sale(family.ben, 10_000)
    assert family.street.scan(family.till, family.ann).member.member_ref == family.home
    family.street.online(family.till)
    family.street.sync(family.till)
    assert family.points(family.home) == 500 + done.earned_points


def test_a_store_gets_one_lease_of_the_household_that_each_of_them_may_use(family: Family) -> None:
    family.together()
    family.street.scan(family.till, family.ben)
    family.street.sync(family.till, leases=True)
    assert family.till.leased(family.home) > 0
    family.street.offline(family.till)
    family.sale(family.ann, 100_000, burn=family.till.leased(family.home))
    family.street.online(family.till)
    family.street.sync(family.till)


def test_a_till_that_has_not_heard_yet_serves_the_person_and_the_points_follow(family: Family) -> None:
    family.street.offline(family.till)
    family.found()
    family.wants(family.ben, family.code())
    family.ask("confirm_household_member", family.confirm(family.ben))
    done = family.sale(family.ben, 10_000)
    family.street.online(family.till)
    family.street.sync(family.till)
    assert family.points(family.ben.member_id) == done.earned_points
    family.round()
    assert family.points(family.ben.member_id) == 0
    assert family.points(family.home) == 500 + done.earned_points


def test_a_webshop_that_posts_to_the_person_brings_the_points_to_the_household_all_the_same(
    family: Family,
) -> None:
    family.together()
    earn = ledger_pb2.EarnRequest(
        command_id=family.street.new_id(),
        member_id=family.ben.member_id,
        points=40,
        action_id="review",
        assurance=types_pb2.ASSURANCE_TYPED,
        origin=types_pb2.Origin(channel=types_pb2.CHANNEL_WEBSHOP),
    )
    family.street.office("earn", earn)
    family.round()
    family.round()
    assert family.points(family.home) == 540


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("a fault")])
def test_points_that_cannot_be_moved_keep_no_others_waiting(
    family: Family, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    family.together()
    first, second = sorted((family.ann.member_id, family.ben.member_id))
    for member_id in (first, second):
        family.street.office(
            "adjust",
            ledger_pb2.AdjustRequest(
                command_id=family.street.new_id(), member_id=member_id, points=10, reason="late"
            ),
        )
    store = family.street.server.gateway.store
    add = store.add_transfer

    def fails_for_the_first(program_id: ProgramId, transfer: Transfer) -> Transfer:
        if transfer.from_member_id == first:
            raise error
        return add(program_id, transfer)

    with monkeypatch.context() as patched:
        patched.setattr(store, "add_transfer", fails_for_the_first)
        family.round()
    assert (family.points(first), family.points(second), family.points(family.home)) == (10, 0, 510)
    family.round()
    assert (family.points(first), family.points(family.home)) == (0, 520)


def test_somebody_who_leaves_scans_for_oneself_again_and_the_points_stay(family: Family) -> None:
    family.together()
    family.ask("leave_household", family.leave(family.ben))
    family.street.sync(family.till)
    family.street.offline(family.till)
    assert family.street.scan(family.till, family.ben).member.member_ref == family.ben.member_id
    family.street.online(family.till)
    family.street.sync(family.till)
    assert (family.points(family.ben.member_id), family.points(family.home)) == (0, 500)
    assert not family.seen_by(family.ben).household_id


def test_the_last_one_takes_the_points_along(family: Family) -> None:
    family.together()
    why = ("HOUSEHOLD_CONFLICT", "head_of_others")
    assert family.refused("leave_household", family.leave(family.ann)) == why
    family.ask("leave_household", family.leave(family.ben, by=family.ann))
    family.ask("leave_household", family.leave(family.ann))
    assert (family.points(family.ann.member_id), family.points(family.home)) == (500, 0)


def test_what_a_till_reports_after_the_last_one_has_left_follows_that_person(family: Family) -> None:
    earned = family.leaves_before_its_last_sale_is_told()
    family.street.online(family.till)
    family.street.sync(family.till)
    assert family.points(family.home) == earned > 0
    family.round()
    assert (family.points(family.ann.member_id), family.points(family.home)) == (500 + earned, 0)


def test_late_points_go_on_to_the_household_that_the_last_one_has_joined_since(family: Family) -> None:
    earned = family.leaves_before_its_last_sale_is_told()
    left, family.home = family.home, MemberId(family.street.new_id())
    family.found()
    family.street.online(family.till)
    family.street.sync(family.till)
    family.round()
    family.round()
    assert (family.points(left), family.points(family.home)) == (0, 500 + earned)


def test_the_last_one_stays_until_pending_points_are_there_to_take_along(tmp_path: Path) -> None:
    street = Street(tmp_path, earning={**RULES["earning"], "pending_days": 14})
    family = Family(street)
    family.found()
    street.sync(family.till)
    earned = family.sale(family.ann).earned_points
    street.sync(family.till)
    leave = family.leave(family.ann)
    assert family.refused("leave_household", leave) == ("HOUSEHOLD_CONFLICT", "points_waiting")
    assert family.points(family.home) == 300, "nothing was taken along yet"
    street.wait(days=15)
    family.due()
    family.ask("leave_household", leave)
    assert (family.points(family.ann.member_id), family.points(family.home)) == (300 + earned, 0)
    assert street.books_are_right()
    street.close()


def test_the_last_one_stays_until_stores_have_given_back_what_they_hold(family: Family) -> None:
    family.found()
    family.street.sync(family.till)
    family.street.scan(family.till, family.ann)
    family.street.sync(family.till, leases=True)
    leave = family.leave(family.ann)
    assert family.refused("leave_household", leave) == ("HOUSEHOLD_CONFLICT", "points_waiting")
    family.street.sync(family.till, leases=True)
    family.ask("leave_household", leave)
    assert (family.points(family.ann.member_id), family.points(family.home)) == (300, 0)


def test_a_stolen_card_that_is_blocked_leads_to_no_family_points(family: Family) -> None:
    family.together()
    family.street.server.gateway.members.set_blocked(CLUB, family.ben.member_id, blocked=True)
    family.street.sync(family.till)
    found = family.identified(family.ben)
    assert (found.member_id, found.presented_by) == (family.ben.member_id, "")
    assert family.street.scan(family.till, family.ben).member.member_ref == family.ben.member_id


def test_an_erased_person_is_gone_from_the_household_and_its_points_are_not(family: Family) -> None:
    family.together()
    family.street.server.gateway.members.erase(CLUB, family.ann.member_id)
    people = family.seen_by(family.ben).people
    assert [(one.member_id, one.role) for one in people] == [(family.ben.member_id, HEAD)]
    assert family.points(family.home) == 500


def test_an_invitation_is_over_after_a_quarter_of_an_hour(family: Family) -> None:
    family.found()
    code = family.code()
    family.street.time.pass_(INVITATION_TTL_MS)
    request = pb.AskToJoinHouseholdRequest(member_id=family.ben.member_id, code=code)
    assert family.refused("ask_to_join_household", request)[0] == "INVITATION_INVALID"


def test_only_the_head_lets_people_in(family: Family) -> None:
    cat = family.street.member()
    family.together()
    family.wants(cat, family.code())
    assert [one.role for one in family.seen_by(family.ann).people] == [HEAD, PERSON, ASKING]
    assert [one.role for one in family.seen_by(family.ben).people] == [HEAD, PERSON]
    by_ben = family.confirm(cat, head=family.ben)
    assert family.refused("confirm_household_member", by_ben) == ("HOUSEHOLD_CONFLICT", "not_head")
    stranger = family.confirm(family.street.member())
    assert family.refused("confirm_household_member", stranger) == ("HOUSEHOLD_CONFLICT", "not_asked")


def test_nobody_is_in_two_households(family: Family) -> None:
    family.together()
    second = pb.CreateHouseholdRequest(household_id=family.street.new_id(), member_id=family.ben.member_id)
    assert family.refused("create_household", second) == ("HOUSEHOLD_CONFLICT", "in_household")


def test_a_household_has_a_largest_size(family: Family) -> None:
    people = [family.street.member() for _ in range(PEOPLE_MAX)]
    family.together(*people[:-1])
    family.wants(people[-1], family.code())
    assert family.refused("confirm_household_member", family.confirm(people[-1]))[0] == "LIMIT_REACHED"


def test_a_members_id_is_no_household(family: Family) -> None:
    taken = pb.CreateHouseholdRequest(household_id=family.ben.member_id, member_id=family.ann.member_id)
    assert family.refused("create_household", taken)[0] == "REQUEST_ID_REUSED"
