"""Small tools of the benchmarks: percentiles, CPU time of processes, and words for people."""

from __future__ import annotations

import json
import resource
from collections.abc import Mapping, Sequence
from typing import Any

import psutil


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of the values lie; 0.0 for none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def own_cpu_s() -> float:
    """Return the CPU seconds that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds that a process and its living children have used."""
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        times = each.cpu_times()
        total += times.user + times.system
    return total


def rss_mb(process: psutil.Process) -> float:
    """Return the resident memory of the largest of a process and its children in MB (10**6 bytes)."""
    family = (process, *process.children(recursive=True))
    return max(float(each.memory_info().rss) for each in family) / 1e6


def report(figures: Mapping[str, Any], *, as_json: bool) -> str:
    """Return the figures as JSON, or as lines for people."""
    if as_json:
        return json.dumps(figures, indent=2)
    width = max(len(name) for name in figures)
    return "\n".join(f"{name:<{width}}  {_shown(value)}" for name, value in figures.items())


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
