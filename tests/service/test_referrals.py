"""Recommendations: by whose code a member came, noted once, and for nobody but the newly joined."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.core.ids import MemberId
from tallystick.service.referrals import CODES_TRIED_MAX, NEW_FOR_MS, referral_code
from tests.service.paper_till import SHOP, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.close()


def joined(shop: Shop) -> MemberId:
    """A member who joins a minute after the one before."""
    shop.wait(60_000)
    return MemberId(shop.member())


def code_of(shop: Shop, member_id: MemberId) -> str:
    return shop.gateway.referrals.code_of(SHOP, member_id)


def note(shop: Shop, member_id: MemberId, code: str) -> bool:
    return shop.gateway.referrals.note(SHOP, member_id, code)


def referrer(shop: Shop, member_id: MemberId) -> str:
    found = shop.gateway.store.referral(SHOP, member_id)
    return found.referrer_id if found else ""


def test_a_new_member_came_by_the_code_that_was_given(shop: Shop) -> None:
    ann, ben = joined(shop), joined(shop)
    assert note(shop, ben, code_of(shop, ann))
    assert referrer(shop, ben) == ann


def test_a_code_may_be_typed_as_people_type(shop: Shop) -> None:
    ann, ben = joined(shop), joined(shop)
    code = code_of(shop, ann)
    typed = " ".join([code[:4], code[4:8] + "-" + code[8:]]).lower().replace("0", "o").replace("1", "l")
    assert note(shop, ben, typed)


@pytest.mark.parametrize("code", ["", "0" * 12, "x" * 32, "…", "0" * 1_000_000])
def test_a_code_that_nobody_has_notes_nothing(shop: Shop, code: str) -> None:
    assert not note(shop, joined(shop), code)


def test_nobody_recommends_oneself_and_no_two_each_other(shop: Shop) -> None:
    ann, ben = joined(shop), joined(shop)
    assert not note(shop, ann, code_of(shop, ann))
    assert note(shop, ben, code_of(shop, ann))
    assert not note(shop, ann, code_of(shop, ben))


def test_who_joined_at_the_same_moment_recommends_nobody(shop: Shop) -> None:
    ann, ben = MemberId(shop.member()), MemberId(shop.member())
    assert not note(shop, ben, code_of(shop, ann))


def test_only_the_newly_joined_say_by_whom_they_came(shop: Shop) -> None:
    ann, ben = joined(shop), joined(shop)
    shop.wait(NEW_FOR_MS + 1)
    assert not note(shop, ben, code_of(shop, ann))


def test_the_first_word_stands(shop: Shop) -> None:
    ann, ben, eve = joined(shop), joined(shop), joined(shop)
    assert note(shop, eve, code_of(shop, ann))
    assert not note(shop, eve, code_of(shop, ben))
    assert referrer(shop, eve) == ann


def test_the_code_of_a_member_who_is_gone_leads_nowhere(shop: Shop) -> None:
    ann = joined(shop)
    code = code_of(shop, ann)
    shop.gateway.members.erase(SHOP, ann)
    assert not note(shop, joined(shop), code)


def test_a_code_leads_nowhere_before_it_was_given_out(shop: Shop) -> None:
    ann, ben = joined(shop), joined(shop)
    key = shop.gateway.keys().blind_index_key
    unseen = referral_code(key, program_id=SHOP, member_id=ann, attempt=0)
    assert not note(shop, ben, unseen)
    assert code_of(shop, ann) == unseen
    assert note(shop, ben, unseen)


def test_two_members_never_have_one_code(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the first code of each were the same one."""

    def drawn(_key: bytes, *, program_id: str, member_id: str, attempt: int) -> str:
        assert program_id == SHOP
        return "0" * 12 if attempt == 0 else member_id[:8].upper() + str(attempt)

    monkeypatch.setattr("tallystick.service.referrals.referral_code", drawn)
    ann, ben = joined(shop), joined(shop)
    first, second = code_of(shop, ann), code_of(shop, ben)
    assert (first, second == first) == ("0" * 12, False)
    assert [code_of(shop, ann), code_of(shop, ben)] == [first, second]
    assert CODES_TRIED_MAX > 1
