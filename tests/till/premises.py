"""The corner shop of the till's tests: its people, its rules and its keys."""

from __future__ import annotations

import uuid

from tallystick.core.ids import MemberId
from tallystick.security.sealed_box import derive_box_key

START_MS = 1_790_000_000_000
PROGRAM, STORE = "corner", "store-1"
ANNA_CARD = "9900000000000010"
BOB_PHONE = "+46701234567"
SCAN_KEY, STORE_KEY = b"s" * 32, b"t" * 32
BOX = derive_box_key(b"b" * 32)
RULES_DOCUMENT: dict[str, object] = {
    "format": "tallystick/1",
    "name": "Corner points",
    "currency": "EUR",
    "time_zone": "Europe/Stockholm",
    "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
    "burning": {
        "points": 100,
        "minor": 100,
        "unit_points": 100,
        "assurance_caps": {
            "typed": 0,
            "static_card": 2000,
            "server_code": "unlimited",
            "rotating_code": "unlimited",
            "device_code": "unlimited",
        },
    },
    "rewards": [{"id": "free-coffee", "kind": "free_item", "points": 50, "category": ["coffee"]}],
    "returns": {"spent": "debt", "grace_days": 30},
    "offline": {"floor": {"sale_points": 500, "member_points": 800, "till_points": 1000}},
}


def member_uuid(number: int) -> MemberId:
    return MemberId(str(uuid.UUID(int=(7 << 76) | (2 << 62) | number)))


ANNA, BOB = member_uuid(1), member_uuid(2)
