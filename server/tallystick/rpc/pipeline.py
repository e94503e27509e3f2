"""What happens to every call before and after its handler, whatever transport it came by.

One object for each method, composed when the server starts: stacked interceptors would cost a seventh of the
throughput. In this order: how much at once, who calls and with which role, how often, until when, how large, what
it says, whether that keeps the contract's rules, and then the handler. Whatever goes wrong on the way becomes one
status; every call is counted and a sample is logged.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status

from tallystick.rpc import validation
from tallystick.rpc.access_log import AccessLog, LogSettings, incidents
from tallystick.rpc.auth import Authenticator, role_name
from tallystick.rpc.call import Call, Principal
from tallystick.rpc.errors import (
    DeadlineMissing,
    MessageMalformed,
    MessageTooLarge,
    MethodNotFound,
    RateLimited,
    RoleNotAllowed,
    TokenInvalid,
    WebOriginMismatch,
    is_expected,
    retry_after,
    status_of,
)
from tallystick.rpc.json_codec import FieldMalformed
from tallystick.rpc.limits import STREAM_DEADLINE_MAX_S, TEXT_FACTOR, Limits, RateLimiter, address_of
from tallystick.rpc.metrics import Metrics
from tallystick.rpc.service import Method, Service, methods_of
from tallystick.rpc.streams import OpenStream, Streams
from tallystick.rpc.tracing import Tracing
from tallystick.service.errors import DeadlinePassed, Overloaded, TallystickError
from tallystick.v1 import options_pb2

METHOD_CHARS_MAX = 128

Decode = Callable[[type[Message], bytes], Message]
"""Makes a message of a class from bytes; raises DecodeError or ValueError for bytes that are not one."""

Write = Callable[[Message], Awaitable[None]]
"""Sends one message of a stream; it returns when there is room for the next. Raises CallerGone."""


class CallerGone(Exception):
    """The caller is no longer there: nothing can be written to it."""


class CallFailed(Exception):
    """A call ended with a status other than OK. ``retry_after_s`` is set when the caller should come back."""

    def __init__(self, status: Status, retry_after_s: float | None) -> None:
        super().__init__(status.message)
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Arrival:
    """A call as a transport received it.

    ``metadata`` are the pairs as they came, keys in lower case. ``remaining_s`` is the time until the caller's
    deadline, None without one. ``enforces_deadline`` says whether the transport itself ends the call then.
    ``web_origin`` is the origin of the page that calls, as its browser says; empty when no browser said one.
    ``is_text`` says whether the payload is JSON, which is longer than the message that it stands for.
    """

    payload: bytes
    decode: Decode
    peer: str
    metadata: Sequence[tuple[str, str | bytes]]
    remaining_s: float | None
    enforces_deadline: bool
    web_origin: str = ""
    is_text: bool = False


@dataclass(slots=True)
class _Progress:
    """How far a call has come: what is known of it when it ends, well or not."""

    began: float
    principal: Principal | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    deadline: float = math.inf
    code: int = code_pb2.OK
    error: BaseException | None = None


class Pipeline:
    """The endpoints of all methods, and what they share."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        authenticator: Authenticator,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        log: LogSettings | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.metrics = metrics or Metrics()
        self.authenticator = authenticator
        self.tracing = tracing
        self.gate: asyncio.Event | None = None
        self.access_log = AccessLog(log or LogSettings(key=secrets.token_bytes(32)))
        self.limiters = {
            role: RateLimiter(rate, callers_max=self.limits.callers_max)
            for role, rate in self.limits.rates.items()
        }
        self.streams = Streams(
            streams_max=self.limits.streams_max,
            of_device_max=self.limits.streams_of_device_max,
            age_max_s=self.limits.stream_age_max_s,
            is_revoked=authenticator.is_revoked,
        )
        self.metrics.gauge("tallystick_rpc_streams", "Streams that are open now", lambda: len(self.streams))
        methods = methods_of(services)
        validation.compile_rules(methods)
        self.service_names = tuple(service.descriptor.full_name for service in services)
        self.endpoints = {f"/{method.name}": Endpoint(method, self) for method in methods}
        self._unknown = self.metrics.method("unknown")

    def hold(self) -> None:
        """Let calls that arrive wait at the door, until ``release``."""
        self.gate = asyncio.Event()

    def release(self) -> None:
        """Let in what waits at the door."""
        if self.gate is not None:
            self.gate.set()
            self.gate = None

    def unknown_method(self, path: str) -> CallFailed:
        """The answer to a call of a method that is not in the contract."""
        self._unknown.record(code_pb2.UNIMPLEMENTED, 0.0)
        name = path.lstrip("/")[:METHOD_CHARS_MAX].encode("ascii", "replace").decode("ascii")
        return CallFailed(status_of(MethodNotFound(method=name)), None)


class Endpoint:
    """One method, ready to be called."""

    __slots__ = (
        "_bytes_max",
        "_limiters",
        "_meter",
        "_metrics",
        "_own_limiter",
        "_pipeline",
        "_text_bytes_max",
        "method",
    )

    def __init__(self, method: Method, pipeline: Pipeline) -> None:
        limits = pipeline.limits
        self.method = method
        self._pipeline = pipeline
        self._metrics = pipeline.metrics
        self._meter = pipeline.metrics.method(method.name)
        self._limiters = pipeline.limiters
        own_rate = limits.rates_by_method.get(method.name)
        self._own_limiter = RateLimiter(own_rate, callers_max=limits.callers_max) if own_rate else None
        self._bytes_max = limits.bytes_max_by_method.get(method.name, limits.message_bytes_max)
        # JSON is slow to read, and anybody may call what is public.
        self._text_bytes_max = self._bytes_max * (1 if method.public else TEXT_FACTOR)

    async def answer(self, arrival: Arrival) -> Message:
        """Answer one call; CallFailed when the answer is a status other than OK.

        A caller that goes away cancels the handler at its next await, not what the handler has handed over: a
        lane commits what it took.
        """
        progress = _Progress(time.perf_counter())
        self._metrics.in_flight += 1
        try:
            return await self._handle(arrival, progress)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                over = time.monotonic() >= progress.deadline
                progress.code = code_pb2.DEADLINE_EXCEEDED if over else code_pb2.CANCELLED
                raise
            # Something that the handler waited for was cancelled, not the call: its caller still wants an answer.
            raise self._failed(error, progress) from None
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a status and nothing else
            raise self._failed(error, progress) from None
        finally:
            self._metrics.in_flight -= 1
            self._record(progress)

    async def stream(self, arrival: Arrival, write: Write) -> None:
        """Answer one call of a server stream through ``write``; CallFailed when it ends with a status other than OK.

        It is counted and logged once, at its end. At most one message waits to be written: a slow caller slows the
        handler down.
        """
        progress = _Progress(time.perf_counter())
        try:
            await self._stream(arrival, progress, write)
        except CallerGone:
            progress.code = code_pb2.CANCELLED
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                progress.code = code_pb2.CANCELLED
                raise
            raise self._failed(error, progress) from None
        except Exception as error:  # noqa: BLE001  as in ``answer``
            raise self._failed(error, progress) from None
        finally:
            self._record(progress)

    def refuse(self, error: TallystickError) -> CallFailed:
        """Answer, count and log a call that a transport could not even receive in full."""
        progress = _Progress(time.perf_counter())
        failed = self._failed(error, progress)
        self._record(progress)
        return failed

    async def _handle(self, arrival: Arrival, progress: _Progress) -> Message:
        self._require_room()
        if self._pipeline.gate is not None:
            await self._pipeline.gate.wait()
        principal = self._admit(arrival, progress)
        progress.deadline, must_cut = self._deadline(arrival)
        request = self._request(arrival)
        call = Call(principal, progress.deadline, arrival.peer, progress.metadata)
        if must_cut:
            return self._checked(await self._answer_until(progress.deadline, request, call))
        assert self.method.handler is not None, "a stream has no single answer"
        return self._checked(await self.method.handler(request, call))

    async def _stream(self, arrival: Arrival, progress: _Progress, write: Write) -> None:
        principal = self._admit(arrival, progress)
        assert principal is not None, "a stream is not public"
        progress.deadline = self._stream_deadline(arrival)
        request = self._request(arrival)
        stream = self._pipeline.streams.open(principal, deadline=progress.deadline)
        call = Call(principal, progress.deadline, arrival.peer, progress.metadata)
        try:
            await self._feed(stream, request, call, write)
        finally:
            self._pipeline.streams.close(stream)

    async def _feed(self, stream: OpenStream, request: Message, call: Call, write: Write) -> None:
        """Write what the handler yields until it ends, or until the stream is ended from outside."""
        assert self.method.stream_handler is not None, "only streams are fed"
        source = self.method.stream_handler(request, call)
        try:
            async for response in source:
                await write(self._checked(response))
        except asyncio.CancelledError:
            if not stream.ending:
                raise
            stream.take_back()
            if stream.error is not None:
                raise stream.error from None
        finally:
            await source.aclose()

    def _admit(self, arrival: Arrival, progress: _Progress) -> Principal | None:
        """Who calls, when the caller may call this method and has not called too often."""
        metadata = {key: value for key, value in arrival.metadata if type(value) is str}
        progress.metadata = metadata
        principal: Principal | None = None
        if not self.method.public:
            progress.principal = principal = self._principal(arrival, metadata)
            self._require_role(principal)
            if principal.origin and principal.origin != arrival.web_origin:
                raise WebOriginMismatch
        self._count(principal, arrival.peer)
        return principal

    def _record(self, progress: _Progress) -> None:
        seconds = time.perf_counter() - progress.began
        code, name = progress.code, self.method.name
        self._meter.record(code, seconds)
        self._pipeline.access_log.call(name, code, seconds, progress.principal, progress.error)
        tracing = self._pipeline.tracing
        if tracing is not None and tracing.is_sampled(progress.metadata):
            tracing.record(name, code, seconds, progress.metadata)
        # An error holds the frames that hold this: without the cycle all of it is freed at once.
        progress.error = None

    def _require_room(self) -> None:
        if self._metrics.in_flight > self._pipeline.limits.in_flight_max:
            raise Overloaded

    def _principal(self, arrival: Arrival, metadata: dict[str, str]) -> Principal:
        # Two tokens in one call would let a proxy and this server see different callers.
        if len(metadata) != len(arrival.metadata) and _count_of("authorization", arrival.metadata) > 1:
            raise TokenInvalid
        return self._pipeline.authenticator.principal(metadata.get("authorization"))

    def _require_role(self, principal: Principal) -> None:
        if principal.role not in self.method.roles:
            raise RoleNotAllowed(role=role_name(principal.role), method=self.method.name)

    def _count(self, principal: Principal | None, peer: str) -> None:
        role = options_pb2.ROLE_PUBLIC if principal is None else principal.role
        caller = address_of(peer) if principal is None else _counted_as(principal)
        for limiter in (self._limiters.get(role), self._own_limiter):
            wait_s = limiter.wait_s(caller, time.monotonic()) if limiter is not None else 0.0
            if limiter is not None and wait_s:
                raise RateLimited(retry_after_s=wait_s, limit="calls_per_s", max=f"{limiter.rate.per_s:g}")

    def _deadline(self, arrival: Arrival) -> tuple[float, bool]:
        """The deadline on the monotonic clock, and whether it is ours to enforce."""
        remaining_s = arrival.remaining_s
        deadline_max_s = self._pipeline.limits.deadline_max_s
        if remaining_s is None:
            raise DeadlineMissing(max_s=f"{deadline_max_s:g}")
        if remaining_s <= 0:
            raise DeadlinePassed
        if remaining_s > deadline_max_s:
            return time.monotonic() + deadline_max_s, True
        return time.monotonic() + remaining_s, not arrival.enforces_deadline

    def _stream_deadline(self, arrival: Arrival) -> float:
        """The deadline of a stream, which may have none, on the monotonic clock."""
        remaining_s = arrival.remaining_s
        if remaining_s is None:
            return math.inf
        if remaining_s <= 0:
            raise DeadlinePassed
        return time.monotonic() + min(remaining_s, STREAM_DEADLINE_MAX_S)

    def _request(self, arrival: Arrival) -> Message:
        size = len(arrival.payload)
        if size > (self._text_bytes_max if arrival.is_text else self._bytes_max):
            raise MessageTooLarge(max_bytes=self._bytes_max)
        try:
            request = arrival.decode(self.method.request_class, arrival.payload)
        except FieldMalformed as error:
            violation = (error.field, "not of the field's type")
            raise MessageMalformed(
                mend=f"Correct {error.field}: numbers are whole, times are RFC 3339 with a zone.",
                violations=(violation,),
                method=self.method.name,
            ) from None
        except (DecodeError, ValueError, RecursionError):
            raise MessageMalformed(method=self.method.name) from None
        if size > self._bytes_max and request.ByteSize() > self._bytes_max:
            raise MessageTooLarge(max_bytes=self._bytes_max)
        validation.check(request)
        return request

    async def _answer_until(self, deadline: float, request: Message, call: Call) -> Message:
        # The event loop's clock is the monotonic clock as well, but only that of asyncio promises it.
        timeout = asyncio.timeout(deadline - time.monotonic())
        assert self.method.handler is not None, "a stream has no single answer"
        try:
            async with timeout:
                return await self.method.handler(request, call)
        except TimeoutError:
            if timeout.expired():
                raise DeadlinePassed from None
            raise

    def _checked(self, response: Message) -> Message:
        # Here, because a transport that could not write it would tell the caller why.
        if type(response) is not self.method.response_class:
            raise TypeError(f"{self.method.name} answered a {type(response).__name__}")
        return response

    def _failed(self, error: BaseException, progress: _Progress) -> CallFailed:
        """The status for an error; one that is not expected is logged with an id, and its text stays here."""
        incident_id = ""
        if not is_expected(error):
            incident_id = secrets.token_hex(4)
            fields = {"incident_id": incident_id, "method": self.method.name}
            incidents.error("a call failed unexpectedly", exc_info=error, extra=fields)
        failed = CallFailed(status_of(error, incident_id=incident_id), retry_after(error))
        progress.error, progress.code = error, failed.status.code
        return failed


def _count_of(key: str, metadata: Sequence[tuple[str, str | bytes]]) -> int:
    return sum(1 for name, _ in metadata if name == key)


def _counted_as(principal: Principal) -> str:
    """The caller that a call counts for: all widgets of a shop have its device, and each has its own rate."""
    if not principal.origin:
        return principal.device_id
    return f"{principal.device_id}/{principal.member_id}"
