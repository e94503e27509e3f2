"""The access log: one JSON line for every call that failed and for a sample of those that did not.

A line says which method, how it ended, how long it took, and who called as a keyed hash. It never holds a name, an
address, a token, a scan or anything else out of a message.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from dataclasses import field

from google.rpc import code_pb2

from tallystick.core.record import record
from tallystick.rpc.auth import role_name
from tallystick.rpc.call import Principal
from tallystick.rpc.errors import code_name
from tallystick.security.errors import SecurityError

LINES_PER_S_MAX = 200
"""Most lines a second: a flood of bad calls must not fill a disk. What was left out is counted in the next line."""

CALLER_HEX_CHARS = 16

log = logging.getLogger("tallystick.access")
incidents = logging.getLogger("tallystick.incident")

# The last is uvicorn's: the event again, for a terminal.
_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _RESERVED}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time, level, logger, event and the record's ``extra`` fields."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(_extra(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=True, separators=(",", ":"))


class TextFormatter(logging.Formatter):
    """Formats a record for people: time, level, logger, event and the ``extra`` fields as name=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name is logging's
        """Return the line of a record, without its exception."""
        extra = (f"{name}={json.dumps(value, default=str)}" for name, value in _extra(record).items())
        return " ".join((super().formatMessage(record), *extra))


@record(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """``every`` is the sample of calls that went well: 1 logs all, 100 one in a hundred, 0 none.

    ``key`` makes the hashes of callers: without it nobody can tell which device a hash is.
    """

    every: int = 100
    key: bytes = field(default=b"", repr=False)


class AccessLog:
    """Writes the lines of one process."""

    def __init__(self, settings: LogSettings) -> None:
        self._every = settings.every
        self._key = settings.key
        self._calls = 0
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def call(
        self, method: str, code: int, seconds: float, principal: Principal | None, error: BaseException | None
    ) -> None:
        """Note one call that has ended; most calls return from here at once."""
        if code == code_pb2.OK:
            self._calls += 1
            if not self._every or self._calls % self._every:
                return
        if not log.isEnabledFor(logging.INFO) or not self._may_write():
            return
        fields: dict[str, object] = {
            "method": method,
            "code": code_name(code),
            "ms": round(seconds * 1000, 3),
        }
        if principal is not None:
            fields["role"] = role_name(principal.role)
            fields["program_id"] = principal.program_id
            fields["caller"] = self.caller_hash(principal.device_id)
        if error is not None:
            fields["reason"] = getattr(error, "reason", "INTERNAL")
            # The texts of these are made to be logged; any other cause may repeat what a caller sent.
            if isinstance(error.__cause__, SecurityError):
                fields["cause"] = str(error.__cause__)
        if self._left_out:
            fields["lines_left_out"] = self._left_out
            self._left_out = 0
        log.info("call", extra=fields)

    def caller_hash(self, device_id: str) -> str:
        """The keyed hash under which a device appears in the log: 16 hexadecimal digits."""
        return hmac.digest(self._key, device_id.encode(), hashlib.sha256).hex()[:CALLER_HEX_CHARS]

    def _may_write(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._lines = 0
        if self._lines >= LINES_PER_S_MAX:
            self._left_out += 1
            return False
        self._lines += 1
        return True
