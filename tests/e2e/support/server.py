"""`tallystick serve` as an operator runs it: started, killed and started again on the same address and data."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tallystick.cli.prepare import DEMO_PROGRAM, prepare
from tallystick.cli.profile import Profile, load_profile
from tallystick.cli.register import register_device
from tallystick.cli.wiring import opened_gateway
from tallystick.config.settings import Settings
from tallystick.config.sources import load
from tallystick.core.ids import MemberId
from tallystick.core.state import MemberStatus
from tallystick.security.keys import SigningKey
from tallystick.service.directory import Member
from tests.e2e.support.processes import Child, python
from tests.support import ports

PROGRAM = DEMO_PROGRAM
CALLER = "caller"
"""The profile of the device that calls: a webshop, which may send ten times what a till may."""

START_S = 60.0
POLL_S = 0.02
DRAIN_WAIT_S = 0.5

_ports: list[int] = []


class Installation:
    """A data directory with keys, a program, a device that calls and members, and the server on it.

    ``database_url`` is migrated already. ``env`` are further variables of the server. As a context manager it kills the
    server at the end when it still runs.
    """

    def __init__(
        self, place: Path, database_url: str, *, members: int, env: Mapping[str, str] | None = None
    ) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._place = place
        self._settings: Settings = load(
            environ={},
            overrides={
                "data_dir": str(place / "data"),
                "database_url": database_url,
                "listen": self.address,
            },
        )
        self._server: Child | None = None
        self._env = dict(env or {})
        with opened_gateway(self._settings) as (gateway, _, _keys):
            prepare(self._settings, gateway, server=self.address)
            register_device(
                gateway.store,
                self._settings,
                program=PROGRAM,
                role="webshop",
                store_id="",
                label=CALLER,
                name=CALLER,
                server=self.address,
            )
            now = gateway.now_ms()
            self.members = [MemberId(str(uuid.uuid4())) for _ in range(members)]
            for number, one in enumerate(self.members):
                gateway.store.enrol(PROGRAM, Member(one, str(number), MemberStatus.OPEN, now, 1, "s1"), [])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def data_dir(self) -> Path:
        """Where keys and profiles lie."""
        return Path(self._settings.data_dir)

    @property
    def settings(self) -> Settings:
        """The settings of the server, for whoever prepares its database."""
        return self._settings

    @property
    def server(self) -> Child:
        """The process that serves now."""
        assert self._server is not None, "not started"
        return self._server

    def profile(self) -> tuple[Profile, SigningKey]:
        """Return the device that may call."""
        return load_profile(self.data_dir, CALLER)

    def start(self) -> None:
        """Start the server and wait until it serves."""
        ready = self._place / "ready.json"
        ready.unlink(missing_ok=True)
        doors = ("--listen", self.address, "--http-listen", "", "--ops-listen", "")
        command = python("tallystick", "serve", *doors, "--ready-file", str(ready), "--log-level", "warning")
        environment = {
            "TALLYSTICK_DATABASE_URL": self._settings.database_url,
            "TALLYSTICK_DATA_DIR": self._settings.data_dir,
            "TALLYSTICK_DRAIN_WAIT_S": str(DRAIN_WAIT_S),
            **self._env,
        }
        self._server = Child(command, place=self._place, name="server", env=environment)
        until = time.monotonic() + START_S
        while not ready.exists():
            assert self._server.running, f"the server ended:\n{self._server.log()}"
            assert time.monotonic() < until, f"the server did not start:\n{self._server.log()}"
            time.sleep(POLL_S)

    def kill(self) -> None:
        """Kill the server with SIGKILL; nothing when there is none."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def restart_after_kill(self) -> None:
        """Kill it in the middle of whatever it does, and start it again."""
        self.kill()
        self.start()


def free_port() -> int:
    """Return a port that nobody listens on, and remember it for `ports_in_use`."""
    port = ports.free_port()
    _ports.append(port)
    return port


def ports_in_use() -> list[int]:
    """Return the ports of these tests that somebody still listens on."""
    found = []
    for port in _ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                found.append(port)
    return found
