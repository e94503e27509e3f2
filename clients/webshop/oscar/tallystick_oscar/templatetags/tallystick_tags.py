"""What templates show of rewards."""

from __future__ import annotations

import json
from typing import Any

from django import template
from django.utils.translation import get_language

from tallystick_oscar import claims, conf
from tallystick_oscar.models import OrderSale
from tallystick_oscar.openings import opening_of
from tallystick_oscar.panel import panel_of, widget_file
from tallystick_oscar.pricing import rewards_of
from tallystick_webshop import Opening

register = template.Library()


@register.inclusion_tag("tallystick_oscar/panel.html", takes_context=True)
def tallystick_panel(context: dict[str, Any]) -> dict[str, Any]:
    """The rewards of the basket page."""
    request, basket = context["request"], context["basket"]
    return {
        "request": request,
        "csrf_token": context.get("csrf_token"),
        "panel": panel_of(request, basket),
        "public_url": conf.get("TALLYSTICK_PUBLIC_URL"),
        "has_widget": widget_file() is not None,
        "names": json.dumps({word: str(name) for word, name in conf.get("TALLYSTICK_NAMES").items()}),
        "LANGUAGE_CODE": get_language(),
    }


@register.filter
def tallystick_name(word: str) -> str:
    """What customers read for the id of a reward or a tier."""
    return str(conf.get("TALLYSTICK_NAMES").get(word, word))


@register.simple_tag(takes_context=True)
def tallystick_notice(context: dict[str, Any]) -> str:
    """Why rewards do nothing on this page; empty when they do, or when none were chosen."""
    rewards = rewards_of(context.get("request"))
    return rewards.notice if rewards else ""


@register.simple_tag
def tallystick_sale(order: Any) -> OrderSale | None:
    """What an order is to the program."""
    return OrderSale.objects.filter(order=order).first()


@register.simple_tag(takes_context=True)
def tallystick_opening(context: dict[str, Any], product: Any) -> Opening | None:
    """Whether a product may be sold to whoever looks at the page; None when nobody says that it may not."""
    return opening_of(context.get("request"), product)


@register.simple_tag
def tallystick_claim_link(order: Any) -> str:
    """The path of the page that gives an order's points to whoever has the link."""
    return claims.link_of(order)
