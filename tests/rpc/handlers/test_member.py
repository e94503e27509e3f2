"""MemberService: personal data, blocking, erasing."""

from __future__ import annotations

import pytest

from tallystick.v1 import ledger_pb2, types_pb2
from tallystick.v1 import member_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    MANAGER,
    OTHER,
    START_MS,
    WEBSHOP,
    Caller,
    World,
    everything_stored,
    new_id,
)

CANARY = "Kanariefågel"
manager, admin = Caller(MANAGER), Caller(ADMIN)


def test_a_member_is_told_with_where_and_when_it_joined(world: World) -> None:
    member_id = world.enrol("", None, at_ms=START_MS - 1000)
    member = world.send(pb.GetMemberRequest(member_id=member_id)).member
    assert member.status == pb.MEMBER_STATUS_OPEN
    assert (member.store_id, member.channel) == ("s1", types_pb2.CHANNEL_STORE)
    assert member.enrolled_at.ToMilliseconds() == START_MS - 1000


def test_members_are_listed_in_pages_by_id(world: World) -> None:
    ids = sorted(world.enrol() for _ in range(5))
    found, token, pages = [], "", 0
    while pages == 0 or token:
        page = world.send(pb.ListMembersRequest(page_size=2, page_token=token), admin)
        found += [member.member_id for member in page.members]
        token, pages = page.next_page_token, pages + 1
    assert (found, pages) == (ids, 3)


def test_a_page_token_of_another_program_is_an_error(world: World) -> None:
    for _ in range(2):
        world.enrol()
    token = world.send(pb.ListMembersRequest(page_size=1), admin).next_page_token
    foreign = world.refused(pb.ListMembersRequest(page_token=token), Caller(ADMIN, program_id=OTHER))
    assert foreign.reason == "PAGE_TOKEN_INVALID"


def test_a_profile_keeps_what_is_not_set_and_deletes_what_is_set_to_nothing(world: World) -> None:
    member_id = world.enrol()
    assert not world.send(pb.GetProfileRequest(member_id=member_id), manager).profile.HasField("updated_at")
    first = pb.UpdateProfileRequest(member_id=member_id, given_name="Anna", phone="+46701740605")
    world.send(first, manager)
    second = pb.UpdateProfileRequest(member_id=member_id, family_name="Svensson", phone="")
    profile = world.send(second, manager).profile
    assert (profile.given_name, profile.family_name, profile.phone) == ("Anna", "Svensson", "")
    assert world.send(pb.GetProfileRequest(member_id=member_id), manager).profile == profile


def test_a_repeated_change_of_a_profile_writes_nothing(world: World) -> None:
    member_id = world.enrol()
    change = pb.UpdateProfileRequest(member_id=member_id, given_name="Anna")
    first = world.send(change, manager).profile
    sealed = world.store.persons("shop", [member_id])  # type: ignore[list-item,arg-type]
    world.now_ms += 60_000
    assert world.send(change, manager).profile == first
    assert world.store.persons("shop", [member_id]) == sealed != {}  # type: ignore[list-item,arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("birthday", "2025-02-30"),
        ("birthday", "1.1.2000"),
        ("phone", "0701"),
        ("email", "x"),
        ("language", "!"),
    ],
)
def test_a_field_that_breaks_its_rule_is_an_error_and_changes_nothing(
    world: World, field: str, value: str
) -> None:
    member_id = world.enrol()
    change = pb.UpdateProfileRequest(member_id=member_id, given_name="Anna", **{field: value})
    assert world.refused(change, manager).violations[0][0] == field
    assert world.send(pb.GetProfileRequest(member_id=member_id), manager).profile.given_name == ""


def test_personal_data_is_sealed_and_gone_after_erasure(world: World) -> None:
    member_id = world.enrol("+46701740605")
    change = pb.UpdateProfileRequest(member_id=member_id, given_name=CANARY, email="kanarie@example.org")
    world.send(change, Caller(WEBSHOP))
    world.sell(member_id, 1000)
    stored = everything_stored(world.store)
    assert CANARY not in stored
    assert "kanarie" not in stored
    erased = world.send(pb.EraseMemberRequest(member_id=member_id), admin).member
    assert (erased.status, erased.number) == (pb.MEMBER_STATUS_ERASED, "")
    assert world.store.persons("shop", [member_id]) == {}  # type: ignore[list-item,arg-type]
    assert not world.store.identifiers("shop", member_id)  # type: ignore[arg-type]
    assert world.send(pb.GetProfileRequest(member_id=member_id), admin).profile == pb.Profile()
    entries = world.send(ledger_pb2.ListEntriesRequest(member_id=member_id)).entries
    assert [entry.seq for entry in entries] == [1]


def test_erasing_twice_answers_the_same_and_nothing_can_be_known_again(world: World) -> None:
    member_id = world.enrol()
    first = world.send(pb.EraseMemberRequest(member_id=member_id), admin).member
    assert world.send(pb.EraseMemberRequest(member_id=member_id), admin).member == first
    for request in (
        pb.UpdateProfileRequest(member_id=member_id, given_name="Anna"),
        pb.UpdateProfileRequest(member_id=member_id, given_name=""),
        pb.BlockMemberRequest(member_id=member_id),
        pb.UnblockMemberRequest(member_id=member_id),
    ):
        assert world.refused(request, admin).reason == "MEMBER_NOT_FOUND"
    status = world.send(pb.GetMemberRequest(member_id=member_id), admin).member.status
    assert status == pb.MEMBER_STATUS_ERASED


def test_a_blocked_member_neither_earns_nor_burns_until_unblocked(world: World) -> None:
    member_id = world.enrol()
    for _ in range(2):
        blocked = world.send(pb.BlockMemberRequest(member_id=member_id), manager).member
        assert blocked.status == pb.MEMBER_STATUS_BLOCKED
    refused = world.sell(member_id, 1000).refused
    assert refused.reason == ledger_pb2.REFUSAL_REASON_MEMBER_BLOCKED
    assert refused.message == "The member is BLOCKED and neither earns nor burns."
    for _ in range(2):
        unblocked = world.send(pb.UnblockMemberRequest(member_id=member_id), manager).member
        assert unblocked.status == pb.MEMBER_STATUS_OPEN
    assert world.sell(member_id, 1000).HasField("posted")


def test_an_app_reads_and_changes_its_own_profile_only(world: World) -> None:
    own, other = world.enrol(), world.enrol()
    app = Caller(APP, store_id="", member_id=own)
    change = pb.UpdateProfileRequest(member_id=own, given_name="Anna")
    assert world.send(change, app).profile.given_name == "Anna"
    assert world.send(pb.GetProfileRequest(member_id=own), app).profile.given_name == "Anna"
    change.member_id = other
    for request in (change, pb.GetProfileRequest(member_id=other), pb.GetMemberRequest(member_id=other)):
        assert world.refused(request, app).reason == "MEMBER_NOT_FOUND"


def test_a_sealed_profile_does_not_open_for_another_member(world: World) -> None:
    one, two = world.enrol(), world.enrol()
    world.send(pb.UpdateProfileRequest(member_id=one, given_name=CANARY), manager)
    [sealed] = world.store.persons("shop", [one]).values()  # type: ignore[list-item,arg-type]
    world.store.put_person("shop", two, sealed)  # type: ignore[arg-type]
    refused = world.refused(pb.GetProfileRequest(member_id=two), manager)
    assert refused.reason == "INTERNAL"
    assert CANARY not in refused.message


def test_a_member_of_nobody_is_not_found(world: World) -> None:
    member_id = new_id()
    requests = (
        pb.GetMemberRequest(member_id=member_id),
        pb.GetProfileRequest(member_id=member_id),
        pb.UpdateProfileRequest(member_id=member_id, given_name="Anna"),
        pb.BlockMemberRequest(member_id=member_id),
        pb.EraseMemberRequest(member_id=member_id),
    )
    for request in requests:
        refused = world.refused(request, admin)
        assert (refused.reason, refused.metadata) == ("MEMBER_NOT_FOUND", {"member_id": member_id})
