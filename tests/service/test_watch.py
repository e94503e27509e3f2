"""What a till is told when it begins to watch: its store's news, the time, and all that it lacks of the members."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.core.advice import TillStatus
from tallystick.core.ids import ProgramId
from tallystick.core.state import MemberStatus
from tallystick.security.envelope import ANCHOR, LEASE, RULES, body_holds
from tallystick.security.key_dir import KeyDir, create_key_dir
from tallystick.security.keys import verify_key_from_jwk
from tallystick.security.scan_tags import scan_tag, store_tag
from tallystick.service import changes as changes_module
from tallystick.service import member_states, store_news, watch_session
from tallystick.service.changes import Cursors
from tallystick.service.directory import Cashier, DeviceStatus
from tallystick.service.ports import WriteSet
from tallystick.storage.memory import MemoryStore
from tallystick.v1 import advice_pb2
from tallystick.v1 import store_pb2 as pb
from tests.service.desk import ANN, BEN, CLUB
from tests.service.watcher import (
    OTHER_STORE,
    OTHER_TILL,
    STORE,
    TILL,
    Picture,
    SetClock,
    Shop,
    members_of,
    memory_shop,
)

DAY_MS = 86_400_000
TIERS = {
    "basis": "spend",
    "period": "calendar_year",
    "levels": [{"id": "bronze", "from": 0}, {"id": "gold", "from": 5_000}],
}
LEVELS = [{"id": "tin", "from": 0}, {"id": "bronze", "from": 100}, {"id": "gold", "from": 5_000}]
RESHUFFLED = {**TIERS, "levels": LEVELS}


@pytest.fixture
def shop(keys: KeyDir) -> Iterator[Shop]:
    yield from memory_shop(keys)


def kinds(responses: list[pb.WatchResponse]) -> list[str]:
    return [response.WhichOneof("news") or "" for response in responses]


def rule_versions(news: pb.StoreNews) -> dict[int, bool]:
    grants = [advice_pb2.RuleSetGrant.FromString(signed.body) for signed in news.rule_sets]
    return {grant.version: grant.current for grant in grants}


def test_the_stores_news_come_first_then_the_time_then_everybody(shop: Shop) -> None:
    responses = shop.told()
    assert kinds(responses) == ["store", "heartbeat", "snapshot"]
    assert [response.cursor for response in responses[:2]] == [b"", b""]
    assert responses[2].snapshot.first
    assert responses[2].snapshot.last
    assert responses[2].snapshot.total == 2
    assert 0 < len(responses[2].cursor) <= 4_096
    picture = shop.picture()
    assert picture.states() == shop.truth()
    assert set(picture.members) == {ANN, BEN}


def test_a_program_without_members_is_an_empty_snapshot(keys: KeyDir) -> None:
    clock = SetClock()
    store = MemoryStore(now_ms=clock)
    shop = Shop(store, keys, clock)
    try:
        shop.gateway.programs.create(ProgramId("empty"), "Empty", store.program(CLUB).clock)  # type: ignore[union-attr]
        shop.program_id = ProgramId("empty")
        responses = shop.told()
        assert kinds(responses) == ["store", "heartbeat", "snapshot"]
        part = responses[2].snapshot
        assert (part.first, part.last, len(part.members)) == (True, True, 0)
        assert not responses[0].store.rule_sets
    finally:
        shop.close()


def test_the_stores_news_hold_what_a_till_needs_to_work_alone(shop: Shop) -> None:
    shop.add_till(OTHER_TILL)
    shop.add_till("01940000-0000-7000-8000-0000000000d3", OTHER_STORE)
    shop.store.put_cashier(CLUB, Cashier(STORE, "kim", "Kim", active=True, pin_hash="secret"))
    news = shop.picture().store
    assert [till.till_id for till in news.tills] == [TILL, OTHER_TILL]
    assert (news.tills[0].label, bool(news.tills[0].public_jwk)) == ("Till d1", True)
    assert news.scan_key == shop.keys.scan_key(CLUB)
    assert news.store_key == shop.keys.store_key(CLUB, STORE)
    assert news.sealing_jwk == shop.keys.box.jwk
    assert news.region == "SE"
    assert [(one.cashier_id, one.label, one.active) for one in news.cashiers] == [("kim", "Kim", True)]
    assert b"secret" not in news.SerializeToString()
    assert news.till_status == pb.TILL_STATUS_TRUSTED


def test_rule_sets_and_the_time_are_signed_by_keys_that_the_news_name(shop: Shop) -> None:
    responses = shop.told()
    news = responses[0].store
    keys = {json.loads(text)["kid"]: verify_key_from_jwk(json.loads(text)) for text in news.server_keys}
    [signed] = news.rule_sets
    assert body_holds(keys, RULES, signed.body, key_id=signed.key_id, signature=signed.signature)
    grant = advice_pb2.RuleSetGrant.FromString(signed.body)
    assert (grant.program_id, grant.version, grant.current) == (CLUB, 1, True)
    away_ms = 30 * DAY_MS
    assert shop.now + away_ms <= grant.valid_until_ms <= shop.now + away_ms + store_news.VALID_STEP_MS
    anchor = responses[1].heartbeat.anchor
    assert body_holds(keys, ANCHOR, anchor.body, key_id=anchor.key_id, signature=anchor.signature)
    told = advice_pb2.Anchor.FromString(anchor.body)
    assert (told.till_id, told.server_ms) == (TILL, shop.now)


def test_a_scan_finds_its_member_by_the_stores_own_tag(shop: Shop) -> None:
    member = shop.join("kim@example.org", "kim@work.example")
    picture = shop.picture()
    tag = scan_tag(picture.store.scan_key, kind="email", value="kim@work.example")
    tags = picture.state(member).tags
    assert len(tags) == 14
    assert store_tag(picture.store.store_key, tag) in {tags[:7], tags[7:]}
    elsewhere = shop.picture(store_id=OTHER_STORE)
    assert elsewhere.state(member).tags != tags


def test_rule_sets_of_the_time_in_which_a_till_may_come_back_are_sent(shop: Shop) -> None:
    for days in (10, 100, 30):
        shop.pass_time(days * DAY_MS)
        shop.publish(name=f"after {days}")
    # Version 1 was superseded 130 days ago, version 2 only 30: a till may be away for 30 and is judged for 90 more.
    assert rule_versions(shop.picture().store) == {4: True, 3: False, 2: False}


def test_no_more_rule_sets_are_sent_than_fit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        shop.publish(name=f"v{number}")
    monkeypatch.setattr(store_news, "RULE_SETS_MAX", 3)
    assert list(rule_versions(shop.picture().store)) == [6, 5, 4]
    monkeypatch.setattr(store_news, "RULE_SETS_BYTES_MAX", 10)
    assert rule_versions(shop.picture().store) == {6: True}


def test_a_tiers_number_never_changes_its_meaning(keys: KeyDir) -> None:
    clock = SetClock()
    shop = Shop(MemoryStore(now_ms=clock), keys, clock, tiers=TIERS)
    try:
        shop.posted(shop.sale(6_000))
        before = shop.picture()
        assert before.tier(ANN) == "gold"
        shop.publish(tiers=RESHUFFLED)
        after = shop.picture(before.cursor)
        assert list(after.store.tiers)[: len(before.store.tiers)] == list(before.store.tiers)
        assert set(after.store.tiers) == {"tin", "bronze", "gold"}
        assert after.store.tiers[before.state(ANN).tier - 1] == "gold"
    finally:
        shop.close()


def test_a_new_tier_is_told_before_the_first_member_in_it(keys: KeyDir) -> None:
    clock = SetClock()
    shop = Shop(MemoryStore(now_ms=clock), keys, clock, tiers=TIERS)
    try:
        cursor = shop.picture().cursor
        watch = shop.gateway.watch.catch_up(CLUB, STORE, TILL, pb.WatchRequest(cursor=cursor, protocol=1))
        picture = Picture()
        picture.take(next(watch))
        shop.publish(tiers=RESHUFFLED)
        shop.gateway.rulebook.forget(CLUB)
        shop.posted(shop.sale(50))
        for response in watch:
            picture.take(response)
        assert picture.kinds == ["store", "heartbeat", "store", "members"]
        assert picture.tier(ANN) == shop.account().tier.tier_id == "tin"
    finally:
        shop.close()


def test_a_cursor_leads_to_what_has_changed_since_and_nothing_else(shop: Shop) -> None:
    cursor = shop.picture().cursor
    shop.pass_time(60_000)
    assert kinds(shop.told(cursor)) == ["store", "heartbeat"]
    shop.posted(shop.earn(70))
    responses = shop.told(cursor)
    assert kinds(responses) == ["store", "heartbeat", "members"]
    assert members_of(responses) == [ANN]
    assert responses[2].members.members[0].active_points == 70
    assert [response.cursor for response in responses[:2]] == [cursor, cursor]
    assert kinds(shop.told(responses[2].cursor)) == ["store", "heartbeat"]


def test_blocking_erasing_joining_and_new_identifiers_are_changes(shop: Shop) -> None:
    kim = shop.join("kim@example.org")
    cursor = shop.picture().cursor
    shop.pass_time(60_000)
    shop.store.set_status(CLUB, ANN, MemberStatus.BLOCKED)
    shop.store.erase(CLUB, kim)
    shop.store.add_identifier(CLUB, shop.identifier(BEN, "ben@example.org"))
    new = shop.join()
    picture = shop.picture(cursor)
    assert set(picture.members) == {ANN, BEN, kim, new}
    assert [picture.state(one).status for one in (ANN, BEN, kim, new)] == [1, 0, 2, 0]
    assert picture.state(kim).tags == b""
    assert len(picture.state(BEN).tags) == 7


def test_a_change_that_appears_late_with_an_earlier_instant_is_not_missed(shop: Shop) -> None:
    shop.pass_time(60_000)
    cursor = shop.picture().cursor
    shop.pass_time(-changes_module.OVERLAP_MS + 1_000)
    shop.store.set_status(CLUB, ANN, MemberStatus.BLOCKED)
    shop.pass_time(60_000)
    assert members_of(shop.told(cursor)) == [ANN]


def test_a_cursor_that_is_no_use_leads_to_everything_and_never_to_an_error(
    shop: Shop, tmp_path: Path
) -> None:
    shop.posted(shop.earn(1))
    good = shop.picture().cursor
    other_keys = create_key_dir(tmp_path / "keys", now_s=shop.now // 1000 - 60)
    cursors = Cursors(lambda: shop.keys.tag_key)
    place = cursors.read(CLUB, STORE, good)
    assert place is not None
    ((lane, seq),) = place.lanes.items()
    useless = {
        "damaged": good[:-1] + bytes([good[-1] ^ 1]),
        "cut": good[:20],
        "longer": good + b"x",
        "rubbish": b"\x01" * 100,
        "another format": b"\x01" + good[1:],
        "another store's": shop.picture(store_id=OTHER_STORE).cursor,
        "another program's": cursors.make(ProgramId("other"), STORE, place),
        "of other keys": Cursors(lambda: other_keys.tag_key).make(CLUB, STORE, place),
        "of a database that was set back": cursors.make(CLUB, STORE, replace(place, lanes={lane: seq + 1})),
        "of one that has grown again since": cursors.make(
            CLUB, STORE, replace(place, marks={lane: bytes(8)})
        ),
    }
    for name, cursor in useless.items():
        assert kinds(shop.told(cursor)) == ["store", "heartbeat", "snapshot"], name
    assert kinds(shop.told(good)) == ["store", "heartbeat"]


def test_who_is_too_far_behind_gets_everything(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = shop.picture().cursor
    for _ in range(4):
        shop.posted(shop.earn(1))
    monkeypatch.setattr(changes_module, "BEHIND_MAX", 4)
    assert "snapshot" not in kinds(shop.told(cursor))
    monkeypatch.setattr(changes_module, "BEHIND_MAX", 3)
    assert "snapshot" in kinds(shop.told(cursor))
    # Rows of the journal may hold many entries: those count as well.
    monkeypatch.setattr(changes_module, "BEHIND_MAX", 100)
    monkeypatch.setattr(changes_module, "ROUND_MAX", 1)
    monkeypatch.setattr(changes_module, "JOURNAL_PAGE", 1)
    monkeypatch.setattr(watch_session, "BEHIND_MAX", 2)
    told = shop.told(cursor)
    assert kinds(told)[-1] == "snapshot"
    assert shop.picture(cursor).states() == shop.truth()


def test_many_changes_come_in_rounds_and_each_moves_the_cursor(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [shop.join() for _ in range(7)]
    cursor = shop.picture().cursor
    for member in members:
        shop.posted(shop.earn(5, member=member))
    monkeypatch.setattr(changes_module, "ROUND_MAX", 2)
    monkeypatch.setattr(changes_module, "JOURNAL_PAGE", 2)
    responses = shop.told(cursor)
    cursors = [response.cursor for response in responses if response.HasField("members")]
    assert len(set(cursors)) == len(cursors) > 3
    assert set(members) <= set(members_of(responses))
    halfway = Picture()
    for response in responses[:4]:
        halfway.take(response)
    rest = members_of(shop.told(halfway.cursor))
    assert {*halfway.members, *rest} >= set(members)


def test_many_members_that_changed_in_themselves_come_in_rounds(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = shop.picture().cursor
    members = []
    for _ in range(9):
        shop.pass_time(4_000)
        members += [shop.join(), shop.join(), shop.join()]
    monkeypatch.setattr(changes_module, "ROUND_MAX", 4)
    responses = shop.told(cursor)
    assert set(members_of(responses)) >= set(members)
    last = responses[-1].cursor
    shop.pass_time(60_000)
    shop.posted(shop.earn(1))
    assert set(members_of(shop.told(last))) <= {ANN, *members[-12:]}


def test_a_snapshot_comes_in_parts_that_are_read_one_by_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(8):
        shop.join()
    monkeypatch.setattr(watch_session, "MEMBERS_MAX", 3)
    pages: list[str] = []
    read = shop.store.read_till_member_page

    def counted(*args: object, after: str, **more: object) -> object:
        pages.append(after)
        return read(*args, after=after, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(shop.store, "read_till_member_page", counted)
    watch = shop.gateway.watch.catch_up(CLUB, STORE, TILL, pb.WatchRequest(protocol=1))
    picture = Picture()
    for _ in range(3):
        picture.take(next(watch))
    assert len(pages) == 1
    assert picture.members == {}
    for response in watch:
        picture.take(response)
    parts = picture.kinds.count("snapshot")
    assert (parts, len(pages), picture.snapshots) == (4, 4, 1)
    monkeypatch.setattr(shop.store, "read_till_member_page", read)
    assert picture.states() == shop.truth()


def test_a_full_last_page_is_followed_by_an_empty_part(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.join()
    shop.pass_time(60_000)
    monkeypatch.setattr(watch_session, "MEMBERS_MAX", 3)
    parts = [response.snapshot for response in shop.told()[2:]]
    assert [(part.first, part.last, len(part.members)) for part in parts] == [
        (True, False, 3),
        (False, True, 0),
    ]


def test_what_changes_during_a_snapshot_is_told_after_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    members = sorted([*(shop.join() for _ in range(6)), ANN, BEN])
    monkeypatch.setattr(watch_session, "MEMBERS_MAX", 3)
    watch = shop.gateway.watch.catch_up(CLUB, STORE, TILL, pb.WatchRequest(protocol=1))
    picture = Picture()
    for _ in range(3):
        picture.take(next(watch))
    shop.posted(shop.earn(40, member=members[0]))
    shop.store.set_status(CLUB, members[1], MemberStatus.BLOCKED)
    new = shop.join()
    shop.store.erase(CLUB, members[2])
    for response in watch:
        picture.take(response)
    assert picture.states() == shop.truth()
    assert new in picture.members
    assert picture.kinds[-1] == "members"


def test_large_members_make_smaller_messages(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        shop.join(f"{number}@example.org", f"{number}@work.example")
    monkeypatch.setattr(member_states, "MEMBERS_BYTES_MAX", 120)
    responses = shop.told()[2:]
    assert len(responses) > 3
    assert all(len(response.snapshot.SerializeToString()) < 200 for response in responses)
    assert shop.picture().states() == shop.truth()


def lease_of(state: pb.MemberState) -> tuple[advice_pb2.LeaseGrant, pb.LeaseState]:
    [lease] = state.leases
    return advice_pb2.LeaseGrant.FromString(lease.grant.body), lease


def test_a_store_is_told_its_own_leases_and_what_is_left_of_them(shop: Shop) -> None:
    shop.posted(shop.earn(4_000))
    cursor = shop.picture().cursor
    lease_id = shop.lease()
    picture = shop.picture(cursor)
    grant, lease = lease_of(picture.state(ANN))
    points = shop.store.read_holds(CLUB, ANN)[0].points
    assert (grant.lease_id, grant.store_id, grant.member_id, grant.points) == (lease_id, STORE, ANN, points)
    assert (lease.remaining_points, lease.recalled) == (points, False)
    assert picture.state(ANN).active_points == 4_000 - points
    keys = {
        json.loads(text)["kid"]: verify_key_from_jwk(json.loads(text)) for text in picture.store.server_keys
    }
    signed = lease.grant
    assert body_holds(keys, LEASE, signed.body, key_id=signed.key_id, signature=signed.signature)
    assert not shop.picture(store_id=OTHER_STORE).state(ANN).leases
    shop.recall()
    _, again = lease_of(shop.picture(picture.cursor).state(ANN))
    assert again.recalled
    assert again.grant == lease.grant, "signed once"


def test_vouchers_that_no_till_takes_any_more_are_named(shop: Shop) -> None:
    shop.posted(shop.earn(1_000))
    voucher_id = shop.voucher(100)
    cursor = shop.picture().cursor
    shop.posted(shop.earn(1))
    assert shop.picture(cursor).state(ANN).vouchers_used == b""
    shop.pass_time(31 * DAY_MS)
    shop.posted(shop.earn(1))
    assert shop.picture(cursor).state(ANN).vouchers_used == uuid.UUID(voucher_id).bytes
    assert shop.picture(cursor, store_id=OTHER_STORE).state(ANN).vouchers_used == b""


def test_a_suspended_till_and_only_that_one_is_told_so(shop: Shop) -> None:
    with shop.store.transaction(CLUB) as transaction:
        chain = transaction.lock_tills([OTHER_TILL])[OTHER_TILL]
        changes = WriteSet(shop.now)
        changes.tills.append(replace(chain, store_id=STORE, status=TillStatus.SUSPENDED))
        transaction.write(changes)
    assert shop.picture(till_id=OTHER_TILL).store.till_status == pb.TILL_STATUS_SUSPENDED
    assert shop.picture(till_id=TILL).store.till_status == pb.TILL_STATUS_TRUSTED


def test_a_revoked_till_is_no_longer_among_those_of_the_store(shop: Shop) -> None:
    shop.add_till(OTHER_TILL)
    shop.store.set_device_status(CLUB, OTHER_TILL, DeviceStatus.REVOKED, now=shop.now)
    assert [till.till_id for till in shop.picture().store.tills] == [TILL]


def test_tills_of_the_store_hear_of_a_revoked_one_for_the_sake_of_its_receipts(shop: Shop) -> None:
    shop.add_till(OTHER_TILL)
    shop.add_till("01940000-0000-7000-8000-0000000000d3", OTHER_STORE)
    for till_id in (OTHER_TILL, "01940000-0000-7000-8000-0000000000d3"):
        shop.store.set_device_status(CLUB, till_id, DeviceStatus.REVOKED, now=shop.now)
    (former,) = shop.picture().store.former_tills
    assert (former.till_id, former.revoked_ms, bool(former.public_jwk)) == (OTHER_TILL, shop.now, True)
    shop.pass_time(400 * DAY_MS)
    assert not shop.picture().store.former_tills
