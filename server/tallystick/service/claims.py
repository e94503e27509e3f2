"""Claims: a guest's sale is kept, and whoever has its link can have its points later.

The claim's id is the id of its sale, so the ledger posts it once whatever happens here. The row says who may: it names
the member before the sale goes down the lane. A process that dies between the two leaves a claim that is taken and not
posted; the next request for it, by the member or to cancel it, posts the very same sale.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from enum import Enum

from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.core.basket import Assurance, Basket, Channel, Origin
from tallystick.core.command import Sale
from tallystick.core.entry import Decision, Entry, Posted, Refused
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.security.encoding import length_prefixed
from tallystick.service.balances import Balances
from tallystick.service.business_time import Window
from tallystick.service.claim_store import NOBODY, Claim, ClaimState, ClaimStore
from tallystick.service.errors import AlreadyExists, InvalidInput, NotFound
from tallystick.service.lane import Lane
from tallystick.service.ports import LedgerReader
from tallystick.service.reads import ReadPool
from tallystick.service.submission import Answer, Submission
from tallystick.v1 import types_pb2
from tallystick.wire.basket import basket_from_pb, basket_to_pb

CLAIM_TTL_MS = 90 * 86_400_000
FORGOTTEN_AFTER_MS = 30 * 86_400_000
"""How long a claim is kept behind its end, so that whoever comes too late is told so."""

CODE_CHARS = 26
"""Of base32: 130 bits. Nobody guesses one, however fast the pipeline lets them try."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_PURPOSE = b"tallystick claim code v1"


class NoClaim(Enum):
    """Why there is no sale; the numbers are those of the contract's ``ClaimRefusal``."""

    UNKNOWN = 1
    TAKEN = 2
    OVER = 3


@record(frozen=True, slots=True)
class Made:
    """A claim with the secret of its link. ``url`` is empty when the gateway does not know its public address."""

    claim: Claim
    code: str
    url: str


class Claims:
    """The use cases around claims; from the event loop only. ``code_key`` is what codes are drawn from.

    A code follows from the key and the claim's id: a repeated request gets the same one, and only its hash is kept.
    """

    def __init__(
        self,
        store: ClaimStore,
        reader: LedgerReader,
        balances: Balances,
        lane: Lane,
        pool: ReadPool,
        *,
        code_key: Callable[[], bytes],
        now_ms: Callable[[], Ms],
        public_url: str,
    ) -> None:
        self._store = store
        self._reader = reader
        self._balances = balances
        self._lane = lane
        self._pool = pool
        self._code_key = code_key
        self._now_ms = now_ms
        self._public_url = public_url.rstrip("/")

    async def create(
        self,
        program_id: ProgramId,
        claim_id: CommandId,
        *,
        basket: Basket,
        sent: Origin,
        filled: Origin,
        allowed: Window,
    ) -> Made:
        """Keep a guest's sale; ``sent`` is its origin before what was left out was filled in.

        A new one must have happened within the window: it is looked at once, here, and the order is as old as it is
        when its points are claimed. Raises ``InvalidInput``, and ``AlreadyExists`` when the id was used for another
        sale.
        """
        code = self._code(program_id, claim_id)
        basket_bytes = basket_to_pb(basket).SerializeToString(deterministic=True)
        now_ms = self._now_ms()
        new = Claim(
            claim_id,
            _hash_of(code),
            hashlib.sha256(length_prefixed((basket_bytes, _origin_text(sent).encode()))).digest()[:16],
            basket_bytes,
            _origin_text(filled),
            now_ms,
            Ms(now_ms + CLAIM_TTL_MS),
        )
        stored = await self._pool.run(self._store.claim, program_id, claim_id)
        if stored is None:
            _require_between(filled, allowed)
            over_ms = Ms(now_ms - FORGOTTEN_AFTER_MS)
            stored = await self._pool.run(self._store.add_claim, program_id, new, forget_before=over_ms)
        if stored.fingerprint != new.fingerprint:
            raise AlreadyExists(
                "The claim_id was used for another sale.",
                mend="Make a new claim_id for a new sale.",
                reason="REQUEST_ID_REUSED",
                field="claim_id",
            )
        url = f"{self._public_url}/card/{program_id}/?claim={code}" if self._public_url else ""
        return Made(stored, code, url)

    async def redeem(
        self, program_id: ProgramId, member_id: MemberId, code: str, *, deadline: float
    ) -> Answer | NoClaim:
        """Post the sale of a claim for a member, once; a repetition gets the first answer."""
        claim = await self._pool.run(self._store.claim_of_code, program_id, _hash_of(_normalised(code)))
        if claim is None:
            return NoClaim.UNKNOWN
        if claim.state is ClaimState.OPEN and claim.expires_ms > self._now_ms():
            no = await self._foreseen(program_id, member_id, claim)
            if no is not None:
                return Answer(no, replayed=False, recorded_ms=self._now_ms())
            claim = await self._moved(
                program_id, claim, ClaimState.TAKEN, before=ClaimState.OPEN, member_id=member_id
            )
        if claim.state in (ClaimState.OPEN, ClaimState.CANCELLED):
            return NoClaim.OVER
        if claim.member_id != member_id:
            return NoClaim.TAKEN
        return await self._posted(program_id, claim, deadline)

    async def cancel(self, program_id: ProgramId, claim_id: CommandId, *, deadline: float) -> MemberId | None:
        """End a claim. Return the member who has the points when there is one: the sale is then in the ledger.

        Raises ``NotFound``.
        """
        claim = await self._pool.run(self._store.claim, program_id, claim_id)
        if claim is None:
            raise _claim_not_found(claim_id)
        if claim.state is ClaimState.OPEN:
            claim = await self._moved(program_id, claim, ClaimState.CANCELLED, before=ClaimState.OPEN)
        if claim.state is ClaimState.TAKEN:
            # Whoever took it may have died before its sale was posted: goods can be returned against a sale only.
            answer = await self._posted(program_id, claim, deadline)
            if isinstance(answer.decision, Refused):
                claim = await self._moved(program_id, claim, ClaimState.CANCELLED, before=ClaimState.TAKEN)
        return None if claim.state is ClaimState.CANCELLED else claim.member_id

    async def _foreseen(self, program_id: ProgramId, member_id: MemberId, claim: Claim) -> Refused | None:
        """Return the refusal that the sale would meet.

        The ledger keeps a refusal under its id for ever: sent down the lane it would end the claim for everybody.
        """
        sale = _sale_of(claim, member_id)
        found = await self._pool.run(
            self._balances.quote, program_id, sale, earliest_ms=0, latest_ms=NEVER_MS
        )
        return found if isinstance(found, Refused) else None

    async def _posted(self, program_id: ProgramId, claim: Claim, deadline: float) -> Answer:
        """Make sure that the sale of a claim that has its member was decided, and return the answer."""
        known = (await self._pool.run(self._reader.read_known, program_id, [claim.claim_id])).get(
            claim.claim_id
        )
        if known is not None:
            decision: Decision = Posted(known.answer) if isinstance(known.answer, Entry) else known.answer
            answer = Answer(decision, replayed=True, recorded_ms=known.recorded_ms)
        else:
            sale = _sale_of(claim, claim.member_id)
            # The business time was judged when the claim was made; the order stays as old as it is.
            submission = Submission(program_id, sale, fingerprint(sale), deadline, 0, NEVER_MS)
            answer = await self._lane.submit(submission)
        if claim.state is ClaimState.TAKEN and isinstance(answer.decision, Posted):
            await self._moved(program_id, claim, ClaimState.POSTED, before=ClaimState.TAKEN)
        return answer

    async def _moved(
        self,
        program_id: ProgramId,
        claim: Claim,
        to: ClaimState,
        *,
        before: ClaimState,
        member_id: MemberId = NOBODY,
    ) -> Claim:
        moved = await self._pool.run(
            self._store.move_claim, program_id, claim.claim_id, to, before=before, member_id=member_id
        )
        if moved is None:
            raise _claim_not_found(claim.claim_id)
        return moved

    def _code(self, program_id: ProgramId, claim_id: CommandId) -> str:
        message = length_prefixed((_PURPOSE, program_id.encode(), claim_id.encode()))
        drawn = int.from_bytes(hmac.digest(self._code_key(), message, "sha256"), "big")
        return "".join(_ALPHABET[drawn >> (5 * place) & 31] for place in range(CODE_CHARS))


def _sale_of(claim: Claim, member_id: MemberId) -> Sale:
    """Return the sale that a claim stands for. It only earns: a link says nothing about who the member is."""
    occurred_ms, channel, store_id, till_id, reference = json.loads(claim.origin)
    return Sale(
        claim.claim_id,
        member_id,
        Origin(Ms(occurred_ms), Channel(channel), store_id, till_id, reference),
        basket_from_pb(types_pb2.Basket.FromString(claim.basket)),
        assurance=Assurance.TYPED,
    )


def _require_between(origin: Origin, allowed: Window) -> None:
    if not allowed.earliest_ms <= origin.occurred_ms <= allowed.latest_ms:
        earliest, latest = (_iso(at_ms) for at_ms in allowed)
        raise InvalidInput(
            "The business time is too far from the server's.",
            mend="Make the claim when the order is placed.",
            violations=(("origin.occurred_at", f"must lie between {earliest} and {latest}"),),
        )


def _iso(at_ms: int) -> str:
    instant = Timestamp()
    instant.FromMilliseconds(at_ms)
    return instant.ToJsonString()


def _origin_text(origin: Origin) -> str:
    parts = (origin.occurred_ms, int(origin.channel), origin.store_id, origin.till_id, origin.reference)
    return json.dumps(parts, separators=(",", ":"))


def _normalised(text: str) -> str:
    """Return a code as it was made: case, spaces and hyphens do not matter, nor do letters that look like digits."""
    return text.strip().upper().translate(_LOOKALIKES)


def _hash_of(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()


def _claim_not_found(claim_id: str) -> NotFound:
    return NotFound(
        "There is no such claim.",
        mend="It was never made, or its time was over long ago.",
        reason="CLAIM_NOT_FOUND",
        claim_id=claim_id,
    )
