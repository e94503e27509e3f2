"""Starts tills in a process of their own and hands back what they were told."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.support.processes import Child, python
from tests.e2e.support.protocol import Protocol
from tests.e2e.support.server import Installation

PROGRESS_S = 60.0
STOP_S = 100.0


class Load:
    """Tills that sell at an installation; as a context manager they are killed at the end when they still sell."""

    def __init__(self, installation: Installation, place: Path, *, patience_s: float = 90.0) -> None:
        self._out = place / "told"
        self._answered = 0
        self._child = Child(
            python(
                "tests.e2e.support.load_process",
                *("--data-dir", str(installation.data_dir), "--members", ",".join(installation.members)),
                *("--patience", str(patience_s), "--out", str(self._out)),
            ),
            place=place,
            name="load",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close()

    def wait_for(self, more: int) -> None:
        """Return when as many more commands have been answered since the last call."""
        until = self._answered + more
        while self._answered < until:
            self._answered = int(self._child.expect("answered", PROGRESS_S)[-1].split()[1])

    def stop(self) -> Protocol:
        """Let the calls on their way end, and return everything that was told."""
        self._child.say("stop")
        return self.ended()

    def ended(self) -> Protocol:
        """Wait until the tills have stopped by themselves, and return everything that they were told."""
        assert self._child.wait(STOP_S) == 0, self._child.log()
        protocol = pickle.loads(self._out.read_bytes())
        assert isinstance(protocol, Protocol)
        return protocol
