"""A day of commands as a pure function of their number, so that each process makes its own copy of the same ones."""

from __future__ import annotations

import hashlib
import random
import uuid
from functools import lru_cache

from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin
from tallystick.core.command import (
    Burn,
    Capture,
    Command,
    Earn,
    PlaceHold,
    Sale,
    Spend,
    Void,
)
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Minor, Ms, ProgramId
from tallystick.service.submission import Submission

PROGRAM = ProgramId("e2e")
MEMBERS = 10_000
HOT_MEMBER = 0
HOT_SHARE = 0.02
NOON_MS = 1_772_366_400_000
"""2026-03-01T12:00:00Z; a command's number is its business time in milliseconds after it."""

KINDS = 20
HOLD_DISTANCE = 100 * KINDS
"""How many commands later a hold is captured or voided: beyond what shuffling moves most of them."""


def member_id(number: int) -> MemberId:
    """Return the id of a member; `members_sql` of the database module makes the same one."""
    return MemberId(str(uuid.UUID(hashlib.md5(f"member {number}".encode()).hexdigest())))


def command_id(number: int) -> CommandId:
    """Return the id that the caller minted for a command."""
    return CommandId(str(uuid.UUID(hashlib.md5(f"command {number}".encode()).hexdigest())))


def command(number: int) -> Command:
    """Return one command: of each twenty, twelve earn, four burn, two hold, one captures and one voids.

    Captures and voids may come before their hold, and burns before what they spend: then they are refused, and
    must stay refused.
    """
    dice = random.Random(number)
    kind = number % KINDS
    which = command_id(number)
    origin = Origin(Ms(NOON_MS + number), Channel.STORE, f"s{number % 7}", f"t{number % 31}")
    member = _member(dice)
    match kind:
        case 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8:
            return Earn(which, member, origin, dice.randint(1, 60), "visit")
        case 9 | 10 | 11:
            return Sale(which, member, origin, _basket(dice))
        case 12 | 13 | 14:
            return Burn(which, member, origin, dice.randint(20, 120), "prize", Assurance.DEVICE_CODE)
        case 15:
            spend = Spend(dice.randint(20, 120), up_to=dice.random() < 0.5)
            return Sale(which, member, origin, _basket(dice), spend, (), Assurance.DEVICE_CODE)
        case 16 | 17:
            spend = Spend(dice.randint(10, 80))
            return PlaceHold(which, member, origin, 3_600, spend, assurance=Assurance.DEVICE_CODE)
    held = number - 2 - HOLD_DISTANCE
    holder = _member(random.Random(held))
    return (Capture if kind == 18 else Void)(which, holder, origin, command_id(held))


def submission(made: Command, *, deadline: float) -> Submission:
    """Return a command as a handler would hand it to the lane."""
    return Submission(PROGRAM, made, fingerprint(made), deadline, 0, NEVER_MS)


def shuffled(count: int, *, seed: int, reach: int) -> list[int]:
    """Return the numbers below a count, each moved by up to ``reach`` places."""
    dice = random.Random(seed)
    return sorted(range(count), key=lambda number: number + dice.random() * reach)


def burn(number: int, *, each: int, points: int) -> Burn:
    """Return a burn of a fixed size, beside the plan's day; ``each`` of them in a row are of one member."""
    origin = Origin(Ms(NOON_MS), Channel.STORE, "s1", f"t{number}")
    which = CommandId(str(uuid.UUID(hashlib.md5(f"burn {number}".encode()).hexdigest())))
    return Burn(which, member_id(number // each), origin, points, "prize", Assurance.DEVICE_CODE)


def earn(number: int, *, points: int) -> Earn:
    """Return the earn of a fixed size that gives one member something to burn."""
    which = CommandId(str(uuid.UUID(hashlib.md5(f"earn {number}".encode()).hexdigest())))
    return Earn(which, member_id(number), Origin(Ms(NOON_MS), Channel.STORE, "s1", "t1"), points, "welcome")


@lru_cache(maxsize=MEMBERS + 1)
def _member_at(number: int) -> MemberId:
    return member_id(number)


def _member(dice: random.Random) -> MemberId:
    hot = dice.random() < HOT_SHARE
    return _member_at(HOT_MEMBER if hot else dice.randrange(1, MEMBERS))


def _basket(dice: random.Random) -> Basket:
    first, second = Minor(dice.randint(100, 4_000)), Minor(dice.randint(100, 9_000))
    return Basket("EUR", (Line("A", 1_000, first), Line("B", 2_000, second)), prices_include_tax=True)
