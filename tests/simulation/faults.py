"""What a planted fault is: a mistake that somebody could make, put into the product for one simulated life."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

Plant = Callable[[], Iterator[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake, in words of a shop; ``seed`` is a life in which it shows, among tills that are ``hostile`` or not."""

    name: str
    seed: int
    hostile: bool
    planted: Callable[[], AbstractContextManager[None]]


FAULTS: list[Fault] = []
"""All faults, in the order in which they are written down."""


def fault(name: str, *, seed: int, hostile: bool = False) -> Callable[[Plant], Plant]:
    """Add a fault to the list: a generator that plants it, yields, and takes it out again."""

    def add(plant: Plant) -> Plant:
        FAULTS.append(Fault(name, seed, hostile, contextmanager(plant)))
        return plant

    return add


def instead(target: Any, name: str, new: Any) -> AbstractContextManager[Any]:
    """Put something in the place of a part of the product."""
    return mock.patch.object(target, name, new)
