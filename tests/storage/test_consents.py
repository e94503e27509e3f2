"""Consents, recommendations and the spend lock, the same in every store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pytest

from tallystick.core.ids import Ms
from tallystick.core.state import MemberStatus
from tallystick.service import consent_ports
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose, SaidConsent
from tallystick.service.errors import NotFound
from tallystick.service.referral_ports import Referral
from tallystick.storage import Store, consents, memory_consents
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, SetClock, member, member_id, program

OFFERS, REMINDERS = ConsentPurpose.OFFERS, ConsentPurpose.REMINDERS
EMAIL, SMS = ConsentChannel.EMAIL, ConsentChannel.SMS
ANN, BEN, EVE = member_id(1), member_id(2), member_id(3)


@pytest.fixture
def people(store: Store) -> Store:
    for program_id in (PROGRAM, OTHER_PROGRAM):
        store.create_program(program(program_id))
        for number in (1, 2, 3):
            store.enrol(program_id, member(number), [])
    return store


def said(granted: bool, at_ms: int = NOW, purpose: ConsentPurpose = OFFERS) -> SaidConsent:
    return SaidConsent(purpose, EMAIL, granted, Ms(at_ms), 4, "phone")


def status(store: Store) -> tuple[MemberStatus, MemberStatus, bool]:
    """The status of a member and of the account, and what the member wants."""
    found = store.member(PROGRAM, ANN)
    assert found is not None
    return found.status, store.read_accounts(PROGRAM, [ANN])[ANN].status, found.spend_locked


class TestConsents:
    def test_what_was_said_is_kept_in_its_order(self, people: Store) -> None:
        for one in (said(True), said(False, NOW + 1), said(True, NOW + 2, REMINDERS)):
            assert people.add_consent(PROGRAM, ANN, one) == one
        assert people.consents(PROGRAM, ANN) == [
            said(True),
            said(False, NOW + 1),
            said(True, NOW + 2, REMINDERS),
        ]

    def test_saying_the_same_again_adds_nothing_and_answers_the_first(self, people: Store) -> None:
        people.add_consent(PROGRAM, ANN, said(True))
        assert people.add_consent(PROGRAM, ANN, said(True, NOW + 9)) == said(True)
        assert people.add_consent(PROGRAM, ANN, replace(said(True, NOW + 9), channel=SMS)).said_ms == NOW + 9
        assert len(people.consents(PROGRAM, ANN)) == 2

    def test_two_words_of_one_moment_are_both_kept(self, people: Store) -> None:
        people.add_consent(PROGRAM, ANN, said(True))
        people.add_consent(PROGRAM, ANN, said(False))
        assert [one.granted for one in people.consents(PROGRAM, ANN)] == [True, False]

    def test_nothing_is_said_by_another_member_or_in_another_program(self, people: Store) -> None:
        people.add_consent(PROGRAM, ANN, said(True))
        assert people.consents(PROGRAM, BEN) == people.consents(OTHER_PROGRAM, ANN) == []

    def test_nobody_says_anything_for_an_erased_or_unknown_member(self, people: Store) -> None:
        people.erase(PROGRAM, ANN)
        for nobody in (ANN, member_id(9)):
            with pytest.raises(NotFound):
                people.add_consent(PROGRAM, nobody, said(True))

    def test_a_change_of_mind_from_many_sides_at_once_is_one_after_the_other(self, people: Store) -> None:
        words = [said(number % 2 == 0, NOW + number) for number in range(8)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda one: people.add_consent(PROGRAM, ANN, one), words))
        kept = [one.granted for one in people.consents(PROGRAM, ANN)]
        assert kept
        assert all(one is not after for one, after in pairwise(kept))

    def test_behind_a_thousand_words_only_those_are_let_go_that_others_replaced(
        self, people: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (consents, memory_consents, consent_ports):
            monkeypatch.setattr(module, "CONSENTS_KEPT_MAX", 4)
        people.add_consent(PROGRAM, ANN, said(True, NOW, REMINDERS))
        for number in range(1, 8):
            people.add_consent(PROGRAM, ANN, said(number % 2 == 1, NOW + number))
        kept = people.consents(PROGRAM, ANN)
        assert [one.said_ms - NOW for one in kept] == [0, 4, 5, 6, 7]


class TestReferrals:
    def test_a_member_comes_by_one_other_member_and_that_is_noted_once(self, people: Store) -> None:
        first = Referral(ANN, BEN, NOW)
        assert people.add_referral(PROGRAM, first)
        assert not people.add_referral(PROGRAM, Referral(ANN, EVE, NOW))
        assert people.referral(PROGRAM, ANN) == first
        assert people.referral(PROGRAM, BEN) is None
        assert people.referral(OTHER_PROGRAM, ANN) is None

    def test_nobody_comes_by_a_member_who_is_gone(self, people: Store) -> None:
        people.erase(PROGRAM, BEN)
        for referral in (Referral(ANN, BEN, NOW), Referral(BEN, ANN, NOW), Referral(ANN, member_id(9), NOW)):
            assert not people.add_referral(PROGRAM, referral)


def test_erasing_a_member_erases_what_was_said_and_who_knew_whom(people: Store) -> None:
    people.add_consent(PROGRAM, ANN, said(True))
    people.add_consent(PROGRAM, BEN, said(True))
    people.add_referral(PROGRAM, Referral(ANN, BEN, NOW))
    people.add_referral(PROGRAM, Referral(EVE, ANN, NOW))
    people.erase(PROGRAM, ANN)
    assert people.consents(PROGRAM, ANN) == []
    assert people.referral(PROGRAM, ANN) is people.referral(PROGRAM, EVE) is None
    assert people.consents(PROGRAM, BEN) == [said(True)]


class TestSpendLock:
    def test_a_lock_is_the_status_of_member_and_account(self, people: Store) -> None:
        locked = people.set_spend_lock(PROGRAM, ANN, locked=True)
        assert locked == replace(member(1), status=MemberStatus.LOCKED, spend_locked=True)
        assert status(people) == (MemberStatus.LOCKED, MemberStatus.LOCKED, True)
        assert people.set_spend_lock(PROGRAM, ANN, locked=False) == member(1)
        assert status(people) == (MemberStatus.OPEN, MemberStatus.OPEN, False)

    def test_a_block_outweighs_a_lock_and_does_not_forget_it(self, people: Store) -> None:
        people.set_spend_lock(PROGRAM, ANN, locked=True)
        people.set_status(PROGRAM, ANN, MemberStatus.BLOCKED)
        assert status(people) == (MemberStatus.BLOCKED, MemberStatus.BLOCKED, True)
        people.set_status(PROGRAM, ANN, MemberStatus.OPEN)
        assert status(people) == (MemberStatus.LOCKED, MemberStatus.LOCKED, True)

    def test_what_is_locked_and_unlocked_under_a_block_shows_when_that_ends(self, people: Store) -> None:
        people.set_status(PROGRAM, ANN, MemberStatus.BLOCKED)
        for locked, then in ((True, MemberStatus.LOCKED), (False, MemberStatus.OPEN)):
            people.set_status(PROGRAM, ANN, MemberStatus.BLOCKED)
            people.set_spend_lock(PROGRAM, ANN, locked=locked)
            assert status(people) == (MemberStatus.BLOCKED, MemberStatus.BLOCKED, locked)
            people.set_status(PROGRAM, ANN, MemberStatus.OPEN)
            assert status(people) == (then, then, locked)

    def test_tills_hear_of_a_lock_and_not_of_one_that_changes_nothing(
        self, people: Store, clock: SetClock
    ) -> None:
        clock.now = Ms(NOW + 5_000)
        people.set_spend_lock(PROGRAM, ANN, locked=False)
        assert not people.read_changed_members(PROGRAM, since=clock.now, after=None, limit=9)
        people.set_spend_lock(PROGRAM, ANN, locked=True)
        assert people.read_changed_members(PROGRAM, since=clock.now, after=None, limit=9) == [
            (clock.now, ANN)
        ]
        (told,) = people.read_till_members(PROGRAM, [ANN], store_id="store-1")
        assert told.status is MemberStatus.LOCKED

    def test_there_is_no_lock_of_an_erased_or_unknown_member(self, people: Store) -> None:
        people.erase(PROGRAM, ANN)
        for nobody in (ANN, member_id(9)):
            assert people.set_spend_lock(PROGRAM, nobody, locked=True) is None

    def test_an_erased_member_is_erased_whatever_was_locked(self, people: Store) -> None:
        people.set_spend_lock(PROGRAM, ANN, locked=True)
        people.erase(PROGRAM, ANN)
        assert status(people)[:2] == (MemberStatus.ERASED, MemberStatus.ERASED)
