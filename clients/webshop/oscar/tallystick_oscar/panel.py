"""What pages show of a membership: the panel of the basket, and the account."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.cache import cache
from django.utils.translation import get_language

import tallystick
from tallystick_oscar import baskets
from tallystick_oscar.gateway import calling
from tallystick_oscar.pricing import Priced, Rewards, rewards_of
from tallystick_oscar.words import kind_of, notice_away, notice_of, to_go
from tallystick_webshop import Card, Movement, Refused, ShopError

CARD_S = 15
STATEMENT_LINES = 20


@dataclass(slots=True)
class Panel:
    """The rewards of a basket page. ``state`` is guest, join, member or away."""

    state: str
    card: Card | None = None
    points: int = 0
    points_most: int = 0
    step: int = 1
    discount_minor: int = 0
    discount: Any = None
    earned_points: int = 0
    currency: str = ""
    basket_minor: int = 0
    rewards: list[dict[str, Any]] = field(default_factory=list)
    reward_ids: str = ""
    coupons: tuple[str, ...] = ()
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """What the account page shows."""

    card: Card
    movements: tuple[tuple[Movement, str], ...]
    worth: Decimal
    ahead: tuple[tuple[str, date | None], ...] = ()
    """What is missing to a challenge, and the last day for it."""


def panel_of(request: Any, basket: Any) -> Panel:
    """Return the panel for a request's basket."""
    rewards = rewards_of(request)
    if rewards is None:
        signed_in = getattr(request, "user", None) is not None and request.user.is_authenticated
        return Panel("join" if signed_in else "guest")
    if basket.is_empty:
        return Panel("empty")
    try:
        return _member_panel(rewards, basket)
    except Refused as error:
        return Panel("away", notice=notice_of(error))
    except ShopError:
        return Panel("away", notice=rewards.notice or notice_away())


def account_of(member_id: str) -> Account | None:
    """Return what the account page shows; None when the gateway cannot be asked."""
    try:
        with calling() as shop:
            card = shop.card(member_id)
            language = get_language() or "en"
            movements = shop.statement(member_id, limit=STATEMENT_LINES, language=language)
    except ShopError:
        return None
    cache.set(_key(member_id), card, CARD_S)
    told = tuple((one, kind_of(one.kind)) for one in movements)
    code = card.currency or "EUR"
    ahead = [
        (to_go(one, code), date.fromisoformat(one.last_day) if one.last_day else None)
        for one in card.challenges
    ]
    worth = baskets.to_decimal(card.balance.worth_minor, code)
    return Account(card, told, worth, tuple(one for one in ahead if one[0]))


def widget_file() -> Path | None:
    """Return the element's file, which comes with the gateway's package; None where it was not built."""
    file = Path(tallystick.__file__).parent / "widget" / "tallystick-rewards.js"
    return file if file.is_file() else None


def widget_etag() -> str | None:
    """Return the ETag of the element's file."""
    file = widget_file()
    return f'"{hashlib.sha256(file.read_bytes()).hexdigest()[:32]}"' if file else None


def card_of(member_id: str) -> Card:
    """Return a member's card, at most CARD_S seconds old. Raises what the gateway says."""
    key = _key(member_id)
    card: Card | None = cache.get(key)
    if card is None:
        with calling() as shop:
            card = shop.card(member_id)
        cache.set(key, card, CARD_S)
    return card


def forget_card(member_id: str) -> None:
    """Let the next page ask for the card anew."""
    cache.delete(_key(member_id))


def _key(member_id: str) -> str:
    return f"tallystick-card-{member_id}"


def _member_panel(rewards: Rewards, basket: Any) -> Panel:
    priced: Priced | None = getattr(basket, "tallystick", None)
    told = priced.basket if priced else baskets.from_basket(basket)
    card = card_of(rewards.member_id)
    with calling() as shop:
        # The most that the rules let this basket take, and what it earns as it is chosen now.
        most = shop.quote(rewards.member_id, told, points="max", rewards=rewards.choice.rewards)
        earned = priced.earned_points if priced else shop.quote(rewards.member_id, told).earned_points
    chosen_points = rewards.choice.points
    return Panel(
        state="member",
        card=card,
        points=chosen_points,
        points_most=max(chosen_points, most.burned_points - sum(one.points for one in most.rewards)),
        step=max(1, card.unit_points),
        discount_minor=priced.discount_minor if priced else 0,
        discount=baskets.to_decimal(priced.discount_minor, told.currency) if priced else None,
        earned_points=earned,
        currency=told.currency,
        basket_minor=sum(line.amount_minor for line in told.lines),
        rewards=[
            {
                "id": one.reward_id,
                "points": one.cost_points,
                "chosen": one.reward_id in rewards.choice.rewards,
                "missing": one.missing_points,
            }
            for one in card.rewards
            if one.in_tier and one.in_basket and not one.sold_out
        ],
        reward_ids=" ".join(rewards.choice.rewards),
        coupons=rewards.choice.coupons,
        notice=rewards.notice,
    )
