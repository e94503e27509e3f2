"""What a code in a mail is worth: once, in its session, for ten minutes, and nobody is locked out by others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tallystick.security.sign_in import CODE_TTL_S, TRIES_MAX
from tallystick.service.sign_in import (
    MAILS_DAY_MAX,
    MAILS_OF_CLIENT_DAY_MAX,
    MAILS_OF_CLIENT_HOUR_MAX,
    NotSignedIn,
    SignedIn,
    SignInReason,
)
from tests.service.front_door import (
    ADA,
    BOB,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    OTHER,
    OVER,
    SHOP,
    FrontDoor,
    members_of,
    new_phone,
)


def test_a_code_counts_once(door: FrontDoor) -> None:
    started = door.start()
    assert isinstance(door.finish(started, new_phone()), SignedIn)
    assert door.finish(started, new_phone()) == OVER


def test_a_code_counts_in_its_own_session_only(door: FrontDoor) -> None:
    first, code_of_first = door.start(), door.code
    second, code_of_second = door.start(), door.code
    assert door.finish(second, new_phone(), code_of_first) == NotSignedIn(SignInReason.CODE_WRONG, 4)
    assert door.finish(first, new_phone(), code_of_second) == NotSignedIn(SignInReason.CODE_WRONG, 4)
    assert isinstance(door.finish(first, new_phone(), code_of_first), SignedIn)
    assert isinstance(door.finish(second, new_phone(), code_of_second), SignedIn)


def test_a_session_of_another_program_is_none(door: FrontDoor) -> None:
    started = door.start(program_id=OTHER)
    assert door.finish(started, new_phone()) == OVER


def test_a_code_counts_for_ten_minutes(door: FrontDoor) -> None:
    assert CODE_TTL_S == 600
    begin = door.now_ms
    in_time, code = door.start(), door.code
    late, late_code = door.start(), door.code
    assert late.expires_ms == begin + 10 * MINUTE_MS
    door.now_ms = begin + 10 * MINUTE_MS - 1
    assert isinstance(door.finish(in_time, new_phone(), code), SignedIn)
    door.now_ms = begin + 10 * MINUTE_MS
    assert door.finish(late, new_phone(), late_code) == OVER


def test_the_sixth_try_is_refused_even_when_it_is_right(door: FrontDoor) -> None:
    started = door.start()
    for left in (4, 3, 2, 1, 0):
        refused = door.finish(started, new_phone(), door.wrong())
        assert refused == NotSignedIn(SignInReason.CODE_WRONG, left)
    assert door.finish(started, new_phone()) == OVER
    assert members_of(door) == []


def test_the_fifth_try_may_be_right(door: FrontDoor) -> None:
    started = door.start()
    for _ in range(TRIES_MAX - 1):
        door.finish(started, new_phone(), door.wrong())
    assert isinstance(door.finish(started, new_phone()), SignedIn)


class CountedStore:
    """Passes calls on to a store and notes which."""

    def __init__(self, store: object) -> None:
        self._store = store
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        self.calls.append(name)
        return getattr(self._store, name)


def test_known_and_unknown_addresses_get_the_same_answer_for_the_same_work(door: FrontDoor) -> None:
    known = door.signed_in().member_id
    counted = CountedStore(door.store)
    door.sign_in._store = counted  # type: ignore[assignment]
    answers, calls, sizes = [], [], []
    for email in (ADA, BOB):
        counted.calls.clear()
        started = door.start(email)
        answers.append((len(started.session_id), started.expires_ms))
        calls.append(tuple(counted.calls))
        sizes.append(len(door.post.mails[-1].code))
        assert door.finish(started, new_phone(), door.wrong()) == NotSignedIn(SignInReason.CODE_WRONG, 4)
    assert answers[0] == answers[1]
    assert calls[0] == calls[1]
    assert "find" not in calls[0]
    assert sizes == [6, 6]
    assert members_of(door) == [known]


# Security, requirement 8: no passwords; stuffing throttled by account and address, the victim not locked out.


def test_stuffing_is_throttled_and_does_not_lock_the_victim_out(door: FrontDoor) -> None:
    mine, code = door.start(client="ipv4:198.51.100.7"), door.code
    attacks = [door.start(client="ipv4:203.0.113.1") for _ in range(40)]
    assert len(door.post.mails) == 1 + MAILS_OF_CLIENT_HOUR_MAX
    for started in attacks:
        for guess in range(TRIES_MAX):
            refused = door.finish(started, new_phone(), str(guess).zfill(6))
            assert refused == NotSignedIn(SignInReason.CODE_WRONG, TRIES_MAX - 1 - guess)
        assert door.finish(started, new_phone(), "000000") == OVER
    assert isinstance(door.finish(mine, new_phone(), code), SignedIn)
    again = door.start(client="ipv4:198.51.100.7")
    assert isinstance(door.finish(again, new_phone()), SignedIn)


def test_a_throttled_request_looks_like_any_other_and_lets_nobody_in(door: FrontDoor) -> None:
    sent = [door.start() for _ in range(MAILS_OF_CLIENT_HOUR_MAX)]
    unsent = door.start()
    assert len(door.post.mails) == len(sent)
    assert (len(unsent.session_id), unsent.expires_ms) == (len(sent[0].session_id), sent[0].expires_ms)
    assert door.finish(unsent, new_phone()) == NotSignedIn(SignInReason.CODE_WRONG, 4)
    door.now_ms += HOUR_MS
    assert isinstance(door.finish(door.start(), new_phone()), SignedIn)


def test_the_code_of_a_mail_that_was_not_sent_is_no_code(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.service.sign_in.new_code", lambda: "123456")
    sent = [door.start() for _ in range(MAILS_OF_CLIENT_HOUR_MAX)]
    assert door.finish(door.start(), new_phone(), "123456") == NotSignedIn(SignInReason.CODE_WRONG, 4)
    assert isinstance(door.finish(sent[0], new_phone(), "123456"), SignedIn)


def test_another_address_of_the_same_client_is_mailed_all_the_same(door: FrontDoor) -> None:
    for _ in range(MAILS_OF_CLIENT_HOUR_MAX + 1):
        door.start()
    door.start(BOB)
    assert [mail.address for mail in door.post.mails] == [ADA] * MAILS_OF_CLIENT_HOUR_MAX + [BOB]


def test_one_client_never_uses_up_the_mails_of_an_address(door: FrontDoor) -> None:
    for _ in range(24):
        for _ in range(MAILS_OF_CLIENT_HOUR_MAX):
            door.start()
        door.now_ms += HOUR_MS - 1
    assert len(door.post.mails) == MAILS_OF_CLIENT_DAY_MAX
    door.start(client="ipv4:198.51.100.7")
    assert len(door.post.mails) == MAILS_OF_CLIENT_DAY_MAX + 1


def test_all_clients_together_can_ask_for_so_many_mails_a_day_and_no_more(door: FrontDoor) -> None:
    begin = door.now_ms
    for number in range(3 * MAILS_DAY_MAX):
        door.start(client=f"ipv4:203.0.113.{number}")
        door.now_ms += MINUTE_MS
    assert len(door.post.mails) == MAILS_DAY_MAX
    door.now_ms = begin + DAY_MS
    door.start(client="ipv4:198.51.100.7")
    assert len(door.post.mails) == MAILS_DAY_MAX + 1


def test_a_lost_answer_may_be_asked_for_again_with_the_same_key_only(door: FrontDoor) -> None:
    phone, started = new_phone(), door.start()
    first = door.finish(started, phone)
    again = door.finish(started, phone)
    assert isinstance(first, SignedIn)
    assert isinstance(again, SignedIn)
    assert (again.member_id, again.enrolled) == (first.member_id, first.enrolled)
    assert len(door.gateway.codes.devices(SHOP, first.member_id)) == 1
    assert members_of(door) == [first.member_id]
    assert door.finish(started, phone, door.wrong()) == OVER
    assert door.finish(started, new_phone()) == OVER
    door.now_ms += 10 * MINUTE_MS
    assert door.finish(started, phone) == OVER


def test_asking_again_takes_nothing_back_that_was_changed_meanwhile(door: FrontDoor) -> None:
    phone, started = new_phone(), door.start(language="sv")
    answer = door.finish(started, phone)
    assert isinstance(answer, SignedIn)
    door.gateway.members.update_profile(SHOP, answer.member_id, {"language": "pl"})
    assert isinstance(door.finish(started, phone), SignedIn)
    assert door.gateway.members.profile(SHOP, answer.member_id).language == "pl"


def test_a_used_session_answers_no_more_often_than_it_may_be_tried(door: FrontDoor) -> None:
    phone, started = new_phone(), door.start()
    answers = [isinstance(door.finish(started, phone), SignedIn) for _ in range(TRIES_MAX + 2)]
    assert answers == [True] * (TRIES_MAX + 1) + [False]


def test_what_was_cut_off_behind_the_code_is_finished_by_the_next_try(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, started = new_phone(), door.start()
    for name in ("enrol", "put_person", "add_card_device"):
        real = getattr(door.store, name)
        with monkeypatch.context() as patch:
            patch.setattr(door.store, name, broken(real))
            with pytest.raises(ConnectionError):
                door.finish(started, phone)
    answer = door.finish(started, phone)
    assert isinstance(answer, SignedIn)
    assert answer.enrolled
    assert members_of(door) == [answer.member_id]


def broken(real: Callable[..., object]) -> Callable[..., object]:
    """Do it, and lose the answer."""

    def work(*args: object, **kwargs: object) -> object:
        real(*args, **kwargs)
        raise ConnectionError

    return work
