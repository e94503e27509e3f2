"""Transfers: points of one member given to another, never lost and never doubled.

The giver's entry is the truth. A row is written before it, so that whoever comes round finds what was interrupted; what
follows has ids that are derived from the transfer's, so that it is posted once, however many try.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.command import (
    Command,
    ConvertIn,
    ConvertOut,
    TransferBack,
    TransferIn,
    TransferOut,
)
from tallystick.core.convert import entrance_id
from tallystick.core.entry import Entry, Posted, Refusal, Refused, Transferred, refused
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Ms, ProgramId, derived_id
from tallystick.core.record import record
from tallystick.core.rules.model import DAY_MS
from tallystick.core.transfer import arrival_id, way_back_id
from tallystick.service.business_time import ANY_TIME, Window
from tallystick.service.errors import TallystickError
from tallystick.service.household_store import HouseholdStore, Pool
from tallystick.service.lane import Lane
from tallystick.service.outliving import outliving
from tallystick.service.ports import LedgerReader
from tallystick.service.reads import ReadPool
from tallystick.service.submission import Answer, Submission
from tallystick.service.transfer_store import Transfer, TransferState, TransferStore

INTERRUPTED_AFTER_MS = 120_000
"""A transfer that is not over by then was interrupted: no call takes so long."""

FORGOTTEN_AFTER_MS = 3_600_000
"""After so long no command that a call has sent can still be on its way to the ledger."""

PAGE = 500

log = logging.getLogger(__name__)


class Store(TransferStore, HouseholdStore, LedgerReader, Protocol):
    """What transfers need of a store."""


@record(frozen=True, slots=True)
class Sent:
    """What became of a transfer: the answer on the giver's side, and how it stands (None: nothing was moved)."""

    answer: Answer
    transfer: Transfer | None


class Transfers:
    """The use cases around transfers; from the event loop only. ``watch`` looks at each one that was given."""

    def __init__(
        self,
        store: Store,
        lane: Lane,
        pool: ReadPool,
        *,
        now_ms: Callable[[], Ms],
        watch: Callable[[ProgramId, Transfer], object],
    ) -> None:
        self._store = store
        self._lane = lane
        self._pool = pool
        self._now_ms = now_ms
        self._watch = watch

    async def find(self, program_id: ProgramId, transfer_id: CommandId) -> Transfer | None:
        """Return a transfer."""
        return await self._pool.run(self._store.transfer, program_id, transfer_id)

    async def give(
        self,
        program_id: ProgramId,
        command: TransferOut | ConvertOut,
        sent: bytes,
        *,
        allowed: Window,
        deadline: float,
    ) -> Sent:
        """Give points to another member, here or in a partner program; the same command again answers the same.

        It also finishes what is open of it.

        ``sent`` is the fingerprint of the command before its origin was filled in.
        """
        now_ms = self._now_ms()
        new = Transfer(
            command.command_id,
            command.member_id,
            command.to_member_id,
            command.points,
            TransferState.ASKED,
            now_ms,
            now_ms,
            command.partner_id if isinstance(command, ConvertOut) else "",
        )
        row = await self._pool.run(self._store.add_transfer, program_id, new)
        if _content(row) != _content(new):
            no = refused(Refusal.COMMAND_ID_REUSED, command_id=command.command_id)
            return Sent(Answer(no, replayed=False, recorded_ms=now_ms), None)
        if isinstance(command, TransferOut):
            same = await self._pool.run(self._same_household, program_id, row)
            command = replace(command, same_household=same)
        answer = await self._submit(program_id, command, deadline, sent=sent, allowed=allowed)
        decision = answer.decision
        if isinstance(decision, Posted):
            transfer = await self._finish(program_id, row, decision.entry, deadline)
            if isinstance(command, TransferOut) and not command.pooling and not answer.replayed:
                await self._pool.run(self._watch, program_id, transfer)
            return Sent(answer, transfer)
        assert isinstance(decision, Refused), "a transfer is posted or refused"
        if decision.reason is not Refusal.COMMAND_ID_REUSED:
            # It is refused under this id for ever: nothing can leave any more.
            await self._pool.run(
                self._store.forget_transfer, program_id, row.transfer_id, asked_before=NEVER_MS
            )
        return Sent(answer, None)

    async def pool(self, program_id: ProgramId, pool: Pool, *, deadline: float) -> Sent:
        """Move points to the account on which they belong."""
        # The id follows from what is there: every process asks for the same. A refusal is kept under it, and its reason
        # may pass without an entry: with the day in the id it stands for a day at most.
        today = self._now_ms() // DAY_MS
        unsent = TransferOut(
            derived_id(pool.from_member_id, "pool", f"{pool.to_member_id}/{pool.seq}/{today}"),
            pool.from_member_id,
            Origin(Ms(0), Channel.UNKNOWN),
            pool.to_member_id,
            pool.points,
            Assurance.DEVICE_CODE,
            pooling=True,
        )
        command = replace(unsent, origin=replace(unsent.origin, occurred_ms=self._now_ms()))
        return await self.give(program_id, command, fingerprint(unsent), allowed=ANY_TIME, deadline=deadline)

    async def pool_all(self, program_id: ProgramId, *, deadline: Callable[[], float]) -> int:
        """Move what people in households have earned on accounts of their own, and what has reached a household after
        the last one has left it, to where it belongs; return from how many accounts.
        """
        moved, after = 0, ""
        while True:
            page = await self._pool.run(self._store.pools, program_id, after=after, limit=PAGE)
            for pool in page:
                with outliving(log, "points were left for later", program_id=program_id):
                    sent = await self.pool(program_id, pool, deadline=deadline())
                    moved += sent.transfer is not None
            if len(page) < PAGE:
                return moved
            after = page[-1].from_member_id

    async def resume(self, program_id: ProgramId, *, deadline: Callable[[], float]) -> int:
        """Finish the transfers that were interrupted, and forget those by which nothing left; return how many."""
        done, after = 0, None
        before = Ms(self._now_ms() - INTERRUPTED_AFTER_MS)
        while True:
            page = await self._pool.run(
                self._store.transfers_asked, program_id, before=before, after=after, limit=PAGE
            )
            for transfer in page:
                # One that cannot be finished keeps no other one waiting.
                with outliving(log, "a transfer was left for later", program_id=program_id):
                    done += await self._resume(program_id, transfer, deadline())
            if len(page) < PAGE:
                return done
            after = (page[-1].asked_ms, page[-1].transfer_id)

    async def _resume(self, program_id: ProgramId, transfer: Transfer, deadline: float) -> bool:
        found = await self._pool.run(self._store.read_known, program_id, [transfer.transfer_id])
        known = found.get(transfer.transfer_id)
        if known is not None and isinstance(known.answer, Entry) and known.answer.detail.transfer:
            await self._finish(program_id, transfer, known.answer, deadline)
            return True
        return await self._pool.run(
            self._store.forget_transfer,
            program_id,
            transfer.transfer_id,
            asked_before=Ms(self._now_ms() - FORGOTTEN_AFTER_MS),
        )

    async def _finish(
        self, program_id: ProgramId, transfer: Transfer, left: Entry, deadline: float
    ) -> Transfer:
        """Bring what has left to its receiver, or back to its giver when the receiver cannot take it."""
        if transfer.state is not TransferState.ASKED:
            return transfer
        part = left.detail.transfer
        assert part is not None, "an entry by which a transfer left says so"
        transfer_id, receiver, giver = transfer.transfer_id, part.other_id, left.member_id
        if transfer.to_program_id:
            to_program = ProgramId(transfer.to_program_id)
            answer = await self._submit(to_program, _entering(program_id, left, part), deadline)
        else:
            arriving = TransferIn(
                arrival_id(receiver, transfer_id), receiver, left.origin, transfer_id, giver, part.lots
            )
            answer = await self._submit(program_id, arriving, deadline)
        state = TransferState.ARRIVED
        if isinstance(answer.decision, Refused):
            why = answer.decision.reason.name.lower()
            back = TransferBack(way_back_id(giver, transfer_id), giver, left.origin, transfer_id, why)
            returned = await self._submit(program_id, back, deadline)
            if not isinstance(returned.decision, Posted):
                raise TallystickError("A transfer can neither arrive nor come back.", transfer_id=transfer_id)
            state = TransferState.UNDONE
        ended = await self._pool.run(self._store.end_transfer, program_id, transfer_id, state)
        return ended or replace(transfer, state=state)

    async def _submit(
        self,
        program_id: ProgramId,
        command: Command,
        deadline: float,
        *,
        sent: bytes = b"",
        allowed: Window = ANY_TIME,
    ) -> Answer:
        return await self._lane.submit(
            Submission(
                program_id,
                command,
                sent or fingerprint(command),
                deadline,
                allowed.earliest_ms,
                allowed.latest_ms,
            )
        )

    def _same_household(self, program_id: ProgramId, transfer: Transfer) -> bool:
        giver, receiver = transfer.from_member_id, transfer.to_member_id
        shared = self._store.household_accounts(program_id, [giver, receiver])
        return shared.get(giver, giver) == shared.get(receiver, receiver)


def _content(transfer: Transfer) -> tuple[MemberId, MemberId, int, str]:
    return transfer.from_member_id, transfer.to_member_id, transfer.points, transfer.to_program_id


def _entering(program_id: ProgramId, left: Entry, part: Transferred) -> ConvertIn:
    """Return the command by which points of a program arrive in its partner."""
    command_id = entrance_id(part.other_id, program_id, part.transfer_id)
    # Where the points were burned is not where they are earned: of the origin only the time is told.
    origin = Origin(left.origin.occurred_ms, left.origin.channel)
    (got,) = part.lots
    return ConvertIn(
        command_id, part.other_id, origin, program_id, part.transfer_id, left.member_id, got.points
    )
