"""AppService: what is kept about a member in one document, and by whom the member came."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tallystick.core.ids import MemberId, Ms
from tallystick.security.keys import generate_signing_key
from tallystick.service import member_export
from tallystick.service.enrolment import canonical_jwk
from tallystick.service.sign_in_ports import Passkey
from tallystick.service.wallet_store import Wallet
from tallystick.v1 import app_pb2 as pb
from tallystick.v1 import member_pb2
from tests.rpc.handlers.test_app import ALL_PAIRS, app_of, card_of, exported, lock, say, voucher
from tests.rpc.handlers.world import (
    ADMIN,
    SHOP,
    START_MS,
    Caller,
    World,
    everything_stored,
)


class TestExport:
    def test_all_that_is_kept_is_in_one_document(self, world: World) -> None:
        ann = world.enrol("ann@example.org")
        app = app_of(ann)
        world.send(
            member_pb2.UpdateProfileRequest(member_id=ann, given_name="Ann Ö", phone="+46701740605"), app
        )
        world.sell(ann, 60_000)
        world.sell(ann, 5_000, rewards=("five-off",))
        voucher(world, ann, 100)
        world.send(say(ann, "OFFERS", "EMAIL", True), app)
        world.send(say(ann, "OFFERS", "EMAIL", False), app)
        lock(world, ann)
        told = exported(world, ann)
        assert told["format"] == "tallystick-member/1"
        assert told["exported_at"] == "2026-03-01T12:00:00.000Z"
        assert told["program"]["name"] == "Shop"
        assert told["member"]["number"] == world.number_of(ann)
        assert (told["member"]["status"], told["member"]["spend_locked"]) == ("LOCKED", True)
        assert (told["profile"]["given_name"], told["profile"]["phone"]) == ("Ann Ö", "+46701740605")
        assert {one["kind"] for one in told["identifiers"]} == {"number", "email"}
        assert len(told["consents"]) == ALL_PAIRS
        assert [(one["granted"], one["by"]) for one in told["consent_history"]] == [
            (True, "APP"),
            (False, "APP"),
        ]
        balance = world.balance(ann)
        assert told["balance"]["active_points"] == balance.active
        assert sum(lot["remaining_points"] for lot in told["lots"]) == balance.active
        assert [hold["kind"] for hold in told["holds"]] == ["VOUCHER"]
        assert [entry["kind"] for entry in told["entries"]] == ["VOUCHER", "SALE", "SALE"]
        assert told["entries"][1]["rewards"][0]["reward_id"] == "five-off"
        assert told["entries"][2]["explanations"][0]["rule_id"] == "base"
        assert told["older_entries_left_out"] is False

    def test_the_guide_names_each_key(self, world: World) -> None:
        guide = (Path(__file__).parents[3] / "docs" / "guides" / "card-data.md").read_text()
        named = set(re.findall(r"^\| `([a-z_]+)` \|", guide, re.MULTILINE))
        assert named == exported(world, world.enrol()).keys()

    def test_the_same_data_makes_the_same_bytes(self, world: World) -> None:
        ann = world.enrol("ann@example.org")
        world.sell(ann, 10_000)
        request = pb.ExportMemberRequest(member_id=ann)
        first = world.send(request, app_of(ann)).json
        assert world.send(request, Caller(ADMIN)).json == first
        told = json.loads(first)
        assert first == json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    def test_beyond_the_newest_entries_it_says_that_there_are_more(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(member_export, "ENTRIES_MAX", 4)
        monkeypatch.setattr(member_export, "ENTRIES_PAGE", 2)
        ann = world.enrol()
        for _ in range(5):
            world.sell(ann, 100)
        told = exported(world, ann)
        assert [entry["seq"] for entry in told["entries"]] == [5, 4, 3, 2]
        assert told["older_entries_left_out"] is True

    def test_devices_cards_and_passes_are_in_it(self, world: World) -> None:
        ann = world.enrol()
        jwk = canonical_jwk(generate_signing_key().verify_key)
        world.gateway.codes.register(SHOP, MemberId(ann), jwk, label="My phone")
        world.gateway.wallets.issue(SHOP, MemberId(ann), Wallet.APPLE)
        passkeys = world.gateway.passkeys
        label = passkeys._labels.seal(SHOP, MemberId(ann), "My key")
        passkey = Passkey(MemberId(ann), b"credential", b"key", 1, label, Ms(START_MS))
        assert world.store.add_passkey(SHOP, passkey, most=1) is not None
        told = exported(world, ann)
        assert told["devices"][0]["label"] == "My phone"
        (key,) = told["passkeys"]
        assert (key["label"], key["added_at"]) == ("My key", "2026-03-01T12:00:00.000Z")
        assert key["used_at"] is None
        assert told["passes"][0]["wallet"] == "APPLE"
        assert told["cards"] == []

    def test_who_recommended_the_program_is_not_named(self, world: World) -> None:
        ann, ben = member_with_referral(world)
        told = exported(world, ben)
        assert told["referral"]["joined_by_one_at"] is not None
        assert ann not in json.dumps(told)
        brought = {"joined": 1, "waiting": 1, "paid": 0, "points": 0}
        assert exported(world, ann)["referral"]["brought"] == brought

    def test_what_was_put_before_a_person_is_told_and_not_about_whom_else(self, world: World) -> None:
        ann, ben = member_with_referral(world)
        facts = {"reason": "burst"}
        world.gateway.reviews.add(SHOP, "referral", MemberId(ben), facts, "", other_id=MemberId(ann))
        told = exported(world, ben)
        assert [(one["kind"], one["state"]) for one in told["reviews"]] == [("referral", "OPEN")]
        assert ann not in json.dumps(told)
        assert exported(world, ann)["reviews"] == []


def member_with_referral(world: World) -> tuple[str, str]:
    ann = world.enrol()
    code = card_of(world, ann).referral_url.partition("?ref=")[2]
    world.now_ms += 60_000
    ben = world.enrol()
    assert world.gateway.referrals.note(SHOP, MemberId(ben), code)
    return ann, ben


class TestReferral:
    def test_the_link_is_short_the_same_each_time_and_says_nothing_of_the_member(self, world: World) -> None:
        ann, ben = world.enrol(), world.enrol()
        link = card_of(world, ann).referral_url
        assert link == card_of(world, ann).referral_url != card_of(world, ben).referral_url
        path, _, code = link.partition("?ref=")
        assert path == "https://points.example/card/shop/"
        assert len(code) == 12
        assert code not in everything_stored(world.store), "only its blind token is kept"
        assert code.lower() not in ann.replace("-", "")

    def test_tills_learn_nothing_of_it(self, world: World) -> None:
        ann = world.enrol()
        (before,) = world.store.read_till_members(SHOP, [MemberId(ann)], store_id="s1")
        assert card_of(world, ann).referral_url
        (after,) = world.store.read_till_members(SHOP, [MemberId(ann)], store_id="s1")
        assert after.scan_tags == before.scan_tags
