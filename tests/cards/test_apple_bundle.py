"""What is in a pass for Apple Wallet."""

from __future__ import annotations

import io
import json
import re

from PIL import Image

from tallystick.cards import words
from tallystick.cards.apple import ApplePasses
from tallystick.cards.images import tally_png
from tallystick.core.ids import MemberId
from tests.cards.bundles import document, unpacked
from tests.cards.conftest import BASE_URL
from tests.service.paper_till import SHOP, Shop

SIZES = {"icon": (29, 29), "logo": (50, 50)}


def test_a_pass_shows_points_what_they_are_worth_and_the_code(shop: Shop, passes: ApplePasses) -> None:
    member_id = MemberId(shop.member(points=250))
    number = shop.gateway.members.get(SHOP, member_id).number
    bundle = passes.issue(SHOP, member_id)
    shown = document(bundle.data)
    assert shown["storeCard"]["primaryFields"][0]["value"] == 250
    (barcode,) = shown["barcodes"]
    assert (barcode["format"], barcode["message"], barcode["altText"]) == (
        "PKBarcodeFormatQR",
        number,
        number,
    )
    assert shown["serialNumber"] == bundle.found.serial
    assert shown["webServiceURL"] == f"{BASE_URL}/wallet/apple/{SHOP}"
    assert (shown["organizationName"], shown["sharingProhibited"]) == ("Nordvik", True)
    assert "voided" not in shown


def test_the_secret_of_a_pass_is_kept_as_a_hash_only(shop: Shop, passes: ApplePasses) -> None:
    bundle = passes.issue(SHOP, MemberId(shop.member()))
    token = document(bundle.data)["authenticationToken"]
    assert len(token) == 32
    stored = shop.store.wallet_pass(SHOP, bundle.found.serial)
    assert stored is not None
    assert token.encode() not in stored.token_hash
    assert token not in repr(stored)
    assert shop.gateway.wallets.of_token(SHOP, stored.serial, token) == stored


def test_two_passes_share_neither_serial_nor_secret(shop: Shop, passes: ApplePasses) -> None:
    member_id = MemberId(shop.member())
    one, other = (document(passes.issue(SHOP, member_id).data) for _ in range(2))
    assert one["serialNumber"] != other["serialNumber"]
    assert one["authenticationToken"] != other["authenticationToken"]


def test_the_pass_of_a_blocked_member_is_void_and_shows_nothing(shop: Shop, passes: ApplePasses) -> None:
    member_id = MemberId(shop.member(points=250))
    bundle = passes.issue(SHOP, member_id)
    token = document(bundle.data)["authenticationToken"]
    shop.gateway.members.set_blocked(SHOP, member_id, blocked=True)
    blocked = document(passes.bundle(SHOP, bundle.found, token).data)
    assert blocked["voided"] is True
    assert "barcodes" not in blocked
    # The token and the serial are random digits, in which 250 stands by chance.
    told = {
        name: value for name, value in blocked.items() if name not in ("authenticationToken", "serialNumber")
    }
    assert "250" not in json.dumps(told)
    shop.gateway.members.set_blocked(SHOP, member_id, blocked=False)
    assert "voided" not in document(passes.bundle(SHOP, bundle.found, token).data)


def test_every_language_has_every_word_that_a_pass_uses(shop: Shop, passes: ApplePasses) -> None:
    files = unpacked(passes.issue(SHOP, MemberId(shop.member(points=3))).data)
    assert set(words.LANGUAGES) == {"en", "sv", "pl", "nb", "lv"}
    keys = set(words.LANGUAGES["en"])
    for language, texts in words.LANGUAGES.items():
        held = files[f"{language}.lproj/pass.strings"].decode()
        assert dict(re.findall(r'^"(.+)" = "(.+)";$', held, re.MULTILINE)) == texts
        assert set(texts) == keys
        for key in (words.POINTS_CHANGED, words.TIER_CHANGED):
            assert texts[key].count("%@") == 1
    for field in ("label", "changeMessage"):
        assert set(re.findall(rf'"{field}": "(\w+)"', files["pass.json"].decode())) <= keys


def test_the_pictures_have_the_sizes_that_their_names_say(shop: Shop, passes: ApplePasses) -> None:
    files = unpacked(passes.issue(SHOP, MemberId(shop.member())).data)
    pictures = {name: data for name, data in files.items() if name.endswith(".png")}
    assert len(pictures) == 6
    for name, data in pictures.items():
        stem, _, suffix = name.removesuffix(".png").partition("@")
        scale = int(suffix.removesuffix("x") or 1)
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert (image.format, image.mode) == ("PNG", "RGBA")
            assert image.size == tuple(side * scale for side in SIZES[stem])


def test_a_picture_shows_ink_on_its_ground_and_nothing_around_it_without_one() -> None:
    ink, paper = (255, 255, 255), (26, 71, 56)
    for ground, around in ((paper, (*paper, 255)), (None, (*ink, 0))):
        data = tally_png(60, 60, ink=ink, paper=paper, ground=ground)
        with Image.open(io.BytesIO(data)) as image:
            assert image.getpixel((1, 1)) == around
            assert image.getpixel((24, 15)) == (*ink, 255)
            assert image.getpixel((30, 8)) == around


def test_more_passes_than_the_most_push_the_oldest_out(shop: Shop, passes: ApplePasses) -> None:
    member_id = MemberId(shop.member())
    made = []
    for _ in range(11):
        shop.now_ms += 1
        made.append(passes.issue(SHOP, member_id).found.serial)
    assert [one.serial for one in shop.gateway.wallets.passes_of(SHOP, member_id)] == made[1:]
