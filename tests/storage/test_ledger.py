"""What a lane may rely on, the same for every store."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tallystick.core.chain import GENESIS
from tallystick.core.entry import EntryKind, Moves, Refusal
from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.state import Hold, HoldStatus, Tally, TierState
from tallystick.service.errors import StoreConflict
from tallystick.service.ports import Known, WriteSet
from tallystick.storage import Store
from tests.storage.build import (
    NOW,
    OTHER_PROGRAM,
    PROGRAM,
    YEAR_MS,
    Books,
    Change,
    command_id,
    member_id,
)


def test_a_new_member_has_an_empty_account_that_nothing_is_due_for(books: Books) -> None:
    books.enrol(1)
    account = books.account(1)
    assert (account.active, account.pending, account.held, account.debt, account.seq) == (0, 0, 0, 0, 0)
    assert account.due_ms == NEVER_MS


def test_what_is_written_is_read_back_exactly(books: Books) -> None:
    books.enrol(1, 2)
    earned = books.earn(1)
    made = books.post((1, earned), (2, books.earn(2, 70)))
    known = books.store.read_known(PROGRAM, [entry.entry.command_id for entry in made.entries])
    assert [known[new.entry.command_id].answer for new in made.entries] == [new.entry for new in made.entries]
    assert known[earned.command_id] == Known(member_id(1), b"f" * 16, made.entries[0].entry, NOW)
    assert books.account(1) == made.accounts[0][1]
    assert books.store.read_lots(PROGRAM, member_id(1)) == earned.lots_new
    assert books.store.read_sums(PROGRAM) == Moves(active=170, issued=-170)._asdict()


def test_a_tier_and_its_buckets_are_read_back_exactly(books: Books) -> None:
    books.enrol(1)
    loaded = books.account(1)
    tier = TierState("gold", "silver", NOW, Ms(NOW + 5), "spend", ((739_000, 120), (739_001, 5)))
    changes = WriteSet(recorded_ms=NOW, accounts=[(loaded, replace(loaded, tier=tier, due_ms=Ms(NOW + 5)))])
    with books.store.transaction(PROGRAM) as transaction:
        transaction.write(changes)
    assert books.account(1).tier == tier


def test_tallies_are_read_back_exactly(books: Books) -> None:
    books.enrol(1, 2)
    loaded = books.account(1)
    tallies = (Tally("action/review", 0, 2), Tally("challenge/sommar-kväll", 739_000, 12))
    changes = WriteSet(recorded_ms=NOW, accounts=[(loaded, replace(loaded, tallies=tallies))])
    with books.store.transaction(PROGRAM) as transaction:
        transaction.write(changes)
    assert books.account(1).tallies == tallies
    assert books.account(2).tallies == ()


def test_a_batch_that_does_not_go_on_where_its_lane_ends_is_a_conflict(books: Books) -> None:
    """A lane remembers where it ended; the database may have been set back since, and written by another process."""
    books.enrol(1)
    made = books.post((1, books.earn(1)))
    assert made.journal is not None

    def go_on(lane_seq: int, digest: bytes) -> None:
        with books.store.transaction(PROGRAM) as transaction:
            accounts = transaction.lock_accounts([member_id(1)])
            changes = books.batch([(accounts[member_id(1)], books.earn(1))], tail=(lane_seq, digest))
            transaction.write(changes)

    with pytest.raises(StoreConflict):
        go_on(made.journal.lane_seq + 1, made.journal.hash)
    with pytest.raises(StoreConflict):
        go_on(made.journal.lane_seq, b"x" * 32)
    books.post((1, books.earn(1)))
    assert books.account(1).active == 200


def test_locked_accounts_leave_out_members_who_are_unknown(books: Books) -> None:
    books.enrol(1)
    with books.store.transaction(PROGRAM) as transaction:
        assert set(transaction.lock_accounts([member_id(1), member_id(9), member_id(1)])) == {member_id(1)}


def test_a_command_without_an_answer_is_not_known(books: Books) -> None:
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.known([command_id(5)]) == {}
        assert transaction.known([]) == {}


def test_a_refusal_is_stored_and_given_again(books: Books) -> None:
    refusal = books.refusal(1, Refusal.MEMBER_UNKNOWN)
    with books.store.transaction(PROGRAM) as transaction:
        transaction.write(WriteSet(recorded_ms=NOW, refusals=[refusal]))
    with books.store.transaction(PROGRAM) as transaction:
        known = transaction.known([refusal.command_id, command_id(5)])
    assert known == {refusal.command_id: Known(member_id(1), refusal.fingerprint, refusal.refused, NOW)}


def test_a_failed_block_leaves_nothing_behind(books: Books) -> None:
    books.enrol(1)
    before = books.account(1)
    change = books.earn(1)

    def write_and_fail() -> None:
        with books.store.transaction(PROGRAM) as transaction:
            accounts = transaction.lock_accounts([member_id(1)])
            transaction.write(books.batch([(accounts[member_id(1)], change)], tail=(0, GENESIS)))
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_and_fail()
    assert books.account(1) == before
    assert books.store.read_known(PROGRAM, [change.command_id]) == {}
    assert books.store.read_lots(PROGRAM, member_id(1)) == []
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.tail(books.lane_id) == (0, GENESIS)


def test_one_command_id_for_two_members_is_a_conflict(books: Books) -> None:
    books.enrol(1, 2)
    first = books.earn(1)
    books.post((1, first))
    with pytest.raises(StoreConflict):
        books.post((2, replace(books.earn(2), command_id=first.command_id)))
    assert books.account(2).seq == 0


def test_an_account_that_moved_since_it_was_loaded_is_a_conflict(books: Books) -> None:
    books.enrol(1)
    stale = books.account(1)
    books.post((1, books.earn(1)))
    after = books.account(1)
    changes = WriteSet(recorded_ms=NOW, accounts=[(stale, replace(stale, active=5, seq=1))])
    with pytest.raises(StoreConflict), books.store.transaction(PROGRAM) as transaction:
        transaction.write(changes)
    assert books.account(1) == after


def test_a_lane_that_moved_is_a_conflict(books: Books) -> None:
    books.enrol(1)
    first = books.post((1, books.earn(1)))
    assert first.journal is not None
    again = WriteSet(recorded_ms=NOW, journal=first.journal)
    with pytest.raises(StoreConflict), books.store.transaction(PROGRAM) as transaction:
        transaction.write(again)


def test_changing_a_lot_that_is_not_there_is_a_conflict(books: Books) -> None:
    books.enrol(1)
    (lot,) = books.earn(1).lots_new
    changes = WriteSet(recorded_ms=NOW, lots_changed=[(member_id(1), lot)])
    with pytest.raises(StoreConflict), books.store.transaction(PROGRAM) as transaction:
        transaction.write(changes)


def test_changing_a_hold_that_is_not_there_is_a_conflict(books: Books) -> None:
    books.enrol(1)
    hold = Hold(command_id(1), 1, 5, HoldStatus.VOIDED, NOW)
    changes = WriteSet(recorded_ms=NOW, holds_changed=[(member_id(1), hold)])
    with pytest.raises(StoreConflict), books.store.transaction(PROGRAM) as transaction:
        transaction.write(changes)


def test_a_balance_below_zero_is_never_stored(books: Books) -> None:
    books.enrol(1)
    loaded = books.account(1)
    changes = WriteSet(recorded_ms=NOW, accounts=[(loaded, replace(loaded, active=-1))])
    with (
        pytest.raises(Exception, match=r"account_active_check|below 0"),
        books.store.transaction(PROGRAM) as transaction,
    ):
        transaction.write(changes)
    assert books.account(1).active == 0


def test_an_entry_that_does_not_balance_is_never_stored(books: Books) -> None:
    books.enrol(1)
    change = replace(books.earn(1), moves=Moves(active=5, issued=-4))
    with pytest.raises(Exception, match=r"ledger_balanced_check|does not balance"):
        books.post((1, change))
    assert books.account(1).seq == 0


def test_the_tail_of_a_lane_is_its_last_batch(books: Books) -> None:
    books.enrol(1)
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.tail(books.lane_id) == (0, GENESIS)
    for expected in range(1, 12):
        made = books.post((1, books.earn(1)))
        assert made.journal is not None
        with books.store.transaction(PROGRAM) as transaction:
            assert transaction.tail(books.lane_id) == (expected, made.journal.hash)
            assert transaction.tail(books.lane_id + 1) == (0, GENESIS)


def test_lots_come_in_the_order_in_which_they_are_burned(books: Books) -> None:
    books.enrol(1)
    for _ in range(3):
        books.post((1, books.earn(1)))
    first, second, third = books.store.read_lots(PROGRAM, member_id(1))
    sooner = replace(third, expires_ms=first.expires_ms, earned_ms=Ms(NOW - 1))
    with books.store.transaction(PROGRAM) as transaction:
        transaction.write(WriteSet(recorded_ms=NOW, lots_changed=[(member_id(1), sooner)]))
        lots = transaction.lots(of=[member_id(1)], also=[(member_id(1), third.lot_seq), (member_id(2), 1)])
    assert lots == {member_id(1): [sooner, first, second]}


def test_an_empty_lot_is_given_only_when_named_or_pending(books: Books) -> None:
    books.enrol(1)
    books.post((1, books.earn(1, 100)))
    books.post((1, books.burn(1, 100)))
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.lots(of=[member_id(1)], also=[]) == {}
        (empty,) = transaction.lots(of=[], also=[(member_id(1), 1)])[member_id(1)]
        assert empty.remaining == 0
        assert books.store.read_lots(PROGRAM, member_id(1)) == []
        assert books.store.read_lots(PROGRAM, member_id(1), also=[1, 9]) == [empty]
        pending = replace(empty, pending=True, matures_ms=Ms(NOW + YEAR_MS))
        transaction.write(WriteSet(recorded_ms=NOW, lots_changed=[(member_id(1), pending)]))
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.lots(of=[member_id(1)], also=[]) == {member_id(1): [pending]}
    assert books.store.read_lots(PROGRAM, member_id(1)) == [pending]


def test_where_a_member_stands_is_the_account_its_lots_and_the_account_again(books: Books) -> None:
    books.enrol(1, 2)
    assert books.store.read_standing(PROGRAM, member_id(9)) == (None, [], None)
    books.post((1, books.earn(1, 100)))
    books.post((1, books.burn(1, 100)))
    books.post((2, books.earn(2, 40)))
    account, lots, again = books.store.read_standing(PROGRAM, member_id(1))
    assert (account, lots, again) == (books.account(1), [], books.account(1))
    _, lots, _ = books.store.read_standing(PROGRAM, member_id(1), also=[1, 9])
    assert lots == books.store.read_lots(PROGRAM, member_id(1), also=[1, 9]) != []
    account, lots, _ = books.store.read_standing(PROGRAM, member_id(2))
    assert account is not None
    assert (account.active, [lot.remaining for lot in lots]) == (40, [40])


def test_a_lot_that_one_batch_makes_and_burns_is_stored_as_it_is_in_the_end(books: Books) -> None:
    books.enrol(1)
    earned = books.earn(1, 100)
    (lot,) = earned.lots_new
    left = replace(lot, remaining=30)
    burn = Change(EntryKind.BURN, Moves(active=-70, burned=70), books.next_command(), lots_changed=[left])
    books.post((1, earned), (1, burn))
    assert books.store.read_lots(PROGRAM, member_id(1)) == [left]
    assert (books.account(1).seq, books.account(1).active) == (2, 30)


def test_holds_are_found_by_member_while_open_and_by_id_always(books: Books) -> None:
    books.enrol(1, 2)
    books.post((1, books.earn(1)))
    made = books.post((1, books.hold(1, 40)))
    ((_, placed),) = made.holds_new
    assert books.store.read_holds(PROGRAM, member_id(1)) == [placed]
    voided = replace(placed, status=HoldStatus.VOIDED)
    with books.store.transaction(PROGRAM) as transaction:
        transaction.write(WriteSet(recorded_ms=NOW, holds_changed=[(member_id(1), voided)]))
    assert books.store.read_holds(PROGRAM, member_id(1)) == []
    with books.store.transaction(PROGRAM) as transaction:
        both = transaction.holds(open_of=[member_id(1), member_id(2)], ids=[placed.hold_id, command_id(99)])
        assert both == {member_id(1): [voided]}


def test_an_open_hold_that_is_also_named_comes_once(books: Books) -> None:
    books.enrol(1)
    books.post((1, books.earn(1)))
    ((_, placed),) = books.post((1, books.hold(1, 40))).holds_new
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.holds(open_of=[member_id(1)], ids=[placed.hold_id]) == {member_id(1): [placed]}


def test_returns_against_an_entry_are_found_oldest_first(books: Books) -> None:
    books.enrol(1)
    sale = books.post((1, books.earn(1))).entries[0].entry
    returns = []
    for _ in range(2):
        change = Change(
            EntryKind.RETURN,
            Moves(active=-10, issued=10),
            books.next_command(),
            lots_changed=[replace(books.store.read_lots(PROGRAM, member_id(1))[0], remaining=80)],
            reverses_seq=sale.seq,
        )
        returns.append(books.post((1, change)).entries[0].entry)
    with books.store.transaction(PROGRAM) as transaction:
        assert transaction.reversals([(member_id(1), sale.seq), (member_id(1), 77)]) == returns
    assert books.store.read_reversals(PROGRAM, member_id(1), sale.seq) == returns
    assert books.store.read_reversals(PROGRAM, member_id(1), returns[0].seq) == []


def test_entries_are_paged_newest_first(books: Books) -> None:
    books.enrol(1, 2)
    entries = [books.post((1, books.earn(1))).entries[0].entry for _ in range(5)]
    books.post((2, books.earn(2)))
    page = books.store.read_entries(PROGRAM, member_id(1), before_seq=None, limit=2)
    assert page == [(entries[4], NOW), (entries[3], NOW)]
    rest = books.store.read_entries(PROGRAM, member_id(1), before_seq=4, limit=100)
    assert [entry.seq for entry, _ in rest] == [3, 2, 1]


def test_members_for_whom_time_does_something_are_paged_by_id(books: Books) -> None:
    books.enrol(1, 2, 3, 4, 5)
    for number, due_ms in ((1, 30), (2, 10), (4, 20), (5, 99)):
        books.post((number, books.earn(number, due_ms=Ms(due_ms))))
    due = books.store.read_due
    assert due(PROGRAM, due_ms=Ms(30), after=None, limit=10) == [member_id(1), member_id(2), member_id(4)]
    assert due(PROGRAM, due_ms=Ms(30), after=None, limit=2) == [member_id(1), member_id(2)]
    assert due(PROGRAM, due_ms=Ms(30), after=member_id(2), limit=2) == [member_id(4)]
    assert due(PROGRAM, due_ms=Ms(9), after=None, limit=10) == []
    assert due(PROGRAM, due_ms=NEVER_MS, after=member_id(4), limit=10) == [member_id(5)]


def test_the_sums_of_a_program_without_entries_are_zero(books: Books) -> None:
    assert books.store.read_sums(PROGRAM) == Moves()._asdict()


def test_reads_of_nothing_return_nothing(books: Books) -> None:
    assert books.store.read_accounts(PROGRAM, []) == {}
    assert books.store.read_lots(PROGRAM, member_id(1)) == []
    assert books.store.read_holds(PROGRAM, member_id(1)) == []
    assert books.store.read_entries(PROGRAM, member_id(1), before_seq=None, limit=10) == []


def test_programs_do_not_see_each_other(store: Store) -> None:
    ours, theirs = Books(store), Books(store, OTHER_PROGRAM)
    ours.enrol(1)
    change = ours.earn(1)
    ours.post((1, change))
    assert store.read_accounts(OTHER_PROGRAM, [member_id(1)]) == {}
    assert store.read_known(OTHER_PROGRAM, [change.command_id]) == {}
    assert store.read_sums(OTHER_PROGRAM)["active"] == 0
    theirs.enrol(1)
    theirs.post((1, replace(theirs.earn(1, 7), command_id=change.command_id)))
    assert (ours.account(1).active, theirs.account(1).active) == (100, 7)


def test_no_two_lanes_have_the_same_number(store: Store) -> None:
    assert [store.claim_lane() for _ in range(3)] == [0, 1, 2]


def test_increments_from_many_threads_are_all_there(store: Store) -> None:
    writers, rounds = 4, 15
    books = [Books(store) for _ in range(writers)]
    books[0].enrol(1, 2)
    failures: list[Exception] = []

    def add(own: Books) -> None:
        try:
            for step in range(rounds):
                numbers = (1, 2) if step % 2 else (2, 1)
                with store.transaction(PROGRAM) as transaction:
                    accounts = transaction.lock_accounts([member_id(number) for number in numbers])
                    pairs = []
                    for number in numbers:
                        loaded = accounts[member_id(number)]
                        moves = Moves(active=1, issued=-1)
                        pairs.append((loaded, Change(EntryKind.EARN, moves, own.next_command())))
                    transaction.write(own.batch(pairs, tail=transaction.tail(own.lane_id)))
        except Exception as error:  # noqa: BLE001 - reported by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=add, args=(own,)) for own in books]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert [books[0].account(number).active for number in (1, 2)] == [writers * rounds] * 2
    assert store.read_sums(PROGRAM)["issued"] == -2 * writers * rounds


def test_a_second_writer_waits_for_the_first_and_sees_what_it_wrote(store: Store) -> None:
    books = Books(store)
    books.enrol(1)
    change = books.earn(1)
    locked, seen = threading.Event(), []

    def second() -> None:
        locked.wait(30)
        with store.transaction(PROGRAM) as transaction:
            account = transaction.lock_accounts([member_id(1)])[member_id(1)]
            seen.append((account.active, set(transaction.known([change.command_id]))))

    thread = threading.Thread(target=second)
    thread.start()
    with store.transaction(PROGRAM) as transaction:
        accounts = transaction.lock_accounts([member_id(1)])
        locked.set()
        thread.join(0.2)
        assert thread.is_alive()
        transaction.write(books.batch([(accounts[member_id(1)], change)], tail=(0, GENESIS)))
    thread.join(30)
    assert seen == [(100, {change.command_id})]
