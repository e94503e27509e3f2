"""Work beside the calls goes on whatever it meets: nobody else begins it again before the process does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger

from tallystick.service.errors import TallystickError


@contextmanager
def outliving(log: Logger, what: str, **extra: str) -> Iterator[None]:
    """Log what ends the block, in the words of ``what``, and let nothing out of it but the end of the process."""
    try:
        yield
    except TallystickError as error:
        log.warning(what, extra={**extra, "reason": error.reason})
    except Exception:
        log.exception(what, extra=extra)
