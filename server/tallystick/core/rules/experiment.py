"""Experiments: which group a member is in, by a hash and nothing else, so that whoever asks gets the same answer.

A group is never stored. It follows from the experiment's id and the member's id, which no two members of any program
share; so a till without a line, the gateway and a simulation agree without having talked to each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from zoneinfo import ZoneInfo

from tallystick.core.ids import NEVER_MS, MemberId, Ms
from tallystick.core.record import record
from tallystick.core.rules.reader import Node

EXPERIMENTS_MAX = 20
VARIANTS_MAX = 10
HOLDOUT_PERCENT_MAX = 50
HOLDOUT = "holdout"
"""The group of members whom an experiment leaves alone; no variant may have its name."""

NO_GROUPS: frozenset[str] = frozenset()

_DRAWS = 10_000
_PROGRAM = "*"
"""Stands for the whole program where it draws its own holdout; no experiment can have this id."""


@record(frozen=True, slots=True)
class Experiment:
    """One A/B test. ``variants`` are (name, percent) that come to 100, of the members who are not held out.

    ``from_ms`` <= a sale < ``until_ms`` is what its report looks at; rules have times of their own.
    """

    experiment_id: str
    variants: tuple[tuple[str, int], ...]
    holdout_percent: int = 0
    from_ms: Ms = Ms(0)
    until_ms: Ms = NEVER_MS


def held_out(holdout_percent: int, member_id: MemberId) -> bool:
    """Return whether a member is in the program's holdout, whom no offer and no experiment ever reaches."""
    return holdout_percent > 0 and _draws(_PROGRAM, member_id)[0] < holdout_percent * _DRAWS // 100


def group_of(experiment: Experiment, member_id: MemberId, *, holdout_percent: int = 0) -> str:
    """Return the name of a member's variant, or ``HOLDOUT``; ``holdout_percent`` is the program's own.

    The two draws are apart: with another holdout nobody who stays in the experiment changes sides.
    """
    if held_out(holdout_percent, member_id):
        return HOLDOUT
    first, second = _draws(experiment.experiment_id, member_id)
    if first < experiment.holdout_percent * _DRAWS // 100:
        return HOLDOUT
    reached = 0
    for name, percent in experiment.variants:
        reached += percent * _DRAWS // 100
        if second < reached:
            return name
    raise AssertionError("the shares of the variants come to 100")


def groups_of(
    experiments: Iterable[Experiment], member_id: MemberId, *, holdout_percent: int = 0
) -> frozenset[str]:
    """Return a member's groups as conditions name them, "experiment/variant"; none of one who is held out.

    A sale without a member is in no group.
    """
    if not member_id:
        return NO_GROUPS
    found = (
        (one.experiment_id, group_of(one, member_id, holdout_percent=holdout_percent)) for one in experiments
    )
    return frozenset(f"{name}/{group}" for name, group in found if group != HOLDOUT)


def _draws(name: str, member_id: MemberId) -> tuple[int, int]:
    """Return two numbers below ``_DRAWS``; 64 bits each, so that none is noticeably more likely than another."""
    digest = hashlib.sha256(f"tallystick experiment v1|{name}|{member_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _DRAWS, int.from_bytes(digest[8:16], "big") % _DRAWS


def parse_experiments(root: Node, zone: ZoneInfo) -> tuple[Experiment, ...]:
    """Return the experiments of a rule set, and make their groups known to conditions."""
    experiments: list[Experiment] = []
    for node in root.nodes("experiments", most=EXPERIMENTS_MAX):
        experiment = _experiment(node, zone)
        if experiment.experiment_id in {one.experiment_id for one in experiments}:
            node.wrong("id", f"'{experiment.experiment_id}' is there already", "give each its own id")
        experiments.append(experiment)
    root.names["experiment"] = tuple(
        f"{one.experiment_id}/{name}" for one in experiments for name, _ in one.variants
    )
    return tuple(experiments)


def named_groups(node: Node) -> frozenset[str]:
    """Return the groups that a mapping names as "experiment/variant"; one that is not there is reported."""
    return frozenset(node.texts("experiment", node.names.get("experiment")))


def parse_holdout(root: Node) -> int:
    """Return the percentage of members whom no offer and no experiment ever reaches."""
    return root.integer("holdout_percent", 0, high=HOLDOUT_PERCENT_MAX)


def _experiment(node: Node, zone: ZoneInfo) -> Experiment:
    experiment_id = node.text("id", longest=64)
    if "/" in experiment_id or experiment_id == _PROGRAM:
        node.wrong("id", f"'{experiment_id}' cannot be an id", "use letters, digits and hyphens")
    variants: list[tuple[str, int]] = []
    items = node.nodes("variants", most=VARIANTS_MAX)
    for item in items:
        name = item.text("id", longest=64)
        if name == HOLDOUT or name in {other for other, _ in variants}:
            item.wrong("id", f"'{name}' is taken", "give each variant a name of its own, and none 'holdout'")
        variants.append((name, item.integer("percent", low=1, high=100)))
        item.done()
    total = sum(percent for _, percent in variants)
    # What shares come to of which one is written wrongly is not known.
    if total != 100 and all(isinstance(item.take("percent"), int) for item in items):
        node.wrong("variants", f"come to {total} percent", "their shares must come to 100")
    experiment = Experiment(
        experiment_id,
        tuple(variants),
        node.integer("holdout_percent", 0, high=HOLDOUT_PERCENT_MAX),
        node.instant("from", zone, Ms(0)),
        node.instant("until", zone, NEVER_MS),
    )
    if experiment.from_ms >= experiment.until_ms:
        node.wrong("until", "does not lie after 'from'", "the experiment would never run")
    node.done()
    return experiment
