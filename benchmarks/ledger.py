"""The ledger's figures, all in one run on one PostgreSQL, so that their ratios mean something.

``python -m benchmarks.ledger [--database URL] [--members N] [--json]`` prints pgbench's TPC-B, group-committed
sync of advices, unary sales over gRPC beside a bare gRPC echo, balance look-ups, and SQLite. ``--database`` names a
superuser of a server that may be loaded; without it the benchmark starts a PostgreSQL of its own.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

import tallystick
from benchmarks.load import write_messages
from benchmarks.measure import cpu_s, report, rss_mb
from benchmarks.population import (
    PROGRAM,
    enrol_messages,
    member_id,
    now_ms,
    populate_postgres,
    populate_sqlite,
    publish,
    sales,
    scan_messages,
)
from tallystick.security.key_dir import KeyDir, create_key_dir
from tallystick.security.tokens import access_profile, new_token_id, sign_access_token
from tallystick.storage.open import open_store
from tallystick.storage.schema import migrate
from tallystick.v1 import ledger_pb2
from tests.support.postgres import Database, PostgresCluster, PostgresServer, installation, libpq

TPCB_SCALE = 20
CLIENTS = 16
CONCURRENCY = 64
ROUNDS = 2
HALF_ROUNDS = 3
"""Latency at half load is the median of so many runs: in one alone a single stop of the machine makes the p99."""
ECHO_BYTES = 200
SYNC_WORKERS = 2
CONNECTIONS_EACH = 8
"""The kernel deals out connections, not calls, to processes that share a port: few of them would be dealt unevenly."""
SCANNED = 2_000
ENROL_SECONDS_MAX = 60.0
ISSUER = "tallystick"
START_TIMEOUT_S = 30.0
WITH_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
"""A server starts as an installed one does, whose modules were compiled when it was installed."""


def main() -> None:
    """Run all parts and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", default="", help="superuser URL of a PostgreSQL that may be loaded")
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument(
        "--advices", type=int, default=40_000, help="advices of the sync part, over all workers"
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each timed part")
    parser.add_argument(
        "--processes", type=int, default=1, help="processes that serve gRPC, and as many that echo"
    )
    parser.add_argument("--only", default="", help="comma list of: tpcb,sync,grpc,sqlite")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    parts = set(args.only.split(",")) if args.only else {"tpcb", "sync", "grpc", "sqlite"}
    figures: dict[str, Any] = {"members": args.members}
    with ExitStack() as stack:
        if parts & {"tpcb", "sync", "grpc"}:
            bench = stack.enter_context(_postgres(args.database))
            figures.update(bench.run(parts, args))
        if "sqlite" in parts:
            figures.update(_sqlite(args.advices // 2, min(args.members, 100_000)))
    figures.update(_ratios(figures))
    print(report(figures, as_json=args.json))


def _ratios(figures: Mapping[str, Any]) -> dict[str, float]:
    wanted = {
        "sync_vs_tpcb": ("sync_ops_s", "tpcb_tps"),
        "unary_vs_tpcb": ("unary_rps", "tpcb_tps"),
        "unary_vs_echo": ("unary_rps", "echo_rps"),
    }
    return {
        name: figures[over] / figures[under]
        for name, (over, under) in wanted.items()
        if figures.get(over) and figures.get(under)
    }


@contextmanager
def _postgres(url: str) -> Iterator[PostgresBench]:
    with ExitStack() as stack:
        if url:
            cluster = PostgresCluster(libpq(url))
            server = None
        else:
            server = stack.enter_context(PostgresServer(durable=True))
            cluster = PostgresCluster(server.conninfo)
        yield PostgresBench(cluster, stack.enter_context(cluster.database()))


class PostgresBench:
    """All parts that share one PostgreSQL."""

    def __init__(self, cluster: PostgresCluster, database: Database) -> None:
        self._cluster = cluster
        self._url = database
        self._admin = libpq(database.admin_url)

    def run(self, parts: set[str], args: argparse.Namespace) -> dict[str, Any]:
        """Run the parts, those that are compared in turn, so that a slower moment meets both."""
        migrate(self._url.owner_url)
        store = open_store(self._url.service_url)
        publish(store)
        store.close()
        populate_postgres(self._admin, args.members)
        figures: dict[str, Any] = {}
        tpcb: list[float] = []
        if "tpcb" in parts:
            self._pgbench("-i", "-s", str(TPCB_SCALE), "-q")
            tpcb.append(self._tpcb(args.seconds))
        if "sync" in parts:
            figures.update(self._sync(args.advices, args.members))
        if "tpcb" in parts:
            tpcb.append(self._tpcb(args.seconds))
        if "grpc" in parts:
            figures.update(self._grpc(args.seconds, args.members, args.processes))
        if "tpcb" in parts:
            tpcb.append(self._tpcb(args.seconds))
            figures["tpcb_tps"] = sum(tpcb) / len(tpcb)
        return figures

    def _pgbench(self, *arguments: str) -> str:
        program = installation() / "bin" / "pgbench"
        command = [str(program), *arguments, self._admin]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise RuntimeError(f"pgbench failed: {done.stderr[-2000:]}")
        return done.stdout

    def _tpcb(self, seconds: float) -> float:
        out = self._pgbench("-c", str(CLIENTS), "-j", "2", "-T", str(int(seconds)), "-n")
        found = re.search(r"tps = ([0-9.]+)", out)
        assert found, out
        return float(found.group(1))

    def _wal_bytes(self) -> int:
        with psycopg.connect(self._admin) as connection:
            row = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").fetchone()
        assert row is not None
        return int(row[0])

    def _sync(self, count: int, members: int) -> dict[str, Any]:
        """Settle advices in as many processes as a small machine would serve with; the first round warms the pages."""
        self._sync_round(count // 4, members, seed=7)
        wal = self._wal_bytes()
        figures = self._sync_round(count, members, seed=77)
        figures["sync_wal_bytes_op"] = (self._wal_bytes() - wal) / count
        return figures

    def _sync_round(self, count: int, members: int, *, seed: int) -> dict[str, Any]:
        each = count // SYNC_WORKERS
        workers = [
            _python(
                "benchmarks.sync_worker",
                f"--database={self._url.service_url}",
                f"--members={members}",
                f"--count={each}",
                f"--seed={seed + number}",
            )
            for number in range(SYNC_WORKERS)
        ]
        try:
            for worker in workers:
                _expect(worker, "ready")
            started = time.perf_counter()
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write("go\n")
                worker.stdin.flush()
            results = [json.loads(worker.communicate(timeout=300)[0]) for worker in workers]
            seconds = time.perf_counter() - started
        finally:
            for worker in workers:
                _stop(worker)
        seconds = max(result["seconds"] for result in results)
        return {
            "sync_ops_s": each * SYNC_WORKERS / seconds,
            "sync_cpu_us": sum(result["cpu_s"] for result in results) / (each * SYNC_WORKERS) * 1e6,
            "sync_upload_p99_ms": max(result["upload_p99_ms"] for result in results),
        }

    def _grpc(self, seconds: float, members: int, processes: int) -> dict[str, Any]:
        compileall.compile_dir(Path(tallystick.__file__).parent, quiet=1)
        with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as home:
            keys = create_key_dir(Path(home) / "keys", now_s=now_ms() // 1000)
            echoes = _echo_servers(processes)
            gateway = gateway_process(self._url.service_url, Path(home), workers=processes)
            with echoes as echo, gateway as server:
                channels = CONNECTIONS_EACH * processes if processes > 1 else 1
                bench = GrpcBench(Path(home), keys, echo, server, members, channels, self._wal_bytes)
                return bench.run(seconds)


class Server:
    """A serving process of the benchmark, its address and how long it took to start."""

    def __init__(self, process: subprocess.Popen[str], address: str, started_s: float) -> None:
        self.process = psutil.Process(process.pid)
        self.address = address
        self.started_s = started_s


class GrpcBench:
    """Unary sales and look-ups beside a bare echo, by the same client against processes of their own."""

    def __init__(
        self,
        home: Path,
        keys: KeyDir,
        echo: Server,
        server: Server,
        members: int,
        channels: int,
        wal_bytes: Any,
    ) -> None:
        self._home = home
        self._keys = keys
        self._echo = echo
        self._server = server
        self._members = members
        self._channels = channels
        self._wal_bytes = wal_bytes
        self._seed = 1000

    def run(self, seconds: float) -> dict[str, Any]:
        """Take echo and sales in turn, then the paced runs at half of the most, then look-ups."""
        echo_file, lookup_file = self._home / "echo.bin", self._home / "lookups.bin"
        scan_file = self._home / "scans.bin"
        write_messages(echo_file, [secrets.token_bytes(ECHO_BYTES)])
        write_messages(
            lookup_file,
            (
                ledger_pb2.GetBalanceRequest(member_id=member_id(number)).SerializeToString()
                for number in range(min(self._members, 20_000))
            ),
        )
        self._load(self._server, "LedgerService/PostSale", self._sales(4_000), 2.0)
        echoes, unaries = [], []
        cpu, wal = 0.0, 0
        for _ in range(ROUNDS):
            echoes.append(self._load(self._echo, "", echo_file, seconds, again=True))
            file = self._sales(int(seconds * 8_000))
            cpu_before, wal_before = cpu_s(self._server.process), self._wal_bytes()
            unaries.append(self._load(self._server, "LedgerService/PostSale", file, seconds))
            cpu += cpu_s(self._server.process) - cpu_before
            wal += self._wal_bytes() - wal_before
        unary_rps = _mean(unaries, "rps")
        calls = sum(run["calls"] for run in unaries)
        halves = [self._half_load(seconds, unary_rps) for _ in range(HALF_ROUNDS)]
        half = sorted(halves, key=lambda run: run["p99_ms"])[HALF_ROUNDS // 2]
        lookup = self._load(self._server, "LedgerService/GetBalance", lookup_file, seconds, again=True)
        self._load(self._server, "IdentityService/Enrol", self._people(scan_file), ENROL_SECONDS_MAX)
        scan = self._load(self._server, "IdentityService/Identify", scan_file, seconds, again=True)
        return {
            "echo_rps": _mean(echoes, "rps"),
            "unary_rps": unary_rps,
            "unary_p50_ms": _mean(unaries, "p50_ms"),
            "unary_p99_ms": _mean(unaries, "p99_ms"),
            "unary_half_load_p50_ms": half["p50_ms"],
            "unary_half_load_p99_ms": half["p99_ms"],
            "unary_cpu_us": cpu / calls * 1e6,
            "unary_wal_bytes_op": wal / calls,
            "lookup_rps": lookup["rps"],
            "lookup_p99_ms": lookup["p99_ms"],
            "identify_rps": scan["rps"],
            "identify_p50_ms": scan["p50_ms"],
            "identify_p99_ms": scan["p99_ms"],
            "server_start_s": self._server.started_s,
            "server_rss_mb": rss_mb(self._server.process),
        }

    def _half_load(self, seconds: float, unary_rps: float) -> dict[str, Any]:
        file = self._sales(int(seconds * unary_rps))
        return self._load(self._server, "LedgerService/PostSale", file, seconds, rate=unary_rps / 2)

    def _sales(self, count: int) -> Path:
        """Write new sales to send: no id comes twice, a replay would be another measurement."""
        self._seed += 1
        file = self._home / "sales.bin"
        write_messages(file, sales(count, members=self._members, seed=self._seed))
        return file

    def _people(self, scans: Path) -> Path:
        """Write the enrolments of members with a telephone number, and into ``scans`` how each is identified."""
        numbers = [f"+4670{number:07}" for number in range(SCANNED)]
        write_messages(scans, scan_messages(numbers))
        enrolments = self._home / "enrolments.bin"
        write_messages(enrolments, enrol_messages(numbers))
        return enrolments

    def _tokens(self) -> Path:
        """Write the tokens of as many tills as call at once: each keeps within the rate of one till."""
        now_s = now_ms() // 1000
        tokens = [
            sign_access_token(
                self._keys.signing.signing_key(now_s),
                access_profile(issuer=ISSUER, audience=ISSUER),
                subject=f"till-{number}",
                program_id=PROGRAM,
                roles=("TILL",),
                token_id=new_token_id(),
                store_id=f"s{number}",
                device_id=f"till-{number}",
                now_s=now_s,
            )
            for number in range(CONCURRENCY)
        ]
        file = self._home / "tokens.txt"
        file.write_text("\n".join(tokens))
        return file

    def _load(
        self,
        server: Server,
        method: str,
        file: Path,
        seconds: float,
        *,
        rate: float = 0.0,
        again: bool = False,
    ) -> dict[str, Any]:
        name = f"/tallystick.v1.{method}" if method else "/benchmark.Echo/Echo"
        command = [
            *(sys.executable, "-m", "benchmarks.load", "--target", server.address, "--method", name),
            *("--messages", str(file), "--seconds", str(seconds), "--concurrency", str(CONCURRENCY)),
            *("--channels", str(self._channels), "--rate", str(rate)),
            *(["--tokens", str(self._tokens())] if method else []),
            *(["--again"] if again else []),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
        if done.returncode:
            raise RuntimeError(f"the load on {name} failed: {done.stderr[-2000:]}")
        figures: dict[str, Any] = json.loads(done.stdout)
        if figures["failures"]:
            raise RuntimeError(f"calls of {name} failed: {figures['failures']}")
        return figures


def _mean(runs: list[dict[str, Any]], name: str) -> float:
    return float(sum(run[name] for run in runs) / len(runs))


@contextmanager
def _echo_servers(processes: int) -> Iterator[Server]:
    address = f"127.0.0.1:{_free_port()}"
    command = ["benchmarks.echo_server", "--address", address, "--shared"]
    with ExitStack() as stack:
        servers = [stack.enter_context(_serving(command, address, {})) for _ in range(processes)]
        yield servers[0]


@contextmanager
def gateway_process(database_url: str, home: Path, *, workers: int = 1) -> Iterator[Server]:
    """Serve gRPC on a database, with the keys below ``home``, until the block ends."""
    address = f"127.0.0.1:{_free_port()}"
    settings = {
        "TALLYSTICK_DATABASE_URL": database_url,
        "TALLYSTICK_DATA_DIR": str(home),
        "TALLYSTICK_KEY_DIR": str(home / "keys"),
        "TALLYSTICK_ISSUER": ISSUER,
        "TALLYSTICK_LISTEN": address,
        "TALLYSTICK_HTTP_LISTEN": "",
        "TALLYSTICK_WORKERS": str(workers),
    }
    with _serving(["tallystick", "serve"], address, settings) as server:
        yield server


@contextmanager
def _serving(module: list[str], address: str, settings: Mapping[str, str]) -> Iterator[Server]:
    started = time.perf_counter()
    process = _python(*module, settings=settings)
    try:
        _wait_for(address, process)
        yield Server(process, address, time.perf_counter() - started)
    finally:
        _stop(process)


def _python(module: str, *arguments: str, settings: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **(settings or {}), **WITH_BYTECODE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if module == "benchmarks.sync_worker" else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if module == "tallystick" else None,
        text=True,
    )


def _expect(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    if said != word:
        raise RuntimeError(f"a worker said {said!r} instead of {word!r}")


def _wait_for(address: str, process: subprocess.Popen[str]) -> None:
    host, _, port = address.rpartition(":")
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended at once with code {process.returncode}")
        try:
            socket.create_connection((host, int(port)), timeout=0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nothing listens on {address}")


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _sqlite(count: int, members: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as home:
        url = f"sqlite:///{home}/bench.db"
        migrate(url)
        store = open_store(url)
        publish(store)
        store.close()
        populate_sqlite(url, members)
        worker = _python(
            "benchmarks.sync_worker",
            f"--database={url}",
            f"--members={members}",
            f"--count={count}",
            "--seed=5",
        )
        try:
            _expect(worker, "ready")
            out, _ = worker.communicate("go\n", timeout=300)
        finally:
            _stop(worker)
        result = json.loads(out)
        return {"sqlite_ops_s": count / result["seconds"], "sqlite_cpu_us": result["cpu_s"] / count * 1e6}


if __name__ == "__main__":
    main()
