"""Processes that start warm are processes like any other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.warm import RUN, RUN_NAME, Warm, run_warm, server_pid

PROGRAM = """
import os, signal, sys, time
word = sys.argv[1]
if word == "tell":
    print(os.environ["WORD"], os.getcwd(), sys.argv[2:], __name__, os.getpid())
    print("beside", file=sys.stderr)
    sys.exit(7)
if word == "crash":
    raise ValueError("as it should")
if word == "echo":
    for line in sys.stdin:
        print(line.upper(), end="", flush=True)
if word == "sleep":
    time.sleep(60)
if word == "interrupted":
    try:
        print("now", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(3)
if word == "env":
    print(sorted(os.environ))
"""
WAIT_S = 20.0


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The module that is run, below the directory that it is run in."""
    (tmp_path / "warm_program.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return "warm_program"


def test_arguments_environment_streams_and_exit_code_are_its_own(module: str, tmp_path: Path) -> None:
    done = run_warm(module, ["tell", "a b", "ö"], env={"WORD": "grün"}, timeout_s=WAIT_S)
    word, cwd, rest = done.stdout.split(" ", 2)
    assert (word, cwd) == ("grün", str(tmp_path))
    assert rest.startswith("['a b', 'ö'] __main__ ")
    assert int(rest.split()[-1]) not in (os.getpid(), server_pid())
    assert (done.returncode, done.stderr) == (7, "beside\n")
    assert "WORD" not in run_warm(module, ["env"], env={}, timeout_s=WAIT_S).stdout


def test_what_is_not_caught_ends_it_with_a_traceback(module: str) -> None:
    done = run_warm(module, ["crash"], env={}, timeout_s=WAIT_S)
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: as it should\n")
    missing = run_warm("no_such_module", [], env={}, timeout_s=WAIT_S)
    assert missing.returncode == 1
    assert "No module named no_such_module" in missing.stderr


def test_pipes_can_be_written_read_and_closed(module: str) -> None:
    process = Warm(module, ["echo"], env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"one\n")
    assert process.stdout.readline() == b"ONE\n"
    assert process.poll() is None
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait(WAIT_S) == 0
    process.stdout.close()


def test_signals_reach_it_alone(module: str) -> None:
    asleep = Warm(module, ["sleep"], env={})
    interrupted = Warm(module, ["interrupted"], env={}, stdout=subprocess.PIPE)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            asleep.wait(0.05)
        assert interrupted.stdout is not None
        assert interrupted.stdout.readline() == b"now\n"
        interrupted.send_signal(signal.SIGINT)
        assert interrupted.wait(WAIT_S) == 3
        interrupted.stdout.close()
        assert asleep.poll() is None
        asleep.kill()
        assert asleep.wait(WAIT_S) == -signal.SIGKILL
        asleep.terminate()
        assert not psutil.pid_exists(asleep.pid)
    finally:
        asleep.kill()
        interrupted.kill()


def test_the_end_of_one_that_nobody_waits_for_harms_no_other(module: str) -> None:
    forgotten = Warm(module, ["sleep"], env={})
    pid = forgotten.pid
    del forgotten
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + WAIT_S
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert run_warm(module, ["env"], env={}, timeout_s=WAIT_S).returncode == 0


def test_it_holds_nothing_open_that_is_not_its_own(module: str) -> None:
    first = Warm(module, ["sleep"], env={}, stdin=subprocess.PIPE)
    second = Warm(module, ["sleep"], env={})
    try:
        assert first.stdin is not None
        streams = {0, 1, 2}
        deadline = time.monotonic() + WAIT_S
        while {int(one.name) for one in Path(f"/proc/{second.pid}/fd").iterdir()} != streams:
            assert time.monotonic() < deadline, list(Path(f"/proc/{second.pid}/fd").iterdir())
            time.sleep(0.01)
        first.stdin.close()
    finally:
        first.kill()
        second.kill()
        first.wait(WAIT_S)
        second.wait(WAIT_S)


def test_nothing_outlives_the_process_that_runs_the_tests(module: str, tmp_path: Path) -> None:
    """Not even when that one is killed: a server left behind would hold its port and its file."""
    script = (
        "import sys, time; from tests.support.warm import Warm\n"
        f"print(Warm({module!r}, ['sleep'], env={{}}).pid, flush=True); time.sleep(60)"
    )
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *sys.path])
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
    ) as runner:
        assert runner.stdout is not None
        asleep = psutil.Process(int(runner.stdout.readline()))
        server = asleep.parent()
        assert server is not None
        runner.kill()
        psutil.wait_procs([asleep, server], timeout=WAIT_S)
    assert not asleep.is_running()
    assert not server.is_running()


def test_it_is_told_from_those_of_others(module: str) -> None:
    process = Warm(module, ["sleep"], env={})
    try:
        assert psutil.Process(process.pid).environ()[RUN_NAME] == RUN
    finally:
        process.kill()
        process.wait(WAIT_S)
