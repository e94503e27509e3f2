"""The sales that this till knows: its own, those in the making, and those whose receipts were brought here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from tallystick.core.basket import Basket
from tallystick.core.entry import LineShare, ReturnedLine
from tallystick.core.ids import CommandId, MemberId, Minor
from tallystick.core.record import record
from tallystick_till.db import Row, TillDb
from tallystick_till.outbox import Outbox
from tallystick_till.types import (
    AuthorityView,
    ChallengeMetView,
    Receipt,
    SaleAsk,
    SaleDone,
    SaleLine,
    SaleView,
)

ASKING, DONE, ELSEWHERE, GIVEN_UP = "asking", "done", "elsewhere", "given_up"
RECENT_MAX = 200
KEEP_DAYS = 400
"""How long a sale is kept here for returns: a year and some weeks."""


@record(frozen=True, slots=True)
class KeptSale:
    """A sale with all that a return needs. ``lines`` are sku and text of each share.

    ``met`` are the challenges that it met when the gateway decided it; of a reported one the verdict says it.
    """

    sale_id: CommandId
    member_id: MemberId
    occurred_ms: int
    reference: str
    rule_set: int
    earned: int
    burned: int
    discount_minor: int
    payable_minor: int
    shares: tuple[LineShare, ...]
    lines: tuple[tuple[str, str], ...]
    undo_id: str = ""
    met: tuple[ChallengeMetView, ...] = ()


def ask_hash(ask: SaleAsk) -> bytes:
    """Return what tells a resend from another sale with the same id. The basket's place on a screen does not count."""
    return hashlib.sha256(repr(dataclasses.replace(ask, sale_id="", basket_id="")).encode()).digest()


def lines_of(basket: Basket, texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return sku and text of each line."""
    padded = [*texts, *[""] * len(basket.lines)]
    return tuple((line.sku, text) for line, text in zip(basket.lines, padded, strict=False))


class SaleBook:
    """Keeps sales, returns and undos in the till's file."""

    def __init__(self, db: TillDb, outbox: Outbox) -> None:
        self._db = db
        self._outbox = outbox
        self._elsewhere: dict[CommandId, KeptSale] = {}

    def row(self, sale_id: str) -> Row | None:
        """Return status, ask_hash, request and record of a sale."""
        return self._db.one("SELECT status, ask_hash, request, record FROM sale WHERE sale_id = ?", sale_id)

    def note_asking(self, sale_id: CommandId, ask: SaleAsk, request: bytes, now_ms: int) -> None:
        """Keep a request before it is sent for the first time."""
        with self._db.write() as tx:
            tx.execute(
                "INSERT INTO sale (sale_id, status, ask_hash, member_id, occurred_ms, reference, request, record)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, '')",
                (sale_id, ASKING, ask_hash(ask), ask.member_ref, now_ms, ask.reference, request),
            )

    def drop_asking(self, sale_id: str) -> None:
        """Forget a request that the gateway refused: nothing has happened."""
        with self._db.write() as tx:
            tx.execute("DELETE FROM sale WHERE sale_id = ? AND status = ?", (sale_id, ASKING))

    def asking(self) -> list[tuple[CommandId, int, bytes]]:
        """Return the requests of which it is not known what the gateway did: id, when asked, bytes."""
        rows = self._db.read("SELECT sale_id, occurred_ms, request FROM sale WHERE status = ?", ASKING)
        return [(CommandId(row[0]), int(row[1]), bytes(row[2])) for row in rows]

    def give_up(self, tx: sqlite3.Connection, sale_id: CommandId) -> None:
        """Let nobody use the id of a request again whose outcome was undone."""
        tx.execute("UPDATE sale SET status = ?, request = x'' WHERE sale_id = ?", (GIVEN_UP, sale_id))

    def keep(self, tx: sqlite3.Connection, kept: KeptSale, answer: SaleDone, hash_of_ask: bytes) -> None:
        """Keep a sale that took place."""
        record = json.dumps({"sale": _sale_to_json(kept), "answer": dataclasses.asdict(answer)})
        self._insert(tx, kept, DONE, record, hash_of_ask)

    def _insert(
        self, tx: sqlite3.Connection, kept: KeptSale, status: str, record: str, hash_of_ask: bytes
    ) -> None:
        tx.execute(
            "INSERT OR REPLACE INTO sale"
            " (sale_id, status, ask_hash, member_id, occurred_ms, reference, request, record)"
            " VALUES (?, ?, ?, ?, ?, ?, x'', ?)",
            (
                kept.sale_id,
                status,
                hash_of_ask,
                kept.member_id,
                kept.occurred_ms,
                kept.reference,
                record,
            ),
        )

    def remember_elsewhere(self, kept: KeptSale) -> None:
        """Hold a sale of another till for as long as its receipt is at the counter."""
        if len(self._elsewhere) >= RECENT_MAX:
            self._elsewhere.pop(next(iter(self._elsewhere)))
        self._elsewhere[kept.sale_id] = kept

    def keep_elsewhere(self, tx: sqlite3.Connection, kept: KeptSale) -> None:
        """Keep a sale of another till, since goods of it came back here."""
        if self.find(kept.sale_id, own=False) is None or kept.sale_id in self._elsewhere:
            record = json.dumps({"sale": _sale_to_json(kept)})
            self._insert(tx, kept, ELSEWHERE, record, b"")

    def answer(self, record: str) -> SaleDone:
        """Return the answer that a sale got when it was made."""
        return _answer_from_json(json.loads(record)["answer"])

    def find(self, sale_id: str, *, own: bool) -> KeptSale | None:
        """Return a sale; with ``own`` only one that this till made."""
        row = self._db.one("SELECT status, record, undo_id FROM sale WHERE sale_id = ?", sale_id)
        if row is not None and (row[0] == DONE or (row[0] == ELSEWHERE and not own)):
            kept = _sale_from_json(json.loads(row[1])["sale"])
            return dataclasses.replace(kept, undo_id=str(row[2]))
        return None if own else self._elsewhere.get(CommandId(sale_id))

    def returned(self, sale_id: str) -> list[tuple[ReturnedLine, ...]]:
        """Return what came back of a sale at this till, by return."""
        rows = self._db.read(
            "SELECT record FROM give_back WHERE sale_id = ? ORDER BY occurred_ms, return_id", sale_id
        )
        return [
            tuple(ReturnedLine(line[0], line[1], Minor(line[2])) for line in json.loads(row[0])["returned"])
            for row in rows
        ]

    def view(self, kept: KeptSale) -> SaleView:
        """Return a sale as the screen shows it."""
        back: dict[int, int] = {}
        for lines in self.returned(kept.sale_id):
            for line in lines:
                back[line.line_no] = back.get(line.line_no, 0) + line.quantity_milli
        return SaleView(
            kept.sale_id,
            kept.occurred_ms,
            kept.reference,
            kept.member_id,
            sum(share.amount_minor for share in kept.shares),
            kept.earned,
            kept.burned,
            kept.discount_minor,
            kept.payable_minor,
            tuple(
                SaleLine(
                    number,
                    sku,
                    text,
                    share.quantity_milli,
                    share.amount_minor,
                    share.discount_minor,
                    back.get(number, 0),
                )
                for number, (share, (sku, text)) in enumerate(zip(kept.shares, kept.lines, strict=True), 1)
            ),
            bool(kept.undo_id),
            self._outbox.state_of(kept.sale_id),
            kept.met or self._outbox.challenges_met(kept.sale_id),
        )

    def recent(self, limit: int) -> list[SaleView]:
        """Return this till's sales, the last one made first: its clock may have been ahead for a while."""
        rows = self._db.read(
            "SELECT sale_id FROM sale WHERE status = ? ORDER BY rowid DESC LIMIT ?",
            DONE,
            max(1, min(limit, RECENT_MAX)),
        )
        found = [self.find(str(row[0]), own=True) for row in rows]
        return [self.view(kept) for kept in found if kept is not None]

    def prune(self, now_ms: int) -> None:
        """Drop sales that are too old to be returned, by a time that is trusted."""
        with self._db.write() as tx:
            before = now_ms - KEEP_DAYS * 86_400_000
            tx.execute(
                "DELETE FROM sale WHERE occurred_ms < ? AND status != ? AND NOT EXISTS"
                " (SELECT 1 FROM advice WHERE advice_id = sale_id)",
                (before, ASKING),
            )
            tx.execute("DELETE FROM give_back WHERE sale_id NOT IN (SELECT sale_id FROM sale)")


def _sale_to_json(kept: KeptSale) -> dict[str, Any]:
    return {**dataclasses.asdict(kept), "shares": [list(share) for share in kept.shares]}


def _sale_from_json(fields: dict[str, Any]) -> KeptSale:
    shares = tuple(LineShare(*share) for share in fields["shares"])
    lines = tuple((str(sku), str(text)) for sku, text in fields["lines"])
    met = tuple(ChallengeMetView(**one) for one in fields.get("met", ()))
    return KeptSale(**{**fields, "shares": shares, "lines": lines, "met": met})


def _answer_from_json(fields: dict[str, Any]) -> SaleDone:
    receipt = Receipt(tuple(fields["receipt"]["lines"]), fields["receipt"]["qr"])
    authority = tuple(AuthorityView(**part) for part in fields["authority"])
    return SaleDone(**{**fields, "receipt": receipt, "authority": authority})
