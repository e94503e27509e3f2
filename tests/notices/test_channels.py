"""The channels, each against a real server of its kind: mails, push messages, text messages, events, wallets."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2
from standardwebhooks import Webhook

from tallystick.cards.apple_pass import Look, PassIds, pass_document
from tallystick.cards.google_objects import loyalty_object
from tallystick.core.ids import MemberId, Ms
from tallystick.core.rules.notifications import Occasion
from tallystick.events.carriers import HttpSms, WalletNews, WebhookEvents, WebPush
from tallystick.events.http_post import HttpPost
from tallystick.mail.notices import MailNotices
from tallystick.mail.smtp import SmtpSettings
from tallystick.rpc.notice_pages import NoticePages
from tallystick.security.web_push import application_key
from tallystick.service.event_store import Endpoint, EventPlace, Signing
from tallystick.service.notices import Carrier, Notice, Outcome, Recipient
from tallystick.service.notification_ports import NoteState, Notification, Way
from tallystick.service.wallet_store import Wallet
from tallystick.service.wallets import MemberCode
from tallystick.v1 import notification_pb2 as pb
from tests.mail.servers import Inbox, mail_server
from tests.notices.browser import Browser
from tests.notices.world import ADA, EMAIL, PUSH, SMS, Club, Tray, telling
from tests.rpc.handlers.world import APP, SHOP, Caller
from tests.webhooks.receiver import Receiver

SECRET = b"s" * 32


class Later:
    """A channel that is wired once the club is there: it needs the club's store and keys."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.real: Carrier | None = None

    async def send(self, notice: Notice, recipient: Recipient) -> Outcome:
        assert self.real is not None
        return await self.real.send(notice, recipient)


@pytest.fixture
def open_club(tmp_path: Path) -> Iterator[Callable[..., Club]]:
    clubs: list[Club] = []

    def opened(way: Way, make: Callable[[Club], Carrier], *others: Carrier, **section: str) -> Club:
        later = Later(way)
        section_text = telling("redemption", "points_earned", **section)
        club = Club(tmp_path, section_text, carriers=[later, *others])
        later.real = make(club)
        club.turn()
        clubs.append(club)
        return club

    yield opened
    for club in clubs:
        club.close()


def by_mail(port: int) -> Callable[[Club], Carrier]:
    settings = SmtpSettings(host="localhost", port=port, tls="none", sender="Nordvik <card@example.org>")
    return lambda club: MailNotices(
        settings, stop_url=club.gateway.notifications.stop_url, clock=lambda: club.now_ms / 1000
    )


def parts(mail: EmailMessage) -> tuple[str, str]:
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def test_a_mail_says_it_as_text_and_as_a_page_and_can_be_ended(open_club: Callable[..., Club]) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        club = open_club(Way.EMAIL, by_mail(port))
        ada = club.join(EMAIL, language="sv")
        club.buys(ada, 1_000)
        club.turn()
        (mail,) = inbox.mails
    assert (mail["From"], mail["To"]) == ("Nordvik <card@example.org>", ADA)
    assert mail["Subject"] == "Intjänade poäng: 10"
    (note,) = club.notes(ada)
    assert mail["Message-ID"] == f"<{note.notification_id}@example.org>"
    assert (mail["Auto-Submitted"], mail["Content-Language"]) == ("auto-generated", "sv")
    plain, html = parts(mail)
    assert plain.startswith("Du har tjänat poäng hos Shop: 10. Ditt saldo: 10.")
    assert '<html lang="sv">' in html
    assert "Du har tjänat poäng hos Shop: 10." in html
    link = str(mail["List-Unsubscribe"])
    assert link[1:-1] in plain
    assert re.fullmatch(r"<https://points\.example/notices/shop/[A-Za-z0-9_-]+\?lang=sv>", link)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def asked(club: Club, url: str, method: str, body: bytes = b"") -> tuple[int, dict[str, str], str]:
    """Do as a mail program or a browser does with a link."""
    path, _, query = url.removeprefix("https://points.example").partition("?")
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": []}
    asyncio.run(NoticePages(club.gateway.notifications, club.gateway.pool)(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"].decode()


def link_of(mail: EmailMessage) -> str:
    return str(mail["List-Unsubscribe"])[1:-1]


def test_one_click_ends_mails_of_that_kind_and_looking_at_the_link_does_not(
    open_club: Callable[..., Club],
) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        club = open_club(Way.EMAIL, by_mail(port))
        ada = club.join(EMAIL, PUSH)
        club.buys(ada, 1_000)
        club.turn()
        url = link_of(inbox.mails[0])
        status, headers, page = asked(club, url, "GET")
        assert (status, "<form" in page, "Shop" in page) == (200, True, True)
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert asked(club, url, "HEAD")[2] == ""
        club.buys(ada, 2_000)
        club.turn()
        assert len(inbox.mails) == 2
        assert asked(club, url, "POST", b"List-Unsubscribe=One-Click")[0] == 200
        # A second time is no other thing.
        assert asked(club, url, "POST", b"List-Unsubscribe=One-Click")[0] == 200
        club.buys(ada, 3_000)
        club.turn()
        assert len(inbox.mails) == 2
    stands = {
        (one.purpose.name, one.channel.name): one.granted for one in club.gateway.consents.all_of(SHOP, ada)
    }
    assert (stands["POINTS", "EMAIL"], stands["POINTS", "PUSH"]) == (False, True)
    last = club.gateway.consents.history(SHOP, ada)[-1]
    assert (last.by_role, last.by_device) == (1, "link in a mail")


def test_a_link_that_was_not_made_here_ends_nothing(open_club: Callable[..., Club]) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        club = open_club(Way.EMAIL, by_mail(port))
        ada = club.join(EMAIL)
        club.buys(ada, 1_000)
        club.turn()
    url = link_of(inbox.mails[0])
    path, _, query = url.partition("?")
    bent = path[:-1] + ("A" if path[-1] != "A" else "B")
    for wrong in (
        bent,
        path.replace("/shop/", "/other/"),
        path.rsplit("/", 1)[0] + "/",
        path + "x" * 200,
        "https://points.example/notices/",
    ):
        assert asked(club, f"{wrong}?{query}", "POST")[0] == 404, wrong
    assert asked(club, url, "DELETE")[0] == 405
    assert asked(club, url, "POST", b"x" * 5_000)[0] == 413
    assert len(club.gateway.consents.history(SHOP, ada)) == 1


def test_a_mail_about_a_new_device_cannot_be_ended_and_says_why(open_club: Callable[..., Club]) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        club = open_club(Way.EMAIL, by_mail(port))
        ada = club.join()
        club.device(ada)
        club.device(ada)
        club.turn()
        (mail,) = inbox.mails
    assert mail["List-Unsubscribe"] is None
    assert "whatever you have chosen" in parts(mail)[0]


def test_an_address_that_takes_no_mails_is_dropped_and_one_that_is_busy_waits(
    open_club: Callable[..., Club],
) -> None:
    inbox = Inbox("550 5.1.1 no such user ada@example.org", "450 4.2.0 greylisted")
    with mail_server(inbox) as port:
        club = open_club(Way.EMAIL, by_mail(port))
        ada, bob = club.join(EMAIL), club.join(EMAIL)
        club.buys(ada, 1_000)
        club.turn()
        club.buys(bob, 1_000)
        club.turn()
        (first,), (second,) = club.notes(ada), club.notes(bob)
        assert (first.state, first.answer) == (NoteState.DROPPED, "SMTPRecipientsRefused 550")
        assert (second.state, second.answer) == (NoteState.WAITING, "SMTPRecipientsRefused 450")
        club.wait(minutes=1)
        club.turn()
        (second,) = club.notes(bob)
        assert (second.state, second.tries) == (NoteState.SENT, 2)


def by_push(club: Club) -> Carrier:
    key = application_key(club.keys.notice_key)
    now = lambda: Ms(club.now_ms)  # noqa: E731
    return WebPush(
        club.store, HttpPost(private=True), key=lambda: key, contact="mailto:a@b.example", now_ms=now
    )


@pytest.fixture
def service() -> Iterator[Receiver]:
    with Receiver(lambda _: 201) as receiver:
        yield receiver


def pushed(club: Club, service: Receiver, *, devices: int = 1) -> tuple[MemberId, list[Browser]]:
    """A member whose devices have subscribed."""
    ada = club.join(PUSH)
    browsers = [Browser(service, ada, club.device(ada)) for _ in range(devices)]
    club.turn()
    for browser in browsers:
        club.send(browser.subscription(), browser.caller)
    return ada, browsers


def earned(club: Club, member_id: MemberId) -> list[Notification]:
    return [note for note in club.notes(member_id) if note.occasion is Occasion.POINTS_EARNED]


def key_of(club: Club, browser: Browser) -> pb.GetPushKeyResponse:
    answer: pb.GetPushKeyResponse = club.send(
        pb.GetPushKeyRequest(member_id=browser.member_id), browser.caller
    )
    return answer


def test_a_push_message_comes_to_all_devices_and_each_reads_its_own(
    open_club: Callable[..., Club], service: Receiver
) -> None:
    club = open_club(Way.PUSH, by_push)
    ada, browsers = pushed(club, service, devices=2)
    club.buys(ada, 1_000)
    club.turn()
    (note,) = earned(club, ada)
    expected = {
        "title": "Points earned: 10",
        "body": "You have earned points at Shop: 10. Your balance: 10.",
        "tag": note.notification_id,
    }
    key = key_of(club, browsers[0]).application_server_key
    assert [one.shown(key) for one in browsers] == [[expected], [expected]]
    assert {one.headers["topic"] for one in service.taken} == {note.notification_id.replace("-", "")}
    assert (note.state, note.way) == (NoteState.SENT, Way.PUSH)


@pytest.mark.parametrize("status", [404, 410])
def test_an_address_that_is_gone_is_forgotten(
    open_club: Callable[..., Club], service: Receiver, status: int
) -> None:
    club = open_club(Way.PUSH, by_push)
    ada, (browser,) = pushed(club, service)
    service.answer = lambda _: status
    club.buys(ada, 1_000)
    club.turn()
    (note,) = club.notes(ada)
    assert (note.state, note.answer) == (NoteState.DROPPED, str(status))
    assert not key_of(club, browser).subscribed


@pytest.mark.parametrize("status", [429, 503, 0])
def test_a_push_service_that_is_busy_is_asked_again(
    open_club: Callable[..., Club], service: Receiver, status: int
) -> None:
    club = open_club(Way.PUSH, by_push)
    ada, (browser,) = pushed(club, service)
    service.answer = lambda _: status
    club.buys(ada, 1_000)
    club.turn()
    (note,) = club.notes(ada)
    assert note.state is NoteState.WAITING
    service.answer = lambda _: 201
    club.wait(minutes=1)
    club.turn()
    assert len(browser.taken) == 1
    assert key_of(club, browser).subscribed


def test_a_device_that_is_revoked_or_has_had_enough_gets_nothing_more(
    open_club: Callable[..., Club], service: Receiver
) -> None:
    club = open_club(Way.PUSH, by_push)
    ada, (first, second) = pushed(club, service, devices=2)
    club.gateway.codes.revoke(SHOP, ada, first.caller.device_id)
    remove = pb.RemovePushSubscriptionRequest(member_id=ada)
    club.send(remove, second.caller)
    club.send(remove, second.caller)
    club.buys(ada, 1_000)
    club.turn()
    assert service.all == []
    (note,) = earned(club, ada)
    assert (note.state, note.answer) == (NoteState.DROPPED, "no device")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"endpoint": "ftp://push.example/a"}, "endpoint"),
        ({"endpoint": "https://user@push.example/a"}, "endpoint"),
        ({"endpoint": "https://"}, "endpoint"),
        ({"endpoint": "https://push.example:port/a"}, "endpoint"),
        ({"p256dh": "A" * 87}, "p256dh"),
    ],
)
def test_what_cannot_be_an_address_is_refused(
    open_club: Callable[..., Club], service: Receiver, wrong: dict[str, str], field: str
) -> None:
    club = open_club(Way.PUSH, by_push)
    _, (browser,) = pushed(club, service)
    refused = club.refused(browser.subscription(**wrong), browser.caller)
    assert (refused.code, refused.reason) == (code_pb2.INVALID_ARGUMENT, "PUSH_ENDPOINT_REFUSED")
    assert refused.violations[0][0] == field


def test_nobody_subscribes_for_another_member(open_club: Callable[..., Club], service: Receiver) -> None:
    club = open_club(Way.PUSH, by_push)
    ada, (browser,) = pushed(club, service)
    other = Caller(APP, store_id="", device_id="kid", member_id=club.join())
    assert club.refused(browser.subscription(), other).reason == "MEMBER_NOT_FOUND"
    assert club.refused(pb.ListNotificationsRequest(member_id=ada), other).reason == "MEMBER_NOT_FOUND"


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
        (400, NoteState.DROPPED),
        (401, NoteState.WAITING),
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
