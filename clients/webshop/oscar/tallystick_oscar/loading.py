"""Puts this package's behaviour into oscar's classes, whether the shop has forked the app that they live in or not.

Oscar finds its classes through a loader that a setting names. This one asks oscar's own loader first, and then derives
a class from what it found and one of this package's mixins. So one line in the settings is enough:

    OSCAR_DYNAMIC_CLASS_LOADER = "tallystick_oscar.loading.class_loader"

A shop with a loader of its own names that in TALLYSTICK_CLASS_LOADER. A shop that would rather see every override in
its own forks uses the mixins by hand and leaves the loader alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

MIXINS = {
    ("offer.applicator", "Applicator"): "tallystick_oscar.offers.ApplicatorMixin",
    ("basket.utils", "LineDiscountRegistry"): "tallystick_oscar.registry.RegistryMixin",
    ("basket.views", "BasketAddView"): "tallystick_oscar.openings.BasketAddMixin",
    ("basket.views", "VoucherAddView"): "tallystick_oscar.coupons.VoucherAddMixin",
    ("checkout.mixins", "OrderPlacementMixin"): "tallystick_oscar.placing.PlacementMixin",
    ("checkout.views", "PaymentDetailsView"): "tallystick_oscar.submission.SubmissionMixin",
    ("order.utils", "OrderCreator"): "tallystick_oscar.placing.CreatorMixin",
    ("order.utils", "OrderDispatcher"): "tallystick_oscar.mails.OrderDispatcherMixin",
    ("order.processing", "EventHandler"): "tallystick_oscar.returns.EventHandlerMixin",
}
"""Which class of oscar gets which mixin."""

_DEFAULT_LOADER = "oscar.core.loading.default_class_loader"


def class_loader(module_label: str, classnames: Sequence[str], module_prefix: str) -> list[type]:
    """Return the classes, as oscar's loader does, with this package's behaviour in those that it changes."""
    below = import_string(getattr(settings, "TALLYSTICK_CLASS_LOADER", _DEFAULT_LOADER))
    found = below(module_label, classnames, module_prefix)
    return [
        _with_mixin(one, MIXINS[module_label, name]) if (module_label, name) in MIXINS else one
        for name, one in zip(classnames, found, strict=True)
    ]


@cache
def _with_mixin(base: type, path: str) -> type:
    mixin = import_string(path)
    if issubclass(base, mixin):
        return base
    return type(base.__name__, (mixin, base), {"__module__": base.__module__, "__doc__": base.__doc__})
