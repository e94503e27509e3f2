"""The command line. `main` is what the `tallystick` program and `python -m tallystick` run."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command of `sys.argv`; the exit codes are those of `tallystick.cli.output`."""
    from tallystick.cli.app import app
    from tallystick.cli.output import EXIT_INTERRUPTED, EXIT_OK, report_failure

    try:
        app(prog_name="tallystick")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else EXIT_OK
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        from tallystick.cli.failures import failure_of

        failure = failure_of(error)
        if failure is None:
            raise
        report_failure(failure)
        return failure.code
    return EXIT_OK
