"""Early access and exclusive products, as messages of the contract."""

from __future__ import annotations

from tallystick.core.access import Opening
from tallystick.core.basket import Line
from tallystick.core.ids import Minor
from tallystick.core.rules.access import Access
from tallystick.rpc.convert.scalars import known_ms_to_pb
from tallystick.v1 import app_pb2, webshop_pb2


def article_from_pb(article: webshop_pb2.AccessArticle) -> Line:
    """Return an article as a line of a basket that has one of it, so that selectors can be asked."""
    return Line(article.sku, 1_000, Minor(0), "", tuple(article.categories), article.brand)


def article_access_to_pb(sku: str, found: Opening) -> webshop_pb2.ArticleAccess:
    """Return how an article is to whoever asked."""
    return webshop_pb2.ArticleAccess(
        sku=sku,
        allowed=found.allowed,
        reason=webshop_pb2.AccessReason.ValueType(int(found.reason)),
        access_id=found.access_id,
        opens_at=known_ms_to_pb(found.opens_ms),
        opens_for_member_at=known_ms_to_pb(found.opens_for_member_ms),
    )


def card_access_to_pb(rule: Access, found: Opening) -> app_pb2.CardAccess:
    """Return a rule of access as a card shows it."""
    return app_pb2.CardAccess(
        access_id=rule.access_id,
        name=rule.name,
        skus=sorted(rule.lines.skus),
        categories=sorted(rule.lines.categories),
        brands=sorted(rule.lines.brands),
        allowed=found.allowed,
        opens_at=known_ms_to_pb(found.opens_ms),
        opens_for_member_at=known_ms_to_pb(found.opens_for_member_ms),
    )
