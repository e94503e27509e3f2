"""Which settings are refused before anything is started: what would fail later, and often without a word."""

from __future__ import annotations

import base64
from dataclasses import fields
from email.utils import parseaddr
from ipaddress import ip_network
from urllib.parse import SplitResult, urlsplit

from tallystick.config.settings import Settings, SettingsRefused, default_of, split_address

ORIGINS_MAX = 32
SMS_SECRET_BYTES_MIN = 24


def check(settings: Settings) -> None:
    """Raise SettingsRefused for the first setting that is out of range or contradicts another one."""
    for each in fields(Settings):
        low, high = each.metadata["low"], each.metadata["high"]
        value = getattr(settings, each.name)
        if low is not None and not low <= value <= high:
            raise SettingsRefused(f"{each.name} is {value}; it must be {low} to {high}")
    for name in ("listen", "http_listen", "ops_listen", "apns_address"):
        address = getattr(settings, name)
        if not address and name != "listen":
            continue
        try:
            split_address(address)
        except ValueError:
            raise SettingsRefused(
                f"{name} is {address!r}; write HOST:PORT, for example 127.0.0.1:8080"
            ) from None
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingsRefused("tls_cert and tls_key belong together: set both or neither")
    if settings.tls_client_ca and not settings.tls_cert:
        raise SettingsRefused("tls_client_ca needs tls_cert and tls_key: mTLS is TLS first")
    _check_wallets(settings)
    _check_mail(settings)
    _check_notices(settings)
    _check_nats(settings)
    _check_proxies(settings)
    _check_origins(settings)
    _check_region(settings)
    _check_word("log_format", settings.log_format, ("json", "text"))
    _check_word("log_level", settings.log_level, ("debug", "info", "warning", "error"))
    if settings.workers > 1 and not settings.database_url.startswith("postgres"):
        raise SettingsRefused("workers above 1 need PostgreSQL: SQLite has one writer; set database_url")
    if settings.workers > 1 and split_address(settings.listen)[1] == 0:
        raise SettingsRefused("workers above 1 share one port: name it in listen instead of 0")


def _check_wallets(settings: Settings) -> None:
    names = ("apple_pass_type", "apple_team", "apple_cert", "apple_key", "apple_authority")
    missing = [name for name in names if not getattr(settings, name)]
    if 0 < len(missing) < len(names):
        raise SettingsRefused(
            f"{', '.join(missing)} must be set too: Apple Wallet needs all of {', '.join(names)}"
        )
    if bool(settings.google_issuer_id) != bool(settings.google_account):
        raise SettingsRefused("google_issuer_id and google_account belong together: set both or neither")
    if settings.google_issuer_id and not (settings.google_issuer_id.isdecimal() and settings.public_url):
        raise SettingsRefused("google_issuer_id must be digits, and needs public_url")
    url = _url("public_url", settings.public_url)
    local = url.scheme == "http" and url.hostname in ("localhost", "127.0.0.1")
    if settings.public_url and not (url.hostname and (url.scheme == "https" or local)):
        raise SettingsRefused(f"public_url is {settings.public_url!r}; write https:// and a name")
    if url.path.rstrip("/") or url.query or url.fragment:
        raise SettingsRefused(f"public_url is {settings.public_url!r}; nothing may follow the name")
    if not settings.organization:
        raise SettingsRefused("organization is empty; wallets show it on every pass")


def _check_mail(settings: Settings) -> None:
    _check_word("smtp_tls", settings.smtp_tls, ("starttls", "tls", "none"))
    sender = parseaddr(settings.smtp_from)[1]
    if settings.smtp_host and ("@" not in sender or not settings.smtp_from.isprintable()):
        raise SettingsRefused(
            f"smtp_from is {settings.smtp_from!r}; write an address, for example Nordvik <card@example.org>"
        )
    if bool(settings.smtp_user) != bool(settings.smtp_password):
        raise SettingsRefused("smtp_user and smtp_password belong together: set both or neither")
    if settings.smtp_user and settings.smtp_tls == "none":
        raise SettingsRefused("smtp_user needs smtp_tls to be starttls or tls: a password is not sent openly")


def _check_notices(settings: Settings) -> None:
    contact = settings.push_contact
    if contact and not (contact.startswith("https://") or (contact.startswith("mailto:") and "@" in contact)):
        raise SettingsRefused(f"push_contact is {contact!r}; write mailto: and an address, or https://")
    if bool(settings.sms_url) != bool(settings.sms_secret):
        raise SettingsRefused("sms_url and sms_secret belong together: set both or neither")
    if settings.sms_url and not _can_be_posted_to(_url("sms_url", settings.sms_url)):
        # Not repeated: it may hold a password.
        raise SettingsRefused(
            "sms_url cannot be posted to; write https://, a host and what follows, in ASCII and without a user"
        )
    if settings.sms_secret:
        try:
            secret = base64.b64decode(settings.sms_secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            secret = b""
        if len(secret) < SMS_SECRET_BYTES_MIN:
            raise SettingsRefused(
                f"sms_secret is not base64 of {SMS_SECRET_BYTES_MIN} bytes or more; make one with: "
                "printf 'whsec_%s' $(openssl rand -base64 32)"
            )


def _can_be_posted_to(url: SplitResult) -> bool:
    is_plain = all("!" <= char <= "~" for char in url.geturl())
    return url.scheme in ("https", "http") and bool(url.hostname) and is_plain and url.username is None


def _check_nats(settings: Settings) -> None:
    # The URL may hold a password: no message repeats it.
    if settings.nats_url and _url("nats_url", settings.nats_url).scheme not in ("nats", "tls"):
        raise SettingsRefused("nats_url must begin with nats:// or tls://")
    stream = settings.nats_stream
    if not stream or not stream.isascii() or not stream.replace("_", "").replace("-", "").isalnum():
        raise SettingsRefused(f"nats_stream is {stream!r}; write letters, digits, '-' and '_'")


def _check_proxies(settings: Settings) -> None:
    for proxy in settings.proxies:
        try:
            ip_network(proxy)
        except ValueError:
            raise SettingsRefused(
                f"proxies has {proxy!r}; write an address or a network, for example 10.0.0.0/24"
            ) from None


def _check_origins(settings: Settings) -> None:
    if len(settings.cors_origins) > ORIGINS_MAX:
        raise SettingsRefused(f"cors_origins has more than {ORIGINS_MAX} origins")
    for origin in settings.cors_origins:
        url = _url("cors_origins", origin)
        # Compared to what a browser sends letter by letter: another spelling would shut its pages out without a word.
        sent = f"{url.scheme}://{url.netloc.lower()}".removesuffix(
            {"https": ":443", "http": ":80"}.get(url.scheme, " ")
        )
        if not url.scheme or not url.hostname or not origin.isascii() or "@" in origin or origin != sent:
            raise SettingsRefused(
                f"cors_origins has {origin!r}; write it as browsers do, in small letters and with nothing behind "
                "the name, for example https://card.example.org"
            )


def _check_region(settings: Settings) -> None:
    if settings.region == default_of("region"):
        return
    from phonenumbers import SUPPORTED_REGIONS  # only for who sets a region: every command loads the settings

    if settings.region not in SUPPORTED_REGIONS:
        raise SettingsRefused(
            f"region is {settings.region!r}, which is no country (ISO 3166); write two capital letters, "
            "for example SE, or GB for the United Kingdom"
        )


def _url(name: str, text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        url.port  # noqa: B018 - raises for what is no port
    except ValueError:
        # What is wrong with it is not said: it may be a piece of a password.
        raise SettingsRefused(f"{name} has a URL that cannot be read; write SCHEME://HOST:PORT") from None
    return url


def _check_word(name: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        raise SettingsRefused(f"{name} is {value!r}; it must be one of {', '.join(words)}")
