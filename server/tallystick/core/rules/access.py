"""Early access and exclusive products in a rule set: which articles are open to whom, and from when."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.record import record
from tallystick.core.rules.index import Selector
from tallystick.core.rules.reader import Node

if TYPE_CHECKING:
    from tallystick.core.rules.model import Condition

ACCESS_MAX = 100
NAME_CHARS_MAX = 100


@record(frozen=True, slots=True)
class Access:
    """Articles that are open to some from ``early_ms`` and to everybody from ``opens_ms`` (never: exclusive to them).

    ``who`` says to whom: a condition of tiers and memberships alone.
    """

    access_id: str
    name: str
    lines: Selector
    who: Condition
    early_ms: Ms = Ms(0)
    opens_ms: Ms = NEVER_MS


def parse_access(node: Node, lines: Selector, who: Condition, zone: ZoneInfo) -> Access:
    """Return one rule of access; what is wrong with it is added to the node's findings."""
    access = Access(
        access_id=node.text("id", longest=64),
        name=node.text("name", "", longest=NAME_CHARS_MAX),
        lines=lines,
        who=who,
        early_ms=node.instant("early_from", zone, Ms(0)),
        opens_ms=node.instant("opens_at", zone, NEVER_MS),
    )
    if lines == Selector():
        node.wrong("", "does not say which articles", "name a sku, category or brand")
    if (who.stores or who.channels or who.weekdays or who.minutes) or who.from_ms or who.until_ms < NEVER_MS:
        node.wrong(
            "",
            "is opened by early_from and opens_at, to tiers and memberships",
            "remove store, channel, weekday, hours, from and until",
        )
    elif who == type(who)():
        node.wrong("", "does not say to whom", "name a tier or a membership")
    if access.early_ms >= access.opens_ms:
        node.wrong("opens_at", "is not after 'early_from'", "nobody would be early")
    node.done()
    return access
