"""Programs, members, identifiers, devices and codes, the same in every store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tallystick.core.ids import Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.directory import (
    ASSERTION_KEPT_MS,
    DeviceStatus,
    EnrolmentCode,
    Member,
    StoredRuleSet,
)
from tallystick.service.errors import AlreadyExists, NotFound
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, device, identifier, member, member_id, program

LATER = Ms(NOW + 1_000)


@pytest.fixture
def directory(store: Store) -> Store:
    assert store.create_program(program())
    assert store.create_program(program(OTHER_PROGRAM))
    return store


def rules(request_id: str, *, text: str = "points: 1") -> StoredRuleSet:
    return StoredRuleSet(0, "ab" * 32, text, '{"points":1}', request_id, NOW, "admin-1")


def code(name: str, *, selector: str = "K7", tries_left: int = 5, expires_ms: Ms = LATER) -> EnrolmentCode:
    return EnrolmentCode(selector, name.encode(), 1, 2, "store-1", "Till 1", expires_ms, tries_left, "")


def test_a_program_is_created_once(store: Store) -> None:
    assert store.create_program(program())
    assert not store.create_program(replace(program(), display_name="Another"))
    assert store.program(PROGRAM) == program()
    assert store.program(OTHER_PROGRAM) is None


def test_programs_are_paged_by_id(store: Store) -> None:
    ids = [ProgramId(f"p-{number}") for number in range(4)]
    for program_id in reversed(ids):
        store.create_program(program(program_id))
    assert [p.program_id for p in store.programs(after="", limit=3)] == ids[:3]
    assert [p.program_id for p in store.programs(after=ids[2], limit=3)] == ids[3:]


def test_rule_sets_are_numbered_and_the_last_is_current(directory: Store) -> None:
    first = directory.publish_rule_set(PROGRAM, rules("r-1"))
    second = directory.publish_rule_set(PROGRAM, rules("r-2", text="points: 2"))
    assert (first.version, second.version) == (1, 2)
    current = directory.program(PROGRAM)
    assert current is not None
    assert current.rule_set == 2
    assert directory.rule_set(PROGRAM, 1) == replace(rules("r-1"), version=1)
    assert directory.rule_set(PROGRAM, 3) is None
    assert directory.rule_sets(PROGRAM, before=None, limit=10) == [second, first]
    assert directory.rule_sets(PROGRAM, before=2, limit=10) == [first]
    assert directory.rule_sets(OTHER_PROGRAM, before=None, limit=10) == []


def test_publishing_again_with_the_same_request_changes_nothing(directory: Store) -> None:
    first = directory.publish_rule_set(PROGRAM, rules("r-1"))
    directory.publish_rule_set(PROGRAM, rules("r-2"))
    assert directory.publish_rule_set(PROGRAM, rules("r-1", text="points: 9")) == first
    current = directory.program(PROGRAM)
    assert current is not None
    assert current.rule_set == 2


def test_rules_need_a_program(store: Store) -> None:
    with pytest.raises(NotFound):
        store.publish_rule_set(PROGRAM, rules("r-1"))


def test_an_enrolled_member_is_found_by_each_identifier(directory: Store) -> None:
    phone, email = identifier(1), identifier(1, kind="email")
    assert directory.enrol(PROGRAM, member(1), [phone, email]) == member(1)
    assert directory.member(PROGRAM, member_id(1)) == member(1)
    found = directory.find(
        PROGRAM,
        [("phone", phone.token), ("email", email.token), ("email", b"token-9"), ("ean13", phone.token)],
    )
    assert sorted(found, key=lambda row: row.kind) == [email, phone]
    assert directory.find(PROGRAM, []) == []
    assert directory.find(OTHER_PROGRAM, [("phone", phone.token)]) == []
    assert directory.identifiers(PROGRAM, member_id(1)) == [email, phone]
    assert directory.read_accounts(PROGRAM, [member_id(1)])[member_id(1)].enrolled_ms == NOW


def test_enrolling_again_returns_the_stored_member(directory: Store) -> None:
    directory.enrol(PROGRAM, member(1), [identifier(1)])
    later = replace(member(1), enrolled_ms=LATER)
    assert directory.enrol(PROGRAM, later, []) == member(1)
    assert directory.enrol(PROGRAM, replace(later, number="other"), [identifier(1)]) == member(1)


def test_a_member_id_with_nothing_else_in_common_is_taken(directory: Store) -> None:
    directory.enrol(PROGRAM, member(1), [identifier(1)])
    with pytest.raises(AlreadyExists):
        directory.enrol(PROGRAM, replace(member(1), number="other"), [])


def test_an_identifier_of_another_member_enrols_nobody(directory: Store) -> None:
    directory.enrol(PROGRAM, member(1), [identifier(1)])
    fresh = identifier(2, kind="email")
    with pytest.raises(AlreadyExists):
        directory.enrol(PROGRAM, member(2), [fresh, replace(identifier(1), member_id=member_id(2))])
    assert directory.member(PROGRAM, member_id(2)) is None
    assert directory.find(PROGRAM, [("email", fresh.token)]) == []
    assert directory.read_accounts(PROGRAM, [member_id(2)]) == {}


def test_one_of_many_who_enrol_with_one_phone_at_once_gets_it(directory: Store) -> None:
    outcomes: list[Member | AlreadyExists] = []

    def enrol(number: int) -> None:
        phone = replace(identifier(1), member_id=member_id(number))
        try:
            outcomes.append(directory.enrol(PROGRAM, member(number), [phone]))
        except AlreadyExists as taken:
            outcomes.append(taken)

    threads = [threading.Thread(target=enrol, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    winners = [outcome for outcome in outcomes if isinstance(outcome, Member)]
    (owner,) = directory.find(PROGRAM, [("phone", identifier(1).token)])
    assert len(outcomes) == 6
    assert [winner.member_id for winner in winners] == [owner.member_id]
    assert directory.members(PROGRAM, after="", limit=10) == winners


def test_members_are_paged_by_id(directory: Store) -> None:
    for number in (3, 1, 2):
        directory.enrol(PROGRAM, member(number), [])
    assert directory.members(PROGRAM, after="", limit=2) == [member(1), member(2)]
    assert directory.members(PROGRAM, after=member_id(2), limit=2) == [member(3)]
    assert directory.members(OTHER_PROGRAM, after="", limit=2) == []


def test_blocking_changes_member_and_account_together(directory: Store) -> None:
    directory.enrol(PROGRAM, member(1), [])
    assert directory.set_status(PROGRAM, member_id(1), MemberStatus.BLOCKED)
    stored = directory.member(PROGRAM, member_id(1))
    assert stored == replace(member(1), status=MemberStatus.BLOCKED)
    account = directory.read_accounts(PROGRAM, [member_id(1)])[member_id(1)]
    assert account.status is MemberStatus.BLOCKED
    assert not directory.set_status(PROGRAM, member_id(2), MemberStatus.BLOCKED)


def test_identifiers_are_added_once_and_removed(directory: Store) -> None:
    directory.enrol(PROGRAM, member(1), [])
    directory.enrol(PROGRAM, member(2), [])
    assert directory.add_identifier(PROGRAM, identifier(1))
    assert directory.add_identifier(PROGRAM, replace(identifier(1), hint="again"))
    assert directory.identifiers(PROGRAM, member_id(1)) == [identifier(1)]
    with pytest.raises(AlreadyExists):
        directory.add_identifier(PROGRAM, replace(identifier(1), member_id=member_id(2)))
    assert not directory.remove_identifier(PROGRAM, member_id(2), "phone", identifier(1).token)
    assert directory.remove_identifier(PROGRAM, member_id(1), "phone", identifier(1).token)
    assert not directory.remove_identifier(PROGRAM, member_id(1), "phone", identifier(1).token)
    assert not directory.add_identifier(PROGRAM, identifier(9))


def test_personal_data_is_replaced_whole(directory: Store) -> None:
    directory.enrol(PROGRAM, member(1), [])
    assert directory.persons(PROGRAM, [member_id(1)]) == {}
    directory.put_person(PROGRAM, member_id(1), b"sealed one")
    directory.put_person(PROGRAM, member_id(1), b"sealed two")
    assert directory.persons(PROGRAM, [member_id(1), member_id(2)]) == {member_id(1): b"sealed two"}
    assert directory.persons(OTHER_PROGRAM, [member_id(1)]) == {}
    with pytest.raises(NotFound):
        directory.put_person(PROGRAM, member_id(2), b"sealed")


def test_an_erased_member_has_no_person_behind_it_and_never_gets_one_again(directory: Store) -> None:
    directory.enrol(PROGRAM, member(1), [identifier(1), identifier(1, kind="email")])
    directory.put_person(PROGRAM, member_id(1), b"sealed")
    assert directory.erase(PROGRAM, member_id(1))
    assert directory.persons(PROGRAM, [member_id(1)]) == {}
    assert directory.identifiers(PROGRAM, member_id(1)) == []
    stored = directory.member(PROGRAM, member_id(1))
    assert stored == replace(member(1), status=MemberStatus.ERASED)
    account = directory.read_accounts(PROGRAM, [member_id(1)])[member_id(1)]
    assert account.status is MemberStatus.ERASED
    assert not directory.set_status(PROGRAM, member_id(1), MemberStatus.OPEN)
    assert not directory.add_identifier(PROGRAM, identifier(1))
    with pytest.raises(NotFound):
        directory.put_person(PROGRAM, member_id(1), b"sealed")
    assert directory.erase(PROGRAM, member_id(1))
    assert not directory.erase(PROGRAM, member_id(2))


def test_only_live_codes_are_given(directory: Store) -> None:
    live = code("live")
    for one in (live, code("spent", tries_left=0), code("late", expires_ms=NOW)):
        directory.add_code(PROGRAM, one)
    assert directory.codes(PROGRAM, live_at=NOW) == [live]
    assert directory.codes(OTHER_PROGRAM, live_at=NOW) == []
    with pytest.raises(AlreadyExists):
        directory.add_code(PROGRAM, live)


def test_a_try_is_taken_from_the_live_codes_with_the_selector_and_from_no_other(directory: Store) -> None:
    other = code("other", selector="K8", tries_left=1)
    late = code("late", expires_ms=NOW)
    for one in (code("a", tries_left=2), late, other):
        directory.add_code(PROGRAM, one)
    directory.add_code(OTHER_PROGRAM, code("a"))
    assert directory.spend_try(PROGRAM, "K7", live_at=NOW) == [code("a", tries_left=1)]
    assert directory.codes(PROGRAM, live_at=NOW) == [code("a", tries_left=1), other]
    assert directory.spend_try(PROGRAM, "K7", live_at=NOW) == [code("a", tries_left=0)]
    assert directory.spend_try(PROGRAM, "K7", live_at=NOW) == []
    assert directory.codes(PROGRAM, live_at=NOW) == [other]
    assert directory.codes(OTHER_PROGRAM, live_at=NOW) == [code("a")]
    assert directory.spend_try(PROGRAM, "", live_at=NOW) == []


def test_guesses_side_by_side_get_five_tries_and_no_more(directory: Store) -> None:
    directory.add_code(PROGRAM, code("a"))
    together = threading.Barrier(8)

    def guess() -> list[EnrolmentCode]:
        together.wait(30)
        return directory.spend_try(PROGRAM, "K7", live_at=NOW)

    with ThreadPoolExecutor(8) as threads:
        tried = [one for given in [threads.submit(guess) for _ in range(8)] for one in given.result(30)]
    assert sorted(one.tries_left for one in tried) == [0, 1, 2, 3, 4]


def test_the_last_try_brings_the_device_in(directory: Store) -> None:
    directory.add_code(PROGRAM, code("a", tries_left=1))
    assert directory.spend_try(PROGRAM, "K7", live_at=NOW) == [code("a", tries_left=0)]
    assert directory.use_code(PROGRAM, b"a", device("till-1"), now=NOW)
    assert directory.device(PROGRAM, "till-1") == device("till-1")


def test_a_code_brings_in_one_device(directory: Store) -> None:
    directory.add_code(PROGRAM, code("a"))
    assert directory.use_code(PROGRAM, b"a", device("till-1"), now=NOW)
    assert directory.device(PROGRAM, "till-1") == device("till-1")
    assert directory.codes(PROGRAM, live_at=NOW) == []
    assert not directory.use_code(PROGRAM, b"a", device("till-2"), now=NOW)
    assert directory.device(PROGRAM, "till-2") is None
    assert directory.use_code(PROGRAM, b"a", device("till-1"), now=NOW)


def test_a_code_that_has_expired_brings_in_nobody(directory: Store) -> None:
    directory.add_code(PROGRAM, code("a"))
    assert not directory.use_code(PROGRAM, b"a", device("till-1"), now=LATER)
    assert not directory.use_code(PROGRAM, b"unknown", device("till-1"), now=NOW)
    assert directory.device(PROGRAM, "till-1") is None


def test_a_code_is_not_used_up_by_a_device_id_that_is_taken(directory: Store) -> None:
    directory.add_device(OTHER_PROGRAM, device("till-1"))
    directory.add_code(PROGRAM, code("a"))
    with pytest.raises(AlreadyExists):
        directory.use_code(PROGRAM, b"a", device("till-1"), now=NOW)
    assert directory.codes(PROGRAM, live_at=NOW) == [code("a")]


def test_device_ids_are_unique_over_programs(directory: Store) -> None:
    directory.add_device(PROGRAM, device("till-1"))
    with pytest.raises(AlreadyExists):
        directory.add_device(OTHER_PROGRAM, device("till-1"))
    assert directory.device(OTHER_PROGRAM, "till-1") is None
    assert directory.device_program("till-1") == PROGRAM
    assert directory.device_program("till-9") is None


def test_devices_are_paged_by_id(directory: Store) -> None:
    for name in ("c", "a", "b"):
        directory.add_device(PROGRAM, device(name))
    directory.add_device(OTHER_PROGRAM, device("d"))
    assert directory.devices(PROGRAM, after="", limit=2) == [device("a"), device("b")]
    assert directory.devices(PROGRAM, after="b", limit=2) == [device("c")]


def test_a_device_is_confirmed_then_revoked_for_good(directory: Store) -> None:
    directory.add_device(PROGRAM, device("a"))
    assert directory.set_device_status(PROGRAM, "a", DeviceStatus.ACTIVE, now=NOW)
    assert directory.set_device_status(PROGRAM, "a", DeviceStatus.ACTIVE, now=LATER)
    active = replace(device("a"), status=DeviceStatus.ACTIVE, confirmed_ms=NOW)
    assert directory.device(PROGRAM, "a") == active
    assert directory.set_device_status(PROGRAM, "a", DeviceStatus.REVOKED, now=LATER)
    assert directory.device(PROGRAM, "a") == replace(active, status=DeviceStatus.REVOKED, revoked_ms=LATER)
    assert not directory.set_device_status(PROGRAM, "a", DeviceStatus.ACTIVE, now=LATER)
    assert not directory.set_device_status(OTHER_PROGRAM, "a", DeviceStatus.REVOKED, now=LATER)
    assert not directory.set_device_key(PROGRAM, "a", public_jwk="{}", kid="k", fingerprint="f")


def test_a_device_gets_a_new_key(directory: Store) -> None:
    directory.add_device(PROGRAM, device("a"))
    assert directory.set_device_key(PROGRAM, "a", public_jwk="{}", kid="k2", fingerprint="f2")
    assert directory.device(PROGRAM, "a") == replace(device("a"), public_jwk="{}", kid="k2", fingerprint="f2")
    assert not directory.set_device_key(PROGRAM, "b", public_jwk="{}", kid="k2", fingerprint="f2")


def test_an_assertion_is_used_once_by_its_device_in_its_program(directory: Store) -> None:
    def use(program_id: ProgramId = PROGRAM, device_id: str = "till-1", token_id: str = "t-1") -> bool:
        return directory.use_assertion(program_id, device_id, token_id, usable_until=LATER, now=NOW)

    assert use()
    assert not use()
    assert use(token_id="t-2")
    assert use(device_id="till-2")
    assert use(OTHER_PROGRAM)
    assert [use(), use(token_id="t-2"), use(device_id="till-2"), use(OTHER_PROGRAM)] == [False] * 4


def test_of_many_who_use_an_assertion_at_once_one_has_used_it(directory: Store) -> None:
    together = threading.Barrier(6)

    def use() -> bool:
        together.wait(30)
        return directory.use_assertion(PROGRAM, "till-1", "t-1", usable_until=LATER, now=NOW)

    with ThreadPoolExecutor(6) as threads:
        used = [one.result(30) for one in [threads.submit(use) for _ in range(6)]]
    assert sorted(used) == [False] * 5 + [True]


def test_a_used_assertion_is_remembered_past_its_end_and_then_forgotten(directory: Store) -> None:
    def use_at(now: int, token_id: str) -> bool:
        return directory.use_assertion(PROGRAM, "till-1", token_id, usable_until=LATER, now=Ms(now))

    assert use_at(NOW, "t-1")
    forgotten_ms = LATER + ASSERTION_KEPT_MS
    assert not use_at(forgotten_ms - 1, "t-1")
    assert use_at(forgotten_ms, "t-2")
    assert use_at(NOW, "t-1")


def test_revoked_devices_of_all_programs_are_listed_since_an_instant(directory: Store) -> None:
    for program_id, name, revoked_ms in ((PROGRAM, "a", NOW), (OTHER_PROGRAM, "b", LATER)):
        directory.add_device(program_id, device(name))
        directory.set_device_status(program_id, name, DeviceStatus.REVOKED, now=revoked_ms)
    directory.add_device(PROGRAM, device("c"))
    assert directory.revoked_devices(since=Ms(0)) == ["a", "b"]
    assert directory.revoked_devices(since=LATER) == ["b"]
    assert directory.revoked_devices(since=Ms(LATER + 1)) == []
