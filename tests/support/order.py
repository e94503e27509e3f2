"""In which order the modules of tests are handed out, so that several test processes keep all cores at work."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

WAITING = ("oscar", "web_card", "e2e", "web", "examples", "cli", "web_widget")
"""Packages whose tests wait for processes and browsers of theirs."""


def mixed(modules: Sequence[Path]) -> list[Path]:
    """Spread the modules of packages that wait evenly among those that reckon, one of each such package in turn.

    ``modules`` lie at tests/PACKAGE/...; the order depends on nothing else, as test processes must agree on it.
    """
    by_package: dict[str, list[Path]] = {package: [] for package in WAITING}
    reckoning: list[Path] = []
    for module in modules:
        by_package.get(_package(module), reckoning).append(module)
    waiting = [one for turn in zip_longest(*by_package.values()) for one in turn if one is not None]
    placed = [(2 * at + 1) / len(some) for some in (waiting, reckoning) for at in range(len(some))]
    return [one for _place, one in sorted(zip(placed, waiting + reckoning, strict=True))]


def _package(module: Path) -> str:
    parts = module.parts
    return parts[len(parts) - 1 - parts[::-1].index("tests") + 1]
