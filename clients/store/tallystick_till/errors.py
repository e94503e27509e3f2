"""What can go wrong at a till, each with a stable reason that a screen translates."""

from __future__ import annotations

from collections.abc import Mapping

DISK_FULL = "DISK_FULL"
DISK_FAILED = "DISK_FAILED"
OUTBOX_CORRUPT = "OUTBOX_CORRUPT"
NO_RULES = "NO_RULES"

_MENDS = {
    DISK_FULL: "The disk is full: nothing can be kept safely. Free some space; nothing that was sold is lost.",
    DISK_FAILED: "The disk does not take what is written: nothing can be kept safely. Check it, then start again.",
    OUTBOX_CORRUPT: "The till's file is damaged and was left as it is. Hand it to whoever looks after the tills.",
    NO_RULES: "This till has no rules yet: it must reach the gateway once before it can sell.",
}


class TillError(Exception):
    """The root of all that a till tells its user. ``details`` are facts for the message, never personal data."""

    def __init__(self, reason: str, message: str = "", details: Mapping[str, str] | None = None) -> None:
        super().__init__(message or _MENDS.get(reason, reason))
        self.reason = reason
        self.details = dict(details or {})


class SaleRefused(TillError):
    """A no to a sale, return, undo or sign-up. Nothing of it is kept."""


class CannotSell(SaleRefused):
    """Nothing can be kept safely, so nothing may be sold: DISK_FULL, DISK_FAILED, OUTBOX_CORRUPT, NO_RULES."""


class SignInRefused(TillError):
    """A cashier may not sign in: PIN_WRONG, PIN_LOCKED, CASHIER_UNKNOWN."""


class OutboxNotEmpty(TillError):
    """Something must not be done while facts wait for the gateway: they would be lost."""

    def __init__(self, action: str, queued: int) -> None:
        super().__init__(
            "OUTBOX_NOT_EMPTY",
            f"{queued} sales wait for the gateway. Let this till reach it, or export them, before you {action}.",
            {"queued": str(queued)},
        )


class OtherProgram(TillError):
    """The till's file was made by a newer version of this program."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            "NEWER_FILE",
            f"The till's file has format {found}, this program knows {known}. Start the newer program again.",
        )
