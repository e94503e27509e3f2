"""A disk that loses what was not synced when the power goes, as a file system of SQLite.

Each file has what is on the platter and what was written since. A sync moves the one to the other. At a power cut, of
what was written since any sector may have arrived or not, in any order: that is what disks do.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

SECTOR = 512


class PowerCut(Exception):
    """The power is gone; nothing works until the disk is started again."""


@dataclass
class File:
    """One file: ``durable`` survives (None: not even its name does), ``current`` is what a reader sees."""

    durable: bytearray | None = None
    current: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes since the last sync, in order: (offset, data), or (size, None) for a change of the length."""

    def write(self, offset: int, data: bytes) -> None:
        _put(self.current, offset, data)
        self.pending.append((offset, data))

    def truncate(self, size: int) -> None:
        _resize(self.current, size)
        self.pending.append((size, None))

    def sync(self) -> None:
        self.durable = bytearray(self.current)
        self.pending.clear()

    def after_cut(self, rng: random.Random) -> File | None:
        """Return what is left of the file; None when it is gone."""
        if self.durable is None and rng.random() < 0.5:
            return None
        left = bytearray(self.durable or b"")
        for offset, data in self.pending:
            if data is None:
                if rng.random() < 0.5:
                    _resize(left, offset)
                continue
            for at in range(0, len(data), SECTOR):
                if rng.random() < 0.5:
                    _put(left, offset + at, data[at : at + SECTOR])
        return File(bytearray(left), left)


def _put(target: bytearray, offset: int, data: bytes) -> None:
    if len(target) < offset + len(data):
        target.extend(bytes(offset + len(data) - len(target)))
    target[offset : offset + len(data)] = data


def _resize(target: bytearray, size: int) -> None:
    del target[size:]
    target.extend(bytes(size - len(target)))


class Disk:
    """Files in memory. After ``cut_after`` writes and syncs the power is gone."""

    def __init__(self, *, cut_after: int = 1 << 60) -> None:
        self.files: dict[str, File] = {}
        self.cut_after = cut_after
        self.steps = 0

    def step(self) -> None:
        """Count one thing that the disk does. Raises ``PowerCut``."""
        self.steps += 1
        if self.steps > self.cut_after:
            raise PowerCut

    def after_cut(self, rng: random.Random) -> Disk:
        """Return the disk as it is when the power comes back."""
        disk = Disk()
        disk.files = {
            name: left for name, file in sorted(self.files.items()) if (left := file.after_cut(rng))
        }
        return disk


class DiskFile:
    """An open file, as SQLite calls it."""

    def __init__(self, disk: Disk, file: File) -> None:
        self._disk = disk
        self._file = file

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return bytes(self._file.current[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.step()
        self._file.write(offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.step()
        self._file.truncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.step()
        self._file.sync()

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._file.current)

    def xLock(self, level: int) -> None:  # noqa: N802
        """One connection: nobody to lock out."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """One connection: nobody to let in."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0

    def xClose(self) -> None:  # noqa: N802
        """Closing syncs nothing."""


class DiskVfs(apsw.VFS):
    """The file system over one disk. Temporary files never reach the platter."""

    def __init__(self, name: str, disk: Disk) -> None:
        super().__init__(name, base="")
        self._disk = disk

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802
        flags[1] = flags[0]
        if name is None:
            return DiskFile(self._disk, File())
        path = name if isinstance(name, str) else name.filename()
        return DiskFile(self._disk, self._disk.files.setdefault(path, File()))

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self._disk.step()
        if self._disk.files.pop(filename, None) is None:
            raise apsw.IOError

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return pathname in self._disk.files

    def xFullPathname(self, filename: str) -> str:  # noqa: N802
        return filename


class Cursor:
    """What a statement gave, in the words of Python's own module."""

    def __init__(self, cursor: apsw.Cursor, changes: int) -> None:
        self._rows = cursor.fetchall()
        self.rowcount = changes

    def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def __iter__(self) -> Any:
        return iter(self.fetchall())


class Connection:
    """A connection over a disk, with the part of ``sqlite3.Connection`` that the till uses."""

    _count = 0

    def __init__(self, disk: Disk, path: str = "/till.db") -> None:
        Connection._count += 1
        self._name = f"disk-{Connection._count}"
        self._vfs = DiskVfs(self._name, disk)
        self._connection = apsw.Connection(path, vfs=self._name)
        # One process has the file; so the log's index needs no shared memory, which this file system has not.
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        cursor = self._connection.execute(statement, tuple(values))
        return Cursor(cursor, self._connection.changes())

    def executemany(self, statement: str, rows: Any) -> Cursor:
        cursor = self._connection.executemany(statement, [tuple(row) for row in rows])
        return Cursor(cursor, self._connection.changes())

    def executescript(self, script: str) -> Cursor:
        return Cursor(self._connection.execute(script), self._connection.changes())

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)

    def close(self) -> None:
        self._connection.close()

    def abandon(self) -> None:
        """Forget the connection as a power cut does: nothing is written at the end."""
        try:
            self._connection.close(force=True)
        except (apsw.Error, PowerCut):
            return
