"""A till's chain of advices: which one comes next, when a chain has forked, and what each is answered.

Pure, so that the gateway, the simulator and the planted faults all run the same few lines.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from enum import Enum, IntEnum

from tallystick.core.chain import GENESIS
from tallystick.core.command import SettleSale
from tallystick.core.entry import Entry, Refusal, Refused
from tallystick.core.ids import Ms
from tallystick.core.record import record
from tallystick.core.returns import OVER_RETURN

FENCES_MAX = 3
"""So many forks within ``FENCES_WITHIN_MS`` suspend a till: two clones would fence each other for ever."""

FENCES_WITHIN_MS = 24 * 3600 * 1000
EPOCH_MAX = 1_000_000
"""No till comes to so many epochs: its forks suspend it. What a till claims beyond is not believed."""

CLOCK_SLACK_MS = 120_000
"""How far a till's time may lie outside of what is possible before it is noted."""

CLOCK_CORRECTED = "clock_corrected"


class TillStatus(IntEnum):
    """Whether a till's chain is trusted. The numbers are those of the contract."""

    TRUSTED = 1
    SUSPENDED = 2


class VerdictKind(IntEnum):
    """The gateway's answer to an advice. The numbers are those of the contract."""

    POSTED = 1
    ADJUSTED = 2
    PARKED = 3
    QUARANTINED = 4


class VerdictReason(IntEnum):
    """Why a verdict is not plainly posted. The numbers are those of the contract."""

    POINTS_DIFFER = 1
    SHORTFALL = 2
    CLOCK = 3
    SALE_UNKNOWN = 4
    MEMBER_UNKNOWN = 5
    RULE_SET_UNKNOWN = 6
    OVER_RETURN = 7
    IDENTIFIER_TAKEN = 8
    FORKED = 9
    FENCED = 10
    BAD_SIGNATURE = 11
    TILL_REVOKED = 12
    UNREADABLE = 13
    INVALID = 14
    ID_REUSED = 15


@record(frozen=True, slots=True)
class Verdict:
    """The answer to one advice: what became of it, why, and what was posted.

    ``member_seq`` is the member's entry that holds the posting (0: nothing was posted).
    """

    kind: VerdictKind
    reasons: tuple[VerdictReason, ...] = ()
    member_seq: int = 0
    earned_points: int = 0
    shortfall_points: int = 0
    details: tuple[tuple[str, str], ...] = ()


@record(frozen=True, slots=True)
class TillChain:
    """What the gateway has of one till.

    ``acked_seq`` is the last position of ``epoch`` that it holds and ``head`` the hash there. ``fenced_ms`` are the
    latest forks, ``fences`` counts all. ``contact_ms`` is when it was last heard of and ``drained_ms`` when its
    outbox was last empty: nothing that it reports can have happened before. ``queued`` and ``floor_points`` are what
    it said then.
    """

    till_id: str
    store_id: str
    epoch: int = 1
    acked_seq: int = 0
    head: bytes = GENESIS
    status: TillStatus = TillStatus.TRUSTED
    fenced_ms: tuple[Ms, ...] = ()
    fences: int = 0
    contact_ms: Ms = Ms(0)
    drained_ms: Ms = Ms(0)
    queued: int = 0
    floor_points: int = 0


@record(frozen=True, slots=True)
class Slot:
    """An advice's place in its till's chain. ``digest`` is the SHA-256 of its bytes ``raw``."""

    till_id: str
    store_id: str
    epoch: int
    seq: int
    prev_hash: bytes
    digest: bytes
    raw: bytes


def digest_of(raw: bytes) -> bytes:
    """Return an advice's hash: the SHA-256 (32 bytes) of its bytes."""
    return hashlib.sha256(raw).digest()


def item_id_of(digest: bytes) -> str:
    """Return the id (a UUID of version 8) under which an advice lies in the inbox."""
    raw = bytearray(digest[:16])
    raw[6] = (raw[6] & 0x0F) | 0x80
    raw[8] = (raw[8] & 0x3F) | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))


class Admission(Enum):
    """Where an advice stands to the chain that the gateway has."""

    NEXT = "next"
    REPLAY = "replay"
    FORK = "fork"
    FENCED = "fenced"
    GAP = "gap"


def admit(chain: TillChain, slot: Slot, *, known: bool) -> Admission:
    """Say what an advice is to the chain; ``known`` says whether its id has an answer.

    A position that the gateway has not reached yet is a gap: the till sends from where the gateway is. A later epoch
    is taken from its beginning: only a gateway begins one, so it was restored to before that.
    """
    if slot.epoch > chain.epoch:
        begins = slot.seq == 1 and slot.prev_hash == GENESIS and slot.epoch <= EPOCH_MAX
        return Admission.NEXT if begins else Admission.GAP
    if slot.epoch < chain.epoch:
        return Admission.REPLAY if known else Admission.FENCED
    if slot.seq <= chain.acked_seq:
        return Admission.REPLAY if known else Admission.FORK
    if slot.seq > chain.acked_seq + 1:
        return Admission.GAP
    return Admission.NEXT if slot.prev_hash == chain.head else Admission.FORK


def advance(chain: TillChain, slot: Slot) -> TillChain:
    """Move the watermark over an advice that is next."""
    return replace(chain, epoch=slot.epoch, acked_seq=slot.seq, head=slot.digest)


def fence(chain: TillChain, now_ms: Ms) -> TillChain:
    """End the chain's epoch after a fork; suspend the till when that happens too often."""
    recent = (*(at for at in chain.fenced_ms if at > now_ms - FENCES_WITHIN_MS), now_ms)
    status = TillStatus.SUSPENDED if len(recent) >= FENCES_MAX else chain.status
    return replace(
        chain,
        epoch=chain.epoch + 1,
        acked_seq=0,
        head=GENESIS,
        fenced_ms=recent,
        fences=chain.fences + 1,
        status=status,
    )


def reinstate(chain: TillChain) -> TillChain:
    """Trust a suspended till again, in a new epoch."""
    if chain.status is TillStatus.TRUSTED:
        return chain
    return replace(
        chain,
        epoch=chain.epoch + 1,
        acked_seq=0,
        head=GENESIS,
        fenced_ms=(),
        status=TillStatus.TRUSTED,
    )


def bounded_ms(told_ms: int, drained_ms: Ms, now_ms: Ms) -> Ms:
    """Bound a till's time to [its outbox last empty, now]."""
    return Ms(min(max(told_ms, drained_ms), now_ms))


def verdict_of_request(entry: Entry, advice: SettleSale) -> Verdict:
    """Return the verdict on a sale that had been posted as a request, before the till reported it as a fact."""
    verdict = verdict_of_entry(replace(entry, claimed_points=advice.earned_points))
    if entry.moves.burned != advice.burned_points and VerdictReason.POINTS_DIFFER not in verdict.reasons:
        reasons = (VerdictReason.POINTS_DIFFER, *verdict.reasons)
        return replace(verdict, kind=VerdictKind.ADJUSTED, reasons=reasons)
    return verdict


def verdict_of_entry(entry: Entry, *, clock_off: bool = False) -> Verdict:
    """Return the verdict on an advice that was posted as this entry: the same whenever it is asked."""
    earned = max(0, -entry.moves.issued)
    reasons = []
    if entry.claimed_points not in (-1, earned):
        reasons.append(VerdictReason.POINTS_DIFFER)
    if entry.shortfall:
        reasons.append(VerdictReason.SHORTFALL)
    if any(part.code == OVER_RETURN for part in entry.detail.explanations):
        reasons.append(VerdictReason.OVER_RETURN)
    kind = VerdictKind.ADJUSTED if reasons else VerdictKind.POSTED
    if clock_off:
        reasons.append(VerdictReason.CLOCK)
    return Verdict(kind, tuple(reasons), entry.seq, earned, entry.shortfall)


_PARKED = {
    Refusal.MEMBER_UNKNOWN: VerdictReason.MEMBER_UNKNOWN,
    Refusal.RULE_SET_UNKNOWN: VerdictReason.RULE_SET_UNKNOWN,
    Refusal.SALE_UNKNOWN: VerdictReason.SALE_UNKNOWN,
    Refusal.ENTRY_UNKNOWN: VerdictReason.SALE_UNKNOWN,
}


def verdict_of_refusal(no: Refused) -> Verdict:
    """Return the verdict on a fact that could not be posted: parked when what it needs may yet arrive."""
    details = (("refusal", no.reason.name), *no.details)
    if no.reason in _PARKED:
        return Verdict(VerdictKind.PARKED, (_PARKED[no.reason],), details=details)
    reused = no.reason is Refusal.COMMAND_ID_REUSED
    reason = VerdictReason.ID_REUSED if reused else VerdictReason.INVALID
    return Verdict(VerdictKind.QUARANTINED, (reason,), details=details)


def quarantined(reason: VerdictReason, **details: str) -> Verdict:
    """Return the verdict on an advice that a person must look at."""
    return Verdict(VerdictKind.QUARANTINED, (reason,), details=tuple(details.items()))
