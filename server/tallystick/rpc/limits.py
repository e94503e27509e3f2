"""The limits of the edge: sizes, times, how much at once and how much of one caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from ipaddress import IPv6Address, IPv6Network
from urllib.parse import unquote

from tallystick.core.record import record
from tallystick.v1 import options_pb2

MESSAGE_BYTES_MAX = 65_536
BATCH_BYTES_MAX = 262_144
TEXT_FACTOR = 4
"""How many bytes of JSON may stand for one of a message: the names of fields, escapes, numbers as text."""

TRANSPORT_BYTES_MAX = 1_048_576
"""What the transports take before they cut a message off without a word; up to here the answer says why."""

METADATA_BYTES_MAX = 8192
DEADLINE_MAX_S = 60.0
IN_FLIGHT_MAX = 256
CALLERS_MAX = 20_000
STREAMS_MAX = 2_000
STREAMS_OF_DEVICE_MAX = 2
STREAM_AGE_MAX_S = 1_800.0
STREAM_DEADLINE_MAX_S = 3_600.0
ROUNDING_S = 1e-6
"""What sums of clock times may be off by; far less than any call takes."""


@record(frozen=True, slots=True)
class Rate:
    """Calls of one caller: ``per_s`` on average, and ``burst`` at once after a pause."""

    per_s: float
    burst: int

    def __post_init__(self) -> None:
        assert self.per_s > 0, "a rate that allows nothing"
        assert self.burst >= 1, "a burst below one call allows nothing"


def _default_rates() -> dict[int, Rate]:
    return {
        options_pb2.ROLE_PUBLIC: Rate(20, 40),
        options_pb2.ROLE_TILL: Rate(200, 400),
        options_pb2.ROLE_WEBSHOP: Rate(2000, 4000),
        options_pb2.ROLE_APP: Rate(20, 60),
        options_pb2.ROLE_WIDGET: Rate(20, 60),
        options_pb2.ROLE_MANAGER: Rate(100, 200),
        options_pb2.ROLE_ADMIN: Rate(200, 400),
    }


def _default_sizes() -> dict[str, int]:
    return {
        "tallystick.v1.StoreService/PushAdvices": BATCH_BYTES_MAX,
        "tallystick.v1.StoreService/RecoverAdvices": BATCH_BYTES_MAX,
    }


def _default_method_rates() -> dict[str, Rate]:
    service = "tallystick.v1.SignInService"
    return {
        # Each sends a mail to somebody. A whole store may come from one address.
        f"{service}/StartEmailCode": Rate(0.5, 60),
        f"{service}/FinishEmailCode": Rate(2, 60),
        f"{service}/StartPasskey": Rate(2, 60),
    }


@record(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the edge takes.

    ``in_flight_max`` is the number of calls of the whole process that are worked on at once; open streams are not
    among them, and have ``streams_max`` for the process and ``streams_of_device_max``. ``rates`` are by
    Role; a role without one is not limited (the importer). Public methods count by address, widgets by device and
    member, all others by device. ``rates_by_method`` hold in addition. ``bytes_max_by_method`` is for methods that
    carry batches (BATCH_BYTES_MAX). Sizes are those of messages in binary; JSON may have TEXT_FACTOR times as many
    bytes where the caller is known.
    """

    message_bytes_max: int = MESSAGE_BYTES_MAX
    bytes_max_by_method: Mapping[str, int] = field(default_factory=_default_sizes)
    deadline_max_s: float = DEADLINE_MAX_S
    in_flight_max: int = IN_FLIGHT_MAX
    rates: Mapping[int, Rate] = field(default_factory=_default_rates)
    rates_by_method: Mapping[str, Rate] = field(default_factory=_default_method_rates)
    callers_max: int = CALLERS_MAX
    streams_max: int = STREAMS_MAX
    streams_of_device_max: int = STREAMS_OF_DEVICE_MAX
    stream_age_max_s: float = STREAM_AGE_MAX_S


class RateLimiter:
    """One token bucket for each caller, kept as the time at which it will be full again.

    A bucket that is full tells nothing and is dropped first when there are too many.
    """

    __slots__ = ("_callers_max", "_full_at", "_interval_s", "_swept_at", "_tolerance_s", "rate")

    def __init__(self, rate: Rate, *, callers_max: int) -> None:
        self.rate = rate
        self._interval_s = 1.0 / rate.per_s
        self._tolerance_s = (rate.burst - 1) * self._interval_s + ROUNDING_S
        self._callers_max = callers_max
        self._full_at: dict[str, float] = {}
        self._swept_at = 0.0

    def __len__(self) -> int:
        return len(self._full_at)

    def wait_s(self, caller: str, now: float) -> float:
        """Count one call at ``now``, in seconds of any steady clock: 0, or for how long the caller must wait.

        A call that has to wait is not counted.
        """
        full_at = self._full_at.get(caller)
        if full_at is None:
            self._make_room(now)
            full_at = now
        ahead_s = full_at - now
        if ahead_s > self._tolerance_s:
            return ahead_s - self._tolerance_s
        self._full_at[caller] = (full_at if ahead_s > 0 else now) + self._interval_s
        return 0.0

    def _make_room(self, now: float) -> None:
        if len(self._full_at) < self._callers_max:
            return
        # At most one sweep a second, so that a flood of new callers cannot buy a sweep with each call.
        if now - self._swept_at >= 1.0:
            self._swept_at = now
            self._full_at = {caller: full_at for caller, full_at in self._full_at.items() if full_at > now}
        if len(self._full_at) >= self._callers_max:
            del self._full_at[next(iter(self._full_at))]


def address_of(peer: str) -> str:
    """The address of a peer without its port: "ipv4:10.0.0.7:51234" is "ipv4:10.0.0.7".

    Of an IPv6 address it is the network of 64 bits: one caller has all of them (RFC 6177).
    """
    address = peer.rpartition(":")[0]
    kind, _, host = address.partition(":")
    try:
        ip = IPv6Address(unquote(host).strip("[]").partition("%")[0])
    except ValueError:
        return address
    return f"{kind}:{ip.ipv4_mapped or IPv6Network((ip, 64), strict=False)}"
