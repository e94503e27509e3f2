"""The guide's code, run as it stands."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tallystick.security.device_profile import read_key
from tallystick_webshop import Basket, Line, Shop, new_id
from tests.webshop.street import TAXES, Street, shirts_and_tea

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "webshop.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def guide() -> dict[str, Any]:
    """Every function of the guide by its name."""
    names: dict[str, Any] = {}
    for code in BLOCK.findall(GUIDE.read_text()):
        exec(compile(code, GUIDE.name, "exec"), names)
    return names


@dataclass
class Row:
    sku: str
    quantity: int
    total_minor: int


@dataclass
class Order:
    """An order of a shop whose payment succeeds or not."""

    member_id: str
    pays: bool = True
    number: str = "4001"
    hold_id: str = ""
    sale_id: str = ""
    void_id: str = ""
    lines: list[Row] = field(default_factory=lambda: [Row("shirt", 2, 2_000), Row("cap", 1, 780)])
    saved: list[tuple[str, str]] = field(default_factory=list)
    paid_minor: int = 0

    def save(self) -> None:
        self.saved.append((self.hold_id, self.sale_id))

    def pay(self, amount_minor: int) -> bool:
        assert self.saved == [(self.hold_id, self.sale_id)], "the ids are stored before anything is sent"
        self.paid_minor = amount_minor
        return self.pays


def test_the_ten_lines_are_ten_lines(guide: dict[str, Any]) -> None:
    code = next(code for code in BLOCK.findall(GUIDE.read_text()) if "def check_out" in code)
    assert len(code[code.index("def check_out") :].strip().splitlines()) == 10


def test_the_ten_lines_sell_what_is_paid_and_void_what_is_not(street: Street, guide: dict[str, Any]) -> None:
    paid, unpaid = Order(street.member(500)), Order(street.member(500), pays=False)
    assert guide["check_out"](street.shop, paid) == 22
    assert (paid.paid_minor, street.shop.balance(paid.member_id).points) == (2_280, 22)
    assert guide["check_out"](street.shop, unpaid) == 0
    assert street.shop.balance(unpaid.member_id).points == 500
    assert guide["bring_back"](street.shop, paid, new_id()) == 820 + 124


def test_the_queue_posts_what_was_placed_once(street: Street, guide: dict[str, Any], tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "shop.db")
    db.execute("CREATE TABLE orders (number TEXT)")
    db.execute("CREATE TABLE queue (id TEXT, posting TEXT, answer TEXT)")
    member_id = street.member()
    guide["place"](db, "4002", member_id, shirts_and_tea())
    guide["place"](db, "4003", new_id(), shirts_and_tea())
    nobody = replace(street.shop.profile, server="127.0.0.1:1")
    with Shop(nobody, read_key(street.profile_dir), deadline_s=0.3) as away:
        guide["drain"](db, away)
    assert db.execute("SELECT count(*) FROM queue WHERE answer IS NULL").fetchone() == (2,)
    for _ in range(2):
        guide["drain"](db, street.shop)
    answers = [answer for (answer,) in db.execute("SELECT answer FROM queue")]
    assert answers == ["posted", "MEMBER_UNKNOWN"]
    assert street.shop.balance(member_id).points == 27
    db.close()


def test_an_order_that_can_never_be_posted_keeps_none_behind_it_waiting(
    street: Street, guide: dict[str, Any], tmp_path: Path
) -> None:
    """More than 64 KiB, which no gateway takes today or tomorrow."""
    db = sqlite3.connect(tmp_path / "shop.db")
    db.execute("CREATE TABLE orders (number TEXT)")
    db.execute("CREATE TABLE queue (id TEXT, posting TEXT, answer TEXT)")
    member_id = street.member()
    wide = tuple(f"category {number}" + "x" * 22 for number in range(8))
    huge = Basket("EUR", [Line("shirt", 1, 100, categories=wide)] * 500, TAXES)
    guide["place"](db, "4004", member_id, huge)
    guide["place"](db, "4005", member_id, shirts_and_tea())
    guide["drain"](db, street.shop)
    first, second = (answer for (answer,) in db.execute("SELECT answer FROM queue"))
    assert "MESSAGE_TOO_LARGE" in first
    assert second == "posted"
    assert street.shop.balance(member_id).points == 27
    db.close()


def test_the_shop_of_the_guide_enrols(street: Street, guide: dict[str, Any]) -> None:
    profile, code = street.shop.profile, street.office.shop_code("guide")
    directory = str(street.installation.data_dir / "guide")
    shown = guide["enrol"](directory, profile.server, profile.program_id, code)
    assert re.fullmatch(r"[0-9 ]+", shown)


def test_the_webhook_of_the_guide_is_taken(guide: dict[str, Any]) -> None:
    secret = "whsec_" + base64.b64encode(b"s" * 32).decode()
    body = json.dumps({"type": "entry.posted", "timestamp": "2026-09-21T13:33:20Z", "data": {}})
    now = datetime.fromtimestamp(int(time.time()), UTC)
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("m1", now, body),
    }
    assert guide["received"](headers, body.encode(), [secret], lambda _: True) == "entry.posted"
