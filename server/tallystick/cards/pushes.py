"""What is asked of a push service, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import Ms
from tallystick.core.record import record


class PushUnavailable(Exception):
    """The push service could not be reached or broke off; nothing is known of what was not answered."""


class Became(IntEnum):
    """What became of a push."""

    SENT = 1
    GONE = 2
    LATER = 3
    REFUSED = 4


@record(frozen=True, slots=True)
class Pushed:
    """What became of a push to one token. ``reason`` is the service's word for it.

    ``gone_ms`` is when a token that is gone was last found so (0: not said).
    """

    push_token: str
    became: Became
    reason: str = ""
    gone_ms: Ms = Ms(0)


class Push(Protocol):
    """Tells phones that something has changed."""

    def push(self, push_tokens: Sequence[str]) -> list[Pushed]:
        """Push to all tokens and return what became of each, in order. Raises ``PushUnavailable``."""
        ...
