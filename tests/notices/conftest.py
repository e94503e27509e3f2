"""Clubs that tell their members, with one channel or with the usual ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tallystick.service.notices import Carrier, Notice, Outcome, Recipient
from tallystick.service.notification_ports import Way
from tests.notices.world import Club, started, telling


class Later:
    """A channel that is wired once the club is there: it needs the club's store and keys."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.real: Carrier | None = None

    async def send(self, notice: Notice, recipient: Recipient) -> Outcome:
        assert self.real is not None
        return await self.real.send(notice, recipient)


@pytest.fixture
def open_club(tmp_path: Path) -> Iterator[Callable[..., Club]]:
    clubs: list[Club] = []

    def opened(way: Way, make: Callable[[Club], Carrier], *others: Carrier, **section: str) -> Club:
        later = Later(way)
        section_text = telling("redemption", "points_earned", **section)
        club = Club(tmp_path, section_text, carriers=[later, *others])
        later.real = make(club)
        club.turn()
        clubs.append(club)
        return club

    yield opened
    for club in clubs:
        club.close()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[Club]]:
    clubs: list[Club] = []
    yield clubs
    for club in clubs:
        club.close()


@pytest.fixture
def club(opened: list[Club], tmp_path: Path) -> Club:
    """A club that tells of points earned and spent, tiers and rewards; it has been served for a while."""
    return started(
        opened, tmp_path, telling("points_earned", "redemption", "tier_reached", "reward_in_reach")
    )
