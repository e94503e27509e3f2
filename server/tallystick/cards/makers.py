"""Passes on demand: what the wallets that are set up make, with their faults as operating errors."""

from __future__ import annotations

import logging

from tallystick.cards.apple import ApplePasses
from tallystick.cards.google import GooglePasses
from tallystick.cards.google_api import GoogleAway, GoogleRefused
from tallystick.cards.refused import PassRefused
from tallystick.core.ids import MemberId, ProgramId
from tallystick.service.pass_maker import WalletAway, wallet_off

APPLE, GOOGLE = "apple", "google"

log = logging.getLogger("tallystick.wallet")


class Makers:
    """Makes passes of the wallets that are there; ``service.pass_maker`` says what each call means."""

    def __init__(self, apple: ApplePasses | None, google: GooglePasses | None) -> None:
        self._apple = apple
        self._google = google

    @property
    def apple(self) -> bool:
        """Whether passes for Apple Wallet can be made."""
        return self._apple is not None

    @property
    def google(self) -> bool:
        """Whether passes for Google Wallet can be made."""
        return self._google is not None

    def pkpass(self, program_id: ProgramId, member_id: MemberId) -> bytes:
        """Return a new pass as a bundle. Raises ``NotFound`` and ``FailedPrecondition``."""
        if self._apple is None:
            raise wallet_off(APPLE)
        try:
            return self._apple.issue(program_id, member_id).data
        except PassRefused as error:
            log.error("a pass could not be signed", extra={"reason": str(error)})  # noqa: TRY400 - the reason is all
            raise wallet_off(APPLE) from error

    def save_url(self, program_id: ProgramId, member_id: MemberId) -> str:
        """Return the link that saves the member's pass. Raises as ``pkpass``, and ``WalletAway``."""
        if self._google is None:
            raise wallet_off(GOOGLE)
        try:
            return self._google.issue(program_id, member_id)
        except GoogleAway as error:
            log.warning("Google Wallet is away", extra={"why": str(error)})
            raise WalletAway(
                "Google Wallet does not answer.", mend="Try again later.", wallet=GOOGLE
            ) from error
        except GoogleRefused as error:
            log.error("Google Wallet refuses", extra={"reason": str(error)})  # noqa: TRY400 - the reason is all
            raise wallet_off(GOOGLE) from error
