"""Personal offers: a coupon that only the members of a segment can use, some of them for some days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.core.record import record
from tallystick.core.rules.experiment import named_groups
from tallystick.core.rules.model import Coupon, Offer
from tallystick.core.rules.reader import Node
from tallystick.core.rules.segment import DAYS_MAX, named_segment

OFFERS_MAX = 100


@record(frozen=True, slots=True)
class Offered:
    """The offers of a rule set, and its coupons with the audiences that offers give them."""

    offers: tuple[Offer, ...]
    coupons: tuple[Coupon, ...]


def parse_offers(root: Node, coupons: Sequence[Coupon]) -> Offered:
    """Return the offers of a rule set and its coupons as they are then; each offer has a coupon to itself."""
    by_id = {coupon.coupon_id: coupon for coupon in coupons}
    offers: list[Offer] = []
    for node in root.nodes("offers", most=OFFERS_MAX):
        offer = Offer(
            node.text("id", longest=64), node.text("name", longest=100), node.text("coupon", longest=64)
        )
        segment, groups = named_segment(node), named_groups(node)
        days = node.integer("days", 0, high=DAYS_MAX)
        node.done()
        coupon = by_id.get(offer.coupon_id)
        if coupon is None:
            node.wrong(
                "coupon", f"'{offer.coupon_id}' is not a coupon", "name one that stands below 'coupons:'"
            )
        elif coupon.segment or offer.coupon_id in {one.coupon_id for one in offers}:
            node.wrong(
                "coupon", f"'{offer.coupon_id}' has an audience already", "give each offer its own coupon"
            )
        else:
            when = replace(coupon.when, groups=coupon.when.groups | groups) if groups else coupon.when
            # Whom it is for sees it: that is what an offer is.
            by_id[coupon.coupon_id] = replace(
                coupon, segment=segment, days=days, when=when, show=bool(coupon.code)
            )
        if not segment and not groups:
            node.wrong(
                "segment", "is missing", "say for whom it is: a segment, an experiment's variant, or both"
            )
        if days and not segment:
            node.wrong("days", "count from when a member came into the segment", "name the segment")
        if offer.offer_id in {one.offer_id for one in offers}:
            node.wrong("id", f"'{offer.offer_id}' is there already", "give each its own id")
        offers.append(offer)
    return Offered(tuple(offers), tuple(by_id[coupon.coupon_id] for coupon in coupons))
