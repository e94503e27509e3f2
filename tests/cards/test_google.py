"""Passes for Google Wallet, against a stand-in that understands what Google's own description of the API says."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image

from tallystick.cards.apple_pass import Look
from tallystick.cards.delivery import Delivery
from tallystick.cards.google import SAVE_URL, GooglePasses, Logo
from tallystick.cards.google_api import GoogleApi, GoogleAway, GoogleRefused, ServiceAccount, load_account
from tallystick.cards.google_objects import loyalty_class, loyalty_object
from tallystick.cards.refused import PassRefused
from tallystick.core.basket import Assurance
from tallystick.core.ids import MemberId, Ms
from tallystick.security.code import scanned_code
from tallystick.security.totp import totp
from tallystick.service.codes import CodeScan
from tallystick.service.wallets import MemberCode, SignedCodes
from tests.cards.conftest import NumberCodes
from tests.cards.discovery import faults
from tests.cards.google_service import GoogleService, served
from tests.service.paper_till import SHOP, Shop

ISSUER = "3388000000022"
PUBLIC_URL = "https://points.example.org"
LOOK = Look(organization="Nordvik")
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def google() -> Iterator[GoogleService]:
    with served(GoogleService(KEY.public_key())) as running:
        yield running


@pytest.fixture
def passes(shop: Shop, google: GoogleService) -> GooglePasses:
    account = ServiceAccount("passes@nordvik.test", "key-1", f"{google.url}/token", KEY)
    api = GoogleApi(account, url=google.url, now_s=lambda: shop.now_ms // 1000)
    return GooglePasses(
        shop.gateway.wallets,
        api,
        account,
        NumberCodes(),
        issuer_id=ISSUER,
        look=LOOK,
        public_url=PUBLIC_URL,
        now_ms=lambda: Ms(shop.now_ms),
    )


@pytest.fixture
def delivery(shop: Shop, passes: GooglePasses) -> Delivery:
    return Delivery(
        shop.gateway.store, shop.gateway.wallets, apple=None, google=passes, now_ms=lambda: Ms(shop.now_ms)
    )


def issued(shop: Shop, passes: GooglePasses, points: int = 900) -> tuple[MemberId, str, dict[str, Any]]:
    """A member with a pass: the id of its object, and what the link says."""
    member_id = MemberId(shop.member(points=points))
    shop.now_ms += 60_000
    link = passes.issue(SHOP, member_id)
    claims = jwt.decode(
        link.removeprefix(SAVE_URL),
        KEY.public_key(),
        ["RS256"],
        audience="google",
        options={"verify_iat": False},
    )
    return member_id, claims["payload"]["loyaltyObjects"][0]["id"], claims


def test_the_link_names_the_object_and_holds_nothing_of_it(
    shop: Shop, passes: GooglePasses, google: GoogleService
) -> None:
    member_id, name, claims = issued(shop, passes)
    assert claims == {
        "iss": "passes@nordvik.test",
        "aud": "google",
        "typ": "savetowallet",
        "iat": shop.now_ms // 1000,
        "origins": [PUBLIC_URL],
        "payload": {"loyaltyObjects": [{"id": name}]},
    }
    number = shop.gateway.members.get(SHOP, member_id).number
    stored = google.stored[name]
    assert (stored["accountId"], stored["classId"], stored["state"]) == (number, f"{ISSUER}.{SHOP}", "ACTIVE")
    assert stored["loyaltyPoints"]["balance"] == {"int": 900}
    assert stored["rotatingBarcode"]["valuePattern"] == number + "{totp_timestamp_seconds}{totp_value_0}"
    assert stored["rotatingBarcode"]["alternateText"] == number
    assert "barcode" not in {name for name, value in stored.items() if value is not None}
    assert google.stored[f"{ISSUER}.{SHOP}"]["programLogo"]["sourceUri"]["uri"].startswith(PUBLIC_URL)


def test_what_a_phone_shows_of_a_pass_is_what_the_gateway_takes(
    shop: Shop, passes: GooglePasses, google: GoogleService
) -> None:
    """A phone knows the object alone: its pattern, its key, and the time."""
    passes._codes = SignedCodes(shop.gateway.codes)
    _, name, _ = issued(shop, passes)
    shown = google.stored[name]["rotatingBarcode"]
    at_s = shop.now_ms // 1000 // 30 * 30
    password = totp(bytes.fromhex(shown["totpDetails"]["parameters"][0]["key"]), at_s)
    text = shown["valuePattern"].replace("{totp_timestamp_seconds}", str(at_s))
    scanned = scanned_code(text.replace("{totp_value_0}", password))
    assert scanned is not None
    read = shop.gateway.codes.read(SHOP, scanned)
    assert isinstance(read, CodeScan)
    assert read.assurance is Assurance.ROTATING_CODE


def test_a_member_has_one_pass_whatever_number_of_links(
    shop: Shop, passes: GooglePasses, google: GoogleService
) -> None:
    member_id, name, _ = issued(shop, passes)
    shop.burn(member_id, 100)
    assert jwt.decode(
        passes.issue(SHOP, member_id).removeprefix(SAVE_URL), options={"verify_signature": False}
    )["payload"] == {"loyaltyObjects": [{"id": name}]}
    assert len(shop.gateway.wallets.passes_of(SHOP, member_id)) == 1
    assert google.stored[name]["loyaltyPoints"]["balance"] == {"int": 800}


def test_a_google_that_is_away_is_tried_once_a_step(
    shop: Shop, passes: GooglePasses, google: GoogleService, delivery: Delivery
) -> None:
    members = [issued(shop, passes)[0] for _ in range(3)]
    delivery.step()
    for member_id in members:
        shop.burn(member_id, 100)
    google.say = 503
    google.calls.clear()
    assert delivery.step() == 0
    assert len(google.calls) == 1
    google.say = 0
    shop.now_ms += 2_000
    assert delivery.step() == 3


def test_a_delivery_that_is_to_end_begins_no_further_one(
    shop: Shop, passes: GooglePasses, google: GoogleService, delivery: Delivery
) -> None:
    member_id, _, _ = issued(shop, passes)
    shop.burn(member_id, 100)
    google.calls.clear()
    delivery.close()
    assert delivery.step() == 0
    assert google.calls == []


def test_a_burn_changes_the_object_once(
    shop: Shop, passes: GooglePasses, google: GoogleService, delivery: Delivery
) -> None:
    member_id, name, _ = issued(shop, passes)
    google.calls.clear()
    shop.burn(member_id, 100)
    assert delivery.step() == 1
    assert delivery.step() == 0
    ((method, path, document),) = google.calls
    assert (method, path) == ("PATCH", f"/walletobjects/v1/loyaltyObject/{name}")
    assert document["loyaltyPoints"]["balance"] == {"int": 800}


def test_a_phone_speaks_of_three_changes_a_day_and_shows_the_others(
    shop: Shop, passes: GooglePasses, google: GoogleService, delivery: Delivery
) -> None:
    member_id, name, _ = issued(shop, passes)
    google.calls.clear()
    for left in range(800, 300, -100):
        shop.burn(member_id, 100)
        delivery.step()
        assert google.stored[name]["loyaltyPoints"]["balance"] == {"int": left}
    assert ["notifyPreference" in document for _, _, document in google.calls] == [
        True,
        True,
        True,
        False,
        False,
    ]
    shop.now_ms += 86_400_000
    shop.burn(member_id, 100)
    delivery.step()
    assert google.calls[-1][2]["notifyPreference"] == "NOTIFY_ON_UPDATE"


def test_a_blocked_member_has_an_inactive_object_that_shows_nothing(
    shop: Shop, passes: GooglePasses, google: GoogleService, delivery: Delivery
) -> None:
    member_id, name, _ = issued(shop, passes)
    shop.gateway.members.set_blocked(SHOP, member_id, blocked=True)
    delivery.step()
    stored = google.stored[name]
    assert stored["state"] == "INACTIVE"
    assert (stored["loyaltyPoints"], stored["barcode"], stored["textModulesData"]) == (None, None, None)


def test_one_token_serves_many_calls_until_it_ends(
    shop: Shop, passes: GooglePasses, google: GoogleService
) -> None:
    issued(shop, passes)
    issued(shop, passes)
    assert google.tokens == 1
    shop.now_ms += 3_600_000
    issued(shop, passes)
    assert google.tokens == 2


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_what_google_cannot_take_now_is_sent_later(
    status: int, shop: Shop, passes: GooglePasses, google: GoogleService, delivery: Delivery
) -> None:
    member_id, name, _ = issued(shop, passes)
    shop.burn(member_id, 100)
    google.say = status
    assert delivery.step() == 0
    google.say = 0
    shop.now_ms += 2_000
    assert delivery.step() == 1
    assert google.stored[name]["loyaltyPoints"]["balance"] == {"int": 800}


def test_a_refusal_is_said_loudly_without_what_was_sent(
    shop: Shop,
    passes: GooglePasses,
    google: GoogleService,
    delivery: Delivery,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    member_id, name, _ = issued(shop, passes)
    shop.burn(member_id, 100)
    google.say = 403
    assert delivery.step() == 0
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert vars(record)["reason"] == "403 ASKED_FOR"
    assert name not in str(vars(record))


def test_without_google_its_passes_wait(shop: Shop, passes: GooglePasses, delivery: Delivery) -> None:
    member_id, _, _ = issued(shop, passes)
    shop.burn(member_id, 100)
    alone = Delivery(shop.gateway.store, shop.gateway.wallets, apple=None, now_ms=lambda: Ms(shop.now_ms))
    assert alone.step() == 0
    shop.now_ms += 3_600_000
    assert delivery.step() == 1


def test_a_member_of_whom_no_pass_could_be_made_has_none(
    shop: Shop, passes: GooglePasses, google: GoogleService
) -> None:
    member_id = MemberId(shop.member())
    google.say = 400
    with pytest.raises(GoogleRefused, match="400 ASKED_FOR"):
        passes.issue(SHOP, member_id)
    assert shop.gateway.wallets.passes_of(SHOP, member_id) == []


def test_a_google_that_is_not_there_is_away(shop: Shop) -> None:
    account = ServiceAccount("a@b.test", "key-1", "http://127.0.0.1:1/token", KEY)
    with pytest.raises(GoogleAway, match="cannot be reached"):
        GoogleApi(account, url="http://127.0.0.1:1").put("loyaltyClass", {"id": "1.a"})


def shown(shop: Shop, code: MemberCode | None, points: int = 900) -> dict[str, Any]:
    card = shop.gateway.wallets.card(SHOP, MemberId(shop.member(points=points)))
    return loyalty_object(ISSUER, "ab" * 16, card, code, notify=True)


def test_a_code_that_rotates_carries_the_key_and_the_pattern_for_it(shop: Shop) -> None:
    document = shown(shop, MemberCode("123", totp_key=b"\x01\xff"))
    assert "123" not in json.dumps(document.get("barcode"))
    assert document["rotatingBarcode"]["valuePattern"] == "123{totp_timestamp_seconds}{totp_value_0}"
    assert document["rotatingBarcode"]["totpDetails"] == {
        "algorithm": "TOTP_SHA1",
        "periodMillis": "30000",
        "parameters": [{"key": "01ff", "valueLength": 8}],
    }


def test_what_is_sent_is_what_googles_description_of_the_api_knows(shop: Shop) -> None:
    kind = loyalty_class(ISSUER, SHOP, "Shop", LOOK, public_url=PUBLIC_URL)
    assert faults("LoyaltyClass", kind) == []
    for code in (None, MemberCode("123"), MemberCode("123", totp_key=b"k" * 20)):
        assert faults("LoyaltyObject", shown(shop, code)) == []
    assert faults("LoyaltyObject", shown(shop, MemberCode("1"), points=2**31)) == []


def misspelt(document: dict[str, Any]) -> None:
    document["loyaltyPoint"] = document.pop("loyaltyPoints")


def unknown_state(document: dict[str, Any]) -> None:
    document["state"] = "VALID"


def words_for_a_number(document: dict[str, Any]) -> None:
    document["loyaltyPoints"]["balance"]["int"] = "900"


def too_large_a_number(document: dict[str, Any]) -> None:
    document["loyaltyPoints"]["balance"]["int"] = 2**31


def a_number_for_words(document: dict[str, Any]) -> None:
    document["rotatingBarcode"]["totpDetails"]["periodMillis"] = 30_000


def another_algorithm(document: dict[str, Any]) -> None:
    document["rotatingBarcode"]["totpDetails"]["algorithm"] = "TOTP_SHA256"


def no_list(document: dict[str, Any]) -> None:
    document["rotatingBarcode"]["totpDetails"]["parameters"] = {"key": "01"}


def misspelt_inside_a_list(document: dict[str, Any]) -> None:
    document["rotatingBarcode"]["totpDetails"]["parameters"][0]["length"] = 8


@pytest.mark.parametrize(
    "plant",
    [
        misspelt,
        unknown_state,
        words_for_a_number,
        too_large_a_number,
        a_number_for_words,
        another_algorithm,
        no_list,
        misspelt_inside_a_list,
    ],
)
def test_a_planted_error_is_found(plant: Callable[[dict[str, Any]], None], shop: Shop) -> None:
    document = shown(shop, MemberCode("123", totp_key=b"k"))
    wrong = copy.deepcopy(document)
    plant(wrong)
    assert faults("LoyaltyObject", document) == []
    assert len(faults("LoyaltyObject", wrong)) >= 1


@pytest.mark.parametrize(
    ("at_s", "password"),
    [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ],
)
def test_passwords_are_those_of_rfc_6238(at_s: int, password: str) -> None:
    """RFC 6238, appendix B, SHA-1."""
    assert totp(b"12345678901234567890", at_s) == password


def account_file(folder: Path, **more: object) -> Path:
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    plain = {"client_email": "a@b.test", "private_key_id": "1", "private_key": key, "token_uri": "https://t/"}
    file = folder / "account.json"
    file.write_text(json.dumps({**plain, **more}))
    file.chmod(0o600)
    return file


def test_a_key_file_is_read_and_one_that_is_none_refused(tmp_path: Path) -> None:
    account = load_account(account_file(tmp_path))
    assert (account.email, account.key_id, account.token_uri) == ("a@b.test", "1", "https://t/")
    assert "PRIVATE" not in repr(account)
    with pytest.raises(PassRefused, match="no key file"):
        load_account(account_file(tmp_path, private_key="none"))
    with pytest.raises(PassRefused, match="cannot be read"):
        load_account(tmp_path / "missing.json")
    open_to_all = account_file(tmp_path)
    open_to_all.chmod(0o644)
    with pytest.raises(PassRefused, match="chmod 600"):
        load_account(open_to_all)


def test_the_logo_that_a_class_names_is_served_as_large_as_google_asks(shop: Shop) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Logo(LOOK, shop.gateway.pool)({"method": "GET"}, None, send))
    assert sent[0]["status"] == 200
    with Image.open(io.BytesIO(sent[1]["body"])) as image:
        assert (image.format, image.size) == ("PNG", (660, 660))
