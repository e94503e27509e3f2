"""Serving processes as they are run: signals, workers, and what happens when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from tallystick.rpc.grpc_server import CannotListen
from tallystick.rpc.server import ServerSettings
from tallystick.rpc.workers import BACKOFF_MIN_S, HEALTHY_AFTER_S, Workers
from tests.rpc.edge import GET_BALANCE, StartEdge, balance_request, call
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "tests.rpc.server_program"]
PARENT = """
import sys
from tallystick.rpc.workers import Workers
assert not any(name == "grpc" or name.startswith("grpc.") for name in sys.modules), "the parent touched grpc"
sys.exit(Workers(sys.argv[2:], int(sys.argv[1]), patience_s=10, hopeless_code=2).run())
"""


def wait_for(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen in time"
        time.sleep(0.02)


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def started(folder: Path) -> list[tuple[str, int]]:
    """The worker numbers and process ids of all that were started, in order."""
    rows = (line.split() for line in lines_of(folder / "started"))
    return [(number, int(pid)) for number, pid in rows]


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def launch() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []

    def start(*command: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_calls_end_and_then_the_process(
    launch: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: int
) -> None:
    process = launch(*PROGRAM, str(tmp_path))
    served = ready(process)
    metadata = (("authorization", f"Bearer {served['token']}"),)
    with grpc.insecure_channel(f"127.0.0.1:{served['grpc']}") as channel, ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(call, channel, GET_BALANCE, balance_request(), metadata=metadata) for _ in range(8)
        ]
        wait_for(lambda: len(lines_of(tmp_path / "entered")) == 8)
        process.send_signal(number)
        assert [future.result(10) for future in calls] == [b""] * 8
    assert process.wait(10) == 0


def test_a_second_signal_skips_the_wait(launch: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    process = launch(*PROGRAM, str(tmp_path), DRAIN_WAIT_S="60")
    ready(process)
    process.terminate()
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    assert process.wait(10) == 0


def test_workers_share_a_port_come_back_when_killed_and_drain_together(
    launch: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "port").write_text(str(port))
    parent = launch(sys.executable, "-c", PARENT, "2", *PROGRAM, str(tmp_path))
    first = [ready(parent), ready(parent)]
    assert [worker["grpc"] for worker in first] == [port, port]
    assert {number for number, _ in started(tmp_path)} == {"0", "1"}
    victim = next(pid for number, pid in started(tmp_path) if number == "1")
    os.kill(victim, signal.SIGKILL)
    assert ready(parent)["grpc"] == port
    assert [number for number, _ in started(tmp_path)].count("1") == 2
    parent.terminate()
    assert parent.wait(20) == 0
    assert all(is_gone(pid) for _, pid in started(tmp_path))


def test_workers_do_not_outlive_a_parent_that_is_killed(
    launch: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    (tmp_path / "port").write_text(str(free_port()))
    parent = launch(sys.executable, "-c", PARENT, "2", *PROGRAM, str(tmp_path))
    ready(parent)
    ready(parent)
    parent.kill()
    wait_for(lambda: all(is_gone(pid) for _, pid in started(tmp_path)))


def test_a_worker_that_dies_at_once_is_started_less_and_less_often(
    launch: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    script = f"open({str(tmp_path / 'started')!r}, 'a').write('0 1\\n')"
    parent = launch(sys.executable, "-c", PARENT, "1", sys.executable, "-c", script)
    time.sleep(BACKOFF_MIN_S * 5)
    assert 2 <= len(started(tmp_path)) <= 3
    parent.terminate()
    assert parent.wait(10) == 0


@pytest.mark.parametrize("served_s", [0.0, HEALTHY_AFTER_S])
def test_a_worker_that_no_start_can_help_ends_all_unless_another_one_serves(
    tmp_path: Path, served_s: float
) -> None:
    """A wrong setting ends the command at once; one that was broken while the others served leaves those alone."""
    file = str(tmp_path / "started")
    # The broken one waits for the other, which would be ended before it has said that it was started.
    script = (
        "import os, sys, time\n"
        "number = os.environ['TALLYSTICK_WORKER']\n"
        f"while number == '1' and not (os.path.exists({file!r}) and os.path.getsize({file!r})): time.sleep(0.01)\n"
        f"open({file!r}, 'a').write(f'{{number}} {{os.getpid()}}\\n')\n"
        "sys.exit(2) if number == '1' else time.sleep(60)\n"
    )
    passed_s = 0.0

    def nap(seconds: float) -> None:
        nonlocal passed_s
        time.sleep(seconds)
        if len(started(tmp_path)) == 2:
            passed_s = served_s
        if len(started(tmp_path)) == 3:
            signal.raise_signal(signal.SIGTERM)

    workers = Workers(
        [sys.executable, "-c", script],
        2,
        patience_s=5,
        hopeless_code=2,
        clock=lambda: time.monotonic() + passed_s,
        sleep=nap,
    )
    assert workers.run() == (0 if served_s else 2)
    assert [number for number, _ in started(tmp_path)] == (["0", "1", "1"] if served_s else ["0", "1"])
    assert all(is_gone(pid) for _, pid in started(tmp_path))


def test_a_worker_that_does_not_drain_in_time_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    workers = Workers([sys.executable, "-c", stubborn], 1, patience_s=0.5, hopeless_code=2)
    naps = 0

    def nap(seconds: float) -> None:
        nonlocal naps
        naps += 1
        time.sleep(seconds)
        if naps == 10:
            signal.raise_signal(signal.SIGTERM)

    workers._sleep = nap
    before = signal.getsignal(signal.SIGTERM)
    assert workers.run() == 1
    assert workers.pids()
    assert all(is_gone(pid) for pid in workers.pids())
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("door", ["grpc", "http"])
def test_an_address_that_is_taken_stops_the_start_and_is_named(
    serve: StartEdge, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    from tallystick.rpc.grpc_server import GrpcSettings
    from tallystick.rpc.pipeline import Pipeline
    from tallystick.rpc.server import Server
    from tests.rpc.edge import Issuer, services_with

    edge = serve()
    taken = f"127.0.0.1:{edge.server.bound.grpc_port}"
    settings = ServerSettings(
        grpc=GrpcSettings(address=taken if door == "grpc" else "127.0.0.1:0"),
        http_address=taken if door == "http" else "",
        ops_address="",
    )
    pipeline = Pipeline(services_with(), authenticator=Issuer().authenticator())

    async def make() -> Server:
        return Server(settings, pipeline)

    with pytest.raises(CannotListen, match=f"cannot listen on {taken}"):
        edge.loop.run(make())


def test_the_parent_can_be_imported_without_grpc() -> None:
    script = "import sys, tallystick.rpc.workers; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0
