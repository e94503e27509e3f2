"""The demo shop beside a gateway and a till: started, killed, and started again on the same address and data."""

from __future__ import annotations

import os
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tallystick.cli.profile import load_profile
from tallystick.core.ids import AMOUNT_MINOR_MAX
from tallystick.security.device_profile import write_profile
from tests.e2e.support.processes import ROOT, Child, environment, python
from tests.e2e.support.server import CALLER, free_port
from tests.support.warm import WarmServer, run_warm
from tests.web.support.line import Line
from tests.web.support.office import Office
from tests.web.support.shop import Shop, wait_for

WEBSHOP = ROOT / "clients" / "webshop"
PATH = (WEBSHOP / "demo", WEBSHOP / "oscar", WEBSHOP)
MANAGE = "tests.oscar.support.warm_manage"
START_S = 60.0
COMMAND_S = 120.0
SHOPPER = ("anna@shop.example", "anna-buys-beans")
OTHER = ("bela@shop.example", "bela-buys-kettles")
STAFF = ("staff@shop.example", "sam-packs-boxes")


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the shop's database has it, in minor units."""

    number: str
    total_minor: int
    total_net_minor: int
    lines: tuple[tuple[int, int, int, int], ...]
    """Quantity, price before discounts, price after them, and the latter without tax."""

    @property
    def discount_minor(self) -> int:
        return sum(before - after for _quantity, before, after, _net in self.lines)


class Webshop:
    """The demo shop and its line to the gateway."""

    def __init__(self, place: Path, shop: Shop, *, hold_s: int = 900) -> None:
        self.gateway = shop
        self.port = free_port()
        self.line = Line(shop.installation.address)
        self.data = place / "webshop"
        self._place = place
        self._child: Child | None = None
        self.settings = {
            "DEMO_SHOP_HOLD_S": str(hold_s),
            "DEMO_SHOP_AWAY_S": "0",
            "DEMO_SHOP_POST_AT_ONCE": "1",
        }
        profile, key = load_profile(shop.installation.data_dir, CALLER)
        write_profile(self.data / "gateway", replace(profile, server=self.line.address), key)
        # Some twenty processes of the shop load Django and oscar; the one of `make shop` does it as everybody's does.
        self._warm = WarmServer("tests.oscar.support.warm_shop", env={**environment(), **self._environment()})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Make the tables and load the articles."""
        self.manage("tallystick_demo", "--host", f"127.0.0.1:{self.port}")

    def start(self, **settings: str) -> None:
        """Start the shop and wait until it answers."""
        self._child = Child(
            python(MANAGE, "runserver", "--noreload", f"127.0.0.1:{self.port}"),
            place=self._place,
            name="webshop",
            env={**self._environment(), **settings},
            warm=self._warm,
        )
        wait_for(self._answers, "the shop to answer", within_s=START_S)

    def kill(self) -> None:
        """End the shop as a power cut does."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def restart_after_kill(self, **settings: str) -> None:
        self.kill()
        self.start(**settings)

    def is_well(self) -> None:
        """Whatever a test before has left: the line is up, the shop runs, and the back office has a fresh token."""
        self.line.mend()
        if self._child is None or not self._child.running:
            self.restart_after_kill()
        old, self.gateway.office = self.gateway.office, Office(self.gateway.installation)
        old.__exit__(None, None, None)

    def manage(self, *arguments: str) -> str:
        """Run a command of Django's and return what it prints."""
        done = run_warm(
            MANAGE,
            arguments,
            env={**environment(), **self._environment()},
            timeout_s=COMMAND_S,
            server=self._warm,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def link(self, email: str, member_id: str) -> None:
        """Link a user to a member as if they had proved it."""
        self.unlink()
        self.link_also(email, member_id)

    def link_also(self, email: str, member_id: str) -> None:
        """Link one more user."""
        self._write(
            "INSERT INTO tallystick_oscar_memberlink (user_id, member_id, created_at) "
            "SELECT id, ?, datetime('now') FROM auth_user WHERE email = ?",
            member_id.replace("-", ""),
            email,
        )

    def unlink(self) -> None:
        """Take every membership off its account."""
        self._write("DELETE FROM tallystick_oscar_memberlink")

    def add_user(self, email: str, password: str) -> None:
        """Let somebody open an account."""
        self.manage(
            "shell",
            "--verbosity",
            "0",
            "--command",
            "from django.contrib.auth import get_user_model as g;"
            f"g().objects.create_user({email.partition('@')[0]!r}, {email!r}, {password!r})",
        )

    def orders(self) -> list[Order]:
        """Return all orders, the oldest first."""
        return [
            Order(
                number,
                _minor(total),
                _minor(net),
                tuple(
                    (quantity, _minor(before), _minor(after), _minor(after_net))
                    for quantity, before, after, after_net in self.rows(
                        "SELECT quantity, line_price_before_discounts_incl_tax, line_price_incl_tax, "
                        "line_price_excl_tax FROM order_line WHERE order_id = ? ORDER BY id",
                        key,
                    )
                ),
            )
            for key, number, total, net in self.rows(
                "SELECT id, number, total_incl_tax, total_excl_tax FROM order_order ORDER BY id"
            )
        ]

    def postings(self) -> list[tuple[str, str, str]]:
        """Return kind, state and reason of all postings, the oldest first."""
        return [
            tuple(row)
            for row in self.rows("SELECT kind, state, reason FROM tallystick_oscar_posting ORDER BY seq")
        ]

    def waiting(self) -> int:
        """Return how many postings wait."""
        return sum(state == "waiting" for _kind, state, _reason in self.postings())

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """Ask the shop's database."""
        with closing(sqlite3.connect(self.data / "shop.sqlite3", timeout=20)) as connection:
            return connection.execute(statement, values).fetchall()

    def close(self) -> None:
        self.kill()
        self._warm.close()
        self.line.close()

    def _write(self, statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.data / "shop.sqlite3", timeout=20)) as connection, connection:
            connection.execute(statement, values)

    def _environment(self) -> dict[str, str]:
        return {
            "DEMO_SHOP_DIR": str(self.data),
            "DJANGO_SETTINGS_MODULE": "tests.oscar.support.quick_settings",
            "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), *map(str, PATH)]),
            "PYTHONUNBUFFERED": "1",
            **self.settings,
        }

    def _answers(self) -> bool:
        assert self._child is not None
        assert self._child.running, self._child.log()
        try:
            with urllib.request.urlopen(f"{self.url}/accounts/login/", timeout=START_S) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
            return False


@contextmanager
def open_webshop(place: Path, shop: Shop, **settings: Any) -> Iterator[Webshop]:
    """Set the shop up and start it; at the end it is killed."""
    webshop = Webshop(place, shop, **settings)
    try:
        webshop.prepare()
        webshop.start()
        yield webshop
    finally:
        webshop.close()


def _minor(value: float | str) -> int:
    minor = round(float(value) * 100)
    assert 0 <= minor <= AMOUNT_MINOR_MAX
    return minor
