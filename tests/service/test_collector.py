"""The collector: what arrives while a batch is worked on is the next batch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import pytest

from tallystick.service.collector import Collector, Ticket
from tallystick.service.errors import Draining, Overloaded

WAIT_S = 10.0

Tickets = Sequence[Ticket[int, int]]


class Doubler:
    """Doubles numbers; ``gate`` holds the first batch back until a test has queued what it wants."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = threading.Event()
        self.gate = threading.Event()

    def work(self, tickets: Tickets) -> None:
        self.batches.append([ticket.item for ticket in tickets])
        self.started.set()
        assert self.gate.wait(WAIT_S)
        for ticket in tickets:
            if ticket.item == 13:
                raise ZeroDivisionError("unlucky")
            ticket.outcome = ticket.item * 2 if ticket.item >= 0 else ValueError(str(ticket.item))


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


@pytest.fixture
def collector(doubler: Doubler) -> Iterator[Collector[int, int]]:
    made: Collector[int, int] = Collector(doubler.work, name="doubler", batch_max=4, queue_max=8)
    yield made
    doubler.gate.set()
    made.close(WAIT_S)


def results(futures: list[Future[int]]) -> list[int]:
    return [future.result(WAIT_S) for future in futures]


def held_back(doubler: Doubler, collector: Collector[int, int]) -> list[Future[int]]:
    """Queue one item and wait until it is being worked on, so that what follows waits together."""
    first = collector.submit_all([0])
    assert doubler.started.wait(WAIT_S)
    return first


def test_what_waits_together_is_worked_on_together_in_order(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    first = held_back(doubler, collector)
    rest = collector.submit_all([1, 2, 3])
    assert collector.waiting == 3
    doubler.gate.set()
    assert results(first + rest) == [0, 2, 4, 6]
    assert doubler.batches == [[0], [1, 2, 3]]


def test_a_batch_has_a_maximum(doubler: Doubler, collector: Collector[int, int]) -> None:
    first = held_back(doubler, collector)
    rest = collector.submit_all([1, 2, 3, 4, 5])
    doubler.gate.set()
    results(first + rest)
    assert doubler.batches == [[0], [1, 2, 3, 4], [5]]


def test_one_item_alone_waits_for_nothing(doubler: Doubler, collector: Collector[int, int]) -> None:
    doubler.gate.set()
    assert results(collector.submit_all([21])) == [42]


def test_a_full_queue_takes_nothing_of_what_does_not_fit(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    first = held_back(doubler, collector)
    rest = collector.submit_all([1] * 8)
    with pytest.raises(Overloaded):
        collector.submit_all([2])
    with pytest.raises(Overloaded):
        collector.submit_all([2, 2])
    doubler.gate.set()
    assert results(first + rest) == [0, *[2] * 8]
    assert 2 not in {item for batch in doubler.batches for item in batch}


def test_an_outcome_may_be_an_error_of_one_item_alone(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    doubler.gate.set()
    good, bad = collector.submit_all([4, -4])
    assert good.result(WAIT_S) == 8
    with pytest.raises(ValueError, match="-4"):
        bad.result(WAIT_S)


def test_a_batch_that_fails_tells_its_callers_and_the_next_is_worked_on(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    doubler.gate.set()
    (unlucky,) = collector.submit_all([13])
    with pytest.raises(ZeroDivisionError):
        unlucky.result(WAIT_S)
    assert results(collector.submit_all([5])) == [10]


def test_a_caller_who_gave_up_does_not_stop_the_others(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    first = held_back(doubler, collector)
    gone, stays = collector.submit_all([1, 2])
    assert gone.cancel()
    doubler.gate.set()
    assert results([*first, stays]) == [0, 4]
    assert results(collector.submit_all([3])) == [6]
    assert doubler.batches[1] == [1, 2], "what was queued is done all the same"


def test_closing_finishes_what_waits_and_takes_nothing_more(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    first = held_back(doubler, collector)
    rest = collector.submit_all([1, 2, 3, 4, 5])
    closing = threading.Thread(target=collector.close, args=(WAIT_S,))
    closing.start()
    while not collector._closing:
        closing.join(0.001)
    with pytest.raises(Draining):
        collector.submit_all([6])
    doubler.gate.set()
    closing.join(WAIT_S)
    assert not closing.is_alive()
    assert results(first + rest) == [0, 2, 4, 6, 8, 10]


def test_closing_twice_is_closing_once(doubler: Doubler, collector: Collector[int, int]) -> None:
    doubler.gate.set()
    collector.close(WAIT_S)
    collector.close(WAIT_S)
    with pytest.raises(Draining):
        collector.submit_all([1])


def test_nothing_is_lost_between_many_callers_and_the_end(doubler: Doubler) -> None:
    """Whatever was taken is answered, whatever was not taken is told so, and nobody waits for ever."""
    doubler.gate.set()
    for _ in range(20):
        collector: Collector[int, int] = Collector(doubler.work, name="ending", batch_max=4, queue_max=10_000)
        taken: list[Future[int]] = []

        def call(taken: list[Future[int]] = taken, collector: Collector[int, int] = collector) -> None:
            try:
                while True:
                    taken += collector.submit_all([1])
            except Draining:
                return
            except Overloaded:
                return

        callers = [threading.Thread(target=call) for _ in range(3)]
        for caller in callers:
            caller.start()
        collector.close(WAIT_S)
        for caller in callers:
            caller.join(WAIT_S)
        assert all(future.result(WAIT_S) == 2 for future in taken)


def test_callers_on_an_event_loop_are_answered_there(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    doubler.gate.set()

    async def ask() -> list[int | BaseException]:
        waits = [collector.submit(item) for item in (1, -1, 2)]
        return await asyncio.gather(*waits, return_exceptions=True)

    one, wrong, two = asyncio.run(ask())
    assert (one, two) == (2, 4)
    assert isinstance(wrong, ValueError)


def test_a_cancelled_caller_on_an_event_loop_harms_nobody(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    async def ask() -> int:
        gone = asyncio.ensure_future(collector.submit(1))
        await asyncio.sleep(0)
        stays = asyncio.ensure_future(collector.submit(2))
        await asyncio.sleep(0)
        gone.cancel()
        doubler.gate.set()
        return await stays

    assert asyncio.run(ask()) == 4


def test_a_loop_that_ended_while_its_callers_waited_does_not_stop_the_thread(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    async def leave() -> None:
        task = asyncio.ensure_future(collector.submit(1))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    doubler.gate.set()
    assert results(collector.submit_all([2])) == [4]


def test_items_submitted_together_stay_together_in_order(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    doubler.gate.set()

    async def together() -> list[int]:
        return await collector.submit_together([3, 1, 2])

    assert asyncio.run(together()) == [6, 2, 4]
    assert doubler.batches == [[3, 1, 2]]


def test_the_first_error_of_items_submitted_together_is_raised(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    doubler.gate.set()

    async def together() -> list[int]:
        return await collector.submit_together([1, -1, 2])

    with pytest.raises(ValueError, match="-1"):
        asyncio.run(together())
    assert doubler.batches == [[1, -1, 2]]


def test_items_that_do_not_fit_together_are_all_refused(
    doubler: Doubler, collector: Collector[int, int]
) -> None:
    doubler.gate.set()

    async def together() -> list[int]:
        return await collector.submit_together(list(range(9)))

    with pytest.raises(Overloaded):
        asyncio.run(together())
    assert doubler.batches == []
