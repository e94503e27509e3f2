"""A server process of one's own: for an import into a database that nobody serves, for the demo, for tests.

It ends with the process that started it, even when that is killed: the server holds the other end of a pipe and
drains when the pipe closes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tallystick.cli.output import CommandFailed
from tallystick.config.settings import ENV_PREFIX, Settings
from tallystick.config.sources import FOREIGN_VARIABLES
from tallystick.core.record import record

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.02
LOG_TAIL_CHARS = 2_000
LIFELINE_VARIABLE = "TALLYSTICK_LIFELINE"


@record(frozen=True, slots=True)
class Ready:
    """Where a server listens, as it writes into its ready file; 0 is a closed door."""

    pid: int
    grpc_port: int
    http_port: int
    ops_port: int


class ServerProcess:
    """`tallystick serve` on a free port of 127.0.0.1, for the database and keys of `settings`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._scratch = tempfile.TemporaryDirectory(prefix="tallystick-server-")
        self.ready = Ready(0, 0, 0, 0)

    @property
    def address(self) -> str:
        """Where gRPC is served."""
        return f"127.0.0.1:{self.ready.grpc_port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it serves; CommandFailed with the end of its log when it does not."""
        ready_file, log_file = Path(self._scratch.name) / "ready.json", Path(self._scratch.name) / "log"
        settings = self._settings
        # The database URL may hold a password: in the environment, not in the arguments that every user can list.
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(ENV_PREFIX) or name in FOREIGN_VARIABLES
        }
        reader, self._lifeline = os.pipe()
        environment |= {
            "TALLYSTICK_DATABASE_URL": settings.database_url,
            "TALLYSTICK_DATA_DIR": settings.data_dir,
            "TALLYSTICK_KEY_DIR": settings.key_dir,
            "TALLYSTICK_ISSUER": settings.issuer,
            "TALLYSTICK_LISTEN": "127.0.0.1:0",
            "TALLYSTICK_HTTP_LISTEN": "",
            "TALLYSTICK_IN_FLIGHT_MAX": str(settings.in_flight_max),
            "TALLYSTICK_DRAIN_WAIT_S": "0",
            "TALLYSTICK_LOG_LEVEL": "warning",
            LIFELINE_VARIABLE: str(reader),
        }
        command = [sys.executable, "-m", "tallystick", "serve", "--ready-file", str(ready_file)]
        with log_file.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(reader,),
                # Ctrl+C is for the one who started it, and who then stops it in good order.
                start_new_session=True,
            )
        os.close(reader)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = log_file.read_text(errors="replace")[-LOG_TAIL_CHARS:].strip()
                self.stop()
                raise CommandFailed(f"the server did not start:\n{tail}")
            time.sleep(POLL_S)
        self.ready = Ready(**json.loads(ready_file.read_text()))

    def stop(self) -> None:
        """Let it drain and end."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        if self._process is not None:
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self._scratch.cleanup()


def write_ready_file(path: Path, ready: Ready) -> None:
    """Write where a server listens; the file appears complete or not at all."""
    new = path.with_name(path.name + ".new")
    new.write_text(
        json.dumps(
            {
                "pid": ready.pid,
                "grpc_port": ready.grpc_port,
                "http_port": ready.http_port,
                "ops_port": ready.ops_port,
            }
        )
    )
    new.replace(path)
