"""Wish lists and open baskets, told to the gateway when they have been quiet for a while.

Every change of a line leaves one row for its user; each further change puts it off. So a customer who fills a basket
is told of once, by `manage.py tallystick_post`, and no page waits for it. What is told is what the shop has then.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.utils import timezone
from oscar.core.loading import get_class, get_model

from tallystick_oscar import baskets, conf
from tallystick_oscar.gateway import calling
from tallystick_oscar.models import MemberLink, Wanting
from tallystick_webshop import Away, BadRequest, Basket, ShopError, Wish

logger = logging.getLogger("tallystick_oscar")

WISHES_MAX = 50
NAME_MAX = 100
BATCH_MAX = 200
AGAIN_S = 300


def connect() -> None:
    """Listen to changes of wish lists and baskets."""
    for app, receiver in (("wishlists", on_wish), ("basket", on_basket_line)):
        for signal in (models.signals.post_save, models.signals.post_delete):
            signal.connect(receiver, sender=get_model(app, "Line"), dispatch_uid=f"tallystick_oscar_{app}")


def on_wish(instance: Any, **_more: Any) -> None:
    """Note that a wish list has changed."""
    _changed(instance.wishlist.owner_id, Wanting.Kind.WISHES)


def on_basket_line(instance: Any, **_more: Any) -> None:
    """Note that a basket has changed; one of a visitor who is not signed in is nobody's."""
    _changed(instance.basket.owner_id, Wanting.Kind.BASKET)


def tell_due(*, now: datetime | None = None, everything: bool = False) -> int:
    """Tell the gateway of what has been quiet long enough; return how many that were. Stops where there is no line."""
    now = now or timezone.now()
    due = Wanting.objects.select_related("user")
    due = due if everything else due.filter(due_at__lte=now)
    told = 0
    for wanting in due.order_by("due_at")[:BATCH_MAX]:
        try:
            _tell(wanting)
        except Away:
            again = now + timedelta(seconds=AGAIN_S)
            Wanting.objects.filter(pk=wanting.pk, changed_at=wanting.changed_at).update(due_at=again)
            return told
        except ShopError as error:
            # A reminder is not worth another try; the next change says it anew.
            logger.warning("The gateway does not take %s: %s", wanting.kind, error)
        except Exception:
            # What the shop's own prices make of one basket keeps no other customer's waiting.
            logger.exception("A %s cannot be told to the gateway", wanting.kind)
        # A change that came meanwhile has a time of its own, and stays.
        Wanting.objects.filter(pk=wanting.pk, changed_at=wanting.changed_at).delete()
        told += 1
    return told


def _changed(user_id: int | None, kind: Any) -> None:
    if user_id is None or not MemberLink.objects.filter(user_id=user_id).exists():
        return
    now = timezone.now()
    due_at = now + timedelta(seconds=conf.get("TALLYSTICK_QUIET_S"))
    Wanting.objects.update_or_create(
        user_id=user_id, kind=kind, defaults={"changed_at": now, "due_at": due_at}
    )


def _tell(wanting: Wanting) -> None:
    link = MemberLink.objects.filter(user_id=wanting.user_id).first()
    if link is None:
        return
    member_id = str(link.member_id)
    if wanting.kind == Wanting.Kind.WISHES:
        wishes = _wishes_of(wanting.user)
        with calling(patient=True) as shop:
            shop.set_wish_list(member_id, wishes)
        return
    ref, basket = _basket_of(wanting.user)
    with calling(patient=True) as shop:
        shop.note_basket(
            member_id, ref, basket, at=wanting.changed_at, page_url=conf.get("TALLYSTICK_BASKET_URL") or ""
        )


def _wishes_of(user: Any) -> list[Wish]:
    """Return what is on all of a user's lists, each article once, the newest first."""
    lines = get_model("wishlists", "Line").objects.filter(wishlist__owner=user, product__isnull=False)
    found: dict[str, Wish] = {}
    for line in lines.select_related("product").order_by("-pk"):
        record = line.product.stockrecords.first()
        if record is not None:
            sku = baskets.sku_of(record.partner_sku)
            found.setdefault(sku, Wish(sku, line.get_title()[:NAME_MAX]))
    return list(found.values())[:WISHES_MAX]


def _basket_of(user: Any) -> tuple[str, Basket | None]:
    """Return the name of a user's open basket and what is in it, None for nothing that can be sold.

    A user has one at a time, under one name: so it is also found again when it is gone.
    """
    ref = f"user-{user.pk}"
    basket = get_model("basket", "Basket").open.filter(owner=user).order_by("-pk").first()
    if basket is None or basket.is_empty:
        return ref, None
    basket.strategy = get_class("partner.strategy", "Selector")().strategy(user=user)
    try:
        return ref, baskets.from_basket(basket)
    except BadRequest as error:
        logger.warning("Basket %s cannot be told to the gateway: %s", basket.pk, error)
        return ref, None
