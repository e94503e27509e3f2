"""Members' codes at the till: checked with the gateway's public keys alone, and each of a device's codes once.

Which codes were used is in the till's file before a member is shown: neither a second scan nor a restart brings one
back. It is not synced, which would be most of what a cashier waits for: after a power cut the till does not know the
time until the gateway tells it, and what it cannot date burns nothing.
"""

from __future__ import annotations

from tallystick.core.basket import Assurance
from tallystick.core.ids import MemberId
from tallystick.core.record import record
from tallystick.security.code import (
    PSEUDONYM_KIND,
    REVOKED_KIND,
    Code,
    CodeReason,
    Scanned,
    open_code,
)
from tallystick_till.clock import TillClock
from tallystick_till.db import TillDb
from tallystick_till.errors import CannotSell
from tallystick_till.ports import Identity, Known, Snapshot
from tallystick_till.rulebook import Rulebook
from tallystick_till.types import NotIdentified

CODE_USES_MAX = 10_000
"""Most uses that are remembered at a time; each is for two minutes at most, and a counter sees two in that time."""

PRUNE_EVERY_MS = 30_000
"""How often uses are forgotten whose codes are too old by now."""

ERASED = 2


@record(frozen=True, slots=True)
class Shown:
    """The member whose code counts, and how sure it is."""

    known: Known
    assurance: Assurance


class CodeCheck:
    """Checks codes by the snapshot and the till's own time."""

    def __init__(
        self, *, db: TillDb, identity: Identity, snapshot: Snapshot, rulebook: Rulebook, clock: TillClock
    ) -> None:
        self._db = db
        self._identity = identity
        self._snapshot = snapshot
        self._rulebook = rulebook
        self._clock = clock
        self._kept = db.number("SELECT count(*) FROM code_use")
        self._prune_at_ms = 0

    def check(self, scanned: Scanned) -> Shown | NotIdentified:
        """Return whose code it is. A till that does not know the time for sure identifies and does no more.

        Of a pass with a password that rotates it can check the gateway's signature and the time, not the password:
        whoever can compute a time can add one to a picture of the pass, so it counts as a code that stands still.
        """
        code = open_code(
            scanned.raw, program_id=self._identity.program_id, server_keys=self._rulebook.server_keys
        )
        if isinstance(code, CodeReason):
            return NotIdentified(code.value)
        now_ms, trusted = self._clock.now_ms(), self._clock.trusted()
        stamp = scanned.stamp
        if code.rotating is not (stamp is not None):
            return NotIdentified(CodeReason.FORMAT.value)
        late = code.out_of_time(now_ms) or (stamp.out_of_time(now_ms) if stamp else None)
        if late is not None:
            return NotIdentified(late.value if trusted else CodeReason.CLOCK.value)
        known = self._member(code)
        if isinstance(known, NotIdentified):
            return known
        if code.device is None:
            return Shown(known, Assurance(code.level(now_ms)) if trusted else Assurance.TYPED)
        if self._revoked(known.member_id, code.device.kid):
            return NotIdentified("REVOKED")
        if self._was_used(code.device.kid, code.use):
            return NotIdentified("REPLAYED")
        sure = self._note_use(code, code.device.kid, now_ms, prune=trusted) and trusted
        return Shown(known, Assurance(code.level(now_ms)) if sure else Assurance.TYPED)

    def _member(self, code: Code) -> Known | NotIdentified:
        alive = [one for one in self._find(PSEUDONYM_KIND, code.pseudonym.hex()) if one.status != ERASED]
        if len(alive) != 1:
            return NotIdentified("AMBIGUOUS" if alive else "UNKNOWN")
        return alive[0]

    def _revoked(self, member_id: MemberId, kid: str) -> bool:
        return any(one.member_id == member_id for one in self._find(REVOKED_KIND, kid))

    def _find(self, kind: str, value: str) -> list[Known]:
        tag = self._rulebook.tag(kind, value)
        return [] if tag is None else self._snapshot.find(tag)

    def _was_used(self, kid: str, use: str) -> bool:
        return self._db.one("SELECT 1 FROM code_use WHERE device = ? AND use = ?", kid, use) is not None

    def _note_use(self, code: Code, kid: str, now_ms: int, *, prune: bool) -> bool:
        """Write the use down; False when it cannot be, and then the code may come a second time."""
        try:
            with self._db.write_unsynced() as tx:
                if prune and now_ms >= self._prune_at_ms:
                    tx.execute("DELETE FROM code_use WHERE until_ms <= ?", (now_ms,))
                    self._kept = self._db.number("SELECT count(*) FROM code_use")
                    self._prune_at_ms = now_ms + PRUNE_EVERY_MS
                if self._kept >= CODE_USES_MAX:
                    return False
                tx.execute("INSERT INTO code_use VALUES (?, ?, ?)", (kid, code.use, code.usable_until_ms))
        except CannotSell:
            return False
        self._kept += 1
        return True
