"""`make shop`: from nothing to a shop that sells, and nothing left of it afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.e2e.support.processes import ROOT, environment

pytestmark = pytest.mark.timeout(400)

START_S, STOP_S = 300, 60


def test_a_newcomer_opens_the_shop_and_closes_it(tmp_path: Path) -> None:
    for _time in ("new", "again"):
        shop = subprocess.Popen(
            [sys.executable, "-m", "tools.shop"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**environment(), "TALLYSTICK_SHOP_DIR": str(tmp_path / "shop")},
            start_new_session=True,
        )
        try:
            said = ""
            assert shop.stdout is not None
            while "Anna is a member" not in said:
                line = shop.stdout.readline()
                assert line, said
                said += line
            address = re.search(r"Shop\s+(http://\S+)", said)
            assert address
            with urllib.request.urlopen(f"{address[1]}catalogue/", timeout=START_S) as page:
                assert "House blend" in page.read().decode()
            children = psutil.Process(shop.pid).children(recursive=True)
            os.kill(shop.pid, signal.SIGINT)
            assert shop.wait(STOP_S) == 0
            gone, alive = psutil.wait_procs(children, timeout=STOP_S)
            assert len(gone) >= 3
            assert alive == []
        finally:
            shop.kill()
            shop.wait(STOP_S)
            assert shop.stdout is not None
            shop.stdout.close()
