"""What rewards do to the basket of one request: a hold's answer, or a quote, or nothing and a notice why."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tallystick_oscar import baskets, conf
from tallystick_oscar.choice import QUOTE_KEY, Choice, choose, chosen
from tallystick_oscar.gateway import calling
from tallystick_oscar.models import Checkout, MemberLink
from tallystick_oscar.words import notice_away, notice_of
from tallystick_webshop import Away, BadRequest, Basket, Refused


@dataclass(frozen=True, slots=True)
class Priced:
    """What a basket costs with rewards, in minor units; ``basket`` is what the gateway was told of it.

    ``line_nets`` are the lines' prices without tax after the discount. ``hold_id`` is set when a hold guarantees it.
    """

    fingerprint: str
    basket: Basket
    discount_minor: int
    line_discounts: tuple[int, ...]
    line_nets: tuple[int, ...]
    points: int
    earned_points: int
    hold_id: str = ""

    def costs_as(self, other: Priced) -> bool:
        """Whether every line and its tax are the same."""
        return (self.line_discounts, self.line_nets) == (other.line_discounts, other.line_nets)


class Rewards:
    """The rewards of one request: who the member is, what was chosen, and what came of it."""

    def __init__(self, member_id: str, session: Any) -> None:
        self.member_id = member_id
        self.session = session
        self.choice = chosen(session)
        self.notice = ""

    def price(self, basket: Any) -> Priced | None:
        """Return what the choice does to a basket after oscar's own offers; None, with a notice, when nothing."""
        try:
            told = baskets.from_basket(basket)
        except BadRequest as error:
            self.notice = notice_of(error)
            return None
        mark = fingerprint_of(self.member_id, self.choice, told)
        held = held_for(basket.pk, mark)
        if held is not None:
            return priced_from_checkout(held)
        kept = self._kept(mark, told)
        return kept if kept is not None else self._asked(basket, mark, told)

    def drop_choice(self) -> None:
        """Use nothing from here on."""
        self.choice = Choice()
        choose(self.session, self.choice)

    def forget_quote(self) -> None:
        """Ask for a new quote before the next page shows a price."""
        self.session.pop(QUOTE_KEY, None)

    def _asked(self, basket: Any, mark: str, told: Basket) -> Priced | None:
        try:
            with calling() as shop:
                quote = shop.quote(
                    self.member_id,
                    told,
                    points=self.choice.points or None,
                    rewards=self.choice.rewards,
                    coupons=self.choice.coupons,
                )
        except Away:
            self.notice = notice_away()
            return None
        except (Refused, BadRequest) as error:
            self.notice = notice_of(error)
            self.drop_choice()
            return None
        priced = priced_from(basket, mark, told, quote)
        self.session[QUOTE_KEY] = {
            "fingerprint": mark,
            "until_s": time.time() + conf.get("TALLYSTICK_QUOTE_S"),
            "discount_minor": priced.discount_minor,
            "line_discounts": list(priced.line_discounts),
            "line_nets": list(priced.line_nets),
            "points": priced.points,
            "earned_points": priced.earned_points,
        }
        return priced

    def _kept(self, mark: str, told: Basket) -> Priced | None:
        """Return the session's quote when it is for this very basket and still fresh."""
        kept = self.session.get(QUOTE_KEY)
        if not isinstance(kept, dict) or kept.get("fingerprint") != mark:
            return None
        if time.time() >= kept["until_s"]:
            return None
        return Priced(
            mark,
            told,
            kept["discount_minor"],
            tuple(kept["line_discounts"]),
            tuple(kept["line_nets"]),
            kept["points"],
            kept["earned_points"],
        )


def rewards_of(request: Any) -> Rewards | None:
    """Return the rewards of a request, the same object each time; None for whoever is no member."""
    if request is None or not hasattr(request, "session"):
        return None
    if not hasattr(request, "_tallystick"):
        member_id = member_of(getattr(request, "user", None))
        request._tallystick = Rewards(member_id, request.session) if member_id else None  # noqa: SLF001
    found: Rewards | None = request._tallystick  # noqa: SLF001
    return found


def member_of(user: Any) -> str | None:
    """Return the member id of a user of the shop; None for guests and users who are not linked."""
    if user is None or not user.is_authenticated:
        return None
    found = MemberLink.objects.filter(user_id=user.pk).values_list("member_id", flat=True).first()
    return str(found) if found else None


def fingerprint_of(member_id: str, choice: Choice, told: Basket) -> str:
    """Return what a price depends on, in short."""
    return baskets.fingerprint(member_id, choice.to_json(), baskets.to_json(told))


def held_for(basket_id: int | None, mark: str) -> Checkout | None:
    """Return the hold on a basket, if it is for exactly this one."""
    if basket_id is None:
        return None
    return Checkout.objects.filter(basket_id=basket_id, state=Checkout.State.HELD, fingerprint=mark).first()


def priced_from(basket: Any, mark: str, told: Basket, benefits: Any, *, hold_id: str = "") -> Priced:
    """Return the price that a quote or a hold answered."""
    own = [
        baskets.to_minor(line.line_price_excl_tax_incl_discounts, told.currency)
        for line in basket.all_lines()
    ]
    nets = (
        baskets.net_of_lines(
            told, own, benefits.line_discounts, [(one.code, one.net_minor) for one in benefits.tax_totals]
        )
        if told.prices_include_tax
        else own
    )
    return Priced(
        mark,
        told,
        benefits.discount_minor,
        tuple(benefits.line_discounts),
        tuple(nets),
        benefits.burned_points,
        benefits.earned_points,
        hold_id,
    )


def priced_from_checkout(checkout: Checkout) -> Priced:
    """Return the price that a hold guarantees."""
    return Priced(
        checkout.fingerprint,
        baskets.from_json(checkout.basket_json),
        checkout.discount_minor,
        tuple(checkout.line_discounts),
        tuple(checkout.line_nets),
        checkout.points,
        0,
        str(checkout.hold_id),
    )
