"""A webshop with a database of its own: orders, and what is still to be posted, written in one transaction."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from tallystick_webshop import Away, Basket, HoldRef, Posting, Refused, Shop, new_id


class Orders:
    """The shop's order table and its queue in one file, as they are after a crash too."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        self._db.execute("create table if not exists orders (number text primary key, paid_minor int)")
        self._db.execute("create table if not exists queue (id text primary key, posting text, answer text)")

    def place(self, number: str, paid_minor: int, posting: Posting | None) -> bool:
        """Write an order and its posting together; False when the order is there already."""
        with self._db:
            if self._db.execute("select 1 from orders where number = ?", (number,)).fetchone():
                return False
            self._db.execute("insert into orders values (?, ?)", (number, paid_minor))
            if posting is not None:
                self._db.execute("insert into queue values (?, ?, '')", (posting.id, posting.to_json()))
        return True

    def drain(self, shop: Shop) -> list[str]:
        """Post what waits; return the answers, "posted" or the reason of a refusal. What has none stays."""
        said = []
        for posting_id, text in self._db.execute(
            "select id, posting from queue where answer = ''"
        ).fetchall():
            try:
                shop.post(Posting.from_json(text))
                answer = "posted"
            except Refused as refused:
                answer = refused.reason
            except Away:
                break
            with self._db:
                self._db.execute("update queue set answer = ? where id = ?", (answer, posting_id))
            said.append(answer)
        return said

    @property
    def waiting(self) -> int:
        return int(self._db.execute("select count(*) from queue where answer = ''").fetchone()[0])

    def close(self) -> None:
        self._db.close()


def capture_of(hold: HoldRef, basket: Basket, number: str, *, at: datetime | None = None) -> Posting:
    """What an order with a hold is to post."""
    return Posting.capture(new_id(), hold, basket, order=number, at=at or datetime.now(UTC))
