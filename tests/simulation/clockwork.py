"""Time in a simulation: one true time, and machines whose clocks are as good as machines' clocks are."""

from __future__ import annotations

from dataclasses import dataclass

from tests.core.world import at

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


@dataclass
class Time:
    """The true time in milliseconds since 1970; it only goes forward."""

    now_ms: int = at("2026-03-02T08:00")

    def pass_(self, ms: int) -> None:
        """Let time pass."""
        assert ms >= 0
        self.now_ms += ms


class MachineClock:
    """A till's clocks: the wall clock is off by ``skew_ms``, the monotonic one begins anew with every boot."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._boots = 1
        self._booted_ms = time.now_ms
        self.skew_ms = 0

    def reboot(self) -> None:
        """Start the machine again."""
        self._boots += 1
        self._booted_ms = self._time.now_ms

    def monotonic_ms(self) -> int:
        return self._time.now_ms - self._booted_ms

    def wall_ms(self) -> int:
        return self._time.now_ms + self.skew_ms

    def boot_id(self) -> str:
        return f"boot-{self._boots}"
