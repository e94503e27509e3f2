"""What a handler knows of the call that it answers, passed as an argument and never through context variables."""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.core.ids import MemberId, ProgramId
from tallystick.core.record import record
from tallystick.service.revocations import card_device_key
from tallystick.v1 import options_pb2


@record(frozen=True, slots=True)
class Principal:
    """Who calls, from the verified token alone.

    ``role`` is a ``tallystick.v1`` Role number. ``store_id`` is empty for a device that is bound to no store;
    ``member_id`` is set for a member's own app and for a widget. ``origin`` is the web origin from whose pages alone a
    widget's token may be used; empty for every other caller.
    """

    program_id: ProgramId
    device_id: str
    role: int
    store_id: str = ""
    member_id: MemberId | None = None
    origin: str = ""

    @property
    def revocation_key(self) -> str:
        """By what the device is known among those that are shut out: that of a member's app within its program."""
        of_app = self.role == options_pb2.ROLE_APP
        return card_device_key(self.program_id, self.device_id) if of_app else self.device_id


@record(frozen=True, slots=True)
class Call:
    """One call: who, until when, and what came with it.

    ``deadline`` is on the clock of ``time.monotonic()``, in seconds. ``metadata`` has lower-case keys. ``peer`` is
    the address that the transport gives.
    """

    principal: Principal | None
    deadline: float
    peer: str
    metadata: Mapping[str, str]

    @property
    def caller(self) -> Principal:
        """The principal of a method that is not public: the pipeline has checked that there is one."""
        assert self.principal is not None, "only public methods are called without a token"
        return self.principal
