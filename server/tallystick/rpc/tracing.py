"""Sampled spans of our own for OpenTelemetry (the extra `telemetry`); without them a call pays nothing.

A span is made after its call has ended, and only for the sample: its instrumentation library would halve what one
process answers.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from google.rpc import code_pb2

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import TracerProvider

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_SAMPLED = 0x01


class Tracing:
    """Spans for a share of the calls: ``ratio`` of those that come without a trace (0 to 1), and all whose caller
    sampled them (W3C Trace Context).

    ``provider`` is the one that the application set up with its exporters.
    """

    def __init__(self, provider: TracerProvider, *, ratio: float) -> None:
        assert 0.0 <= ratio <= 1.0, "a share lies between 0 and 1"
        self._tracer = provider.get_tracer("tallystick")
        self._ratio = ratio

    def is_sampled(self, metadata: Mapping[str, str]) -> bool:
        """Whether this call gets a span."""
        match = _TRACEPARENT.fullmatch(metadata.get("traceparent", ""))
        if match is not None:
            return bool(int(match[3], 16) & _SAMPLED)
        return self._ratio > 0 and random.random() < self._ratio  # noqa: S311  a sample, not a secret

    def record(self, method: str, code: int, seconds: float, metadata: Mapping[str, str]) -> None:
        """Make the span of a call that ended now and took ``seconds``."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        ended_ns = time.time_ns()
        service, _, name = method.partition("/")
        span = self._tracer.start_span(
            method,
            context=_parent(metadata),
            kind=SpanKind.SERVER,
            start_time=ended_ns - int(seconds * 1e9),
            attributes={
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": name,
                "rpc.grpc.status_code": code,
            },
        )
        if code in {code_pb2.INTERNAL, code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED}:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=ended_ns)


def _parent(metadata: Mapping[str, str]) -> Context | None:
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    match = _TRACEPARENT.fullmatch(metadata.get("traceparent", ""))
    if match is None:
        return None
    context = SpanContext(
        int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16))
    )
    return set_span_in_context(NonRecordingSpan(context))
