"""One till as a process of its own: it sells without a pause, keeps in touch, and may be killed at any moment.

    python -m tests.e2e.support.till_process DIR [CARD...]

What it has told its customers it appends to ``DIR/told.jsonl``. The basket on the counter is in ``DIR/basket``: after a
restart it is rung up again, as a cashier does. On the line "drain" it stops selling, undoes what got no answer and
became no sale, waits until its queue is empty, and says "drained".
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from random import Random
from typing import TextIO

from tallystick.core.basket import Basket, Line
from tallystick.core.command import Spend
from tallystick.core.ids import Minor
from tallystick_till import unfinished
from tallystick_till.config import DB_FILE
from tallystick_till.daemon.assembly import HubChoice, Parts, assembled
from tallystick_till.daemon.instance import held
from tallystick_till.daemon.machine import new_id
from tallystick_till.errors import SaleRefused
from tallystick_till.sales import ASKING
from tallystick_till.types import Identified, SaleAsk

PAUSE_S = 0.05
LOOK_S = 0.1
TOLD, BASKET = "told.jsonl", "basket"


def main() -> None:
    """Sell until told to drain; then drain, say so, and wait to be ended."""
    directory, cards = Path(sys.argv[1]), sys.argv[2:]
    draining = threading.Event()
    threading.Thread(target=_listen, args=(draining,), daemon=True).start()
    with held(directory), assembled(directory, hub=HubChoice()) as parts:
        threading.Thread(target=parts.sync.run, args=(threading.Event(),), daemon=True).start()
        while not parts.till.status().sell.allowed:
            time.sleep(LOOK_S)
        _say("open")
        _sell_on(parts, directory, cards, draining)
        # Nobody rings up again what got no answer: it is undone at once, not only after a while.
        unfinished.UNFINISHED_AFTER_MS = 0
        while _asking(directory) or parts.till.status().queued:
            parts.till.settle_unfinished()
            parts.sync.wake()
            time.sleep(LOOK_S)
        _say("drained")
        threading.Event().wait()


def _asking(directory: Path) -> int:
    """Return how many requests there are of which the till does not know what became of them."""
    with closing(sqlite3.connect(directory / DB_FILE)) as db:
        return int(db.execute("SELECT count(*) FROM sale WHERE status = ?", (ASKING,)).fetchone()[0])


def _listen(draining: threading.Event) -> None:
    for line in sys.stdin:
        if line.strip() == "drain":
            draining.set()


def _sell_on(parts: Parts, directory: Path, cards: list[str], draining: threading.Event) -> None:
    basket, told = directory / BASKET, directory / TOLD
    with told.open("a", buffering=1) as paper:
        while basket.exists() or not draining.is_set():
            if not basket.exists():
                # As a whole or not at all, like everything else that a kill must not halve.
                new = basket.with_suffix(".new")
                new.write_text(new_id())
                new.replace(basket)
            _sell(parts, basket.read_text(), cards, paper)
            basket.unlink()
            parts.sync.wake()
            time.sleep(PAUSE_S)


def _sell(parts: Parts, sale_id: str, cards: list[str], paper: TextIO) -> None:
    """Ring up the basket that belongs to an id, the same whenever it is rung up."""
    rng = Random(sale_id)
    found = parts.till.identify(rng.choice(cards), aim_id="]C0")
    if not isinstance(found, Identified):
        return
    line = Line(f"sku-{rng.randrange(9)}", 1_000, Minor(rng.randrange(5_000, 40_000)))
    spend = Spend(100 * rng.randrange(1, 4)) if rng.random() < 0.6 else None
    ask = SaleAsk(found.member.member_ref, Basket("EUR", (line,)), spend=spend, sale_id=sale_id)
    try:
        done = parts.till.sale(ask)
    except SaleRefused as no:
        if no.reason == "SALE_ID_REUSED":
            # Given up before it was rung up again: a cashier would have to look, and so must the test.
            raise
        return
    kinds = sorted({right.kind for right in done.authority})
    told = {"sale_id": done.sale_id, "earned": done.earned_points, "burned": done.burned_points, "by": kinds}
    paper.write(json.dumps({**told, "stand_in": done.stand_in}) + "\n")


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
