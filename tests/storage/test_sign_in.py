"""Sessions of signing in, passkeys, and revoked devices of members: every store keeps them alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tallystick.core.ids import Ms, ProgramId
from tallystick.service.directory import CardDevice
from tallystick.service.errors import AlreadyExists, NotFound
from tallystick.service.sign_in_ports import (
    SWEPT_MAX,
    Mailed,
    Passkey,
    SignInPurpose,
    SignInSession,
)
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, identifier, member, member_id, program

CODE, CHALLENGE = SignInPurpose.EMAIL_CODE, SignInPurpose.PASSKEY
ENDS = Ms(NOW + 100)


@pytest.fixture
def directory(store: Store) -> Store:
    for program_id in (PROGRAM, OTHER_PROGRAM):
        store.create_program(program(program_id))
        store.enrol(program_id, member(1), [])
        store.enrol(program_id, member(2), [])
    return store


def session(name: str = "a", **more: object) -> SignInSession:
    plain = SignInSession(
        session_hash=name.encode(),
        purpose=CODE,
        secret=b"secret",
        started_ms=NOW,
        expires_ms=ENDS,
        forget_ms=Ms(NOW + 1_000),
        tries_left=3,
        member_id=member_id(7),
        address_token=b"address",
        client_tag=b"client",
        sealed=b"sealed",
        mailed=True,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def try_of(
    directory: Store, name: str = "a", *, now: int = NOW, program_id: ProgramId = PROGRAM
) -> SignInSession | None:
    return directory.spend_sign_in_try(program_id, name.encode(), CODE, now=Ms(now))


def test_a_try_is_taken_from_a_live_session_of_its_program_and_purpose(directory: Store) -> None:
    directory.start_sign_in(PROGRAM, session())
    assert try_of(directory) == session(tries_left=2)
    assert try_of(directory, "b") is None
    assert try_of(directory, program_id=OTHER_PROGRAM) is None
    assert try_of(directory, now=ENDS) is None
    assert directory.spend_sign_in_try(PROGRAM, b"a", CHALLENGE, now=NOW) is None
    assert try_of(directory, now=ENDS - 1) == session(tries_left=1)


def test_a_session_of_nobody_comes_back_as_it_was(directory: Store) -> None:
    plain = session(
        purpose=CHALLENGE, member_id=None, address_token=b"", client_tag=b"", sealed=b"", mailed=False
    )
    directory.start_sign_in(PROGRAM, plain)
    found = directory.spend_sign_in_try(PROGRAM, b"a", CHALLENGE, now=NOW)
    assert found == replace(plain, tries_left=2)


def side_by_side(work: Callable[[int], object], count: int) -> list[object]:
    together = threading.Barrier(count)

    def run(number: int) -> object:
        together.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return [one.result(30) for one in [threads.submit(run, number) for number in range(count)]]


def test_guesses_side_by_side_get_no_more_tries_than_in_a_row(directory: Store) -> None:
    directory.start_sign_in(PROGRAM, session())
    tried = side_by_side(lambda _: try_of(directory) is not None, 8)
    assert sorted(map(bool, tried)) == [False] * 5 + [True] * 3
    assert try_of(directory) is None


def test_a_session_is_used_by_one_device_and_its_retries(directory: Store) -> None:
    directory.start_sign_in(PROGRAM, session())

    def use(device: str, *, now: int = NOW, program_id: ProgramId = PROGRAM) -> bool:
        return directory.use_sign_in(program_id, b"a", used_by=device, tries=5, now=Ms(now))

    assert not use("phone", now=ENDS)
    assert not use("phone", program_id=OTHER_PROGRAM)
    assert use("phone")
    assert try_of(directory) == session(used_by="phone", tries_left=4)
    assert use("phone")
    assert not use("tablet")
    assert not use("phone", now=ENDS)
    assert try_of(directory) == session(used_by="phone", tries_left=3)


def test_of_many_devices_one_uses_the_session(directory: Store) -> None:
    directory.start_sign_in(PROGRAM, session())
    won = side_by_side(
        lambda number: directory.use_sign_in(PROGRAM, b"a", used_by=f"phone-{number}", tries=5, now=NOW), 6
    )
    assert sorted(map(bool, won)) == [False] * 5 + [True]


def test_mails_to_an_address_are_counted_by_client_and_time(directory: Store) -> None:
    directory.start_sign_in(PROGRAM, session("a"))
    directory.start_sign_in(PROGRAM, session("b", started_ms=Ms(NOW + 5), client_tag=b"other"))
    directory.start_sign_in(PROGRAM, session("c", started_ms=Ms(NOW + 6), mailed=False))
    directory.start_sign_in(PROGRAM, session("d", started_ms=Ms(NOW + 7), address_token=b"else"))
    directory.start_sign_in(OTHER_PROGRAM, session("e"))
    both = [Mailed(Ms(NOW + 5), b"other"), Mailed(NOW, b"client")]
    assert directory.mailed(PROGRAM, b"address", since=Ms(NOW - 1)) == both
    assert directory.mailed(PROGRAM, b"address", since=NOW) == both[:1]


def test_what_is_to_be_forgotten_goes_when_others_begin_and_never_too_much_at_once(directory: Store) -> None:
    count = SWEPT_MAX + 5
    for number in range(count):
        directory.start_sign_in(PROGRAM, session(f"old-{number}", forget_ms=Ms(NOW + 1 + number)))
    directory.start_sign_in(OTHER_PROGRAM, session("other", forget_ms=Ms(NOW + 1)))
    late = Ms(NOW + 1_000)
    lasting = {"forget_ms": Ms(NOW + 9_999), "started_ms": late, "address_token": b"new"}
    before = len(directory.mailed(PROGRAM, b"address", since=Ms(0)))
    directory.start_sign_in(PROGRAM, session("x", **lasting))
    left = len(directory.mailed(PROGRAM, b"address", since=Ms(0)))
    assert (before, left) == (count, count - SWEPT_MAX)
    # The oldest went first.
    assert try_of(directory, "old-0") is None
    assert try_of(directory, f"old-{count - 1}") is not None
    directory.start_sign_in(PROGRAM, session("y", **lasting))
    assert directory.mailed(PROGRAM, b"address", since=Ms(0)) == []
    assert try_of(directory, "other", program_id=OTHER_PROGRAM) is not None


def test_sweeps_side_by_side_get_in_nobodys_way(directory: Store) -> None:
    for number in range(30):
        directory.start_sign_in(PROGRAM, session(f"old-{number}"))
    late = Ms(NOW + 1_000)
    fresh = {"started_ms": late, "forget_ms": Ms(late + 1), "address_token": b"new"}
    side_by_side(lambda number: directory.start_sign_in(PROGRAM, session(f"new-{number}", **fresh)), 6)
    assert directory.mailed(PROGRAM, b"address", since=Ms(0)) == []
    assert len(directory.mailed(PROGRAM, b"new", since=Ms(0))) == 6


def passkey(number: int = 1, *, owner: int = 1, **more: object) -> Passkey:
    plain = Passkey(member_id(owner), f"credential-{number}".encode(), b"key", 4, b"sealed", Ms(NOW + number))
    return replace(plain, **more)  # type: ignore[arg-type]


def test_a_passkey_is_stored_once_and_found_by_its_id_in_its_program(directory: Store) -> None:
    second, first = passkey(2), passkey(1)
    for one in (second, first, replace(first, sealed_label=b"other")):
        stored = directory.add_passkey(PROGRAM, one)
        assert stored == (second if one is second else first)
    assert directory.passkeys(PROGRAM, member_id(1)) == [first, second]
    assert directory.passkeys(PROGRAM, member_id(2)) == []
    assert directory.passkey(PROGRAM, b"credential-1") == first
    assert directory.passkey(OTHER_PROGRAM, b"credential-1") is None
    with pytest.raises(AlreadyExists):
        directory.add_passkey(PROGRAM, passkey(1, owner=2))
    assert directory.add_passkey(OTHER_PROGRAM, passkey(1, owner=2)) == passkey(1, owner=2)


def test_the_last_place_for_a_passkey_is_taken_once(directory: Store) -> None:
    stored = side_by_side(lambda number: directory.add_passkey(PROGRAM, passkey(number), most=1), 4)
    assert sum(one is not None for one in stored) == 1
    assert directory.add_passkey(PROGRAM, passkey(8, owner=2), most=1) == passkey(8, owner=2)


def test_a_count_goes_up_or_counts_nothing(directory: Store) -> None:
    directory.add_passkey(PROGRAM, passkey())
    directory.add_passkey(PROGRAM, passkey(2, sign_count=0))

    def use(number: int, count: int, program_id: ProgramId = PROGRAM) -> bool:
        name = f"credential-{number}".encode()
        return directory.use_passkey(program_id, name, sign_count=count, now=ENDS)

    assert [use(1, count) for count in (4, 3, 0, 5, 5)] == [False, False, False, True, False]
    assert [use(2, count) for count in (0, 0, 1, 0)] == [True, True, True, False]
    assert not use(3, 1)
    assert not use(1, 6, OTHER_PROGRAM)
    used = [replace(passkey(), sign_count=5, used_ms=ENDS), passkey(2, sign_count=1, used_ms=ENDS)]
    assert directory.passkeys(PROGRAM, member_id(1)) == used


def test_a_count_is_used_once_however_many_ask(directory: Store) -> None:
    directory.add_passkey(PROGRAM, passkey())
    won = side_by_side(lambda _: directory.use_passkey(PROGRAM, b"credential-1", sign_count=5, now=NOW), 6)
    assert sorted(map(bool, won)) == [False] * 5 + [True]


def test_a_passkey_is_removed_by_its_owner_only(directory: Store) -> None:
    directory.add_passkey(PROGRAM, passkey())
    assert not directory.remove_passkey(PROGRAM, member_id(2), b"credential-1")
    assert not directory.remove_passkey(OTHER_PROGRAM, member_id(1), b"credential-1")
    assert directory.remove_passkey(PROGRAM, member_id(1), b"credential-1")
    assert not directory.remove_passkey(PROGRAM, member_id(1), b"credential-1")
    assert directory.passkeys(PROGRAM, member_id(1)) == []


def test_erasing_a_member_deletes_passkeys_and_sessions_of_the_member_and_the_address(
    directory: Store,
) -> None:
    directory.add_identifier(PROGRAM, identifier(1, kind="email", token=b"address"))
    directory.add_identifier(PROGRAM, identifier(1, kind="phone", token=b"phone"))
    directory.add_passkey(PROGRAM, passkey())
    directory.add_passkey(PROGRAM, passkey(2, owner=2))
    directory.start_sign_in(PROGRAM, session("of-address"))
    directory.start_sign_in(PROGRAM, session("of-member", address_token=b"", member_id=member_id(1)))
    directory.start_sign_in(PROGRAM, session("of-else", address_token=b"else"))
    directory.start_sign_in(PROGRAM, session("of-nobody", address_token=b"", member_id=None))
    directory.start_sign_in(OTHER_PROGRAM, session("of-address"))
    directory.erase(PROGRAM, member_id(1))
    assert [try_of(directory, name) is not None for name in ("of-address", "of-member")] == [False, False]
    assert [try_of(directory, name) is not None for name in ("of-else", "of-nobody")] == [True, True]
    assert try_of(directory, "of-address", program_id=OTHER_PROGRAM) is not None
    assert directory.passkey(PROGRAM, b"credential-1") is None
    assert directory.passkey(PROGRAM, b"credential-2") is not None
    for owner in (1, 3):
        with pytest.raises(NotFound):
            directory.add_passkey(PROGRAM, passkey(9, owner=owner))


def card_device(kid: str, owner: int = 1) -> CardDevice:
    return CardDevice(member_id(owner), kid, "{}", b"sealed", NOW, NOW, ENDS)


def test_the_holders_of_a_key_are_known_within_the_program(directory: Store) -> None:
    directory.add_card_device(PROGRAM, card_device("kid", 2), most=5)
    directory.add_card_device(PROGRAM, card_device("kid", 1), most=5)
    directory.add_card_device(PROGRAM, card_device("else", 1), most=5)
    assert directory.card_device_holders(PROGRAM, "kid") == [member_id(1), member_id(2)]
    assert directory.card_device_holders(PROGRAM, "none") == []
    assert directory.card_device_holders(OTHER_PROGRAM, "kid") == []


def test_revoked_devices_of_members_of_all_programs_are_listed_since_an_instant(directory: Store) -> None:
    for program_id, kid in ((PROGRAM, "a"), (OTHER_PROGRAM, "b"), (PROGRAM, "living")):
        directory.add_card_device(program_id, card_device(kid), most=5)
    directory.revoke_card_device(PROGRAM, member_id(1), "a", now=NOW)
    directory.revoke_card_device(OTHER_PROGRAM, member_id(1), "b", now=Ms(NOW + 1))
    both = [(OTHER_PROGRAM, "b"), (PROGRAM, "a")]
    assert directory.revoked_card_devices(since=Ms(0)) == both
    assert directory.revoked_card_devices(since=Ms(NOW + 1)) == both[:1]
    assert directory.revoked_card_devices(since=Ms(NOW + 2)) == []
