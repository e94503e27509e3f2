"""A gateway as `tallystick run` starts it, with its mails where a test can read them, and a back office beside it."""

from __future__ import annotations

import re
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tallystick.security.code import Code, code_from_digits, open_code
from tallystick.security.key_dir import load_key_dir
from tests.e2e.support.processes import Child, python
from tests.e2e.support.server import PROGRAM, free_port
from tests.web.support.office import Office

START_S = 60.0
MAIL_S = 10.0
POLL_S = 0.02
DAY_MS = 86_400_000

RULES: dict[str, Any] = {
    "format": "tallystick/1",
    "name": "Corner Club",
    "currency": "EUR",
    "time_zone": "Europe/Riga",
    "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
    "expiry": {"kind": "months", "months": 6},
    "tiers": {
        "basis": "spend",
        "period": "calendar_year",
        "downgrade": "one_step",
        "levels": [
            {"id": "bronze", "from": 0},
            {"id": "silver", "from": 10_000},
            {"id": "gold", "from": 100_000},
        ],
    },
    "burning": {"points": 100, "minor": 100, "unit_points": 100, "assurance_caps": {"typed": 0}},
    "rewards": [
        {"id": "free-mug", "kind": "money_off", "points": 150, "amount_minor": 500},
        {"id": "espresso-machine", "kind": "money_off", "points": 5000, "amount_minor": 7500},
    ],
}


class Gateway:
    """The process, its addresses, and the mails that it would send. ``settings`` are variables of its environment."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.address = f"127.0.0.1:{free_port()}"
        self.http_port = free_port()
        self._log = place / "gateway.log"
        self.settings: dict[str, str] = {}
        self._child: Child | None = None

    @property
    def data_dir(self) -> Path:
        """Where its database and its keys lie."""
        return self.place / "data"

    @property
    def origin(self) -> str:
        """Passkeys belong to names: this machine's is localhost."""
        return f"http://localhost:{self.http_port}"

    @property
    def url(self) -> str:
        """The card of the program."""
        return f"{self.origin}/card/{PROGRAM}/"

    def start(self) -> None:
        """Start it and wait until it serves."""
        ready = self.place / "ready.json"
        ready.unlink(missing_ok=True)
        doors = ("--listen", self.address, "--http-listen", f"127.0.0.1:{self.http_port}")
        where = ("--data-dir", str(self.data_dir), "--ready-file", str(ready))
        command = python("tallystick", "run", *doors, *where)
        self._child = Child(command, place=self.place, name="gateway", env=self.settings)
        until = time.monotonic() + START_S
        while not ready.exists():
            assert self._child.running, f"the gateway ended:\n{self._child.log()}"
            assert time.monotonic() < until, f"the gateway did not start:\n{self._child.log()}"
            time.sleep(POLL_S)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def opened(self, digits: str, *, later_s: int = 0) -> Code:
        """Read a code as a till does that has nothing but the gateway's public keys, ``later_s`` seconds from now."""
        now_s = int(time.time()) + later_s
        raw = code_from_digits(digits)
        assert raw is not None, "that is no code"
        keys = load_key_dir(self.data_dir / "keys", now_s=now_s).signing.verify_keys(now_s)
        code = open_code(raw, program_id=PROGRAM, server_keys=keys)
        assert isinstance(code, Code), code
        assert code.out_of_time(now_s * 1000) is None
        return code

    def age_devices(self) -> None:
        """Make every device that there is two days older, so that its first day is over."""
        with self._database() as database:
            database.execute("UPDATE card_device SET burn_from_ms = burn_from_ms - ?", (2 * DAY_MS,))

    def push_endpoints(self) -> list[str]:
        """Return where push messages to members' devices would go."""
        with self._database() as database:
            return [row[0] for row in database.execute("SELECT endpoint FROM push_subscription")]

    def forget_push_endpoints(self) -> None:
        """Do as the gateway does when the push service knows an address no longer."""
        with self._database() as database:
            database.execute("DELETE FROM push_subscription")

    def referrals(self, member_id: str) -> int:
        """Return how many members came by a member's recommendation."""
        with self._database() as database:
            query = "SELECT count(*) FROM referral WHERE referrer_id = ?"
            for asked in (member_id, uuid.UUID(member_id).bytes):
                (found,) = database.execute(query, (asked,)).fetchone()
                if found:
                    return int(found)
        return 0

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.data_dir / "tallystick.db", timeout=MAIL_S)
        try:
            with database:
                yield database
        finally:
            database.close()

    def code_for(self, address: str, *, after: int = 0) -> str:
        """Wait for the mail to an address and return its code; ``after`` so many mails that were read before."""
        until = time.monotonic() + MAIL_S
        while time.monotonic() < until:
            mails = self._log.read_text().split("Mail to ")[1:]
            codes = [
                str(found[0])
                for mail in mails
                if mail.startswith(address) and (found := re.findall(r"\b\d{6}\b", mail))
            ]
            if len(codes) > after:
                return codes[-1]
            time.sleep(POLL_S)
        raise AssertionError(f"no mail to {address}:\n{self._log.read_text()}")


@contextmanager
def open_gateway(
    place: Path, rules: Mapping[str, Any] = RULES, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Gateway, Office]]:
    """Start it with a program that has tiers and rewards; at the end it is killed."""
    gateway = Gateway(place)
    gateway.settings.update(settings or {})
    gateway.start()
    try:
        with Office(gateway) as office:
            office.publish(rules)
            yield gateway, office
    finally:
        gateway.kill()


def new_address() -> str:
    """Return an address that nobody has."""
    return f"{uuid.uuid4().hex[:12]}@example.org"
