"""A shop: gateway and till as processes of their own, the line between them, the back office, and members."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.support.processes import Child, python
from tests.e2e.support.server import PROGRAM, Installation, free_port
from tests.support.ledgers import new_ledger_file
from tests.web.support.line import Line
from tests.web.support.office import Office, Premises

STORE = "corner"
LABEL = "Till 1"
START_S = 40.0
WAIT_S = 20.0
ONLINE_S = 60.0
"""A till waits up to ten seconds before it tries its line again, and the line itself up to two."""
POLL_S = 0.05

FLOOR_SALE, FLOOR_MEMBER, FLOOR_TILL = 60, 100, 100
RULES: dict[str, Any] = {
    "format": "tallystick/1",
    "name": "Corner Club",
    "currency": "EUR",
    "time_zone": "Europe/Stockholm",
    "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
    "burning": {
        "points": 1,
        "minor": 1,
        "assurance_caps": {"typed": 0, "static_card": "unlimited", "server_code": "unlimited"},
    },
    "rewards": [{"id": "mug", "kind": "money_off", "points": 150, "amount_minor": 150}],
    "offline": {
        "lease_share_percent": 25,
        "lease_points_max": 400,
        "floor": {"sale_points": FLOOR_SALE, "member_points": FLOOR_MEMBER, "till_points": FLOOR_TILL},
    },
}


@dataclass(frozen=True, slots=True)
class Card:
    """A member and what the card in the hand shows."""

    member_id: str
    number: str


class Shop:
    """A store with one till. The till keeps its port over a restart: the screen must find it again by itself."""

    def __init__(self, place: Path, installation: Premises, office: Office, line: Line) -> None:
        self.installation = installation
        self.office = office
        self.line = line
        self.port = free_port()
        self._place = place
        self._home = place / "till"
        self._till: Child | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def till(self) -> Child:
        """The process that sells now."""
        assert self._till is not None, "not started"
        return self._till

    def enrol_till(self) -> None:
        """Make the till known to the gateway, as a manager and a shop do it together."""
        command = python("tallystick_till", "enrol", "--gateway", self.line.address, "--program", PROGRAM)
        code = self.office.till_code(STORE, LABEL)
        with Child(
            [*command, "--code", code, "--dir", str(self._home)], place=self._place, name="enrol"
        ) as enrolling:
            registered, shown = enrolling.expect("Fingerprint", START_S)[-2:]
            device_id = registered.removeprefix("Registered as ").rstrip(".")
            self.office.confirm(device_id, shown.removeprefix("Fingerprint").strip())
            assert enrolling.wait(START_S) == 0, enrolling.log()

    def start_till(self) -> None:
        """Start the till and wait until it serves its screen."""
        command = python("tallystick_till", "run", "--listen", f"127.0.0.1:{self.port}")
        self._till = Child([*command, "--dir", str(self._home)], place=self._place, name="till")
        self._till.expect("sells at", START_S)

    def kill_till(self) -> None:
        """End the till as a power cut does."""
        if self._till is not None:
            self._till.close()
            self._till = None

    def member(self, points: int = 0) -> Card:
        """Enrol a member in the back office; the till has heard of the balance when this returns."""
        card = Card(*self.office.member(points))
        self.hears_of(card, points)
        return card

    def stranger(self, points: int) -> Card:
        """Cut the line with a member in the till's snapshot who was never here: there is no lease of such a one."""
        card = Card(*self.office.member(points))

        def known() -> bool:
            self.offline()
            found = self.ask("POST", "/identify", {"scan": card.number, "source": "wedge"})
            if found["kind"] == "member" and found["member"]["points"] == points:
                return True
            self.online()
            return False

        wait_for(known, "the till's snapshot to hold a new member", within_s=ONLINE_S)
        return card

    def limit(self, card: Card) -> int:
        """What the till lets a member redeem as the line is now: cut, the floor and a lease that came before."""
        found = self.ask("POST", "/identify", {"scan": card.number, "source": "wedge"})
        return int(found["member"]["burn_limit_points"])

    def balance(self, card: Card) -> int:
        """What the gateway's books say a member may spend at this store: the balance and what is set aside for it."""
        balance = self.office.balance(card.member_id)
        assert balance.debt == 0
        return int(balance.active + balance.held)

    def hears_of(self, card: Card, points: int) -> None:
        """Wait until what the till itself knows of a member comes to so many points."""

        def known() -> bool:
            found = self.ask("POST", "/identify", {"scan": card.number, "source": "wedge"})
            return bool(found["kind"] == "member" and found["member"]["points"] == points)

        wait_for(known, f"the till to know of {points} points")

    def state(self) -> dict[str, Any]:
        """What the till says of itself."""
        return self.ask("GET", "/state")

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Call the till's local API as a till program does; errors come back as their document."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, "/api/v1" + path, data, {"content-type": "application/json"})
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()

    def all_is_sent(self) -> None:
        """Wait until the gateway has everything."""
        wait_for(lambda: self.state()["queued"] == 0, "the queue to empty")

    def online(self) -> None:
        """Mend the line when it is cut, and wait until nothing is queued any more."""
        self.line.mend()
        wait_for(lambda: self.state()["link"] == "online", "the till to be online", within_s=ONLINE_S)
        self.all_is_sent()

    def offline(self) -> None:
        """Cut the line, and wait until the till has seen it."""
        self.line.cut()
        wait_for(lambda: self.state()["link"] == "offline", "the till to be offline")

    def verified(self) -> None:
        """Let `tallystick verify` recompute the whole ledger."""
        url = f"sqlite:///{self._place / 'tallystick.db'}"
        command = python(
            "tallystick", "verify", "--database", url, "--data-dir", str(self.installation.data_dir)
        )
        with Child(command, place=self._place, name="verify") as verifying:
            assert verifying.wait(START_S) == 0, verifying.log()


@contextmanager
def open_shop(place: Path) -> Iterator[Shop]:
    """Set everything up and start it; at the end all of it is killed."""
    url = new_ledger_file(place / "tallystick.db")
    with ExitStack() as stack:
        installation = stack.enter_context(Installation(place, url, members=0))
        office = stack.enter_context(Office(installation))
        office.publish(RULES)
        line = Line(installation.address)
        stack.callback(line.close)
        shop = Shop(place, installation, office, line)
        stack.callback(shop.kill_till)
        shop.enrol_till()
        shop.start_till()
        wait_for(lambda: shop.state()["sell"]["allowed"], "the first rules")
        yield shop


def wait_for(holds: Callable[[], bool], what: str, *, within_s: float = WAIT_S) -> None:
    """Ask again and again until it holds; fails after ``within_s`` seconds."""
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, f"waited {within_s} s in vain for {what}"
        time.sleep(POLL_S)
