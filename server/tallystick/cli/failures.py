"""Every exception that a user can cause, as one line and a mend; the others are faults of ours and show themselves."""

from __future__ import annotations

import errno

from tallystick.cards.refused import PassRefused
from tallystick.cli.output import EXIT_USAGE, CommandFailed
from tallystick.cli.retail.rows import FileRefused
from tallystick.config.settings import SettingsRefused
from tallystick.security.errors import SecurityError
from tallystick.service.errors import InvalidInput, TallystickError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def failure_of(error: Exception) -> CommandFailed | None:
    """What to tell about an exception, None when it is a fault of the program."""
    match error:
        case CommandFailed():
            return error
        case SettingsRefused() | FileRefused():
            return CommandFailed(str(error), code=EXIT_USAGE)
        case InvalidInput():
            found = "; ".join(text for _, text in error.violations)
            return CommandFailed(f"{error} {found}".strip(), mend=error.mend, code=EXIT_USAGE)
        case TallystickError():
            return CommandFailed(str(error), mend=error.mend)
        case SecurityError() | PassRefused():
            return CommandFailed(str(error))
        case OSError() if error.filename is not None:
            return CommandFailed(f"{error.filename}: {error.strerror}")
        case OSError() if error.errno in _NO_ROOM:
            return CommandFailed(f"what the command says could not be written: {error.strerror}")
        case _:
            return _failure_of_serving(error)


def _failure_of_serving(error: Exception) -> CommandFailed | None:
    # Imported here because it brings grpc along, which most commands that fail have not touched.
    from tallystick.rpc.grpc_server import CannotListen
    from tallystick.rpc.tls import TlsRefused

    if isinstance(error, CannotListen):
        return CommandFailed(
            str(error), mend="stop what listens there, or name another address with --listen"
        )
    return CommandFailed(str(error)) if isinstance(error, TlsRefused) else None
