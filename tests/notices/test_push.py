"""Push messages against a real server: sealed for one browser each, and addresses that are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from google.rpc import code_pb2

from tallystick.core.ids import MemberId, Ms
from tallystick.core.rules.notifications import Occasion
from tallystick.events.carriers import WebPush
from tallystick.events.http_post import HttpPost
from tallystick.security.web_push import application_key
from tallystick.service.notices import Carrier
from tallystick.service.notification_ports import NoteState, Notification, Way
from tallystick.v1 import notification_pb2 as pb
from tests.notices.browser import Browser
from tests.notices.world import PUSH, Club
from tests.rpc.handlers.world import APP, SHOP, Caller
from tests.webhooks.receiver import Receiver


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
