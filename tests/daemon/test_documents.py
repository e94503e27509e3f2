"""What the documents about the till say, tried out."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import typer
from starlette.routing import Route

import tallystick_till
from tallystick.core.entry import Refusal
from tallystick_till.cli.app import app
from tallystick_till.daemon.api import API, LocalApi
from tallystick_till.daemon.guard import BODY_BYTES_MAX
from tallystick_till.daemon.messages import sentence
from tests.daemon.fake_till import MEMBER
from tests.daemon.served import Served
from tests.daemon.shop import SALE
from tests.daemon.test_api import BASKET

ROOT = Path(__file__).parents[2]
INTEGRATION = ROOT / "docs" / "guides" / "till-integration.md"
REFERENCE = ROOT / "docs" / "reference" / "local-api.md"
PAGES = [
    INTEGRATION,
    REFERENCE,
    ROOT / "docs" / "guides" / "shop-staff.md",
    ROOT / "docs" / "concepts" / "offline.md",
]
USUAL_ADDRESS = "127.0.0.1:8411"
CURL_TIMEOUT_S = 20.0

NO = re.compile(r'SaleRefused\(\s*"([A-Z_]+)"')
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def commands(page: Path) -> list[str]:
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def test_the_ten_lines_of_python_sell_a_basket_that_a_cashier_finishes(daemon: Served) -> None:
    (code,) = blocks(INTEGRATION, "python")
    names: dict[str, Any] = {}
    exec(
        compile(code.replace(USUAL_ADDRESS, f"127.0.0.1:{daemon.port}"), "till-integration.md", "exec"), names
    )
    told: list[Any] = []
    program = Thread(target=lambda: told.append(names["sell"](BASKET, "basket-7")))
    program.start()
    with daemon.events() as events:
        shown = next(state for _, state in events if state["basket_id"] == "basket-7")
    assert shown["basket_reference"] == "R-1042"
    ask = {**SALE, "member_ref": MEMBER, "basket": shown["basket"], "basket_id": "basket-7"}
    done = daemon.post("/sale", ask).json
    program.join(10)
    assert told == [(done["payable_minor"], done["receipt"])]


def test_the_curl_lines_identify_quote_sell_and_undo(daemon: Served) -> None:
    lines = [line for line in commands(INTEGRATION) if line.startswith("curl ")]
    answers = [json.loads(_curl(line.replace(USUAL_ADDRESS, f"127.0.0.1:{daemon.port}"))) for line in lines]
    scanned, quote, sale, undone, state = answers
    assert scanned["kind"] in ("member", "none")
    assert quote["burned_points"] == sale["burned_points"] == 500
    assert sale["sale_id"] == undone["sale_id"]
    assert state["queued"] == 1
    assert daemon.till.asked[0].reference == "R-1042"


def _curl(line: str) -> str:
    done = subprocess.run(
        shlex.split(line), capture_output=True, text=True, timeout=CURL_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


def test_the_reference_names_every_route_and_no_other() -> None:
    api: Any = LocalApi.__new__(LocalApi)
    routes = {_named(route) for route in api.routes()}
    told = set(re.findall(r"`(GET|POST|PUT|DELETE) (?:/api/v1)?(/[^`?]*)`", REFERENCE.read_text()))
    assert told == routes


def _named(route: Route) -> tuple[str, str]:
    (method,) = (route.methods or set()) - {"HEAD"}
    return method, route.path.removeprefix(API)


def test_the_reference_names_every_field_of_the_state(daemon: Served) -> None:
    text = REFERENCE.read_text()
    missing = [name for name in daemon.get("/state").json if f"`{name}`" not in text]
    assert missing == []


def test_the_reference_tells_the_true_limits() -> None:
    assert f"at most {BODY_BYTES_MAX // 1024} KiB" in REFERENCE.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_the_till_that_a_page_names_exists(page: Path) -> None:
    inline = re.findall(r"`(tallystick-till [^`]*)`", page.read_text())
    lines = [line for line in commands(page) if line.startswith("tallystick-till ")] + inline
    assert lines or page.name in ("shop-staff.md", "offline.md")
    assert [fault for line in lines for fault in _faults(line)] == []


def _faults(line: str) -> Iterator[str]:
    _, name, *rest = [*shlex.split(line), ""]
    command: Any = typer.main.get_command(app)
    if name not in command.commands:
        yield f"{line}: there is no command {name}"
        return
    options = {option for param in command.commands[name].params for option in param.opts}
    for word in rest:
        if word.startswith("--") and word not in options:
            yield f"{line}: there is no option {word}"


def test_every_reason_that_the_till_says_no_for_stands_in_the_reference() -> None:
    sources = Path(tallystick_till.__file__).parent.glob("*.py")
    reasons = {found for source in sources for found in re.findall(NO, source.read_text())}
    assert {"SALE_ID_REUSED", "RETURN_ID_REUSED", "TAKEN"} <= reasons
    told, ledgers = REFERENCE.read_text(), (REFERENCE.parent / "errors.md").read_text()
    missing = {one for one in reasons if f"`{one}`" not in told and f"`REFUSAL_REASON_{one}`" not in ledgers}
    assert missing == set()


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal.CURRENCY_MISMATCH,
        Refusal.BASKET_INVALID,
        Refusal.TAX_CODE_UNKNOWN,
        Refusal.AMOUNT_OVERFLOW,
        Refusal.REWARD_UNKNOWN,
        Refusal.REWARD_NOT_IN_TIER,
        Refusal.REWARD_NOT_APPLICABLE,
        Refusal.REWARD_NEEDS_GATEWAY,
        Refusal.ABOVE_ASSURANCE_CAP,
        Refusal.NOT_WHOLE_UNITS,
        Refusal.BELOW_MINIMUM,
        Refusal.ABOVE_SHARE_CAP,
        Refusal.INSUFFICIENT_POINTS,
        Refusal.SALE_UNKNOWN,
        Refusal.LINE_UNKNOWN,
        Refusal.OVER_RETURN,
    ],
    ids=lambda refusal: refusal.name,
)
def test_a_no_that_the_till_decides_by_itself_names_the_mend_as_the_reference_says(refusal: Refusal) -> None:
    assert "names the mend" in REFERENCE.read_text()
    assert refusal.name not in sentence(refusal.name, refusal.name, {"line_no": "1"})
