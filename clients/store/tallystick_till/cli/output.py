"""What commands print: text for people, one JSON document with `--json`, failures on standard error.

Exit codes, the same for every command:

    0  done
    1  done, but something needs a person (sales wait, a verdict is not plainly posted)
    2  the command line or the settings are wrong
    3  it cannot be done now: no gateway, no disk, another process
  130  interrupted
"""

from __future__ import annotations

import json
import sys
from typing import Any

EXIT_OK = 0
EXIT_ATTENTION = 1
EXIT_USAGE = 2
EXIT_FAILED = 3
EXIT_INTERRUPTED = 130


class CommandFailed(Exception):
    """A command cannot go on. The message says what is wrong, `mend` what to do about it."""

    def __init__(self, message: str, *, mend: str = "", code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.mend = mend
        self.code = code


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
            print(json.dumps(value, ensure_ascii=False), flush=True)

    def table(self, title: str, rows: list[tuple[str, str]]) -> None:
        """Two columns under a title; nothing with `--json`."""
        if self.as_json:
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows:
            # Labels come from people: they are text, not markup.
            table.add_row(Text(name), Text(value))
        Console(soft_wrap=False).print(table)


def report_failure(failure: CommandFailed) -> None:
    """The failure on standard error, with its mend on a line of its own."""
    print(f"tallystick-till: {failure}", file=sys.stderr)
    if failure.mend:
        print(f"                 {failure.mend}", file=sys.stderr)
