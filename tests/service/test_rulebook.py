"""Rule sets in memory: how old what a replica goes by may be."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import cast

from tallystick.core.ids import CommandId, Ms, ProgramId
from tallystick.service.directory import Clock, Directory, Program, StoredRuleSet
from tallystick.service.programs import CheckedText, check_text
from tallystick.service.rulebook import FRESH_S, REFRESH_S, RuleBook

SHOP = ProgramId("shop")
RULES: dict[str, object] = {
    "format": "tallystick/1",
    "currency": "EUR",
    "time_zone": "Europe/Stockholm",
    "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
}


WINE = {"id": "wine", "kind": "per_item", "points": 1, "category": "wine"}
POINTLESS: dict[str, object] = {**RULES, "earning": {"rules": [WINE], "exclude": [{"category": "wine"}]}}


class Books:
    """A directory with one program, whose rule set has a number; ``reading`` runs while it is being read."""

    def __init__(self) -> None:
        self.published = 1
        self.name = ""
        self.reads = 0
        self.rules = RULES
        self.reading: Callable[[], None] = lambda: None

    def program(self, program_id: ProgramId) -> Program:
        self.reads += 1
        found = Program(program_id, "Shop", Clock.LIVE, self.published, Ms(0))
        self.reading()
        return found

    def rule_set(self, _program_id: ProgramId, version: int) -> StoredRuleSet:
        text = json.dumps(self.rules | {"name": self.name})
        return StoredRuleSet(
            version, "00" * 32, text, text, CommandId(str(uuid.UUID(int=version))), Ms(0), "tests"
        )


class Time:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def opened() -> tuple[Books, Time, RuleBook]:
    books, time = Books(), Time()
    return books, time, RuleBook(cast("Directory", books), monotonic=time)


def version(book: RuleBook) -> int:
    program = book.program(SHOP)
    assert program is not None
    return program.rule_set


def test_a_program_is_looked_up_again_when_its_time_is_over_and_not_before() -> None:
    books, time, book = opened()
    assert version(book) == 1
    books.published = 2
    time.now_s += REFRESH_S - 0.01
    assert (version(book), books.reads) == (1, 1)
    time.now_s += 0.02
    assert (version(book), books.reads) == (2, 2)


def test_who_has_published_sees_it_at_once() -> None:
    books, _, book = opened()
    assert version(book) == 1
    books.published = 2
    book.forget(SHOP)
    assert version(book) == 2


def test_what_was_read_while_somebody_published_is_not_kept() -> None:
    books, _, book = opened()

    def publish() -> None:
        books.reading = lambda: None
        books.published = 2
        book.forget(SHOP)

    books.reading = publish
    assert version(book) == 1, "the one in force when it was asked for"
    assert version(book) == 2


def test_a_program_is_fresh_when_what_follows_asks_nothing_of_the_store() -> None:
    books, time, book = opened()
    books.published = 0
    assert not book.fresh(SHOP)
    assert book.current(SHOP) is None
    assert book.fresh(SHOP)
    time.now_s += FRESH_S - 0.01
    assert book.fresh(SHOP)
    assert book.current(SHOP) is None
    assert books.reads == 1
    time.now_s += 0.02
    assert not book.fresh(SHOP)


def test_a_program_whose_rules_were_not_looked_up_is_not_fresh() -> None:
    _, _, book = opened()
    assert version(book) == 1
    assert not book.fresh(SHOP)


def test_a_number_that_a_database_has_given_anew_after_it_was_set_back_is_read_anew() -> None:
    """It lost version 2 with its last commits; what is published then is another version 2."""
    books, time, book = opened()

    def in_force(number: int, name: str) -> str:
        books.published, books.name = number, name
        time.now_s += REFRESH_S + 0.01
        rules = book.current(SHOP)
        assert rules is not None
        return rules.name

    assert in_force(2, "lost") == "lost"
    assert in_force(1, "before") == "before"
    assert in_force(2, "after") == "after"


def test_rules_that_were_published_before_somebody_looked_for_a_mistake_in_them_are_gone_by() -> None:
    books, _, book = opened()
    books.rules = POINTLESS
    text = json.dumps(POINTLESS | {"name": "Club"})
    assert isinstance(check_text(text), list)
    assert isinstance(check_text(text, published=True), CheckedText)
    books.name = "Club"
    rules = book.current(SHOP)
    assert rules is not None
    assert [rule.rule_id for rule in rules.earning.rules] == ["wine"]
