"""Webhooks: what the package of the standard's authors signs is taken, and nothing else."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from tallystick_webshop import BadRequest, webhooks
from tallystick_webshop.webhooks import SeenIds, WebhookRefused, verify

NOW_S = 1_790_000_000
BODY = json.dumps(
    {"type": "entry.posted", "timestamp": "2026-09-21T13:33:20Z", "data": {"member_id": "m", "points": 27}}
).encode()
SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
PRIVATE = Ed25519PrivateKey.generate()
PUBLIC = "whpk_" + base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()


def signed(
    body: bytes = BODY, *, secret: str = SECRET, sent_s: int = NOW_S, message_id: str = "msg_1"
) -> dict[str, str]:
    """Headers as the foreign package makes them."""
    at = datetime.fromtimestamp(sent_s, UTC)
    return {
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(sent_s),
        "Webhook-Signature": Webhook(secret).sign(message_id, at, body.decode()),
    }


def signed_by_key(private: Ed25519PrivateKey = PRIVATE, body: bytes = BODY) -> dict[str, str]:
    signature = private.sign(b"msg_1." + str(NOW_S).encode() + b"." + body)
    text = "v1a," + base64.b64encode(signature).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": str(NOW_S), "webhook-signature": text}


def read(headers: dict[str, str], body: bytes = BODY, *keys: str, **more: Any) -> webhooks.Event:
    return verify(headers, body, keys or (SECRET, PUBLIC), now_s=lambda: NOW_S, **more)


def refused(headers: dict[str, str], body: bytes = BODY, *keys: str, **more: Any) -> str:
    with pytest.raises(WebhookRefused) as raised:
        read(headers, body, *keys, **more)
    return raised.value.reason


@pytest.mark.parametrize("headers", [signed(), signed_by_key()], ids=["hmac", "ed25519"])
def test_what_the_gateways_key_signed_is_taken(headers: dict[str, str]) -> None:
    event = read(headers)
    assert (event.message_id, event.type, event.occurred_at) == (
        "msg_1",
        "entry.posted",
        "2026-09-21T13:33:20Z",
    )
    assert event.data == {"member_id": "m", "points": 27}


@pytest.mark.parametrize("headers", [signed(), signed_by_key()], ids=["hmac", "ed25519"])
def test_a_body_that_was_changed_on_the_way_is_refused(headers: dict[str, str]) -> None:
    assert refused(headers, BODY.replace(b"27", b"72")) == "SIGNATURE"
    assert refused(headers, BODY + b" ") == "SIGNATURE"


@pytest.mark.parametrize("header", ["Webhook-Id", "Webhook-Timestamp"])
def test_an_id_or_a_time_that_was_changed_is_refused(header: str) -> None:
    headers = signed()
    headers[header] = headers[header][:-1] + "9"
    assert refused(headers) == "SIGNATURE"


def test_what_a_stranger_signed_is_refused() -> None:
    stranger = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    assert refused(signed(secret=stranger)) == "SIGNATURE"
    assert refused(signed_by_key(Ed25519PrivateKey.generate())) == "SIGNATURE"


def test_a_signature_of_one_kind_does_not_count_for_a_key_of_the_other() -> None:
    assert refused(signed(), BODY, PUBLIC) == "SIGNATURE"
    assert refused(signed_by_key(), BODY, SECRET) == "SIGNATURE"


def test_a_public_key_cannot_be_passed_off_as_a_secret() -> None:
    """Whoever knows the public key could otherwise sign with it."""
    as_secret = "whsec_" + PUBLIC.removeprefix("whpk_")
    assert refused(signed(secret=as_secret), BODY, PUBLIC) == "SIGNATURE"


def test_while_a_key_is_changed_either_of_the_two_is_taken() -> None:
    old = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    both = signed() | {
        "Webhook-Signature": f"{signed(secret=old)['Webhook-Signature']} {signed()['Webhook-Signature']}"
    }
    assert read(both, BODY, old) == read(both, BODY, SECRET) == read(signed(), BODY, old, SECRET)


@pytest.mark.parametrize(("sent_s", "taken"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_a_message_counts_for_five_minutes_before_and_after(sent_s: int, taken: bool) -> None:
    headers = signed(sent_s=NOW_S + sent_s)
    if taken:
        assert read(headers).type == "entry.posted"
    else:
        assert refused(headers) == "TIME"


def test_a_message_that_comes_again_is_acted_on_once() -> None:
    seen = SeenIds()
    read(signed(), first_time=seen)
    assert refused(signed(), first_time=seen) == "REPLAYED"
    assert read(signed(message_id="msg_2"), first_time=seen).message_id == "msg_2"


def test_a_forged_message_does_not_use_up_the_id_of_the_real_one() -> None:
    seen = SeenIds()
    assert refused(signed(), BODY + b" ", first_time=seen) == "SIGNATURE"
    assert read(signed(), first_time=seen).message_id == "msg_1"


def test_the_memory_of_ids_has_an_end_and_forgets_the_oldest_first() -> None:
    seen = SeenIds(2)
    assert [seen(name) for name in ("a", "b", "b", "c", "b", "a")] == [True, True, False, True, False, True]


@pytest.mark.parametrize("missing", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
def test_without_one_of_the_headers_nothing_is_taken(missing: str) -> None:
    headers = signed()
    del headers[missing]
    assert refused(headers) == "HEADERS"


@pytest.mark.parametrize("sent", ["-1", "1e9", "٣", "9" * 13, "1790000000.5"])
def test_a_time_that_is_not_in_seconds_is_refused(sent: str) -> None:
    assert refused(signed() | {"Webhook-Timestamp": sent}) == "HEADERS"


@pytest.mark.parametrize("text", ["v1,", "v1,%%%", "v1", "v2,AAAA", "v1a,AAAA", ",", " "])
def test_a_signature_that_is_none_is_refused(text: str) -> None:
    assert refused(signed() | {"Webhook-Signature": text}) == "SIGNATURE"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b'{"type":1,"timestamp":"t","data":{}}', b"[" * 9999]
)
def test_signed_bytes_that_are_no_event_are_refused(body: bytes) -> None:
    assert refused(signed(body), body) == "BODY"


@pytest.mark.parametrize("key", ["", "whsec_", "whsec_AAAA", "whpk_AAAA", "AAAA", "whsec_%%%"])
def test_a_key_that_is_none_is_named_without_being_repeated(key: str) -> None:
    with pytest.raises(BadRequest, match="begins with whsec_ or whpk_") as raised:
        read(signed(), BODY, SECRET, key)
    assert "%%%" not in str(raised.value)


def test_at_least_one_key_is_needed() -> None:
    with pytest.raises(BadRequest, match="0 webhook keys"):
        verify(signed(), BODY, [])
