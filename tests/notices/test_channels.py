"""The other channels, each against a real server of its kind: text messages, events, wallets."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from standardwebhooks import Webhook

from tallystick.cards.apple_pass import Look, PassIds, pass_document
from tallystick.cards.google_objects import loyalty_object
from tallystick.core.ids import MemberId, Ms
from tallystick.events.carriers import HttpSms, WalletNews, WebhookEvents
from tallystick.events.http_post import HttpPost
from tallystick.service.event_store import Endpoint, EventPlace, Signing
from tallystick.service.notices import Carrier
from tallystick.service.notification_ports import NoteState, Way
from tallystick.service.wallet_store import Wallet
from tallystick.service.wallets import MemberCode
from tests.notices.world import EMAIL, PUSH, SMS, Club, Tray
from tests.rpc.handlers.world import SHOP
from tests.webhooks.receiver import Receiver

SECRET = b"s" * 32


def test_a_text_message_goes_to_the_service_signed_and_with_its_id(open_club: Callable[..., Club]) -> None:
    with Receiver(lambda _: 202) as receiver:
        club = open_club(
            Way.SMS,
            lambda club: HttpSms(
                HttpPost(private=True), receiver.url, SECRET, now_ms=lambda: Ms(club.now_ms)
            ),
        )
        ada = club.join(SMS, language="pl", phone="+48123456789")
        club.buys(ada, 1_000)
        club.turn()
        (got,) = receiver.taken
    (note,) = club.notes(ada)
    assert got.message == {
        "id": note.notification_id,
        "to": "+48123456789",
        "text": "Punkty zdobyte w Shop: 10. Twoje saldo: 10.",
        "language": "pl",
        "programId": "shop",
    }
    signed = dict(got.headers)
    verifier = Webhook(base64.b64encode(SECRET).decode())
    # The library takes only what is younger than five minutes; the club's clock is its own.
    signature = verifier.sign(
        signed["webhook-id"], _instant(int(signed["webhook-timestamp"])), got.body.decode()
    )
    assert signed["webhook-signature"] == signature
    assert (note.state, note.answer) == (NoteState.SENT, "202")


def _instant(at_s: int) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_s, UTC)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (302, NoteState.WAITING),
        (400, NoteState.DROPPED),
        (401, NoteState.WAITING),
        (403, NoteState.WAITING),
        (408, NoteState.WAITING),
        (429, NoteState.WAITING),
        (500, NoteState.WAITING),
        (0, NoteState.WAITING),
    ],
)
def test_a_number_that_is_refused_is_dropped_and_a_service_with_troubles_asked_again(
    open_club: Callable[..., Club], status: int, state: NoteState
) -> None:
    with Receiver(lambda _: status) as receiver:
        club = open_club(
            Way.SMS,
            lambda club: HttpSms(
                HttpPost(private=True), receiver.url, SECRET, now_ms=lambda: Ms(club.now_ms)
            ),
        )
        ada = club.join(SMS)
        club.buys(ada, 1_000)
        club.turn()
    assert [note.state for note in club.notes(ada)] == [state]


def test_a_sender_of_the_retailers_own_hears_what_is_due_and_by_what_it_may_go(
    open_club: Callable[..., Club],
) -> None:
    club = open_club(Way.WEBHOOK, lambda club: WebhookEvents(club.store, now_ms=lambda: Ms(club.now_ms)))
    ada = club.join(EMAIL, SMS, language="lv")
    club.buys(ada, 1_000)
    club.turn()
    assert [(note.state, note.answer) for note in club.notes(ada)] == [(NoteState.DROPPED, "no endpoint")]
    endpoint = Endpoint("crm", "https://crm.example", ("notification.due",), Signing.HMAC, b"sealed")
    here = EventPlace({}, Ms(club.now_ms), Ms(club.now_ms))
    club.store.put_endpoint(SHOP, endpoint, here=here, now=Ms(club.now_ms))
    club.wait(minutes=1)
    club.buys(ada, 2_000)
    club.turn()
    now = Ms(club.now_ms)
    (due,) = club.store.claim_deliveries(SHOP, "crm", now=now, until=now, limit=9)
    said = json.loads(due.event.body)
    note = club.notes(ada)[-1]
    assert said["type"] == "notification.due"
    assert said["data"] == {
        "memberId": ada,
        "notificationId": note.notification_id,
        "occasion": "points_earned",
        "language": "lv",
        "title": "Nopelnītie punkti: 20",
        "text": "Jūs nopelnījāt punktus programmā Shop: 20. Jūsu atlikums: 30.",
        "values": {"points": "20", "balance": "30"},
        "channels": ["email", "sms"],
        "staleAt": "2026-03-02T12:01:00Z",
    }
    assert due.event.member_id == ada


def by_wallet(club: Club) -> Carrier:
    return WalletNews(club.store, now_ms=lambda: Ms(club.now_ms))


def test_a_pass_shows_the_message_and_its_phone_hears_of_it(open_club: Callable[..., Club]) -> None:
    club = open_club(Way.WALLET, by_wallet)
    ada = club.join(PUSH)
    found, _ = club.gateway.wallets.issue(SHOP, ada, Wallet.APPLE)
    club.gateway.wallets.register(SHOP, found, device_id="phone", push_token="ab" * 32)
    assert news_on(club, ada) == ""
    club.buys(ada, 1_000)
    club.turn()
    (note,) = club.notes(ada)
    assert (note.state, note.way) == (NoteState.SENT, Way.WALLET)
    assert news_on(club, ada) == "You have earned points at Shop: 10. Your balance: 10."
    (told,) = club.gateway.wallets.due(SHOP)
    assert (told.serial, told.tag > found.tag) == (found.serial, True)
    shown = loyalty_object("1", "s", club.gateway.wallets.card(SHOP, ada), MemberCode("1"), notify=True)
    assert shown["textModulesData"][-1]["body"] == news_on(club, ada)
    club.wait(days=31)
    assert news_on(club, ada) == ""


def news_on(club: Club, member_id: MemberId) -> str:
    card = club.gateway.wallets.card(SHOP, member_id)
    ids = PassIds(pass_type="pass.test", team="T", serial="s", token="t")
    document = pass_document(card, MemberCode("1"), ids, Look(organization="N"))
    (field,) = [one for one in document["storeCard"]["backFields"] if one["key"] == "news"]
    assert field["changeMessage"] == "%@"
    return str(field["value"])


def test_a_member_without_a_pass_is_told_another_way(open_club: Callable[..., Club]) -> None:
    club = open_club(Way.WALLET, by_wallet)
    ada = club.join(PUSH)
    club.buys(ada, 1_000)
    club.turn()
    assert [(note.state, note.answer) for note in club.notes(ada)] == [(NoteState.DROPPED, "no pass")]


@pytest.mark.parametrize("was_added", [False, True])
def test_a_pass_that_is_on_no_phone_leaves_the_message_to_the_next_channel(
    open_club: Callable[..., Club], was_added: bool
) -> None:
    mail = Tray(Way.EMAIL)
    club = open_club(Way.WALLET, by_wallet, mail)
    ada, wallets = club.join(PUSH, EMAIL), club.gateway.wallets
    found, _ = wallets.issue(SHOP, ada, Wallet.APPLE)
    if was_added:
        wallets.register(SHOP, found, device_id="phone", push_token="ab" * 32)
        wallets.unregister(SHOP, found, device_id="phone")
    club.buys(ada, 1_000)
    club.turn()
    assert mail.titles == ["Points earned: 10"]
    club.say(ada, EMAIL, granted=False)
    club.wait(minutes=1)
    club.buys(ada, 1_000)
    club.turn()
    last = club.notes(ada)[-1]
    assert (last.state, last.answer) == (NoteState.DROPPED, "no phone")


def test_a_pass_in_google_wallet_takes_the_message_as_nobody_says_whether_it_was_saved(
    open_club: Callable[..., Club],
) -> None:
    mail = Tray(Way.EMAIL)
    club = open_club(Way.WALLET, by_wallet, mail)
    ada = club.join(PUSH, EMAIL)
    for wallet in Wallet:
        club.gateway.wallets.issue(SHOP, ada, wallet)
    club.buys(ada, 1_000)
    club.turn()
    assert [(note.state, note.way) for note in club.notes(ada)] == [(NoteState.SENT, Way.WALLET)]
    assert mail.titles == []
