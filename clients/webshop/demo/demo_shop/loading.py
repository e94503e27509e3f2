"""Oscar's classes with the demo's prices. A shop that has forked oscar's partner app puts them there instead."""

from __future__ import annotations

from collections.abc import Sequence

from oscar.core.loading import default_class_loader


def class_loader(module_label: str, classnames: Sequence[str], module_prefix: str) -> list[type]:
    """Return oscar's classes, but for the selector of prices."""
    found = default_class_loader(module_label, classnames, module_prefix)
    if module_label != "partner.strategy":
        return list(found)
    from demo_shop.prices import Selector

    return [Selector if name == "Selector" else one for name, one in zip(classnames, found, strict=True)]
