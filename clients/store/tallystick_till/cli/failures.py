"""Every exception that a user can cause, as one line and a mend; the others are faults of ours and show themselves."""

from __future__ import annotations

from tallystick.security.errors import SecurityError
from tallystick_till.cli.output import EXIT_USAGE, CommandFailed
from tallystick_till.config import ConfigRefused
from tallystick_till.daemon.instance import AnotherRuns
from tallystick_till.errors import TillError
from tallystick_till.ports import GatewayAway, GatewayRefused


def failure_of(error: Exception) -> CommandFailed | None:
    """What to tell about an exception, None when it is a fault of the program."""
    match error:
        case CommandFailed():
            return error
        case ConfigRefused():
            return CommandFailed(str(error), mend=error.mend, code=EXIT_USAGE)
        case AnotherRuns():
            return CommandFailed(
                str(error), mend="stop it first: two that drain one queue would fork the till's chain"
            )
        case TillError():
            from tallystick_till.daemon.messages import sentence

            return CommandFailed(sentence(error.reason, str(error), error.details))
        case GatewayAway():
            return CommandFailed("the gateway does not answer", mend="try again when the line is up")
        case GatewayRefused():
            from tallystick_till.daemon.messages import sentence

            return CommandFailed(sentence(error.reason, f"{error} ({error.reason})"))
        case SecurityError():
            return CommandFailed(str(error))
        case OSError() if error.filename is not None:
            return CommandFailed(f"{error.filename}: {error.strerror}")
        case _:
            return _failure_of_connection(error)


def _failure_of_connection(error: Exception) -> CommandFailed | None:
    # Imported here because they bring grpc and uvicorn along, which most commands that fail have not touched.
    from tallystick_till.daemon.server import CannotListen
    from tallystick_till.enrol import EnrolRefused

    match error:
        case EnrolRefused():
            return CommandFailed(str(error), mend=error.mend)
        case CannotListen():
            return CommandFailed(str(error), mend="stop what listens there, or name another with --listen")
        case _:
            return None
