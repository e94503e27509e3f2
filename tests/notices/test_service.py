"""NotificationService: what members and back office see of messages, and messages that are sent on trial."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.rpc import code_pb2

from tallystick.service.notices import Carried
from tallystick.service.notification_ports import Way
from tallystick.v1 import app_pb2, member_pb2
from tallystick.v1 import notification_pb2 as pb
from tests.notices.world import EMAIL, Club, Tray, telling
from tests.rpc.handlers.world import ADMIN, APP, MANAGER, TILL, WEBSHOP, Caller, World

BOSS = Caller(ADMIN, store_id="")


@pytest.fixture
def club(tmp_path: Path) -> Iterator[Club]:
    made = Club(tmp_path, telling("points_earned"), carriers=[Tray(), Tray(Way.SMS)])
    made.turn()
    yield made
    made.close()


def mail_of(club: Club) -> Tray:
    tray = club.carriers[0]
    assert isinstance(tray, Tray)
    return tray


def phone_of(member_id: str) -> Caller:
    return Caller(APP, store_id="", member_id=member_id)


def test_a_member_sees_what_was_told_page_by_page_in_a_language(club: Club) -> None:
    ada = club.join(EMAIL, language="nb")
    for amount in (1_000, 2_000, 3_000):
        club.buys(ada, amount)
        club.turn()
        club.wait(minutes=1)
    request = pb.ListNotificationsRequest(member_id=ada, page_size=2)
    first = club.send(request, phone_of(ada))
    assert [one.title for one in first.notifications] == ["Opptjente poeng: 30", "Opptjente poeng: 20"]
    request.page_token = first.next_page_token
    rest = club.send(request, phone_of(ada))
    assert [one.title for one in rest.notifications] == ["Opptjente poeng: 10"]
    assert not rest.next_page_token
    (one,) = rest.notifications
    assert (one.occasion, one.channel, one.state, one.tries) == (
        pb.NOTIFICATION_OCCASION_POINTS_EARNED,
        pb.NOTIFICATION_CHANNEL_EMAIL,
        pb.NOTIFICATION_STATE_SENT,
        1,
    )
    assert one.HasField("sent_at")
    assert not one.HasField("next_at")
    other = pb.ListNotificationsRequest(member_id=ada, language_code="en-US", page_size=1)
    assert club.send(other, phone_of(ada)).notifications[0].title == "Points earned: 30"


def test_what_was_told_is_in_the_export_and_gone_with_the_member(club: Club) -> None:
    ada = club.join(EMAIL)
    club.buys(ada, 1_000)
    club.turn()
    document = club.send(app_pb2.ExportMemberRequest(member_id=ada), phone_of(ada)).json.decode()
    assert '"notifications":[{"channel":"EMAIL"' in document
    assert '"title":"Points earned: 10"' in document
    club.send(member_pb2.EraseMemberRequest(member_id=ada), BOSS)
    assert club.notes(ada) == []
    refused = club.refused(pb.ListNotificationsRequest(member_id=ada), BOSS)
    assert refused.reason == "MEMBER_NOT_FOUND"


def test_back_office_sees_how_many_messages_became_what(club: Club) -> None:
    ada = club.join(EMAIL)
    mail_of(club).answers = [Carried.SENT, Carried.NO_WAY, Carried.LATER]
    for _ in range(3):
        club.buys(ada, 1_000)
        club.turn()
    stats = club.send(pb.GetNotificationStatsRequest(), Caller(MANAGER))
    earned = pb.NOTIFICATION_OCCASION_POINTS_EARNED
    email, none = pb.NOTIFICATION_CHANNEL_EMAIL, pb.NOTIFICATION_CHANNEL_UNSPECIFIED
    assert [(one.occasion, one.channel, one.state, one.count) for one in stats.counts] == [
        (earned, none, pb.NOTIFICATION_STATE_DROPPED, 1),
        (earned, email, pb.NOTIFICATION_STATE_WAITING, 1),
        (earned, email, pb.NOTIFICATION_STATE_SENT, 1),
    ]
    assert list(stats.channels) == [1, 2, 3, 4, 5]


def test_what_was_given_up_is_listed_without_words_and_can_wait_again(club: Club) -> None:
    ada = club.join(EMAIL)
    mail_of(club).answers = [Carried.LATER] * 9
    club.buys(ada, 1_000)
    for _ in range(7):
        club.turn()
        club.now_ms = max(club.now_ms, club.notes(ada)[0].next_ms)
    listed = club.send(pb.ListFailedNotificationsRequest(), BOSS)
    (one,) = listed.notifications
    assert (one.member_id, one.answer, one.title, one.text) == (ada, "later", "", "")
    sms = pb.RetryNotificationsRequest(channel=pb.NOTIFICATION_CHANNEL_SMS)
    assert club.send(sms, BOSS).retried == 0
    assert club.send(pb.RetryNotificationsRequest(), BOSS).retried == 1
    assert club.send(pb.ListFailedNotificationsRequest(), BOSS).notifications == []


def test_a_message_on_trial_goes_at_once_to_whom_it_is_addressed_and_is_not_kept(club: Club) -> None:
    request = pb.SendTestNotificationRequest(
        address="boss@example.org", occasion=pb.NOTIFICATION_OCCASION_POINTS_EXPIRING, language_code="sv"
    )
    answer = club.send(request, BOSS)
    assert (answer.sent, answer.answer, answer.title) == (True, "sent", "Poäng som snart går ut: 120")
    ((notice, recipient),) = mail_of(club).sent
    assert (recipient.email, notice.text) == ("boss@example.org", answer.text)
    assert "31 december 2026" in answer.text
    request.address = "+46701234567"
    mail_of(club).sent.clear()
    assert club.send(request, BOSS).sent
    assert mail_of(club).sent == []
    assert club.send(pb.GetNotificationStatsRequest(), BOSS).counts == []


def test_where_a_channel_is_not_set_up_that_is_said(tmp_path: Path) -> None:
    world = World(tmp_path)
    try:
        member_id = world.enrol()
        push = world.refused(pb.GetPushKeyRequest(member_id=member_id), phone_of(member_id))
        assert (push.code, push.reason) == (code_pb2.FAILED_PRECONDITION, "PUSH_OFF")
        subscription = pb.SetPushSubscriptionRequest(
            member_id=member_id, endpoint="https://push.example/a", p256dh="A" * 87, auth="A" * 22
        )
        assert world.refused(subscription, phone_of(member_id)).reason == "PUSH_OFF"
        mail = pb.SendTestNotificationRequest(address="a@b.example", occasion=1)  # type: ignore[arg-type]
        refused = world.refused(mail, BOSS)
        assert (refused.code, refused.reason) == (code_pb2.FAILED_PRECONDITION, "CHANNEL_OFF")
        assert refused.metadata["channel"] == "email"
        mail.address = "+46701234567"
        assert world.refused(mail, BOSS).metadata["channel"] == "sms"
    finally:
        world.close()


@pytest.mark.parametrize("role", [TILL, WEBSHOP, MANAGER])
def test_who_only_sells_sends_no_messages(club: Club, role: int) -> None:
    mail = pb.SendTestNotificationRequest(address="a@b.example", occasion=1)  # type: ignore[arg-type]
    for request in (mail, pb.RetryNotificationsRequest()):
        assert club.refused(request, Caller(role)).code == code_pb2.PERMISSION_DENIED


def test_a_public_address_is_demanded_where_private_ones_are_not_allowed(tmp_path: Path) -> None:
    from tallystick.service.notifications import NoticeSettings

    world = World(tmp_path, notices=NoticeSettings(frozenset({Way.PUSH}), "mailto:a@b.example"))
    try:
        member_id = world.enrol()
        for endpoint in (
            "http://push.example/a",
            "https://127.0.0.1/a",
            "https://[::1]/a",
            "https://10.0.0.1/a",
            "https://169.254.169.254/latest",
            "https://localhost/a",
            "https://push.internal/a",
        ):
            request = pb.SetPushSubscriptionRequest(
                member_id=member_id, endpoint=endpoint, p256dh="A" * 87, auth="A" * 22
            )
            refused = world.refused(request, phone_of(member_id))
            assert (refused.reason, refused.violations[0][0]) == ("PUSH_ENDPOINT_REFUSED", "endpoint"), (
                endpoint
            )
    finally:
        world.close()
