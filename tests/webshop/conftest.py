"""A gateway as a webshop meets it: a server process, a device of the role webshop, and the back office."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick_webshop import Shop
from tests.e2e.support.server import Installation
from tests.support.ledgers import new_ledger_file
from tests.web.support.office import Office
from tests.webshop.street import RULES, Street


@pytest.fixture(scope="package")
def street() -> Iterator[Street]:
    """One gateway on SQLite for all tests of this directory; each test takes members of its own."""
    with tempfile.TemporaryDirectory(prefix="tallystick-webshop-") as name:
        place = Path(name)
        url = new_ledger_file(place / "ledger.db")
        with (
            Installation(place, url, members=0) as installation,
            Office(installation) as office,
            Shop.open(installation.data_dir / "profiles" / "caller") as shop,
        ):
            office.publish(RULES)
            street = Street(installation, office, shop)
            yield street
            assert street.ledger_adds_up()
