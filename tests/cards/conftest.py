"""A shop with members, and passes signed by a demonstration authority."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tallystick.cards.apple import ApplePasses
from tallystick.cards.apple_keys import make_demo_signer
from tallystick.cards.apple_pass import Look
from tallystick.cards.apple_signing import PassSigner
from tallystick.core.ids import Ms, ProgramId
from tallystick.service.directory import Member
from tallystick.service.wallets import MemberCode
from tests.service.paper_till import Shop

BASE_URL = "https://points.example.org"


class NumberCodes:
    """The member number as the code, so that a test can say what a pass shows."""

    def code_for(self, _program_id: ProgramId, member: Member) -> MemberCode:
        return MemberCode(member.number)

    def rotating_code_for(self, _program_id: ProgramId, member: Member, serial: str) -> MemberCode:
        return MemberCode(member.number, totp_key=serial.encode()[:20])


@pytest.fixture(scope="session")
def signer() -> PassSigner:
    """A certificate for passes that has begun long ago on every clock of these tests."""
    return make_demo_signer(now=datetime(2025, 1, 1, tzinfo=UTC), days=3_650)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A program with a clock that the test moves, in memory."""
    made = Shop(tmp_path)
    yield made
    made.close()


@pytest.fixture
def passes(shop: Shop, signer: PassSigner) -> ApplePasses:
    """What makes passes of the shop's members."""
    return ApplePasses(
        shop.gateway.wallets,
        lambda: signer,
        NumberCodes(),
        look=Look(organization="Nordvik"),
        base_url=BASE_URL,
        now_ms=lambda: Ms(shop.now_ms),
    )
