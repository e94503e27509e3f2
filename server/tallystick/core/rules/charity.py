"""Charity in a rule set: the projects that a program supports, and what the retailer gives them of each sale."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fractions import Fraction
from zoneinfo import ZoneInfo

from tallystick.core.ids import AMOUNT_MINOR_MAX
from tallystick.core.record import record
from tallystick.core.rules.conditions import parse_condition, parse_selector
from tallystick.core.rules.index import Selector
from tallystick.core.rules.model import Condition
from tallystick.core.rules.reader import Node

PROJECTS_MAX = 50
SHARES_MAX = 50
NAME_CHARS_MAX = 100
TEXT_CHARS_MAX = 200
PPM = 1_000_000


@record(frozen=True, slots=True)
class Project:
    """Something that the program supports."""

    project_id: str
    name: str
    text: str = ""


@record(frozen=True, slots=True)
class Share:
    """What the retailer gives to a project of a sale with lines that fit: ``minor`` once, or for each of their whole
    pieces (``by_piece``), or ``ppm`` of their price.
    """

    project_id: str
    minor: int = 0
    ppm: int = 0
    by_piece: bool = False
    lines: Selector = Selector()
    when: Condition = Condition()


@record(frozen=True, slots=True)
class Charity:
    """The projects in the order in which they are shown, and the shares of sales."""

    projects: tuple[Project, ...]
    shares: tuple[Share, ...] = ()

    def find(self, project_id: str) -> Project | None:
        """Return a project."""
        return next((one for one in self.projects if one.project_id == project_id), None)


def parse_charity(node: Node | None, zone: ZoneInfo, tier_ids: Sequence[str]) -> Charity | None:
    """Return the section, None where there is none; what is wrong with it is added to the node's findings."""
    if node is None:
        return None
    projects = []
    for one in node.nodes("projects", most=PROJECTS_MAX):
        projects.append(
            Project(
                one.text("id", longest=64),
                one.text("name", longest=NAME_CHARS_MAX),
                one.text("text", "", longest=TEXT_CHARS_MAX),
            )
        )
        one.done()
    ids = [one.project_id for one in projects]
    if not projects:
        node.wrong("projects", "is empty", "name at least one project, or remove 'charity:'")
    node.unique("projects", ids)
    shares = [_share(one, ids, zone, tier_ids) for one in node.nodes("share", most=SHARES_MAX)]
    node.done()
    return Charity(tuple(projects), tuple(shares))


def _share(node: Node, ids: Sequence[str], zone: ZoneInfo, tier_ids: Sequence[str]) -> Share:
    project_id = node.text("project", longest=64)
    if project_id and project_id not in ids:
        close = difflib.get_close_matches(project_id, ids, 1)
        mend = f"did you mean '{close[0]}'?" if close else "name one of the projects"
        node.wrong("project", f"'{project_id}' is not known here", mend)
    minor = node.integer("minor", 0, high=AMOUNT_MINOR_MAX)
    ppm = 0
    if node.has("percent"):
        ppm = int(node.ratio("percent", low=Fraction(1, 100), high=Fraction(100)) * PPM / 100)
    if bool(minor) == bool(ppm):
        node.wrong("", "must say how much is given", "write either minor: 100 or percent: '1'")
    by_piece = node.choice("each", ("sale", "piece"), "sale") == "piece"
    if by_piece and ppm:
        node.wrong("each", "only goes with minor", "remove it: a percentage is of the price")
    share = Share(
        project_id, minor, ppm, by_piece, parse_selector(node), parse_condition(node, zone, tier_ids)
    )
    node.done()
    return share
