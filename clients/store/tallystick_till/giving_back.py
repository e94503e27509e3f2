"""The store's lease of a member, given back when the member wants to spend it at this very counter."""

from __future__ import annotations

import logging

from tallystick.core.ids import MemberId
from tallystick.v1 import store_pb2
from tallystick_till.leases import Leases
from tallystick_till.link import Link
from tallystick_till.ports import Gateway, GatewayAway, GatewayRefused, HubAway

_log = logging.getLogger(__name__)


class GivingBack:
    """Gives leases back before a sale that the gateway decides: it cannot take what the store has set aside."""

    def __init__(self, gateway: Gateway, leases: Leases, link: Link) -> None:
        self._gateway = gateway
        self._leases = leases
        self._link = link

    def give_back(self, member_id: MemberId) -> None:
        """Give the leases of a member back, as far as the gateway has seen all that was taken of them.

        What comes in between costs the sale nothing: the gateway is asked all the same, and says what is missing.
        """
        try:
            # A lease that is closed is lost to the shop while the line is down: so the line is tried first.
            self._gateway.exposure(store_pb2.GetExposureRequest())
            for one in self._leases.release(member_id):
                request = store_pb2.ReturnLeaseRequest(
                    command_id=one.command_id, member_id=one.member_id, lease_id=one.lease_id
                )
                self._gateway.return_lease(request)
        except HubAway:
            return
        except GatewayAway:
            self._link.away()
        except GatewayRefused as error:
            _log.warning("a lease could not be given back: %s %s", error.reason, error)
            self._link.refused(error.reason)
