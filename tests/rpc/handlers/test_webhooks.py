"""Who is told of events: making, changing and ending endpoints, and what became of their messages."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from google.rpc import code_pb2

from tallystick.core.ids import MemberId, Ms
from tallystick.service.event_store import WEBHOOKS_MAX, DeliveryState, Event, Tried
from tallystick.service.webhooks import is_public
from tallystick.v1 import webshop_pb2 as pb
from tests.rpc.handlers.world import ADMIN, OTHER, SHOP, Caller, World, everything_stored, new_id

BOSS = Caller(ADMIN)
URL = "https://hooks.example/points?from=tallystick"
HMAC, ED25519 = pb.WEBHOOK_SIGNING_HMAC, pb.WEBHOOK_SIGNING_ED25519


def hook(world: World, name: str = "mail", *, caller: Caller = BOSS, **more: Any) -> Any:
    values = {"url": URL, "signing": HMAC, **more}
    return world.send(pb.SetWebhookRequest(webhook_id=name, **values), caller).webhook


def hooks(world: World, caller: Caller = BOSS) -> list[Any]:
    return list(world.send(pb.ListWebhooksRequest(), caller).webhooks)


def queue(world: World, count: int, *, member: str = "") -> None:
    place = world.store.event_place(SHOP)
    assert place is not None
    made = [
        Event(f"evt_{n}", "entry.posted", MemberId(member or new_id()), Ms(world.now_ms + n), b"{}")
        for n in range(1, count + 1)
    ]
    assert world.store.queue_events(SHOP, made, [], to=place, now=Ms(world.now_ms))


def test_an_endpoint_is_made_and_its_secret_is_shown_once(world: World) -> None:
    made = hook(world, event_types=["tier.changed", "entry.posted"])
    assert made.verification_key.startswith("whsec_")
    assert len(base64.b64decode(made.verification_key.removeprefix("whsec_"))) == 32
    assert (made.state, list(made.event_types)) == (pb.WEBHOOK_STATE_ACTIVE, ["tier.changed", "entry.posted"])
    assert hook(world, url="https://other.example").verification_key == ""
    (listed,) = hooks(world)
    assert (listed.webhook_id, listed.url, listed.verification_key) == ("mail", "https://other.example", "")


def test_a_public_key_may_be_seen_again(world: World) -> None:
    made = hook(world, signing=ED25519)
    assert made.verification_key.startswith("whpk_")
    assert hooks(world)[0].verification_key == made.verification_key


def test_secrets_are_kept_sealed(world: World) -> None:
    secret = base64.b64decode(hook(world).verification_key.removeprefix("whsec_"))
    stored = everything_stored(world.store)
    assert secret.hex() not in stored
    endpoint = world.store.endpoint(SHOP, "mail")
    assert endpoint is not None
    assert endpoint.sealed_key.hex() in stored
    assert [key.secret for key in world.gateway.webhooks.signing_keys(SHOP, endpoint)] == [secret]


def keys(world: World) -> list[str]:
    endpoint = world.store.endpoint(SHOP, "mail")
    assert endpoint is not None
    return [key.verification_key for key in world.gateway.webhooks.signing_keys(SHOP, endpoint)]


@pytest.mark.parametrize("signing", [HMAC, ED25519])
def test_a_new_key_signs_beside_the_old_one_for_a_day(world: World, signing: int) -> None:
    first = hook(world, signing=signing).verification_key
    second = hook(world, signing=signing, rotate_key=True).verification_key
    assert first != second
    assert keys(world) == [second, first]
    world.now_ms += 24 * 3_600_000 - 1
    assert keys(world) == [second, first]
    world.now_ms += 1
    assert keys(world) == [second]


def test_a_change_of_key_whose_answer_was_lost_may_be_repeated(world: World) -> None:
    first = hook(world).verification_key
    hook(world, rotate_key=True)
    third = hook(world, rotate_key=True).verification_key
    assert keys(world) == [third, first]


def test_how_messages_are_signed_stays(world: World) -> None:
    hook(world)
    request = pb.SetWebhookRequest(webhook_id="mail", url=URL, signing=ED25519)
    refused = world.refused(request, BOSS)
    assert refused.violations == [("signing", "must be that of the endpoint")]
    assert hook(world, rotate_key=True).verification_key.startswith("whsec_")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example/x", "https"),
        ("https://user:secret@hooks.example/", "user"),
        ("https://hooks.example/#x", "fragment"),
        ("https://hooks.example/\nx", "spaces"),
        ("https://höoks.example/", "ASCII"),
        ("https://:443/", "host"),
        ("https://hooks.example:99999/", "URL"),
        ("https://[::1/", "URL"),
        ("http://127.0.0.1:8000/", "webhook_private"),
        ("http://localhost/", "webhook_private"),
        ("https://localhost/", "webhook_private"),
        ("https://10.0.0.7/", "webhook_private"),
        ("https://192.168.1.1/", "webhook_private"),
        ("https://169.254.169.254/latest/meta-data", "webhook_private"),
        ("https://[::1]/", "webhook_private"),
        ("https://[::ffff:10.0.0.7]/", "webhook_private"),
        ("https://db.internal/", "webhook_private"),
        ("https://0.0.0.0/", "webhook_private"),
    ],
)
def test_a_url_where_nothing_is_sent_is_refused_with_the_mend(world: World, url: str, why: str) -> None:
    refused = world.refused(pb.SetWebhookRequest(webhook_id="mail", url=url, signing=HMAC), BOSS)
    assert (refused.code, refused.reason) == (code_pb2.INVALID_ARGUMENT, "WEBHOOK_URL_REFUSED")
    ((field, text),) = refused.violations
    assert field == "url"
    assert why in text
    assert hooks(world) == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("::ffff:93.184.216.34", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("224.0.0.1", False),
        ("ff0e::1", False),
        ("0.0.0.0", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        # Of version 6, what nobody has been given in the internet: of a site, of a translator inside, of old.
        ("fec0::1", False),
        ("64:ff9b:1::a00:1", False),
        ("::10.0.0.1", False),
        ("::ffff:0:10.0.0.1", False),
        ("5f00::1", False),
    ],
)
def test_an_address_is_public_when_it_leads_into_the_internet_however_it_is_written(
    address: str, public: bool
) -> None:
    assert is_public(address) is public


def test_an_event_that_there_is_not_is_refused_with_those_that_there_are(world: World) -> None:
    request = pb.SetWebhookRequest(webhook_id="mail", url=URL, signing=HMAC, event_types=["entry.burned"])
    refused = world.refused(request, BOSS)
    ((field, text),) = refused.violations
    assert field == "event_types"
    assert "entry.posted, hold.expired" in text
    assert "not entry.burned" in text


@pytest.mark.parametrize("name", ["", "$nats", "a b", "x" * 65])
def test_a_name_that_is_none_is_refused(world: World, name: str) -> None:
    request = pb.SetWebhookRequest(webhook_id=name, url=URL, signing=HMAC)
    assert world.refused(request, BOSS).reason == "INVALID_INPUT"


def test_one_endpoint_too_many_is_refused(world: World) -> None:
    for number in range(WEBHOOKS_MAX):
        hook(world, f"w{number}")
    refused = world.refused(pb.SetWebhookRequest(webhook_id="more", url=URL, signing=HMAC), BOSS)
    assert (refused.reason, refused.metadata["max"]) == ("LIMIT_REACHED", "50")


def test_a_paused_endpoint_says_so_and_counts_what_waits_and_what_failed(world: World) -> None:
    hook(world)
    queue(world, 3)
    failed = [Tried(2, DeliveryState.FAILED, "500")]
    world.store.note_deliveries(SHOP, "mail", failed, now=Ms(world.now_ms))
    paused = hook(world, paused=True)
    assert (paused.state, paused.waiting, paused.failed) == (pb.WEBHOOK_STATE_PAUSED, 2, 1)
    assert hook(world).state == pb.WEBHOOK_STATE_ACTIVE


def test_messages_are_listed_page_by_page(world: World) -> None:
    hook(world)
    queue(world, 5)
    world.store.note_deliveries(
        SHOP, "mail", [Tried(4, DeliveryState.DELIVERED, "200")], now=Ms(world.now_ms)
    )
    request = pb.ListDeliveriesRequest(webhook_id="mail", page_size=2)
    first = world.send(request, BOSS)
    assert [one.message_id for one in first.deliveries] == ["evt_5", "evt_4"]
    waiting, delivered = first.deliveries
    assert waiting.next_try_at.ToMilliseconds() == world.now_ms
    assert waiting.occurred_at.ToMilliseconds() == world.now_ms + 5
    assert (delivered.state, delivered.tries, delivered.last_answer) == (
        pb.DELIVERY_STATE_DELIVERED,
        1,
        "200",
    )
    assert not delivered.HasField("next_try_at")
    request.page_token = first.next_page_token
    second = world.send(request, BOSS)
    assert [one.message_id for one in second.deliveries] == ["evt_3", "evt_2"]
    request.state = pb.DELIVERY_STATE_WAITING
    assert world.refused(request, BOSS).reason == "PAGE_TOKEN_INVALID"


def test_messages_that_failed_wait_again_when_a_person_asks(world: World) -> None:
    hook(world)
    queue(world, 3)
    failed = [Tried(n, DeliveryState.FAILED, "500") for n in (1, 2)]
    world.store.note_deliveries(SHOP, "mail", failed, now=Ms(world.now_ms))
    assert world.send(pb.ReplayDeliveriesRequest(webhook_id="mail"), BOSS).replayed == 2
    since = pb.ReplayDeliveriesRequest(webhook_id="mail")
    since.since.FromMilliseconds(world.now_ms + 2)
    world.store.note_deliveries(
        SHOP, "mail", [Tried(n, DeliveryState.DELIVERED, "200") for n in (1, 2, 3)], now=Ms(world.now_ms)
    )
    assert world.send(since, BOSS).replayed == 2


def test_what_is_not_there_is_not_found_and_deleting_it_is_done_already(world: World) -> None:
    for request in (pb.ListDeliveriesRequest(webhook_id="x"), pb.ReplayDeliveriesRequest(webhook_id="x")):
        assert world.refused(request, BOSS).reason == "WEBHOOK_NOT_FOUND"
    hook(world)
    for _ in range(2):
        world.send(pb.DeleteWebhookRequest(webhook_id="mail"), BOSS)
    assert hooks(world) == []


def test_the_endpoints_of_another_program_are_out_of_reach(world: World) -> None:
    hook(world)
    foreign = Caller(ADMIN, program_id=OTHER)
    assert hooks(world, foreign) == []
    world.send(pb.DeleteWebhookRequest(webhook_id="mail"), foreign)
    assert world.refused(pb.ReplayDeliveriesRequest(webhook_id="mail"), foreign).reason == "WEBHOOK_NOT_FOUND"
    assert [one.webhook_id for one in hooks(world)] == ["mail"]
