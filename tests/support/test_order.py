"""The order of the tests' modules: nothing is lost, and what waits lies among what reckons."""

from __future__ import annotations

from pathlib import Path

from tests.support.order import mixed


def paths(*names: str) -> list[Path]:
    return [Path("/src/tests-of-old/tests") / name for name in names]


def test_modules_that_wait_lie_evenly_among_those_that_reckon() -> None:
    core = paths(*(f"core/test_{number}.py" for number in range(6)))
    waiting = paths("cli/test_a.py", "oscar/test_b.py", "oscar/support/test_c.py")
    order = mixed([*waiting, *core])
    assert sorted(order) == sorted([*waiting, *core])
    assert [order.index(one) for one in waiting] == [4, 1, 7]
    assert [one for one in order if one in core] == core


def test_without_one_kind_the_other_stays_as_it_is() -> None:
    for some in (paths("core/test_a.py", "rpc/test_b.py"), paths("web/test_a.py", "web/test_b.py"), []):
        assert mixed(some) == some
