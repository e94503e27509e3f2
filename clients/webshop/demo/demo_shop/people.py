"""The demo's people. Their passwords are printed by `make shop`: never use such accounts anywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to sign in as."""

    email: str
    first_name: str
    password: str
    staff: bool = False


SHOPPER = Person("anna@shop.example", "Anna", "anna-buys-beans")
OTHER = Person("bela@shop.example", "Bela", "bela-buys-kettles")
STAFF = Person("staff@shop.example", "Sam", "sam-packs-boxes", staff=True)
PEOPLE = (SHOPPER, OTHER, STAFF)


def is_known(user: Any) -> bool:
    """Say whether an address needs no mail to prove it: those of the demo's own people."""
    return user.email in {person.email for person in PEOPLE}
