"""Every error becomes one status with a reason of the contract; the server's own faults say nothing."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from tallystick.rpc.call import Call
from tallystick.rpc.errors import (
    CODES,
    STATUS_BYTES_MAX,
    code_name,
    code_of,
    is_expected,
    retry_after,
    status_of,
)
from tallystick.service.errors import (
    AlreadyExists,
    Draining,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    Overloaded,
    PermissionDenied,
    StoreConflict,
    StoreUnavailable,
    TallystickError,
    Unauthenticated,
)
from tallystick.v1 import errors_pb2, ledger_pb2
from tests.rpc.edge import GET_BALANCE, StartEdge, balance_request, call, failure_of, services_with

ERRORS_PROTO = Path(__file__).parents[2] / "protos/tallystick/v1/errors.proto"


def test_every_reason_has_the_code_that_the_contract_documents() -> None:
    documented = dict(
        re.findall(r"// ERROR_REASON_([A-Z_]+): ([A-Z_]+)\. ", ERRORS_PROTO.read_text(encoding="utf-8"))
    )
    reasons = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118
    assert set(documented) == reasons - {"UNSPECIFIED"}
    assert {reason: code_name(code) for reason, code in CODES.items()} == documented


class MemberUnknown(NotFound):
    """No such member."""

    reason = "MEMBER_NOT_FOUND"


def detail(error: BaseException, kind: type[Message]) -> Message | None:
    message = kind()
    return next((message for detail in status_of(error).details if detail.Unpack(message)), None)


def test_an_error_says_what_happened_and_what_to_do() -> None:
    status = status_of(MemberUnknown(mend="Enrol first.", member_id="m1"))
    assert status.code == code_pb2.NOT_FOUND
    assert status.message == "No such member. Enrol first."
    info = detail(MemberUnknown(member_id="m1"), ErrorInfo)
    assert info == ErrorInfo(reason="MEMBER_NOT_FOUND", domain="tallystick", metadata={"member_id": "m1"})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound(), code_pb2.NOT_FOUND),
        (AlreadyExists(), code_pb2.ALREADY_EXISTS),
        (Unauthenticated(), code_pb2.UNAUTHENTICATED),
        (PermissionDenied(), code_pb2.PERMISSION_DENIED),
        (FailedPrecondition(), code_pb2.FAILED_PRECONDITION),
        (StoreConflict(), code_pb2.ABORTED),
        (Draining(), code_pb2.UNAVAILABLE),
        (TallystickError(), code_pb2.INTERNAL),
    ],
)
def test_an_error_without_a_reason_of_its_own_goes_by_its_class(error: TallystickError, code: int) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize(
    ("error", "delay_s"), [(Overloaded(retry_after_s=1.5), 1.5), (StoreUnavailable(), 1.0)]
)
def test_an_error_that_passes_says_when_to_come_back(error: TallystickError, delay_s: float) -> None:
    info = detail(error, RetryInfo)
    assert isinstance(info, RetryInfo)
    assert info.retry_delay.seconds + info.retry_delay.nanos / 1e9 == delay_s
    assert retry_after(error) == delay_s


def test_an_error_that_does_not_pass_says_nothing_about_retries() -> None:
    assert detail(NotFound(), RetryInfo) is None
    assert retry_after(NotFound()) is None


def test_violations_are_cut_to_what_arrives_but_counted_in_full() -> None:
    violations = tuple((f"lines[{number}].sku", "d" * 500) for number in range(1000))
    status = status_of(InvalidInput(violations=violations))
    assert status.ByteSize() <= STATUS_BYTES_MAX
    bad_request = detail(InvalidInput(violations=violations), BadRequest)
    assert isinstance(bad_request, BadRequest)
    assert 10 <= len(bad_request.field_violations) < 1000
    info = detail(InvalidInput(violations=violations), ErrorInfo)
    assert isinstance(info, ErrorInfo)
    assert info.metadata["violations"] == "1000"


def test_long_texts_are_cut() -> None:
    status = status_of(NotFound("m" * 10_000, note="n" * 10_000))
    assert status.ByteSize() < 1200


def test_a_fault_of_the_server_tells_the_caller_nothing_but_the_incident(
    serve: StartEdge, caplog: pytest.LogCaptureFixture
) -> None:
    async def get_balance(_request: Message, _call: Call) -> Message:
        raise RuntimeError("password=hunter2 in /etc/secret")

    edge = serve(services_with(get_balance=get_balance))
    with caplog.at_level(logging.ERROR):
        failure = failure_of(
            lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer())
        )
    assert (failure.code, failure.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert failure.status is not None
    assert "hunter2" not in str(failure.status)
    assert "hunter2" not in str(failure.trailers)
    [record] = [record for record in caplog.records if record.name == "tallystick.incident"]
    assert vars(record)["incident_id"] == failure.info.metadata["incident_id"]
    assert record.exc_info is not None
    assert "hunter2" in str(record.exc_info[1])


def test_a_handler_that_answers_the_wrong_thing_is_a_fault_of_the_server(serve: StartEdge) -> None:
    async def get_balance(_request: Message, _call: Call) -> Message:
        return ledger_pb2.GetBalanceRequest()

    edge = serve(services_with(get_balance=get_balance))
    failure = failure_of(
        lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer())
    )
    assert (failure.code, failure.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")


def test_an_operating_error_without_a_known_meaning_is_a_fault_of_the_server() -> None:
    assert not is_expected(TallystickError("half of a secret"))
    assert "secret" not in str(status_of(TallystickError("half of a secret")))
