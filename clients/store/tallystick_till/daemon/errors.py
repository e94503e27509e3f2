"""What the local API answers when it cannot do what was asked: a stable reason and a sentence that names the mend."""

from __future__ import annotations

from typing import Final

from tallystick_till.daemon.wording import JsonResponse

BAD_REQUEST: Final = 400
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
CONFLICT: Final = 409
TOO_LARGE: Final = 413
WRONG_TYPE: Final = 415
MISDIRECTED: Final = 421
INTERNAL: Final = 500
UNAVAILABLE: Final = 503
NO_ROOM: Final = 507


class ApiError(Exception):
    """An answer that is no success. ``details`` are facts for the sentence, never what a scan held."""

    def __init__(self, status: int, reason: str, message: str, details: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.details = details or {}

    def response(self) -> JsonResponse:
        error = {"reason": self.reason, "message": str(self), "details": self.details}
        return JsonResponse({"error": error}, self.status)


class FieldWrong(ApiError):
    """A field of a request is missing, unknown or out of range; ``field`` is its place, such as basket.lines[2].sku."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(BAD_REQUEST, "INVALID_FIELD", f"{field} {what}", {"field": field})
