"""The open server streams of a process: how many there may be, and what ends one before its handler does.

A stream is ended from outside when the process drains, when its device is revoked, when the device opens newer ones,
at its deadline, and at an age at which every stream comes back to wherever the load is lower.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from tallystick.rpc.call import Principal
from tallystick.rpc.errors import DeviceRevoked
from tallystick.service.errors import DeadlinePassed, Draining, Overloaded, TallystickError

CHECK_S = 0.5
"""How often open streams are checked for revoked devices."""

AGE_SPREAD = 0.1
"""Streams end up to this share of their age earlier: those that began together shall not come back together."""

REPLACED_RETRY_S = 5.0


class StreamsFull(Overloaded):
    """The process has as many streams as it takes: come back later, or to another replica."""


class StreamReplaced(Overloaded):
    """Newer streams of the same device took the place of this one."""


class OpenStream:
    """One open stream. ``end`` makes its task stop at its next await; ``error`` is why, None for a plain end."""

    __slots__ = ("_task", "_timer", "ending", "error", "principal")

    def __init__(self, principal: Principal, task: asyncio.Task[object]) -> None:
        self.principal = principal
        self.ending = False
        self.error: TallystickError | None = None
        self._task = task
        self._timer: asyncio.TimerHandle | None = None

    def end(self, error: TallystickError | None) -> None:
        """End the stream; the first reason counts."""
        if not self.ending:
            self.ending = True
            self.error = error
            self._task.cancel()

    def end_at(self, when: float, error: TallystickError | None) -> None:
        """End it at an instant of ``time.monotonic()``, unless something else does before."""
        delay_s = max(0.0, when - time.monotonic())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.end, error)

    def close(self) -> None:
        """Forget the timer: the stream has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def take_back(self) -> None:
        """Undo the cancellation of the task that ``end`` asked for."""
        self._task.uncancel()


class Streams:
    """All open streams of a process, used from its event loop alone. Nothing runs while none is open."""

    def __init__(
        self,
        *,
        streams_max: int,
        of_device_max: int,
        age_max_s: float,
        is_revoked: Callable[[str], bool],
    ) -> None:
        self._streams_max = streams_max
        self._of_device_max = of_device_max
        self._age_max_s = age_max_s
        self._is_revoked = is_revoked
        self._open: dict[OpenStream, None] = {}
        self._draining = False
        self._checks: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def open(self, principal: Principal, *, deadline: float) -> OpenStream:
        """Register the current task as a stream that ends at its age, or at the caller's deadline if that is sooner.

        A device's oldest stream makes room for its newest: the old one may be on a line that is dead and does not
        know it. Raises ``Draining`` or ``StreamsFull``.
        """
        if self._draining:
            raise Draining
        mine = [stream for stream in self._open if stream.principal.device_id == principal.device_id]
        if len(mine) >= self._of_device_max:
            self._drop(mine[0], StreamReplaced(retry_after_s=REPLACED_RETRY_S))
        if len(self._open) >= self._streams_max:
            raise StreamsFull(retry_after_s=REPLACED_RETRY_S, limit="streams", max=self._streams_max)
        task = asyncio.current_task()
        assert task is not None, "a stream is served by a task"
        stream = OpenStream(principal, task)
        age_s = self._age_max_s * random.uniform(1 - AGE_SPREAD, 1)  # noqa: S311
        ages_at = time.monotonic() + age_s
        if deadline < ages_at:
            stream.end_at(deadline, DeadlinePassed())
        else:
            stream.end_at(ages_at, None)
        self._open[stream] = None
        self._check_later()
        return stream

    def close(self, stream: OpenStream) -> None:
        """Forget a stream that has ended."""
        stream.close()
        self._open.pop(stream, None)

    def drain(self) -> None:
        """End all streams at once, and take no new ones: their callers come back to another replica."""
        self._draining = True
        for stream in list(self._open):
            self._drop(stream, Draining())

    def _drop(self, stream: OpenStream, error: TallystickError) -> None:
        # Out of the books at once: what still has to unwind counts no longer.
        self.close(stream)
        stream.end(error)

    def _check_later(self) -> None:
        if self._checks is None:
            self._checks = asyncio.get_running_loop().call_later(CHECK_S, self._check)

    def _check(self) -> None:
        self._checks = None
        for stream in list(self._open):
            device_id = stream.principal.device_id
            if self._is_revoked(stream.principal.revocation_key):
                self._drop(stream, DeviceRevoked(device_id=device_id))
        if self._open:
            self._check_later()
