"""What the screen hears without asking."""

from __future__ import annotations

import time
from contextlib import ExitStack
from threading import Thread
from typing import Any

import pytest

from tallystick_till.daemon.events import LISTENERS_MAX
from tests.daemon.fake_till import FakeTill
from tests.daemon.served import Served, served
from tests.daemon.test_api import BASKET, CUT_BASKET, sale


def test_a_screen_hears_the_state_at_once_and_whenever_it_changes(daemon: Served) -> None:
    with daemon.events() as events:
        assert next(events) == ("state", daemon.get("/state").json)
        daemon.till.link = "online"
        daemon.till.change()
        name, state = next(events)
        assert (name, state["link"]) == ("state", "online")


def test_a_burst_of_changes_is_told_as_few_states_of_which_the_last_is_true(daemon: Served) -> None:
    with daemon.events() as events:
        next(events)
        for number in range(1, 201):
            daemon.till.queued = number
            daemon.till.change()
            time.sleep(0.002)
        heard = 0
        while next(events)[1]["queued"] != 200:
            heard += 1
        assert heard < 40


def test_a_change_that_changes_nothing_is_not_told(daemon: Served) -> None:
    with daemon.events() as events:
        next(events)
        daemon.till.queued = 1
        daemon.till.change()
        assert next(events)[1]["queued"] == 1
        daemon.till.change()
        time.sleep(0.2)
        daemon.till.queued = 2
        daemon.till.change()
        assert next(events)[1]["queued"] == 2


def test_what_time_alone_changes_is_told_as_well(daemon: Served) -> None:
    with daemon.events() as events:
        next(events)
        daemon.till.link = "online"
        assert next(events)[1]["link"] == "online"


def test_every_screen_hears_of_a_sale(daemon: Served) -> None:
    with daemon.events() as one, daemon.events() as other:
        made = daemon.post("/sale", sale(basket_id="b-1")).json
        for events in (one, other):
            sold = next(document for name, document in events if name == "sale")
            assert sold == {"basket_id": "b-1", **made}


def test_a_till_program_that_waits_is_answered_when_the_cashier_is_done(daemon: Served) -> None:
    daemon.call("PUT", "/api/v1/basket", {"basket": BASKET, "basket_id": "b-1"})
    answers: list[Any] = []
    waiting = Thread(target=lambda: answers.append(daemon.get("/basket/result?basket_id=b-1&wait_s=10")))
    waiting.start()
    time.sleep(0.2)
    assert answers == []
    made = daemon.post("/sale", sale(basket_id="b-1")).json
    waiting.join(5)
    assert answers[0].json == made


def test_a_slow_sale_holds_up_neither_the_state_nor_a_scan(daemon: Served) -> None:
    daemon.till.slow.clear()
    selling = Thread(target=lambda: daemon.post("/sale", sale()))
    selling.start()
    assert daemon.get("/state").status == 200
    assert daemon.post("/identify", {"scan": "card"}).status == 200
    daemon.till.slow.set()
    selling.join(5)
    assert len(daemon.till.asked) == 1


def test_one_screen_too_many_is_told_so(daemon: Served) -> None:
    with ExitStack() as stack:
        for _ in range(LISTENERS_MAX):
            next(stack.enter_context(daemon.events()))
        answer = daemon.get("/events")
        assert (answer.status, answer.reason) == (503, "TOO_MANY_LISTENERS")


def test_a_screen_that_went_away_makes_room(daemon: Served) -> None:
    for _ in range(LISTENERS_MAX + 5):
        with daemon.events() as events:
            next(events)
        daemon.till.queued += 1
        daemon.till.change()
        time.sleep(0.01)
    with daemon.events() as events:
        assert next(events)[0] == "state"


def test_a_file_that_breaks_while_the_till_runs_is_shown_and_ends_nothing(daemon: Served) -> None:
    with daemon.events() as events:
        next(events)
        daemon.till.broken = True
        daemon.till.change()
        assert next(events)[1]["sell"] == {"allowed": False, "reason": "OUTBOX_CORRUPT"}
        daemon.till.broken = False
        daemon.till.change()
        assert next(events)[1]["sell"] == {"allowed": True, "reason": ""}


def test_events_go_on_after_a_state_that_could_not_be_read() -> None:
    till = FakeTill()
    till.broken = True
    with served(till=till) as daemon:
        assert (daemon.get("/state").status, daemon.get("/state").reason) == (503, "OUTBOX_CORRUPT")
        till.change()
        time.sleep(0.1)
        till.broken = False
        with daemon.events() as events:
            assert next(events)[0] == "state"
            till.queued = 5
            till.change()
            assert next(events)[1]["queued"] == 5


def test_half_a_character_in_a_till_programs_basket_ends_no_events(daemon: Served) -> None:
    with daemon.events() as events:
        next(events)
        assert daemon.call("PUT", "/api/v1/basket", {"basket": CUT_BASKET, "basket_id": "b-1"}).status == 200
        name, state = next(events)
        assert (name, state["basket"]["lines"][0]["text"]) == ("state", "Birthday candles \ufffd")
    assert daemon.get("/state").json == state


def test_a_fault_in_a_state_ends_neither_the_events_nor_the_till(monkeypatch: pytest.MonkeyPatch) -> None:
    till = FakeTill()
    with served(till=till) as daemon, daemon.events() as events:
        next(events)
        with monkeypatch.context() as broken:
            broken.setattr(till, "status", lambda: 1 // 0)
            till.change()
            time.sleep(0.2)
        till.queued = 5
        till.change()
        assert next(events)[1]["queued"] == 5
