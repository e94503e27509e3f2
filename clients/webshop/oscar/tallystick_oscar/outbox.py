"""Postings on their way: written with what they tell of, sent after the commit, and again until they are decided."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from tallystick_oscar import baskets, conf
from tallystick_oscar.choice import from_json
from tallystick_oscar.gateway import calling
from tallystick_oscar.models import Checkout, OrderSale, Posting
from tallystick_webshop import Away, BadRequest, Refused, Sale, new_id
from tallystick_webshop import Posting as Intent

logger = logging.getLogger("tallystick_oscar")

BACKOFF_FIRST_S = 5
BACKOFF_MAX_S = 900
BATCH_MAX = 200
MESSAGE_MAX = 500
CANCEL_CLAIM = "cancel_claim"

HARMLESS = {
    ("void", "HOLD_UNKNOWN"),
    ("void", "HOLD_EXPIRED"),
    ("void", "HOLD_CLOSED"),
    (CANCEL_CLAIM, "CLAIM_UNKNOWN"),
}
"""Nothing is on hold any more, or was ever to be claimed, which is what was wanted."""

REPLACED = Q(kind__in=("capture", "sale"), sale__isnull=False) & ~Q(command_id=F("sale__sale_id"))
"""The order stands on another sale by now, so the gateway's answer about this one changes nothing."""


def add(intent: Intent, *, sale: OrderSale | None = None, checkout: Checkout | None = None) -> Posting:
    """Write a posting into the present transaction; it is sent when that has been committed."""
    return _add(intent.id, intent.kind, intent.to_json(), sale, checkout)


def add_cancel_claim(sale: OrderSale, pieces: Sequence[tuple[int, int]]) -> Posting:
    """Write down that a guest's claim is to end, as some pieces (key of the order's line, quantity) came back."""
    intent = {"claim_id": str(sale.sale_id), "lines": [list(one) for one in pieces]}
    return _add(new_id(), CANCEL_CLAIM, json.dumps(intent), sale, None)


def _add(
    command_id: str, kind: str, intent: str, sale: OrderSale | None, checkout: Checkout | None
) -> Posting:
    posting = Posting.objects.create(
        command_id=command_id, kind=kind, intent=intent, sale=sale, checkout=checkout
    )
    if conf.get("TALLYSTICK_POST_AT_ONCE"):
        transaction.on_commit(lambda: post_now(posting.pk), robust=True)
    return posting


def post_now(seq: int) -> None:
    """Send one posting if its turn has come. Nothing is raised: what does not go now goes later."""
    posting = _in_turn(seq)
    if posting is not None:
        post(posting, patient=False)


def post_due(*, now: datetime | None = None, everything: bool = False) -> tuple[int, int]:
    """Send what is due, the oldest first; return how many were decided and how many still wait.

    ``everything`` does not wait for the pauses after failures. Stops at the first posting that finds no gateway.
    """
    now = now or timezone.now()
    lapse(now)
    waiting = Posting.objects.filter(state=Posting.State.WAITING)
    due = waiting if everything else waiting.filter(due_at__lte=now)
    done = 0
    for seq in list(due.order_by("seq").values_list("seq", flat=True)[:BATCH_MAX]):
        posting = _in_turn(seq)
        if posting is None:
            continue
        if not post(posting, patient=True):
            break
        done += 1
    return done, waiting.count()


def send_again(postings: QuerySet[Posting]) -> int:
    """Let refused postings wait for another try, as they are; return how many. What was replaced stays refused."""
    refused = postings.filter(state=Posting.State.REFUSED).exclude(REPLACED)
    return refused.update(state=Posting.State.WAITING)


def lapse(now: datetime) -> int:
    """Note the holds that ran out: the gateway has given their points back by itself."""
    return Checkout.objects.filter(
        Q(state__in=Checkout.OPEN), Q(expires_at__lt=now - timedelta(minutes=1))
    ).update(state=Checkout.State.LAPSED)


def post(posting: Posting, *, patient: bool) -> bool:
    """Send one posting; say whether it was decided. It may be sent twice at the same time: its id sees to that."""
    try:
        with calling(patient=patient) as shop:
            if posting.kind == CANCEL_CLAIM:
                answer: Any = shop.cancel_claim(_claim_of(posting))
            else:
                answer = shop.post(Intent.from_json(posting.intent))
    except Away as error:
        _later(posting, str(error))
        return False
    except Refused as error:
        _refused(posting, error)
        return True
    except BadRequest as error:
        _close(posting, Posting.State.REFUSED, "BAD_REQUEST", str(error))
        return True
    _posted(posting, answer)
    return True


def _claim_of(posting: Posting) -> str:
    """Return the id of the claim to end: the present one, as another return may have ended that of the intent."""
    return str(posting.sale.sale_id if posting.sale else json.loads(posting.intent)["claim_id"])


def _posted(posting: Posting, answer: Any, reason: str = "", message: str = "") -> None:
    """Close a posting, and keep what the answer tells about the order."""
    with transaction.atomic():
        if not _close(posting, Posting.State.POSTED, reason, message):
            return
        sale = OrderSale.objects.select_for_update().filter(pk=posting.sale_id).first()
        if sale is None:
            return
        if isinstance(answer, Sale):
            OrderSale.objects.filter(pk=sale.pk).update(earned_points=answer.earned_points)
        elif posting.kind == CANCEL_CLAIM:
            from tallystick_oscar.returns import claim_cancelled

            claim_cancelled(sale, str(answer), _pieces(sale, json.loads(posting.intent)))


def _pieces(sale: OrderSale, intent: dict[str, Any]) -> list[tuple[int, int]]:
    """Return what came back of an unclaimed order, each as the key of the order's line and a quantity."""
    if "lines" in intent:
        return [(key, quantity) for key, quantity in intent["lines"]]
    # Older versions wrote the line's number in the sale.
    keys = dict(enumerate(sale.line_ids, 1))
    return [(keys[no], quantity) for no, quantity in intent["pieces"] if no in keys]


def _refused(posting: Posting, error: Refused) -> None:
    if (posting.kind, error.reason) in HARMLESS:
        _posted(posting, "", error.reason, error.message)
        return
    logger.error("The gateway refused %s: %s", posting, error)
    with transaction.atomic():
        if not _close(posting, Posting.State.REFUSED, error.reason, error.message):
            return
        sale = _standing_on(posting)
        if sale is None:
            return
        if posting.kind == "capture" and conf.get("TALLYSTICK_EXPIRED_HOLD") == "sale":
            _sell_instead(sale, posting.checkout, error)
        elif posting.kind == "sale" and posting.checkout is not None:
            # Only a sale that was made in place of a capture has a checkout.
            _sell_as_paid(sale, posting.checkout, error)


def _standing_on(posting: Posting) -> OrderSale | None:
    """Return the sale that a posting is to make, locked; None when the order stands on another one by now."""
    return (
        OrderSale.objects.select_for_update().filter(pk=posting.sale_id, sale_id=posting.command_id).first()
    )


def _sell_instead(sale: OrderSale, checkout: Checkout | None, error: Refused) -> None:
    """The hold was over when the order was posted: take the same points from what the member has now."""
    if error.reason not in {"HOLD_EXPIRED", "HOLD_CLOSED", "HOLD_UNKNOWN"} or checkout is None:
        return
    choice = from_json(checkout.choice_json)
    sale.sale_id = new_id()
    sale.save(update_fields=["sale_id"])
    intent = Intent.sale(
        str(sale.sale_id),
        str(sale.member_id),
        baskets.from_json(sale.basket_json),
        order=str(sale.order.number),
        at=sale.order.date_placed,
        points=choice.points or None,
        rewards=choice.rewards,
        coupons=choice.coupons,
    )
    _sell_anew(sale, intent, checkout)


def _sell_as_paid(sale: OrderSale, checkout: Checkout, error: Refused) -> None:
    """The discount was given and what it cost is gone: book the order as it was paid, for a person to look at.

    The lines are told with the discount taken off, so the member earns on what was paid and a return pays back no more.
    """
    paid = baskets.less(baskets.from_json(sale.basket_json), checkout.line_discounts)
    logger.error(
        "Order %s was sold with a discount of %s that nothing was taken for (%s)",
        sale.order.number,
        sale.discount_minor,
        error.reason,
    )
    sale.sale_id, sale.points, sale.basket_json = new_id(), 0, baskets.to_json(paid)
    sale.save(update_fields=["sale_id", "points", "basket_json"])
    intent = Intent.sale(
        str(sale.sale_id),
        str(sale.member_id),
        paid,
        order=str(sale.order.number),
        at=sale.order.date_placed,
    )
    _sell_anew(sale, intent, None)


def _sell_anew(sale: OrderSale, intent: Intent, checkout: Checkout | None) -> None:
    """Post another sale in place of one that was refused, and behind it the returns that waited for that one."""
    returns = list(sale.postings.filter(kind="return", state=Posting.State.WAITING).order_by("seq"))
    add(intent, sale=sale, checkout=checkout)
    for posting in returns:
        request = Intent.from_json(posting.intent).request
        # Another command: one that the gateway has refused before is refused for ever.
        request.command_id, request.sale_id = new_id(), intent.id
        posting.delete()
        add(Intent("return", request), sale=sale)


def _in_turn(seq: int) -> Posting | None:
    """Return a posting that still waits, for nothing older of the same order: a return comes after its sale."""
    waiting = Posting.objects.filter(state=Posting.State.WAITING)
    # The sale is read with it: for as long as this waits, the sale's id is that of the claim to end.
    posting = waiting.select_related("sale").filter(seq=seq).first()
    if posting is None or posting.sale_id is None:
        return posting
    return None if waiting.filter(sale_id=posting.sale_id, seq__lt=seq).exists() else posting


def _later(posting: Posting, message: str) -> None:
    pause_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(posting.tries, 10))
    Posting.objects.filter(pk=posting.pk, state=Posting.State.WAITING).update(
        tries=posting.tries + 1,
        due_at=timezone.now() + timedelta(seconds=pause_s),
        message=message[:MESSAGE_MAX],
    )


def _close(posting: Posting, state: Any, reason: str = "", message: str = "") -> bool:
    """Note what was decided; of several that sent the same posting, one is told True and sees to what follows."""
    closed = Posting.objects.filter(pk=posting.pk, state=Posting.State.WAITING).update(
        state=state,
        tries=posting.tries + 1,
        posted_at=timezone.now(),
        reason=reason,
        message=message[:MESSAGE_MAX],
    )
    return bool(closed)
