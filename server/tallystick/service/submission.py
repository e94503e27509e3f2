"""What goes down the lane and what comes back: commands, and facts with their place in a till's chain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum

from tallystick.core.advice import Slot, TillChain, Verdict, VerdictReason
from tallystick.core.command import Capture, Command, SettleReturn, SettleSale, SettleUndo
from tallystick.core.entry import Decision
from tallystick.core.ids import Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.state import Hold


@record(frozen=True, slots=True)
class Submission:
    """A command on its way to the lane.

    ``fingerprint`` is over the command as it was sent, before defaults were filled in. ``deadline`` is on the clock
    of ``time.monotonic()``. Business time must lie in [``earliest_ms``, ``latest_ms``] for a command that is new;
    a retry gets its stored answer however late it comes.
    """

    program_id: ProgramId
    command: Command
    fingerprint: bytes
    deadline: float
    earliest_ms: int
    latest_ms: int
    fact: Fact | None = None


@record(frozen=True, slots=True)
class Answer:
    """What the caller is told. ``recorded_ms`` is when it was first decided (0 when only the ledger knows)."""

    decision: Decision
    replayed: bool
    recorded_ms: Ms
    told: Told | None = None


@record(frozen=True, slots=True)
class Told:
    """What a till is told of an advice: its verdict, or why it was not taken; and its chain as it is now."""

    chain: TillChain
    verdict: Verdict | None = None
    halt: Halt | None = None


@record(frozen=True, slots=True)
class Contact:
    """What a till said of itself when it was heard of: how many advices wait behind, what it burned on its own."""

    queued: int
    floor_points: int


class Place(Enum):
    """Where a fact comes from: its till's chain, elsewhere (a receipt, the inbox), or nowhere: only a contact."""

    CHAIN = "chain"
    LOOSE = "loose"
    CONTACT = "contact"


@record(frozen=True, slots=True)
class Fact:
    """What makes a submission an advice: its place in a till's chain and how it is to be taken.

    ``told_ms`` is the till's own time. ``noted`` was found before the lane and belongs into the verdict. One with
    ``held`` is not decided but kept with that verdict: it cannot be read, or deciding it has failed. ``contact``
    stands on the last advice of an upload.
    """

    slot: Slot
    told_ms: int
    place: Place = Place.CHAIN
    noted: tuple[VerdictReason, ...] = ()
    held: Verdict | None = None
    contact: Contact | None = None


class Halt(Enum):
    """Why an advice was not taken at all; the till's chain is as it was."""

    GAP = "gap"
    SUSPENDED = "suspended"


def pinned_version(command: Command, holds: Iterable[Hold]) -> int | None:
    """Return the rule set that an advice names or that the captured one of the member's holds was priced by.

    None for what goes by the rules in force.
    """
    if isinstance(command, (SettleSale, SettleReturn, SettleUndo)):
        return command.rule_set
    if isinstance(command, Capture):
        return next((hold.rule_set for hold in holds if hold.hold_id == command.hold_id), 0) or None
    return None


def with_occurred(command: Command, occurred_ms: Ms) -> Command:
    """Return the command at a business time, for a caller that left it to the server."""
    return replace(command, origin=replace(command.origin, occurred_ms=occurred_ms))
