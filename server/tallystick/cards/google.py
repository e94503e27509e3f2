"""Passes for Google Wallet: made, linked to, and kept up to date."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import jwt

from tallystick.cards.apple_pass import Look
from tallystick.cards.google_api import GoogleApi, ServiceAccount
from tallystick.cards.google_objects import loyalty_class, loyalty_object, object_id
from tallystick.cards.images import tally_png
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.reads import ReadPool
from tallystick.service.wallet_store import Wallet, WalletPass
from tallystick.service.wallets import NO_CODE, CodeSource, Wallets

SAVE_URL = "https://pay.google.com/gp/v/save/"
NOTIFICATIONS_PER_DAY = 3
"""Most changes of a pass that a phone speaks of in a day (Google's limit); the others are shown without a word."""

LOGO_PIXELS = 660
DAY_MS = 86_400_000
CLASS, OBJECT = "loyaltyClass", "loyaltyObject"


class GooglePasses:
    """Makes and changes passes. Safe to use from several threads."""

    def __init__(
        self,
        wallets: Wallets,
        api: GoogleApi,
        account: ServiceAccount,
        codes: CodeSource,
        *,
        issuer_id: str,
        look: Look,
        public_url: str,
        now_ms: Callable[[], Ms],
    ) -> None:
        self._wallets = wallets
        self._api = api
        self._account = account
        self._codes = codes
        self._issuer_id = issuer_id
        self._look = look
        self._public_url = public_url.rstrip("/")
        self._now_ms = now_ms

    def issue(self, program_id: ProgramId, member_id: MemberId) -> str:
        """Make a member's pass and return the link by which a phone takes it; a member has one, on all phones.

        Raises ``NotFound``, ``GoogleAway`` and ``GoogleRefused``.
        """
        card = self._wallets.card(program_id, member_id)
        kind = loyalty_class(
            self._issuer_id, program_id, card.program_name, self._look, public_url=self._public_url
        )
        self._api.put(CLASS, kind)
        passes = self._wallets.passes_of(program_id, member_id)
        found = next((one for one in passes if one.wallet is Wallet.GOOGLE), None)
        if found is None:
            found, _ = self._wallets.issue(program_id, member_id, Wallet.GOOGLE)
        self._send(program_id, found, self._api.put, notify=False)
        return SAVE_URL + self._save_token(found)

    def update(self, program_id: ProgramId, found: WalletPass) -> tuple[int, int]:
        """Bring a pass up to date; return the day and how many changes its phone was let speak of on it.

        Raises as ``issue``.
        """
        today = self._now_ms() // DAY_MS
        told = found.told if found.told_day == today else 0
        notify = told < NOTIFICATIONS_PER_DAY
        self._send(program_id, found, self._api.patch, notify=notify)
        return today, told + notify

    def _send(
        self,
        program_id: ProgramId,
        found: WalletPass,
        send: Callable[[str, dict[str, Any]], None],
        *,
        notify: bool,
    ) -> None:
        card = self._wallets.card(program_id, found.member_id)
        code = None
        if not card.ended:
            code = self._codes.rotating_code_for(program_id, card.member, found.serial)
        send(OBJECT, loyalty_object(self._issuer_id, found.serial, card, code, notify=notify))
        self._wallets.served(program_id, found, code or NO_CODE)

    def _save_token(self, found: WalletPass) -> str:
        """The signed link: it names the object and holds nothing of it."""
        claims = {
            "iss": self._account.email,
            "aud": "google",
            "typ": "savetowallet",
            "iat": self._now_ms() // 1000,
            "origins": [self._public_url],
            "payload": {"loyaltyObjects": [{"id": object_id(self._issuer_id, found.serial)}]},
        }
        return jwt.encode(claims, self._account.key, "RS256", headers={"kid": self._account.key_id})


class Logo:
    """Serves the picture that a class names, as an ASGI application."""

    def __init__(self, look: Look, pool: ReadPool) -> None:
        self._pool = pool
        self._draw = functools.cache(
            lambda: tally_png(LOGO_PIXELS, LOGO_PIXELS, ink=look.ink, paper=look.paper, ground=look.paper)
        )

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        _receive: object,
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        wanted = scope["method"] in ("GET", "HEAD")
        body = await self._pool.run(self._draw) if wanted else b""
        headers = [(b"content-type", b"image/png"), (b"content-length", str(len(body)).encode())]
        headers.append((b"cache-control", b"public, max-age=86400"))
        status = 200 if wanted else 405
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body if scope["method"] == "GET" else b""})
