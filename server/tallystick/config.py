"""Settings of the server: frozen, from defaults, a TOML file, the environment and the command line, in that order.

Each setting has one name everywhere: `listen` in the file, `TALLYSTICK_LISTEN` in the environment, `--listen` on
the command line. A name that nobody knows is refused with the nearest one that exists: a mistyped database must
not silently become another database.
"""

from __future__ import annotations

import base64
import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import field, fields, replace
from email.utils import parseaddr
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from tallystick.core.record import record

ENV_PREFIX = "TALLYSTICK_"
CONFIG_VARIABLE = "TALLYSTICK_CONFIG"
CONFIG_BYTES_MAX = 65_536
WORKERS_MAX = 64
ORIGINS_MAX = 32
SMS_SECRET_BYTES_MIN = 24

# Variables with our prefix that are not settings of the server: they belong to clients, tests and deployment.
FOREIGN_VARIABLES: Final = frozenset(
    {
        CONFIG_VARIABLE,
        "TALLYSTICK_PROFILE",
        "TALLYSTICK_OWNER_PASSWORD",
        "TALLYSTICK_APP_PASSWORD",
        "TALLYSTICK_ROLES_SQL",
        "TALLYSTICK_WORKER",
        "TALLYSTICK_LIFELINE",
    }
)
FOREIGN_PREFIXES: Final = ("TALLYSTICK_TEST_", "TALLYSTICK_BENCH_", "TALLYSTICK_TILL_")


class SettingsRefused(Exception):
    """A setting is unknown, out of range or contradicts another one; the message names it and the mend."""


def _setting(default: Any, text: str, *, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"help": text, "low": low, "high": high})


@record(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the server; `describe()` lists them with their meaning, unit and range.

    `data_dir`, `database_url` and `key_dir` are resolved by `load`: empty here means beside the others.
    """

    data_dir: str = _setting(
        "",
        "Directory of the SQLite database, the keys and the client profiles. "
        "Default: $XDG_DATA_HOME/tallystick, else ~/.local/share/tallystick.",
    )
    database_url: str = _setting(
        "", "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE. Default: tallystick.db in data_dir."
    )
    key_dir: str = _setting("", "Directory of the server's keys. Default: keys in data_dir.")
    issuer: str = _setting(
        "tallystick", "Name of this installation in tokens; every replica has the same, no two installations."
    )
    listen: str = _setting("127.0.0.1:50051", "Address of gRPC, HOST:PORT; port 0 takes a free one.")
    http_listen: str = _setting(
        "127.0.0.1:8080", "Address of Connect (for browsers), HOST:PORT; empty turns it off."
    )
    ops_listen: str = _setting(
        "",
        "Address of /metrics, /healthz and /readyz, HOST:PORT; empty turns it off. Keep it off public networks. "
        "Worker N listens N ports above it.",
    )
    tls_cert: str = _setting(
        "",
        "PEM file of the certificate chain; with tls_key, calls are encrypted. Read again when it changes.",
    )
    tls_key: str = _setting("", "PEM file of the certificate's private key.")
    tls_client_ca: str = _setting(
        "", "PEM file of the authorities whose client certificates are demanded (mTLS); empty demands none."
    )
    workers: int = _setting(1, "Processes that serve; PostgreSQL only beyond 1.", low=1, high=WORKERS_MAX)
    in_flight_max: int = _setting(256, "Calls that one process works on at once.", low=1, high=10_000)
    deadline_max_s: float = _setting(60.0, "Longest deadline of a call, in seconds.", low=1, high=600)
    drain_wait_s: float = _setting(
        5.0,
        "How long after SIGTERM calls are still taken, so that balancers turn away, in seconds.",
        low=0,
        high=600,
    )
    drain_grace_s: float = _setting(
        25.0, "How long calls in flight may then go on, in seconds.", low=0, high=600
    )
    cors_origins: tuple[str, ...] = _setting(
        (), "Web origins that may call from a browser, such as https://card.example.org; separated by commas."
    )
    proxies: tuple[str, ...] = _setting(
        (),
        "Addresses or networks of proxies before http_listen whose X-Forwarded-For is believed; separated by commas.",
    )
    region: str = _setting("GB", "Country (ISO 3166) of telephone numbers that are written without one.")
    public_url: str = _setting(
        "",
        "Where phones reach the HTTP address from outside, such as https://points.example.org; empty: passes in "
        "wallets are not updated.",
    )
    organization: str = _setting("Tallystick", "Who issues passes, as wallets show it.")
    apple_pass_type: str = _setting(
        "",
        "Pass type identifier of Apple Wallet passes, such as pass.org.example.points; empty turns them off.",
    )
    apple_team: str = _setting("", "Team identifier of the Apple developer account, ten characters.")
    apple_cert: str = _setting("", "PEM file of the pass type's certificate.")
    apple_key: str = _setting("", "PEM file of its private key, readable by the server alone.")
    apple_authority: str = _setting("", "PEM file of its issuer's certificate: Apple's WWDR, generation G4.")
    apns_address: str = _setting(
        "api.push.apple.com:443",
        "Address of Apple's push service, HOST:PORT; empty: phones are not told of changes.",
    )
    google_issuer_id: str = _setting(
        "", "Issuer id of the Google Wallet API, digits; empty turns its passes off. Needs public_url."
    )
    google_account: str = _setting("", "JSON key file of the service account that may use it.")
    smtp_host: str = _setting(
        "", "Mail server that mails are handed to; empty: nobody can be sent a code to sign in with."
    )
    smtp_port: int = _setting(587, "Its port: 587 for starttls, 465 for tls.", low=1, high=65_535)
    smtp_tls: str = _setting("starttls", "How the connection is encrypted: starttls, tls, or none.")
    smtp_user: str = _setting("", "Name to log in to the mail server with; empty: without a login.")
    smtp_password: str = _setting("", "Its password. Give it by the environment or a file that few can read.")
    smtp_from: str = _setting("", "Address that mails come from, such as Nordvik <card@example.org>.")
    push_contact: str = _setting(
        "",
        "Whom push services may ask about push messages, such as mailto:card@example.org; empty turns them off.",
    )
    push_private: bool = _setting(
        False, "Whether push messages may go to this machine and to addresses that are not public."
    )
    sms_url: str = _setting(
        "", "Service that takes text messages by a signed POST of JSON; empty: members are sent none."
    )
    sms_secret: str = _setting(
        "",
        "What signs the requests to it: whsec_ and base64 of 24 bytes or more. Give it by the environment or a file "
        "that few can read.",
    )
    webhook_private: bool = _setting(
        False, "Whether webhooks may go to this machine and to addresses that are not public."
    )
    nats_url: str = _setting(
        "",
        "NATS server to which events are published, such as nats://127.0.0.1:4222; empty turns it off. Needs the "
        "extra `nats`.",
    )
    nats_stream: str = _setting("tallystick", "JetStream stream of the events; its subjects begin with it.")
    reflection: bool = _setting(False, "Whether gRPC reflection tells strangers what the services are.")
    log_format: str = _setting("json", "How log lines are written: json or text. Both say the same.")
    log_level: str = _setting("info", "Lowest level that is logged: debug, info, warning or error.")
    log_every: int = _setting(
        100,
        "One in how many calls that went well is logged; failed ones always are; 0 logs none.",
        low=0,
        high=10**6,
    )
    telemetry_endpoint: str = _setting(
        "",
        "OTLP endpoint for sampled OpenTelemetry spans; empty turns them off. Needs the extra `telemetry`.",
    )
    telemetry_ratio: float = _setting(0.01, "Share of the calls that make a span, 0 to 1.", low=0, high=1)


@record(frozen=True, slots=True)
class SettingInfo:
    """One setting for help texts: its names, type, default, range and meaning."""

    name: str
    variable: str
    kind: str
    default: str
    bounds: str
    text: str


def describe() -> list[SettingInfo]:
    """All settings in their order."""
    infos = []
    for each in fields(Settings):
        low, high = each.metadata["low"], each.metadata["high"]
        infos.append(
            SettingInfo(
                each.name,
                ENV_PREFIX + each.name.upper(),
                _kind(each.default),
                ",".join(each.default) if isinstance(each.default, tuple) else str(each.default),
                "" if low is None else f"{low} to {high}",
                each.metadata["help"],
            )
        )
    return infos


def load(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Merge defaults, file, environment and overrides (values of None are left out), and check the result.

    `file` defaults to what TALLYSTICK_CONFIG names. Raises SettingsRefused.
    """
    environ = os.environ if environ is None else environ
    if file is None and environ.get(CONFIG_VARIABLE):
        file = Path(environ[CONFIG_VARIABLE])
    values: dict[str, Any] = {}
    if file is not None:
        values |= _from_file(file)
    values |= _from_environ(environ)
    values |= {name: value for name, value in (overrides or {}).items() if value is not None}
    known = {each.name: each for each in fields(Settings)}
    unknown = [name for name in values if name not in known]
    assert not unknown, f"overrides are named as settings are: {unknown}"
    settings = Settings(**values)
    _check(settings)
    return _resolved(settings, environ)


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where the data of one user lie (XDG Base Directory Specification 0.8)."""
    base = environ.get("XDG_DATA_HOME", "")
    # The specification tells to ignore a relative path.
    if base.startswith("/"):
        return Path(base) / "tallystick"
    try:
        return Path.home() / ".local" / "share" / "tallystick"
    except RuntimeError:
        # An account without a home, as containers like to have: beside whatever is started there.
        return Path.cwd() / ".tallystick"


def split_address(address: str) -> tuple[str, int]:
    """The host and port of HOST:PORT or [IPv6]:PORT; ValueError when it is neither."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _resolved(settings: Settings, environ: Mapping[str, str]) -> Settings:
    data_dir = _directory("data_dir", settings.data_dir or default_data_dir(environ))
    return replace(
        settings,
        data_dir=str(data_dir),
        database_url=settings.database_url or f"sqlite:///{data_dir / 'tallystick.db'}",
        key_dir=str(_directory("key_dir", settings.key_dir or data_dir / "keys")),
    )


def _directory(name: str, path: str | Path) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        raise SettingsRefused(
            f"{name} is '{path}', and there is no such home; write the path in full"
        ) from None


def _from_file(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
        if len(data) > CONFIG_BYTES_MAX:
            raise SettingsRefused(f"{file} is larger than {CONFIG_BYTES_MAX} bytes")
        document = tomllib.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise SettingsRefused(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsRefused(f"{file} is not TOML: {error}") from error
    return {
        _known(name, place=str(file)): _from_toml(name, value, place=str(file))
        for name, value in document.items()
    }


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for variable, text in environ.items():
        if not variable.startswith(ENV_PREFIX) or _is_foreign(variable):
            continue
        name = _known(variable.removeprefix(ENV_PREFIX).lower(), place="the environment", shown=variable)
        values[name] = _from_text(name, text, shown=variable)
    return values


def _is_foreign(variable: str) -> bool:
    return variable in FOREIGN_VARIABLES or variable.startswith(FOREIGN_PREFIXES)


def _known(name: str, *, place: str, shown: str = "") -> str:
    names = [each.name for each in fields(Settings)]
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    if near and shown:
        near = [ENV_PREFIX + near[0].upper()]
    mend = f"did you mean {near[0]}?" if near else "`tallystick settings` lists all."
    raise SettingsRefused(f"{place} has {shown or name}, which is no setting; {mend}")


def _kind(default: object) -> str:
    return {bool: "yes or no", int: "whole number", float: "number", tuple: "list"}.get(type(default), "text")


def _default(name: str) -> Any:
    return next(each.default for each in fields(Settings) if each.name == name)


def _from_toml(name: str, value: Any, *, place: str) -> Any:
    default = _default(name)
    if isinstance(default, tuple) and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise SettingsRefused(f"{name} in {place} must be {_kind(default)}, not {value!r}")
    return value


def _from_text(name: str, text: str, *, shown: str) -> Any:
    default = _default(name)
    try:
        if isinstance(default, bool):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}[
                text.lower()
            ]
        if isinstance(default, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return type(default)(text)
    except (ValueError, KeyError):
        raise SettingsRefused(f"{shown} must be {_kind(default)}, not {text!r}") from None


def _check(settings: Settings) -> None:
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
    if settings.region == _default("region"):
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
