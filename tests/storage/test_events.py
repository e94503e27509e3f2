"""Events, who is told of them, and how far that has come; the same in every store."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.state import MemberStatus
from tallystick.service.event_store import (
    WEBHOOKS_MAX,
    DeliveryState,
    Endpoint,
    Event,
    EventPlace,
    MemberNow,
    SeenMember,
    Signing,
    Tried,
)
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, Books, SetClock, member_id, program

HERE = EventPlace({3: 7, 12: 1}, NOW, NOW)
WAITING, DELIVERED, FAILED = DeliveryState
UNTIL = Ms(NOW + 60_000)


@pytest.fixture
def events(store: Store) -> Store:
    assert store.create_program(program())
    assert store.create_program(program(OTHER_PROGRAM))
    return store


def endpoint(name: str = "mail", **more: object) -> Endpoint:
    plain = Endpoint(name, "https://hooks.example", (), Signing.HMAC, b"sealed", made_ms=NOW)
    return replace(plain, **more)  # type: ignore[arg-type]


def put(events: Store, name: str = "mail", now: int = NOW, **more: object) -> bool:
    return events.put_endpoint(PROGRAM, endpoint(name, **more), here=HERE, now=Ms(now))


def event(number: int, member: int = 1, kind: str = "entry.posted", at: int = NOW) -> Event:
    return Event(f"evt_{number}", kind, member_id(member), Ms(at), f'{{"n":{number}}}'.encode())


def queue(events: Store, *made: Event, seen: tuple[SeenMember, ...] = (), now: int = NOW) -> bool:
    place = events.event_place(PROGRAM)
    assert place is not None
    return events.queue_events(PROGRAM, made, seen, to=place, now=Ms(now))


def claim(events: Store, name: str = "mail", now: int = NOW, limit: int = 50) -> list[str]:
    until = Ms(now + 60_000)
    due = events.claim_deliveries(PROGRAM, name, now=Ms(now), until=until, limit=limit)
    return sorted(one.event.message_id for one in due)


def note(events: Store, number: int, state: DeliveryState, next_ms: int = 0, answer: str = "200") -> None:
    events.note_deliveries(PROGRAM, "mail", [Tried(number, state, answer, Ms(next_ms))], now=NOW)


def states(events: Store, name: str = "mail") -> list[tuple[str, DeliveryState]]:
    found = events.deliveries(PROGRAM, name, state=None, before=None, limit=100)
    return [(one.message_id, one.state) for one in found]


def test_an_endpoint_is_kept_in_its_own_program_only(events: Store) -> None:
    made = endpoint(
        event_types=("entry.posted", "tier.changed"),
        signing=Signing.ED25519,
        old_sealed_key=b"old",
        old_until_ms=Ms(NOW + 5),
        paused=True,
    )
    assert events.put_endpoint(PROGRAM, made, here=HERE, now=NOW)
    assert events.endpoint(PROGRAM, "mail") == made
    assert events.endpoint(OTHER_PROGRAM, "mail") is None
    put(events, "crm")
    assert [one.webhook_id for one in events.endpoints(PROGRAM)] == ["crm", "mail"]
    assert events.endpoints(OTHER_PROGRAM) == []
    put(events, url="https://other.example")
    assert events.endpoint(PROGRAM, "mail") == endpoint(url="https://other.example")


def test_the_first_endpoint_begins_to_follow_its_program_and_the_last_one_ends_it(events: Store) -> None:
    assert events.event_place(PROGRAM) is None
    put(events)
    assert events.event_place(PROGRAM) == HERE
    events.put_endpoint(PROGRAM, endpoint("crm"), here=EventPlace({3: 9}, NOW, NOW), now=NOW)
    assert events.event_place(PROGRAM) == HERE
    queue(events, event(1), seen=(SeenMember(member_id(1), 4),))
    events.delete_endpoint(PROGRAM, "mail")
    assert events.seen_members(PROGRAM, [member_id(1)])
    events.delete_endpoint(PROGRAM, "crm")
    assert events.event_place(PROGRAM) is None
    assert events.seen_members(PROGRAM, [member_id(1)]) == {}
    put(events)
    assert states(events) == []


def test_a_program_has_no_more_endpoints_than_the_most(events: Store) -> None:
    for number in range(WEBHOOKS_MAX):
        assert put(events, f"w{number}")
    assert not put(events, "one more")
    assert put(events, "w0", url="https://other.example")
    assert events.put_endpoint(OTHER_PROGRAM, endpoint(), here=HERE, now=NOW)


def test_events_go_to_the_endpoints_that_want_them(events: Store) -> None:
    put(events, "all")
    put(events, "tiers", event_types=("tier.changed",))
    assert queue(events, event(1), event(2, kind="tier.changed"))
    put(events, "late")
    assert claim(events, "all") == ["evt_1"]
    assert claim(events, "tiers") == ["evt_2"]
    assert claim(events, "late") == []


def test_only_the_first_of_those_who_moved_the_place_has_queued(events: Store) -> None:
    put(events)
    place = events.event_place(PROGRAM)
    assert place is not None
    to = replace(place, lanes={3: 8, 12: 1}, changed_ms=Ms(NOW + 9))
    assert events.queue_events(PROGRAM, [event(1)], [SeenMember(member_id(1), 3, "guld")], to=to, now=NOW)
    late = [SeenMember(member_id(1), 9)]
    assert not events.queue_events(PROGRAM, [event(2)], late, to=to, now=NOW)
    assert not events.queue_events(OTHER_PROGRAM, [event(2)], late, to=to, now=NOW)
    assert states(events) == [("evt_1", WAITING)]
    assert events.event_place(PROGRAM) == replace(to, events=1, moves=1)
    assert events.seen_members(PROGRAM, [member_id(1), member_id(2)]) == {
        member_id(1): SeenMember(member_id(1), 3, "guld")
    }


def test_what_was_seen_of_a_member_is_replaced(events: Store) -> None:
    put(events)
    first = SeenMember(member_id(1), 3, "guld", MemberStatus.OPEN, NOW)
    then = SeenMember(member_id(1), 4, "bas", MemberStatus.ERASED, Ms(NOW + 1))
    queue(events, seen=(first, SeenMember(member_id(2))))
    queue(events, seen=(then,))
    assert events.seen_members(PROGRAM, [member_id(1), member_id(2)]) == {
        member_id(1): then,
        member_id(2): SeenMember(member_id(2)),
    }


def test_of_each_member_one_message_is_sent_at_a_time_and_in_order(events: Store) -> None:
    put(events)
    queue(events, event(1, 1), event(2, 2), event(3, 1), event(4, 3), event(5, 2))
    assert claim(events) == ["evt_1", "evt_2", "evt_4"]
    assert claim(events) == []
    note(events, 2, DELIVERED)
    assert claim(events) == ["evt_5"]
    note(events, 1, WAITING, next_ms=NOW + 5_000)
    assert claim(events, now=NOW + 4_999) == []
    assert claim(events, now=NOW + 5_000) == ["evt_1"]
    note(events, 1, FAILED, answer="503")
    assert claim(events) == ["evt_3"]


def test_a_message_that_is_queued_while_the_one_before_is_noted_is_not_left_behind(events: Store) -> None:
    put(events)
    queue(events, event(1))
    for number in range(1, 30):
        together = threading.Barrier(2)

        def run(work: str, number: int = number, together: threading.Barrier = together) -> None:
            together.wait(30)
            if work == "queue":
                assert queue(events, event(number + 1))
            else:
                note(events, number, DELIVERED)

        assert claim(events) == [f"evt_{number}"]
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(run, ("queue", "note")))
    assert claim(events) == ["evt_30"]


def test_one_that_waits_behind_another_says_no_time(events: Store) -> None:
    put(events)
    queue(events, event(1), event(2), event(3, 2))
    found = events.deliveries(PROGRAM, "mail", state=None, before=None, limit=9)
    assert [(one.number, one.next_ms) for one in found] == [(3, NOW), (2, NEVER_MS), (1, NOW)]
    queue(events, event(4))
    note(events, 1, DELIVERED)
    note(events, 3, WAITING, next_ms=NOW + 5)
    found = events.deliveries(PROGRAM, "mail", state=WAITING, before=None, limit=9)
    assert [(one.number, one.next_ms) for one in found] == [(4, NEVER_MS), (3, NOW + 5), (2, NOW)]


def test_what_is_sent_once_more_goes_before_what_waits_already(events: Store) -> None:
    put(events)
    queue(events, event(1), event(2), event(3))
    note(events, 1, FAILED)
    note(events, 2, WAITING, next_ms=NOW + 9_000)
    assert events.replay_deliveries(PROGRAM, "mail", since=None, now=NOW) == 1
    assert claim(events) == ["evt_1"]
    note(events, 2, WAITING, next_ms=NOW)
    assert claim(events) == []
    note(events, 1, DELIVERED)
    assert claim(events) == ["evt_2"]


def test_what_a_process_died_sending_is_sent_by_another(events: Store) -> None:
    put(events)
    queue(events, event(1))
    assert claim(events) == ["evt_1"]
    assert claim(events, now=NOW + 59_999) == []
    assert claim(events, now=NOW + 60_000) == ["evt_1"]


def test_what_was_delivered_stays_so_whoever_comes_late(events: Store) -> None:
    put(events)
    queue(events, event(1))
    note(events, 1, DELIVERED)
    note(events, 1, WAITING, next_ms=NOW, answer="timeout")
    (found,) = events.deliveries(PROGRAM, "mail", state=None, before=None, limit=9)
    assert (found.state, found.tries, found.answer) == (DELIVERED, 1, "200")


def test_processes_side_by_side_take_each_message_once(events: Store) -> None:
    put(events)
    queue(events, *(event(number, number) for number in range(1, 21)))
    together = threading.Barrier(4)

    def take(_: int) -> list[str]:
        together.wait(30)
        return claim(events, limit=20)

    with ThreadPoolExecutor(4) as threads:
        found = [name for one in threads.map(take, range(4)) for name in one]
    assert sorted(found) == sorted(f"evt_{number}" for number in range(1, 21))


def test_endpoints_with_something_to_send_are_found_and_paused_ones_are_left_alone(events: Store) -> None:
    put(events, "a")
    put(events, "b", paused=True)
    put(events, "c", event_types=("tier.changed",))
    queue(events, event(1))
    assert events.due_endpoints(PROGRAM, now=NOW) == ["a"]
    assert events.due_endpoints(OTHER_PROGRAM, now=NOW) == []
    claim(events, "a")
    assert events.due_endpoints(PROGRAM, now=NOW) == []
    assert events.due_endpoints(PROGRAM, now=UNTIL) == ["a"]
    events.pause_endpoint(PROGRAM, "a")
    events.pause_endpoint(PROGRAM, "none")
    assert events.due_endpoints(PROGRAM, now=UNTIL) == []


def test_messages_that_waited_for_a_person_begin_their_days_anew(events: Store) -> None:
    put(events)
    queue(events, event(1), event(2, 2))
    note(events, 2, WAITING, next_ms=NOW + 9_000_000)
    events.pause_endpoint(PROGRAM, "mail")
    put(events, now=NOW + 5_000_000, url="https://other.example")
    due = events.claim_deliveries(PROGRAM, "mail", now=Ms(NOW + 5_000_000), until=UNTIL, limit=9)
    assert sorted((one.number, one.since_ms) for one in due) == [(1, NOW + 5_000_000), (2, NOW + 5_000_000)]


def test_changing_an_endpoint_that_was_not_paused_leaves_its_messages_alone(events: Store) -> None:
    put(events)
    queue(events, event(1))
    claim(events)
    put(events, now=NOW + 5, url="https://other.example")
    assert claim(events, now=NOW + 5) == []


def test_messages_that_failed_are_sent_once_more(events: Store) -> None:
    put(events)
    put(events, "other")
    queue(events, event(1, at=NOW - 9), event(2, 2, at=NOW - 5), event(3, 3))
    note(events, 1, FAILED, answer="500")
    note(events, 2, DELIVERED)
    claim(events)
    assert events.delivery_counts(PROGRAM) == {
        ("mail", WAITING): 1,
        ("mail", FAILED): 1,
        ("other", WAITING): 3,
    }
    later = Ms(NOW + 100)
    assert events.replay_deliveries(PROGRAM, "mail", since=None, now=later) == 1
    due = events.claim_deliveries(PROGRAM, "mail", now=later, until=UNTIL, limit=9)
    assert sorted((one.number, one.tries, one.since_ms) for one in due) == [(1, 0, later), (3, 0, NOW)]
    assert events.replay_deliveries(PROGRAM, "mail", since=None, now=later) == 0
    assert events.replay_deliveries(OTHER_PROGRAM, "mail", since=Ms(0), now=later) == 0


def test_messages_of_a_member_that_are_sent_once_more_come_one_after_the_other(events: Store) -> None:
    put(events)
    queue(events, *(event(number, 1 + number % 2) for number in range(1, 7)))
    for number in range(1, 7):
        note(events, number, FAILED)
    assert events.replay_deliveries(PROGRAM, "mail", since=None, now=NOW) == 6
    assert claim(events) == ["evt_1", "evt_2"]
    note(events, 1, DELIVERED)
    assert claim(events) == ["evt_3"]


def test_all_messages_since_an_instant_are_sent_once_more(events: Store) -> None:
    put(events)
    queue(events, event(1, at=NOW - 9), event(2, 2, at=NOW - 5), event(3, 3), event(4, 4))
    for number, state in ((1, DELIVERED), (2, DELIVERED), (3, FAILED)):
        note(events, number, state)
    assert events.replay_deliveries(PROGRAM, "mail", since=Ms(NOW - 5), now=NOW) == 2
    assert states(events) == [
        ("evt_4", WAITING),
        ("evt_3", WAITING),
        ("evt_2", WAITING),
        ("evt_1", DELIVERED),
    ]


def test_messages_are_listed_newest_first_by_what_became_of_them(events: Store) -> None:
    put(events)
    queue(events, *(event(number, number) for number in range(1, 6)))
    note(events, 2, FAILED, answer="timeout")
    note(events, 4, FAILED, answer="500")
    first = events.deliveries(PROGRAM, "mail", state=None, before=None, limit=2)
    assert [one.number for one in first] == [5, 4]
    rest = events.deliveries(PROGRAM, "mail", state=None, before=4, limit=9)
    assert [one.number for one in rest] == [3, 2, 1]
    failed = events.deliveries(PROGRAM, "mail", state=FAILED, before=None, limit=9)
    assert [(one.number, one.answer, one.tries) for one in failed] == [(4, "500", 1), (2, "timeout", 1)]
    assert events.deliveries(OTHER_PROGRAM, "mail", state=None, before=None, limit=9) == []


def test_old_messages_are_forgotten_but_for_those_that_wait(events: Store) -> None:
    put(events)
    put(events, "other", event_types=("tier.changed",))
    queue(events, event(1), event(2, 2), event(3, 3, kind="tier.changed"))
    queue(events, event(4, 4), now=NOW + 10)
    for number in (1, 3, 4):
        note(events, number, DELIVERED)
    assert events.forget_events(PROGRAM, before=Ms(NOW + 10)) == 1
    assert [name for name, _ in states(events)] == ["evt_4", "evt_3", "evt_2"]
    events.delete_endpoint(PROGRAM, "other")
    assert events.forget_events(PROGRAM, before=Ms(NOW + 10)) == 1
    assert [name for name, _ in states(events)] == ["evt_4", "evt_2"]


def test_forgetting_is_quick_however_many_messages_wait_for_an_endpoint_that_is_away(events: Store) -> None:
    put(events, event_types=("tier.changed",))
    put(events, "away", event_types=("entry.posted",))
    waiting, done = range(1, 5_001), range(5_001, 5_501)
    queue(events, *(event(number, number) for number in waiting))
    queue(events, *(event(number, number, kind="tier.changed") for number in done))
    tried = [Tried(number, DELIVERED, "200") for number in done]
    events.note_deliveries(PROGRAM, "mail", tried, now=NOW)
    began = time.monotonic()
    assert events.forget_events(PROGRAM, before=Ms(NOW + 10)) == len(done)
    assert events.forget_events(PROGRAM, before=Ms(NOW + 10)) == 0
    assert time.monotonic() - began < 3, "nothing else is written meanwhile"
    assert events.delivery_counts(PROGRAM) == {("away", WAITING): len(waiting)}
    assert states(events) == []


def test_entries_are_read_by_member_and_number(store: Store, books: Books) -> None:
    books.enrol(1)
    books.enrol(2)
    books.post((1, books.earn(1)))
    books.post((2, books.earn(2)))
    books.post((1, books.earn(1)))
    refs = [(member_id(2), 1), (member_id(1), 2), (member_id(1), 9), (member_id(3), 1)]
    found = store.read_entries_named(PROGRAM, refs)
    assert [(entry.member_id, entry.seq) for entry, _ in found] == [(member_id(1), 2), (member_id(2), 1)]
    assert all(recorded_ms > 0 for _, recorded_ms in found)
    assert store.read_entries_named(PROGRAM, []) == []
    assert store.read_entries_named(OTHER_PROGRAM, refs) == []


def test_a_member_is_told_from_one_that_was_there_before(store: Store, books: Books, clock: SetClock) -> None:
    books.enrol(1)
    made = clock.now
    clock.now = Ms(made + 5)
    assert store.set_status(PROGRAM, member_id(1), MemberStatus.BLOCKED)
    assert store.members_now(PROGRAM, [member_id(1), member_id(2)]) == {
        member_id(1): MemberNow(member_id(1), MemberStatus.BLOCKED, Ms(made + 5), made)
    }
    assert store.members_now(OTHER_PROGRAM, [member_id(1)]) == {}
