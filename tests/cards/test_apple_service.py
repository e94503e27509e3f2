"""The web service that phones ask for passes."""

from __future__ import annotations

import json
import logging

import pytest

from tallystick.cards.apple import MIME, ApplePasses
from tallystick.cards.apple_service import BODY_BYTES_MAX, AppleService
from tallystick.core.ids import MemberId
from tallystick.service.errors import StoreUnavailable
from tests.cards.bundles import document
from tests.cards.phone import Phone
from tests.service.paper_till import OTHER, SHOP, Shop


@pytest.fixture
def phone(shop: Shop, passes: ApplePasses) -> Phone:
    service = AppleService(shop.gateway.wallets, passes, shop.gateway.pool)
    return Phone(service, SHOP, passes.pass_type)


def given(shop: Shop, passes: ApplePasses, points: int = 0) -> tuple[MemberId, str, str]:
    """A member with a pass: its serial number and its secret."""
    member_id = MemberId(shop.member(points=points))
    shown = document(passes.issue(SHOP, member_id).data)
    return member_id, shown["serialNumber"], shown["authenticationToken"]


def test_a_phone_registers_asks_fetches_and_unregisters(
    shop: Shop, passes: ApplePasses, phone: Phone
) -> None:
    member_id, serial, token = given(shop, passes, points=500)
    assert phone.register(serial, token) == 201
    assert phone.register(serial, token) == 200
    first = phone.fetch(serial, token)
    assert (first.status, first.headers["content-type"]) == (200, MIME)
    assert document(first.body)["authenticationToken"] == token
    shop.burn(member_id, 100)
    shop.gateway.wallets.follow(SHOP)
    told = phone.changed("0")
    assert told.status == 200
    news = json.loads(told.body)
    assert news == {"serialNumbers": [serial], "lastUpdated": "1"}
    second = phone.fetch(serial, token, since=first.headers["last-modified"])
    assert document(second.body)["storeCard"]["primaryFields"][0]["value"] == 400
    assert phone.fetch(serial, token, since=second.headers["last-modified"]).status == 304
    assert phone.changed(news["lastUpdated"]).status == 204
    assert phone.unregister(serial, token) == 200
    assert phone.unregister(serial, token) == 200
    assert phone.changed().status == 204


def test_two_changes_within_a_second_are_both_fetched(shop: Shop, passes: ApplePasses, phone: Phone) -> None:
    """A service that compares times to the second would answer 304 to the second one."""
    member_id, serial, token = given(shop, passes, points=500)
    phone.register(serial, token)
    since, tag = phone.fetch(serial, token).headers["last-modified"], "0"
    for left in (400, 300, 200):
        shop.burn(member_id, 100)
        shop.gateway.wallets.follow(SHOP)
        news = json.loads(phone.changed(tag).body)
        assert news["serialNumbers"] == [serial]
        tag = news["lastUpdated"]
        answer = phone.fetch(serial, token, since=since)
        assert document(answer.body)["storeCard"]["primaryFields"][0]["value"] == left
        since = answer.headers["last-modified"]


def test_the_secret_of_another_pass_opens_nothing(shop: Shop, passes: ApplePasses, phone: Phone) -> None:
    _, serial, token = given(shop, passes)
    _, _, other = given(shop, passes)
    for wrong in (other, "", token[:-1], token + "x", "x" * 5_000):
        assert phone.register(serial, wrong) == 401
        assert phone.unregister(serial, wrong) == 401
        assert phone.fetch(serial, wrong).status == 401
    assert phone.fetch("f" * 32, token).status == 401
    assert phone.fetch("..", token).status == 401
    assert shop.store.registrations(SHOP, serial) == []
    assert phone.fetch(serial, token).status == 200


def test_a_secret_counts_in_its_own_program_and_for_its_own_pass_type_only(
    shop: Shop, passes: ApplePasses, phone: Phone
) -> None:
    _, serial, token = given(shop, passes)
    elsewhere = Phone(phone.service, OTHER, passes.pass_type)
    other_type = Phone(phone.service, SHOP, "pass.somebody.else")
    for wrong in (elsewhere, other_type):
        assert wrong.register(serial, token) == 401
        assert wrong.fetch(serial, token).status == 401
        assert wrong.changed().status == 204


def test_another_scheme_than_apples_is_refused(shop: Shop, passes: ApplePasses, phone: Phone) -> None:
    _, serial, token = given(shop, passes)
    for scheme in (f"Bearer {token}", token, f"applepass {token}"):
        path = f"passes/{passes.pass_type}/{serial}"
        assert phone.call("GET", path, authorization=scheme).status == 401


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"pushToken": 7}', b'{"pushToken": "../x"}', b'{"pushToken": "%s"}' % (b"a" * 300)],
)
def test_a_push_token_that_is_none_is_refused(
    body: bytes, shop: Shop, passes: ApplePasses, phone: Phone
) -> None:
    _, serial, token = given(shop, passes)
    path = f"devices/{phone.device}/registrations/{passes.pass_type}/{serial}"
    assert phone.call("POST", path, token=token, body=body).status == 400
    assert shop.store.registrations(SHOP, serial) == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 404),
        ("GET", "nothing", 404),
        ("GET", "passes/a/b/c", 404),
        ("GET", "log", 405),
        ("PUT", "passes/t/s", 405),
        ("POST", "devices/d/registrations/t", 405),
        ("GET", "devices/d/registrations/t/s", 405),
        ("POST", "log", 400),
    ],
)
def test_what_is_no_call_is_refused(method: str, path: str, status: int, phone: Phone) -> None:
    assert phone.call(method, path).status == status


@pytest.mark.parametrize(
    "path", ["/wallet/apple/", "/wallet/apple/shop", "/wallet/apple/SHOP'/v1/log", "/wallet/apple/x/v2/log"]
)
def test_a_path_of_no_program_is_refused(path: str, phone: Phone) -> None:
    assert phone.raw("POST", path, "", "", b"{}", {}).status == 404


def test_a_body_that_is_too_long_is_refused(phone: Phone) -> None:
    assert phone.call("POST", "log", body=b" " * (BODY_BYTES_MAX + 1)).status == 413


@pytest.mark.parametrize("tag", ["x", "-5", "9" * 30, "%00", "1.5"])
def test_a_tag_that_is_none_of_ours_names_all_passes(
    tag: str, shop: Shop, passes: ApplePasses, phone: Phone
) -> None:
    _, serial, token = given(shop, passes)
    phone.register(serial, token)
    assert json.loads(phone.changed(tag).body)["serialNumbers"] == [serial]


@pytest.mark.parametrize("since", ["yesterday", "", "Thu, 99 Foo 2026 00:00:00 GMT"])
def test_a_date_that_is_none_is_no_reason_to_keep_a_pass_back(
    since: str, shop: Shop, passes: ApplePasses, phone: Phone
) -> None:
    _, serial, token = given(shop, passes)
    assert (
        phone.call("GET", f"passes/{passes.pass_type}/{serial}", token=token, if_modified_since=since).status
        == 200
    )


def test_no_secret_is_ever_logged(
    shop: Shop,
    passes: ApplePasses,
    phone: Phone,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    _, serial, token = given(shop, passes)
    phone.register(serial, token)
    phone.fetch(serial, token)
    phone.fetch(serial, token + "x")
    reported = (
        f"[2026] Get pass task (serial {serial}) failed, token {token}, push {phone.push_token}\n\x1b[31m"
    )
    assert phone.call("POST", "log", body=json.dumps({"logs": [reported]}).encode()).status == 200

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable(f"no {token}")

    monkeypatch.setattr(shop.store, "wallet_pass", away)
    assert phone.fetch(serial, token).status == 503
    logged = "\n".join(str(vars(record)) for record in caplog.records)
    assert "a phone reports" in logged
    assert "Get pass task" in logged
    for secret in (serial, token, phone.push_token, "\x1b"):
        assert secret not in logged


def test_reports_are_written_down_a_few_a_second(phone: Phone, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    body = json.dumps({"logs": ["x" * 10_000, *["again"] * 500]}).encode()
    phone.call("POST", "log", body=body)
    lines = [vars(record)["line"] for record in caplog.records if record.message == "a phone reports"]
    assert 1 <= len(lines) <= 20
    assert max(map(len, lines)) <= 200
