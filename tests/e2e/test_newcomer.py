"""The first minute of somebody who has just installed it: `tallystick run`, and a sale from another shell."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.e2e.support.processes import ROOT, Child, environment, program

START_S = 30.0
COMMAND_S = 30.0
STOP_S = 30.0


def test_a_newcomer_runs_it_in_an_empty_home_and_sells_from_another_shell(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = {"HOME": str(place / "home"), "XDG_DATA_HOME": ""}
    (place / "home").mkdir()
    started = time.monotonic()
    doors = ("--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
    with Child(program("tallystick", "run", *doors), place=place, name="run", env=home) as server:
        shown = server.expect("Tallystick is running", START_S)
        start_s = time.monotonic() - started
        shown += server.expect(" sale --member ", START_S)
        rss_mb = psutil.Process(server.pid).memory_info().rss / 1e6

        text = "\n".join(shown)
        assert re.search(r"gRPC +127\.0\.0\.1:[1-9]\d*\n", text)
        assert str(place / "home" / ".local" / "share" / "tallystick") in text
        assert sum(line.count("█") + line.count("▀") + line.count("▄") for line in shown) > 100, "the QR code"

        card_app = re.search(r"card app +(http://localhost:\d+/card/demo/)\n", text)
        assert card_app is not None
        with urllib.request.urlopen(card_app[1], timeout=START_S) as page:
            assert b"<title>Card</title>" in page.read()

        sold = in_another_shell(shlex.split(shown[-1]), home)
        assert sold.returncode == 0, sold.stderr
        assert "12" in sold.stdout

        verified = in_another_shell(program("tallystick", "verify"), home)
        assert verified.returncode == 0, verified.stderr
        assert "every balance, lot and hash agrees" in verified.stdout

        server.send(signal.SIGINT)
        assert server.wait(STOP_S) == 0, server.log()
    with capsys.disabled():
        sys.stdout.write(f"\ntallystick run: {start_s:.2f} s to serve, {rss_mb:.0f} MB resident\n")


def in_another_shell(command: list[str], home: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with the same home."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**environment(), **home},
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
