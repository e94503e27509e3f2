"""Tills of an installation as processes of their own, each behind a line that loses."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tallystick.cli.profile import load_profile
from tallystick.cli.register import register_device
from tallystick.cli.wiring import opened_gateway
from tallystick.core.basket import Channel
from tallystick.core.ids import MemberId
from tallystick.service.identity import Enrolled, Text
from tallystick_till.config import TillConfig, prepare_directory, save_config, save_key
from tallystick_till.daemon.machine import new_id
from tests.e2e.support.lossy import LossyLine
from tests.e2e.support.processes import Child, python
from tests.e2e.support.server import PROGRAM, Installation
from tests.e2e.support.till_process import TOLD

OPEN_S = 30.0
STOP_S = 10.0


class Told(NamedTuple):
    """A sale as its customer was told."""

    sale_id: str
    earned: int
    burned: int
    by: tuple[str, ...]
    stand_in: bool


def enrol_members(installation: Installation, count: int) -> list[str]:
    """Make members; return the numbers on their cards."""
    numbers = []
    with opened_gateway(installation.settings) as (gateway, _, _keys):
        for _ in range(count):
            made = gateway.identity.enrol(
                PROGRAM,
                MemberId(new_id()),
                Text(""),
                enrolled_ms=gateway.now_ms(),
                channel=Channel.STORE,
                store_id="s1",
            )
            assert isinstance(made, Enrolled)
            numbers.append(made.member.number)
    return numbers


class TillShop:
    """One till with its directory, which outlives its processes. The database must be up when it is made.

    ``around`` goes before the command, for a process that runs elsewhere than the test does.
    """

    def __init__(
        self,
        installation: Installation,
        place: Path,
        line: LossyLine,
        cards: list[str],
        *,
        number: int,
        around: tuple[str, ...] = (),
    ) -> None:
        self._place = place
        self._cards = cards
        self._around = around
        self._name = f"till-{number}"
        self._child: Child | None = None
        self.line = line
        self.directory = prepare_directory(place / self._name)
        self.store_id = f"s{number}"
        settings = installation.settings
        with opened_gateway(settings) as (gateway, _, _keys):
            register_device(
                gateway.store,
                settings,
                program=PROGRAM,
                role="till",
                store_id=self.store_id,
                label=self._name,
                name=self._name,
                server=installation.address,
            )
        profile, key = load_profile(installation.data_dir, self._name)
        save_key(self.directory, key)
        save_config(
            self.directory,
            TillConfig(
                till_id=profile.device_id,
                program_id=PROGRAM,
                gateway=line.address,
                issuer=profile.issuer,
                store_id=self.store_id,
                label=self._name,
            ),
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def process(self) -> Child:
        """The process that sells now."""
        assert self._child is not None, "not started"
        return self._child

    def start(self) -> None:
        """Start the till; it opens when it has heard of the gateway, today or on an earlier day."""
        command = python("tests.e2e.support.till_process", str(self.directory), *self._cards)
        self._child = Child([*self._around, *command], place=self._place, name=self._name)

    def wait_until_open(self) -> None:
        self.process.expect("open", OPEN_S)

    def kill(self) -> None:
        """Kill the till with SIGKILL; nothing when it does not run."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def drain(self) -> None:
        """Let it finish the basket on its counter and sell no more."""
        self.process.say("drain")

    def wait_until_drained(self, timeout_s: float) -> None:
        """Wait until nothing of the till waits for a verdict any more; then end it."""
        self.process.expect("drained", timeout_s)
        self.process.send(signal.SIGTERM)
        self.process.wait(STOP_S)

    def told(self) -> list[Told]:
        """Return what its customers were told, in order; a line that a kill has halved was told to nobody."""
        file = self.directory / TOLD
        text = file.read_text() if file.exists() else ""
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [
            Told(one["sale_id"], one["earned"], one["burned"], tuple(one["by"]), one["stand_in"])
            for one in lines
        ]
