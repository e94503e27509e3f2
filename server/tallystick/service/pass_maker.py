"""What makes passes for members' wallets; given to those who serve, where a wallet is set up."""

from __future__ import annotations

from typing import Protocol

from tallystick.core.ids import MemberId, ProgramId
from tallystick.service.errors import FailedPrecondition, TallystickError


class WalletAway(TallystickError):
    """The wallet's own service does not answer."""

    reason = "WALLET_AWAY"


class PassMaker(Protocol):
    """Makes passes. A pass holds its words in all languages; the phone chooses."""

    @property
    def apple(self) -> bool:
        """Whether passes for Apple Wallet can be made."""
        ...

    @property
    def google(self) -> bool:
        """Whether passes for Google Wallet can be made."""
        ...

    def pkpass(self, program_id: ProgramId, member_id: MemberId) -> bytes:
        """Return a new pass as a bundle. Raises ``NotFound``, ``FailedPrecondition`` (WALLET_OFF)."""
        ...

    def save_url(self, program_id: ProgramId, member_id: MemberId) -> str:
        """Return the link that saves the member's pass. Raises as ``pkpass``, and ``WalletAway``."""
        ...


def wallet_off(wallet: str) -> FailedPrecondition:
    """Return the error for a wallet that is not set up."""
    return FailedPrecondition(
        "Passes for this wallet are not set up.",
        mend="The operator sets them up: see the guide to wallets.",
        reason="WALLET_OFF",
        wallet=wallet,
    )
