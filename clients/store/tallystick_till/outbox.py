"""The outbox: what has happened and the gateway has not answered. Durable, gap-free, in order.

Nothing leaves it without a verdict, and nothing is said to a customer that is not in it.
"""

from __future__ import annotations

import logging
import sqlite3

from tallystick.core.advice import VerdictKind, VerdictReason, digest_of, item_id_of
from tallystick.core.chain import GENESIS
from tallystick.core.record import record
from tallystick.security.envelope import BATCH, sign_body
from tallystick.security.keys import SigningKey
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import store_pb2
from tallystick.wire.advices import (
    ADVICE_BYTES_MAX,
    Unreadable,
    batch_message,
    bytes_of,
    id_text,
    parse_advice,
)
from tallystick_till.challenges import met
from tallystick_till.clock import TillClock
from tallystick_till.db import Row, TillDb
from tallystick_till.errors import OUTBOX_CORRUPT, CannotSell, SaleRefused
from tallystick_till.facts import Facts
from tallystick_till.types import Attention, ChallengeMetView, QueueItem

BATCH_COUNT_MAX = 500
BATCH_BYTES_MAX = 200 * 1024
QUEUE_MAX = 200
UNTOLD_MAX = 50
KEEP_DAYS = 30
"""How long an advice is kept after its verdict, so that a gateway that lost its last days can be given them again."""

PAUSE_MS = 1_000
"""How long nothing is sent after an answer that moved nothing."""

PRUNE_EVERY_MS = 86_400_000
PRUNE_MAX = 5_000
_STATES = {1: "posted", 2: "adjusted", 3: "parked", 4: "quarantined"}
_KINDS = {"sale": "sale", "goods_return": "return", "undo": "undo", "enrolment": "enrol"}

_log = logging.getLogger(__name__)


@record(frozen=True, slots=True)
class Appended:
    """An advice in its place of the chain."""

    raw: bytes
    epoch: int
    seq: int


@record(frozen=True, slots=True)
class Untold:
    """An adjustment that was read: the advice, and its item in the gateway's inbox."""

    advice_id: str
    item_id: str


class Outbox:
    """One till's chain of advices.

    ``broken`` is the first place where the chain on the disk does not hold: what stands before it is still sent, and
    nothing is appended.
    """

    def __init__(self, db: TillDb, facts: Facts, clock: TillClock, *, key: SigningKey, till_id: str) -> None:
        self._db = db
        self._facts = facts
        self._clock = clock
        self._key = key
        self._till_id = till_id
        self._asked = False
        self._pause_until = 0
        self.broken = self._find_break()

    @property
    def restored(self) -> bool:
        """Whether the gateway has advices of this till that this file does not hold: it is a copy or a backup."""
        return bool(self._db.get_int("restored"))

    @property
    def behind(self) -> bool:
        """Whether the gateway lacks advices that this file has pruned, so that nothing after them can go up."""
        return bool(self._db.get_int("behind"))

    def append(
        self,
        tx: sqlite3.Connection,
        advice: pb.Advice,
        *,
        told_points: int = 0,
        floor_points: int = 0,
    ) -> Appended:
        """Give an advice its place and keep its bytes, as part of the caller's transaction."""
        if self.broken:
            raise CannotSell(OUTBOX_CORRUPT)
        epoch, last, head = tx.execute("SELECT epoch, seq, head FROM chain").fetchone()
        advice.till_id = self._till_id
        advice.epoch, advice.seq, advice.prev_hash = epoch, last + 1, bytes(head)
        advice.clock.CopyFrom(self._clock.reading())
        raw = bytes_of(advice)
        if len(raw) > ADVICE_BYTES_MAX:
            raise SaleRefused("BASKET_INVALID", details={"bytes": str(len(raw))})
        digest = digest_of(raw)
        tx.execute(
            "INSERT INTO advice (epoch, seq, advice_id, raw, digest, kind, member_id, occurred_ms, reference,"
            " told_points, floor_points, floor_open) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                epoch,
                last + 1,
                id_text(advice.advice_id),
                raw,
                digest,
                _KINDS[advice.WhichOneof("fact") or ""],
                id_text(advice.member_id),
                advice.clock.occurred_ms,
                advice.reference,
                told_points,
                floor_points,
                floor_points,
            ),
        )
        tx.execute("UPDATE chain SET seq = ?, head = ?", (last + 1, digest))
        return Appended(raw, epoch, last + 1)

    def queued(self) -> int:
        """Return how many advices have no verdict."""
        return self._db.number("SELECT count(*) FROM advice WHERE verdict_kind = 0")

    def floor_open(self, member_id: str = "") -> int:
        """Return what was burned within the floor limit since the outbox was last empty, by one member or in all."""
        if member_id:
            return self._db.number(
                "SELECT sum(floor_open) FROM advice WHERE member_id = ? AND floor_open > 0", member_id
            )
        return self._db.number("SELECT sum(floor_open) FROM advice WHERE floor_open > 0")

    def next_batch(
        self, max_count: int = BATCH_COUNT_MAX, max_bytes: int = BATCH_BYTES_MAX
    ) -> store_pb2.PushAdvicesRequest | None:
        """Return what to send next: consecutive advices of one epoch. None when there is nothing to say.

        The first request after a start is sent even when it is empty: its answer shows whether this file is the
        till's newest.
        """
        if self._clock.monotonic_ms() < self._pause_until:
            return None
        floor_points = self._db.number("SELECT sum(floor_points) FROM advice WHERE verdict_kind = 0")
        rows = self._next_rows(max_count, max_bytes)
        if not rows:
            if self._asked:
                return None
            epoch, last, _ = self._chain()
            return store_pb2.PushAdvicesRequest(
                epoch=epoch, first_seq=last + 1, floor_points=floor_points, queued_after=self.queued()
            )
        epoch, first_seq = int(rows[0][0]), int(rows[0][1])
        raws = [bytes(row[2]) for row in rows]
        before = parse_advice(raws[0]).prev_hash
        message = batch_message(
            till_id=self._till_id,
            epoch=epoch,
            first_seq=first_seq,
            count=len(rows),
            prev_hash=before,
            head=bytes(rows[-1][3]),
        )
        return store_pb2.PushAdvicesRequest(
            epoch=epoch,
            first_seq=first_seq,
            advices=raws,
            signature=sign_body(self._key, BATCH, message),
            queued_after=self.queued() - sum(row[4] == 0 for row in rows),
            floor_points=floor_points,
            prev_hash=before,
        )

    def _next_rows(self, max_count: int, max_bytes: int) -> list[Row]:
        first = self._db.one(
            "SELECT epoch, seq FROM advice WHERE verdict_kind = 0 ORDER BY epoch, seq LIMIT 1"
        )
        again = self._resend_from()
        if again is not None and (first is None or again < (first[0], first[1])):
            first = again
        if first is None:
            return []
        rows = self._db.read(
            "SELECT epoch, seq, raw, digest, verdict_kind FROM advice WHERE epoch = ? AND seq >= ?"
            " ORDER BY seq LIMIT ?",
            first[0],
            first[1],
            max(1, min(max_count, BATCH_COUNT_MAX)),
        )
        batch: list[Row] = []
        size = 0
        for row in rows:
            size += len(row[2]) + 8
            gap = bool(batch) and row[1] != batch[-1][1] + 1
            if gap or (batch and size > max_bytes) or (self.broken and (row[0], row[1]) >= self.broken):
                break
            batch.append(row)
        return batch

    def take_verdicts(
        self, request: store_pb2.PushAdvicesRequest, response: store_pb2.PushAdvicesResponse
    ) -> None:
        """Keep the verdicts of a batch and what the gateway says of the chain, in one transaction."""
        now_ms = int(self._clock.now_ms())
        self._asked = True
        before = self._resend_from()
        with self._db.write() as tx:
            for at, verdict in enumerate(response.verdicts[: len(request.advices)]):
                self._keep_verdict(tx, request.epoch, request.first_seq + at, verdict, now_ms)
            self._follow(tx, response)
            self._resend(tx, request, response)
            self._note_behind(tx, response)
            again = self._resend_from()
            moved = bool(response.verdicts) or again not in (None, before)
            waiting = tx.execute("SELECT count(*) FROM advice WHERE verdict_kind = 0").fetchone()[0]
            if not moved and (waiting or again):
                # Sending the same again at once would end nothing.
                self._pause_until = self._clock.monotonic_ms() + PAUSE_MS
            if not waiting:
                tx.execute("UPDATE advice SET floor_open = 0 WHERE floor_open > 0")
            self._prune(tx, now_ms)

    def _keep_verdict(
        self, tx: sqlite3.Connection, epoch: int, seq: int, verdict: pb.Verdict, now_ms: int
    ) -> None:
        if verdict.kind not in _STATES or verdict.seq not in (0, seq):
            return
        row = tx.execute("SELECT advice_id FROM advice WHERE epoch = ? AND seq = ?", (epoch, seq)).fetchone()
        if row is None:
            return
        tx.execute(
            "UPDATE advice SET verdict = ?, verdict_kind = ?, answered_ms = ?, seen = min(seen, 1)"
            " WHERE epoch = ? AND seq = ?",
            (bytes_of(verdict), int(verdict.kind), now_ms, epoch, seq),
        )
        self._facts.answered(tx, row[0], int(verdict.kind), verdict.member_seq)

    def _follow(self, tx: sqlite3.Connection, response: store_pb2.PushAdvicesResponse) -> None:
        """Compare the gateway's end of the chain with this file's."""
        epoch, last, _ = tx.execute("SELECT epoch, seq, head FROM chain").fetchone()
        restored = False
        if response.epoch > epoch:
            epoch, last = response.epoch, 0
            tx.execute("UPDATE chain SET epoch = ?, seq = 0, head = ?", (epoch, GENESIS))
        if response.epoch == epoch:
            own = tx.execute(
                "SELECT digest FROM advice WHERE epoch = ? AND seq = ?", (epoch, response.acked_seq)
            ).fetchone()
            restored = response.acked_seq > last or (own is not None and own[0] != response.acked_hash)
            self._db.put("restored", int(restored))

    def _resend(
        self,
        tx: sqlite3.Connection,
        request: store_pb2.PushAdvicesRequest,
        response: store_pb2.PushAdvicesResponse,
    ) -> None:
        """When the gateway has less than it had acknowledged (it was restored), begin again where it is."""
        epoch = tx.execute("SELECT epoch FROM chain").fetchone()[0]
        place: Row | None = None
        if response.epoch == epoch:
            confirmed = tx.execute(
                "SELECT max(seq) FROM advice WHERE epoch = ? AND verdict_kind > 0", (epoch,)
            ).fetchone()[0]
            if confirmed is not None and response.acked_seq < confirmed:
                place = (epoch, response.acked_seq + 1)
        elif response.epoch < epoch:
            place = self._lost_from(tx, request, response)
        self._db.put("resend_from", f"{place[0]},{place[1]}".encode() if place else b"")

    def _lost_from(
        self,
        tx: sqlite3.Connection,
        request: store_pb2.PushAdvicesRequest,
        response: store_pb2.PushAdvicesResponse,
    ) -> Row | None:
        """Return where to begin again with a gateway that has lost the epoch it had begun; None without anything.

        Where it has another past than this file, the fork is among what it has: everything is shown to it once more.
        """
        last = tx.execute(
            "SELECT digest FROM advice WHERE epoch = ? AND seq = ?", (response.epoch, response.acked_seq)
        ).fetchone()
        one_past = last is not None and last[0] == response.acked_hash
        seq = response.acked_seq + 1 if one_past else 1
        if response.verdicts and request.epoch == response.epoch:
            seq = max(seq, request.first_seq + len(response.verdicts))
        found: Row | None = tx.execute(
            "SELECT epoch, seq FROM advice WHERE (epoch = ? AND seq BETWEEN ? AND ?) OR (epoch > ? AND seq = 1)"
            " ORDER BY epoch, seq LIMIT 1",
            (response.epoch, seq, response.acked_seq + 1, response.epoch),
        ).fetchone()
        return found

    def _note_behind(self, tx: sqlite3.Connection, response: store_pb2.PushAdvicesResponse) -> None:
        """Note whether the gateway waits for something that this file has pruned: it was restored from long ago."""
        epoch, last = tx.execute("SELECT epoch, seq FROM chain").fetchone()
        if response.epoch == epoch:
            wanted = response.acked_seq + 1
            kept = tx.execute("SELECT 1 FROM advice WHERE epoch = ? AND seq = ?", (epoch, wanted)).fetchone()
            behind = wanted <= last and kept is None
        else:
            behind = last > 0 and self._resend_from() is None
        if behind and not self.behind:
            _log.warning(
                "the gateway was restored from an older backup than what this till has kept: it waits for epoch %d, "
                "place %d, and what is queued cannot go up",
                response.epoch,
                response.acked_seq + 1,
            )
        self._db.put("behind", int(behind))

    def _resend_from(self) -> tuple[int, int] | None:
        raw = self._db.get("resend_from")
        if not raw:
            return None
        epoch, seq = raw.decode().split(",")
        return int(epoch), int(seq)

    def _prune(self, tx: sqlite3.Connection, now_ms: int) -> None:
        """Once a day drop what was answered long ago and needs nobody. By a clock that is trusted, or not at all."""
        if not self._clock.trusted() or now_ms - self._db.get_int("pruned_ms") < PRUNE_EVERY_MS:
            return
        self._db.put("pruned_ms", now_ms)
        tx.execute(
            "DELETE FROM advice WHERE (epoch, seq) IN (SELECT epoch, seq FROM advice WHERE verdict_kind > 0"
            " AND answered_ms < ? AND floor_open = 0"
            " AND (verdict_kind = 1 OR seen = 2 OR (seen = 1 AND verdict_kind > 2)) LIMIT ?)",
            (now_ms - KEEP_DAYS * 86_400_000, PRUNE_MAX),
        )

    def _chain(self) -> Row:
        row = self._db.one("SELECT epoch, seq, head FROM chain")
        assert row is not None, "the chain's row is made with the file"
        return row

    def _find_break(self) -> tuple[int, int] | None:
        """Return the first unsent place where hash, order or content do not fit, None when all is well."""
        if self._db.fault:
            return None
        rows = self._db.read(
            "SELECT epoch, seq, raw, digest FROM advice WHERE verdict_kind = 0 ORDER BY epoch, seq"
        )
        before: Row | None = None
        for row in rows:
            epoch, seq, raw, digest = int(row[0]), int(row[1]), bytes(row[2]), bytes(row[3])
            try:
                advice = parse_advice(raw)
            except Unreadable:
                return epoch, seq
            prev = self._digest_before(epoch, seq, before)
            fits = (advice.epoch, advice.seq) == (epoch, seq) and digest_of(raw) == digest
            if not fits or (prev is not None and advice.prev_hash != prev):
                return epoch, seq
            if before is not None and before[0] == epoch and seq != before[1] + 1:
                return epoch, seq
            before = row
        chain = self._chain()
        if before is not None and before[0] == chain[0] and (before[1], before[3]) != (chain[1], chain[2]):
            return int(before[0]), int(before[1]) + 1
        return None

    def _digest_before(self, epoch: int, seq: int, before: Row | None) -> bytes | None:
        if seq == 1:
            return GENESIS
        if before is not None and (before[0], before[1]) == (epoch, seq - 1):
            return bytes(before[3])
        row = self._db.one("SELECT digest FROM advice WHERE epoch = ? AND seq = ?", epoch, seq - 1)
        return bytes(row[0]) if row else None

    def attention(self) -> Attention:
        """Return how many verdicts that need somebody's eye nobody has read."""
        rows = self._db.read(
            "SELECT verdict_kind, count(*) FROM advice WHERE verdict_kind > 1 AND seen = 0 GROUP BY 1"
        )
        counts = {int(row[0]): int(row[1]) for row in rows}
        return Attention(
            counts.get(VerdictKind.ADJUSTED, 0),
            counts.get(VerdictKind.PARKED, 0),
            counts.get(VerdictKind.QUARANTINED, 0),
        )

    def mark_seen(self, advice_id: str) -> None:
        """Note that somebody has read a verdict."""
        with self._db.write() as tx:
            tx.execute(
                "UPDATE advice SET seen = 1 WHERE advice_id = ? AND verdict_kind > 1 AND seen = 0",
                (advice_id,),
            )

    def untold(self) -> list[Untold]:
        """Return adjustments that somebody has read here and the gateway does not know of, the oldest first."""
        rows = self._db.read(
            "SELECT advice_id, digest FROM advice WHERE verdict_kind = 2 AND seen = 1 ORDER BY epoch, seq LIMIT ?",
            UNTOLD_MAX,
        )
        return [Untold(str(row[0]), item_id_of(bytes(row[1]))) for row in rows]

    def note_told(self, advice_id: str) -> None:
        """Note that the gateway knows of it."""
        with self._db.write() as tx:
            tx.execute("UPDATE advice SET seen = 2 WHERE advice_id = ? AND seen = 1", (advice_id,))

    def items(self, limit: int) -> list[QueueItem]:
        """Return what needs an eye, then what waits, the oldest first."""
        rows = self._db.read(
            "SELECT advice_id, kind, occurred_ms, verdict_kind, verdict, told_points, seen, reference FROM advice"
            " WHERE verdict_kind = 0 OR (verdict_kind > 1 AND seen = 0)"
            " ORDER BY verdict_kind = 0, epoch, seq LIMIT ?",
            max(1, min(limit, QUEUE_MAX)),
        )
        return [_item(row) for row in rows]

    def state_of(self, advice_id: str) -> str:
        """Return queued, posted, adjusted, parked or quarantined; posted for what is not in the outbox any more."""
        row = self._db.one("SELECT verdict_kind FROM advice WHERE advice_id = ?", advice_id)
        return "posted" if row is None else _STATES.get(int(row[0]), "queued")

    def challenges_met(self, advice_id: str) -> tuple[ChallengeMetView, ...]:
        """Return the challenges that an advice has met by its verdict."""
        row = self._db.one("SELECT verdict FROM advice WHERE advice_id = ? AND verdict_kind > 0", advice_id)
        return () if row is None else met(pb.Verdict.FromString(bytes(row[0])).challenges_met)


def _item(row: Row) -> QueueItem:
    verdict = pb.Verdict.FromString(bytes(row[4])) if row[4] else pb.Verdict()
    return QueueItem(
        str(row[0]),
        str(row[1]),
        int(row[2]),
        _STATES.get(int(row[3]), "queued"),
        tuple(_reason(number) for number in verdict.reasons),
        int(row[5]),
        verdict.earned_points,
        bool(row[6]),
        str(row[7]),
        verdict.shortfall_points,
    )


def _reason(number: int) -> str:
    """Return a verdict's reason by name; a newer gateway may have more of them."""
    known = number in VerdictReason._value2member_map_
    return VerdictReason(number).name if known else f"REASON_{number}"
