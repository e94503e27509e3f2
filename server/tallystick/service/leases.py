"""Leases and vouchers: what goes down the lane for them, and what is signed of what comes back.

As with advices, each use case has two halves with the lane between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tallystick.core.basket import Channel, Origin
from tallystick.core.command import (
    GrantLease,
    IssueVoucher,
    RecallLeases,
    ReturnLease,
)
from tallystick.core.entry import Posted, Refusal, Refused
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Ms, ProgramId, derived_id
from tallystick.core.record import record
from tallystick.core.state import Hold, HoldKind, HoldStatus
from tallystick.service.balances import member_not_found
from tallystick.service.errors import AlreadyExists, NotFound
from tallystick.service.ports import LedgerReader
from tallystick.service.signed import Signer
from tallystick.service.submission import Answer, Submission
from tallystick.v1 import advice_pb2, store_pb2
from tallystick.wire.advices import bytes_of, to_digits

_UNSENT_MS = Ms(0)

LeaseCommand = GrantLease | ReturnLease | RecallLeases | IssueVoucher


@record(frozen=True, slots=True)
class Recall:
    """Points of a member that lie in leases, and the recall to send; None when all were recalled before."""

    leased_points: int
    submission: Submission | None


class Leases:
    """The use cases around escrowed points. Safe to use from several threads."""

    def __init__(self, reader: LedgerReader, signer: Signer, *, now_ms: Callable[[], Ms]) -> None:
        self._reader = reader
        self._signer = signer
        self._now_ms = now_ms

    def prepare_grants(
        self,
        program_id: ProgramId,
        asks: Sequence[tuple[CommandId, MemberId]],
        *,
        store_id: str,
        till_id: str,
        deadline: float,
    ) -> list[Submission]:
        """Return what asks for leases: (lease id, member) each."""
        sent = Origin(_UNSENT_MS, Channel.STORE, store_id)
        commands = [GrantLease(lease_id, member_id, sent, store_id) for lease_id, member_id in asks]
        return [self._submission(program_id, one, till_id, deadline) for one in commands]

    def conclude_grants(
        self,
        program_id: ProgramId,
        asks: Sequence[tuple[CommandId, MemberId]],
        answers: Sequence[Answer],
        *,
        store_id: str,
    ) -> list[store_pb2.LeaseAnswer]:
        """Return each lease as it is now, or the name of the refusal; reads the leases' state."""
        named = [_hold_named(lease_id, answer) for (lease_id, _), answer in zip(asks, answers, strict=True)]
        members = [member_id for (_, member_id), hold_id in zip(asks, named, strict=True) if hold_id]
        holds = self._holds(program_id, members, store_id)
        found = []
        for (lease_id, member_id), hold_id, answer in zip(asks, named, answers, strict=True):
            hold, asked_by = holds.get(hold_id, (None, ""))
            if hold is not None and hold.status is HoldStatus.OPEN:
                state = store_pb2.LeaseState(
                    grant=self._signer.lease(program_id, member_id, hold),
                    remaining_points=hold.left,
                    recalled=hold.recalled,
                    till_id=asked_by,
                )
                found.append(store_pb2.LeaseAnswer(lease_id=lease_id, lease=state))
            else:
                found.append(store_pb2.LeaseAnswer(lease_id=lease_id, refusal=_why_not(answer, hold)))
        return found

    def prepare_return(
        self,
        program_id: ProgramId,
        command_id: CommandId,
        *,
        member_id: MemberId,
        lease_id: CommandId,
        store_id: str,
        till_id: str,
        deadline: float,
    ) -> Submission:
        """Return what gives back the rest of a lease of the calling store."""
        sent = Origin(_UNSENT_MS, Channel.STORE, store_id)
        return self._submission(
            program_id, ReturnLease(command_id, member_id, sent, lease_id), till_id, deadline
        )

    def conclude_return(self, answer: Answer, *, member_id: MemberId, lease_id: CommandId) -> int:
        """Return the points that went back, 0 for a lease that had ended. Raises ``NotFound``, ``AlreadyExists``."""
        decision = answer.decision
        if isinstance(decision, Posted):
            return decision.entry.moves.active
        reason = decision.reason if isinstance(decision, Refused) else None
        match reason:
            case Refusal.HOLD_CLOSED | Refusal.HOLD_EXPIRED:
                return 0
            case Refusal.MEMBER_UNKNOWN:
                raise member_not_found(member_id)
            case Refusal.COMMAND_ID_REUSED:
                raise AlreadyExists(
                    "The command_id was used before with other content.",
                    mend="Make a new one.",
                    reason="REQUEST_ID_REUSED",
                    field="command_id",
                )
            case _:
                raise NotFound(
                    "The member has no such lease at this store.", reason="LEASE_NOT_FOUND", lease_id=lease_id
                )

    def prepare_voucher(
        self, program_id: ProgramId, command: IssueVoucher, *, till_id: str, deadline: float
    ) -> Submission:
        """Return what issues a voucher; the command's origin is as it was sent, without an instant."""
        return self._submission(program_id, command, till_id, deadline)

    def conclude_voucher(
        self, program_id: ProgramId, command: IssueVoucher, answer: Answer
    ) -> store_pb2.IssueVoucherResponse:
        """Return the voucher, signed, or the name of the refusal. One that was used or has ended is not shown again."""
        if not isinstance(answer.decision, Posted):
            return store_pb2.IssueVoucherResponse(refusal=_why_not(answer, None))
        holds = self._holds(program_id, [command.member_id], command.store_id)
        hold, _ = holds.get(command.command_id, (None, ""))
        if hold is None or hold.status is not HoldStatus.OPEN:
            return store_pb2.IssueVoucherResponse(refusal=_why_not(answer, hold))
        grant = self._signer.voucher(program_id, command.member_id, hold)
        return store_pb2.IssueVoucherResponse(voucher=store_pb2.Voucher(grant=grant, digits=digits_of(grant)))

    def recall(self, program_id: ProgramId, member_id: MemberId, *, deadline: float) -> Recall:
        """Look for points that a member has in leases, because they are wanted elsewhere.

        The recall's id follows from the leases that it recalls: asked again, it is the same one.
        """
        leases = [
            hold
            for hold in self._reader.read_holds(program_id, member_id)
            if hold.kind is HoldKind.LEASE and hold.status is HoldStatus.OPEN
        ]
        leased = sum(hold.left for hold in leases)
        wanted = sorted(hold.hold_id for hold in leases if not hold.recalled)
        if not wanted:
            return Recall(leased, None)
        command_id = derived_id(member_id, "recall", ",".join(wanted))
        command = RecallLeases(command_id, member_id, Origin(_UNSENT_MS, Channel.UNKNOWN))
        return Recall(leased, self._submission(program_id, command, "", deadline))

    def _submission(
        self, program_id: ProgramId, command: LeaseCommand, till_id: str, deadline: float
    ) -> Submission:
        """Return the command at this moment; its fingerprint is that of the command without one."""
        origin = replace(command.origin, occurred_ms=self._now_ms(), till_id=till_id)
        return Submission(
            program_id, replace(command, origin=origin), fingerprint(command), deadline, 0, NEVER_MS
        )

    def _holds(
        self, program_id: ProgramId, member_ids: Sequence[MemberId], store_id: str
    ) -> dict[str, tuple[Hold, str]]:
        """Return the store's holds of members by their ids, each with the till that asked for it."""
        members = list(dict.fromkeys(member_ids))
        if not members:
            return {}
        found = self._reader.read_till_members(program_id, members, store_id=store_id)
        return {
            hold.hold_id: (hold, till_id)
            for member in found
            for hold, till_id in zip(member.holds, member.hold_tills, strict=True)
        }


def digits_of(signed: advice_pb2.Signed) -> str:
    """Return a signed text as the digits of its QR code."""
    return to_digits(bytes_of(signed))


def _hold_named(lease_id: CommandId, answer: Answer) -> str:
    """Return the lease that an answer leads to: the new one, or the one that the store has."""
    decision = answer.decision
    if isinstance(decision, Posted):
        return lease_id
    if isinstance(decision, Refused) and decision.reason is Refusal.LEASE_EXISTS:
        return dict(decision.details).get("lease_id", "")
    return ""


def _why_not(answer: Answer, hold: Hold | None) -> str:
    """Return the name of the refusal; what was granted and has ended since is closed or expired."""
    decision = answer.decision
    if isinstance(decision, Refused) and decision.reason is not Refusal.LEASE_EXISTS:
        return decision.reason.name
    expired = hold is not None and hold.status is HoldStatus.EXPIRED
    return (Refusal.HOLD_EXPIRED if expired else Refusal.HOLD_CLOSED).name
