"""The inbox and recovered receipts as stores see them."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import ParseDict
from google.rpc import code_pb2

from tallystick.security.keys import generate_signing_key
from tallystick.v1 import store_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    HOUR_MS,
    MANAGER,
    START_MS,
    Caller,
    World,
    new_id,
    open_till,
)
from tests.service.paper_till import id_of, kinds_of

BOSS = Caller(ADMIN, store_id="")
HERE, THERE = Caller(MANAGER, store_id="s1"), Caller(MANAGER, store_id="s2")


def parked(world: World, store_id: str = "s1") -> tuple[str, Caller]:
    """Park a return, and answer the item's id and the till's token."""
    till, caller = open_till(world, store_id, label=f"Till of {new_id()}")
    world.send(till.batch(till.give_back(world.enrol(), new_id())), caller)
    (item, *_) = world.send(pb.ListInboxRequest(), caller).items
    return item.item_id, caller


def resolve(item_id: str, action: str, note: str = "") -> pb.ResolveInboxItemRequest:
    body = {"item_id": item_id, "action": f"INBOX_ACTION_{action}", "note": note}
    return ParseDict(body, pb.ResolveInboxItemRequest())


class TestInbox:
    def test_it_is_read_page_by_page_newest_first(self, world: World) -> None:
        till, caller = open_till(world)
        ann = world.enrol()
        for _ in range(5):
            world.now_ms += HOUR_MS
            till.now_ms = world.now_ms
            world.send(till.batch(till.give_back(ann, new_id())), caller)
        seen, token = [], ""
        while True:
            page = world.send(pb.ListInboxRequest(page_size=2, page_token=token), caller)
            seen += [item.seq for item in page.items]
            token = page.next_page_token
            if not token:
                break
        assert seen == [5, 4, 3, 2, 1]
        page = world.send(pb.ListInboxRequest(page_size=2), caller)
        other = pb.ListInboxRequest(page_token=page.next_page_token, state=pb.INBOX_STATE_SEEN)
        assert world.refused(other, caller).reason == "PAGE_TOKEN_INVALID"

    def test_an_item_says_what_it_is(self, world: World) -> None:
        till, caller = open_till(world)
        raw = till.give_back(world.enrol(), new_id())
        world.send(till.batch(raw), caller)
        (item,) = world.send(pb.ListInboxRequest(), caller).items
        assert (item.till_id, item.store_id, item.epoch, item.seq) == (till.device_id, "s1", 1, 1)
        assert (item.advice, item.received_at.ToMilliseconds()) == (raw, START_MS)
        assert kinds_of([item.verdict]) == ["PARKED SALE_UNKNOWN"]
        assert (item.state, item.HasField("resolved_at")) == (pb.INBOX_STATE_OPEN, False)

    def test_a_store_sees_its_own(self, world: World) -> None:
        here, till = parked(world)
        there, _ = parked(world, "s2")
        for caller in (till, HERE):
            assert [one.item_id for one in world.send(pb.ListInboxRequest(), caller).items] == [here]
            assert world.refused(pb.ListInboxRequest(store_id="s2"), caller).reason == "ORIGIN_MISMATCH"
        assert {one.item_id for one in world.send(pb.ListInboxRequest(), BOSS).items} == {here, there}
        only = world.send(pb.ListInboxRequest(store_id="s2"), BOSS).items
        assert [one.item_id for one in only] == [there]

    def test_a_till_marks_as_seen_and_nothing_else(self, world: World) -> None:
        till, caller = open_till(world)
        world.send(till.batch(till.sale(world.enrol(), 1_000, earned=99)), caller)
        (item,) = world.send(pb.ListInboxRequest(), caller).items
        for action in ("POST", "DISMISS"):
            refused = world.refused(resolve(item.item_id, action, "why"), caller)
            assert (refused.code, refused.reason) == (code_pb2.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
        done = world.send(resolve(item.item_id, "SEEN"), caller).item
        assert (done.state, done.resolved_by) == (pb.INBOX_STATE_SEEN, till.device_id)
        assert world.send(resolve(item.item_id, "SEEN"), caller).item == done

    @pytest.mark.parametrize("action", ["POST", "DISMISS", "SEEN"])
    def test_another_stores_item_is_not_there(self, world: World, action: str) -> None:
        item_id, _ = parked(world)
        refused = world.refused(resolve(item_id, action, "why"), THERE)
        assert (refused.code, refused.reason) == (code_pb2.NOT_FOUND, "INBOX_ITEM_NOT_FOUND")
        (item,) = world.send(pb.ListInboxRequest(), HERE).items
        assert item.state == pb.INBOX_STATE_OPEN

    def test_a_manager_vouches_for_what_was_quarantined(self, world: World) -> None:
        till, caller = open_till(world)
        clone = till.restored(to=0)
        ann = world.enrol()
        world.send(till.batch(till.sale(ann, 1_000)), caller)
        world.send(clone.batch(clone.sale(ann, 5_000)), caller)
        (item,) = world.send(pb.ListInboxRequest(), HERE).items
        done = world.send(resolve(item.item_id, "POST", "spoke to the cashier"), HERE).item
        assert (done.state, done.note, done.resolved_by) == (
            pb.INBOX_STATE_POSTED,
            "spoke to the cashier",
            HERE.device_id,
        )
        assert kinds_of([done.verdict]) == ["POSTED"]
        assert world.balance(ann).active == 60
        assert world.send(resolve(item.item_id, "POST", "again"), HERE).item == done
        refused = world.refused(resolve(item.item_id, "DISMISS", "no"), HERE)
        assert (refused.code, refused.reason) == (code_pb2.FAILED_PRECONDITION, "INBOX_ITEM_CLOSED")

    def test_dismissing_needs_a_note(self, world: World) -> None:
        item_id, _ = parked(world)
        assert world.refused(resolve(item_id, "DISMISS"), HERE).violations[0][0] == "note"
        done = world.send(resolve(item_id, "DISMISS", "rung up twice"), HERE).item
        assert done.state == pb.INBOX_STATE_DISMISSED

    def test_a_sale_posted_by_a_person_releases_what_waited_for_it(self, world: World) -> None:
        till, caller = open_till(world)
        other, other_caller = open_till(world, label="Other")
        clone = till.restored(to=0)
        ann = world.enrol()
        world.send(till.batch(till.sale(ann, 1_000)), caller)
        sale = clone.sale(ann, 5_000)
        world.send(clone.batch(sale), caller)
        world.send(other.batch(other.give_back(ann, id_of(sale))), other_caller)
        forked = next(
            item for item in world.send(pb.ListInboxRequest(), HERE).items if item.till_id == till.device_id
        )
        world.send(resolve(forked.item_id, "POST"), HERE)
        assert world.balance(ann).active == 10
        assert list(world.send(pb.ListInboxRequest(), HERE).items) == []


class TestRecovery:
    def test_receipts_of_a_dead_till_are_handed_in(self, world: World) -> None:
        till, _ = open_till(world)
        ann = world.enrol()
        raws = [till.sale(ann, 1_000), till.sale(ann, 2_000)]
        forged = till.receipt(raws[1], generate_signing_key())
        request = pb.RecoverAdvicesRequest(advices=[till.receipt(raws[0]), forged])
        answer = world.send(request, HERE)
        assert kinds_of(answer.verdicts) == ["POSTED", "QUARANTINED BAD_SIGNATURE"]
        (item,) = world.send(pb.ListInboxRequest(), HERE).items
        assert (item.advice, item.epoch, item.seq) == (raws[1], 0, 0)

    def test_those_of_another_store_are_nobodys(self, world: World) -> None:
        till, _ = open_till(world)
        ann = world.enrol()
        request = pb.RecoverAdvicesRequest(advices=[till.receipt(till.sale(ann, 1_000))])
        _, foreign_till = open_till(world, "s2")
        for caller in (THERE, foreign_till):
            assert kinds_of(world.send(request, caller).verdicts) == ["QUARANTINED BAD_SIGNATURE"]
        assert world.balance(ann).active == 0
        assert list(world.send(pb.ListInboxRequest(), BOSS).items) == []
        assert kinds_of(world.send(request, BOSS).verdicts) == ["POSTED"]
