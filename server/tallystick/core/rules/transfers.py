"""Transfers in a rule set: who may give points to whom, and how many."""

from __future__ import annotations

from enum import StrEnum

from tallystick.core.ids import POINTS_MAX
from tallystick.core.record import record
from tallystick.core.rules.period import Per
from tallystick.core.rules.reader import Node

MEMBER_DAYS_MAX = 3_660


class TransferTo(StrEnum):
    """Whom points may be given to: any member, or only within the giver's household."""

    ANYONE = "anyone"
    HOUSEHOLD = "household"


@record(frozen=True, slots=True)
class Transfers:
    """What members may give each other.

    At least ``minimum_points`` at once; at most ``limit_points`` in each ``per`` (0: no limit); by members of at least
    ``member_days`` days.
    """

    to: TransferTo = TransferTo.ANYONE
    minimum_points: int = 1
    limit_points: int = 0
    per: Per = Per.MONTH
    member_days: int = 0


def parse_transfers(node: Node | None) -> Transfers | None:
    """Return the section, None where there is none; what is wrong with it is added to the node's findings."""
    if node is None:
        return None
    limit, per = parse_limit(node.node("limit_points"))
    transfers = Transfers(
        to=TransferTo(node.choice("to", [choice.value for choice in TransferTo], "anyone")),
        minimum_points=node.integer("minimum_points", 1, low=1, high=POINTS_MAX),
        limit_points=limit,
        per=per,
        member_days=node.integer("member_days", 0, high=MEMBER_DAYS_MAX),
    )
    if 0 < limit < transfers.minimum_points:
        node.wrong("limit_points.count", "is less than minimum_points", "nobody could ever give anything")
    node.done()
    return transfers


def parse_limit(node: Node | None) -> tuple[int, Per]:
    """Return how many points may go in each period; 0 where there is no limit."""
    if node is None:
        return 0, Per.MONTH
    count = node.integer("count", low=1, high=POINTS_MAX)
    per = Per(node.choice("per", [choice.value for choice in Per], "month"))
    node.done()
    return count, per
