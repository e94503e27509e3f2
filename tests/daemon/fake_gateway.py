"""A gateway over real gRPC that enrols one till and takes what is recovered; it does as the test commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tallystick.security.enrolment import possession_holds
from tallystick.security.keys import fingerprint, verify_key_from_jwk
from tallystick.v1 import advice_pb2, store_pb2, till_pb2
from tallystick.wire.advices import parse_advice

CODE, PROGRAM, STORE = "K7AB-9QRS-TVWX", "demo", "high-street"
DEVICE_ID = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e44"


@dataclass
class FakeGateway:
    """``confirmed_after`` is how often a token is asked for in vain; ``lies`` answers for another key."""

    confirmed_after: int = 0
    lies: bool = False
    reason: str = ""
    port: int = 0
    kid: str = ""
    recovered: list[store_pb2.RecoverAdvicesRequest] = field(default_factory=list)
    verdict: advice_pb2.Verdict = field(
        default_factory=lambda: advice_pb2.Verdict(kind=advice_pb2.VERDICT_KIND_POSTED)
    )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def enrol_device(
        self, request: till_pb2.EnrolDeviceRequest, context: Any
    ) -> till_pb2.EnrolDeviceResponse:
        key = verify_key_from_jwk(json.loads(request.public_jwk))
        if request.code != CODE or not possession_holds(
            key, request.proof, code=request.code, program_id=request.program_id
        ):
            _refuse(context, code_pb2.PERMISSION_DENIED, "ENROLMENT_CODE_INVALID")
        self.kid = key.kid
        shown = "00000 00000 00000 00000 00000" if self.lies else fingerprint(key.kid)
        return till_pb2.EnrolDeviceResponse(device_id=DEVICE_ID, fingerprint=shown)

    def issue_token(self, request: till_pb2.IssueTokenRequest, context: Any) -> till_pb2.IssueTokenResponse:
        if self.reason:
            _refuse(context, code_pb2.UNAUTHENTICATED, self.reason)
        if self.confirmed_after > 0:
            self.confirmed_after -= 1
            _refuse(context, code_pb2.FAILED_PRECONDITION, "DEVICE_NOT_CONFIRMED")
        return till_pb2.IssueTokenResponse(access_token="token", expires_in_s=300)

    def exposure(self, request: store_pb2.GetExposureRequest, context: Any) -> store_pb2.GetExposureResponse:
        tills = [store_pb2.TillExposure(till_id=DEVICE_ID, label="Till 2")]
        return store_pb2.GetExposureResponse(store_id=STORE, tills=tills)

    def recover(
        self, request: store_pb2.RecoverAdvicesRequest, context: Any
    ) -> store_pb2.RecoverAdvicesResponse:
        self.recovered.append(request)
        return store_pb2.RecoverAdvicesResponse(verdicts=[self.verdict] * len(request.advices))

    @property
    def facts(self) -> list[advice_pb2.Advice]:
        """What was handed in."""
        return [parse_advice(one.advice) for request in self.recovered for one in request.advices]


@contextmanager
def gateway() -> Iterator[FakeGateway]:
    """Serve one until the block ends."""
    fake = FakeGateway()
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        [
            _service(
                "TillService",
                EnrolDevice=_method(fake.enrol_device, till_pb2.EnrolDeviceRequest),
                IssueToken=_method(fake.issue_token, till_pb2.IssueTokenRequest),
            ),
            _service(
                "StoreService",
                GetExposure=_method(fake.exposure, store_pb2.GetExposureRequest),
                RecoverAdvices=_method(fake.recover, store_pb2.RecoverAdvicesRequest),
            ),
        ]
    )
    fake.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait()


def _service(name: str, **methods: grpc.RpcMethodHandler[Any, Any]) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(f"tallystick.v1.{name}", methods)


def _method(answer: Callable[[Any, Any], Message], request: type[Message]) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request.FromString,
        response_serializer=lambda made: made.SerializeToString(),
    )


def _refuse(context: Any, code: int, reason: str) -> NoReturn:
    detail = Packed()
    detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="tallystick"))
    status = status_pb2.Status(code=code, message="no", details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    by_number = {one.value[0]: one for one in grpc.StatusCode}
    context.abort(by_number[code], "no")
    raise AssertionError("abort raises")
