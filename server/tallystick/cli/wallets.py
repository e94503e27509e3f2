"""Wires passes in phone wallets: their signer, the web service that phones ask, and the delivery of changes."""

from __future__ import annotations

import functools
import logging
import ssl
from collections.abc import Callable
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.config.settings import Settings, split_address
from tallystick.core.record import record

if TYPE_CHECKING:
    from tallystick.cards.apns import Apns
    from tallystick.cards.apple import ApplePasses
    from tallystick.cards.apple_pass import Look
    from tallystick.cards.apple_signing import PassSigner
    from tallystick.cards.delivery import Delivery
    from tallystick.cards.google import GooglePasses
    from tallystick.rpc.connect_server import Mount
    from tallystick.service.gateway import Gateway
    from tallystick.service.pass_maker import PassMaker

log = logging.getLogger("tallystick.wallet")


@record(frozen=True, slots=True)
class WalletParts:
    """What a serving process needs for passes."""

    delivery: Delivery
    maker: PassMaker
    mounts: dict[str, Mount] = field(default_factory=dict)


def open_wallets(settings: Settings, gateway: Gateway, *, demo: bool) -> WalletParts | None:
    """Return the parts, None where no wallet is set up. Raises ``PassRefused`` for certificates that do not fit."""
    with_apple = bool(settings.apple_pass_type) or demo
    if not with_apple and not settings.google_issuer_id:
        return None
    from tallystick.cards.apple import ROUTE
    from tallystick.cards.apple_service import AppleService
    from tallystick.cards.delivery import Delivery
    from tallystick.cards.google import Logo
    from tallystick.cards.google_objects import LOGO_PATH
    from tallystick.cards.makers import Makers

    mounts: dict[str, Mount] = {}
    made = apple_passes(settings, gateway) if with_apple else None
    if made is not None:
        mounts[ROUTE] = AppleService(gateway.wallets, made, gateway.pool)
    google = google_passes(settings, gateway) if settings.google_issuer_id else None
    if google is not None:
        mounts[LOGO_PATH] = Logo(_look(settings), gateway.pool)
    apple = _apns(settings)
    delivery = Delivery(gateway.store, gateway.wallets, apple=apple, google=google, now_ms=gateway.now_ms)
    return WalletParts(delivery, Makers(made, google), mounts)


def apple_passes(settings: Settings, gateway: Gateway) -> ApplePasses:
    """Return what makes passes for Apple Wallet; raises ``PassRefused`` for certificates that do not fit.

    Without certificates they are signed by a demonstration authority, made at the first pass.
    """
    from tallystick.cards.apple import ApplePasses
    from tallystick.service.wallets import SignedCodes

    return ApplePasses(
        gateway.wallets,
        _signer(settings),
        SignedCodes(gateway.codes),
        look=_look(settings),
        base_url=settings.public_url,
        now_ms=gateway.now_ms,
    )


def google_passes(settings: Settings, gateway: Gateway) -> GooglePasses:
    """Return what makes passes for Google Wallet; raises ``PassRefused`` for a key file that is none."""
    from tallystick.cards.google import GooglePasses
    from tallystick.cards.google_api import GoogleApi, load_account
    from tallystick.service.wallets import SignedCodes

    account = load_account(Path(settings.google_account))
    return GooglePasses(
        gateway.wallets,
        GoogleApi(account),
        account,
        SignedCodes(gateway.codes),
        issuer_id=settings.google_issuer_id,
        look=_look(settings),
        public_url=settings.public_url,
        now_ms=gateway.now_ms,
    )


def _look(settings: Settings) -> Look:
    from tallystick.cards.apple_pass import Look

    return Look(organization=settings.organization)


def _signer(settings: Settings) -> Callable[[], PassSigner]:
    from tallystick.cards.apple_keys import AppleFiles, demo_signer, load_signer

    if not settings.apple_pass_type:
        folder = Path(settings.data_dir) / "wallet"
        return functools.cache(lambda: demo_signer(folder, now=datetime.now(UTC)))
    files = AppleFiles(
        pass_type=settings.apple_pass_type,
        team=settings.apple_team,
        certificate=Path(settings.apple_cert),
        key=Path(settings.apple_key),
        authority=Path(settings.apple_authority),
    )
    signer, warnings = load_signer(files, now=datetime.now(UTC))
    for warning in warnings:
        log.warning("a certificate ends soon", extra={"what": warning})
    return lambda: signer


def _apns(settings: Settings) -> Apns | None:
    if not settings.apple_pass_type or not settings.apns_address:
        return None
    from tallystick.cards.apns import Apns

    context = ssl.create_default_context()
    context.load_cert_chain(settings.apple_cert, settings.apple_key)
    host, port = split_address(settings.apns_address)
    return Apns(host, port, context=context, topic=settings.apple_pass_type)
