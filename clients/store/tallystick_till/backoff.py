"""How long to wait before trying again: longer each time, and never in step with the other tills."""

from __future__ import annotations

from random import Random

from tallystick_till.ports import GatewayAway

FIRST_S = 0.2
MOST_S = 30.0


class GatewayBusy(GatewayAway):
    """The gateway answered that it has too much to do, and when to come back."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Backoff:
    """Waits of full jitter: anything between nothing and a ceiling that doubles up to ``most_s`` seconds.

    After a line comes back a thousand tills call at once; jitter over the whole span is what spreads them.
    """

    def __init__(self, rng: Random, *, most_s: float = MOST_S) -> None:
        self._rng = rng
        self._most_s = most_s
        self._ceiling_s = FIRST_S

    def reset(self) -> None:
        """Begin anew after a success."""
        self._ceiling_s = FIRST_S

    def next_s(self, *, at_least_s: float = 0.0) -> float:
        """Return the next wait; what the gateway asked for comes on top of nothing and under everything."""
        wait_s = max(min(at_least_s, self._most_s), self._rng.uniform(0.0, self._ceiling_s))
        self._ceiling_s = min(self._ceiling_s * 2, self._most_s)
        return wait_s
