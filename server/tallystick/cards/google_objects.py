"""What Google Wallet is told: a loyalty class for each program and a loyalty object for each pass.

The fields are those of the API's discovery document, "walletobjects" version 1.
"""

from __future__ import annotations

from typing import Any

from tallystick.cards import words
from tallystick.cards.apple_pass import Look
from tallystick.core.currency import exponent
from tallystick.core.ids import ProgramId
from tallystick.security.totp import DIGITS, PERIOD_S
from tallystick.service.wallets import Card, MemberCode

INT32_MAX = 2**31 - 1
MICROS = 1_000_000
LOGO_PATH = "/wallet/logo.png"

# A PATCH leaves what it does not name; what a card that has ended must not show is taken away by name.
_NOTHING_SHOWN: dict[str, Any] = {
    "loyaltyPoints": None,
    "secondaryLoyaltyPoints": None,
    "textModulesData": None,
    "barcode": None,
    "rotatingBarcode": None,
}


def class_id(issuer_id: str, program_id: ProgramId) -> str:
    """Return the id of a program's class."""
    return f"{issuer_id}.{program_id}"


def object_id(issuer_id: str, serial: str) -> str:
    """Return the id of a pass's object."""
    return f"{issuer_id}.{serial}"


def loyalty_class(
    issuer_id: str, program_id: ProgramId, program_name: str, look: Look, *, public_url: str
) -> dict[str, Any]:
    """Return a program's LoyaltyClass."""
    return {
        "id": class_id(issuer_id, program_id),
        "issuerName": look.organization,
        "programName": program_name,
        "programLogo": {
            "sourceUri": {"uri": f"{public_url}{LOGO_PATH}"},
            "contentDescription": _said(look.organization),
        },
        "hexBackgroundColor": "#{:02x}{:02x}{:02x}".format(*look.paper),
        "localizedAccountIdLabel": _label(words.NUMBER),
        "multipleDevicesAndHoldersAllowedStatus": "ONE_USER_ALL_DEVICES",
        "reviewStatus": "UNDER_REVIEW",
    }


def loyalty_object(
    issuer_id: str, serial: str, card: Card, code: MemberCode | None, *, notify: bool
) -> dict[str, Any]:
    """Return a pass's LoyaltyObject as it is now; ``notify`` lets the phone speak of the change."""
    shown: dict[str, Any] = {
        "id": object_id(issuer_id, serial),
        "classId": class_id(issuer_id, card.program_id),
        "state": "INACTIVE" if card.ended else "ACTIVE",
        "accountId": card.member.number,
        **_NOTHING_SHOWN,
    }
    if notify:
        shown["notifyPreference"] = "NOTIFY_ON_UPDATE"
    balance = card.balance
    if balance is None or code is None:
        return shown
    shown["loyaltyPoints"] = {"localizedLabel": _label(words.POINTS), "balance": _points(balance.active)}
    if balance.currency:
        micros = balance.worth_minor * MICROS // 10 ** exponent(balance.currency)
        money = {"micros": str(micros), "currencyCode": balance.currency}
        shown["secondaryLoyaltyPoints"] = {
            "localizedLabel": _label(words.WORTH),
            "balance": {"money": money},
        }
    if card.tier:
        tier = {"id": "tier", "localizedHeader": _label(words.TIER), "body": card.tier}
        shown["textModulesData"] = [tier]
    if card.news:
        news = {"id": "news", "localizedHeader": _label(words.NEWS), "body": card.news}
        shown["textModulesData"] = [*(shown["textModulesData"] or ()), news]
    return shown | _code(code, card.member.number)


def _code(code: MemberCode, number: str) -> dict[str, Any]:
    if not code.totp_key:
        return {"barcode": {"type": "QR_CODE", "value": code.text, "alternateText": number}}
    return {
        "rotatingBarcode": {
            "type": "QR_CODE",
            "valuePattern": code.text + "{totp_timestamp_seconds}{totp_value_0}",
            "alternateText": number,
            "totpDetails": {
                "algorithm": "TOTP_SHA1",
                "periodMillis": str(PERIOD_S * 1000),
                "parameters": [{"key": code.totp_key.hex(), "valueLength": DIGITS}],
            },
        }
    }


def _points(points: int) -> dict[str, Any]:
    return {"int": points} if points <= INT32_MAX else {"string": str(points)}


def _said(text: str, language: str = "en") -> dict[str, Any]:
    return {"defaultValue": {"language": language, "value": text}}


def _label(word: str) -> dict[str, Any]:
    """A word in all languages; the first is for phones with another one."""
    first, *others = words.LANGUAGES
    translated = [{"language": one, "value": words.LANGUAGES[one][word]} for one in others]
    return {**_said(words.LANGUAGES[first][word], first), "translatedValues": translated}
