"""Signing in by a code that a mail brings, and the tokens that a device buys from then on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tallystick.core.basket import Channel
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.rpc.auth import Authenticator
from tallystick.rpc.errors import DeviceRevoked
from tallystick.security.identifiers import IdentifierKind
from tallystick.security.sign_in import CODE_TTL_S, TRIES_MAX
from tallystick.service.codes import CARD_DEVICES_MAX, LOOK_ONLY_MS
from tallystick.service.enrolment import canonical_jwk
from tallystick.service.errors import FailedPrecondition, InvalidInput, NotFound, Unauthenticated
from tallystick.service.gateway import open_gateway
from tallystick.service.identity import Text
from tallystick.service.sign_in import (
    MAILS_DAY_MAX,
    MAILS_OF_CLIENT_DAY_MAX,
    MAILS_OF_CLIENT_HOUR_MAX,
    DeviceKey,
    NotSignedIn,
    SignedIn,
    SignInReason,
)
from tallystick.service.sign_in_ports import Mailed
from tests.service.front_door import (
    ADA,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    OTHER,
    SHOP,
    FrontDoor,
    Phone,
    new_phone,
    phone_named,
)

OVER = NotSignedIn(SignInReason.SESSION_OVER)
BOB = "bob@example.org"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FrontDoor]:
    made = FrontDoor(tmp_path)
    yield made
    made.gateway.close()


def members_of(door: FrontDoor) -> list[MemberId]:
    return [one.member_id for one in door.store.members(SHOP, after="", limit=99)]


def authenticator(door: FrontDoor) -> Authenticator:
    return Authenticator(
        profile=door.gateway.token_profile,
        keys=door.keys.signing.verify_keys,
        is_revoked=door.gateway.revocations.is_revoked,
        clock=lambda: door.now_ms / 1000,
    )


def test_a_new_address_becomes_a_member_whose_device_speaks_for_it(door: FrontDoor) -> None:
    phone = new_phone("Ada's phone")
    answer = door.finish(door.start(language="sv-SE"), phone)
    assert isinstance(answer, SignedIn)
    assert answer.enrolled
    member = door.gateway.members.get(SHOP, answer.member_id)
    assert (member.channel, member.status) == (Channel.APP, MemberStatus.OPEN)
    shown = {(row.kind, row.hint) for row in door.gateway.identity.all_of(SHOP, answer.member_id)}
    assert (IdentifierKind.EMAIL.value, "a…@example.org") in shown
    profile = door.gateway.members.profile(SHOP, answer.member_id)
    assert (profile.email, profile.language) == (ADA, "sv-SE")
    (device,) = door.gateway.codes.devices(SHOP, answer.member_id)
    assert (device.kid, device.burn_from_ms) == (phone.key.kid, door.now_ms + LOOK_ONLY_MS)
    assert door.gateway.codes.label_of(SHOP, device) == "Ada's phone"
    principal = authenticator(door).principal(f"Bearer {answer.token.text}")
    assert (principal.member_id, principal.device_id) == (answer.member_id, phone.key.kid)


def test_a_known_address_is_let_in_as_its_member_with_every_device(door: FrontDoor) -> None:
    first = door.signed_in()
    second = door.signed_in(" ADA@Example.org ")
    assert (second.member_id, second.enrolled) == (first.member_id, False)
    assert len(door.gateway.codes.devices(SHOP, first.member_id)) == 2
    assert members_of(door) == [first.member_id]


def test_somebody_whom_a_till_has_enrolled_signs_in_as_that_member(door: FrontDoor) -> None:
    member_id = MemberId("01940000-0000-7000-8000-000000000001")
    door.gateway.identity.enrol(
        SHOP, member_id, Text(ADA), enrolled_ms=Ms(door.now_ms), channel=Channel.STORE, store_id="s1"
    )
    answer = door.signed_in()
    assert (answer.member_id, answer.enrolled) == (member_id, False)
    assert door.gateway.members.profile(SHOP, member_id).email == ""


def test_the_mail_names_the_program_and_the_language(door: FrontDoor) -> None:
    door.start(language="pl")
    (mail,) = door.post.mails
    assert (mail.address, mail.program_name, mail.language) == (ADA, "Shop", "pl")
    assert len(mail.code) == 6
    assert mail.code.isdigit()
    assert ADA not in repr(mail)
    assert mail.code not in repr(mail)


# Security, requirement 9: reuse, other session, 10 minutes, sixth try refused, the same answer for unknown.


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


def test_two_new_devices_of_one_address_become_one_member(door: FrontDoor) -> None:
    first, first_code = door.start(), door.code
    second, second_code = door.start(), door.code
    one, other = door.finish(first, new_phone(), first_code), door.finish(second, new_phone(), second_code)
    assert isinstance(one, SignedIn)
    assert isinstance(other, SignedIn)
    assert (one.member_id, one.enrolled) == (other.member_id, True)
    assert not other.enrolled


def test_whoever_loses_the_race_to_enrol_an_address_is_let_in_as_its_member(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = door.start()
    code = door.code
    real = door.store.find
    nobody: list[object] = []
    answers = iter([nobody])

    def find(program_id: ProgramId, keys: list[tuple[str, bytes]]) -> object:
        quick = next(answers, None)
        if quick is None:
            return real(program_id, keys)
        with monkeypatch.context() as patch:
            patch.setattr(door.store, "find", real)
            winners.append(door.signed_in().member_id)
        return quick

    winners: list[MemberId] = []
    monkeypatch.setattr(door.store, "find", find)
    answer = door.finish(started, new_phone(), code)
    assert isinstance(answer, SignedIn)
    assert ([answer.member_id], answer.enrolled) == (winners, False)


def test_a_referral_code_is_noted_for_new_members_and_once(door: FrontDoor) -> None:
    friend, other = door.signed_in("friend@example.org").member_id, door.signed_in(BOB).member_id
    codes = [door.gateway.referrals.code_of(SHOP, one) for one in (friend, other)]
    door.now_ms += 1_000
    phone, started = new_phone(), door.start()
    door.finish(started, phone, referral_code=codes[0])
    answer = door.finish(started, phone, referral_code=codes[0])
    assert isinstance(answer, SignedIn)
    door.signed_in(referral_code=codes[1])
    noted = door.store.referral(SHOP, answer.member_id)
    assert noted is not None
    assert noted.referrer_id == friend
    assert door.store.referral(SHOP, other) is None


def test_a_referral_code_that_leads_nowhere_keeps_nobody_out(door: FrontDoor) -> None:
    assert door.signed_in(referral_code="NOBODYS").enrolled


def private_jwk(phone: Phone) -> str:
    return canonical_jwk(phone.key.verify_key).replace("{", '{"d":"AAAA",', 1)


@pytest.mark.parametrize("jwk", ["", "{}", "nonsense", '{"kty":"oct","k":"AAAA"}', "[" * 500, "PRIVATE"])
def test_a_key_that_is_none_is_refused_and_costs_no_try(door: FrontDoor, jwk: str) -> None:
    started, phone = door.start(), new_phone()
    device = DeviceKey(private_jwk(phone) if jwk == "PRIVATE" else jwk)
    for _ in range(TRIES_MAX):
        refused = door.sign_in.finish_email_code(SHOP, started.session_id, door.code, device)
        assert refused == NotSignedIn(SignInReason.DEVICE)
    assert isinstance(door.finish(started, phone), SignedIn)


def test_a_key_that_was_revoked_or_is_another_members_is_refused_and_the_code_counts_on(
    door: FrontDoor,
) -> None:
    bobs, revoked = new_phone(), new_phone()
    door.signed_in(BOB, bobs)
    ada = door.signed_in(phone=revoked).member_id
    door.gateway.codes.revoke(SHOP, ada, revoked.key.kid)
    started = door.start()
    for phone in (bobs, revoked):
        assert door.finish(started, phone) == NotSignedIn(SignInReason.DEVICE)
    answer = door.finish(started, new_phone())
    assert isinstance(answer, SignedIn)
    assert answer.member_id == ada


def test_a_new_member_cannot_take_another_members_key(door: FrontDoor) -> None:
    adas = new_phone()
    door.signed_in(phone=adas)
    assert door.finish(door.start(BOB), adas) == NotSignedIn(SignInReason.DEVICE)
    assert len(members_of(door)) == 1


def test_a_member_with_ten_devices_revokes_one_first(door: FrontDoor) -> None:
    phones = [new_phone() for _ in range(CARD_DEVICES_MAX)]
    for phone in phones:
        door.signed_in(phone=phone)
        door.now_ms += DAY_MS
    (member_id,) = members_of(door)
    started = door.start()
    assert door.finish(started, new_phone()) == NotSignedIn(SignInReason.DEVICES_TOO_MANY)
    assert isinstance(door.finish(started, phones[3]), SignedIn)
    door.gateway.codes.revoke(SHOP, member_id, phones[0].key.kid)
    assert isinstance(door.finish(door.start(), new_phone()), SignedIn)


SCAN_RULES = """\
format: tallystick/1
name: Shop
currency: EUR
time_zone: Europe/Stockholm
earning:
  rules:
    - {id: base, kind: per_amount, points: 1, per_minor: 100}
scanning:
  standard: [phone]
  rules:
    - {name: cut, kind: email, prefix: a, strip: 1}
"""


def test_what_a_program_lets_tills_scan_changes_no_address(door: FrontDoor) -> None:
    door.gateway.programs.publish(SHOP, SCAN_RULES, request_id="r-1", published_by="test")
    first, again = door.signed_in(), door.signed_in()
    assert [mail.address for mail in door.post.mails] == [ADA, ADA]
    assert (first.enrolled, again.enrolled, again.member_id) == (True, False, first.member_id)


@pytest.mark.parametrize(
    "email", ["", "ada", "0701234567", "9949943635187475", 'a"b@example.org', "a@b\nc.org"]
)
def test_a_text_that_is_no_address_is_refused_by_its_field(door: FrontDoor, email: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        door.start(email)
    assert refused.value.violations[0][0] == "email"
    assert door.post.mails == []


def test_an_unknown_program_is_not_found(door: FrontDoor) -> None:
    with pytest.raises(NotFound) as refused:
        door.start(program_id=ProgramId("nowhere"))
    assert refused.value.reason == "PROGRAM_NOT_FOUND"


def test_a_server_without_mail_says_so(door: FrontDoor) -> None:
    silent = open_gateway(door.store, keys=lambda: door.keys, issuer="x", database="memory")
    with pytest.raises(FailedPrecondition) as refused:
        silent.sign_in.start_email_code(SHOP, ADA)
    assert refused.value.reason == "MAIL_OFF"
    silent.close()


# Tokens.


def test_a_device_buys_token_after_token_by_its_key_alone(door: FrontDoor) -> None:
    # Thumbprints that begin with a hyphen or an underscore are names as any other.
    for begin in ("-", "_", "A"):
        phone = phone_named(begin)
        member_id = door.signed_in(phone=phone).member_id
        for _ in range(2):
            token = door.gateway.app_tokens.buy(SHOP, member_id, door.assertion(phone))
            principal = authenticator(door).principal(f"Bearer {token.text}")
            assert (principal.member_id, principal.device_id) == (member_id, phone.key.kid)
            assert token.expires_in_s == 300
            door.now_ms += HOUR_MS


def refused_reason(door: FrontDoor, member_id: MemberId, assertion: str, program_id: str = SHOP) -> str:
    with pytest.raises(Unauthenticated) as refused:
        door.gateway.app_tokens.buy(ProgramId(program_id), member_id, assertion)
    return refused.value.reason


def test_an_assertion_counts_once_and_only_where_and_for_whom_it_was_signed(door: FrontDoor) -> None:
    phone, bobs = new_phone(), new_phone()
    ada, bob = door.signed_in(phone=phone).member_id, door.signed_in(BOB, bobs).member_id
    assertion = door.assertion(phone)
    door.gateway.app_tokens.buy(SHOP, ada, assertion)
    assert refused_reason(door, ada, assertion) == "ASSERTION_REPLAYED"
    for member_id, program_id, other in (
        (bob, SHOP, door.assertion(phone)),
        (ada, OTHER, door.assertion(phone)),
        (ada, SHOP, door.assertion(phone, program_id=OTHER)),
        (ada, SHOP, door.assertion(phone, device_id=bobs.key.kid)),
        (ada, SHOP, door.assertion(phone, key=bobs.key)),
        (ada, SHOP, door.assertion(new_phone())),
        (MemberId("01940000-0000-7000-8000-00000000dead"), SHOP, door.assertion(phone)),
        (ada, SHOP, "a.b.c"),
        (ada, SHOP, ""),
    ):
        assert refused_reason(door, member_id, other, program_id) == "ASSERTION_INVALID"


def test_an_assertion_is_used_up_for_all_processes(door: FrontDoor) -> None:
    phone = new_phone()
    member_id = door.signed_in(phone=phone).member_id
    second = open_gateway(
        door.store,
        keys=lambda: door.keys,
        issuer="https://tallystick.test",
        database="memory",
        now_ms=lambda: Ms(door.now_ms),
    )
    assertion = door.assertion(phone)
    door.gateway.app_tokens.buy(SHOP, member_id, assertion)
    with pytest.raises(Unauthenticated, match="used before"):
        second.app_tokens.buy(SHOP, member_id, assertion)
    second.close()


def test_an_assertion_is_good_for_a_minute(door: FrontDoor) -> None:
    phone = new_phone()
    member_id = door.signed_in(phone=phone).member_id
    assertion = door.assertion(phone)
    door.now_ms += 2 * MINUTE_MS
    assert refused_reason(door, member_id, assertion) == "ASSERTION_INVALID"


def test_a_revoked_device_buys_no_token_and_its_last_one_stops_at_once(door: FrontDoor) -> None:
    phone, other = new_phone(), new_phone()
    answer = door.signed_in(phone=phone)
    kept = door.signed_in(phone=other)
    guard = authenticator(door)
    guard.principal(f"Bearer {answer.token.text}")
    door.gateway.codes.revoke(SHOP, answer.member_id, phone.key.kid)
    with pytest.raises(DeviceRevoked):
        guard.principal(f"Bearer {answer.token.text}")
    assert guard.principal(f"Bearer {kept.token.text}").device_id == other.key.kid
    assert refused_reason(door, answer.member_id, door.assertion(phone)) == "DEVICE_REVOKED"


def test_another_replica_hears_of_a_revoked_device_from_the_store(door: FrontDoor) -> None:
    phone = new_phone()
    answer = door.signed_in(phone=phone)
    second = open_gateway(
        door.store,
        keys=lambda: door.keys,
        issuer="https://tallystick.test",
        database="memory",
        now_ms=lambda: Ms(door.now_ms),
    )
    second.codes.revoke(SHOP, answer.member_id, phone.key.kid)
    guard = authenticator(door)
    guard.principal(f"Bearer {answer.token.text}")
    door.gateway.revocations.refresh()
    with pytest.raises(DeviceRevoked):
        guard.principal(f"Bearer {answer.token.text}")
    second.close()


def test_revoking_a_copied_key_in_another_program_shuts_nobody_out_here(door: FrontDoor) -> None:
    phone = new_phone()
    answer = door.signed_in(phone=phone)
    started = door.start(BOB, program_id=OTHER)
    thief = door.sign_in.finish_email_code(OTHER, started.session_id, door.code, phone.device)
    assert isinstance(thief, SignedIn)
    door.gateway.codes.revoke(OTHER, thief.member_id, phone.key.kid)
    door.gateway.revocations.refresh()
    assert authenticator(door).principal(f"Bearer {answer.token.text}").member_id == answer.member_id
    door.gateway.app_tokens.buy(SHOP, answer.member_id, door.assertion(phone))


def test_a_blocked_member_may_still_look(door: FrontDoor) -> None:
    phone = new_phone()
    member_id = door.signed_in(phone=phone).member_id
    door.gateway.members.set_blocked(SHOP, member_id, blocked=True)
    assert door.gateway.app_tokens.buy(SHOP, member_id, door.assertion(phone)).text
    assert door.signed_in().member_id == member_id


# Erasing oneself.


def test_a_member_is_erased_for_a_code_to_the_members_own_address(door: FrontDoor) -> None:
    phone = new_phone()
    member_id = door.signed_in(phone=phone).member_id
    started = door.start()
    wrong = door.sign_in.erase(SHOP, member_id, session_id=started.session_id, code=door.wrong())
    assert wrong == NotSignedIn(SignInReason.CODE_WRONG, 4)
    erased = door.sign_in.erase(SHOP, member_id, session_id=started.session_id, code=door.code)
    assert not isinstance(erased, NotSignedIn)
    assert erased.status is MemberStatus.ERASED
    assert refused_reason(door, member_id, door.assertion(phone)) == "ASSERTION_INVALID"
    again = door.sign_in.erase(SHOP, member_id, session_id=started.session_id, code=door.code)
    assert again == erased
    anew = door.signed_in()
    assert anew.enrolled
    assert anew.member_id != member_id


def test_a_code_to_anybody_elses_address_erases_nobody(door: FrontDoor) -> None:
    ada, bob = door.signed_in().member_id, door.signed_in(BOB).member_id
    for email in (BOB, "nobody@example.org"):
        started = door.start(email)
        refused = door.sign_in.erase(SHOP, ada, session_id=started.session_id, code=door.code)
        assert refused == OVER
    for member_id in (ada, bob):
        assert door.gateway.members.get(SHOP, member_id).status is MemberStatus.OPEN


def test_a_code_that_has_let_a_device_in_erases_nobody(door: FrontDoor) -> None:
    started = door.start()
    answer = door.finish(started, new_phone())
    assert isinstance(answer, SignedIn)
    refused = door.sign_in.erase(SHOP, answer.member_id, session_id=started.session_id, code=door.code)
    assert refused == OVER


def test_nothing_of_the_address_is_left_behind_an_erasure(door: FrontDoor) -> None:
    member_id = door.signed_in().member_id
    door.start()
    started = door.start()
    door.sign_in.erase(SHOP, member_id, session_id=started.session_id, code=door.code)
    tables = door.store._of(SHOP)
    assert (tables.sign_ins, tables.card_devices, tables.identifiers) == ({}, {}, {})


# What is kept, and what is logged.


def test_sessions_keep_neither_code_nor_address_nor_id_in_the_clear(door: FrontDoor) -> None:
    started = door.start()
    (session,) = door.store._of(SHOP).sign_ins.values()
    stored = b"".join([session.session_hash, session.secret, session.sealed, session.address_token])
    for told in (started.session_id, door.code, ADA, "ada"):
        assert told.encode() not in stored
        assert told not in repr(session)


def test_old_sessions_are_swept_away_as_new_ones_begin(door: FrontDoor) -> None:
    for _ in range(MAILS_OF_CLIENT_HOUR_MAX + 3):
        door.start()
    sessions = door.store._of(SHOP).sign_ins
    assert len(sessions) == MAILS_OF_CLIENT_HOUR_MAX + 3
    door.now_ms += HOUR_MS
    door.start()
    assert len(sessions) == MAILS_OF_CLIENT_HOUR_MAX + 1
    door.now_ms += DAY_MS
    door.start()
    assert len(sessions) == 1


def test_neither_address_nor_code_is_logged(door: FrontDoor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    member_id = door.signed_in().member_id
    started = door.start()
    door.finish(started, new_phone(), door.wrong())
    door.sign_in.erase(SHOP, member_id, session_id=started.session_id, code=door.code)
    logging.getLogger("tallystick.service.sign_in").warning("heard")
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "heard" in logged
    for secret in (ADA, "ada@", started.session_id, *(mail.code for mail in door.post.mails)):
        assert secret not in logged


def test_may_mail_counts_by_the_hour_by_the_day_and_over_all_clients() -> None:
    from tallystick.service.sign_in import may_mail

    now = Ms(10 * DAY_MS)
    mine = [Mailed(Ms(now - 2 * HOUR_MS), b"me")] * (MAILS_OF_CLIENT_DAY_MAX - 1)
    assert may_mail(mine, b"me", now)
    assert not may_mail([*mine, mine[0]], b"me", now)
    assert may_mail([*mine, mine[0]], b"you", now)
    lately = [Mailed(Ms(now - HOUR_MS + 1), b"me")] * MAILS_OF_CLIENT_HOUR_MAX
    assert not may_mail(lately, b"me", now)
    assert not may_mail([Mailed(now, bytes([n])) for n in range(MAILS_DAY_MAX)], b"you", now)
