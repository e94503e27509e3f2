"""Mails against a real server: what they say, how they are ended, and addresses that take none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest

from tallystick.mail.notices import MailNotices
from tallystick.mail.smtp import SmtpSettings
from tallystick.rpc.notice_pages import NoticePages
from tallystick.service.notices import Carrier
from tallystick.service.notification_ports import NoteState, Way
from tests.mail.servers import Inbox, mail_server
from tests.notices.world import ADA, EMAIL, PUSH, Club
from tests.rpc.handlers.world import SHOP


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


@pytest.mark.parametrize(
    "answer",
    ["554 5.7.1 <ada@example.org>: Relay access denied", "530 5.7.0 Authentication required", "530 login"],
)
def test_a_server_that_takes_no_mails_from_us_is_asked_again_when_that_is_mended(
    open_club: Callable[..., Club], answer: str
) -> None:
    """The address is as good as any: whoever runs the gateway has forgotten the login."""
    inbox = Inbox(answer)
    with mail_server(inbox) as port:
        club = open_club(Way.EMAIL, by_mail(port))
        ada = club.join(EMAIL)
        club.buys(ada, 1_000)
        club.turn()
        (note,) = club.notes(ada)
        assert (note.state, note.answer) == (NoteState.WAITING, f"SMTPRecipientsRefused {answer[:3]}")
        club.wait(minutes=1)
        club.turn()
        assert len(inbox.wait_for()) == 1
