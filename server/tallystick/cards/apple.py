"""Passes for Apple Wallet: the bundle of a member's pass, as it is now."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from tallystick.cards.apple_pass import Look, PassIds, pass_files
from tallystick.cards.apple_signing import PassSigner, signed_files
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.service.wallet_store import Wallet, WalletPass
from tallystick.service.wallets import NO_CODE, CodeSource, Wallets

MIME = "application/vnd.apple.pkpass"
ROUTE = "/wallet/apple/"

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@record(frozen=True, slots=True)
class Bundle:
    """A pass as a file, and the row that it was made from."""

    found: WalletPass
    data: bytes


class ApplePasses:
    """Makes bundles. Safe to use from several threads.

    ``base_url`` is where phones reach this server ("https://points.example.org"); empty: passes are never updated.
    """

    def __init__(
        self,
        wallets: Wallets,
        signer: Callable[[], PassSigner],
        codes: CodeSource,
        *,
        look: Look,
        base_url: str,
        now_ms: Callable[[], Ms],
    ) -> None:
        self._wallets = wallets
        self._signer = signer
        self._codes = codes
        self._look = look
        self._base_url = base_url.rstrip("/")
        self._now_ms = now_ms

    @property
    def pass_type(self) -> str:
        """The pass type identifier of all passes made here."""
        return self._signer().pass_type

    def issue(self, program_id: ProgramId, member_id: MemberId) -> Bundle:
        """Make a new pass for a member. Raises ``NotFound`` and ``PassRefused``."""
        found, token = self._wallets.issue(program_id, member_id, Wallet.APPLE)
        return self.bundle(program_id, found, token)

    def bundle(self, program_id: ProgramId, found: WalletPass, token: str) -> Bundle:
        """Make the file of a pass as it is now; ``token`` is the secret of its phone. Raises as ``issue``."""
        card = self._wallets.card(program_id, found.member_id)
        code = None if card.ended else self._codes.code_for(program_id, card.member)
        signer = self._signer()
        ids = PassIds(
            pass_type=signer.pass_type,
            team=signer.team,
            serial=found.serial,
            token=token,
            service_url=f"{self._base_url}{ROUTE}{program_id}" if self._base_url else "",
        )
        now = datetime.fromtimestamp(self._now_ms() / 1000, UTC)
        files = signed_files(pass_files(card, code, ids, self._look), signer, now=now)
        self._wallets.served(program_id, found, code or NO_CODE)
        return Bundle(found, zipped(files))


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return files as a ZIP archive that is the same for the same files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return stream.getvalue()
