from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.v1 import store_pb2
from tallystick_till.snapshot import FileSnapshot, MemorySnapshot, SnapshotIncomplete, SnapshotStore
from tests.till_sync.world import lease_state, member_id, state, tag

Part = store_pb2.SnapshotPart


@pytest.fixture(params=["file", "memory"])
def snapshot(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SnapshotStore]:
    if request.param == "memory":
        yield MemorySnapshot()
        return
    stored = FileSnapshot(tmp_path)
    yield stored
    stored.close()


def fill(snapshot: SnapshotStore, numbers: range) -> None:
    snapshot.stage(Part(first=True, members=[state(number) for number in numbers]))
    snapshot.stage(Part(last=True))


def points(snapshot: SnapshotStore, sought: bytes) -> list[int]:
    return sorted(one.active for one in snapshot.find(sought))


def test_a_member_is_found_by_its_tags_and_by_its_id(snapshot: SnapshotStore) -> None:
    snapshot.set_tiers(["bas", "guld"])
    snapshot.stage(
        Part(first=True, members=[state(1), state(2, tier=2, status=1, tags=tag(2) + tag(9)), state(3)])
    )
    snapshot.stage(Part(last=True))

    (found,) = snapshot.find(tag(9))
    assert (found.member_id, found.seq, found.active, found.tier_id, found.status) == (
        member_id(2),
        1,
        20,
        "guld",
        1,
    )
    assert snapshot.find(tag(2)) == [found]
    assert snapshot.member(member_id(2)) == found
    assert snapshot.count() == 3


CLUB_2027 = store_pb2.PaidMembership(membership_id="club", last_day=20_833)
UNTIL = (("club", date(2027, 1, 15).toordinal()),)


def test_memberships_are_kept_with_the_member_and_replaced_by_the_next_state(snapshot: SnapshotStore) -> None:
    snapshot.stage(Part(first=True, members=[state(1, memberships=[CLUB_2027]), state(2)]))
    assert snapshot.stage(Part(last=True)) == [], "nobody has a lease"
    assert [one.memberships for one in snapshot.find(tag(1)) + snapshot.find(tag(2))] == [UNTIL, ()]
    snapshot.apply([state(1, seq=2), state(2, seq=2, memberships=[CLUB_2027])])
    assert [snapshot.member(member_id(number)).memberships for number in (1, 2)] == [(), UNTIL]  # type: ignore[union-attr]
    fill(snapshot, range(1, 4))
    assert snapshot.member(member_id(2)).memberships == ()  # type: ignore[union-attr]


def test_memberships_outlive_a_merge_and_a_restart(tmp_path: Path) -> None:
    stored = FileSnapshot(tmp_path)
    fill(stored, range(1, 9))
    stored.apply([state(3, memberships=[CLUB_2027])])
    stored.compact()
    stored.close()
    again = FileSnapshot(tmp_path)
    assert [one.memberships for one in again.find(tag(3))] == [UNTIL]
    again.close()


def test_nobody_is_found_who_is_not_there(snapshot: SnapshotStore) -> None:
    assert snapshot.find(tag(1)) == []
    assert snapshot.member(member_id(1)) is None
    fill(snapshot, range(1, 50))
    assert snapshot.find(tag(77)) == []
    assert snapshot.find(b"") == []
    assert snapshot.member(member_id(77)) is None


def test_two_members_who_share_a_tag_are_both_found(snapshot: SnapshotStore) -> None:
    fill(snapshot, range(1, 4))
    snapshot.apply([state(8, tags=tag(2))])
    assert points(snapshot, tag(2)) == [20, 80]


def test_a_changed_member_hides_its_old_points_and_its_old_tags(snapshot: SnapshotStore) -> None:
    fill(snapshot, range(1, 10))
    snapshot.apply([state(5, seq=2, active_points=7, tags=tag(55))])

    assert points(snapshot, tag(5)) == []
    assert points(snapshot, tag(55)) == [7]
    snapshot.apply([state(5, seq=3, active_points=8, tags=tag(56))])
    assert points(snapshot, tag(55)) == []
    assert points(snapshot, tag(56)) == [8]
    assert snapshot.count() == 9


def test_an_erased_member_is_found_by_nothing_on_a_card(snapshot: SnapshotStore) -> None:
    fill(snapshot, range(1, 4))
    snapshot.apply([state(2, seq=9, status=2)])

    assert snapshot.find(tag(2)) == []
    kept = snapshot.member(member_id(2))
    assert kept is not None
    assert kept.status == 2


def test_a_whole_snapshot_takes_the_place_of_the_one_before_only_when_it_is_complete(
    snapshot: SnapshotStore,
) -> None:
    fill(snapshot, range(1, 10))
    snapshot.apply([state(20)])
    snapshot.stage(Part(first=True, members=[state(5, active_points=1)]))
    assert points(snapshot, tag(5)) == [50]
    assert snapshot.count() == 10

    snapshot.stage(Part(last=True, members=[state(6, active_points=2)]))
    assert points(snapshot, tag(5)) == [1]
    assert points(snapshot, tag(7)) == []
    assert points(snapshot, tag(20)) == []
    assert snapshot.count() == 2


def test_a_snapshot_that_begins_again_forgets_what_it_had_collected(snapshot: SnapshotStore) -> None:
    snapshot.stage(Part(first=True, members=[state(1)]))
    snapshot.stage(Part(first=True, members=[state(2)]))
    snapshot.stage(Part(last=True))
    assert (snapshot.find(tag(1)), points(snapshot, tag(2))) == ([], [20])


def test_of_two_states_of_a_member_in_one_snapshot_the_later_one_counts(snapshot: SnapshotStore) -> None:
    snapshot.stage(Part(first=True, members=[state(1, active_points=3), state(2)]))
    snapshot.stage(Part(last=True, members=[state(1, active_points=4, tags=tag(11))]))
    assert (points(snapshot, tag(1)), points(snapshot, tag(11)), snapshot.count()) == ([], [4], 2)


def test_a_part_without_the_beginning_is_no_snapshot(snapshot: SnapshotStore) -> None:
    with pytest.raises(SnapshotIncomplete):
        snapshot.stage(Part(last=True, members=[state(1)]))
    assert snapshot.count() == 0


def test_the_members_with_leases_or_vouchers_come_out_when_the_snapshot_is_complete(
    snapshot: SnapshotStore,
) -> None:
    leased = state(2, leases=[lease_state("l")])
    assert snapshot.stage(Part(first=True, members=[state(1), leased])) == []
    assert snapshot.stage(Part(last=True, members=[state(3, vouchers_used=bytes(16))])) == [
        leased,
        state(3, vouchers_used=bytes(16)),
    ]


def test_a_tier_keeps_its_name_when_the_numbers_change(snapshot: SnapshotStore) -> None:
    snapshot.set_tiers(["bas", "guld"])
    snapshot.stage(Part(first=True, members=[state(1, tier=2)]))
    snapshot.stage(Part(last=True))
    snapshot.apply([state(2, tier=2), state(4, tier=9)])
    snapshot.set_tiers(["bas", "silver", "guld"])
    snapshot.apply([state(3, tier=2)])

    found = [snapshot.member(member_id(number)) for number in (1, 2, 3, 4)]
    assert [one.tier_id for one in found if one] == ["guld", "guld", "silver", ""]


def test_numbers_too_large_for_a_record_are_kept_all_the_same(tmp_path: Path) -> None:
    snapshot = FileSnapshot(tmp_path, changed_max=1)
    huge = state(2, seq=2**40, active_points=2**50, tier=1)
    snapshot.set_tiers(["bas"])
    snapshot.stage(
        Part(first=True, last=True, members=[state(1, seq=2**24 - 1), huge, state(3, active_points=-5)])
    )
    for _ in range(2):
        found = [snapshot.member(member_id(number)) for number in (1, 2, 3)]
        assert [(one.seq, one.active) for one in found if one] == [(2**24 - 1, 10), (2**40, 2**50), (1, -5)]
        # Merging moves them to other rows.
        snapshot.apply([state(number, seq=2) for number in range(10, 40)])
    snapshot.close()


def test_more_tiers_than_a_record_can_number_are_kept_by_name(tmp_path: Path) -> None:
    snapshot = FileSnapshot(tmp_path)
    for number in range(1, 301):
        snapshot.set_tiers([f"tier-{number}"])
        snapshot.apply([state(number, tier=1)])
    snapshot.compact()
    found = [snapshot.member(member_id(number)) for number in range(1, 301)]
    assert [one.tier_id for one in found if one] == [f"tier-{number}" for number in range(1, 301)]
    snapshot.close()


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    before = FileSnapshot(tmp_path)
    before.set_tiers(["bas"])
    fill(before, range(1, 10))
    before.apply([state(3, active_points=1, tags=tag(33), tier=1)])
    before.set_cursor(b"here")
    before.stage(Part(first=True, members=[state(99)]))
    before.close()

    after = FileSnapshot(tmp_path)
    assert (after.cursor(), after.count(), points(after, tag(33)), points(after, tag(4))) == (
        b"here",
        9,
        [1],
        [40],
    )
    after.apply([state(4, tier=1)])
    assert [one.tier_id for one in after.find(tag(4))] == ["bas"]
    after.close()


def test_a_process_that_dies_while_it_merges_loses_nothing(tmp_path: Path) -> None:
    snapshot = FileSnapshot(tmp_path / "till")
    fill(snapshot, range(1, 10))
    snapshot.apply([state(3, active_points=1)])
    snapshot.set_cursor(b"here")
    # As a crash leaves it: a new base, complete or half written, and the switch not made.
    shutil.copytree(tmp_path / "till", tmp_path / "dead")
    shutil.copy(tmp_path / "dead" / "snapshot-1.base", tmp_path / "dead" / "snapshot-2.base")
    (tmp_path / "dead" / "snapshot-3.part").write_bytes(b"half")
    (tmp_path / "dead" / "stage.tmp").write_bytes(b"half")
    snapshot.close()

    after = FileSnapshot(tmp_path / "dead")
    assert (points(after, tag(3)), points(after, tag(4)), after.cursor()) == ([1], [40], b"here")
    after.compact()
    assert points(after, tag(3)) == [1]
    assert sorted(
        path.name for path in (tmp_path / "dead").iterdir() if path.suffix in {".base", ".part", ".tmp"}
    ) == ["snapshot-2.base"]
    after.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[:100] + bytes([raw[100] ^ 1]) + raw[101:],
        lambda raw: raw[:12] + b"\xff" + raw[13:],
        lambda raw: b"",
    ],
)
def test_a_damaged_base_is_noticed_and_everything_is_asked_for_again(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    before = FileSnapshot(tmp_path)
    fill(before, range(1, 10))
    before.set_cursor(b"here")
    before.close()
    base = tmp_path / "snapshot-1.base"
    base.write_bytes(damage(base.read_bytes()))

    after = FileSnapshot(tmp_path)
    assert (after.cursor(), after.count()) == (b"", 0)
    fill(after, range(1, 5))
    assert points(after, tag(3)) == [30]
    after.close()


def test_a_damaged_overlay_leaves_the_base_to_sell_with_until_everything_has_come_again(
    tmp_path: Path,
) -> None:
    before = FileSnapshot(tmp_path)
    fill(before, range(1, 10))
    before.set_cursor(b"here")
    before.close()
    for path in tmp_path.glob("snapshot.db*"):
        path.write_bytes(b"not a database at all" * 100)

    after = FileSnapshot(tmp_path)
    assert (after.cursor(), points(after, tag(3))) == (b"", [30])
    after.close()


def test_the_overlay_is_merged_when_it_has_grown(tmp_path: Path) -> None:
    snapshot = FileSnapshot(tmp_path, changed_max=20)
    fill(snapshot, range(1, 100))
    snapshot.apply([state(number, active_points=1) for number in range(90, 110)])
    assert (tmp_path / "snapshot-1.base").exists()
    snapshot.apply([state(95, active_points=2), state(200)])

    assert [path.name for path in tmp_path.glob("*.base")] == ["snapshot-2.base"]
    assert [points(snapshot, tag(number)) for number in (89, 90, 95, 109, 200)] == [
        [890],
        [1],
        [2],
        [1],
        [2000],
    ]
    assert snapshot.count() == 110
    snapshot.close()


def test_a_tag_that_was_given_up_after_a_merge_finds_nobody(tmp_path: Path) -> None:
    snapshot = FileSnapshot(tmp_path)
    snapshot.apply([state(1, tags=tag(1))])
    snapshot.compact()
    snapshot.apply([state(1, tags=tag(2))])
    assert (points(snapshot, tag(1)), points(snapshot, tag(2))) == ([], [10])
    snapshot.close()


def test_a_merge_leaves_nothing_of_what_a_changed_member_was(tmp_path: Path) -> None:
    snapshot = FileSnapshot(tmp_path)
    fill(snapshot, range(1, 5))
    snapshot.apply([state(6, active_points=2**40)])
    snapshot.compact()
    snapshot.apply([state(2, active_points=1, tags=tag(22)), state(6, active_points=5)])
    snapshot.compact()
    found = [points(snapshot, tag(number)) for number in (1, 2, 22, 3, 6)]
    assert found == [[10], [], [1], [30], [5]]
    snapshot.close()


def test_a_million_members_fit_in_forty_megabytes(tmp_path: Path) -> None:
    # 1.3 identifiers each; what a member takes does not depend on how many there are.
    snapshot = FileSnapshot(tmp_path)
    members = [state(n, tags=tag(n) + (tag(n + 10**6) if n % 10 < 3 else b"")) for n in range(5_000)]
    snapshot.stage(Part(first=True, last=True, members=members))
    assert (tmp_path / "snapshot-1.base").stat().st_size * 200 <= 40_000_000
    snapshot.close()


members = st.builds(
    lambda number, seq, points, tags, status: state(
        number, seq=seq, active_points=points, tags=b"".join(map(tag, tags)), status=status
    ),
    st.integers(0, 12),
    st.integers(1, 2**25),
    st.integers(0, 2**33),
    st.lists(st.integers(0, 9), max_size=3, unique=True),
    st.integers(0, 2),
)
steps: st.SearchStrategy[tuple[str, list[store_pb2.MemberState]]] = st.one_of(
    st.tuples(st.just("apply"), st.lists(members, max_size=6)),
    st.tuples(st.just("stage"), st.lists(members, max_size=12)),
    st.tuples(st.just("restart"), st.just([])),
)


@settings(max_examples=60)
@given(st.lists(steps, max_size=8))
def test_base_and_overlay_together_know_what_one_table_would(
    tmp_path_factory: pytest.TempPathFactory, script: list[tuple[str, list[store_pb2.MemberState]]]
) -> None:
    directory = tmp_path_factory.mktemp("snapshot")
    model, snapshot = MemorySnapshot(), FileSnapshot(directory, changed_max=4)
    for step, changed in script:
        if step == "restart":
            snapshot.close()
            snapshot = FileSnapshot(directory, changed_max=4)
        elif step == "apply":
            model.apply(changed)
            snapshot.apply(changed)
        else:
            part = Part(first=True, last=True, members=changed)
            model.stage(part)
            snapshot.stage(part)
    for number in range(13):
        assert snapshot.member(member_id(number)) == model.member(member_id(number))
    for number in range(10):
        found, wanted = snapshot.find(tag(number)), model.find(tag(number))
        assert sorted(found, key=str) == sorted(wanted, key=str)
    assert snapshot.count() == model.count()
    snapshot.close()
