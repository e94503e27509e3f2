"""Commands that read a program from its database, beside the server: the options and the one way that all share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.books import the_program
from tallystick.cli.options import (
    ConfigOption,
    DatabaseOption,
    DataDirOption,
    JsonOption,
    printer_for,
    settings_from,
)
from tallystick.cli.output import CommandFailed, Printer
from tallystick.cli.sharing import Shared, with_shared
from tallystick.core.record import record

if TYPE_CHECKING:
    from tallystick.core.ids import ProgramId
    from tallystick.core.rules.model import RuleSet
    from tallystick.service.rulebook import RuleBook
    from tallystick.storage.open import Store

ProgramOption = Annotated[str, typer.Option(help="The program; needed when there are several.")]
CsvOption = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write it as CSV here.")]


@record(frozen=True, slots=True)
class Books:
    """One program in its store, and where the command's output goes."""

    printer: Printer
    store: Store
    rulebook: RuleBook
    program_id: ProgramId

    @property
    def rules(self) -> RuleSet:
        """The rule set in force. Raises CommandFailed when there is none yet."""
        rules = self.rulebook.current(self.program_id)
        if rules is None:
            raise CommandFailed(f"{self.program_id} has no rule set yet", mend="`tallystick program publish`")
        return rules


@contextmanager
def _opened(
    program: str, database: str | None, data_dir: str | None, config: Path | None, as_json: bool
) -> Iterator[Books]:
    from tallystick.service.rulebook import RuleBook
    from tallystick.storage.open import open_store

    store = open_store(settings_from(config, data_dir=data_dir, database=database).database_url)
    try:
        program_id = the_program(store, program)
        yield Books(printer_for(as_json=as_json), store, RuleBook(store), program_id)
    finally:
        store.close()


with_books = with_shared(
    {
        "program": Shared(ProgramOption, ""),
        "database": Shared(DatabaseOption, None),
        "data_dir": Shared(DataDirOption, None),
        "config": Shared(ConfigOption, None),
        "as_json": Shared(JsonOption, False),
    },
    _opened,
)
"""Gives a command its `Books`, and the options --program, --database, --data-dir, --config and --json."""
