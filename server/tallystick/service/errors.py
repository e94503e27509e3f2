"""Operating errors: one tree, turned into a gRPC status in one function of the rpc room.

A refusal is not an error: it is a stored decision and travels as a value.
"""

from __future__ import annotations


class TallystickError(Exception):
    """Base of all operating errors. ``reason`` is stable and part of the contract; ``mend`` says what to do.

    ``details`` travel as metadata of the error; never personal data, tokens or raw scans.
    """

    reason = "INTERNAL"

    def __init__(self, message: str = "", *, mend: str = "", reason: str = "", **details: object) -> None:
        super().__init__(message or self.__doc__ or self.reason)
        self.mend = mend
        self.reason = reason or type(self).reason
        self.details = {name: str(value) for name, value in details.items()}


class StoreConflict(TallystickError):
    """Another writer was first; the same batch may be run again."""

    reason = "STORE_CONFLICT"


class StoreUnavailable(TallystickError):
    """The database is away."""

    reason = "STORE_UNAVAILABLE"


class Overloaded(TallystickError):
    """The queue is full; try again after ``retry_after_s``."""

    reason = "OVERLOADED"

    def __init__(
        self,
        message: str = "",
        *,
        retry_after_s: float = 0.25,
        mend: str = "",
        reason: str = "",
        **details: object,
    ) -> None:
        super().__init__(message, mend=mend, reason=reason, **details)
        self.retry_after_s = retry_after_s


class Draining(TallystickError):
    """The process is shutting down; another replica answers."""

    reason = "DRAINING"


class DeadlinePassed(TallystickError):
    """The caller's deadline passed while the command was queued; nothing was written."""

    reason = "DEADLINE_PASSED"


class InvalidInput(TallystickError):
    """The input breaks a rule of the contract; ``violations`` are (field path, description)."""

    reason = "INVALID_INPUT"

    def __init__(
        self,
        message: str = "",
        *,
        violations: tuple[tuple[str, str], ...] = (),
        mend: str = "",
        reason: str = "",
        **details: object,
    ) -> None:
        super().__init__(message, mend=mend, reason=reason, **details)
        self.violations = violations


class NotFound(TallystickError):
    """There is no such thing in the caller's program."""

    reason = "NOT_FOUND"


class AlreadyExists(TallystickError):
    """The id is taken by something with other content."""

    reason = "ALREADY_EXISTS"


class Unauthenticated(TallystickError):
    """The token is missing, expired or not acceptable."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(TallystickError):
    """The caller's role may not do this."""

    reason = "PERMISSION_DENIED"


class FailedPrecondition(TallystickError):
    """The state of the system does not allow it yet."""

    reason = "FAILED_PRECONDITION"
