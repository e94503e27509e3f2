"""What becomes of messages that are made: sent once, tried again, given up, and forgotten in the end."""

from __future__ import annotations

import asyncio

import pytest

from tallystick.core.ids import Ms, ProgramId
from tallystick.events import notifying, worker
from tallystick.service.errors import StoreUnavailable
from tallystick.service.notices import Carried
from tallystick.service.notification_ports import NoteState, Notification
from tallystick.service.notification_turn import Drop, Go, Wait
from tallystick.storage import memory_notifications
from tests.notices.world import EMAIL, Club, Uptime
from tests.rpc.handlers.world import OTHER, SHOP


def test_what_cannot_be_sent_is_tried_again_later_and_given_up_when_it_is_stale(club: Club) -> None:
    ada = club.join(EMAIL)
    club.mail.answers = [Carried.LATER] * 99
    club.buys(ada, 1_000)
    waits = []
    club.turn()
    (note,) = club.notes(ada)
    while note.state is NoteState.WAITING:
        waits.append((note.next_ms - club.now_ms) // 1000)
        club.now_ms = note.next_ms
        club.turn()
        (note,) = club.notes(ada)
    assert waits == [5, 300, 1_800, 7_200, 18_000, 36_000]
    assert (note.state, note.tries, note.answer) == (NoteState.FAILED, 7, "later")
    club.mail.answers.clear()
    assert club.gateway.notifications.retry(SHOP, None) == 1
    club.turn()
    assert club.mail.titles == ["Points earned: 10"]


def test_what_a_process_died_with_is_sent_by_another_one_under_the_same_id(club: Club) -> None:
    ada = club.join(EMAIL)
    club.buys(ada, 1_000)
    club.gateway.notices.follow(SHOP)
    now = Ms(club.now_ms)
    (taken,) = club.store.claim_notifications(SHOP, now=now, until=Ms(now + 60_000), limit=9)
    club.turn()
    assert club.mail.sent == []
    club.wait(minutes=1)
    club.turn()
    assert [notice.notification_id for notice, _ in club.mail.sent] == [taken.notification_id]


def test_a_message_that_cannot_be_judged_waits_and_no_other_one_is_sent_twice(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, ben = club.join(EMAIL), club.join(EMAIL, language="sv")
    judge = club.gateway.turns.judge

    def of_ben_alone(program_id: ProgramId, note: Notification) -> Go | Wait | Drop:
        if note.member_id == ada:
            raise StoreUnavailable("The database is away.")
        return judge(program_id, note)

    monkeypatch.setattr(club.gateway.turns, "judge", of_ben_alone)
    for one in (ada, ben):
        club.buys(one, 1_000)
    for _ in range(3):
        club.turn()
        club.wait(minutes=2)
    assert club.mail.titles == ["Intjänade poäng: 10"]
    assert [(note.state, note.answer) for note in club.notes(ada)] == [(NoteState.WAITING, "error")]
    monkeypatch.undo()
    club.wait(hours=1)
    club.turn()
    assert club.mail.titles == ["Intjänade poäng: 10", "Points earned: 10"]


def test_a_program_in_which_it_fails_keeps_no_other_one_waiting(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = club.gateway.notices.follow

    def of_shop_alone(program_id: ProgramId) -> bool:
        if program_id == OTHER:
            raise RuntimeError
        return follow(program_id)

    monkeypatch.setattr(club.gateway.notices, "follow", of_shop_alone)
    club.buys(club.join(EMAIL), 1_000)
    club.turn()
    assert club.mail.titles == ["Points earned: 10"]


def test_what_waited_for_a_server_that_was_away_too_long_is_dropped(club: Club) -> None:
    ada = club.join(EMAIL)
    club.buys(ada, 1_000)
    club.gateway.notices.follow(SHOP)
    club.wait(days=2)
    club.turn()
    (note,) = club.notes(ada)
    assert (note.state, note.answer, club.mail.asked) == (NoteState.DROPPED, "stale", 0)


def test_what_was_told_is_forgotten_after_ninety_days_in_every_program_however_much_it_is(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Uptime()
    monkeypatch.setattr(worker, "time", clock)
    monkeypatch.setattr(memory_notifications, "FORGET_PAGE", 2)
    process, others = club.sender(), [club.join(EMAIL) for _ in range(5)]
    for one in others:
        club.buys(one, 1_000)
    asyncio.run(process.round())
    club.wait(days=91)
    asyncio.run(process.round())
    assert sum(len(club.notes(one)) for one in others) == 5, "it was looked at less than an hour ago"
    clock.s += notifying.FORGET_EVERY_S
    left = []
    for _ in range(4):
        asyncio.run(process.round())
        left.append(sum(len(club.notes(one)) for one in others))
    assert left == [3, 1, 0, 0], "a page a round: what is to be sent does not wait for it"
