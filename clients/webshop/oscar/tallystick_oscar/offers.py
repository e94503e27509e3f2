"""The discount as an offer of oscar's: applied last, line by line, exactly as the gateway quoted or held it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from tallystick_oscar.baskets import to_decimal
from tallystick_oscar.pricing import Priced, Rewards, rewards_of

SLUG = "tallystick-rewards"
PRIORITY = -1_000_000
"""Points come after the shop's own promotions and vouchers, so this offer is the last one."""


class ApplicatorMixin:
    """Adds the customer's rewards to the offers of a session. For oscar's ``offer.applicator.Applicator``."""

    def get_session_offers(self, request: Any) -> list[Any]:
        offers = list(super().get_session_offers(request))  # type: ignore[misc]
        rewards = rewards_of(request)
        if rewards is not None and rewards.choice:
            offers += rewards_offer(rewards)
        return offers

    def apply_offers(self, basket: Any, offers: Any) -> None:
        basket.tallystick = None
        super().apply_offers(basket, offers)  # type: ignore[misc]


def rewards_offer(rewards: Rewards) -> list[Any]:
    """Return the shop's offer for rewards, none when the staff have suspended it.

    It is a row like every offer's, so oscar's reports and order pages know it; it is made when it is first needed.
    """
    from oscar.core.loading import get_model

    model = get_model("offer", "ConditionalOffer")
    offer = model.objects.filter(slug=SLUG).first()
    if offer is None:
        condition, _made = get_model("offer", "Condition").objects.get_or_create(
            proxy_class=f"{__name__}.{RewardsCondition.__name__}"
        )
        benefit, _made = get_model("offer", "Benefit").objects.get_or_create(
            proxy_class=f"{__name__}.{RewardsBenefit.__name__}"
        )
        offer, _made = model.objects.get_or_create(
            slug=SLUG,
            defaults={
                "name": gettext("Member rewards"),
                "offer_type": model.SESSION,
                "priority": PRIORITY,
                "condition": condition,
                "benefit": benefit,
            },
        )
    if not offer.is_available():
        return []
    offer.tallystick = rewards
    return [offer]


def our_offer_id() -> int | None:
    """Return the key of the shop's offer for rewards; None when no reward was ever used."""
    from oscar.core.loading import get_model

    found: int | None = (
        get_model("offer", "ConditionalOffer").objects.filter(slug=SLUG).values_list("pk", flat=True).first()
    )
    return found


class RewardsCondition:
    """Always met: what a customer may use is the gateway's to say. Oscar makes it from the columns of its row."""

    name = _("The customer uses points, rewards or coupons")
    description = name

    def __init__(self, **columns: Any) -> None:
        self.columns = columns

    def is_satisfied(self, _offer: Any, _basket: Any) -> bool:
        return True

    def is_partially_satisfied(self, _offer: Any, _basket: Any) -> bool:
        return False

    def get_upsell_message(self, _offer: Any, _basket: Any) -> None:
        return None


class RewardsBenefit:
    """Takes the quoted discount off each line. Oscar makes it from the columns of its row."""

    name = _("Points, rewards and coupons of the member")
    description = name

    def __init__(self, **columns: Any) -> None:
        self.columns = columns

    def apply(self, basket: Any, _condition: Any, offer: Any) -> Any:
        from oscar.core.loading import get_class

        rewards: Rewards | None = getattr(offer, "tallystick", None)
        priced = rewards.price(basket) if rewards else None
        if priced is None or not priced.discount_minor:
            return get_class("offer.results", "ZERO_DISCOUNT")
        apply_priced(basket, priced, offer)
        result = get_class("offer.results", "BasketDiscount")(
            to_decimal(priced.discount_minor, basket.currency)
        )
        result.is_final = True
        result.description = described(priced)
        return result

    def apply_deferred(self, _basket: Any, _order: Any, application: Any) -> str:
        return str(application["result"].description or "")

    def shipping_discount(self, _charge: Any, _currency: str | None = None) -> Decimal:
        return Decimal("0.00")


def apply_priced(basket: Any, priced: Priced, offer: Any) -> None:
    """Take each line's share off it, with tax and without."""
    currency = basket.currency
    for line, discount_minor, net_minor in zip(
        basket.all_lines(), priced.line_discounts, priced.line_nets, strict=True
    ):
        if not discount_minor:
            continue
        discount = to_decimal(discount_minor, currency)
        if priced.basket.prices_include_tax:
            without_tax = line.line_price_excl_tax - to_decimal(net_minor, currency)
            line.discounts.reward(discount, without_tax, line.quantity, offer)
        else:
            line.discount(discount, line.quantity, incl_tax=False, offer=offer)
    basket.tallystick = priced


def described(priced: Priced) -> str:
    """Say in the customer's language what the discount was bought with."""
    if not priced.points:
        return gettext("Coupon")
    return ngettext("%(points)d point", "%(points)d points", priced.points) % {"points": priced.points}
