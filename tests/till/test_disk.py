"""A disk that is full and a file that is damaged are told apart; neither loses what was sold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.wire.advices import parse_advice
from tallystick_till.db import TillDb
from tallystick_till.errors import CannotSell, OtherProgram
from tallystick_till.recovery import read_lines, salvage
from tests.till.world import World, basket


def fill_disk(world: World) -> None:
    """Let the file not grow any more, which SQLite reports as it does a full disk."""
    pages = world.till.db.number("PRAGMA page_count")
    world.till.db.number(f"PRAGMA max_page_count = {pages}")


def free_disk(world: World) -> None:
    world.till.db.number("PRAGMA max_page_count = 1000000")


def sell_until_full(world: World) -> int:
    """Sell until the disk takes no more; returns how many sales it took."""
    for sold in range(200):
        try:
            world.till.sale(world.ask(basket=basket(50_000, lines=100)))
        except CannotSell as refused:
            return sold if refused.reason == "DISK_FULL" else -1
    pytest.fail("the disk is never full")


def test_a_full_disk_refuses_the_sale_and_keeps_all_before_it(world: World) -> None:
    world.meet()
    world.till.sale(world.ask())
    fill_disk(world)
    sold = sell_until_full(world)
    status = world.till.status()
    assert sold >= 0
    assert (status.sell.allowed, status.sell.reason, status.queued) == (False, "DISK_FULL", 1 + sold)
    assert world.till.db.number("SELECT seq FROM chain") == 1 + sold


def test_the_till_sells_again_as_soon_as_there_is_space(world: World) -> None:
    world.meet()
    fill_disk(world)
    sold = sell_until_full(world)
    free_disk(world)
    assert world.till.status().sell.allowed
    world.till.sale(world.ask())
    world.line_up()
    world.push_all()
    assert [advice.seq for advice in world.gateway.heard] == list(range(1, sold + 2))


def test_a_full_disk_does_not_take_points_of_a_lease(world: World) -> None:
    world.meet()
    world.hub.leases[world.ask().member_ref] = 300  # type: ignore[index]
    fill_disk(world)
    sell_until_full(world)
    with pytest.raises(CannotSell):
        world.till.sale(world.ask(basket=basket(50_000, lines=100), spend=world.ask(burn=300).spend))
    assert world.hub.taken == {}


def damage(path: Path, at: int, count: int = 4096) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * count)


def close(world: World) -> None:
    world.till.db.number("PRAGMA wal_checkpoint(TRUNCATE)")
    world.till.db.close()


def test_a_damaged_file_sells_nothing_and_is_left_as_it_is(world: World) -> None:
    world.meet()
    world.till.sale(world.ask())
    close(world)
    damage(world.path, 0, 100)
    before = world.path.read_bytes()
    world.start()
    status = world.till.status()
    assert (status.sell.allowed, status.sell.reason) == (False, "OUTBOX_CORRUPT")
    with pytest.raises(CannotSell):
        world.till.sale(world.ask())
    world.till.db.close()
    assert world.path.read_bytes() == before


def test_damage_within_the_file_is_found_at_the_start(world: World) -> None:
    world.meet()
    for _ in range(30):
        world.till.sale(world.ask(basket=basket(5000, lines=20)))
    close(world)
    damage(world.path, world.path.stat().st_size // 2 // 4096 * 4096)
    assert TillDb.open(world.path).fault == "OUTBOX_CORRUPT"


def test_what_is_readable_of_a_damaged_file_can_be_handed_in(world: World) -> None:
    world.meet()
    for at in range(40):
        world.till.sale(world.ask(basket=basket(5000, lines=20, sku=f"tea-{at:04}")))
    close(world)
    damage(world.path, world.path.read_bytes().index(b"tea-0020") // 4096 * 4096)
    assert TillDb.open(world.path).fault == "OUTBOX_CORRUPT"
    saved = read_lines(salvage(world.path, world.till_key))
    seqs = [parse_advice(signed.advice).seq for signed in saved]
    assert (seqs[0], seqs[-1]) == (1, 40)
    assert 36 <= len(seqs) < 40


def test_nothing_is_salvaged_of_what_is_no_file_of_a_till(world: World) -> None:
    close(world)
    damage(world.path, 0, 100)
    assert salvage(world.path, world.till_key) == []


def test_a_damaged_queue_asks_the_gateway_for_nothing(world: World) -> None:
    world.meet()
    world.till.sale(world.ask())
    with world.till.db.write() as tx:
        tx.execute("UPDATE advice SET raw = zeroblob(9)")
    world.restart()
    world.line_up()
    world.meet()
    world.gateway.asked.clear()
    with pytest.raises(CannotSell):
        world.till.sale(world.ask(burn=300))
    assert world.gateway.asked == []


def test_only_its_owner_reads_the_file(world: World) -> None:
    assert {path.stat().st_mode & 0o777 for path in world.path.parent.glob("till.db*")} == {0o600}


def test_a_file_of_a_newer_program_is_not_opened(world: World) -> None:
    world.till.db.number("PRAGMA user_version = 99")
    world.till.db.close()
    with pytest.raises(OtherProgram) as refused:
        TillDb.open(world.path)
    assert refused.value.reason == "NEWER_FILE"


def test_a_disk_that_is_full_at_the_start_keeps_nothing_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick_till.db.FREE_BYTES_MIN", 1 << 62)
    db = TillDb.open(tmp_path)
    assert db.fault == "DISK_FULL"
    db.probe()
    with pytest.raises(CannotSell):
        db.put("key", 1)
    assert db.fault == "DISK_FULL"


def test_a_directory_that_cannot_be_written_to_is_said_and_keeps_nothing_in_memory(tmp_path: Path) -> None:
    db = TillDb.open(tmp_path / "no" / "such" / "till.db")
    assert db.fault == "DISK_FAILED"
    with pytest.raises(CannotSell):
        db.put("key", 1)
    db.probe()
    assert db.fault == "DISK_FAILED"
