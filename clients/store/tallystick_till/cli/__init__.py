"""The command line. `main` is what the `tallystick-till` program and `python -m tallystick_till` run."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command of `sys.argv`; the exit codes are those of `tallystick_till.cli.output`."""
    os.umask(0o077)
    from tallystick_till.cli.app import app
    from tallystick_till.cli.failures import failure_of
    from tallystick_till.cli.output import EXIT_INTERRUPTED, EXIT_OK, report_failure

    try:
        app(prog_name="tallystick-till")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else EXIT_OK
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        report_failure(failure)
        return failure.code
    return EXIT_OK
