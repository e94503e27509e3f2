"""Tills' chains and the inbox as a lane writes them, the same for every store."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tallystick.core.advice import TillChain, TillStatus, VerdictKind
from tallystick.core.chain import GENESIS
from tallystick.core.entry import Entry, Refusal, Refused
from tallystick.core.ids import Ms
from tallystick.service.ports import InboxState, NewRefusal, WriteSet
from tallystick.storage import Store
from tests.storage.build import (
    NOW,
    OTHER_PROGRAM,
    PROGRAM,
    Books,
    device,
    inbox_item,
    member_id,
    till,
)


def test_a_till_that_was_never_heard_of_has_a_chain_at_its_beginning(books: Books) -> None:
    books.store.add_device(PROGRAM, device("till-1"))
    with books.store.transaction(PROGRAM) as transaction:
        chains = transaction.lock_tills(["till-1", "till-1"])
    assert chains == {"till-1": TillChain("till-1", "store-1")}
    assert chains["till-1"].head == GENESIS
    assert books.store.read_tills(PROGRAM, store_id="store-1") == list(chains.values())


def test_a_till_that_is_no_device_of_the_program_has_no_store(books: Books) -> None:
    books.store.add_device(OTHER_PROGRAM, device("till-1"))
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.lock_tills(["till-1"])["till-1"].store_id == ""


def test_no_tills_and_no_items_are_answered_with_none(books: Books) -> None:
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.lock_tills([]) == {}
        assert transaction.inbox([]) == {}


def test_chains_are_written_whole_and_read_back_exactly(books: Books) -> None:
    first = till("till-1", fenced_ms=(Ms(NOW - 5), NOW), fences=2, epoch=3, queued=7, floor_points=90)
    second = till("till-2", status=TillStatus.SUSPENDED)
    with books.store.transaction(PROGRAM) as transaction:
        transaction.lock_tills(["till-1"])
        transaction.write(WriteSet(recorded_ms=NOW, tills=[first, second]))
    later = replace(first, acked_seq=4, head=b"x" * 32, drained_ms=Ms(NOW + 9))
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.lock_tills(["till-2", "till-1"]) == {"till-1": first, "till-2": second}
        transaction.write(WriteSet(recorded_ms=NOW, tills=[later]))
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.lock_tills(["till-1", "till-2"]) == {"till-1": later, "till-2": second}


def test_chains_are_listed_by_till_for_a_store_and_for_all(books: Books) -> None:
    chains = [till("c"), till("a"), till("b", store_id="store-2")]
    books.write(WriteSet(recorded_ms=NOW, tills=chains))
    assert books.store.read_tills(PROGRAM, store_id="store-1") == [chains[1], chains[0]]
    assert books.store.read_tills(PROGRAM, store_id="") == [chains[1], chains[2], chains[0]]
    assert books.store.read_tills(PROGRAM, store_id="store-3") == []
    assert books.store.read_tills(OTHER_PROGRAM, store_id="") == []


def test_a_failed_block_leaves_chain_and_inbox_as_they_were(books: Books) -> None:
    before, item = till(), inbox_item(1)
    books.write(WriteSet(recorded_ms=NOW, tills=[before], inbox=[item]))

    def write_and_fail() -> None:
        with books.store.transaction(PROGRAM) as transaction:
            transaction.lock_tills(["till-1", "till-2"])
            seen = replace(item, state=InboxState.SEEN)
            transaction.write(
                WriteSet(recorded_ms=NOW, tills=[replace(before, acked_seq=9)], inbox=[seen, inbox_item(2)])
            )
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_and_fail()
    assert books.store.read_tills(PROGRAM, store_id="") == [before]
    assert books.store.read_item(PROGRAM, item.item_id) == item
    assert books.store.read_item(PROGRAM, inbox_item(2).item_id) is None


@pytest.mark.parametrize("known", [True, False], ids=["known", "never heard of"])
def test_of_two_who_want_one_chain_the_second_waits_and_sees_what_the_first_wrote(
    store: Store, *, known: bool
) -> None:
    books = Books(store)
    if known:
        books.write(WriteSet(recorded_ms=NOW, tills=[till()]))
    locked, seen = threading.Event(), []

    def second() -> None:
        locked.wait(30)
        with store.transaction(PROGRAM) as transaction:
            seen.append(transaction.lock_tills(["till-1"])["till-1"].acked_seq)

    thread = threading.Thread(target=second)
    thread.start()
    with store.transaction(PROGRAM) as transaction:
        transaction.lock_tills(["till-1"])
        locked.set()
        thread.join(0.2)
        assert thread.is_alive()
        transaction.write(WriteSet(recorded_ms=NOW, tills=[till(acked_seq=8)]))
    thread.join(30)
    assert seen == [8]


def test_many_who_lock_the_same_new_tills_in_any_order_all_get_through(store: Store) -> None:
    Books(store)
    names = [f"till-{number}" for number in range(6)]
    failures: list[Exception] = []
    together = threading.Barrier(4)

    def advance(shift: int) -> None:
        try:
            together.wait(30)
            for step in range(5):
                wanted = names[shift:] + names[:shift] if step % 2 else names
                with store.transaction(PROGRAM) as transaction:
                    chains = transaction.lock_tills(wanted).values()
                    later = [replace(chain, acked_seq=chain.acked_seq + 1) for chain in chains]
                    transaction.write(WriteSet(recorded_ms=NOW, tills=later))
        except Exception as error:  # noqa: BLE001 - reported by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=advance, args=(shift,)) for shift in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert [chain.acked_seq for chain in store.read_tills(PROGRAM, store_id="")] == [20] * 6


def test_an_item_is_inserted_and_then_changed(books: Books) -> None:
    item, other = inbox_item(1), inbox_item(2)
    books.write(WriteSet(recorded_ms=NOW, inbox=[item, other]))
    verdict = replace(item.verdict, kind=VerdictKind.POSTED, reasons=(), member_seq=4, earned_points=12)
    posted = replace(
        item,
        verdict=verdict,
        state=InboxState.POSTED,
        waits_for="",
        resolved_by="ann",
        note="found the sale",
        resolved_ms=Ms(NOW + 50),
    )
    with books.store.transaction(PROGRAM) as transaction:
        wanted = [item.item_id, other.item_id, inbox_item(3).item_id]
        assert transaction.inbox(wanted) == {item.item_id: item, other.item_id: other}
        transaction.write(WriteSet(recorded_ms=NOW, inbox=[posted]))
    assert books.store.read_item(PROGRAM, item.item_id) == posted
    assert books.store.read_item(OTHER_PROGRAM, item.item_id) is None


def test_what_a_till_sent_is_not_written_over(books: Books) -> None:
    item = inbox_item(1)
    books.write(WriteSet(recorded_ms=NOW, inbox=[item]))
    seen = replace(item, state=InboxState.SEEN)
    books.write(
        WriteSet(recorded_ms=NOW, inbox=[replace(seen, raw=b"other", till_id="till-9", received_ms=Ms(1))])
    )
    assert books.store.read_item(PROGRAM, item.item_id) == seen


def test_items_of_a_state_are_paged_newest_first_for_a_store_and_for_all(books: Books) -> None:
    items = [inbox_item(number) for number in range(1, 5)]
    same_time = inbox_item(5, received_ms=items[3].received_ms)
    elsewhere = inbox_item(6, store_id="store-2")
    dismissed = inbox_item(7, state=InboxState.DISMISSED)
    books.write(WriteSet(recorded_ms=NOW, inbox=[*items, same_time, elsewhere, dismissed]))
    latest = sorted([items[3], same_time], key=lambda item: item.item_id, reverse=True)
    expected = [*latest, items[2], items[1], items[0]]

    def page(store_id: str, before: tuple[Ms, str] | None, limit: int) -> list[object]:
        read = books.store.read_inbox
        return [
            *read(PROGRAM, store_id=store_id, state=InboxState.OPEN, before=before, limit=limit),
        ]

    assert page("store-1", None, 10) == expected
    assert page("", None, 10) == [elsewhere, *expected]
    assert page("store-1", None, 1) == expected[:1]
    last = expected[0]
    assert page("store-1", (last.received_ms, last.item_id), 2) == expected[1:3]
    assert page("store-3", None, 10) == []
    done = books.store.read_inbox(
        PROGRAM, store_id="store-1", state=InboxState.DISMISSED, before=None, limit=9
    )
    assert done == [dismissed]


def test_parked_items_that_are_open_are_paged_by_id(books: Books) -> None:
    parked = sorted((inbox_item(number) for number in range(1, 4)), key=lambda item: item.item_id)
    others = [
        inbox_item(8, VerdictKind.QUARANTINED),
        inbox_item(9, state=InboxState.DISMISSED),
    ]
    books.write(WriteSet(recorded_ms=NOW, inbox=[*parked, *others]))
    assert books.store.read_parked(PROGRAM, after="", limit=2) == parked[:2]
    assert books.store.read_parked(PROGRAM, after=parked[1].item_id, limit=2) == parked[2:]
    assert books.store.read_parked(OTHER_PROGRAM, after="", limit=2) == []


def test_a_fact_that_is_posted_under_the_id_of_a_refused_request_is_the_answer(books: Books) -> None:
    books.enrol(1)
    earned = books.earn(1)
    refused = Refused(Refusal.INSUFFICIENT_POINTS, (("available", "3"),))
    refusal = NewRefusal(earned.command_id, member_id(1), b"r" * 16, refused)
    books.write(WriteSet(recorded_ms=NOW, refusals=[refusal]))
    books.post((1, earned))
    known = books.store.read_known(PROGRAM, [earned.command_id])[earned.command_id]
    assert isinstance(known.answer, Entry)
    assert known.fingerprint == b"f" * 16
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.locked([member_id(1)], [earned.command_id])[1] == {earned.command_id: known}


def test_a_batch_that_posts_refuses_parks_and_moves_a_chain_is_one_write(books: Books) -> None:
    books.enrol(1)
    earned, refusal, item = books.earn(1), books.refusal(1), inbox_item(1)
    with books.store.transaction(PROGRAM) as transaction:
        chain = transaction.lock_tills(["till-1"])["till-1"]
        accounts = transaction.lock_accounts([member_id(1)])
        made = books.batch([(accounts[member_id(1)], earned)], tail=transaction.tail(books.lane_id))
        made.refusals.append(refusal)
        made.inbox.append(item)
        made.tills.append(replace(chain, acked_seq=2, head=b"x" * 32))
        transaction.write(made)
    known = books.store.read_known(PROGRAM, [earned.command_id, refusal.command_id])
    assert len(known) == 2
    assert books.account(1).active == 100
    assert books.store.read_item(PROGRAM, item.item_id) == item
    assert [chain.acked_seq for chain in books.store.read_tills(PROGRAM, store_id="")] == [2]
