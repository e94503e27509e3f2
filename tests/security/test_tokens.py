"""Signing and verifying what this server and its devices make themselves."""

import pytest
from jwt.api_jws import PyJWS

from tallystick.security import keys, tokens
from tallystick.security.tokens import TokenReason, TokenRefused

NOW_S = 1_800_000_000
KEY = keys.generate_signing_key()
KEYS = {KEY.kid: KEY.verify_key}
PROFILE = tokens.access_profile(issuer="https://points.example", audience="tallystick")
ASSERTION = tokens.assertion_profile(issuer="https://points.example")


def access_token(
    *, now_s: int = NOW_S, lifetime_s: int = 300, store_id: str = "", device_id: str = ""
) -> str:
    return tokens.sign_access_token(
        KEY,
        PROFILE,
        subject="till-1",
        program_id="aurora",
        roles=("TILL", "MANAGER"),
        token_id="token-1",
        now_s=now_s,
        lifetime_s=lifetime_s,
        store_id=store_id,
        device_id=device_id,
    )


def assertion(*, now_s: int = NOW_S) -> str:
    return tokens.sign_client_assertion(KEY, ASSERTION, device_id="till-1", token_id="a-1", now_s=now_s)


def reason_at(token: str, profile: tokens.TokenProfile, now_s: int) -> TokenReason | None:
    try:
        tokens.verify(token, profile, KEYS, now_s)
    except TokenRefused as refused:
        return refused.reason
    return None


def test_a_signed_access_token_gives_its_claims_back() -> None:
    token = access_token(store_id="store-1", device_id="till-1")
    assert tokens.verify(token, PROFILE, KEYS, NOW_S) == tokens.Claims(
        kid=KEY.kid,
        issuer="https://points.example",
        subject="till-1",
        audience="tallystick",
        token_id="token-1",
        issued_at_s=NOW_S,
        expires_at_s=NOW_S + 300,
        usable_until_s=NOW_S + 305,
        program_id="aurora",
        roles=("TILL", "MANAGER"),
        store_id="store-1",
        device_id="till-1",
    )


def test_a_caller_without_store_and_device_has_neither() -> None:
    claims = tokens.verify(access_token(), PROFILE, KEYS, NOW_S)
    assert (claims.store_id, claims.device_id) == ("", "")


def test_an_access_token_is_good_for_five_minutes_and_a_small_skew() -> None:
    token = access_token()
    assert reason_at(token, PROFILE, NOW_S + 304) is None
    assert reason_at(token, PROFILE, NOW_S + 305) is TokenReason.EXPIRED
    assert reason_at(token, PROFILE, NOW_S - 5) is None
    assert reason_at(token, PROFILE, NOW_S - 6) is TokenReason.NOT_YET_VALID


def test_a_client_assertion_is_good_for_a_minute_and_the_skew_of_a_tills_clock() -> None:
    token = assertion()
    assert reason_at(token, ASSERTION, NOW_S + 89) is None
    assert reason_at(token, ASSERTION, NOW_S + 90) is TokenReason.EXPIRED
    assert reason_at(token, ASSERTION, NOW_S - 30) is None
    assert reason_at(token, ASSERTION, NOW_S - 31) is TokenReason.NOT_YET_VALID


def test_the_claims_say_until_when_the_token_is_accepted() -> None:
    claims = tokens.verify(assertion(), ASSERTION, KEYS, NOW_S)
    assert reason_at(assertion(), ASSERTION, claims.usable_until_s - 1) is None
    assert reason_at(assertion(), ASSERTION, claims.usable_until_s) is TokenReason.EXPIRED


def test_the_key_name_can_be_read_before_the_key_is_fetched() -> None:
    assert tokens.unverified_kid(assertion(), ASSERTION) == KEY.kid
    with pytest.raises(TokenRefused) as refused:
        tokens.unverified_kid(assertion(), PROFILE)
    assert refused.value.reason is TokenReason.TYPE


@pytest.mark.parametrize("kid", ["../../etc/passwd", "k\n", "", "k' OR 1=1", "A" * 65, "\u212a"])
def test_only_a_plain_key_name_reaches_the_one_who_fetches_keys(kid: str) -> None:
    odd_key = keys.SigningKey(kid, KEY.private_key)
    token = tokens.sign_client_assertion(odd_key, ASSERTION, device_id="till-1", token_id="a-1", now_s=NOW_S)
    with pytest.raises(TokenRefused) as refused:
        tokens.unverified_kid(token, ASSERTION)
    assert refused.value.reason is TokenReason.KEY_UNKNOWN


def test_a_lifetime_beyond_the_profile_is_a_programmers_error() -> None:
    with pytest.raises(AssertionError):
        access_token(lifetime_s=301)
    with pytest.raises(AssertionError):
        access_token(lifetime_s=0)


def test_token_ids_differ() -> None:
    assert len({tokens.new_token_id() for _ in range(1000)}) == 1000


def test_a_plain_library_reads_our_tokens_and_our_header_has_three_keys() -> None:
    complete = PyJWS().decode_complete(access_token(), KEY.private_key.public_key(), algorithms=["ES256"])
    assert complete["header"] == {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}
