"""Oscar's classes with the demo's own prices and shelves. A shop that has forked those apps has them there instead."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.module_loading import import_string
from oscar.core.loading import default_class_loader

OWN = {
    ("partner.strategy", "Selector"): "demo_shop.prices.Selector",
    ("search.views.catalogue", "CatalogueView"): "demo_shop.shelves.CatalogueView",
    ("search.views.catalogue", "ProductCategoryView"): "demo_shop.shelves.ProductCategoryView",
    ("search.views.search", "FacetedSearchView"): "demo_shop.shelves.FacetedSearchView",
}


def class_loader(module_label: str, classnames: Sequence[str], module_prefix: str) -> list[type]:
    """Return oscar's classes, but for the demo's own."""
    if not any((module_label, name) in OWN for name in classnames):
        return list(default_class_loader(module_label, classnames, module_prefix))
    return [
        import_string(OWN[module_label, name])
        if (module_label, name) in OWN
        else default_class_loader(module_label, [name], module_prefix)[0]
        for name in classnames
    ]
