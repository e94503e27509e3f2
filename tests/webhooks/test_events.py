"""What becomes an event: everything that happens behind the first endpoint, once, of each member in order."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from tallystick.core.ids import Ms
from tallystick.service import events as events_module
from tallystick.service import journal
from tallystick.service.event_store import EventPlace
from tallystick.v1 import identity_pb2, ledger_pb2, member_pb2
from tests.rpc.handlers.world import (
    ADMIN,
    DAY_MS,
    OTHER,
    SHOP,
    WEBSHOP,
    Caller,
    World,
    new_id,
    origin_of,
)
from tests.webhooks.conftest import Hooks

URL = "https://93.184.216.34/"


def told(hooks: Hooks) -> list[dict[str, Any]]:
    """Follow, and return all messages in the order in which they were queued."""
    hooks.follower.follow(SHOP)
    table = hooks.world.store._of(SHOP).events
    return [json.loads(table[number][0].body) for number in sorted(table)]


def kinds(hooks: Hooks) -> list[str]:
    return [message["type"] for message in told(hooks)]


def test_nothing_is_kept_where_nobody_listens(hooks: Hooks, world: World) -> None:
    world.sell(world.enrol(), 1_000)
    assert hooks.follower.follow(SHOP) == 0
    assert told(hooks) == []


def test_a_member_joins_buys_and_climbs(hooks: Hooks, world: World) -> None:
    hooks.set(URL)
    member = world.enrol()
    world.now_ms += 1_000
    entry = world.sell(member, 60_000).posted.entry
    enrolled, posted, tier = told(hooks)
    assert (enrolled["type"], enrolled["data"]) == ("member.enrolled", {"memberId": member})
    assert posted["type"] == "entry.posted"
    assert ParseDict(posted["data"], ledger_pb2.Entry()) == entry
    assert posted["data"]["commandId"] == entry.command_id
    assert posted["timestamp"] == entry.recorded_at.ToJsonString()
    assert tier["type"] == "tier.changed"
    assert tier["data"] == {"memberId": member, "tierId": "guld", "previousTierId": "", "seq": "1"}


def test_what_happened_before_anybody_listened_is_not_told(hooks: Hooks, world: World) -> None:
    member = world.enrol()
    world.sell(member, 60_000)
    world.now_ms += 1_000
    hooks.set(URL)
    assert kinds(hooks) == []
    world.sell(member, 1_000)
    assert kinds(hooks) == ["entry.posted"]


def test_a_tier_is_compared_with_the_one_before_also_for_a_member_who_is_seen_first(
    hooks: Hooks, world: World
) -> None:
    member = world.enrol()
    world.sell(member, 1_000)
    world.now_ms += 1_000
    hooks.set(URL)
    world.sell(member, 60_000)
    assert kinds(hooks) == ["entry.posted", "tier.changed"]
    last = told(hooks)[-1]
    assert (last["data"]["previousTierId"], last["data"]["tierId"]) == ("bas", "guld")


def test_every_event_is_queued_once_however_often_is_looked(hooks: Hooks, world: World) -> None:
    hooks.set(URL)
    member = world.enrol()
    for _ in range(3):
        world.sell(member, 1_000)
        world.now_ms += 1_000
        hooks.follower.follow(SHOP)
        hooks.follower.follow(SHOP)
    assert kinds(hooks) == ["member.enrolled", "entry.posted", "tier.changed", "entry.posted", "entry.posted"]


def test_a_member_is_blocked_gets_a_number_and_is_erased(hooks: Hooks, world: World) -> None:
    hooks.set(URL)
    member = world.enrol()
    told(hooks)
    for request in (
        member_pb2.BlockMemberRequest(member_id=member),
        member_pb2.UnblockMemberRequest(member_id=member),
        identity_pb2.AddIdentifierRequest(member_id=member, text="eve@example.org"),
        member_pb2.EraseMemberRequest(member_id=member),
    ):
        world.now_ms += 1_000
        world.send(request, Caller(ADMIN))
        told(hooks)
    rest = told(hooks)[1:]
    assert [(one["type"], one["data"].get("blocked")) for one in rest] == [
        ("member.changed", True),
        ("member.changed", False),
        ("member.changed", False),
        ("member.erased", None),
    ]
    assert "eve@example.org" not in json.dumps(rest)


def test_a_member_who_was_there_before_is_not_enrolled_when_it_changes(hooks: Hooks, world: World) -> None:
    member = world.enrol()
    world.now_ms += 60_000
    hooks.set(URL)
    world.now_ms += 60_000
    world.send(member_pb2.BlockMemberRequest(member_id=member), Caller(ADMIN))
    assert kinds(hooks) == ["member.changed"]


def test_a_member_who_came_and_went_between_two_looks_is_told_as_both(hooks: Hooks, world: World) -> None:
    hooks.set(URL)
    member = world.enrol()
    world.sell(member, 1_000)
    world.now_ms += 1_000
    world.send(member_pb2.EraseMemberRequest(member_id=member), Caller(ADMIN))
    assert kinds(hooks) == ["member.enrolled", "entry.posted", "tier.changed", "member.erased"]


def test_a_change_whose_clock_is_behind_is_found_by_looking_back(hooks: Hooks, world: World) -> None:
    hooks.set(URL)
    member = world.enrol()
    told(hooks)
    world.now_ms += 120_000
    world.sell(member, 1_000)
    told(hooks)
    world.now_ms -= 9_000
    world.send(member_pb2.BlockMemberRequest(member_id=member), Caller(ADMIN))
    world.now_ms += 9_000
    assert kinds(hooks)[-1] == "member.changed"


def test_a_hold_that_runs_out_is_told_of_when_its_time_is_caught_up(hooks: Hooks, world: World) -> None:
    member = world.enrol()
    world.sell(member, 10_000)
    world.now_ms += 1_000
    hooks.set(URL)
    body = {
        "command_id": new_id(),
        "member_id": member,
        "spend": {"points": 10},
        "ttl_s": 60,
        "assurance": "ASSURANCE_STATIC_CARD",
        "origin": origin_of(channel="CHANNEL_WEBSHOP"),
    }
    world.send(ParseDict(body, ledger_pb2.HoldRequest()), Caller(WEBSHOP))
    world.now_ms += DAY_MS
    world.sell(member, 1_000)
    assert kinds(hooks) == ["entry.posted", "entry.posted", "hold.expired", "entry.posted"]
    expired = told(hooks)[2]
    assert expired["data"]["holdId"] == body["command_id"]
    assert expired["data"]["kind"] == "ENTRY_KIND_HOLD_RELEASE"


def test_programs_do_not_hear_of_each_other(hooks: Hooks, world: World) -> None:
    hooks.set(URL)
    foreign = Caller(program_id=OTHER)
    world.sell(world.enrol(caller=foreign), 1_000, foreign)
    assert kinds(hooks) == []


def test_the_same_event_has_the_same_id_wherever_it_is_made(hooks: Hooks, world: World) -> None:
    hooks.set(URL)
    world.sell(world.enrol(), 1_000)
    told(hooks)
    first = [one.message_id for one in hooks.messages()]
    assert len(set(first)) == len(first) == 3
    tables = world.store._of(SHOP)
    tables.event_places[""] = EventPlace({}, Ms(world.now_ms), Ms(world.now_ms - 1), 3)
    tables.event_seen.clear()
    told(hooks)
    assert [one.message_id for one in hooks.messages()][3:] == first


def test_entries_of_a_long_absence_are_queued_in_order(
    hooks: Hooks, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "JOURNAL_PAGE", 2)
    monkeypatch.setattr(events_module, "MEMBERS_AT_ONCE", 2)
    monkeypatch.setattr(events_module, "ENTRIES_AT_ONCE", 3)
    monkeypatch.setattr(events_module, "CHANGES_PAGE", 2)
    hooks.set(URL)
    members = [world.enrol() for _ in range(5)]
    for _ in range(4):
        for member in members:
            world.sell(member, 100)
    posted = [one["data"] for one in told(hooks) if one["type"] == "entry.posted"]
    assert len(posted) == 20
    for member in members:
        assert [int(one["seq"]) for one in posted if one["memberId"] == member] == [1, 2, 3, 4]
    assert kinds(hooks).count("member.enrolled") == 5


def test_what_lies_behind_the_heads_that_were_read_waits_for_the_next_round(
    hooks: Hooks, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.set(URL)
    member = world.enrol()
    world.sell(member, 100)
    heads = world.store.read_journal_heads(SHOP)
    world.sell(member, 100)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "read_journal_heads", lambda _: heads)
        assert kinds(hooks) == ["member.enrolled", "entry.posted", "tier.changed"]
    assert kinds(hooks)[3:] == ["entry.posted"]


def test_a_process_that_dies_between_two_transactions_is_followed_without_loss(
    hooks: Hooks, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "MEMBERS_AT_ONCE", 1)
    hooks.set(URL)
    for _ in range(4):
        world.sell(world.enrol(), 100)
    queue, calls = world.store.queue_events, 0

    def dies(*args: Any, **more: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("killed")
        return queue(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "queue_events", dies)
        with pytest.raises(RuntimeError, match="killed"):
            hooks.follower.follow(SHOP)
    assert len(hooks.messages()) == 6
    assert sorted(kinds(hooks)) == sorted(["member.enrolled", "entry.posted", "tier.changed"] * 4)


def test_processes_that_follow_at_once_queue_everything_once(hooks: Hooks, world: World) -> None:
    hooks.set(URL)
    together = threading.Barrier(4)

    def follow(_: int) -> None:
        together.wait(30)
        for _ in range(5):
            hooks.follower.follow(SHOP)

    for _ in range(10):
        world.sell(world.enrol(), 100)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(follow, range(4)))
    assert sorted(kinds(hooks)) == sorted(["member.enrolled", "entry.posted", "tier.changed"] * 10)


def test_a_quiet_program_is_written_to_once_a_minute_at_most(hooks: Hooks, world: World) -> None:
    hooks.set(URL)

    def moves() -> int:
        place = world.store.event_place(SHOP)
        assert place is not None
        return place.moves

    for _ in range(5):
        world.now_ms += 10_000
        hooks.follower.follow(SHOP)
    assert moves() == 0
    world.now_ms += 10_000
    hooks.follower.follow(SHOP)
    assert moves() == 1
