"""StoreService as stores see it: roles, stores, limits, and what a till is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.rpc import code_pb2

from tallystick.core.ids import MemberId, ProgramId
from tallystick.security.keys import generate_signing_key
from tallystick.service.enrolment import canonical_jwk
from tallystick.service.errors import StoreUnavailable
from tallystick.service.inbox import Inbox
from tallystick.service.leases import Leases
from tallystick.service.parked import keep_posting
from tallystick.service.submission import Submission
from tallystick.v1 import advice_pb2, ledger_pb2
from tallystick.v1 import store_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    DAY_MS,
    MANAGER,
    OTHER,
    SHOP,
    START_MS,
    TILL,
    WEBSHOP,
    Caller,
    World,
    new_id,
    open_till,
)
from tests.service.paper_till import id_of, kinds_of, lease_right

BOSS = Caller(ADMIN, store_id="")
HERE, THERE = Caller(MANAGER, store_id="s1"), Caller(MANAGER, store_id="s2")


def fails(*_: object, **__: object) -> None:
    raise StoreUnavailable


def voucher(member_id: str, points: int = 10, **more: Any) -> pb.IssueVoucherRequest:
    body = {"voucher_id": new_id(), "member_id": member_id, "store_id": "s1", "points": points}
    return ParseDict({**body, "assurance": "ASSURANCE_STATIC_CARD", **more}, pb.IssueVoucherRequest())


class TestPushing:
    def test_a_till_uploads_and_is_told_where_it_stands(self, world: World) -> None:
        till, caller = open_till(world)
        ann = world.enrol()
        answer = world.send(till.batch(till.sale(ann, 1_000), till.sale(ann, 2_000)), caller)
        assert kinds_of(answer.verdicts) == ["POSTED", "POSTED"]
        assert (answer.acked_seq, answer.retry_after_ms) == (2, 0)
        assert world.balance(ann).active == 30

    def test_the_token_says_which_till_it_is(self, world: World) -> None:
        till, _ = open_till(world)
        _, other = open_till(world, label="Other")
        request = till.batch(till.sale(world.enrol(), 1_000))
        refused = world.refused(request, other)
        assert (refused.code, refused.reason) == (code_pb2.PERMISSION_DENIED, "ADVICE_SIGNATURE_INVALID")
        assert refused.metadata == {"till_id": other.device_id}
        assert world.refused(request, Caller(TILL)).reason == "DEVICE_NOT_FOUND"

    def test_a_gap_names_the_position_that_is_expected(self, world: World) -> None:
        till, caller = open_till(world)
        ann = world.enrol()
        till.sale(ann, 1_000)
        refused = world.refused(till.batch(till.sale(ann, 1_000)), caller)
        assert (refused.code, refused.reason) == (code_pb2.FAILED_PRECONDITION, "ADVICE_SEQUENCE_GAP")
        assert refused.metadata == {"expected_epoch": "1", "expected_seq": "1"}

    def test_a_suspended_till_is_told_so_until_it_is_reinstated(self, world: World) -> None:
        till, caller = open_till(world)
        ann = world.enrol()
        for epoch in (1, 2, 3):
            clone = till.restored(to=0)
            world.send(till.batch(till.sale(ann, 100)), caller)
            world.send(clone.batch(clone.sale(ann, 900)), caller)
            till.begin(epoch + 1)
        refused = world.refused(till.batch(till.sale(ann, 1_000)), caller)
        assert (refused.code, refused.reason) == (code_pb2.FAILED_PRECONDITION, "TILL_SUSPENDED")
        request = pb.ReinstateTillRequest(till_id=till.device_id.upper())
        assert world.refused(request, THERE).reason == "TILL_NOT_FOUND"
        told = world.send(request, HERE).till
        assert (told.status, told.epoch, told.fences) == (pb.TILL_STATUS_TRUSTED, 5, 3)
        till.begin(told.epoch)
        assert kinds_of(world.send(till.batch(till.sale(ann, 1_000)), caller).verdicts) == ["POSTED"]

    def test_a_device_that_is_no_till_is_not_reinstated(self, world: World) -> None:
        device = world.gateway.enrolment.add_confirmed(
            SHOP, kind=2, role=WEBSHOP, store_id="", label="Web", key=generate_signing_key().verify_key
        )
        request = pb.ReinstateTillRequest(till_id=device.device_id)
        assert world.refused(request, BOSS).reason == "TILL_NOT_FOUND"

    def test_batches_may_be_larger_than_other_messages_but_not_endless(self, world: World) -> None:
        till, caller = open_till(world)
        ann = world.enrol()
        raws = [till.sale(ann, 1_000, cashier_id="x" * 400) for _ in range(300)]
        request = till.batch(*raws)
        assert request.ByteSize() > 150_000
        assert len(world.send(request, caller).verdicts) == 300
        more = [till.sale(ann, 1_000, cashier_id="x" * 700) for _ in range(300)]
        assert world.refused(till.batch(*more), caller).reason == "MESSAGE_TOO_LARGE"
        small = [till.keep(b"\xff") for _ in range(501)]
        request = pb.PushAdvicesRequest(epoch=1, first_seq=301, advices=small)
        assert world.refused(request, caller).reason == "INVALID_INPUT"

    def test_numbers_that_no_chain_reaches_are_refused(self, world: World) -> None:
        _, caller = open_till(world)
        request = pb.PushAdvicesRequest(epoch=1, first_seq=2**62)
        assert world.refused(request, caller).violations[0][0] == "first_seq"

    def test_what_waited_for_a_sale_is_posted_with_the_upload_that_brings_it(self, world: World) -> None:
        first, first_caller = open_till(world)
        second, second_caller = open_till(world, label="Second")
        ann = world.enrol()
        sale = first.sale(ann, 1_000)
        world.send(second.batch(second.give_back(ann, id_of(sale))), second_caller)
        world.send(first.batch(sale), first_caller)
        assert world.balance(ann).active == 0
        assert list(world.send(pb.ListInboxRequest(), BOSS).items) == []

    def test_what_fails_after_an_upload_does_not_fail_the_upload(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        till, caller = open_till(world)
        ann = world.enrol()
        world.send(till.batch(till.give_back(ann, new_id())), caller)
        monkeypatch.setattr(Inbox, "due", fails)
        assert kinds_of(world.send(till.batch(till.sale(ann, 1_000)), caller).verdicts) == ["POSTED"]

    def test_what_another_process_brought_is_noticed_within_seconds(self, world: World) -> None:
        till, caller = open_till(world)
        ann = world.enrol()
        sale_id = new_id()
        world.send(till.batch(till.give_back(ann, sale_id)), caller)
        world.gateway.inbox._parked.clear()  # as in a process that did not park it
        world.sell(ann, 1_000, command_id=sale_id)
        look_until_posted(world, ann)
        assert world.balance(ann).active == 0

    def test_a_program_whose_advices_cannot_be_looked_at_keeps_no_other_one_waiting(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        till, caller = open_till(world)
        ann = world.enrol()
        sale_id = new_id()
        world.send(till.batch(till.give_back(ann, sale_id)), caller)
        inbox, due = world.gateway.inbox, world.gateway.inbox.due
        inbox._parked.clear()
        inbox.note_parked(OTHER)

        def of_shop(program_id: ProgramId, *, deadline: float) -> list[Submission]:
            if program_id == OTHER:
                raise RuntimeError
            return due(program_id, deadline=deadline)

        monkeypatch.setattr(inbox, "due", of_shop)
        world.sell(ann, 1_000, command_id=sale_id)
        look_until_posted(world, ann)
        assert world.balance(ann).active == 0


def look_until_posted(world: World, ann: str) -> None:
    """Look for parked advices as a process does, until the member's account is empty, or for five seconds."""
    gateway = world.gateway

    async def some_looks() -> None:
        looking = asyncio.create_task(keep_posting(gateway.inbox, gateway.pool, gateway.lane, every_s=0.01))
        for _ in range(500):
            await asyncio.sleep(0.01)
            if gateway.store.read_accounts(SHOP, [MemberId(ann)])[MemberId(ann)].active == 0:
                break
        looking.cancel()

    world.loop.run_until_complete(some_looks())


class TestLeases:
    def test_a_till_gets_a_lease_burns_it_and_gives_the_rest_back(self, world: World) -> None:
        till, caller = open_till(world)
        ann = world.enrol()
        world.sell(ann, 40_000)
        lease_id = new_id()
        asks = [
            pb.LeaseAsk(lease_id=lease_id.upper(), member_id=ann),
            pb.LeaseAsk(lease_id=new_id(), member_id=new_id()),
        ]
        answers = world.send(pb.RequestLeasesRequest(asks=asks), caller).answers
        assert (answers[0].lease_id, answers[0].lease.remaining_points) == (lease_id, 50)
        assert (answers[1].HasField("lease"), answers[1].refusal) == (False, "MEMBER_UNKNOWN")
        raw = till.sale(ann, 10_000, rights=(lease_right(lease_id, 20),))
        assert kinds_of(world.send(till.batch(raw), caller).verdicts) == ["POSTED"]
        back = pb.ReturnLeaseRequest(command_id=new_id(), member_id=ann, lease_id=lease_id)
        assert world.send(back, caller).returned_points == 30
        assert world.send(back, caller).returned_points == 30
        _, other = open_till(world, "s2")
        foreign = pb.ReturnLeaseRequest(command_id=new_id(), member_id=ann, lease_id=lease_id)
        assert world.refused(foreign, other).reason == "LEASE_NOT_FOUND"
        kinds = [one.kind for one in world.send(ledger_pb2.ListEntriesRequest(member_id=ann)).entries]
        assert ledger_pb2.ENTRY_KIND_LEASE in kinds

    def test_a_lease_is_asked_for_once_in_a_request(self, world: World) -> None:
        _, caller = open_till(world)
        ask = pb.LeaseAsk(lease_id=new_id(), member_id=world.enrol())
        refused = world.refused(pb.RequestLeasesRequest(asks=[ask, ask]), caller)
        assert refused.violations[0][0] == "asks"

    def test_points_wanted_elsewhere_are_recalled_once_and_the_cashier_is_told(self, world: World) -> None:
        _, caller = open_till(world, "s2")
        ann = world.enrol()
        world.sell(ann, 20_000)
        world.send(pb.RequestLeasesRequest(asks=[pb.LeaseAsk(lease_id=new_id(), member_id=ann)]), caller)
        for _ in range(2):
            refused = world.sell(ann, 50_000, spend={"points": 180}).refused
            assert refused.reason == ledger_pb2.REFUSAL_REASON_INSUFFICIENT_POINTS
            assert refused.details["leased_points"] == "50"
        kinds = [one.kind for one in world.send(ledger_pb2.ListEntriesRequest(member_id=ann)).entries]
        assert kinds.count(ledger_pb2.ENTRY_KIND_RECALL) == 1
        asks = [pb.LeaseAsk(lease_id=new_id(), member_id=ann)]
        assert world.send(pb.RequestLeasesRequest(asks=asks), caller).answers[0].lease.recalled

    def test_a_recall_that_fails_changes_no_answer(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, caller = open_till(world, "s2")
        ann = world.enrol()
        world.sell(ann, 20_000)
        world.send(pb.RequestLeasesRequest(asks=[pb.LeaseAsk(lease_id=new_id(), member_id=ann)]), caller)
        monkeypatch.setattr(Leases, "recall", fails)
        refused = world.sell(ann, 50_000, spend={"points": 180}).refused
        assert dict(refused.details) == {"points": "180", "available": "150"}

    def test_a_member_without_leases_is_refused_as_before(self, world: World) -> None:
        ann = world.enrol()
        world.sell(ann, 20_000)
        refused = world.sell(ann, 50_000, spend={"points": 300}).refused
        assert dict(refused.details) == {"points": "300", "available": "200"}
        entries = world.send(ledger_pb2.ListEntriesRequest(member_id=ann)).entries
        assert [one.kind for one in entries] == [ledger_pb2.ENTRY_KIND_SALE]

    def test_a_till_without_a_store_gets_nothing(self, world: World) -> None:
        caller = Caller(TILL, store_id="")
        asks = [pb.LeaseAsk(lease_id=new_id(), member_id=world.enrol())]
        for request in (pb.RequestLeasesRequest(asks=asks), pb.ListInboxRequest(), pb.ListCashiersRequest()):
            assert world.refused(request, caller).reason == "ORIGIN_MISMATCH"


class TestVouchers:
    def test_a_member_makes_one_with_the_own_app(self, world: World) -> None:
        ann = world.enrol()
        world.sell(ann, 20_000)
        key = generate_signing_key()
        world.gateway.codes.register(SHOP, MemberId(ann), canonical_jwk(key.verify_key), label="Phone")
        app = Caller(APP, store_id="", member_id=ann, device_id=key.kid)
        world.now_ms += DAY_MS
        made = world.send(voucher(ann, 30), app).voucher
        grant = advice_pb2.VoucherGrant.FromString(made.grant.body)
        assert (grant.points, grant.store_id, made.digits.isdigit()) == (30, "s1", True)
        assert world.send(voucher(ann, 300), app).refusal == "INSUFFICIENT_POINTS"
        other = Caller(APP, store_id="", member_id=world.enrol())
        assert world.refused(voucher(ann), other).reason == "MEMBER_NOT_FOUND"

    @pytest.mark.parametrize("role", [TILL, MANAGER])
    def test_whoever_belongs_to_a_store_makes_them_for_that_store(self, world: World, role: int) -> None:
        ann = world.enrol()
        world.sell(ann, 20_000)
        assert world.send(voucher(ann), Caller(role)).HasField("voucher")
        refused = world.refused(voucher(ann, store_id="s2"), Caller(role))
        assert (refused.reason, refused.metadata) == ("ORIGIN_MISMATCH", {"field": "store_id"})

    def test_it_is_worth_something(self, world: World) -> None:
        request = voucher(world.enrol())
        request.ClearField("points")
        assert world.send(request).refusal == "BELOW_MINIMUM"


class TestExposure:
    def test_a_store_sees_what_it_can_lose(self, world: World) -> None:
        till, caller = open_till(world)
        ann = world.enrol()
        world.sell(ann, 20_000)
        world.send(pb.RequestLeasesRequest(asks=[pb.LeaseAsk(lease_id=new_id(), member_id=ann)]), caller)
        world.send(voucher(ann, 10), caller)
        world.send(till.batch(queued=4, floor=70), caller)
        answer = world.send(pb.GetExposureRequest(), caller)
        assert (answer.store_id, answer.worst_case_points) == ("s1", 5_000)
        assert (answer.leased_points, answer.voucher_points, answer.lost_points) == (50, 10, 0)
        (one,) = answer.tills
        assert (one.till_id, one.queued, one.floor_points, one.floor_cap_points) == (
            till.device_id,
            4,
            70,
            5_000,
        )
        assert one.last_contact_at.ToMilliseconds() == START_MS
        for other in (HERE, Caller(ADMIN, store_id="")):
            assert world.send(pb.GetExposureRequest(store_id="s1"), other) == answer

    def test_whoever_has_no_store_names_one(self, world: World) -> None:
        for request in (pb.GetExposureRequest(), pb.ListCashiersRequest()):
            assert world.refused(request, BOSS).violations[0][0] == "store_id"


class TestCashiers:
    def test_a_manager_makes_one_and_a_till_checks_the_pin(self, world: World) -> None:
        made = pb.SetCashierRequest(store_id="s1", cashier_id="eva", label="Eva", pin="4711", active=True)
        answer = world.send(made, HERE).cashier
        assert (answer.cashier_id, answer.label, answer.active) == ("eva", "Eva", True)
        till = Caller(TILL)
        assert [one.cashier_id for one in world.send(pb.ListCashiersRequest(), till).cashiers] == ["eva"]
        assert world.send(pb.CheckPinRequest(cashier_id="eva", pin="4711"), till).correct
        told = [world.send(pb.CheckPinRequest(cashier_id="eva", pin="9999"), till) for _ in range(5)]
        assert not any(one.correct for one in told)
        assert told[-1].locked_until.ToMilliseconds() == START_MS + 15 * 60_000
        assert not world.send(pb.CheckPinRequest(cashier_id="eva", pin="4711"), till).correct
        elsewhere = Caller(TILL, store_id="s2")
        assert not world.send(pb.CheckPinRequest(cashier_id="eva", pin="4711"), elsewhere).correct

    @pytest.mark.parametrize("pin", ["123", "123456789", "12a4", "١٢٣٤"])
    def test_a_pin_is_four_to_eight_digits(self, world: World, pin: str) -> None:
        made = pb.SetCashierRequest(store_id="s1", cashier_id="eva", label="Eva", pin=pin, active=True)
        assert world.refused(made, HERE).violations[0][0] == "pin"

    def test_another_stores_cashiers_are_out_of_reach(self, world: World) -> None:
        made = pb.SetCashierRequest(store_id="s1", cashier_id="eva", label="Eva", active=True)
        for request in (made, pb.ListCashiersRequest(store_id="s1")):
            assert world.refused(request, THERE).reason == "ORIGIN_MISMATCH"
        assert list(world.send(pb.ListCashiersRequest(), THERE).cashiers) == []
