"""What the edge itself refuses, and the one function that turns every error into a status.

The texts of these classes' docstrings reach the caller: they say what to do.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from tallystick.service import errors as service_errors
from tallystick.service.errors import (
    InvalidInput,
    Overloaded,
    PermissionDenied,
    StoreUnavailable,
    TallystickError,
    Unauthenticated,
)

DOMAIN = "tallystick"
MESSAGE_CHARS_MAX = 512
METADATA_CHARS_MAX = 256
VIOLATION_CHARS_MAX = 200
STATUS_BYTES_MAX = 4096
"""Largest serialised status: it travels as metadata, of which clients take 8 KiB in all by default."""

STORE_RETRY_S = 1.0


class TokenMissing(Unauthenticated):
    """The call carries no token: send one as "authorization: Bearer ..."."""

    reason = "TOKEN_MISSING"


class TokenInvalid(Unauthenticated):
    """The token is not accepted: buy another with IssueToken."""

    reason = "TOKEN_INVALID"


class TokenExpired(Unauthenticated):
    """The token's time is over: buy another with IssueToken."""

    reason = "TOKEN_EXPIRED"


class DeviceRevoked(Unauthenticated):
    """The device was revoked: a person must enrol it again."""

    reason = "DEVICE_REVOKED"


class RoleNotAllowed(PermissionDenied):
    """The token's role may not call this method."""

    reason = "ROLE_NOT_ALLOWED"


class WebOriginMismatch(PermissionDenied):
    """The token is for the pages of another origin: call from those, through Connect."""

    reason = "WEB_ORIGIN_MISMATCH"


class MessageMalformed(InvalidInput):
    """The body is not a message of the method's request type."""

    reason = "MESSAGE_MALFORMED"


class MessageTooLarge(TallystickError):
    """The message is larger than the method takes: send less at once."""

    reason = "MESSAGE_TOO_LARGE"


class MetadataTooLarge(TallystickError):
    """The headers are larger than the server takes: send less of them."""

    reason = "MESSAGE_TOO_LARGE"


class MethodNotFound(TallystickError):
    """The contract has no such method."""

    reason = "METHOD_NOT_FOUND"


class DeadlineMissing(InvalidInput):
    """Every call needs a deadline: set a timeout, for example of 5 seconds."""

    reason = "DEADLINE_MISSING"


class RateLimited(Overloaded):
    """This caller sends too much: wait as RetryInfo says."""

    reason = "RATE_LIMITED"


CODES: Mapping[str, int] = {
    "TOKEN_MISSING": code_pb2.UNAUTHENTICATED,
    "TOKEN_INVALID": code_pb2.UNAUTHENTICATED,
    "TOKEN_EXPIRED": code_pb2.UNAUTHENTICATED,
    "ASSERTION_INVALID": code_pb2.UNAUTHENTICATED,
    "ASSERTION_REPLAYED": code_pb2.UNAUTHENTICATED,
    "DEVICE_REVOKED": code_pb2.UNAUTHENTICATED,
    "DEVICE_NOT_CONFIRMED": code_pb2.FAILED_PRECONDITION,
    "ENROLMENT_CODE_INVALID": code_pb2.PERMISSION_DENIED,
    "PROOF_INVALID": code_pb2.PERMISSION_DENIED,
    "PUBLIC_KEY_INVALID": code_pb2.INVALID_ARGUMENT,
    "ROLE_NOT_ALLOWED": code_pb2.PERMISSION_DENIED,
    "ORIGIN_MISMATCH": code_pb2.PERMISSION_DENIED,
    "INVALID_INPUT": code_pb2.INVALID_ARGUMENT,
    "MESSAGE_MALFORMED": code_pb2.INVALID_ARGUMENT,
    "MESSAGE_TOO_LARGE": code_pb2.RESOURCE_EXHAUSTED,
    "PAGE_TOKEN_INVALID": code_pb2.INVALID_ARGUMENT,
    "RULE_SET_INVALID": code_pb2.INVALID_ARGUMENT,
    "AS_OF_OUT_OF_RANGE": code_pb2.INVALID_ARGUMENT,
    "MEMBER_NOT_FOUND": code_pb2.NOT_FOUND,
    "DECISION_NOT_FOUND": code_pb2.NOT_FOUND,
    "DEVICE_NOT_FOUND": code_pb2.NOT_FOUND,
    "PROGRAM_NOT_FOUND": code_pb2.NOT_FOUND,
    "RULE_SET_NOT_FOUND": code_pb2.NOT_FOUND,
    "METHOD_NOT_FOUND": code_pb2.UNIMPLEMENTED,
    "REQUEST_ID_REUSED": code_pb2.ALREADY_EXISTS,
    "PROGRAM_EXISTS": code_pb2.ALREADY_EXISTS,
    "FINGERPRINT_MISMATCH": code_pb2.FAILED_PRECONDITION,
    "LIMIT_REACHED": code_pb2.RESOURCE_EXHAUSTED,
    "DEADLINE_MISSING": code_pb2.INVALID_ARGUMENT,
    "DEADLINE_PASSED": code_pb2.DEADLINE_EXCEEDED,
    "RATE_LIMITED": code_pb2.RESOURCE_EXHAUSTED,
    "OVERLOADED": code_pb2.RESOURCE_EXHAUSTED,
    "DRAINING": code_pb2.UNAVAILABLE,
    "STORE_UNAVAILABLE": code_pb2.UNAVAILABLE,
    "STORE_CONFLICT": code_pb2.ABORTED,
    "INTERNAL": code_pb2.INTERNAL,
    "TILL_SUSPENDED": code_pb2.FAILED_PRECONDITION,
    "ADVICE_SIGNATURE_INVALID": code_pb2.PERMISSION_DENIED,
    "ADVICE_SEQUENCE_GAP": code_pb2.FAILED_PRECONDITION,
    "INBOX_ITEM_NOT_FOUND": code_pb2.NOT_FOUND,
    "INBOX_ITEM_CLOSED": code_pb2.FAILED_PRECONDITION,
    "TILL_NOT_FOUND": code_pb2.NOT_FOUND,
    "LEASE_NOT_FOUND": code_pb2.NOT_FOUND,
    "CARD_BATCH_NOT_FOUND": code_pb2.NOT_FOUND,
    "WALLET_OFF": code_pb2.FAILED_PRECONDITION,
    "WALLET_AWAY": code_pb2.UNAVAILABLE,
    "MAIL_OFF": code_pb2.FAILED_PRECONDITION,
    "WEB_ORIGIN_MISMATCH": code_pb2.PERMISSION_DENIED,
    "WEB_ORIGIN_NOT_ALLOWED": code_pb2.FAILED_PRECONDITION,
    "CLAIM_NOT_FOUND": code_pb2.NOT_FOUND,
    "WEBHOOK_NOT_FOUND": code_pb2.NOT_FOUND,
    "ACTION_NOT_ALLOWED": code_pb2.PERMISSION_DENIED,
    "BIRTHDAY_FIXED": code_pb2.FAILED_PRECONDITION,
    "REDEMPTION_NOT_FOUND": code_pb2.NOT_FOUND,
    "WEBHOOK_URL_REFUSED": code_pb2.INVALID_ARGUMENT,
    "PUSH_OFF": code_pb2.FAILED_PRECONDITION,
    "PUSH_ENDPOINT_REFUSED": code_pb2.INVALID_ARGUMENT,
    "CHANNEL_OFF": code_pb2.FAILED_PRECONDITION,
    "COUPON_BATCH_NOT_FOUND": code_pb2.NOT_FOUND,
    "SEGMENT_NOT_FOUND": code_pb2.NOT_FOUND,
    "EXPERIMENT_NOT_FOUND": code_pb2.NOT_FOUND,
    "LEDGER_TOO_LARGE": code_pb2.FAILED_PRECONDITION,
    "DEVICE_NEW": code_pb2.FAILED_PRECONDITION,
    "REVIEW_NOT_FOUND": code_pb2.NOT_FOUND,
    "REVIEW_DECIDED": code_pb2.FAILED_PRECONDITION,
    "REVIEW_NEEDS_SECOND": code_pb2.PERMISSION_DENIED,
    "RECEIVER_NOT_FOUND": code_pb2.NOT_FOUND,
    "HOUSEHOLD_CONFLICT": code_pb2.FAILED_PRECONDITION,
    "INVITATION_INVALID": code_pb2.PERMISSION_DENIED,
    "TRANSFER_NOT_FOUND": code_pb2.NOT_FOUND,
}
"""The status code of every reason of the contract (``ErrorReason``, without its prefix)."""

_CODE_NAMES: Mapping[int, str] = {number: name for name, number in code_pb2.Code.items()}

_CODES_BY_CLASS: tuple[tuple[type[TallystickError], int], ...] = (
    (service_errors.NotFound, code_pb2.NOT_FOUND),
    (service_errors.AlreadyExists, code_pb2.ALREADY_EXISTS),
    (service_errors.Unauthenticated, code_pb2.UNAUTHENTICATED),
    (service_errors.PermissionDenied, code_pb2.PERMISSION_DENIED),
    (service_errors.FailedPrecondition, code_pb2.FAILED_PRECONDITION),
    (service_errors.InvalidInput, code_pb2.INVALID_ARGUMENT),
    (service_errors.Overloaded, code_pb2.RESOURCE_EXHAUSTED),
)


def code_name(code: int) -> str:
    """The name of a google.rpc.Code: "NOT_FOUND"."""
    return _CODE_NAMES[code]


def is_expected(error: BaseException) -> bool:
    """Whether an error is one that the caller is told about; any other is a fault of the server."""
    return isinstance(error, TallystickError) and code_of(error) != code_pb2.INTERNAL


def code_of(error: TallystickError) -> int:
    """The google.rpc.Code of an operating error: by its reason, or else by its class."""
    code = CODES.get(error.reason)
    if code is not None:
        return code
    return next((code for base, code in _CODES_BY_CLASS if isinstance(error, base)), code_pb2.INTERNAL)


def status_of(error: BaseException, *, incident_id: str = "") -> Status:
    """Turn an error into the status that the caller gets, with ErrorInfo and, where they fit, further details.

    An error that the caller cannot help becomes INTERNAL and says nothing but the incident's id.
    """
    if not isinstance(error, TallystickError) or not is_expected(error):
        return _status(
            code_pb2.INTERNAL,
            "The server failed; its log has the incident.",
            _error_info("INTERNAL", {"incident_id": incident_id}),
        )
    text = f"{error} {error.mend}" if error.mend else str(error)
    metadata = dict(error.details)
    details: list[Message] = []
    if isinstance(error, InvalidInput) and error.violations:
        metadata["violations"] = str(len(error.violations))
    details.append(_error_info(error.reason, metadata))
    retry_after_s = retry_after(error)
    if retry_after_s is not None:
        details.append(RetryInfo(retry_delay=_duration(retry_after_s)))
    status = _status(code_of(error), text, *details)
    if isinstance(error, InvalidInput):
        _add_violations(status, error.violations)
    return status


def retry_after(error: BaseException) -> float | None:
    """After how many seconds to try again; None when that would not help."""
    if isinstance(error, Overloaded):
        return error.retry_after_s
    return STORE_RETRY_S if isinstance(error, StoreUnavailable) else None


def _status(code: int, text: str, *details: Message) -> Status:
    status = Status(code=code, message=text[:MESSAGE_CHARS_MAX])
    for detail in details:
        status.details.append(_packed(detail))
    return status


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed


def _error_info(reason: str, metadata: Mapping[str, str]) -> ErrorInfo:
    cut = {name: value[:METADATA_CHARS_MAX] for name, value in metadata.items()}
    return ErrorInfo(reason=reason, domain=DOMAIN, metadata=cut)


def _duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))


def _add_violations(status: Status, violations: tuple[tuple[str, str], ...]) -> None:
    """Add as many field violations as fit: a status that is too large would not arrive at all."""
    bad_request = BadRequest()
    room = STATUS_BYTES_MAX - status.ByteSize() - 128
    for field, description in violations:
        violation = BadRequest.FieldViolation(
            field=field[:VIOLATION_CHARS_MAX], description=description[:VIOLATION_CHARS_MAX]
        )
        room -= violation.ByteSize() + 4
        if room < 0:
            break
        bad_request.field_violations.append(violation)
    if bad_request.field_violations:
        status.details.append(_packed(bad_request))
