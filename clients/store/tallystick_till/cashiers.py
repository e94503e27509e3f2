"""Who stands at the till. The gateway checks PINs; without it a name only says who it was."""

from __future__ import annotations

from tallystick.v1 import store_pb2
from tallystick_till.db import TillDb
from tallystick_till.errors import SignInRefused
from tallystick_till.link import Link
from tallystick_till.ports import Gateway, GatewayAway, GatewayRefused
from tallystick_till.rulebook import Rulebook
from tallystick_till.types import CashierView, SignedIn

_KEY = "cashier"


class Cashiers:
    """Signs cashiers in and out. Who is signed in stays so over a restart."""

    def __init__(self, db: TillDb, rulebook: Rulebook, link: Link, gateway: Gateway) -> None:
        self._db = db
        self._rulebook = rulebook
        self._link = link
        self._gateway = gateway

    def all(self) -> list[CashierView]:
        """Return who may sign in."""
        return [CashierView(one.cashier_id, one.label) for one in self._rulebook.news.cashiers if one.active]

    def signed_in(self) -> CashierView | None:
        """Return who is signed in; nobody, once that person may not sign in any more."""
        cashier_id = (self._db.get(_KEY) or b"").decode()
        return next((one for one in self.all() if one.cashier_id == cashier_id), None)

    def sign_in(self, cashier_id: str, pin: str) -> SignedIn:
        """Sign a cashier in. Raises ``SignInRefused``: PIN_WRONG, PIN_LOCKED, CASHIER_UNKNOWN."""
        cashier = next((one for one in self.all() if one.cashier_id == cashier_id), None)
        if cashier is None:
            raise SignInRefused("CASHIER_UNKNOWN", "Nobody of that name may sign in at this store.")
        checked = "server" if self._link.online and self._checked(cashier_id, pin) else "stand-in"
        self._db.put(_KEY, cashier_id.encode())
        return SignedIn(cashier, checked)

    def _checked(self, cashier_id: str, pin: str) -> bool:
        """Return whether the gateway found the PIN right; False when it did not say."""
        try:
            response = self._gateway.check_pin(store_pb2.CheckPinRequest(cashier_id=cashier_id, pin=pin))
        except GatewayAway:
            self._link.away()
            return False
        except GatewayRefused as error:
            self._link.refused(error.reason)
            raise SignInRefused(error.reason, str(error), error.details) from error
        self._link.answered()
        if response.HasField("locked_until"):
            until_ms = str(response.locked_until.ToMilliseconds())
            raise SignInRefused(
                "PIN_LOCKED", "Too many wrong PINs: wait a while.", {"locked_until_ms": until_ms}
            )
        if not response.correct:
            raise SignInRefused("PIN_WRONG", "This is not the PIN.")
        return True

    def sign_out(self) -> None:
        """Sign out."""
        self._db.put(_KEY, b"")
