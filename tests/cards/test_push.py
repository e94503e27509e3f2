"""Pushes to phones, against a push service on this machine; and that every change reaches every phone."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tallystick.cards.apns import Apns
from tallystick.cards.apple import ApplePasses
from tallystick.cards.apple_keys import make_demo_signer
from tallystick.cards.apple_service import AppleService
from tallystick.cards.apple_signing import PassSigner
from tallystick.cards.delivery import Delivery
from tallystick.cards.pushes import Became, PushUnavailable
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.wallet_store import Registration
from tests.cards.bundles import document
from tests.cards.phone import Phone
from tests.cards.push_service import PushService
from tests.service.paper_till import OTHER, SHOP, Shop

TOPIC = "pass.org.example.tallystick"
TOKENS = [f"{number:064x}" for number in range(10)]


@pytest.fixture
def service(tmp_path: Path, signer: PassSigner) -> Iterator[PushService]:
    with PushService(tmp_path, signer) as running:
        yield running


@pytest.fixture
def apns(service: PushService) -> Iterator[Apns]:
    made = Apns("127.0.0.1", service.port, context=service.client_context(), topic=TOPIC)
    yield made
    made.close()


def test_a_push_is_an_empty_object_for_the_topic_by_the_certificate(service: PushService, apns: Apns) -> None:
    (pushed,) = apns.push(TOKENS[:1])
    assert pushed.became is Became.SENT
    (request,) = service.taken
    assert request.body == b"{}"
    assert request.headers[":method"] == "POST"
    assert request.headers[":path"] == f"/3/device/{TOKENS[0]}"
    assert request.headers["apns-topic"] == TOPIC
    assert TOPIC in request.subject


def test_many_pushes_share_one_connection_and_keep_to_its_limit(service: PushService, apns: Apns) -> None:
    apns.push(TOKENS[:1])
    answers = apns.push(TOKENS)
    assert [(one.push_token, one.became) for one in answers] == [(token, Became.SENT) for token in TOKENS]
    assert service.connections == 1
    assert sorted({one.push_token for one in service.taken}) == TOKENS


@pytest.mark.parametrize(
    ("status", "body", "became"),
    [
        (410, {"reason": "Unregistered", "timestamp": 1_700_000_000_000}, Became.GONE),
        (400, {"reason": "BadDeviceToken"}, Became.GONE),
        (400, {"reason": "BadTopic"}, Became.REFUSED),
        (403, {"reason": "BadCertificate"}, Became.REFUSED),
        (429, {"reason": "TooManyRequests"}, Became.LATER),
        (500, {}, Became.LATER),
        (503, {"reason": "Shutdown"}, Became.LATER),
    ],
)
def test_every_answer_is_understood(
    status: int, body: dict[str, object], became: Became, service: PushService, apns: Apns
) -> None:
    service.say = lambda _: (status, body)
    (pushed,) = apns.push(TOKENS[:1])
    assert (pushed.became, pushed.reason) == (became, body.get("reason", ""))
    assert pushed.gone_ms == body.get("timestamp", 0)


def test_what_got_no_answer_is_to_be_tried_again_on_a_new_connection(
    service: PushService, apns: Apns
) -> None:
    service.say = lambda _: None
    assert [one.became for one in apns.push(TOKENS[:2])] == [Became.LATER, Became.LATER]
    service.say = lambda _: (200, {})
    assert [one.became for one in apns.push(TOKENS[:2])] == [Became.SENT, Became.SENT]
    assert service.connections == 2


def test_a_push_service_that_is_away_says_so(signer: PassSigner, tmp_path: Path) -> None:
    with PushService(tmp_path, signer) as gone:
        context, port = gone.client_context(), gone.port
    with pytest.raises(PushUnavailable, match="cannot be reached"):
        Apns("127.0.0.1", port, context=context, topic=TOPIC).push(TOKENS)


def test_a_server_without_http_2_is_no_push_service(signer: PassSigner, tmp_path: Path) -> None:
    with PushService(tmp_path, signer, protocol="http/1.1") as old:
        apns = Apns("127.0.0.1", old.port, context=old.client_context(), topic=TOPIC)
        with pytest.raises(PushUnavailable, match="HTTP/2"):
            apns.push(TOKENS)


def test_a_certificate_that_the_service_does_not_know_pushes_nothing(
    signer: PassSigner, service: PushService
) -> None:
    stranger = make_demo_signer(now=datetime.now(UTC))
    apns = Apns("127.0.0.1", service.port, context=service.client_context(stranger), topic=TOPIC)
    assert [one.became for one in apns.push(TOKENS[:1])] == [Became.LATER]
    assert service.taken == []


class Street:
    """A shop, phones with passes of its members, and the delivery between them."""

    def __init__(self, shop: Shop, passes: ApplePasses, apns: Apns) -> None:
        self.shop = shop
        self.passes = passes
        self.web = AppleService(shop.gateway.wallets, passes, shop.gateway.pool)
        self.delivery = Delivery(
            shop.gateway.store, shop.gateway.wallets, apple=apns, now_ms=lambda: Ms(shop.now_ms)
        )

    def phone(self, number: int, points: int = 500) -> tuple[Phone, MemberId, str, str]:
        member_id = MemberId(self.shop.member(points=points))
        # Members that are new look changed for a while; here only what comes later counts.
        self.shop.now_ms += 60_000
        shown = document(self.passes.issue(SHOP, member_id).data)
        serial, token = shown["serialNumber"], shown["authenticationToken"]
        phone = Phone(
            self.web, SHOP, self.passes.pass_type, device=f"device-{number}", push_token=TOKENS[number]
        )
        assert phone.register(serial, token) == 201
        return phone, member_id, serial, token


@pytest.fixture
def street(shop: Shop, passes: ApplePasses, apns: Apns) -> Street:
    return Street(shop, passes, apns)


def told(service: PushService) -> list[int]:
    """The phones that were told since the last look."""
    found = [TOKENS.index(one.push_token) for one in service.taken]
    service.taken.clear()
    return found


def test_a_burn_tells_the_members_phone_once_and_no_other(street: Street, service: PushService) -> None:
    _, ann, _, _ = street.phone(1)
    street.phone(2)
    street.delivery.step()
    told(service)
    street.shop.burn(ann, 100)
    assert street.delivery.step() == 1
    assert told(service) == [1]
    assert street.delivery.step() == 0
    assert told(service) == []


def test_what_a_phone_fetches_behind_a_push_is_what_was_burned(street: Street, service: PushService) -> None:
    phone, ann, serial, token = street.phone(1)
    tag = "0"
    for left in (400, 300):
        street.shop.burn(ann, 100)
        street.delivery.step()
        assert told(service) == [1]
        news = json.loads(phone.changed(tag).body)
        assert news["serialNumbers"] == [serial]
        tag = news["lastUpdated"]
        assert document(phone.fetch(serial, token).body)["storeCard"]["primaryFields"][0]["value"] == left


def test_a_phone_that_is_gone_is_forgotten(street: Street, service: PushService) -> None:
    _, ann, serial, _ = street.phone(1)
    service.say = lambda _: (410, {"reason": "Unregistered", "timestamp": street.shop.now_ms})
    street.shop.burn(ann, 100)
    assert street.delivery.step() == 1
    assert street.shop.store.registrations(SHOP, serial) == []


def test_a_phone_that_came_back_after_it_was_gone_is_kept(street: Street, service: PushService) -> None:
    _, ann, serial, _ = street.phone(1)
    gone_ms = street.shop.now_ms - 1
    service.say = lambda _: (410, {"reason": "Unregistered", "timestamp": gone_ms})
    street.shop.burn(ann, 100)
    street.delivery.step()
    assert len(street.shop.store.registrations(SHOP, serial)) == 1


def test_a_push_that_failed_is_tried_again_and_longer_each_time(
    street: Street, service: PushService, caplog: pytest.LogCaptureFixture
) -> None:
    _, ann, _, _ = street.phone(1)
    street.shop.burn(ann, 100)
    service.say = lambda _: (503, {"reason": "Shutdown"})
    waits = []
    for _ in range(3):
        assert street.delivery.step() == 0
        before = street.shop.now_ms
        while not told(service):
            street.shop.now_ms += 500
            street.delivery.step()
        waits.append(street.shop.now_ms - before)
    assert waits == sorted(waits)
    service.say = lambda _: (200, {})
    street.shop.now_ms += 3_600_000
    assert street.delivery.step() == 1
    assert told(service) == [1]


def test_a_refusal_is_said_loudly_without_the_address_of_the_phone(
    street: Street, service: PushService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _, ann, serial, token = street.phone(1)
    service.say = lambda _: (403, {"reason": "BadCertificate"})
    street.shop.burn(ann, 100)
    assert street.delivery.step() == 0
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert vars(record)["reason"] == "BadCertificate"
    logged = "\n".join(str(vars(one)) for one in caplog.records if one.name.startswith("tallystick"))
    for secret in (TOKENS[1], serial, token):
        assert secret not in logged


def test_a_process_that_dies_between_journal_and_push_is_followed_by_another(
    street: Street, service: PushService, apns: Apns
) -> None:
    _, ann, _, _ = street.phone(1)
    street.shop.burn(ann, 100)
    # It has followed the journal and taken the pass, and is gone.
    street.shop.gateway.wallets.follow(SHOP)
    assert len(street.shop.gateway.wallets.due(SHOP)) == 1
    other = Street(street.shop, street.passes, apns).delivery
    assert other.step() == 0
    street.shop.now_ms += 60_000
    assert other.step() == 1
    assert told(service) == [1]


def test_a_program_or_a_pass_in_which_it_fails_keeps_no_other_one_waiting(
    street: Street, service: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [street.phone(number) for number in (1, 2, 3)]
    street.delivery.step()
    told(service)
    serials = {serial: number for number, (_, _, serial, _) in enumerate(made, 1)}
    first, *others = sorted(serials)
    store, wallets = street.shop.store, street.shop.gateway.wallets
    registrations, follow = store.registrations, wallets.follow

    def of_others(program_id: ProgramId, serial: str) -> list[Registration]:
        if serial == first:
            raise RuntimeError
        return registrations(program_id, serial)

    def of_shop(program_id: ProgramId) -> bool:
        if program_id == OTHER:
            raise RuntimeError
        return follow(program_id)

    monkeypatch.setattr(store, "registrations", of_others)
    monkeypatch.setattr(wallets, "follow", of_shop)
    for _, member_id, _, _ in made:
        street.shop.burn(member_id, 100)
    assert street.delivery.step() == 2
    assert sorted(told(service)) == sorted(serials[one] for one in others)
    monkeypatch.undo()
    street.shop.now_ms += 2_000
    assert street.delivery.step() == 1
    assert told(service) == [serials[first]]


def test_an_erased_members_phone_is_told_once_and_then_forgotten(
    street: Street, service: PushService
) -> None:
    phone, ann, serial, token = street.phone(1)
    street.shop.gateway.members.erase(SHOP, ann)
    assert street.delivery.step() == 1
    assert told(service) == [1]
    assert street.shop.store.registrations(SHOP, serial) == []
    assert document(phone.fetch(serial, token).body)["voided"] is True


def test_a_changed_member_is_told_of_once_although_changes_are_looked_back_for(
    street: Street, service: PushService
) -> None:
    _, ann, _, _ = street.phone(1)
    street.shop.gateway.members.set_blocked(SHOP, ann, blocked=True)
    for _ in range(5):
        street.shop.now_ms += 2_000
        street.delivery.step()
    assert told(service) == [1]


def test_a_restored_database_makes_every_pass_be_fetched_anew(street: Street, service: PushService) -> None:
    street.phone(1)
    place = street.shop.store.wallet_place(SHOP)
    assert place is not None
    ahead = {lane: seq + 10_000 for lane, seq in street.shop.store.read_journal_heads(SHOP).items()}
    street.shop.store.move_place(SHOP, replace(place, lanes=ahead), set(), now=Ms(street.shop.now_ms))
    assert street.delivery.step() == 1
    assert told(service) == [1]
