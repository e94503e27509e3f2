"""Partner programs in a rule set: at what rate points go there, and how many."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tallystick.core.record import record
from tallystick.core.rules.period import Per
from tallystick.core.rules.reader import Node
from tallystick.core.rules.transfers import parse_limit

PARTNERS_MAX = 20
RATE_MAX = 10**6
NAME_CHARS_MAX = 100
_PROGRAM = re.compile(r"[a-z][a-z0-9-]{1,31}")


@record(frozen=True, slots=True)
class Partner:
    """A program to which points can go: ``give_points`` here become ``get_points`` there.

    At most ``limit_points`` of one member in each ``per`` (0: no limit).
    """

    program_id: str
    name: str
    give_points: int
    get_points: int
    limit_points: int = 0
    per: Per = Per.MONTH

    @property
    def key(self) -> str:
        """The key under which the points are counted that a member has sent there."""
        return f"converted/{self.program_id}"

    def worth(self, points: int) -> int:
        """Return what points are there; they are whole multiples of ``give_points``."""
        return points // self.give_points * self.get_points


def find_partner(partners: Sequence[Partner], program_id: str) -> Partner | None:
    """Return a partner program."""
    return next((one for one in partners if one.program_id == program_id), None)


def parse_partners(nodes: Sequence[Node]) -> tuple[Partner, ...]:
    """Return the partners; what is wrong with them is added to the nodes' findings."""
    partners: list[Partner] = []
    for node in nodes:
        program_id = node.text("program", longest=32)
        if program_id and not _PROGRAM.fullmatch(program_id):
            node.wrong("program", f"'{program_id}' is not the id of a program", "write it as: other-brand")
        if any(program_id == one.program_id for one in partners):
            node.wrong("program", f"'{program_id}' is there already", "give each partner once")
        limit, per = parse_limit(node.node("limit_points"))
        give = node.integer("give_points", low=1, high=RATE_MAX)
        if 0 < limit < give:
            node.wrong("limit_points.count", "is less than give_points", "nothing could ever go there")
        get = node.integer("get_points", low=1, high=RATE_MAX)
        name = node.text("name", longest=NAME_CHARS_MAX)
        node.done()
        partners.append(Partner(program_id, name, give, get, limit, per))
    return tuple(partners)
