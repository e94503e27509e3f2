"""Messages to members, where push messages go, and how far the journal was followed; the same in every store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tallystick.core.ids import Ms
from tallystick.core.rules.notifications import Occasion
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose, SaidConsent
from tallystick.service.directory import CardDevice
from tallystick.service.notification_ports import (
    Noted,
    NoteState,
    Notification,
    NotificationPlace,
    PushSubscription,
    Way,
)
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, command_id, member, member_id, program

HERE = NotificationPlace({3: 7, 12: 1})
UNTIL = Ms(NOW + 60_000)
DAY_MS = 86_400_000


@pytest.fixture
def notes(store: Store) -> Store:
    for of_program in (program(), program(OTHER_PROGRAM)):
        assert store.create_program(of_program)
        for number in (1, 2, 3):
            store.enrol(of_program.program_id, member(number), [])
        store.put_notification_place(of_program.program_id, HERE)
    return store


def note(number: int, who: int = 1, made: int = NOW, **more: object) -> Notification:
    plain = Notification(
        notification_id=str(command_id(number)),
        member_id=member_id(who),
        occasion=Occasion.REWARD_IN_REACH,
        args=(("reward", "Kaffe – gratis"), ("balance", "12")),
        made_ms=Ms(made),
        stale_ms=Ms(made + DAY_MS),
        next_ms=Ms(made),
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def claim(notes: Store, now: int = NOW, limit: int = 50) -> list[str]:
    until = Ms(now + 60_000)
    found = notes.claim_notifications(PROGRAM, now=Ms(now), until=until, limit=limit)
    return sorted(one.notification_id for one in found)


def became(number: int, state: NoteState, who: int = 1, way: Way = Way.EMAIL, next_ms: int = 0) -> Noted:
    return Noted(member_id(who), str(command_id(number)), state, way, "250", Ms(next_ms))


def told(notes: Store, number: int, state: NoteState, who: int = 1, **more: object) -> None:
    notes.note_notifications(PROGRAM, [became(number, state, who, **more)], now=NOW)  # type: ignore[arg-type]


def ids(*numbers: int) -> list[str]:
    return sorted(str(command_id(number)) for number in numbers)


def test_a_message_is_kept_as_it_was_made_in_its_own_program_only(notes: Store) -> None:
    made = note(1)
    assert notes.add_notifications(PROGRAM, [made]) == 1
    assert notes.notifications_of(PROGRAM, member_id(1), before=None, limit=10) == [made]
    assert notes.notifications_of(PROGRAM, member_id(2), before=None, limit=10) == []
    assert notes.notifications_of(OTHER_PROGRAM, member_id(1), before=None, limit=10) == []


def test_the_same_message_is_made_once_whatever_has_become_of_it(notes: Store) -> None:
    assert notes.add_notifications(PROGRAM, [note(1), note(1), note(2, who=2)]) == 2
    told(notes, 1, NoteState.SENT)
    assert notes.add_notifications(PROGRAM, [note(1), note(3)]) == 1
    assert claim(notes) == ids(2, 3)


def test_nobody_who_is_erased_or_unknown_is_told_anything(notes: Store) -> None:
    notes.erase(PROGRAM, member_id(1))
    assert notes.add_notifications(PROGRAM, [note(1), note(2, who=2), note(3, who=99)]) == 1
    assert claim(notes) == ids(2)


def test_messages_and_place_move_together_or_not_at_all(notes: Store) -> None:
    to = NotificationPlace({3: 9}, moves=0)
    assert notes.add_notifications(PROGRAM, [note(1)], to=to) == 1
    assert notes.notification_place(PROGRAM) == NotificationPlace({3: 9}, moves=1)
    # Another process that had read the place before finds it moved.
    assert notes.add_notifications(PROGRAM, [note(2)], to=NotificationPlace({3: 8}, moves=0)) is None
    assert notes.notification_place(PROGRAM) == NotificationPlace({3: 9}, moves=1)
    assert claim(notes) == ids(1)


def test_a_place_that_ends_and_begins_anew_is_another_one(notes: Store) -> None:
    notes.put_notification_place(PROGRAM, NotificationPlace({3: 20}))
    assert notes.notification_place(PROGRAM) == NotificationPlace({3: 20}, moves=1)
    assert notes.add_notifications(PROGRAM, [note(1)], to=NotificationPlace({3: 9}, moves=0)) is None
    notes.put_notification_place(PROGRAM, None)
    assert notes.notification_place(PROGRAM) is None
    assert notes.add_notifications(PROGRAM, [note(1)], to=NotificationPlace({3: 9}, moves=1)) is None
    assert notes.notification_place(OTHER_PROGRAM) == HERE


def test_of_a_member_one_message_at_a_time_is_in_hand(notes: Store) -> None:
    notes.add_notifications(PROGRAM, [note(1), note(2, made=NOW + 1), note(3, who=2)])
    assert claim(notes, NOW + 10) == ids(1, 3)
    assert claim(notes, NOW + 10) == []
    told(notes, 1, NoteState.SENT)
    assert claim(notes, NOW + 10) == ids(2)


def test_what_a_process_took_and_never_noted_is_due_again_later(notes: Store) -> None:
    notes.add_notifications(PROGRAM, [note(1), note(2, made=NOW + 1)])
    assert claim(notes) == ids(1)
    assert claim(notes, NOW + 59_999) == []
    assert claim(notes, NOW + 60_000) == ids(2)
    told(notes, 2, NoteState.SENT)
    assert claim(notes, NOW + 60_000) == ids(1)


def test_what_is_not_due_waits(notes: Store) -> None:
    notes.add_notifications(PROGRAM, [note(1, next_ms=Ms(NOW + 5))])
    assert claim(notes, NOW + 4) == []
    assert claim(notes, NOW + 5) == ids(1)


def test_a_try_is_counted_and_a_message_that_is_done_stays_as_it_is(notes: Store) -> None:
    notes.add_notifications(PROGRAM, [note(1)])
    told(notes, 1, NoteState.WAITING, way=Way.PUSH, next_ms=NOW + 7)
    (waits,) = notes.notifications_of(PROGRAM, member_id(1), before=None, limit=1)
    assert (waits.state, waits.way, waits.tries, waits.next_ms, waits.done_ms) == (
        NoteState.WAITING,
        Way.PUSH,
        1,
        NOW + 7,
        0,
    )
    told(notes, 1, NoteState.SENT)
    told(notes, 1, NoteState.FAILED)
    (sent,) = notes.notifications_of(PROGRAM, member_id(1), before=None, limit=1)
    assert (sent.state, sent.way, sent.tries, sent.answer, sent.done_ms) == (
        NoteState.SENT,
        Way.EMAIL,
        2,
        "250",
        NOW,
    )


def test_a_message_that_was_put_off_is_not_counted_as_tried(notes: Store) -> None:
    notes.add_notifications(PROGRAM, [note(1)])
    claim(notes)
    put_off = replace(became(1, NoteState.WAITING, next_ms=NOW + 9), tried=False)
    notes.note_notifications(PROGRAM, [put_off], now=NOW)
    (waits,) = notes.notifications_of(PROGRAM, member_id(1), before=None, limit=1)
    assert waits.tries == 0
    assert claim(notes, NOW + 9) == ids(1)


def test_what_was_given_up_can_wait_again_unless_it_is_stale(notes: Store) -> None:
    stale = note(3, who=3, stale_ms=Ms(NOW))
    notes.add_notifications(PROGRAM, [note(1), note(2, who=2), stale])
    told(notes, 1, NoteState.FAILED)
    told(notes, 2, NoteState.FAILED, who=2, way=Way.SMS)
    told(notes, 3, NoteState.FAILED, who=3)
    failed = notes.failed_notifications(PROGRAM, before=None, limit=10)
    assert sorted(one.notification_id for one in failed) == ids(1, 2, 3)
    assert notes.retry_notifications(PROGRAM, way=Way.SMS, now=NOW) == 1
    assert claim(notes) == ids(2)
    assert notes.retry_notifications(PROGRAM, way=None, now=NOW) == 1
    (again,) = notes.notifications_of(PROGRAM, member_id(1), before=None, limit=1)
    assert (again.tries, again.done_ms) == (0, 0)


def test_pages_follow_each_other_also_within_one_instant(notes: Store) -> None:
    made = [note(number, made=NOW + (number > 3)) for number in range(1, 6)]
    notes.add_notifications(PROGRAM, made)
    found: list[Notification] = []
    while page := notes.notifications_of(
        PROGRAM,
        member_id(1),
        before=(found[-1].made_ms, found[-1].notification_id) if found else None,
        limit=2,
    ):
        found += page
    assert found == sorted(made, key=lambda one: (one.made_ms, one.notification_id), reverse=True)


def test_what_was_sent_lately_is_told_by_occasion(notes: Store) -> None:
    notes.add_notifications(
        PROGRAM, [note(1), note(2, occasion=Occasion.REDEMPTION), note(3), note(4, who=2)]
    )
    for number, at in ((1, NOW), (2, NOW + 1), (3, NOW + 2)):
        notes.note_notifications(PROGRAM, [became(number, NoteState.SENT)], now=Ms(at))
    told(notes, 4, NoteState.DROPPED, who=2)
    of_reward = {Occasion.REWARD_IN_REACH}
    sent = notes.notifications_sent(PROGRAM, member_id(1), occasions=of_reward, since=NOW)
    assert sent == [NOW + 2, NOW]
    sent = notes.notifications_sent(PROGRAM, member_id(1), occasions=of_reward, since=Ms(NOW + 1))
    assert sent == [NOW + 2]
    assert notes.notifications_sent(PROGRAM, member_id(2), occasions=of_reward, since=NOW) == []


def test_messages_are_counted_by_occasion_way_and_state(notes: Store) -> None:
    notes.add_notifications(PROGRAM, [note(1), note(2, who=2), note(3, who=3, made=NOW - 9)])
    told(notes, 1, NoteState.SENT)
    counts = notes.notification_counts(PROGRAM, since=NOW)
    assert counts == {
        (Occasion.REWARD_IN_REACH, Way.EMAIL, NoteState.SENT): 1,
        (Occasion.REWARD_IN_REACH, Way.NONE, NoteState.WAITING): 1,
    }
    assert notes.notification_counts(OTHER_PROGRAM, since=NOW) == {}


def test_old_messages_are_forgotten_but_not_those_that_wait(notes: Store) -> None:
    notes.add_notifications(PROGRAM, [note(1, made=NOW - 2), note(2, made=NOW - 2), note(3)])
    told(notes, 1, NoteState.SENT)
    told(notes, 3, NoteState.SENT)
    assert notes.forget_notifications(PROGRAM, before=NOW) == 1
    left = notes.notifications_of(PROGRAM, member_id(1), before=None, limit=10)
    assert sorted(one.notification_id for one in left) == ids(2, 3)


def device(kid: str, who: int = 1) -> CardDevice:
    return CardDevice(member_id(who), kid, "{}", b"sealed", NOW, NOW, Ms(NOW + DAY_MS))


def address(kid: str, endpoint: str = "https://push.example/a", who: int = 1) -> PushSubscription:
    return PushSubscription(member_id(who), kid, endpoint, b"p" * 65, b"a" * 16, NOW)


def test_each_device_has_one_address_until_it_is_revoked(notes: Store) -> None:
    for kid in ("phone", "tablet"):
        notes.add_card_device(PROGRAM, device(kid), most=5)
        assert notes.set_push(PROGRAM, address(kid))
    assert notes.set_push(PROGRAM, address("phone", "https://push.example/b"))
    assert notes.push_subscriptions(PROGRAM, member_id(1)) == [
        address("phone", "https://push.example/b"),
        address("tablet"),
    ]
    assert notes.push_subscriptions(OTHER_PROGRAM, member_id(1)) == []
    notes.revoke_card_device(PROGRAM, member_id(1), "tablet", now=NOW)
    assert [one.kid for one in notes.push_subscriptions(PROGRAM, member_id(1))] == ["phone"]
    notes.remove_push(PROGRAM, member_id(1), "phone")
    notes.remove_push(PROGRAM, member_id(1), "phone")
    assert notes.push_subscriptions(PROGRAM, member_id(1)) == []


def test_an_erased_member_leaves_neither_messages_nor_addresses(notes: Store) -> None:
    notes.add_card_device(PROGRAM, device("phone"), most=5)
    notes.set_push(PROGRAM, address("phone"))
    notes.add_notifications(PROGRAM, [note(1), note(2, who=2)])
    notes.erase(PROGRAM, member_id(1))
    assert notes.notifications_of(PROGRAM, member_id(1), before=None, limit=10) == []
    assert notes.push_subscriptions(PROGRAM, member_id(1)) == []
    assert claim(notes) == ids(2)
    assert not notes.set_push(PROGRAM, address("phone"))


def test_many_who_claim_at_once_share_the_work(notes: Store) -> None:
    made = [note(number, who=1 + number % 3, made=NOW + number) for number in range(30)]
    notes.add_notifications(PROGRAM, made)
    taken: list[str] = []

    def work(_: int) -> None:
        for _ in range(20):
            for one in notes.claim_notifications(PROGRAM, now=Ms(NOW + 99), until=UNTIL, limit=2):
                taken.append(one.notification_id)
                done = Noted(one.member_id, one.notification_id, NoteState.SENT, Way.EMAIL, "250")
                notes.note_notifications(PROGRAM, [done], now=NOW)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert sorted(taken) == sorted(one.notification_id for one in made)


@pytest.mark.parametrize("place", [HERE, None], ids=["follows", "follows_no_journal"])
def test_two_who_claim_at_once_never_have_one_member_in_hand(
    notes: Store, place: NotificationPlace | None
) -> None:
    """A program that tells of reminders alone has no place in its journal to wait for each other at."""
    notes.put_notification_place(PROGRAM, place)
    with ThreadPoolExecutor(4) as pool:
        for attempt in range(20):
            numbers = range(8 * attempt, 8 * attempt + 8)
            assert notes.add_notifications(PROGRAM, [note(1 + number) for number in numbers]) == 8
            taken = [one for some in pool.map(lambda _: claim(notes, limit=1), range(4)) for one in some]
            assert len(taken) == 1, "two messages of one member in hand"
            done = [became(1 + number, NoteState.SENT) for number in numbers]
            notes.note_notifications(PROGRAM, done, now=NOW)


def test_what_was_said_last_of_each_channel_counts(notes: Store) -> None:
    points, offers = ConsentPurpose.POINTS, ConsentPurpose.OFFERS
    for who, purpose, channel, granted in (
        (1, points, ConsentChannel.EMAIL, True),
        (1, points, ConsentChannel.PUSH, True),
        (1, points, ConsentChannel.EMAIL, False),
        (2, offers, ConsentChannel.SMS, True),
        (3, points, ConsentChannel.SMS, True),
    ):
        said = SaidConsent(purpose, channel, granted, NOW, 4, "phone")
        notes.add_consent(PROGRAM, member_id(who), said)
    members = [member_id(1), member_id(2)]
    assert notes.granted_channels(PROGRAM, members, points) == {member_id(1): {ConsentChannel.PUSH}}
    assert notes.granted_channels(PROGRAM, members, offers) == {member_id(2): {ConsentChannel.SMS}}
    assert notes.granted_channels(OTHER_PROGRAM, members, points) == {}
