"""What tills are told of members, leases and the journal, the same from every store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.entry import EntryKind, Moves
from tallystick.core.ids import MemberId, Ms
from tallystick.core.state import HoldKind, HoldStatus, MemberStatus, Tally, TierState
from tallystick.service.directory import IdentifierRow
from tallystick.service.ports import Exposure, TillMember, WriteSet
from tallystick.storage import open_store
from tallystick.storage.reader import ENDED_KEPT_MS
from tallystick.storage.till_reads import SqlTillReads, shares
from tests.storage.build import (
    NOW,
    OTHER_PROGRAM,
    PROGRAM,
    Books,
    Change,
    SetClock,
    identifier,
    member,
    member_id,
)
from tests.storage.conftest import url_of


def tagged(number: int, name: str = "a", *, kind: str = "phone") -> IdentifierRow:
    return replace(identifier(number, kind=kind), scan_tag=name.encode().ljust(16, b"."))


def test_what_is_escrowed_to_a_store_is_what_is_left_of_its_open_leases_and_vouchers(books: Books) -> None:
    books.enrol(1, 2)
    for number in (1, 2):
        books.post((number, books.earn(number, 500)))
    lease = books.post((1, books.escrow(1, 100))).holds_new[0][1]
    books.post((1, books.escrow(1, 30, HoldKind.VOUCHER)), (2, books.escrow(2, 40)))
    books.post((2, books.escrow(2, 7, store_id="store-2")))
    books.post((2, books.hold(2, 9)))
    closed = books.post((2, books.escrow(2, 11))).holds_new[0][1]
    used = replace(lease, used=60)
    books.write(
        WriteSet(
            recorded_ms=NOW,
            holds_changed=[
                (member_id(1), used),
                (member_id(2), replace(closed, status=HoldStatus.EXPIRED)),
            ],
        )
    )
    assert books.store.read_exposure(PROGRAM, store_id="store-1") == Exposure(80, 30, 0, ("till-7",))
    assert books.store.read_exposure(PROGRAM, store_id="store-2") == Exposure(7, 0, 0, ("till-7",))
    assert books.store.read_exposure(OTHER_PROGRAM, store_id="store-1") == Exposure(0, 0, 0)


def test_what_a_store_has_paid_for_is_the_sum_of_its_shortfalls(books: Books) -> None:
    books.enrol(1)
    loss = Moves(burned=25, store_loss=-25)
    for _ in range(2):
        books.post((1, Change(EntryKind.BURN, loss, books.next_command())))
    books.post((1, books.earn(1)))
    elsewhere = Change(EntryKind.BURN, loss, books.next_command())
    books.post((1, replace(elsewhere, origin=replace(elsewhere.origin, store_id="store-2"))))
    assert books.store.read_exposure(PROGRAM, store_id="store-1") == Exposure(0, 0, 50)
    assert books.store.read_exposure(PROGRAM, store_id="store-2") == Exposure(0, 0, 25)


def test_the_journal_is_read_behind_each_lanes_position(books: Books) -> None:
    books.enrol(1)
    other = Books(books.store)
    ours = [books.post((1, books.earn(1))).journal for _ in range(3)]
    theirs = [other.post((1, other.earn(1))).journal for _ in range(2)]
    rows = {(row.lane_id, row.lane_seq): row.payload for row in [*ours, *theirs] if row is not None}
    read = books.store.read_journal

    def told(after: dict[int, int], limit: int = 10) -> list[tuple[int, int]]:
        page = read(PROGRAM, after=after, limit=limit)
        assert all(rows[lane, seq] == payload for lane, seq, payload in page)
        return sorted((lane, seq) for lane, seq, _ in page)

    mine, its = books.lane_id, other.lane_id
    assert books.store.read_journal_heads(PROGRAM) == {mine: 3, its: 2}
    assert told({}) == [(mine, 1), (mine, 2), (mine, 3), (its, 1), (its, 2)]
    assert told({mine: 2, its: 2}) == [(mine, 3)]
    assert told({mine: 3, its: 2}) == []
    assert told({}, limit=2) == [(mine, 1), (its, 1)]
    assert told({mine: 1, its: 2, 77: 5}, limit=1) == [(mine, 2)]
    assert books.store.read_journal_heads(OTHER_PROGRAM) == {}
    hashes = {(row.lane_id, row.lane_seq): row.hash for row in [*ours, *theirs] if row is not None}
    found = books.store.read_journal_hashes(PROGRAM, {mine: 2, its: 2})
    assert found == {mine: hashes[mine, 2], its: hashes[its, 2]}
    assert books.store.read_journal_hashes(PROGRAM, {mine: 4, its: 1, 77: 1}) == {its: hashes[its, 1]}
    assert books.store.read_journal_hashes(OTHER_PROGRAM, {mine: 1}) == {}
    assert read(OTHER_PROGRAM, after={}, limit=9) == []


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 7, 50])
def test_a_busy_lane_leaves_room_for_the_others_and_takes_what_they_leave(limit: int) -> None:
    heads, after = {0: 40, 1: 3, 2: 9, 5: 1}, {0: 10, 2: 9}
    found = {lane: (position, most) for lane, position, most in shares(heads, after, limit=limit)}
    assert sum(most for _, most in found.values()) == min(limit, 34)
    assert all(position == after.get(lane, 0) for lane, (position, _) in found.items())
    assert all(0 < most <= heads[lane] - position for lane, (position, most) in found.items())
    if limit >= 3:
        assert set(found) == {0, 1, 5}


CHANGES: dict[str, Callable[[Books], object]] = {
    "enrolled": lambda books: books.enrol(2),
    "given an identifier": lambda books: books.store.add_identifier(PROGRAM, identifier(1, kind="email")),
    "stripped of an identifier": lambda books: books.store.remove_identifier(
        PROGRAM, member_id(1), "phone", identifier(1).token
    ),
    "blocked": lambda books: books.store.set_status(PROGRAM, member_id(1), MemberStatus.BLOCKED),
    "erased": lambda books: books.store.erase(PROGRAM, member_id(1)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whoever_is_changed_without_an_entry_is_told_of(
    books: Books, clock: SetClock, change: Callable[[Books], object]
) -> None:
    books.store.enrol(PROGRAM, member(1), [identifier(1)])
    clock.now = Ms(NOW + 5)
    assert books.store.read_changed_members(PROGRAM, since=clock.now, after=None, limit=9) == []
    change(books)
    ((changed_ms, _),) = books.store.read_changed_members(PROGRAM, since=clock.now, after=None, limit=9)
    assert changed_ms == clock.now


UNCHANGED: dict[str, Callable[[Books], object]] = {
    "an entry": lambda books: books.post((1, books.earn(1))),
    "an identifier that was there": lambda books: books.store.add_identifier(PROGRAM, identifier(1)),
    "an identifier that was not there": lambda books: books.store.remove_identifier(
        PROGRAM, member_id(1), "email", b"x"
    ),
    "personal data": lambda books: books.store.put_person(PROGRAM, member_id(1), b"sealed"),
    "a second enrolment": lambda books: books.store.enrol(PROGRAM, member(1), []),
}


@pytest.mark.parametrize("change", UNCHANGED.values(), ids=UNCHANGED.keys())
def test_what_tills_need_not_hear_of_is_no_change(
    books: Books, clock: SetClock, change: Callable[[Books], object]
) -> None:
    books.store.enrol(PROGRAM, member(1), [identifier(1)])
    clock.now = Ms(NOW + 5)
    change(books)
    assert books.store.read_changed_members(PROGRAM, since=clock.now, after=None, limit=9) == []


def test_changed_members_are_paged_by_when_they_changed(books: Books, clock: SetClock) -> None:
    def page(since: Ms, after: tuple[Ms, str] | None = None, limit: int = 9) -> list[tuple[Ms, MemberId]]:
        return books.store.read_changed_members(PROGRAM, since=since, after=after, limit=limit)

    books.enrol(3, 1)
    clock.now = Ms(NOW + 1)
    books.enrol(2)
    expected = [(NOW, member_id(1)), (NOW, member_id(3)), (Ms(NOW + 1), member_id(2))]
    assert page(Ms(0)) == expected
    assert page(NOW) == expected
    assert page(Ms(NOW + 1)) == expected[2:]
    assert page(Ms(0), limit=1) == expected[:1]
    assert page(NOW, after=expected[0], limit=1) == expected[1:2]
    assert page(Ms(NOW + 1), after=expected[0]) == expected[2:]
    assert books.store.read_changed_members(OTHER_PROGRAM, since=Ms(0), after=None, limit=9) == []


def test_a_till_is_told_of_balance_tier_status_tags_and_what_its_store_may_burn(books: Books) -> None:
    books.store.enrol(
        PROGRAM, member(1), [tagged(1, "b"), tagged(1, "a", kind="card"), identifier(1, kind="x")]
    )
    books.enrol(2)
    books.post((1, books.earn(1, 500)))
    lease = books.post((1, books.escrow(1, 100))).holds_new[0][1]
    voucher = books.post((1, books.escrow(1, 30, HoldKind.VOUCHER))).holds_new[0][1]
    books.post((1, books.escrow(1, 20, store_id="store-2")))
    books.post((1, books.hold(1, 9)))
    loaded = books.account(1)
    tallies = (Tally("challenge/x", 739_000, 2), Tally("member/club", 0, 740_000))
    gold = replace(loaded, tier=TierState("gold"), tallies=tallies)
    books.write(WriteSet(recorded_ms=NOW, accounts=[(loaded, gold)]))
    books.store.set_status(PROGRAM, member_id(1), MemberStatus.BLOCKED)
    wanted = [member_id(2), member_id(1), member_id(9), member_id(1)]
    told = books.store.read_till_members(PROGRAM, wanted, store_id="store-1")
    tags = (b"a".ljust(16, b"."), b"b".ljust(16, b"."))
    assert told == [
        TillMember(
            member_id(1),
            5,
            341,
            "gold",
            MemberStatus.BLOCKED,
            tags,
            (lease, voucher),
            (("club", 740_000),),
            ("till-7", "till-7"),
        ),
        TillMember(member_id(2), 0, 0, "", MemberStatus.OPEN, ()),
    ]
    assert books.store.read_till_members(PROGRAM, [], store_id="store-1") == []
    assert books.store.read_till_members(OTHER_PROGRAM, wanted, store_id="store-1") == []


def test_leases_that_ended_are_told_of_for_sixty_days_and_in_pages_not_at_all(
    books: Books, clock: SetClock
) -> None:
    books.enrol(1)
    books.post((1, books.earn(1, 500)))
    ends_ms = Ms(NOW + 1_000)
    lease = books.post((1, books.escrow(1, 100, ends_ms=ends_ms))).holds_new[0][1]
    expired = replace(lease, status=HoldStatus.EXPIRED)

    def told() -> tuple[object, ...]:
        (one,) = books.store.read_till_members(PROGRAM, [member_id(1)], store_id="store-1")
        return one.holds

    def paged() -> tuple[object, ...]:
        (one,) = books.store.read_till_member_page(PROGRAM, store_id="store-1", after="", limit=9)
        return one.holds

    clock.now = Ms(ends_ms + ENDED_KEPT_MS + 1)
    assert told() == paged() == (lease,)
    books.write(WriteSet(recorded_ms=NOW, holds_changed=[(member_id(1), expired)]))
    assert told() == ()
    clock.now = Ms(ends_ms + ENDED_KEPT_MS)
    assert told() == (expired,)
    assert paged() == ()


def test_living_members_are_paged_by_id_with_their_tags(books: Books) -> None:
    for number in (4, 2, 1, 3):
        books.store.enrol(PROGRAM, member(number), [tagged(number)])
    books.store.erase(PROGRAM, member_id(2))
    books.post((3, books.earn(3, 70)))
    (lease,) = books.post((3, books.escrow(3, 20))).holds_new
    tags = (b"a".ljust(16, b"."),)
    expected = [
        TillMember(member_id(1), 0, 0, "", MemberStatus.OPEN, tags),
        TillMember(member_id(3), 2, 50, "", MemberStatus.OPEN, tags, (lease[1],), (), ("till-7",)),
        TillMember(member_id(4), 0, 0, "", MemberStatus.OPEN, tags),
    ]

    def page(after: str, limit: int) -> list[TillMember]:
        return books.store.read_till_member_page(PROGRAM, store_id="store-1", after=after, limit=limit)

    assert page("", 2) == expected[:2]
    assert page(member_id(3), 2) == expected[2:]
    assert page(member_id(4), 2) == []
    (erased,) = books.store.read_till_members(PROGRAM, [member_id(2)], store_id="store-1")
    assert erased == TillMember(member_id(2), 0, 0, "", MemberStatus.ERASED, ())


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_a_lease_granted_while_a_member_is_read_is_told_of_whole_or_not_at_all(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    store = open_store(url_of(request, backend), lanes=2)
    books = Books(store)
    books.enrol(1)
    books.post((1, books.earn(1, 500)))
    rest_of_the_read = SqlTillReads._till_members

    def grant_first(reads: SqlTillReads, *rest: Any) -> list[TillMember]:
        monkeypatch.undo()
        books.post((1, books.escrow(1, 100)))
        return rest_of_the_read(reads, *rest)

    monkeypatch.setattr(SqlTillReads, "_till_members", grant_first)
    (before,) = store.read_till_members(PROGRAM, [member_id(1)], store_id="store-1")
    assert (before.active, before.holds) == (500, ())
    (after,) = store.read_till_members(PROGRAM, [member_id(1)], store_id="store-1")
    assert (after.active, [hold.points for hold in after.holds]) == (400, [100])
    store.close()
