"""IssueWalletPass: what a member's app gets for the phone's wallet, made by the real makers of passes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from google.protobuf.json_format import ParseDict

from tallystick.cards.apple import ApplePasses
from tallystick.cards.apple_keys import make_demo_signer
from tallystick.cards.apple_pass import Look
from tallystick.cards.apple_signing import PassSigner
from tallystick.cards.google import SAVE_URL, GooglePasses
from tallystick.cards.google_api import GoogleApi, ServiceAccount
from tallystick.cards.makers import Makers
from tallystick.cards.refused import PassRefused
from tallystick.service.gateway import Gateway
from tallystick.service.wallets import SignedCodes
from tallystick.v1 import app_pb2, identity_pb2, member_pb2, types_pb2
from tests.cards.bundles import document
from tests.cards.google_service import GoogleService, served
from tests.rpc.handlers.world import ADMIN, APP, MANAGER, Caller, World

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
LOOK = Look(organization="Nordvik")


class Signer:
    """A signer whose certificate can be taken away."""

    def __init__(self) -> None:
        self.signer: PassSigner | None = make_demo_signer(now=datetime(2025, 1, 1, tzinfo=UTC), days=3_650)

    def __call__(self) -> PassSigner:
        if self.signer is None:
            raise PassRefused("the certificate has ended")
        return self.signer


@pytest.fixture
def google() -> Iterator[GoogleService]:
    with served(GoogleService(KEY.public_key())) as running:
        yield running


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def wallets(tmp_path: Path, google: GoogleService, signer: Signer) -> Iterator[World]:
    account = ServiceAccount("passes@nordvik.test", "key-1", f"{google.url}/token", KEY)

    def makers(gateway: Gateway) -> Makers:
        codes, now_ms = SignedCodes(gateway.codes), gateway.now_ms
        api = GoogleApi(account, url=google.url, now_s=lambda: now_ms() // 1000)
        return Makers(
            ApplePasses(gateway.wallets, signer, codes, look=LOOK, base_url="", now_ms=now_ms),
            GooglePasses(
                gateway.wallets,
                api,
                account,
                codes,
                issuer_id="3388",
                look=LOOK,
                public_url="https://points.example.org",
                now_ms=now_ms,
            ),
        )

    made = World(tmp_path, passes=makers)
    yield made
    made.close()


def asked(member_id: str, wallet: str) -> app_pb2.IssueWalletPassRequest:
    body = {"member_id": member_id, "wallet": f"WALLET_KIND_{wallet}"}
    return ParseDict(body, app_pb2.IssueWalletPassRequest())


def app_of(member_id: str) -> Caller:
    return Caller(APP, store_id="", member_id=member_id)


def test_an_app_gets_a_bundle_whose_code_is_the_member(wallets: World) -> None:
    ann = wallets.enrol()
    bundle = wallets.send(asked(ann, "APPLE"), app_of(ann)).pkpass
    shown = document(bundle)["barcodes"][0]["message"]
    identify = identity_pb2.IdentifyRequest(text=shown, channel=types_pb2.CHANNEL_STORE)
    assert wallets.send(identify).identified.member_id == ann


def test_an_app_gets_the_link_to_the_one_pass_of_its_member(wallets: World, google: GoogleService) -> None:
    ann = wallets.enrol()
    for _ in range(2):
        assert wallets.send(asked(ann, "GOOGLE"), app_of(ann)).save_url.startswith(SAVE_URL)
    objects = [one for one in google.stored.values() if "accountId" in one]
    assert [one["accountId"] for one in objects] == [wallets.number_of(ann)]


def test_locked_points_are_shown_in_a_wallet_as_any(wallets: World) -> None:
    ann = wallets.enrol()
    wallets.send(app_pb2.SetSpendLockRequest(member_id=ann, locked=True), app_of(ann))
    assert "voided" not in document(wallets.send(asked(ann, "APPLE"), app_of(ann)).pkpass)


def test_a_blocked_member_gets_no_pass(wallets: World) -> None:
    ann = wallets.enrol()
    wallets.send(member_pb2.BlockMemberRequest(member_id=ann), Caller(MANAGER))
    assert wallets.refused(asked(ann, "APPLE"), Caller(ADMIN)).reason == "MEMBER_NOT_FOUND"


def test_a_google_that_is_away_is_not_the_callers_fault(wallets: World, google: GoogleService) -> None:
    google.say = 503
    ann = wallets.enrol()
    refused = wallets.refused(asked(ann, "GOOGLE"), app_of(ann))
    assert (refused.reason, refused.metadata) == ("WALLET_AWAY", {"wallet": "google"})


def test_what_google_refuses_and_what_cannot_be_signed_is_for_the_operator(
    wallets: World, google: GoogleService, signer: Signer
) -> None:
    ann = wallets.enrol()
    google.say = 403
    signer.signer = None
    for wallet in ("GOOGLE", "APPLE"):
        refused = wallets.refused(asked(ann, wallet), app_of(ann))
        assert (refused.reason, refused.metadata) == ("WALLET_OFF", {"wallet": wallet.lower()})
        assert "certificate" not in refused.message
