"""What those who run the server see of a call, and what nobody must see."""

from __future__ import annotations

import json
import logging
import time
import urllib.request
from collections.abc import Iterator

import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from tallystick.cli.wiring import configure_logging
from tallystick.config.settings import Settings
from tallystick.rpc import access_log
from tallystick.rpc.access_log import AccessLog, JsonFormatter, LogSettings
from tallystick.rpc.call import Call
from tallystick.rpc.metrics import Metrics
from tallystick.rpc.tracing import Tracing
from tallystick.v1 import identity_pb2
from tests.rpc.edge import (
    GET_BALANCE,
    IDENTIFY,
    TILL_ID,
    Edge,
    Metadata,
    StartEdge,
    balance_request,
    call,
    failure_of,
    services_with,
)

CANARY = "canary-8712"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
KEY = b"k" * 32


class Lines(logging.Handler):
    """Keeps log lines as they would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))

    def calls(self) -> list[dict[str, object]]:
        return [line for text in self.texts if (line := json.loads(text))["logger"] == "tallystick.access"]


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    root = logging.getLogger("tallystick")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_line_says_which_method_how_it_ended_and_who_called_as_a_hash(
    serve: StartEdge, lines: Lines
) -> None:
    edge = serve(log=LogSettings(every=1, key=KEY))
    call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer())
    [line] = lines.calls()
    assert line["method"] == GET_BALANCE.lstrip("/")
    assert (line["code"], line["role"], line["program_id"]) == ("OK", "TILL", "demo")
    assert line["caller"] == edge.pipeline.access_log.caller_hash(TILL_ID)
    assert isinstance(line["ms"], float)
    assert str(line["time"]).endswith("Z")


def test_the_hash_of_a_caller_needs_the_key() -> None:
    one, two = (AccessLog(LogSettings(key=key)) for key in (KEY, b"x" * 32))
    assert one.caller_hash(TILL_ID) == one.caller_hash(TILL_ID)
    assert one.caller_hash(TILL_ID) != two.caller_hash(TILL_ID)
    assert len(one.caller_hash(TILL_ID)) == 16


def test_no_log_or_metric_repeats_a_token_a_scan_an_address_or_a_device(
    serve: StartEdge, lines: Lines
) -> None:
    async def identify(_request: Message, _call: Call) -> Message:
        raise RuntimeError("no database")

    edge = serve(services_with(identify=identify), log=LogSettings(every=1, key=KEY))
    channel, token = edge.channel(), edge.issuer.token()
    metadata: Metadata = (("authorization", f"Bearer {token}"), ("x-note", CANARY))
    scan = identity_pb2.IdentifyRequest(text=CANARY, channel=1)  # type: ignore[arg-type]
    failure_of(lambda: call(channel, IDENTIFY, scan, metadata=metadata))
    failure_of(lambda: call(channel, IDENTIFY, CANARY.encode(), metadata=metadata))
    failure_of(lambda: call(channel, f"/{CANARY}", b"", metadata=metadata))
    bad_token: Metadata = (("authorization", f"Bearer {CANARY}.a.b"),)
    failure_of(lambda: call(channel, IDENTIFY, scan, metadata=bad_token))
    text = "\n".join(lines.texts) + edge.pipeline.metrics.exposition().decode()
    assert len(lines.calls()) == 3
    assert '"incident_id"' in text
    assert CANARY not in text
    assert token not in text
    assert TILL_ID not in text
    assert "127.0.0.1" not in text


def test_the_line_of_a_bad_token_says_what_the_caller_is_not_told(serve: StartEdge, lines: Lines) -> None:
    edge = serve()
    metadata: Metadata = (("authorization", "Bearer a.b.c"),)
    failure_of(lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=metadata))
    [line] = lines.calls()
    assert line["reason"] == "TOKEN_INVALID"
    assert str(line["cause"]).startswith("token refused: ")


def test_good_calls_are_sampled_and_bad_ones_are_all_noted(lines: Lines) -> None:
    log = AccessLog(LogSettings(every=10, key=KEY))
    for _ in range(100):
        log.call("a/B", code_pb2.OK, 0.001, None, None)
    log.call("a/B", code_pb2.NOT_FOUND, 0.001, None, None)
    assert [line["code"] for line in lines.calls()] == ["OK"] * 10 + ["NOT_FOUND"]
    silent = AccessLog(LogSettings(every=0, key=KEY))
    silent.call("a/B", code_pb2.OK, 0.001, None, None)
    assert len(lines.calls()) == 11


def test_a_flood_of_bad_calls_does_not_fill_the_disk(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(access_log, "LINES_PER_S_MAX", 5)
    log = AccessLog(LogSettings(key=KEY))
    for _ in range(50):
        log.call("a/B", code_pb2.NOT_FOUND, 0.001, None, None)
    assert len(lines.calls()) == 5
    now[0] += 1
    log.call("a/B", code_pb2.NOT_FOUND, 0.001, None, None)
    assert lines.calls()[-1]["lines_left_out"] == 45


def test_a_line_for_people_says_what_a_line_of_json_says(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: list[logging.Handler] = []
    monkeypatch.setattr(logging, "basicConfig", lambda **how: handlers.extend(how["handlers"]))
    configure_logging(Settings(log_format="text"))
    record = logging.LogRecord("tallystick.access", logging.INFO, "f", 1, "call", (), None)
    record.method = IDENTIFY
    record.cause = "token refused: AUDIENCE\n"
    [text] = handlers[0].format(record).splitlines()
    assert text.endswith(
        f'INFO tallystick.access: call method="{IDENTIFY}" cause="token refused: AUDIENCE\\n"'
    )


def test_a_line_is_one_line_of_json_whatever_it_holds() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, 'a\n"%s"', ("b\r",), None)
    record.note = "ö\u2028"
    text = JsonFormatter().format(record)
    assert text.isascii()
    assert text.splitlines() == [text]
    assert json.loads(text)["event"] == 'a\n"b\r"'


def rows(edge: Edge) -> list[str]:
    url = f"http://127.0.0.1:{edge.server.bound.ops_port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode()).splitlines()


def test_metrics_count_calls_by_method_and_code_and_their_times(serve: StartEdge) -> None:
    edge = serve()
    channel, name = edge.channel(), GET_BALANCE.lstrip("/")
    for _ in range(3):
        call(channel, GET_BALANCE, balance_request(), metadata=edge.issuer.bearer())
    failure_of(lambda: call(channel, GET_BALANCE, balance_request()))
    failure_of(lambda: call(channel, "/a/B", b""))
    found = rows(edge)
    assert f'tallystick_rpc_calls_total{{code="OK",method="{name}"}} 3.0' in found
    assert f'tallystick_rpc_calls_total{{code="UNAUTHENTICATED",method="{name}"}} 1.0' in found
    assert 'tallystick_rpc_calls_total{code="UNIMPLEMENTED",method="unknown"} 1.0' in found
    assert f'tallystick_rpc_seconds_count{{method="{name}"}} 4.0' in found
    assert f'tallystick_rpc_seconds_bucket{{le="+Inf",method="{name}"}} 4.0' in found


def test_times_fall_into_the_bucket_of_their_upper_bound() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.0011, 0.0025, 100.0):
        metrics.method("m").record(code_pb2.OK, seconds)
    text = metrics.exposition().decode()
    assert 'tallystick_rpc_seconds_bucket{le="0.001",method="m"} 1.0' in text
    assert 'tallystick_rpc_seconds_bucket{le="0.0025",method="m"} 3.0' in text
    assert 'tallystick_rpc_seconds_bucket{le="30.0",method="m"} 3.0' in text
    assert 'tallystick_rpc_seconds_bucket{le="+Inf",method="m"} 4.0' in text


def test_other_parts_show_their_numbers_among_the_metrics() -> None:
    metrics = Metrics()
    metrics.gauge("tallystick_lane_waiting", "Commands that wait", lambda: 7)
    assert "tallystick_lane_waiting 7.0" in metrics.exposition().decode()


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans: InMemorySpanExporter) -> TracerProvider:
    # Takes every span that it is given: what is left out is our own decision.
    provider = TracerProvider(sampler=ALWAYS_ON)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider


def trace(edge: Edge, traceparent: str | None) -> None:
    metadata = edge.issuer.bearer()
    if traceparent is not None:
        metadata = (*metadata, ("traceparent", traceparent))
    call(edge.channel(), GET_BALANCE, balance_request(), metadata=metadata)


def test_a_call_whose_caller_is_traced_gets_a_span_in_that_trace(
    serve: StartEdge, provider: TracerProvider, spans: InMemorySpanExporter
) -> None:
    edge = serve(tracing=Tracing(provider, ratio=0.0))
    trace(edge, f"00-{TRACE_ID}-{SPAN_ID}-01")
    [span] = spans.get_finished_spans()
    assert span.name == GET_BALANCE.lstrip("/")
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == SPAN_ID
    assert dict(span.attributes or {}) == {
        "rpc.system": "grpc",
        "rpc.service": "tallystick.v1.LedgerService",
        "rpc.method": "GetBalance",
        "rpc.grpc.status_code": 0,
    }
    assert span.start_time is not None
    assert span.end_time is not None
    assert 0 < span.end_time - span.start_time < 10e9


@pytest.mark.parametrize("traceparent", [None, f"00-{TRACE_ID}-{SPAN_ID}-00", "00-rubbish", "x" * 100])
def test_a_call_that_is_not_sampled_gets_none(
    serve: StartEdge, provider: TracerProvider, spans: InMemorySpanExporter, traceparent: str | None
) -> None:
    edge = serve(tracing=Tracing(provider, ratio=0.0))
    trace(edge, traceparent)
    assert spans.get_finished_spans() == ()


def test_the_servers_own_sample_begins_traces(
    serve: StartEdge, provider: TracerProvider, spans: InMemorySpanExporter
) -> None:
    async def get_balance(_request: Message, _call: Call) -> Message:
        raise RuntimeError

    edge = serve(services_with(get_balance=get_balance), tracing=Tracing(provider, ratio=1.0))
    failure_of(lambda: trace(edge, None))
    [span] = spans.get_finished_spans()
    assert span.parent is None
    assert not span.status.is_ok
