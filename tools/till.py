"""Sets a till up against the gateway of `make run` and serves its screen: both sides of an enrolment, for trying.

In a shop the code is made by a manager and typed into the till, and a person compares the fingerprints.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
TIMEOUT_S = 60
STORE = "high-street"


def main() -> int:
    """Enrol the till unless it is, then become its program; the arguments are those of `tallystick-till run`."""
    home = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    place = Path(os.environ.get("TALLYSTICK_TILL_DIR", home / "tallystick" / "till"))
    try:
        if not (place / "till.json").exists():
            enrol(place)
        confirm(place)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(error.stderr or error.stdout or "")
        sys.stderr.write("make: the till could not be set up; is `make run` running in another shell?\n")
        return 1
    program = str(BIN / "tallystick-till")
    return os.execv(program, [program, "run", "--dir", str(place), *sys.argv[1:]])


def enrol(place: Path) -> None:
    """Make a code as a manager does, and register the till's key with it."""
    made = json.loads(_run("tallystick", "device", "code", "--store", STORE, "--label", "Till 1", "--json"))
    _run(
        "tallystick-till",
        "enrol",
        *("--gateway", os.environ.get("TALLYSTICK_TILL_GATEWAY", "127.0.0.1:50051")),
        *("--program", made["program_id"], "--code", made["code"], "--dir", str(place), "--wait", "0"),
        may_wait=True,
    )


def confirm(place: Path) -> None:
    """Say yes to the fingerprint that the till shows, as a manager does; a till that is confirmed stays so."""
    shown = _run("tallystick-till", "enrol", "--dir", str(place), "--wait", "0", may_wait=True)
    found = re.search(r"device confirm (\S+) '([^']+)'", shown)
    if found is None:
        return
    _run("tallystick", "device", "confirm", found[1], found[2])
    _run("tallystick-till", "enrol", "--dir", str(place), "--wait", "10")


def _run(program: str, *arguments: str, may_wait: bool = False) -> str:
    """Return what a command prints. ``may_wait``: that nobody has confirmed the till yet is no failure."""
    done = subprocess.run(
        [str(BIN / program), *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode and not (may_wait and "confirmed" in done.stderr):
        raise subprocess.CalledProcessError(done.returncode, program, done.stdout, done.stderr)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
