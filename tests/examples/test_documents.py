"""The commands, outputs, programs and links of README and docs, tried out."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.cli.app import app
from tests.cli.shell import Running, Shell

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLE_NUMBER = "9982465801854264"
COMMAND_TIMEOUT_S = 60.0

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)")


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def commands(page: Path) -> list[str]:
    """The lines behind a prompt."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def shape(text: str) -> list[str]:
    """Output without what differs from one run to the next: numbers, ids, places, the drawing of a code."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
    text = re.sub(r"99\d{14}", "NUMBER", text)
    text = re.sub(r"(127\.0\.0\.1|localhost):\d+", "ADDRESS", text)
    text = re.sub(r"(?m)^  data      .*$", "  data      PLACE", text)
    text = re.sub(r"(?m)^  \S*tallystick sale --member NUMBER.*$", "  SALE", text)
    drawn = re.sub(r"(?m)^[ \u00a0█▀▄]*[█▀▄][ \u00a0█▀▄]*$", "CODE", text)
    return re.sub(r"(CODE\n)+", "CODE\n", drawn).strip().splitlines()


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("documents"))


@pytest.fixture
def run(shop: Shell) -> Iterator[Running]:
    with shop.running("run") as server:
        yield server


@pytest.fixture
def number(run: Running) -> str:
    found = re.search(r"99\d{14}", run.shown)
    assert found is not None, run.shown
    return found[0]


def in_a_shell(command: str, shop: Shell, run: Running, folder: Path) -> str:
    """Run a line as it stands in a document, in a shell that finds `tallystick`; its output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**shop.environment, "PATH": path, "TALLYSTICK_LISTEN": run.address},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_make_run_prints_what_the_readme_shows(run: Running, number: str) -> None:
    block = blocks(ROOT / "README.md", "console")[0]
    assert block.startswith("$ make run\n")
    assert "tallystick run" in (ROOT / "Makefile").read_text()
    assert shape(run.shown) == shape(block.removeprefix("$ make run\n"))


def test_the_readmes_sale_from_another_shell_earns_as_shown(
    shop: Shell, run: Running, number: str, tmp_path: Path
) -> None:
    command, _, shown = blocks(ROOT / "README.md", "console")[1].partition("\n")
    typed = command.removeprefix("$ .venv/bin/").replace(EXAMPLE_NUMBER, number)
    assert shape(in_a_shell(typed, shop, run, tmp_path)) == shape(shown)


def test_the_first_hour_goes_as_it_is_told(shop: Shell, run: Running, number: str, tmp_path: Path) -> None:
    known = {EXAMPLE_NUMBER: number}
    told = commands(ROOT / "docs" / "start" / "first-hour.md")
    assert len(told) > 10
    for command in told:
        typed = command
        for placeholder, value in known.items():
            typed = typed.replace(placeholder, value)
        shown = in_a_shell(typed, shop, run, tmp_path)
        if found := re.search(r"Code ([0-9A-Z-]{14}),", shown):
            known["K7AB-9QRS-TVWX"] = found[1]
        if found := re.search(r"device confirm (\S+) '([0-9 ]+)'", shown):
            known |= {"DEVICE": found[1], "FINGERPRINT": found[2]}
    assert (tmp_path / "entries.csv").read_text().count("\n") > 5


def test_the_ten_lines_of_code_sell(shop: Shell, run: Running) -> None:
    (code,) = blocks(ROOT / "docs" / "start" / "client.md", "python")
    names: dict[str, Any] = {}
    exec(compile(code, "client.md", "exec"), names)
    (member,) = shop.prepare("export", "accounts", "--format", "jsonl").out.splitlines()
    member_id = re.search(r'"member_id": "([^"]+)"', member)
    assert member_id is not None
    earned = asyncio.run(names["sell"](str(shop.data_dir), member_id[1], names["new_id"]()))
    assert earned == 7


def test_a_device_in_another_language_enrols_identifies_and_changes_its_key_by_the_document_alone(
    shop: Shell, run: Running, number: str, tmp_path: Path
) -> None:
    (code,) = blocks(ROOT / "docs" / "start" / "device.md", "python")
    names: dict[str, Any] = {}
    exec(compile(code, "device.md", "exec"), names)
    served = re.search(r"Connect +(http://\S+)", run.shown)
    assert served is not None
    names["GATEWAY"] = served[1]
    typed = in_a_shell("tallystick device code --store high-street --label Foreign", shop, run, tmp_path)
    invited = re.search(r"Code ([0-9A-Z-]{14}),", typed)
    assert invited is not None, typed
    old, new = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    device = names["enrol"](old, "demo", invited[1])
    in_a_shell(
        f"tallystick device confirm {device['deviceId']} '{device['fingerprint']}'", shop, run, tmp_path
    )
    assert names["rotate"](old, new, "demo", device["deviceId"])["device"]["status"] == "DEVICE_STATUS_ACTIVE"
    with pytest.raises(HTTPError, match="401"):
        names["token"](old, device["deviceId"])
    scan = {"text": number, "channel": "CHANNEL_STORE"}
    token = names["token"](new, device["deviceId"])
    by_hand = names["call"]("IdentityService/Identify", scan, token)
    assert by_hand["identified"]["assurance"] == "ASSURANCE_TYPED"
    scanned = names["call"]("IdentityService/Identify", {**scan, "aimId": "]Q0"}, token)
    assert scanned["identified"]["assurance"] == "ASSURANCE_STATIC_CARD"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    missing = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert missing == []


def test_every_command_and_option_that_a_document_names_exists() -> None:
    lines = [(page.name, line) for page in PAGES for line in commands(page) if "tallystick " in line]
    assert len(lines) > 20
    unknown = [fault for name, line in lines for fault in faults(name, line)]
    assert unknown == []


def faults(page: str, line: str) -> Iterator[str]:
    words = shlex.split(line)
    start = next((i for i, word in enumerate(words) if word in (".venv/bin/tallystick", "tallystick")), None)
    if start is None:
        return
    command: Any = typer.main.get_command(app)
    rest = words[start + 1 :]
    while rest and getattr(command, "commands", None):
        child = command.commands.get(rest[0])
        if child is None:
            yield f"{page}: {line}: there is no command {rest[0]}"
            return
        command, rest = child, rest[1:]
    options = {name for param in command.params for name in param.opts}
    for word in rest:
        if word.startswith("--") and word not in options:
            yield f"{page}: {line}: there is no option {word}"
