"""Facts that cannot go the ordinary way: written to a file, read from receipts, salvaged from a damaged disk."""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from google.protobuf.message import DecodeError

from tallystick.security.keys import SigningKey
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import store_pb2
from tallystick.wire.advices import ADVICE_BYTES_MAX, Unreadable, from_digits, parse_advice
from tallystick_till.db import TillDb
from tallystick_till.errors import OutboxNotEmpty, TillError
from tallystick_till.ports import Gateway
from tallystick_till.receipt import signed_advice

RECOVER_COUNT_MAX = 100
RECOVER_BYTES_MAX = 200 * 1024
LINE_CHARS_MAX = 2 * ADVICE_BYTES_MAX
SIGNATURE_BYTES = 64


class NoAdvice(TillError):
    """A text is no advice: neither a line of an export nor the digits of a receipt."""

    def __init__(self, line_no: int) -> None:
        super().__init__(
            "NO_ADVICE",
            f"Line {line_no} is neither a line of an export nor the digits of a receipt.",
            {"line_no": str(line_no)},
        )


def require_drained(db: TillDb, action: str) -> None:
    """Raise ``OutboxNotEmpty`` while anything waits: reset, sign-off and upgrades would lose it."""
    queued = db.number("SELECT count(*) FROM advice WHERE verdict_kind = 0")
    queued += db.number("SELECT count(*) FROM sale WHERE status = 'asking'")
    if queued:
        raise OutboxNotEmpty(action, queued)


def export_unsent(db: TillDb, key: SigningKey) -> list[str]:
    """Return all that waits, one line of JSON for each advice, each with a signature of its own."""
    rows = db.read("SELECT raw FROM advice WHERE verdict_kind = 0 ORDER BY epoch, seq")
    return [to_line(signed_advice(key, bytes(row[0]))) for row in rows]


def salvage(path: Path, key: SigningKey) -> list[str]:
    """Return what can still be read of the unsent advices in a damaged file, as ``export_unsent`` does.

    The file is opened read-only and row by row: one damaged page takes only the advices on it.
    """
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    lines: list[str] = []
    try:
        for place in _places(connection):
            try:
                row = connection.execute(
                    "SELECT raw FROM advice WHERE epoch = ? AND seq = ?", place
                ).fetchone()
            except sqlite3.DatabaseError:
                continue
            if row is not None:
                lines.append(to_line(signed_advice(key, bytes(row[0]))))
    finally:
        connection.close()
    return lines


def _places(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Return where unsent advices stand, by the index, which is apart from them, as far as it can be read."""
    places: list[tuple[int, int]] = []
    try:
        for epoch, seq in connection.execute(
            "SELECT epoch, seq FROM advice INDEXED BY advice_unsent WHERE verdict_kind = 0 ORDER BY epoch, seq"
        ):
            places.append((int(epoch), int(seq)))
    except sqlite3.DatabaseError:
        return places
    return places


def to_line(signed: pb.SignedAdvice) -> str:
    """Return a signed advice as one line of an export."""
    return json.dumps(
        {
            "advice": base64.b64encode(signed.advice).decode(),
            "signature": base64.b64encode(signed.signature).decode(),
        }
    )


def read_lines(lines: Iterable[str]) -> list[pb.SignedAdvice]:
    """Read lines of exports and the digits of receipts, mixed as they come. Raises ``NoAdvice``."""
    found = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text:
            found.append(_read_line(text, number))
    return found


def _read_line(text: str, number: int) -> pb.SignedAdvice:
    try:
        signed = _from_json(text) if text.startswith("{") else _from_receipt(text)
        parse_advice(signed.advice)
    except (ValueError, KeyError, TypeError, binascii.Error, DecodeError, Unreadable):
        raise NoAdvice(number) from None
    if len(signed.signature) != SIGNATURE_BYTES:
        raise NoAdvice(number)
    return signed


def _from_json(text: str) -> pb.SignedAdvice:
    if len(text) > LINE_CHARS_MAX:
        raise ValueError("too long")
    fields = json.loads(text)
    return pb.SignedAdvice(
        advice=base64.b64decode(fields["advice"], validate=True),
        signature=base64.b64decode(fields["signature"], validate=True),
    )


def _from_receipt(text: str) -> pb.SignedAdvice:
    raw = from_digits(text.replace(" ", ""))
    if raw is None:
        raise ValueError("no digits")
    return pb.SignedAdvice.FromString(raw)


def recover(gateway: Gateway, advices: Sequence[pb.SignedAdvice]) -> list[pb.Verdict]:
    """Hand advices in, a few at a time, and return the verdict on each. Those that are known change nothing.

    Raises ``GatewayAway`` or ``GatewayRefused``; doing it all again is safe.
    """
    verdicts: list[pb.Verdict] = []
    batch: list[pb.SignedAdvice] = []
    size = 0
    for advice in advices:
        if batch and (len(batch) >= RECOVER_COUNT_MAX or size + advice.ByteSize() > RECOVER_BYTES_MAX):
            verdicts += _hand_in(gateway, batch)
            batch, size = [], 0
        batch.append(advice)
        size += advice.ByteSize()
    return verdicts + (_hand_in(gateway, batch) if batch else [])


def _hand_in(gateway: Gateway, batch: list[pb.SignedAdvice]) -> list[pb.Verdict]:
    return list(gateway.recover(store_pb2.RecoverAdvicesRequest(advices=batch)).verdicts)
