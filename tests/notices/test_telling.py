"""What members are told, and when: made once, only with consent, quiet at night, and not too often."""

from __future__ import annotations

import uuid
from pathlib import Path

from google.protobuf.json_format import ParseDict

from tallystick.core.ids import MemberId, Ms
from tallystick.core.rules.notifications import Occasion
from tallystick.core.state import MemberStatus
from tallystick.service.directory import Clock
from tallystick.service.notices import Carried
from tallystick.service.notification_ports import NoteState, Way
from tallystick.service.notification_source import JOURNAL_ROWS
from tallystick.service.reminders import Reminder, ReminderKind
from tallystick.v1 import ledger_pb2
from tests.notices.world import ADA, EMAIL, PUSH, REMINDERS, SMS, Club, Tray, started, telling
from tests.rpc.handlers.world import (
    RULES,
    SHOP,
    WEBSHOP,
    Caller,
    basket_of,
    new_id,
    origin_of,
    sale_request,
)


def test_a_member_who_wants_mails_is_told_of_points_earned(club: Club) -> None:
    ada = club.join(EMAIL, language="sv-SE")
    club.buys(ada, 123_400)
    club.turn()
    assert sorted(club.mail.titles) == [
        "Du har nått Guld",
        "Du kan få: Five off",
        "Intjänade poäng: 1\u00a0234",
    ]
    assert {recipient.email for _, recipient in club.mail.sent} == {ADA}
    assert any("Ditt saldo: 1\u00a0234." in text for text in club.mail.texts)


def test_who_has_consented_to_nothing_is_told_nothing_and_nothing_is_kept(club: Club) -> None:
    ada = club.join()
    club.buys(ada, 100_000)
    club.turn()
    assert club.mail.sent == []
    assert club.notes(ada) == []


def test_what_happened_before_anybody_listened_is_not_told(opened: list[Club], tmp_path: Path) -> None:
    opened.append(Club(tmp_path, telling("points_earned")))
    club = opened[-1]
    ada = club.join(EMAIL)
    club.buys(ada, 1_000)
    club.turn()
    club.turn()
    assert club.mail.sent == []
    club.buys(ada, 2_000)
    club.turn()
    assert club.mail.titles == ["Points earned: 20"]


def test_two_processes_and_a_restored_place_make_a_message_once(club: Club) -> None:
    ada = club.join(EMAIL)
    place = club.store.notification_place(SHOP)
    assert place is not None
    club.buys(ada, 1_000)
    club.turn()
    club.turn()
    # As after a restored backup, or a process that was slower: the same entries once more.
    club.store.put_notification_place(SHOP, place)
    club.turn()
    assert club.mail.titles == ["Points earned: 10"]


def test_points_spent_are_told_with_what_is_left(club: Club) -> None:
    ada = club.join(EMAIL)
    club.buys(ada, 4_000)
    club.turn()
    club.mail.sent.clear()
    club.buys(ada, 1_000, spend={"points": 30})
    club.turn()
    assert "Points spent: 30" in club.mail.titles
    spent = club.mail.texts[club.mail.titles.index("Points spent: 30")]
    assert spent.startswith("You have spent points at Shop: 30. Your balance: 19.")


def test_an_order_that_was_held_and_captured_is_told_as_any_other_sale(club: Club) -> None:
    ada = club.join(EMAIL)
    club.buys(ada, 4_000)
    club.turn()
    club.mail.sent.clear()
    hold_id = club.hold(ada, 30, Caller(WEBSHOP), channel="CHANNEL_WEBSHOP")
    club.turn()
    assert club.mail.sent == []
    capture = {
        "command_id": new_id(),
        "member_id": ada,
        "hold_id": hold_id,
        "basket": basket_of(1_000),
        "origin": origin_of(channel="CHANNEL_WEBSHOP"),
    }
    club.send(ParseDict(capture, ledger_pb2.CaptureRequest()), Caller(WEBSHOP))
    club.turn()
    assert sorted(club.mail.titles) == ["Points earned: 9", "Points spent: 30"]


def test_a_tier_is_told_when_it_is_reached_and_not_again_by_later_sales(club: Club) -> None:
    ada = club.join(EMAIL)
    for amount in (49_000, 2_000, 5_000):
        club.buys(ada, amount)
        club.turn()
        club.wait(minutes=1)
    assert [note.occasion for note in club.notes(ada)].count(Occasion.TIER_REACHED) == 1
    assert "You have reached Guld" in club.mail.titles


def test_a_reward_is_told_when_its_points_are_there_for_the_first_time_again(club: Club) -> None:
    ada = club.join(EMAIL)
    for amount in (4_900, 200, 300):
        club.buys(ada, amount)
    club.turn()
    assert club.mail.titles.count("You can have: Five off") == 1


def test_a_checkout_that_comes_to_nothing_is_no_news_of_a_reward(club: Club) -> None:
    """The points of a hold were the member's all the time."""
    ada = club.join(EMAIL)
    club.buys(ada, 6_000)
    club.turn()
    hold_id = club.hold(ada, 30, Caller(WEBSHOP), channel="CHANNEL_WEBSHOP")
    origin = origin_of(channel="CHANNEL_WEBSHOP")
    void = {"command_id": new_id(), "member_id": ada, "hold_id": hold_id, "origin": origin}
    assert club.send(ParseDict(void, ledger_pb2.VoidRequest()), Caller(WEBSHOP)).decision.HasField("posted")
    club.turn()
    club.wait(days=2)
    club.turn()
    assert club.mail.titles.count("You can have: Five off") == 1


def test_the_first_channel_that_is_consented_to_and_leads_to_the_member_is_taken(
    opened: list[Club], tmp_path: Path
) -> None:
    push, sms, mail = Tray(Way.PUSH), Tray(Way.SMS), Tray(Way.EMAIL)
    section = telling("points_earned", channels="[push, sms, email]")
    club = started(opened, tmp_path, section, carriers=[mail, sms, push])
    ada = club.join(EMAIL, PUSH)
    push.answers = [Carried.NO_WAY]
    club.buys(ada, 1_000)
    club.turn()
    assert (push.asked, sms.asked, mail.titles) == (1, 0, ["Points earned: 10"])
    assert [(note.way, note.state) for note in club.notes(ada)] == [(Way.EMAIL, NoteState.SENT)]


def test_what_leads_nowhere_is_dropped_and_says_so(club: Club) -> None:
    ada = club.join(EMAIL)
    club.mail.answers = [Carried.NO_WAY]
    club.buys(ada, 1_000)
    club.turn()
    (note,) = club.notes(ada)
    assert (note.state, note.way, note.answer) == (NoteState.DROPPED, Way.NONE, "no way")


def test_a_consent_that_is_withdrawn_before_a_message_is_sent_stops_it(
    opened: list[Club], tmp_path: Path
) -> None:
    club = started(opened, tmp_path, telling("points_earned", quiet_hours='"12:00-15:00"'))
    ada = club.join(EMAIL)
    club.buys(ada, 1_000)
    club.turn()
    assert [note.state for note in club.notes(ada)] == [NoteState.WAITING]
    club.say(ada, EMAIL, granted=False)
    club.wait(hours=3)
    club.turn()
    (note,) = club.notes(ada)
    assert (note.state, note.answer, club.mail.asked) == (NoteState.DROPPED, "no consent", 0)


def test_in_the_night_nobody_is_told_and_in_the_morning_what_is_still_news(
    opened: list[Club], tmp_path: Path
) -> None:
    club = started(opened, tmp_path, telling("points_earned", quiet_hours='"21:00-08:00"'))
    ada = club.join(EMAIL)
    # The night in which summer time begins.
    club.at("2026-03-28", 21, 30)
    club.buys(ada, 1_000)
    club.turn()
    club.at("2026-03-29", 7, 59)
    club.turn()
    assert club.mail.sent == []
    club.at("2026-03-29", 8)
    club.turn()
    assert club.mail.titles == ["Points earned: 10"]


def test_what_would_be_stale_at_the_end_of_the_quiet_hours_is_dropped(
    opened: list[Club], tmp_path: Path
) -> None:
    club = started(opened, tmp_path, telling("points_earned", quiet_hours='"21:00-08:00"'))
    ada = club.join(EMAIL)
    club.at("2026-03-28", 20, 58)
    club.mail.answers = [Carried.LATER]
    ordered(club, ada, hours_ago=23)
    club.turn()
    assert club.mail.asked == 1
    club.wait(minutes=5)
    club.turn()
    (note,) = club.notes(ada)
    assert (note.state, note.answer, club.mail.asked) == (NoteState.DROPPED, "quiet hours", 1)


def ordered(club: Club, member_id: str, *, hours_ago: int) -> None:
    """Let a webshop post an order that was placed some hours ago."""
    at_ms = club.now_ms - hours_ago * 3_600_000
    request = sale_request(member_id, 1_000, at_ms=at_ms, channel="CHANNEL_WEBSHOP")
    assert club.send(request, Caller(WEBSHOP, store_id="")).decision.HasField("posted")


def test_a_sale_that_is_heard_of_days_later_is_not_news_any_more(club: Club) -> None:
    ada = club.join(EMAIL)
    club.wait(days=3)
    ordered(club, ada, hours_ago=25)
    club.turn()
    assert club.notes(ada) == []
    ordered(club, ada, hours_ago=23)
    club.turn()
    assert club.mail.titles == ["Points earned: 10"]


def test_marketing_is_capped_by_day_and_by_week_and_service_is_not(
    opened: list[Club], tmp_path: Path
) -> None:
    section = telling("redemption", "wish_reminder", caps="{per_day: 1, per_week: 2}")
    club = started(opened, tmp_path, section)
    ada = club.join(EMAIL)
    club.say(ada, EMAIL, purpose=REMINDERS)
    for number in range(4):
        remind(club, ada, f"wish-{number}")
    club.turn()
    club.turn()
    assert club.mail.titles == ["Your wish list"]
    club.wait(days=1, minutes=1)
    club.turn()
    assert len(club.mail.sent) == 2
    # Two in seven days are enough; by then the others are stale.
    for _ in range(8):
        club.wait(days=1)
        club.turn()
    assert len(club.mail.sent) == 2
    assert [note.state for note in club.notes(ada)].count(NoteState.DROPPED) == 2
    # Service comes whatever was sent before.
    remind(club, ada, "wish-9")
    club.buys(ada, 9_000)
    for _ in range(3):
        club.buys(ada, 1_000, spend={"points": 10})
    club.turn()
    assert club.mail.titles.count("Points spent: 10") == 3


def remind(club: Club, member_id: str, key: str) -> None:
    reminder = Reminder(ReminderKind.WISH, member_id, {"activePoints": 7}, key, Ms(club.now_ms))  # type: ignore[arg-type]
    club.gateway.notices.remind(SHOP, reminder)


def test_a_reminder_that_is_given_twice_is_told_once_and_only_who_wants_reminders(
    opened: list[Club], tmp_path: Path
) -> None:
    club = started(opened, tmp_path, telling("wish_reminder"))
    ada, bob = club.join(EMAIL, purpose=REMINDERS), club.join(EMAIL)
    for member_id in (ada, ada, bob):
        remind(club, member_id, "wish-1")
    club.turn()
    assert club.mail.texts == [
        "Something on your wish list at Shop is still waiting for you. Your points: 7."
    ]


def test_a_new_device_is_told_by_mail_whatever_was_consented_to_in_the_middle_of_the_night(
    opened: list[Club], tmp_path: Path
) -> None:
    club = started(opened, tmp_path, telling(quiet_hours='"21:00-08:00"'))
    ada = club.join()
    club.at("2026-03-28", 23)
    club.device(ada)
    club.turn()
    assert club.mail.sent == []
    club.device(ada)
    club.turn()
    assert club.mail.titles == ["Your card on a new device"]
    assert "on 28 March 2026" in club.mail.texts[0]


def test_a_rule_set_without_the_section_tells_of_new_devices_alone(
    opened: list[Club], tmp_path: Path
) -> None:
    club = started(opened, tmp_path, "")
    ada = club.join(EMAIL)
    club.buys(ada, 1_000)
    club.device(ada)
    club.device(ada)
    club.turn()
    assert club.mail.titles == ["Your card on a new device"]
    assert club.store.notification_place(SHOP) is None


def test_points_are_told_of_thirty_and_seven_days_before_they_expire_and_those_of_a_week_together(
    opened: list[Club], tmp_path: Path
) -> None:
    club = started(opened, tmp_path, telling("occasion: points_expiring, days_before: [7, 30]"))
    ada = club.join(EMAIL)
    club.buys(ada, 1_000)
    club.wait(days=1)
    club.buys(ada, 2_000)
    club.wait(days=20)
    club.buys(ada, 50_000)
    # A year later the first two expire on Monday and Tuesday of one week, the third three weeks after them.
    club.at("2027-01-20", 12)
    club.look_ahead()
    club.turn()
    assert club.mail.sent == []
    club.at("2027-02-02", 12)
    for _ in range(3):
        club.look_ahead()
        club.turn()
    assert [dict(notice.args) for notice, _ in club.mail.sent] == [{"points": "30", "date": "2027-03-01"}]
    club.mail.sent.clear()
    club.at("2027-02-25", 12)
    for _ in range(3):
        club.look_ahead()
        club.turn()
    assert sorted(dict(notice.args)["points"] for notice, _ in club.mail.sent) == ["30", "500"]


def test_points_that_were_spent_meanwhile_are_not_told_of(opened: list[Club], tmp_path: Path) -> None:
    club = started(opened, tmp_path, telling("points_expiring"))
    ada = club.join(EMAIL)
    club.buys(ada, 3_000)
    club.buys(ada, 3_000, spend={"points": 30})
    club.at("2027-02-15", 12)
    club.look_ahead()
    club.turn()
    assert [dict(notice.args)["points"] for notice, _ in club.mail.sent] == ["29"]


def test_a_tier_at_risk_is_told_with_the_money_that_is_missing(opened: list[Club], tmp_path: Path) -> None:
    club = started(opened, tmp_path, telling("tier_at_risk"))
    ada = club.join(EMAIL)
    club.buys(ada, 60_000)
    club.at("2027-11-20", 12)
    club.look_ahead()
    club.turn()
    assert club.mail.sent == []
    club.at("2027-12-10", 12)
    for _ in range(2):
        club.look_ahead()
        club.turn()
    assert club.mail.texts == ["To stay at Guld at Shop you still need €500.00 by 31 December 2027."]


def test_the_retailers_own_words_are_taken_in_the_language_that_they_are_for(
    opened: list[Club], tmp_path: Path
) -> None:
    own = (
        "  texts:\n"
        '    - {occasion: points_earned, language: sv, title: "Hurra, {points}!", text: "Från {program}"}\n'
    )
    club = started(opened, tmp_path, telling("points_earned") + own)
    swede, pole = club.join(EMAIL, language="sv"), club.join(EMAIL, language="pl")
    club.buys(swede, 1_000)
    club.buys(pole, 1_000)
    club.turn()
    assert sorted(club.mail.titles) == ["Hurra, 10!", "Zdobyte punkty: 10"]


def test_blocked_members_are_told_of_new_devices_alone(club: Club) -> None:
    ada = club.join(EMAIL)
    club.device(ada)
    club.buys(ada, 1_000)
    club.store.set_status(SHOP, ada, MemberStatus.BLOCKED)
    club.gateway.notices.new_device(SHOP, ada, "another")
    club.turn()
    assert club.mail.titles == ["Your card on a new device"]


def test_an_occasion_that_is_told_no_more_is_dropped(opened: list[Club], tmp_path: Path) -> None:
    club = started(opened, tmp_path, telling("points_earned", quiet_hours='"12:00-15:00"'))
    ada = club.join(EMAIL)
    club.buys(ada, 1_000)
    club.turn()
    club.publish(RULES + telling("redemption"))
    club.gateway.rulebook.forget(SHOP)
    club.wait(hours=3)
    club.turn()
    (note,) = club.notes(ada)
    assert (note.state, note.answer) == (NoteState.DROPPED, "not told any more")


def test_by_text_message_goes_what_is_consented_to_there(opened: list[Club], tmp_path: Path) -> None:
    sms = Tray(Way.SMS)
    club = started(opened, tmp_path, telling("redemption"), carriers=[sms])
    ada = club.join(SMS)
    club.buys(ada, 3_000)
    club.buys(ada, 1_000, spend={"points": 10})
    club.turn()
    assert [recipient.phone for _, recipient in sms.sent] == ["+46701234567"]


def test_sales_of_the_past_that_are_replayed_are_told_to_nobody(opened: list[Club], tmp_path: Path) -> None:
    club = started(opened, tmp_path, telling("points_earned"), clock=Clock.REPLAY)
    ada = club.join(EMAIL)
    club.turn()
    club.buys(ada, 1_000)
    club.device(ada)
    club.device(ada)
    club.look_ahead()
    club.turn()
    assert club.notes(ada) == []
    assert club.store.notification_place(SHOP) is None


def test_a_journal_longer_than_a_page_is_followed_to_its_end(club: Club) -> None:
    ada = club.join(EMAIL)
    for _ in range(JOURNAL_ROWS + 5):
        club.buys(ada, 1_000)
    assert club.gateway.notices.follow(SHOP)
    assert not club.gateway.notices.follow(SHOP)
    earned = [note for note in club.notes(ada) if note.occasion is Occasion.POINTS_EARNED]
    assert len(earned) == JOURNAL_ROWS + 5


def test_a_household_hears_of_its_account_and_nobody_of_what_another_bought(
    opened: list[Club], tmp_path: Path
) -> None:
    occasions = ("points_earned", "redemption", "tier_reached", "reward_in_reach", "points_expiring")
    club = started(opened, tmp_path, telling(*occasions))
    ada, ben, quiet, asking = club.join(EMAIL), club.join(EMAIL, language="sv"), club.join(), club.join(EMAIL)
    households, home = club.gateway.households, MemberId(str(uuid.uuid4()))
    households.create(SHOP, home, ada)
    for one in (ben, quiet, asking):
        households.ask(SHOP, one, households.invite(SHOP, ada).code)
    for one in (ben, quiet):
        households.take_in(SHOP, ada, one)
    club.buys(home, 123_400)
    club.turn()
    club.turn()
    for one in (ada, ben):
        told = {note.occasion for note in club.notes(one)}
        assert told == {Occasion.REWARD_IN_REACH, Occasion.TIER_REACHED}
    assert sorted(club.mail.titles) == sorted(
        ["You have reached Guld", "Du har nått Guld", "You can have: Five off", "Du kan få: Five off"]
    )
    assert [club.notes(one) for one in (quiet, asking, home)] == [[], [], []]
    club.wait(days=350)
    club.look_ahead()
    assert {club.notes(one)[-1].occasion for one in (ada, ben)} == {Occasion.POINTS_EXPIRING}
    households.take_out(SHOP, ben, ben)
    heard = {note.notification_id for note in club.notes(ben)}
    club.buys(home, 500_000)
    club.turn()
    assert {note.notification_id for note in club.notes(ben)} <= heard, "who has left hears of it no more"
