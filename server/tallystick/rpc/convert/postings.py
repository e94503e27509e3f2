"""An entry's nine signed moves as postings: so many points from one account to another."""

from __future__ import annotations

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

from tallystick.core.entry import Moves
from tallystick.v1 import ledger_pb2 as pb

# Accounts by the position in `Moves`; the contract's AccountKind is that position + 1.
_ACTIVE, _PENDING, _HELD, _DEBT, _ISSUED, _BURNED, _BREAKAGE, _STORE_LOSS, _ADJUSTED = range(len(Moves()))

# An entry that burns and earns has several readings. These pairs are what happened, so they are taken first; what is
# left is paired in the order of the accounts. (A debt that is repaid grows from below zero.)
_NATURAL = (
    (_HELD, _BURNED),
    (_ACTIVE, _BURNED),
    (_STORE_LOSS, _BURNED),
    (_ISSUED, _DEBT),
    (_ISSUED, _PENDING),
    (_ISSUED, _ACTIVE),
    (_PENDING, _ISSUED),
    (_ACTIVE, _ISSUED),
    (_DEBT, _ISSUED),
    (_BURNED, _STORE_LOSS),
    (_BURNED, _ACTIVE),
)

Triple = tuple[int, int, int]


def postings_of(moves: Moves) -> list[Triple]:
    """Return (debit, credit, points) as positions in ``Moves``; the same moves always give the same postings."""
    moved = [at for at, points in enumerate(moves) if points]
    if len(moved) == 2:
        first, second = moved
        points = moves[first]
        return [(first, second, -points)] if points < 0 else [(second, first, points)]
    left = list(moves)
    found: list[Triple] = []
    for debit, credit in _NATURAL:
        _pair(left, debit, credit, found)
    for debit in range(len(left)):
        for credit in range(len(left)):
            if left[debit] == 0:
                break
            _pair(left, debit, credit, found)
    return found


def _pair(left: list[int], debit: int, credit: int, found: list[Triple]) -> None:
    points = min(-left[debit], left[credit])
    if points > 0:
        left[debit] += points
        left[credit] -= points
        found.append((debit, credit, points))


def add_postings(target: RepeatedCompositeFieldContainer[pb.Posting], moves: Moves) -> None:
    """Write the postings of an entry."""
    for debit, credit, points in postings_of(moves):
        target.add(debit=_KINDS[debit], credit=_KINDS[credit], points=points)


_KINDS = tuple(pb.AccountKind.ValueType(at + 1) for at in range(len(Moves())))
