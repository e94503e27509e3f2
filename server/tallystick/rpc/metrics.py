"""What the edge counts, in plain numbers that are turned into Prometheus metrics only when these are read.

The event loop alone writes and reads them, so counting costs no lock and well under a microsecond a call.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tallystick.rpc.errors import code_name

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
GAUGES_MAX = 32


class MethodMeter:
    """The numbers of one method: calls by status code and how long they took."""

    __slots__ = ("buckets", "calls", "seconds")

    def __init__(self) -> None:
        self.calls: dict[int, int] = {}
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.seconds = 0.0

    def record(self, code: int, seconds: float) -> None:
        self.calls[code] = self.calls.get(code, 0) + 1
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self.seconds += seconds


class Metrics(Collector):
    """All numbers of one process. ``in_flight`` is the number of calls that are worked on right now."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._methods: dict[str, MethodMeter] = {}
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def method(self, name: str) -> MethodMeter:
        """The meter of a method; names come from the contract, never from callers."""
        return self._methods.setdefault(name, MethodMeter())

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number of another part, such as the length of a queue; ``read`` is called when metrics are."""
        assert name.startswith("tallystick_"), "metrics carry the project's prefix"
        assert len(self._gauges) < GAUGES_MAX, "more gauges than GAUGES_MAX"
        self._gauges[name] = (text, read)

    def register(self, collector: Collector) -> None:
        """Show the metrics of another collector as well."""
        self._registry.register(collector)

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format (CONTENT_TYPE)."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Prometheus' own question; see ``exposition``."""
        yield GaugeMetricFamily(
            "tallystick_rpc_in_flight", "Calls that are worked on now", value=self.in_flight
        )
        calls = CounterMetricFamily(
            "tallystick_rpc_calls", "Answered calls by method and status code", labels=("method", "code")
        )
        latency = HistogramMetricFamily(
            "tallystick_rpc_seconds", "How long calls took, from their arrival", labels=("method",)
        )
        for name, meter in self._methods.items():
            for code, count in meter.calls.items():
                calls.add_metric((name, code_name(code)), count)
            latency.add_metric((name,), _cumulative(meter), meter.seconds)
        yield calls
        yield latency
        for gauge, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(gauge, text, value=read())


def _cumulative(meter: MethodMeter) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*BUCKETS_S, float("inf")), meter.buckets, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
    return buckets
