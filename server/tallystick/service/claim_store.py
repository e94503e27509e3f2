"""What claims need of a store: sales of guests that wait for a member."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.record import record

NOBODY = MemberId("")

FORGET_PAGE = 100
"""Most claims whose time is long over that one new claim takes away."""


class ClaimState(IntEnum):
    """How far a claim is. TAKEN names its member for good; POSTED says that the ledger is known to have the sale."""

    OPEN = 1
    TAKEN = 2
    POSTED = 3
    CANCELLED = 4


@record(frozen=True, slots=True)
class Claim:
    """A guest's sale. ``code_hash`` is the SHA-256 of the code in its link.

    ``fingerprint`` tells a repeated request from another one. ``basket`` is the contract's message in bytes and
    ``origin`` a JSON array; both are empty once nobody needs them any more. ``member_id`` is empty while it is open.
    """

    claim_id: CommandId
    code_hash: bytes
    fingerprint: bytes
    basket: bytes
    origin: str
    made_ms: Ms
    expires_ms: Ms
    state: ClaimState = ClaimState.OPEN
    member_id: MemberId = NOBODY


class ClaimStore(Protocol):
    """Every call is one short transaction of one program."""

    def add_claim(self, program_id: ProgramId, new: Claim, *, forget_before: Ms) -> Claim:
        """Store a claim, or return the one that has its id.

        Open claims that expired before an instant are taken away on the way, at most ``FORGET_PAGE``.
        """
        ...

    def claim(self, program_id: ProgramId, claim_id: CommandId) -> Claim | None: ...

    def claim_of_code(self, program_id: ProgramId, code_hash: bytes) -> Claim | None: ...

    def move_claim(
        self,
        program_id: ProgramId,
        claim_id: CommandId,
        to: ClaimState,
        *,
        before: ClaimState,
        member_id: MemberId = NOBODY,
    ) -> Claim | None:
        """Change the state where it is ``before``, and return the claim as it is then; None when there is none.

        ``member_id`` is set when given. Basket and origin are forgotten in a state that has no use for them.
        """
        ...
