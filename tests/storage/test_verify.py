"""Whatever is changed behind the program's back, verification names the row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.core.chain import entry_digest, entry_ref, row_hash, seal
from tallystick.core.codec import tallies_from_text, tier_to_text
from tallystick.core.entry import Detail
from tallystick.core.ids import MemberId, ProgramId
from tallystick.core.state import Tally, TierState
from tallystick.service.ports import WriteSet
from tallystick.storage import Store, open_store
from tallystick.storage import refs as refs_module
from tallystick.storage import verify as verify_module
from tallystick.storage.verify import Report, verify
from tests.storage.build import (
    NOW,
    OTHER_PROGRAM,
    PROGRAM,
    Books,
    command_id,
    member_id,
)
from tests.storage.tampering import MEMBERS, M, Tampered, fill


def where(number: int, seq: int) -> str:
    return f"WHERE member_id = '{M[number]}' AND seq = {seq}"


def entry(number: int, seq: int) -> tuple[str, str]:
    return "ledger", f"member {M[number]}, seq {seq}"


def test_what_nobody_has_changed_is_in_order(store: Store) -> None:
    fill(store)
    Books(store, OTHER_PROGRAM).enrol(1)
    calls: list[tuple[ProgramId, int, int]] = []
    report = verify(store, on_progress=lambda *call: calls.append(call))
    assert report.problems == []
    assert report.ok
    assert report.first is None
    assert (report.programs, report.members, report.entries) == (2, MEMBERS + 1, 19)
    assert (report.lots, report.holds, report.journal_rows) == (13, 2, 13)
    assert (report.tills, report.inbox_items) == (2, 4)
    assert calls == [(PROGRAM, 19, 19), (OTHER_PROGRAM, 0, 0)]


def test_one_program_is_verified_alone(store: Store) -> None:
    fill(store)
    assert verify(store, OTHER_PROGRAM).entries == 0
    assert verify(store, PROGRAM).entries == 19


def test_a_store_without_programs_is_in_order(store: Store) -> None:
    assert verify(store) == Report()


CHANGED_ENTRIES = {
    "points": "m_active = m_active + 1",
    "points on both sides": "m_active = m_active + 1, m_issued = m_issued - 1, active_after = active_after + 1",
    "a balance": "active_after = active_after + 1",
    "the reference": "reference = 'R-2'",
    "the till": "till_id = 'till-8'",
    "business time": "occurred_ms = occurred_ms - 1",
    "the detail": 'detail = \'{"reason":"goodwill"}\'',
    "the kind": "kind = 9",
    "the command": f"command_id = '{command_id(7, salt=9)}'",
    "the fingerprint": "fingerprint = ''",
    "the assurance": "assurance = 4",
    "what it reverses": "reverses_seq = 1",
    "the shortfall": "shortfall = 5",
    "the claim": "claimed_points = 0",
}


@pytest.mark.parametrize("change", CHANGED_ENTRIES.values(), ids=CHANGED_ENTRIES.keys())
def test_a_changed_entry_is_named(tampered: Tampered, change: str) -> None:
    tampered.run(f"UPDATE ledger SET {change} {where(3, 2)}")
    assert tampered.first() == entry(3, 2)


def test_when_an_entry_was_recorded_is_not_sealed(tampered: Tampered) -> None:
    tampered.run(f"UPDATE ledger SET recorded_ms = recorded_ms + 1 {where(3, 2)}")
    assert verify(tampered.url, PROGRAM).ok


def test_an_entry_of_a_kind_that_does_not_exist_is_named_and_is_no_crash(tampered: Tampered) -> None:
    tampered.run(f"UPDATE ledger SET kind = 99 {where(3, 2)}")
    first = tampered.verify().first
    assert first is not None
    assert (first.table, first.key) == entry(3, 2)
    assert "99" in first.found


@pytest.mark.parametrize("seq", [1, 2], ids=["in the middle", "at the end"])
def test_a_removed_entry_is_named(tampered: Tampered, seq: int) -> None:
    tampered.run(f"DELETE FROM ledger {where(2, seq)}")
    assert tampered.first() == entry(2, seq)


def test_the_last_entry_of_a_member_removed_with_its_traces_is_named(tampered: Tampered) -> None:
    tampered.run(f"DELETE FROM ledger {where(4, 3)}")
    tampered.run(f"DELETE FROM lot WHERE member_id = '{M[4]}' AND lot_seq = 3")
    tampered.run(f"UPDATE account SET seq = 2, pending = 0 WHERE member_id = '{M[4]}'")
    report = tampered.verify()
    assert tampered.first() == entry(4, 3)
    assert report.problem_count == 1


COPIED = (
    "INSERT INTO ledger SELECT program_id, member_id, 4, '{command}', rule_set, kind, assurance, channel, occurred_ms, "
    "recorded_ms, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, active_after, pending_after, held_after, "
    "debt_after, shortfall, claimed_points, NULL, NULL, fingerprint, tier_after, store_id, till_id, reference, detail "
    "FROM ledger {where}"
)


def test_an_entry_slipped_in_is_named(tampered: Tampered) -> None:
    tampered.run(COPIED.format(command=command_id(7, salt=9), where=where(4, 3)))
    tampered.run(f"UPDATE account SET seq = 4 WHERE member_id = '{M[4]}'")
    report = tampered.verify()
    assert tampered.first() == entry(4, 4)
    assert report.problem_count == 1


def test_two_entries_that_have_changed_places_are_named(tampered: Tampered) -> None:
    for old, new in ((1, 900), (2, 1), (900, 2)):
        tampered.run(f"UPDATE ledger SET seq = {new} {where(6, old)}")
    report = tampered.verify()
    assert tampered.first() == entry(6, 1)
    assert entry(6, 2) in [(problem.table, problem.key) for problem in report.problems]


def test_an_entry_given_to_a_member_without_an_account_is_named(tampered: Tampered) -> None:
    stranger = member_id(999)
    tampered.run(f"UPDATE ledger SET member_id = '{stranger}' {where(6, 2)}")
    report = tampered.verify()
    keys = [(problem.table, problem.key) for problem in report.problems]
    assert tampered.first() == entry(6, 2)
    assert ("ledger", f"member {stranger}, seq 2") in keys


@pytest.mark.parametrize("column", ["active", "pending", "held", "debt", "seq"])
def test_a_changed_account_is_named(tampered: Tampered, column: str) -> None:
    tampered.run(f"UPDATE account SET {column} = {column} + 1 WHERE member_id = '{M[4]}'")
    assert tampered.first() == ("account", f"member {M[4]}")


def test_a_tier_that_no_entry_gave_is_named(tampered: Tampered) -> None:
    gold = tier_to_text(TierState("gold"))
    tampered.run(f"UPDATE account SET tier = '{gold}' WHERE member_id = '{M[4]}'")
    assert tampered.first() == ("account", f"member {M[4]}")


@pytest.mark.parametrize("kept", ["", '[["action/review",0,3]]', '[["action/review",0,2],["badge/x",0,1]]'])
def test_a_tally_that_is_not_what_the_entries_counted_is_named(store: Store, kept: str) -> None:
    books = Books(store)
    books.enrol(1)
    counted = replace(books.earn(1), detail=Detail(tallies=(Tally("action/review", 0, 2),)))
    with store.transaction(PROGRAM) as transaction:
        account = transaction.lock_accounts([member_id(1)])[member_id(1)]
        made = books.batch([(account, counted)], tail=transaction.tail(books.lane_id))
        ((before, after),) = made.accounts
        made.accounts = [(before, replace(after, tallies=tallies_from_text(kept)))]
        transaction.write(made)
    first = verify(store).first
    assert first is not None
    assert (first.table, first.key) == ("account", f"member {member_id(1)}")


def test_tallies_that_the_entries_counted_are_as_they_must_be(store: Store) -> None:
    books = Books(store)
    books.enrol(1)
    deltas = (Tally("action/review", 0, 2), Tally("challenge/x", 739_000, 1))
    counted = replace(books.earn(1), detail=Detail(tallies=deltas))
    with store.transaction(PROGRAM) as transaction:
        account = transaction.lock_accounts([member_id(1)])[member_id(1)]
        made = books.batch([(account, counted)], tail=transaction.tail(books.lane_id))
        ((before, after),) = made.accounts
        # The period may be over, and dropped.
        made.accounts = [(before, replace(after, tallies=deltas[:1]))]
        transaction.write(made)
    assert books.account(1).tallies == deltas[:1]
    assert verify(store).ok


JANUARY, FEBRUARY = 739_252, 739_283


@pytest.mark.parametrize(("january", "february"), [(3, 1), (1, 1), (2, 1), (0, 1), (3, 2), (4, 1)])
def test_a_period_that_a_later_one_followed_may_have_been_counted_anew(
    store: Store, january: int, february: int
) -> None:
    x = "challenge/x"
    agrees = _agrees(
        store,
        counted=[Tally(x, JANUARY, 2), Tally(x, FEBRUARY, 1), Tally(x, JANUARY, 1)],
        kept=[Tally(x, JANUARY, january), Tally(x, FEBRUARY, february)],
    )
    assert agrees is ((january, february) in [(3, 1), (1, 1), (0, 1)])


@pytest.mark.parametrize(
    ("key", "later", "anew"),
    [
        ("action/review/a1", "action/review/b2", True),
        ("action/review/a1", "action/party/b2", False),
        ("challenge/x", "challenge/y", False),
    ],
)
def test_what_makes_room_for_each_other_is_one_action_on_any_subject(
    store: Store, key: str, later: str, anew: bool
) -> None:
    agrees = _agrees(
        store,
        counted=[Tally(key, JANUARY, 2), Tally(later, FEBRUARY, 1), Tally(key, JANUARY, 1)],
        kept=[Tally(key, JANUARY, 1), Tally(later, FEBRUARY, 1)],
    )
    assert agrees is anew


def _agrees(store: Store, *, counted: list[Tally], kept: list[Tally]) -> bool:
    """Return whether an account may keep some tallies after what was counted in this order."""
    books = Books(store)
    books.enrol(1)
    entry = replace(books.earn(1), detail=Detail(tallies=tuple(counted)))
    with store.transaction(PROGRAM) as transaction:
        account = transaction.lock_accounts([member_id(1)])[member_id(1)]
        made = books.batch([(account, entry)], tail=transaction.tail(books.lane_id))
        ((before, after),) = made.accounts
        there = tuple(sorted(tally for tally in kept if tally.count))
        made.accounts = [(before, replace(after, tallies=there))]
        transaction.write(made)
    return verify(store).ok


def test_a_removed_account_is_named_by_its_entries(tampered: Tampered) -> None:
    tampered.run(f"DELETE FROM account WHERE member_id = '{M[4]}'")
    assert tampered.first() == entry(4, 1)


def test_a_lot_with_more_points_than_it_was_made_with_is_named(tampered: Tampered) -> None:
    tampered.run(f"UPDATE lot SET remaining = 101 WHERE member_id = '{M[5]}' AND lot_seq = 1")
    assert tampered.first() == ("lot", f"member {M[5]}, lot 1")


@pytest.mark.parametrize("change", ["remaining = remaining - 1", "pending = 1"])
def test_lots_that_do_not_make_up_the_balance_are_named(tampered: Tampered, change: str) -> None:
    tampered.run(f"UPDATE lot SET {change} WHERE member_id = '{M[5]}' AND lot_seq = 1")
    assert tampered.first() == ("lot", f"member {M[5]}, lot all")


def test_a_removed_lot_is_named(tampered: Tampered) -> None:
    tampered.run(f"DELETE FROM lot WHERE member_id = '{M[5]}' AND lot_seq = 1")
    assert tampered.first() == ("lot", f"member {M[5]}, lot all")


def test_a_lot_that_no_entry_made_is_named(tampered: Tampered) -> None:
    tampered.run(f"UPDATE lot SET lot_seq = 77 WHERE member_id = '{M[5]}' AND lot_seq = 1")
    assert tampered.first() == ("lot", f"member {M[5]}, lot 77")


def test_a_hold_that_was_closed_behind_our_back_is_named(tampered: Tampered) -> None:
    tampered.run(f"UPDATE hold SET status = 3 WHERE member_id = '{M[3]}'")
    assert tampered.first() == ("hold", f"member {M[3]}, hold all")


@pytest.mark.parametrize(
    "change",
    [
        "payload = prev_hash",
        "hash = prev_hash",
        "recorded_ms = recorded_ms + 1",
        "s_active = s_active + 1, s_issued = s_issued - 1",
        "count = count + 1",
    ],
)
def test_a_changed_journal_row_is_named(tampered: Tampered, change: str) -> None:
    tampered.run(f"UPDATE journal SET {change} WHERE lane_id = 0 AND lane_seq = 4")
    assert tampered.first() == ("journal", "lane 0, row 4")


def test_a_journal_row_sealed_anew_is_named_by_the_row_that_follows_it(tampered: Tampered) -> None:
    store = open_store(tampered.url)
    with store.snapshot(PROGRAM) as snapshot:
        row = next(row for row in snapshot.journal() if (row.lane_id, row.lane_seq) == (0, 4))
    store.close()
    later = row.recorded_ms + 1
    anew = row_hash(PROGRAM, 0, 4, later, row.sums, row.payload, row.prev_hash)
    tampered.run(
        f"UPDATE journal SET recorded_ms = {later}, hash = {tampered.blob(anew)} "
        "WHERE lane_id = 0 AND lane_seq = 4"
    )
    report = tampered.verify()
    assert tampered.first() == ("journal", "lane 0, row 5")
    assert report.problem_count == 1


def test_a_removed_journal_row_is_named(tampered: Tampered) -> None:
    tampered.run("DELETE FROM journal WHERE lane_id = 0 AND lane_seq = 4")
    assert tampered.first() == ("journal", "lane 0, row 4")


def test_a_removed_end_of_the_journal_is_named_by_its_entries(tampered: Tampered) -> None:
    tampered.run("DELETE FROM journal WHERE lane_id = 0 AND lane_seq >= 7")
    assert tampered.first() == entry(1, 3)


def test_a_whole_lane_removed_is_named_by_its_entries(tampered: Tampered) -> None:
    tampered.run("DELETE FROM journal WHERE lane_id = 1")
    assert tampered.first() == entry(1, 2)


def test_journal_rows_that_have_changed_places_are_named(tampered: Tampered) -> None:
    for old, new in ((3, 900), (4, 3), (900, 4)):
        tampered.run(f"UPDATE journal SET lane_seq = {new} WHERE lane_id = 0 AND lane_seq = {old}")
    assert tampered.first() == ("journal", "lane 0, row 3")


def test_an_entry_sealed_twice_is_named_by_the_second_row(store: Store) -> None:
    books = Books(store)
    books.enrol(1)
    made = books.post((1, books.earn(1)))
    new = made.entries[0]
    ref = entry_ref(new.entry.member_id, 1, entry_digest(new.entry, new.fingerprint, new.detail_text))
    forge(books, ref, (0,) * 9)
    first = verify(store).first
    assert first is not None
    assert (first.table, first.key) == ("journal", f"lane {books.lane_id}, row 2")


def test_sums_that_are_not_those_of_the_entries_are_named(store: Store) -> None:
    books = Books(store)
    books.enrol(1)
    change = books.earn(1)
    with store.transaction(PROGRAM) as transaction:
        made = books.batch(
            [(transaction.lock_accounts([member_id(1)])[member_id(1)], change)], tail=transaction.tail(0)
        )
        assert made.journal is not None
        forged = (7, 0, 0, 0, -7, 0, 0, 0, 0)
        made.journal = seal(
            program_id=PROGRAM,
            lane_id=0,
            lane_seq=1,
            recorded_ms=NOW,
            sums=forged,
            refs=[made.journal.payload],
            prev_hash=made.journal.prev_hash,
        )
        transaction.write(made)
    first = verify(store).first
    assert first is not None
    assert (first.table, first.key) == ("journal", "lane all, row all")
    assert "active=100" in first.expected
    assert "active=7" in first.found


def forge(books: Books, ref: bytes, sums: tuple[int, ...]) -> None:
    """Seal a batch that wrote nothing."""
    with books.store.transaction(PROGRAM) as transaction:
        lane_seq, head = transaction.tail(books.lane_id)
        journal = seal(
            program_id=PROGRAM,
            lane_id=books.lane_id,
            lane_seq=lane_seq + 1,
            recorded_ms=NOW,
            sums=sums,
            refs=[ref],
            prev_hash=head,
        )
        transaction.write(WriteSet(recorded_ms=NOW, journal=journal))


def test_many_problems_are_counted_and_the_first_are_listed_in_order(
    tampered: Tampered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "PROBLEMS_MAX", 3)
    tampered.run("UPDATE ledger SET reference = 'R-2'")
    tampered.run("UPDATE journal SET recorded_ms = 0 WHERE lane_id = 1 AND lane_seq = 2")
    report = tampered.verify()
    assert report.problem_count == 20
    named = [(problem.table, problem.key) for problem in report.problems]
    assert named == [("journal", "lane 1, row 2"), entry(1, 1), entry(1, 2)]


def test_a_ledger_too_large_for_memory_is_compared_in_pieces_on_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refs_module, "BUCKET_MEMORY_BYTES", 40)
    fill(store)
    assert verify(store).ok


def test_a_problem_reads_as_a_sentence(tampered: Tampered) -> None:
    tampered.run(f"UPDATE account SET debt = 26 WHERE member_id = '{M[5]}'")
    assert str(tampered.verify().first) == (
        f"nordvik: account (member {MemberId(M[5])}): expected seq 3, balances active 150, pending 0, held 0, debt 25, "
        "found seq 3, balances active 150, pending 0, held 0, debt 26"
    )
