"""The line between a till and the gateway: it loses questions and answers, repeats them, and brings them late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from tallystick.v1 import identity_pb2, ledger_pb2, options_pb2, store_pb2
from tallystick_till.ports import GatewayAway, GatewayRefused
from tests.simulation.server import Server


@dataclass
class Weather:
    """How bad the lines are: each figure is a probability of one call."""

    lose_question: float = 0.0
    lose_answer: float = 0.0
    repeat: float = 0.0
    late: float = 0.0
    crash_before: float = 0.0
    crash_after: float = 0.0


CALM = Weather()


class Line:
    """One till's line. ``down`` cuts it; ``on_call`` is told before and after each call, and may crash the till."""

    def __init__(
        self,
        server: Server,
        rng: Random,
        *,
        till_id: str,
        store_id: str,
        weather: Weather,
        on_call: Callable[[str], None],
    ) -> None:
        self._server = server
        self._rng = rng
        self._till_id = till_id
        self._store_id = store_id
        self._on_call = on_call
        self._late: list[Callable[[], object]] = []
        self.weather = weather
        self.down = False
        self.revoked = False

    def deliver_late(self) -> None:
        """Bring what was on its way for so long."""
        late, self._late = self._late, []
        for bring in late:
            try:
                bring()
            except (GatewayAway, GatewayRefused):
                continue

    def _call(self, service: str, method: str, request: Any, role: int = options_pb2.ROLE_TILL) -> Any:
        self._on_call("before")
        if self.down:
            raise GatewayAway("the line is down")
        if self.revoked and method != "push_advices":
            # The door sees to that; an upload is left to the use case, which looks again.
            raise GatewayRefused("DEVICE_REVOKED", "The device was revoked.")
        weather, rng = self.weather, self._rng

        def bring() -> Any:
            return self._server.call(
                service,
                method,
                type(request).FromString(request.SerializeToString()),
                device_id=self._till_id,
                store_id=self._store_id,
                role=role,
            )

        if rng.random() < weather.lose_question:
            raise GatewayAway("the question was lost")
        if rng.random() < weather.late:
            self._late.append(bring)
            raise GatewayAway("the question takes its time")
        chance = rng.random()
        if chance < weather.crash_before:
            self._server.failing.fail = "before"
        elif chance < weather.crash_before + weather.crash_after:
            self._server.failing.fail = "after"
        answer = bring()
        self._server.failing.fail = ""
        if rng.random() < weather.repeat:
            answer = bring()
        if rng.random() < weather.lose_answer:
            raise GatewayAway("the answer was lost")
        self._on_call("after")
        return answer

    def push(self, request: store_pb2.PushAdvicesRequest) -> store_pb2.PushAdvicesResponse:
        return self._call("store", "push_advices", request)  # type: ignore[no-any-return]

    def watch(self, request: store_pb2.WatchRequest) -> Iterator[store_pb2.WatchResponse]:
        """Give what there is and end the stream, so that a step of the simulation ends too."""
        self._on_call("before")
        if self.down or self._rng.random() < self.weather.lose_question:
            raise GatewayAway("the line is down")
        if self.revoked:
            raise GatewayRefused("DEVICE_REVOKED", "The device was revoked.")
        for piece in self._server.news(self._till_id, self._store_id, request):
            yield piece
            if self._rng.random() < self.weather.lose_answer:
                raise GatewayAway("the line broke in the middle of the news")

    def request_leases(self, request: store_pb2.RequestLeasesRequest) -> store_pb2.RequestLeasesResponse:
        return self._call("store", "request_leases", request)  # type: ignore[no-any-return]

    def return_lease(self, request: store_pb2.ReturnLeaseRequest) -> store_pb2.ReturnLeaseResponse:
        return self._call("store", "return_lease", request)  # type: ignore[no-any-return]

    def recover(self, request: store_pb2.RecoverAdvicesRequest) -> store_pb2.RecoverAdvicesResponse:
        return self._call("store", "recover_advices", request)  # type: ignore[no-any-return]

    def check_pin(self, request: store_pb2.CheckPinRequest) -> store_pb2.CheckPinResponse:
        return self._call("store", "check_pin", request)  # type: ignore[no-any-return]

    def list_inbox(self, request: store_pb2.ListInboxRequest) -> store_pb2.ListInboxResponse:
        return self._call("store", "list_inbox", request)  # type: ignore[no-any-return]

    def resolve_inbox_item(
        self, request: store_pb2.ResolveInboxItemRequest
    ) -> store_pb2.ResolveInboxItemResponse:
        return self._call("store", "resolve_inbox_item", request)  # type: ignore[no-any-return]

    def exposure(self, request: store_pb2.GetExposureRequest) -> store_pb2.GetExposureResponse:
        return self._call("store", "get_exposure", request)  # type: ignore[no-any-return]

    def identify(self, request: identity_pb2.IdentifyRequest) -> identity_pb2.IdentifyResponse:
        return self._call("identity", "identify", request)  # type: ignore[no-any-return]

    def enrol(self, request: identity_pb2.EnrolRequest) -> identity_pb2.EnrolResponse:
        return self._call("identity", "enrol", request)  # type: ignore[no-any-return]

    def post_sale(self, request: ledger_pb2.PostSaleRequest) -> ledger_pb2.PostSaleResponse:
        return self._call("ledger", "post_sale", request)  # type: ignore[no-any-return]

    def preview_return(self, request: ledger_pb2.PreviewReturnRequest) -> ledger_pb2.PreviewReturnResponse:
        return self._call("ledger", "preview_return", request)  # type: ignore[no-any-return]
