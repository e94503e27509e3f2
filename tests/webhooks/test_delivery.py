"""Delivering events: signed so that a foreign library agrees, at least once, in order, whatever the receiver does."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tallystick.core.ids import ProgramId
from tallystick.events import delivery as delivery_module
from tallystick.events import worker
from tallystick.events.delivery import CLAIM_MS, GIVE_UP_MS
from tallystick.events.worker import RETRY_S
from tallystick.service.event_store import DeliveryState
from tallystick.storage import memory_events
from tests.notices.world import Uptime
from tests.rpc.handlers.world import OTHER, SHOP, World
from tests.webhooks.conftest import Hooks
from tests.webhooks.receiver import Received, Receiver

WAITING, DELIVERED, FAILED = DeliveryState
HOUR_MS = 3_600_000


@pytest.fixture
def current(world: World) -> World:
    """The world at this very moment: the foreign library looks at the real clock."""
    world.now_ms = time.time_ns() // 1_000_000
    return world


def foreign_verify(secret: str, got: Received) -> dict[str, Any]:
    return dict(Webhook(secret).verify(got.body, got.headers))


def verify_ed25519(public: str, got: Received) -> None:
    """As Standard Webhooks describes v1a; the foreign library knows v1 only."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    message = f"{got.id}.{got.headers['webhook-timestamp']}.".encode() + got.body
    for word in got.headers["webhook-signature"].split(" "):
        version, _, signature = word.partition(",")
        assert version == "v1a"
        try:
            return key.verify(base64.b64decode(signature), message)
        except InvalidSignature:
            continue
    raise InvalidSignature


def test_a_foreign_library_takes_our_messages_and_none_that_were_touched(
    hooks: Hooks, current: World, receiver: Receiver
) -> None:
    secret = hooks.set(receiver.url)
    entry = current.sell(current.enrol(), 1_000).posted.entry
    hooks.deliver()
    receiver.wait_for(1)
    hooks.deliver()
    posted = next(one for one in receiver.taken if one.message["type"] == "entry.posted")
    read = foreign_verify(secret, posted)
    assert read["data"]["commandId"] == entry.command_id
    assert sorted(read) == ["data", "timestamp", "type"]
    assert posted.headers["user-agent"] == "Tallystick"
    touched = Received(posted.path, posted.headers, posted.body.replace(b"10", b"99", 1))
    renamed = Received(posted.path, {**posted.headers, "webhook-id": "evt_0"}, posted.body)
    for bad in (touched, renamed):
        with pytest.raises(WebhookVerificationError):
            foreign_verify(secret, bad)
    with pytest.raises(WebhookVerificationError):
        foreign_verify(hooks.set(receiver.url, "other"), posted)


def test_during_a_change_of_key_both_keys_verify_and_then_the_new_one(
    hooks: Hooks, current: World, receiver: Receiver
) -> None:
    first = hooks.set(receiver.url)
    second = hooks.set(receiver.url, rotate_key=True)
    current.enrol()
    hooks.deliver()
    (got,) = receiver.taken
    assert len(got.headers["webhook-signature"].split(" ")) == 2
    foreign_verify(first, got)
    foreign_verify(second, got)
    current.now_ms += 24 * HOUR_MS
    current.enrol()
    hooks.deliver()
    assert len(receiver.taken[-1].headers["webhook-signature"].split(" ")) == 1


def test_a_message_signed_with_ed25519_is_verified_by_the_public_key(
    hooks: Hooks, current: World, receiver: Receiver
) -> None:
    public = hooks.set(receiver.url, signing=2)
    current.enrol()
    hooks.deliver()
    (got,) = receiver.taken
    verify_ed25519(public, got)
    with pytest.raises(InvalidSignature):
        verify_ed25519(public, Received(got.path, got.headers, got.body + b" "))
    second = hooks.set(receiver.url, signing=2, rotate_key=True)
    current.enrol()
    hooks.deliver()
    verify_ed25519(public, receiver.taken[1])
    verify_ed25519(second, receiver.taken[1])


def test_messages_of_a_member_arrive_in_order_and_each_once(
    hooks: Hooks, world: World, receiver: Receiver
) -> None:
    hooks.set(receiver.url)
    members = [world.enrol() for _ in range(5)]
    for _ in range(4):
        for member in members:
            world.sell(member, 100)
    hooks.deliver()
    got = receiver.by_member()
    assert sorted(got) == sorted(members)
    for messages in got.values():
        assert [one.message["type"] for one in messages][:2] == ["member.enrolled", "entry.posted"]
        seqs = [int(m.message["data"]["seq"]) for m in messages if m.message["type"] == "entry.posted"]
        assert seqs == [1, 2, 3, 4]
    assert len({one.id for one in receiver.all}) == len(receiver.all) == 30
    assert all(one.state is DELIVERED for one in hooks.messages())


def test_what_fails_is_tried_as_the_standard_suggests_and_given_up_after_three_days(
    hooks: Hooks, world: World, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 503
    hooks.set(receiver.url)
    world.enrol()
    began = world.now_ms
    waits: list[int] = []
    hooks.deliver()
    while (one := hooks.messages()[0]).state is WAITING and len(waits) < 20:
        assert one.answer == "503"
        waits.append((one.next_ms - world.now_ms) // 1000)
        world.now_ms = one.next_ms
        hooks.deliver()
    assert waits[:8] == list(RETRY_S[:8])
    assert one.state is FAILED
    assert world.now_ms == began + GIVE_UP_MS
    assert one.tries == len(receiver.all) == 10
    assert len({got.id for got in receiver.all}) == 1
    receiver.answer = lambda _: 200
    world.now_ms += HOUR_MS
    hooks.deliver()
    assert len(receiver.all) == 10
    assert hooks.replay() == 1
    hooks.deliver()
    assert receiver.taken[0].id == receiver.all[0].id
    assert hooks.messages()[0].state is DELIVERED


def test_later_messages_of_a_member_wait_for_the_one_that_fails_and_others_do_not(
    hooks: Hooks, world: World, receiver: Receiver
) -> None:
    hooks.set(receiver.url)
    unlucky, other = world.enrol(), world.enrol()
    hooks.deliver()
    receiver.taken.clear()
    receiver.answer = lambda got: 500 if got.member == unlucky else 200
    for member in (unlucky, other, unlucky, other):
        world.sell(member, 100)
    hooks.deliver()
    assert {one.member for one in receiver.taken} == {other}
    receiver.answer = lambda _: 200
    world.now_ms += 5_000
    hooks.deliver()
    seqs = [one.message["data"]["seq"] for one in receiver.by_member()[unlucky]]
    assert seqs == ["1", "1", "2"]
    assert [one.message["type"] for one in receiver.by_member()[unlucky]][1] == "tier.changed"


def test_an_endpoint_that_is_gone_is_paused_and_nothing_is_lost(
    hooks: Hooks, world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = lambda _: 410
    hooks.set(receiver.url)
    world.enrol()
    world.enrol()
    hooks.deliver()
    endpoint = world.store.endpoint(SHOP, "mail")
    assert endpoint is not None
    assert endpoint.paused
    assert "paused" in caplog.text
    calls = len(receiver.all)
    world.now_ms += 10 * GIVE_UP_MS
    hooks.deliver()
    assert len(receiver.all) == calls
    assert [one.answer for one in hooks.messages()] == ["410", "410"]
    receiver.answer = lambda _: 200
    hooks.set(receiver.url)
    hooks.deliver()
    assert len(receiver.taken) == 2


def test_what_happens_while_an_endpoint_is_paused_waits(
    hooks: Hooks, world: World, receiver: Receiver
) -> None:
    hooks.set(receiver.url, paused=True)
    world.enrol()
    hooks.deliver()
    world.now_ms += 4 * 24 * HOUR_MS
    hooks.deliver()
    assert receiver.all == []
    hooks.set(receiver.url)
    hooks.deliver()
    assert len(receiver.taken) == 1


def test_a_slow_endpoint_holds_up_nobody_else(hooks: Hooks, world: World, receiver: Receiver) -> None:
    with Receiver() as slow:
        slow.answer = slow.hang
        hooks.set(slow.url, "a-slow")
        hooks.set(receiver.url, "quick")
        for _ in range(40):
            world.enrol()
        deliveries = hooks.fresh()

        async def run() -> float:
            began = time.monotonic()
            await deliveries.round()
            while len(receiver.taken) < 40:
                assert time.monotonic() - began < 20
                await asyncio.sleep(0.01)
            assert len(slow.all) == 16
            assert ("shop", "a-slow") in deliveries._running
            took = time.monotonic() - began
            slow._release.set()
            await deliveries.settle()
            return took

        assert asyncio.run(run()) < hooks.timeout_s
    assert {one.answer for one in hooks.messages("a-slow")} <= {"timeout", "no answer", ""}


def test_an_endpoint_to_which_nothing_can_be_sent_is_left_alone_for_a_while(
    hooks: Hooks, world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "REST_FIRST_S", 0.3)
    receiver.answer = lambda _: 500
    hooks.set(receiver.url)
    for _ in range(20):
        world.enrol()
    process = hooks.fresh()

    async def run() -> None:
        for _ in range(5):
            await process.round()
            await process.settle()
        assert len(receiver.all) == 16
        receiver.answer = lambda _: 200
        await asyncio.sleep(0.3)
        await process.round()
        await process.settle()
        assert len(receiver.taken) == 4

    asyncio.run(run())


def test_a_receiver_that_was_away_gets_everything_in_order_when_it_is_back(
    hooks: Hooks, world: World
) -> None:
    with Receiver() as first:
        hooks.set(first.url)
        member = world.enrol()
        hooks.deliver()
        port = first.port
    for _ in range(3):
        world.sell(member, 100)
        world.now_ms += 1_000
        hooks.deliver()
    assert hooks.messages()[-1].state is WAITING
    with Receiver(port=port) as back:
        world.now_ms += HOUR_MS
        hooks.deliver()
        kinds = [(one.message["type"], one.message["data"].get("seq")) for one in back.taken]
    assert kinds == [
        ("entry.posted", "1"),
        ("tier.changed", "1"),
        ("entry.posted", "2"),
        ("entry.posted", "3"),
    ]


def test_what_a_dead_process_was_sending_is_sent_by_another_with_the_same_id(
    hooks: Hooks, world: World, receiver: Receiver
) -> None:
    hooks.set(receiver.url)
    world.enrol()
    hooks.follower.follow(SHOP)
    now = world.now_ms
    (taken,) = world.store.claim_deliveries(SHOP, "mail", now=now, until=now + CLAIM_MS, limit=9)  # type: ignore[arg-type]
    hooks.deliver()
    assert receiver.all == []
    world.now_ms += CLAIM_MS
    hooks.deliver()
    assert receiver.taken[0].id == taken.event.message_id


def test_endpoints_are_told_of_what_they_asked_for(hooks: Hooks, world: World, receiver: Receiver) -> None:
    hooks.set(receiver.url, event_types=("tier.changed", "member.erased"))
    world.sell(world.enrol(), 1_000)
    hooks.deliver()
    assert [one.message["type"] for one in receiver.taken] == ["tier.changed"]


def test_messages_since_an_instant_are_sent_once_more_in_order(
    hooks: Hooks, world: World, receiver: Receiver
) -> None:
    hooks.set(receiver.url)
    member = world.enrol()
    hooks.deliver()
    world.now_ms += 1_000
    since = world.now_ms
    for _ in range(3):
        world.sell(member, 100)
    hooks.deliver()
    ids = [one.id for one in receiver.taken[1:]]
    assert hooks.replay(since_ms=since) == 4
    hooks.deliver()
    assert [one.id for one in receiver.taken[5:]] == ids


def test_a_message_says_nothing_of_who_a_member_is(hooks: Hooks, world: World, receiver: Receiver) -> None:
    hooks.set(receiver.url)
    world.sell(world.enrol("eve.canary@example.org"), 1_000)
    hooks.deliver()
    sent = json.dumps([[one.headers, one.body.decode()] for one in receiver.all])
    assert "canary" not in sent
    assert len(receiver.all) == 3


def test_a_damaged_key_stops_its_endpoint_and_no_other(
    hooks: Hooks, world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    hooks.set(receiver.url, "a-broken")
    hooks.set(receiver.url, "well")
    endpoint = world.store.endpoint(SHOP, "a-broken")
    well = world.store.endpoint(SHOP, "well")
    assert endpoint is not None
    assert well is not None
    from dataclasses import replace

    from tallystick.service.events import here

    place = here(world.store, SHOP, hooks.follower._now_ms())
    broken = replace(endpoint, sealed_key=well.sealed_key)
    world.store.put_endpoint(SHOP, broken, here=place, now=hooks.follower._now_ms())
    world.enrol()
    hooks.deliver()
    assert len(receiver.taken) == 1
    assert "an endpoint waits" in caplog.text
    assert hooks.messages("a-broken")[0].state is WAITING


def test_a_program_in_which_it_fails_keeps_no_other_one_waiting(
    hooks: Hooks, world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = hooks.follower.follow

    def of_shop_alone(program_id: ProgramId) -> int:
        if program_id == OTHER:
            raise RuntimeError
        return follow(program_id)

    monkeypatch.setattr(hooks.follower, "follow", of_shop_alone)
    hooks.set(receiver.url)
    world.enrol()
    hooks.deliver()
    assert [one.state for one in hooks.messages()] == [DELIVERED]


def test_what_was_delivered_is_forgotten_after_thirty_days_in_every_program_however_much_it_is(
    hooks: Hooks, world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Uptime()
    monkeypatch.setattr(worker, "time", clock)
    monkeypatch.setattr(memory_events, "FORGET_PAGE", 2)
    hooks.set(receiver.url)
    for _ in range(5):
        world.enrol()
    process = hooks.fresh()
    hooks.deliver(process)
    world.now_ms += 31 * 24 * HOUR_MS
    hooks.deliver(process)
    assert [one.state for one in hooks.messages()] == [DELIVERED] * 5, "it was looked at a moment ago"
    clock.s += delivery_module.FORGET_EVERY_S
    left = []
    for _ in range(4):
        hooks.deliver(process)
        left.append(len(hooks.messages()))
    assert left == [3, 1, 0, 0], "a page a round: what is to be sent does not wait for it"


def test_the_thread_delivers_by_itself_and_ends_at_once(
    hooks: Hooks, world: World, receiver: Receiver
) -> None:
    hooks.set(receiver.url)
    process = hooks.fresh()
    process._every_s = 0.05
    process.start()
    world.sell(world.enrol(), 1_000)
    receiver.wait_for(3)
    began = time.monotonic()
    process.close()
    assert time.monotonic() - began < 3
    world.enrol()
    time.sleep(0.2)
    assert len(receiver.all) == 3


def test_a_process_that_ends_does_not_wait_for_a_receiver_that_hangs(
    hooks: Hooks, world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "CLOSE_S", 0.2)
    hooks.timeout_s = 30.0
    receiver.answer = receiver.hang
    hooks.set(receiver.url)
    world.enrol()
    process = hooks.fresh()
    process.start()
    while not receiver.all:
        time.sleep(0.01)
    began = time.monotonic()
    process.close()
    assert time.monotonic() - began < 3
    assert hooks.messages()[0].state is WAITING
