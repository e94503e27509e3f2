"""Addresses of the demo shop."""

from __future__ import annotations

from django.apps import apps
from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

from demo_shop.checkout.bank import BankView

urlpatterns = [
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("bank/", BankView.as_view(), name="bank"),
    path("rewards/", include("tallystick_oscar.urls")),
    path("", include(apps.get_app_config("oscar").urls[0])),
    *staticfiles_urlpatterns(),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
