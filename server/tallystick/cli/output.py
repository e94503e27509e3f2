"""What commands print: text for people, one JSON document with `--json`, progress on standard error of a terminal.

Exit codes, the same for every command:

    0  done
    1  done, but something does not add up (a failed check, a refused sale, findings in a rule set)
    2  the command line or the settings are wrong
    3  an operating error: no server, no database, no permission
  130  interrupted
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

EXIT_OK = 0
EXIT_UNSOUND = 1
EXIT_USAGE = 2
EXIT_FAILED = 3
EXIT_INTERRUPTED = 130


class CommandFailed(Exception):
    """A command cannot go on. The message says what is wrong, `mend` what to do about it."""

    def __init__(self, message: str, *, mend: str = "", code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.mend = mend
        self.code = code


class Advance(Protocol):
    """Moves a progress bar; `total` may become known on the way."""

    def __call__(self, done: int, total: int | None = None, /) -> None: ...


class Printer:
    """Prints either for people or as JSON; never both on standard output."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def line(self, text: str = "") -> None:
        """A line for people; nothing with `--json`."""
        if not self.as_json:
            print(text, flush=True)

    def document(self, value: Any) -> None:
        """The result as one JSON document; nothing without `--json`."""
        if self.as_json:
            print(json.dumps(value, ensure_ascii=False, default=str), flush=True)

    def table(self, rows: list[tuple[str, str]], *, indent: int = 2) -> None:
        """Two columns, the second one aligned; nothing with `--json`."""
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            self.line(f"{' ' * indent}{name.ljust(width)}  {value}")

    @contextmanager
    def progress(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """A bar on standard error while the block runs; quiet when that is no terminal."""
        if not sys.stderr.isatty():
            yield _stand_still
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=total)

            def advance(done: int, total: int | None = None) -> None:
                bar.update(task, completed=done, total=total)

            yield advance


def _stand_still(_done: int, _total: int | None = None) -> None:
    """The progress that nobody watches."""


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """Write a new text file; what could not be written to its end is removed, as nobody could tell it from the whole.

    Raises ``CommandFailed`` when there is such a file, or when it cannot be written, as on a full disk.
    """
    if path.exists():
        raise CommandFailed(f"{path} exists", mend="name a new file: nothing is overwritten", code=EXIT_USAGE)
    stream = path.open("x", encoding="utf-8", newline="")
    try:
        with stream:
            yield stream
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            raise CommandFailed(f"{path}: {error.strerror}") from error
        raise


def report_failure(failure: CommandFailed) -> None:
    """The failure on standard error, with its mend on a line of its own."""
    print(f"tallystick: {failure}", file=sys.stderr)
    if failure.mend:
        print(f"            {failure.mend}", file=sys.stderr)


def count(number: int) -> str:
    """A number for people: 1,234,567."""
    return f"{number:,}"
