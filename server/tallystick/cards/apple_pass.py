"""What is in a pass for Apple Wallet: a store card as pass.json, its words and its pictures.

The fields are those of Apple's documentation "Pass" and "PassFields".
"""

from __future__ import annotations

import json
from typing import Any

from tallystick.cards import words
from tallystick.cards.images import Colour, pass_images
from tallystick.core.currency import exponent
from tallystick.core.record import record
from tallystick.service.wallets import Card, MemberCode

FORMAT_VERSION = 1


@record(frozen=True, slots=True, kw_only=True)
class Look:
    """Who issues passes, and their colours."""

    organization: str
    ink: Colour = (255, 255, 255)
    paper: Colour = (26, 71, 56)


@record(frozen=True, slots=True, kw_only=True)
class PassIds:
    """What ties a pass to its certificate, its phone and its server.

    ``token`` is the secret that its phone shows; ``service_url`` is where it asks for changes (empty: nowhere).
    """

    pass_type: str
    team: str
    serial: str
    token: str
    service_url: str = ""


def pass_files(card: Card, code: MemberCode | None, ids: PassIds, look: Look) -> dict[str, bytes]:
    """Return the files of a pass by name, but for manifest and signature."""
    document = json.dumps(pass_document(card, code, ids, look), ensure_ascii=False, indent=1, sort_keys=True)
    files = {"pass.json": document.encode() + b"\n", **pass_images(look.ink, look.paper)}
    for language in words.LANGUAGES:
        files[f"{language}.lproj/pass.strings"] = words.strings_file(language)
    return files


def pass_document(card: Card, code: MemberCode | None, ids: PassIds, look: Look) -> dict[str, Any]:
    """Return the content of pass.json; a card that has ended is void and shows neither points nor a code."""
    document: dict[str, Any] = {
        "formatVersion": FORMAT_VERSION,
        "passTypeIdentifier": ids.pass_type,
        "teamIdentifier": ids.team,
        "serialNumber": ids.serial,
        "organizationName": look.organization,
        "description": card.program_name,
        "logoText": card.program_name,
        "foregroundColor": _rgb(look.ink),
        "labelColor": _rgb(look.ink),
        "backgroundColor": _rgb(look.paper),
        # A code belongs to one member: a pass that is passed on would spend the sender's points.
        "sharingProhibited": True,
        "storeCard": _fields(card),
    }
    if card.ended:
        document["voided"] = True
    elif code is not None:
        document["barcodes"] = [
            {
                "format": "PKBarcodeFormatQR",
                "message": code.text,
                "messageEncoding": "iso-8859-1",
                "altText": card.member.number,
            }
        ]
    if ids.service_url:
        document |= {"webServiceURL": ids.service_url, "authenticationToken": ids.token}
    return document


def _fields(card: Card) -> dict[str, list[dict[str, Any]]]:
    balance = card.balance
    if balance is None:
        return {"backFields": [{"key": "ended", "label": words.ABOUT, "value": words.ENDED}]}
    points = {
        "key": "points",
        "label": words.POINTS,
        "value": balance.active,
        "numberStyle": "PKNumberStyleDecimal",
        "changeMessage": words.POINTS_CHANGED,
    }
    secondary: list[dict[str, Any]] = []
    if balance.currency:
        secondary.append(_money("worth", words.WORTH, balance.worth_minor, balance.currency))
    if balance.pending:
        secondary.append({"key": "pending", "label": words.PENDING, "value": balance.pending})
    header = []
    if card.tier:
        header.append(
            {"key": "tier", "label": words.TIER, "value": card.tier, "changeMessage": words.TIER_CHANGED}
        )
    # The first time that a phone sees the field it says nothing of it; so the field is always there.
    news = {"key": "news", "label": words.NEWS, "value": card.news, "changeMessage": "%@"}
    return {
        "headerFields": header,
        "primaryFields": [points],
        "secondaryFields": secondary,
        "backFields": [
            news,
            {"key": "number", "label": words.NUMBER, "value": card.member.number},
            {"key": "about", "label": words.ABOUT, "value": words.ABOUT_TEXT},
        ],
    }


def _money(key: str, label: str, minor: int, currency: str) -> dict[str, Any]:
    # The wallet writes amounts in the phone's own way from a number of major units.
    return {"key": key, "label": label, "value": minor / 10 ** exponent(currency), "currencyCode": currency}


def _rgb(colour: Colour) -> str:
    return f"rgb({colour[0]}, {colour[1]}, {colour[2]})"
