"""Settings of the demo shop. What a real shop adds for rewards stands at the end; it is short."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key
from django.utils.translation import gettext_lazy as _
from oscar.defaults import *  # noqa: F403

from oscar import INSTALLED_APPS as OSCAR_APPS  # type: ignore[attr-defined]

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("DEMO_SHOP_DIR", Path.home() / ".local" / "share" / "tallystick" / "demo-shop"))
DATA.mkdir(mode=0o700, parents=True, exist_ok=True)


def _secret_key() -> str:
    """Return this installation's own key, made on the first start."""
    file = DATA / "secret-key"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(get_random_secret_key(), encoding="utf-8")
    return file.read_text(encoding="utf-8")


SECRET_KEY = _secret_key()
DEBUG = os.environ.get("DEMO_SHOP_DEBUG", "1") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
SITE_ID = 1
ROOT_URLCONF = "demo_shop.urls"
WSGI_APPLICATION = "demo_shop.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "shop.sqlite3",
        # Two customers at once: the second writer waits for the first, and nobody's lock is upgraded under them.
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL",
        },
    }
}


class _FromModels(dict[str, None]):
    """Oscar's hundred migrations take a minute. A demo has nothing to migrate from: tables come from the models."""

    def __contains__(self, app: object) -> bool:
        return app != "tallystick_oscar"

    def __missing__(self, app: str) -> None:
        return None


MIGRATION_MODULES = _FromModels()

INSTALLED_APPS = [
    "demo_shop.apps.DemoConfig",
    # Before oscar, so that its templates are found first; they extend oscar's own.
    "tallystick_oscar",
    *(
        "demo_shop.checkout.apps.CheckoutConfig" if app == "oscar.apps.checkout.apps.CheckoutConfig" else app
        for app in OSCAR_APPS
    ),
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
    "oscar.apps.basket.middleware.BasketMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.template.context_processors.i18n",
                "django.template.context_processors.media",
                "django.template.context_processors.static",
                "django.contrib.messages.context_processors.messages",
                "oscar.apps.search.context_processors.search_form",
                "oscar.apps.checkout.context_processors.checkout",
                "oscar.apps.communication.notifications.context_processors.notifications",
                "oscar.core.context_processors.metadata",
            ],
        },
    }
]

AUTHENTICATION_BACKENDS = ["oscar.apps.customer.auth_backends.EmailBackend"]
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = DATA / "mail"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}

LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("sv", "Svenska")]
TIME_ZONE = "Europe/Berlin"
USE_TZ = True
STATIC_URL = "/static/"
MEDIA_URL = "/media/"
MEDIA_ROOT = DATA / "media"

OSCAR_SHOP_NAME = "Bean & Kettle"
OSCAR_SHOP_TAGLINE = "A demo shop with rewards"
OSCAR_DEFAULT_CURRENCY = "EUR"
OSCAR_OFFERS_INCL_TAX = True
OSCAR_ALLOW_ANON_CHECKOUT = True
OSCAR_RECENTLY_VIEWED_PRODUCTS = 0
OSCAR_THUMBNAILER = "demo_shop.pictures.Original"
OSCAR_REQUIRED_ADDRESS_FIELDS = ("first_name", "last_name", "line1", "line4", "postcode", "country")
OSCAR_INITIAL_ORDER_STATUS = "Pending"
OSCAR_INITIAL_LINE_STATUS = "Pending"
OSCAR_ORDER_STATUS_PIPELINE = {"Pending": ("Complete", "Cancelled"), "Complete": (), "Cancelled": ()}

# Rewards.
OSCAR_DYNAMIC_CLASS_LOADER = "tallystick_oscar.loading.class_loader"
TALLYSTICK_PROFILE = DATA / "gateway"
TALLYSTICK_HOLD_S = int(os.environ.get("DEMO_SHOP_HOLD_S", "900"))
TALLYSTICK_AWAY_S = float(os.environ.get("DEMO_SHOP_AWAY_S", "20"))
TALLYSTICK_POST_AT_ONCE = os.environ.get("DEMO_SHOP_POST_AT_ONCE", "1") == "1"
TALLYSTICK_PUBLIC_URL = os.environ.get("DEMO_SHOP_GATEWAY_URL") or None
TALLYSTICK_NAMES = {
    "free-coffee": _("A free coffee"),
    "ten-percent": _("Ten per cent off"),
    "silver": _("Silver"),
    "gold": _("Gold"),
    "base": _("Base"),
}
TALLYSTICK_EMAIL_CONFIRMED = "demo_shop.people.is_known"
# Only here: the demo's strategy is not one of a shop with forks of its own, so the loader brings it in.
TALLYSTICK_CLASS_LOADER = "demo_shop.loading.class_loader"
